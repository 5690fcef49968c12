"""fit.json: a Fit as text, and back. Reading it runs nothing: it is plain JSON, checked against the law it names."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

from analysis.errors import InputError
from analysis.fitting import Fit, Restarts
from analysis.rows import Excluded, law_named
from analysis.solver.objective import objective_named

PLAIN = (
    *(
        "law",
        "columns",
        "target",
        "params",
        "noise",
        "delta_from_noise",
        "status",
        "rows",
        "where",
        "weighted_by",
        "conventions",
    ),
    *("intervals", "bootstrap", "profile", "identification", "frontier", "table", "renamed"),
    *("table_sha256", "version"),
)
"""Fields written as they are; the others have an entry of their own in `to_json`."""

EARLIER = {"target": "L", "noise": math.nan, "delta_from_noise": False, "intervals": {}, "bootstrap": {}}
"""What files of earlier versions do not say, and those without evidence."""


def to_json(fit: Fit) -> dict[str, Any]:
    """A dictionary of JSON values; numbers unrounded, what is not known (NaN, infinite) as null."""
    found = {name: getattr(fit, name) for name in PLAIN} | {
        "objective": fit.objective.as_dict() | {"value": fit.value, "linear_share": fit.linear_share},
        "excluded": [vars(row) for row in fit.excluded],
        "condition_number": fit.condition_number,
        "restarts": vars(fit.restarts) | {"agree": fit.restarts.agree},
        "data_span": {name: {"min": lo, "max": hi} for name, (lo, hi) in fit.data_span.items()},
        "holdout": list(fit.holdout),
        "warnings": list(fit.warnings),
        "tuning": fit.tuning,
        "coverage": fit.coverage,
        "others": fit.others,
    }
    order = [name for item in fields(Fit) if (name := item.name) in found]
    return {name: jsonable(found[name]) for name in order}


def from_json(found: Any) -> Fit:
    """The Fit that `to_json` wrote; null in the sections of evidence stays None. Raises InputError if it is none."""
    try:
        found = EARLIER | found
        fit = Fit(
            **{name: found[name] for name in PLAIN},
            objective=objective_named(found["objective"]["name"], found["objective"]["delta"]),
            value=found["objective"]["value"],
            linear_share=found["objective"]["linear_share"],
            excluded=tuple(Excluded(**row) for row in found["excluded"]),
            condition_number=math.inf if found["condition_number"] is None else found["condition_number"],
            restarts=Restarts(
                found["restarts"]["tried"], found["restarts"]["reached"], tuple(found["restarts"]["rivals"])
            ),
            data_span={name: (span["min"], span["max"]) for name, span in found["data_span"].items()},
            holdout=tuple(found["holdout"]),
            warnings=tuple(found.get("warnings", ())),  # absent in files of earlier versions
            tuning=found.get("tuning", {}),  # likewise
            coverage=found.get("coverage", {}),
            others=found.get("others", {}),
        )
        names = law_named(fit.law).parameters()
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"not a fit: {type(error).__name__} {error}; make one with python -m analysis fit"
        ) from None
    if tuple(fit.params) != names or not all(isinstance(value, float) for value in fit.params.values()):
        raise InputError(f"a fit of law {fit.law!r} has numbers {', '.join(names)}, not {fit.params}")
    return fit


def as_text(fit: Fit) -> str:
    """The content of fit.json."""
    return json.dumps(to_json(fit), indent=1, allow_nan=False) + "\n"


def write(fit: Fit, path: str | Path) -> None:
    """Write fit.json, whole or not at all."""
    path = Path(path)
    check_target(path)
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_text(as_text(fit))
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(
            f"cannot write {path} ({error.strerror}); name a file in a folder that can be written"
        ) from None


def check_target(path: Path) -> None:
    """Raise InputError unless fit.json can be a file at `path`; asked before the work is done."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file in it, e.g. {path / 'fit.json'}")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is no folder, so {path.name} cannot be written there; make it first")


def read(path: str | Path) -> Fit:
    """Read fit.json; raises InputError for a file that is missing or not a fit."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no fit at {path}; make one with python -m analysis fit TABLE --out {path}")
    try:
        found = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not JSON ({error}); make it again with python -m analysis fit") from None
    return from_json(found)


def jsonable(value: Any) -> Any:
    """The value with tuples as lists, and what is not finite as None."""
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
