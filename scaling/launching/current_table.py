"""The table of a study that is in training: written anew from time to time, and seldom where that takes long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from scaling.errors import UserError
from scaling.folder import StudyFolder
from scaling.results import collect
from scaling.spec import Study

TABLE_SECONDS = 60.0
"""The table is written that often; where writing it takes long, twenty times as seldom as it takes."""
PATIENCE_SECONDS = 1.0
"""The longest that a table is waited for: that of thousands of runs in a bucket is made while others work."""


class CurrentTable:
    """Keeps table.csv of a study at most a minute or so behind its results.

    Used as a context manager: after the block it writes nothing.
    """

    def __init__(
        self, study: Study, folder: StudyFolder, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.study, self.folder, self.clock = study, folder, clock
        self._next = clock() + TABLE_SECONDS
        self._rows = -1
        self._writer: threading.Thread | None = None
        self._took = 0.0
        self._failed: UserError | None = None

    def __enter__(self) -> CurrentTable:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def keep(self, finished: int) -> None:
        """Write it if it is time and so many finished runs are more than it has; raises UserError where the last one
        could not be written."""
        if self._writer is None:
            if self.clock() < self._next or finished <= self._rows:
                return
            self._writer = threading.Thread(target=self._write, name="table", daemon=True)
            self._writer.start()
            self._writer.join(PATIENCE_SECONDS)
        if self._writer.is_alive():
            return
        self._writer, failed, self._failed = None, self._failed, None
        self._next = self.clock() + max(TABLE_SECONDS, 20 * self._took)
        if failed is not None:
            raise failed

    def close(self) -> None:
        """Wait for the table that is being written: the last one must not be older."""
        if self._writer is not None:
            self._writer.join()
            self._writer = None

    def _write(self) -> None:
        began = time.monotonic()
        try:
            self._rows = collect(self.study, self.folder)
        except UserError as error:
            self._failed = error
        self._took = time.monotonic() - began
