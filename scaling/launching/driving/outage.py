"""Errors of the storage that pass by themselves: a driver bears them for some minutes, while its jobs go on."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scaling.errors import StorageError
from scaling.storage import clear_storage_errors

BORNE_SECONDS = 300.0
"""A storage that fails for longer is not waited for any more."""
QUIET_SECONDS = 60.0
"""After that long without an error the storage is well again: what failed is tried again sooner."""
RETRY_SECONDS = 10.0
"""Nothing new is begun for so long after an error."""


@dataclass
class Outage:
    """Whether the storage fails, by one clock."""

    clock: Callable[[], float]
    say: Callable[[str], None]
    over: bool = False
    """Whether it has failed for too long."""
    error: str = ""
    """What it said last."""
    _since: float = -math.inf
    _last: float = -math.inf

    @contextlib.contextmanager
    def borne(self) -> Iterator[None]:
        """End the block where the storage fails, and go on; raises StorageError for what does not pass by itself."""
        try:
            with clear_storage_errors("a file of the study cannot be used"):
                yield
        except StorageError as error:
            if not error.passes:
                raise
            self._note(str(error))

    @property
    def failing(self) -> bool:
        """Whether an error came just now."""
        return self.clock() - self._last < RETRY_SECONDS

    def _note(self, error: str) -> None:
        now = self.clock()
        if now - self._last > QUIET_SECONDS:
            self._since = now
            self.say(f"warning: {error}; nothing is begun meanwhile, and jobs that run go on")
        self._last, self.error = now, error
        self.over = self.over or now - self._since >= BORNE_SECONDS
