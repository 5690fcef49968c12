"""Programs that JAX compiles: where they are kept, and the seconds they take by its own monitoring events."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import jax

COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"
"""One a program: XLA compiled it, or read it from the persistent cache."""


class CompileClock:
    """Counts what XLA's compiler (or reading its cache) takes in this process while the clock is open, in all threads.

    Tracing and lowering in Python are not in it: JAX reports them nested, so that they cannot be added up.
    """

    def __init__(self) -> None:
        self.programs = 0
        """Programs compiled or read from the cache so far."""
        self._seconds = 0.0
        self._told = 0.0
        self._lock = threading.Lock()
        self._listener: Callable[..., None] = (
            self._heard
        )  # a bound method is a new object each time it is named

    def __enter__(self) -> CompileClock:
        jax.monitoring.register_event_duration_secs_listener(self._listener)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        jax.monitoring.unregister_event_duration_listener(self._listener)

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return self._seconds

    def since_last(self) -> float:
        """Seconds since this was last asked for."""
        with self._lock:
            new, self._told = self._seconds - self._told, self._seconds
        return new

    def _heard(self, event: str, duration: float, **_: str | int) -> None:
        if event == COMPILE_EVENT:
            with self._lock:
                self._seconds += duration
                self.programs += 1


def keep_compiled_programs(folder: Path) -> None:
    """Let JAX keep what it compiles in `folder`, so that a process that continues a study does not compile again."""
    jax.config.update("jax_compilation_cache_dir", str(folder.absolute()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
