"""From which compute on something holds, sought from the runs: away from them laws may say anything."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

HALVINGS = 37
"""Of one decade, which leave 1e-11 of it."""


def crossing(around: tuple[Array, Array, Array], is_there: Callable[[Array], NDArray[np.bool_]]) -> Array:
    """Compute [R] from which on something holds, `is_there` of computes [R, T], sought from the runs: down from the
    second compute where it holds there, as far as the first, and else up, infinite where not as far as the third.

    Looked at decade by decade, then halved. It may cease and come again far from the runs: text is short for the best
    split of `Shifted` where C is far below them too.
    """
    first, seen, last = (np.log10(end)[:, None] for end in around)
    below, above = _decades(first, seen), _decades(seen, last)
    grid, runs = np.concatenate([below, above[:, 1:]], axis=1), below.shape[1] - 1
    there = is_there(10.0**grid)
    down = runs + 1 - there[:, runs::-1].cumprod(axis=1).sum(axis=1)
    up = runs + (~there[:, runs:]).cumprod(axis=1).sum(axis=1)
    after = np.where(there[:, runs], down, up)  # the first place where it holds
    never, always = after == grid.shape[1], after == 0
    hi = np.minimum(after, grid.shape[1] - 1)[:, None]
    hi, lo = np.take_along_axis(grid, hi, axis=1), np.take_along_axis(grid, np.maximum(hi - 1, 0), axis=1)
    for _ in range(HALVINGS):
        middle = (lo + hi) / 2
        holds = is_there(10.0**middle)
        lo, hi = np.where(holds, lo, middle), np.where(holds, middle, hi)
    return np.where(never, np.inf, np.where(always, around[0], 10.0 ** hi[:, 0]))


def _decades(first: Array, last: Array) -> Array:
    """From first [R, 1] to last [R, 1] in steps of a decade or less."""
    steps = int(np.ceil((last - first).max()))
    return first + (last - first) * np.linspace(0, 1, steps + 1) if steps else first
