"""Running records: the models that were among the k largest up to their date; k = 1 are the records."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def leaders(logs: Array, present: NDArray[np.bool_], top: int = 1) -> NDArray[np.bool_]:
    """[R, n]: which models in the order of their dates are larger than all but top - 1 of those before them.

    present [R, n] says which models a replicate holds. A model as large as the record sets none.
    """
    best = np.full((len(present), top), -np.inf)  # the `top` largest so far
    found = np.zeros(present.shape, dtype=bool)
    every = np.arange(len(present))
    for place, value in enumerate(logs):
        least = best.argmin(axis=1)
        leads = present[:, place] & (value > best[every, least])
        found[:, place] = leads
        best[every, least] = np.where(leads, value, best[every, least])
    return found
