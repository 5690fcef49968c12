"""What is assumed of the years to come: compute and its growth, the stock of text, the progress of recipes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from analysis.errors import InputError
from analysis.walls import calendar_date

Range = tuple[float, ...]
"""One number that is certain, or the two ends (lo, hi) of a 90 % interval."""

REPEATS = (12.0, 37.0)
"""R*_D, repeats after which one more is worth 1/e of fresh text, as a 90 % interval: Muennighoff et al. 2023 (arXiv
2305.16264) found 15.39 and say of no interval, and refits to their runs, of which the selection is not public, give 12
to 37 as rows are chosen. The median is 21."""
MOST = 60.0
"""Decades of FLOPs, recipes counted as compute, beyond which no scenario may go: numbers of twice the decades would
leave what a computer counts, and no law of training runs says anything of them."""
YEARS = 20.0
"""How far a scenario looks where no horizon is given."""

DATES = ("start", "until", "horizon")
"""Fields that are dates."""
AT_LEAST = {"repetition": 0.0, "recipe": 1.0, "recipe_on_data": 0.0}
"""Least values that may be taken; all other numbers must lie above 0."""
MEANINGS = {
    "stock": "unique tokens",
    "repetition": "repeats after which one more is worth 1/e of fresh text",
    "compute": "FLOPs of the largest training run at the start",
    "growth": "multiple of compute a year",
    "budget": "FLOPs",
    "recipe": "multiple of compute a year",
    "recipe_on_data": "share",
}


@dataclass(frozen=True)
class Scenario:
    """The years from `start` to `horizon`, as far as they are asked about.

    A number is (value,) or (lo, hi), the 90 % interval of a log-normal, cut at what the number may be least; of
    `recipe_on_data` and of dates, (lo, hi) are the ends of a uniform distribution. Raises InputError for what cannot
    be, and for what comes to more compute than there are numbers for.
    """

    compute: Range
    """FLOPs of the largest training run at the start."""
    start: float
    """Date, a year with a fraction."""
    horizon: float
    """Date at which looking ends."""
    stock: Range | None = None
    """Unique tokens there are to train on; None where nothing is said of it."""
    repetition: Range = REPEATS
    """R*_D: repeats of a token after which one more is worth 1/e of a fresh one; 0 where text is not repeated."""
    growth: Range | None = None
    """Multiple of compute a year; None where compute stays, and nothing is said of dates."""
    until: Range | None = None
    """Date at which growth ends."""
    budget: Range | None = None
    """Compute at which growth ends, FLOPs."""
    recipe: Range = (1.0,)
    """Progress of recipes: by what multiple of compute they better a year. Ho et al. 2024 (arXiv 2403.05812) found
    effective compute to double every 8 months (5 to 14 at 95 %) from 2012 to 2023, 2.8 times a year."""
    recipe_on_data: Range = (0.0,)
    """Share of the logarithm of that progress by which tokens go further too; at 0 a better recipe saves compute and
    needs as many tokens as the compute that it is worth."""

    def __post_init__(self) -> None:
        for name in MEANINGS:
            _check_range(name, getattr(self, name))
        if self.growth is not None and self.growth[0] <= 1:
            raise InputError(
                f"growth is {_shown(self.growth)} times a year; compute grows by a multiple above 1, e.g. 4, and a "
                "scenario in which it stays leaves growth out"
            )
        if max(self.recipe_on_data) > 1:
            raise InputError(f"recipe_on_data is {_shown(self.recipe_on_data)}; it is a share from 0 to 1")
        self._check_dates()
        self._check_end()
        self._check_reach()

    def _check_dates(self) -> None:
        if self.horizon <= self.start:
            raise InputError(
                f"the horizon {self.horizon:g} is not after the start {self.start:g}; give a later --horizon"
            )
        if self.until is not None and self.until[0] <= self.start:
            raise InputError(
                f"growth ends at {_shown(self.until)}, not after the start {self.start:g}; give a later end (until)"
            )
        if self.until is not None and self.until[0] > self.until[-1]:
            raise InputError(f"until is {_shown(self.until)}; give the earlier date first")

    def _check_end(self) -> None:
        if self.growth is None and self.until is not None:
            raise InputError(
                f"growth ends at {_shown(self.until)} but none is given; give it too, e.g. --growth 4"
            )
        if self.budget is not None and self.budget[-1] <= self.compute[0]:
            raise InputError(
                f"the budget of {_shown(self.budget)} FLOPs is no more than the {_shown(self.compute)} FLOPs at the "
                "start; give a larger budget, or a smaller compute to start from"
            )

    def _check_reach(self) -> None:
        decades = math.log10(self.compute[-1])
        if self.growth is not None:
            ends = min(self.horizon, self.until[-1]) if self.until is not None else self.horizon
            decades += (ends - self.start) * math.log10(self.growth[-1])
        if self.budget is not None:
            spent = max(math.log10(self.budget[-1]), math.log10(self.compute[-1]))
            decades = spent if self.growth is None else min(decades, spent)
        decades += (self.horizon - self.start) * math.log10(self.recipe[-1])
        if decades > MOST:
            raise InputError(
                f"by {self.horizon:g} compute and better recipes come to 10^{decades:.0f} FLOPs in this scenario, of "
                f"which nothing can be said beyond 10^{MOST:.0f}; give a nearer --horizon or a smaller compute, "
                "budget, growth or recipe"
            )

    def without_stock(self) -> Scenario:
        """The same, with nothing said of a stock."""
        return replace(self, stock=None)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: a number where it is certain, [lo, hi] where it is a range, null where nothing is said."""
        found = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: _plain(value) for name, value in found.items()}


def scenario(given: Mapping[str, Any], *, compute: float, today: float) -> Scenario:
    """The scenario of a JSON object or of options; `compute` (FLOPs) and `today` (a date) stand where it has none.

    Raises InputError for keys that no scenario has and for values that are none.
    """
    known = [item.name for item in fields(Scenario)]
    if unknown := [name for name in given if name not in known]:
        raise InputError(f"a scenario has no {unknown[0]!r}; it has {', '.join(known)}")
    said = {name: value for name, value in given.items() if value is not None}
    start = _date("start", said.pop("start", today))
    horizon = _date("horizon", said.pop("horizon", min(start + YEARS, calendar_date.LAST)))
    if start >= calendar_date.LAST:
        raise InputError(
            f"the start is {start:g}, the last year that dates are told of; give an earlier --start"
        )
    ranges = {name: _range(name, value) for name, value in said.items()}
    return Scenario(**({"compute": (compute,)} | ranges), start=start, horizon=horizon)


def read(path: Path) -> dict[str, Any]:
    """The object in a scenario file; InputError where there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"cannot read the scenario {path} ({error.strerror}); name a JSON file with --scenario"
        ) from None
    except ValueError as error:
        raise InputError(
            f'the scenario {path} is not JSON ({error}); write an object such as {{"stock": 3e14, "growth": 4}}'
        ) from None
    if not isinstance(found, dict):
        raise InputError(
            f'the scenario {path} is no JSON object; write one such as {{"stock": 3e14, "growth": 4}}'
        )
    return found


def _date(name: str, value: Any) -> float:
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    return calendar_date.parse(name, value)


def _range(name: str, value: Any) -> Range:
    items = list(value) if isinstance(value, list | tuple) else [value]
    if len(items) not in (1, 2):
        raise InputError(f"{name} has {len(items)} numbers; give one, or two that its 90 % interval ends at")
    if name in DATES:
        return tuple(calendar_date.parse(name, item) for item in items)
    for item in items:
        if isinstance(item, bool) or not isinstance(item, int | float):
            raise InputError(
                f"{name} is {item!r}, which is no number; give {MEANINGS[name]}, e.g. 3 or [2, 5]"
            )
    return tuple(float(item) for item in items)


def _check_range(name: str, value: Range | None) -> None:
    if value is None:
        return
    least = AT_LEAST.get(name)
    for number in value:
        if not math.isfinite(number) or number < (least or 0) or (least is None and number == 0):
            bound = "above 0" if least is None else f"{least:g} or more"
            raise InputError(f"{name} is {number:g}; it is {MEANINGS[name]} and must be {bound}")
    if len(value) == 2 and value[0] > value[1]:
        raise InputError(f"{name} is {_shown(value)}; give the lower end first")
    if len(value) == 2 and value[0] == 0 and name != "recipe_on_data":
        raise InputError(f"{name} is {_shown(value)}; a log-normal range begins above 0")


def _shown(value: Range) -> str:
    return " to ".join(f"{number:g}" for number in value)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return value[0] if len(value) == 1 else list(value)
    return value
