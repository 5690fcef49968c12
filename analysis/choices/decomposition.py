"""Which choice moves the answer: the variance over specifications, shared out among the factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.choices.choices import FACTORS

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """What one factor does to a quantity."""

    factor: str
    share: float
    """Of the variance over specifications, in 0..1."""
    levels: dict[str, float]
    """Median of the quantity over the specifications of each level."""

    @property
    def move(self) -> float:
        """Largest difference between the medians of two levels."""
        return max(self.levels.values()) - min(self.levels.values())


@dataclass(frozen=True)
class Decomposition:
    """The factors that were varied, the largest share first; what is left are interactions between them."""

    parts: tuple[Part, ...]
    variance: float

    @property
    def interactions(self) -> float:
        """Share of the variance that a sum of main effects does not explain; 0 of no variance."""
        return 0.0 if self.variance == 0 else max(1 - sum(part.share for part in self.parts), 0.0)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "parts": [vars(part) | {"move": part.move} for part in self.parts],
            "interactions": self.interactions,
            "variance": self.variance,
        }


def decompose(table: pd.DataFrame, quantity: str, factors: Sequence[str] = FACTORS) -> Decomposition:
    """Shares of the variance of a column over the rows of a table, by the factors that have several levels in it.

    A main-effects model (a constant and a term a level, least squares) is fitted with every subset of the factors; the
    share of a factor is what it adds to R2, averaged over the orders in which factors can enter (Lindeman, Merenda and
    Gold 1980; the value of Shapley 1953). In a full factorial it is the variance of the factor's level means; where
    specifications are missing, factors overlap, and what they explain together is divided evenly. Rows whose quantity
    is not finite are left aside.
    """
    values = np.asarray(table[quantity], dtype=np.float64)
    finite = np.isfinite(values)
    table, values = table[finite], values[finite]
    varied = [name for name in factors if table[name].nunique() > 1]
    total = float(np.var(values)) if len(values) else 0.0
    explained = _explained(table, values, varied) if total > 0 else {}
    parts = [Part(name, _share(name, varied, explained), _medians(table[name], values)) for name in varied]
    return Decomposition(tuple(sorted(parts, key=lambda part: -part.share)), total)


def _explained(table: pd.DataFrame, values: Array, varied: Sequence[str]) -> dict[frozenset[str], float]:
    """R2 of the main effects of every subset of the factors."""
    import pandas as pd

    columns = {
        name: pd.get_dummies(table[name].astype(str), dtype=np.float64).to_numpy()[:, 1:] for name in varied
    }
    about = values - values.mean()
    found = {}
    for size in range(len(varied) + 1):
        for subset in combinations(varied, size):
            design = np.concatenate([np.ones((len(values), 1)), *(columns[name] for name in subset)], axis=1)
            left = about - design @ np.linalg.lstsq(design, about, rcond=None)[0]
            found[frozenset(subset)] = 1 - float(left @ left / (about @ about))
    return found


def _share(name: str, varied: Sequence[str], explained: Mapping[frozenset[str], float]) -> float:
    """What a factor adds to R2, averaged over all orders."""
    if not explained:
        return 0.0
    others = [other for other in varied if other != name]
    share = 0.0
    for size in range(len(others) + 1):
        weight = factorial(size) * factorial(len(others) - size) / factorial(len(varied))
        for subset in combinations(others, size):
            before = frozenset(subset)
            share += weight * (explained[before | {name}] - explained[before])
    return max(share, 0.0)


def _medians(levels: pd.Series, values: Array) -> dict[str, float]:
    names = levels.astype(str).to_numpy()
    return {str(name): float(np.median(values[names == name])) for name in dict.fromkeys(names)}
