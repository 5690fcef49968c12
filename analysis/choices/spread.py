"""How far the analyst's choices move an answer, beside how far the runs' noise does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis import notation

if TYPE_CHECKING:
    import pandas as pd

MIDDLE = (0.05, 0.95)
"""Quantiles over specifications between which the spread is told."""


@dataclass(frozen=True)
class Spread:
    """A quantity over all specifications, and in the default one with its statistical interval."""

    quantity: str
    specifications: int
    lo: float
    """5 % of the specifications say less."""
    median: float
    hi: float
    """5 % of the specifications say more."""
    default: float
    default_lo: float
    default_hi: float
    level: float
    inside: float
    """Share of the specifications whose estimate lies in the default's interval."""
    marked: int
    """Specifications at a bound, ill conditioned, not converged or with E at 0."""
    sound_lo: float
    """5 % of those that are not marked say less; missing where all are."""
    sound_hi: float

    @property
    def ratio(self) -> float:
        """Width of the spread over that of the default's interval; missing where that is a point."""
        width = self.default_hi - self.default_lo
        return (self.hi - self.lo) / width if width > 0 else math.nan

    def words(self, name: str) -> str:
        """In a few sentences; name: what the quantity is called."""
        choices = notation.interval(self.lo, self.hi)
        noise = notation.interval(self.default_lo, self.default_hi)
        value = notation.estimate(self.default, self.default_lo, self.default_hi)
        marked = ""
        if 0 < self.marked < self.specifications:
            rest = notation.interval(self.sound_lo, self.sound_hi)
            marked = (
                f" {self.marked} are at a bound, ill conditioned or without a floor; without these: {rest}."
            )
        told = (
            f"The analyst's choices move {name} by {notation.plain(self.hi - self.lo, 2)}: {self.specifications} "
            f"specifications say {choices} (5-95\N{NO-BREAK SPACE}%)."
        )
        if not math.isfinite(self.ratio):
            return f"{told} {self._without_ratio()}{marked}"
        return (
            f"{told} The runs' noise moves it by "
            f"{notation.plain(self.default_hi - self.default_lo, 2)}: the default's {value} lies within {noise} "
            f"({self.level:.0%}). The choices move it {self.ratio:.1f} times as far, and "
            f"{self.inside:.0%} of the specifications lie in that interval.{marked} "
            f"{self.conclusion}"
        )

    @property
    def conclusion(self) -> str:
        """What the ratio says; it is there."""
        if self.ratio < 1:
            return "Below 1 the choices matter less than the noise: the default's interval may stand for the answer."
        return (
            "From 1 on the choices matter as much as the noise or more: give their range beside the interval."
        )

    def _without_ratio(self) -> str:
        """Why there is no interval of the default with which to compare."""
        if not math.isfinite(self.default_hi - self.default_lo):
            return "The default has no interval, so the choices cannot be compared with the runs' noise."
        what = "floor" if self.quantity == "E" else "answer"
        return (
            f"The default's {what} is {notation.plain(self.default)} in every refit, so the choices cannot be compared "
            "with the runs' noise."
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return vars(self) | {"ratio": self.ratio}


def spread(table: pd.DataFrame, quantity: str, level: float) -> Spread:
    """The spread of a column of a curve's table."""
    values = np.asarray(table[quantity], dtype=np.float64)
    lo, median, hi = np.nanquantile(values, [MIDDLE[0], 0.5, MIDDLE[1]]).tolist()
    sound = values[np.asarray(table["mark"] == "")]
    sound_lo, sound_hi = np.nanquantile(sound, MIDDLE).tolist() if len(sound) else (np.nan, np.nan)
    default: Mapping[str, Any] = dict(table[table["default"]].iloc[0])
    ends = float(default[f"{quantity}_lo"]), float(default[f"{quantity}_hi"])
    return Spread(
        quantity=quantity,
        specifications=len(table),
        lo=lo,
        median=median,
        hi=hi,
        default=float(default[quantity]),
        default_lo=ends[0],
        default_hi=ends[1],
        level=level,
        inside=float(np.mean((values >= ends[0]) & (values <= ends[1]))),
        marked=len(table) - len(sound),
        sound_lo=sound_lo,
        sound_hi=sound_hi,
    )
