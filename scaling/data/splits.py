"""The split that a document belongs to: decided by its own hash, whatever else the corpus holds."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

SPLITS = {"train": 90, "validation": 5, "test": 5}
"""Percent of the documents, by their hash, that fall in each split."""


def split_of(text: str) -> str:
    """The split of a text."""
    return split_of_digest(hashlib.sha256(text.encode()).digest())


def split_of_digest(digest: bytes) -> str:
    """The split of a text with this SHA-256."""
    return str(split_names(np.array([int.from_bytes(digest[:8], "big") % 100]))[0])


def split_names(percents: NDArray[np.int64]) -> NDArray[np.str_]:
    """The splits [m] of documents whose hashes are these numbers modulo 100 [m]."""
    return np.repeat(np.array(list(SPLITS)), list(SPLITS.values()))[percents]
