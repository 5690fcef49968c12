"""Work cut into blocks that threads take one after another, as NumPy lets go of Python's lock inside its loops."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_blocks(
    work: Callable[[slice], Result], count: int, size: int, workers: int | None = None
) -> list[Result]:
    """`work` of each block of `size` among `count`, in order.

    Where the cuts lie does not depend on the number of workers (None: every core), so neither do the results.
    """
    blocks = [slice(first, min(first + size, count)) for first in range(0, count, size)]
    workers = min(cores() if workers is None else workers, len(blocks))
    if workers <= 1:
        return [work(block) for block in blocks]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(work, blocks))
