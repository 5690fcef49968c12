"""The C allocator of the process that trains on CPUs: memory once had is kept."""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8
"""Parameters of mallopt (malloc.h of glibc)."""


def keep_freed_memory() -> bool:
    """Have glibc keep freed memory for what is allocated next; whether it will. Call it before JAX starts threads.

    XLA on CPUs allocates the temporary memory of a program each time it runs. Blocks above 32 MiB are fresh from the
    system each time, and it fills them with zeros page by page as they are touched: about a third of a training step.
    Memory of the process then stays at its peak. Elsewhere than under glibc nothing is done.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    settings = ((ARENA_MAX, 1), (MMAP_MAX, 0), (TRIM_THRESHOLD, 2**31 - 1))
    return mallopt is not None and all(mallopt(name, value) == 1 for name, value in settings)
