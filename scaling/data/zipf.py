"""Zipf's law, categorical draws from it, and the learning curve that it implies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def zipf(count: int, exponent: float) -> Array:
    """Probabilities [count] proportional to 1, 2^-exponent, 3^-exponent, ...; exponent 0 is uniform."""
    weights = np.arange(1, count + 1, dtype=np.float64) ** -exponent
    return weights / weights.sum()


def shuffled(weights: Array, rows: int, rng: np.random.Generator) -> Array:
    """A matrix [rows, count] each of whose rows holds the weights in an order of its own."""
    return rng.permuted(np.broadcast_to(weights, (rows, len(weights))), axis=1)


def draw(rng: np.random.Generator, table: Array, row: NDArray[np.intp]) -> NDArray[np.intp]:
    """One draw [n] from each of the distributions `table[row]`: table [rows, k], row [n].

    Every row of the table is laid end to end as one increasing curve, so that a draw is one binary search.
    """
    count = table.shape[1]
    curve = (np.cumsum(table, axis=1) + np.arange(len(table))[:, None]).ravel()
    found = np.searchsorted(curve, rng.random(len(row)) + row, side="right") - row * count
    return np.clip(found, 0, count - 1)  # a row's sum may miss 1 by rounding


def unseen(probabilities: Array, draws: float) -> float:
    """Expected probability of what has not been seen after so many draws: sum_k p_k (1 - p_k)^draws."""
    with np.errstate(divide="ignore"):
        return float(np.sum(probabilities * np.exp(draws * np.log1p(-probabilities))))


def learning_exponent(exponent: float) -> float:
    """The b in unseen(n) ~ n^-b under Zipf's law p_k ~ k^-exponent: 1 - 1 / exponent, for an exponent above 1.

    Hutter 2021 (arXiv 2102.04074), section 3: with exponent 1 + a the learning curve of a learner that knows what it
    has seen falls as n^-(a / (1 + a)). It holds while n is far below 1 / p of the rarest; for an exponent of at
    most 1 the sum has no such limit and the result is 0.
    """
    return max(0.0, 1 - 1 / exponent) if exponent > 0 else 0.0
