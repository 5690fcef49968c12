"""specification.json: a curve as plain JSON and as text for a terminal, and its table back for the report."""

from __future__ import annotations

import json
import math
import textwrap
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis import notation
from analysis.choices.averaging import averages
from analysis.choices.decomposition import Decomposition, Part, decompose
from analysis.choices.specification_plots import HEADINGS, words
from analysis.choices.spread import Spread, spread
from analysis.columns import aligned
from analysis.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from analysis.choices.choices import LeftOut
    from analysis.choices.specification_curve import Curve

WIDTH = 80
QUANTITIES = ("E", "L")
KINDS = {
    "no column": "have no column in the table for their convention",
    "the same rows as": "have the same rows as another",
    "are needed": "have too few rows",
    "fewer than 3 different": "have too few sizes or numbers of tokens",
}
"""What a reason not to fit holds, and the same in words for all that share it."""
NAMED = ("no column",)
"""Kinds whose choices are named."""
INTERACTIONS = (
    "Interactions are what a choice does only together with another; no sum of single choices explains it."
)


@dataclass(frozen=True)
class Record:
    """What a page shows of a specification.json."""

    table: pd.DataFrame
    at: float
    level: float
    replicates: int
    spreads: dict[str, Spread]
    decompositions: dict[str, Decomposition]
    averages: tuple[dict[str, Any], ...]
    left_out: tuple[dict[str, Any], ...]
    table_sha256: str


def as_dict(curve: Curve) -> dict[str, Any]:
    """A curve as JSON values; what is not known (NaN, infinite) is null."""
    plan, table = curve.plan, curve.table
    return {
        "at": curve.at,
        "level": curve.level,
        "replicates": curve.replicates,
        "seed": curve.seed,
        "default": plan.default.as_dict(),
        "offered": {name: list(levels) for name, levels in plan.offered.items()},
        "spread": {name: _jsonable(spread(table, name, curve.level).as_dict()) for name in QUANTITIES},
        "decomposition": {name: _jsonable(decompose(table, name).as_dict()) for name in QUANTITIES},
        "averages": [_jsonable(one.as_dict()) for one in averages(curve)],
        "left_out": [vars(one) for one in plan.left_out],
        "rows_excluded": [vars(one) for one in plan.excluded],
        "specifications": _jsonable(table.to_dict(orient="records")),
    }


def read(path: Path) -> Record:
    """The record of a specification.json. Raises InputError for a file that is none."""
    import pandas as pd

    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Record(
            table=pd.DataFrame(found["specifications"]).assign(default=lambda t: t["default"].astype(bool)),
            at=found["at"],
            level=found["level"],
            replicates=found["replicates"],
            spreads={name: _spread(told) for name, told in found["spread"].items()},
            decompositions={name: _decomposition(told) for name, told in found["decomposition"].items()},
            averages=tuple(found["averages"]),
            left_out=tuple(found["left_out"]),
            table_sha256=found.get("table_sha256", ""),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is no record of specifications ({type(error).__name__} {error}); make it again with "
            "python -m analysis specify"
        ) from None


def text(curve: Curve) -> str:
    """The spread, the decomposition, the averages and what was left out, for a terminal of 80 columns."""
    table, at = curve.table, notation.power(curve.at, 2)
    names = {"E": "E", "L": f"the loss at C = {at}"}
    parts = [
        _wrapped(spread(table, name, curve.level).words(names[name]))
        + "\n\n"
        + _shares(decompose(table, name), name)
        for name in QUANTITIES
    ]
    return "\n\n".join([*parts, _wrapped(INTERACTIONS), _averages(curve), _left_out(curve)])


def _shares(found: Decomposition, quantity: str) -> str:
    rows = [(HEADINGS[part.factor], f"{part.share:.0%}", _ends(part)) for part in found.parts]
    rows.append(("interactions", f"{found.interactions:.0%}", ""))
    return aligned(("choice", "variance", f"lowest and highest median {quantity}"), rows)


def _ends(part: Part) -> str:
    (low, a), *_, (high, b) = sorted(part.levels.items(), key=lambda item: item[1])
    return f"{a:.3g} {words(part.factor, low)} < {b:.3g} {words(part.factor, high)}"


def _averages(curve: Curve) -> str:
    rows = [
        (
            f"{words('N', one.N)}, {words('C', one.C)}",
            str(one.specifications),
            notation.estimate(one.E, one.E_lo, one.E_hi),
            notation.interval(one.E_lo, one.E_hi),
            notation.estimate(one.L, one.L_lo, one.L_hi),
            notation.interval(one.L_lo, one.L_hi),
        )
        for one in averages(curve)
    ]
    span = f"{curve.level:.0%}"
    table = aligned(("averaged by held-out error", "of", "E", span, "L", span), rows)
    note = (
        "E means the same under every convention. L is that at C as the convention counts it, which is not the same "
        "run: compare it within a convention."
    )
    return f"{table}\n{_wrapped(note)}" if len(rows) > 1 else table


def _left_out(curve: Curve) -> str:
    fitted, left_out = len(curve.plan.made), curve.plan.left_out
    if not left_out:
        return f"{fitted} combinations of the choices fitted, which are all"
    total = fitted + sum(one.count for one in left_out)
    lines = [f"{fitted} of {total} combinations of the choices fitted; of the others"]
    lines += [f"  {told}" for told in sorted_out(left_out)]
    return "\n".join(_wrapped(line) for line in lines)


def sorted_out(left_out: Sequence[LeftOut]) -> list[str]:
    """Why specifications are not fitted, a line a kind of reason; specification.json has every one."""
    told = []
    for kind, group in KINDS.items():
        there = [one for one in left_out if _kind(one.reason) == kind]
        if not there:
            continue
        count, choices = (
            sum(one.count for one in there),
            ", ".join(dict.fromkeys(one.choice for one in there)),
        )
        told.append(f"{count} {group}" + (f": {choices}" if kind in NAMED else ""))
    others = [one for one in left_out if not _kind(one.reason)]
    return told + [f"{one.count} {one.choice}: {one.reason}" for one in others]


def _kind(reason: str) -> str:
    return next((kind for kind in KINDS if kind in reason), "")


def _wrapped(line: str) -> str:
    indent = " " * (len(line) - len(line.lstrip()))
    return textwrap.fill(line, WIDTH, subsequent_indent=f"{indent}  ", break_long_words=False)


def _spread(told: dict[str, Any]) -> Spread:
    return Spread(**{item.name: _number(told[item.name]) for item in fields(Spread)})


def _decomposition(told: dict[str, Any]) -> Decomposition:
    parts = tuple(Part(part["factor"], part["share"], part["levels"]) for part in told["parts"])
    return Decomposition(parts, told["variance"])


def _number(value: Any) -> Any:
    return math.nan if value is None else value


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
