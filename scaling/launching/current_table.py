"""The table of a study that is in training: written anew from time to time, and seldom where that takes long."""

from __future__ import annotations

import time
from collections.abc import Callable

from scaling.folder import StudyFolder
from scaling.results import collect
from scaling.spec import Study

TABLE_SECONDS = 60.0
"""The table is written that often; where writing it takes long, twenty times as seldom as it takes."""


class CurrentTable:
    """Keeps table.csv of a study at most a minute or so behind its results."""

    def __init__(
        self, study: Study, folder: StudyFolder, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.study, self.folder, self.clock = study, folder, clock
        self._next = clock() + TABLE_SECONDS
        self._rows = -1

    def keep(self, finished: int) -> None:
        """Write it if it is time and so many finished runs are more than it has."""
        began = self.clock()
        if began >= self._next and finished > self._rows:
            self._rows = collect(self.study, self.folder)
            self._next = self.clock() + max(TABLE_SECONDS, 20 * (self.clock() - began))
