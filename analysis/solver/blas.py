"""OpenBLAS kept to the thread that calls it, while threads of ours share the work.

Left to itself it starts a thread a core for every product of some size, and each spins until the others are done: with
threads of ours beside them, or on a busy machine, 4000 bootstraps of the Chinchilla points took six times as long.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_lock = threading.Lock()
_before: list[int] = []
_inside = 0


@cache
def _controls() -> list[tuple[Callable[..., int], Callable[..., int]]]:
    """How many threads each OpenBLAS of this process uses: functions that tell and that set it. None where the system
    does not list what is loaded, or where NumPy has another library."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return []
    paths = sorted({line.split(maxsplit=5)[-1] for line in lines if "openblas" in line})
    found: list[tuple[Callable[..., int], Callable[..., int]]] = []
    for library in map(ctypes.CDLL, paths):
        for name in (
            "scipy_openblas_{}_num_threads64_",
            "openblas_{}_num_threads64_",
            "openblas_{}_num_threads",
        ):
            if hasattr(library, name.format("set")):
                found.append((library[name.format("get")], library[name.format("set")]))
                break
    return found


@contextmanager
def one_thread() -> Iterator[None]:
    """While any thread is inside, every OpenBLAS uses the calling thread alone; then as many as before."""
    global _inside
    with _lock:
        if not _inside:
            _before[:] = [int(tell()) for tell, _ in _controls()]
            for _, put in _controls():
                put(1)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                for (_, put), count in zip(_controls(), _before, strict=True):
                    put(count)
