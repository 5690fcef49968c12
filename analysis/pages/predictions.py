"""What a figure shows of a law: a line with its interval, and losses predicted with theirs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis import notation

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Band:
    """A fitted line with its interval: x, value, lo, hi, all [k], and the interval's level."""

    x: Array
    value: Array
    lo: Array
    hi: Array
    level: float

    @property
    def words(self) -> str:
        """The interval's name, e.g. '90 % interval'."""
        return f"{notation.percent(self.level)} interval"

    def between(self, lo: float, hi: float) -> Band:
        """The part from x = lo to x = hi."""
        inside = (self.x >= lo) & (self.x <= hi)
        return Band(self.x[inside], self.value[inside], self.lo[inside], self.hi[inside], self.level)


@dataclass(frozen=True)
class Predictions:
    """Observed and predicted losses [n] with prediction intervals, and which rows the prediction did not see.

    Rows with C above `cut` are held out: their predictions come from the fit of the rows below.
    """

    compute: Array
    observed: Array
    predicted: Array
    lo: Array
    hi: Array
    held_out: NDArray[np.bool_]
    cut: float
    level: float
    words: tuple[str, ...] = ()
    """What each point tells."""
