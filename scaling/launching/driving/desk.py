"""What a driver keeps current while it works: who it is (`driver.json`), and the table."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import time
from collections.abc import Callable
from types import TracebackType
from typing import Literal

from scaling.errors import StorageError, UserError
from scaling.folder import StudyFolder
from scaling.launching.current_table import CurrentTable
from scaling.launching.driving.ledger import BEAT_SECONDS, Ledger
from scaling.launching.driving.pending import Results
from scaling.launching.journal import Driver, new_token, write_driver
from scaling.launching.launch import Launch
from scaling.spec import Study


class Desk:
    """Used as a context manager: `driver.json` says how it ended, also where that was an error."""

    def __init__(
        self,
        study: Study,
        folder: StudyFolder,
        launch: Launch,
        ledger: Ledger,
        clock: Callable[[], float],
        jobs: bool = True,
    ) -> None:
        self.study, self.folder, self.ledger, self.clock = study, folder, ledger, clock
        self.ending: Literal["finished", "interrupted", "failed"] = "finished"
        """What driver.json says at the end, where no error came."""
        now = time.time()
        self._driver = Driver(
            token=new_token(),
            count=0,
            time=now,
            started=now,
            host=socket.gethostname(),
            pid=os.getpid(),
            state="running",
            launch=dataclasses.asdict(launch),
            device_seconds=ledger.spending.spent,
            jobs=jobs,
        )
        self._next_beat = self._began = clock()
        self._table = CurrentTable(study, folder, clock)

    def __enter__(self) -> Desk:
        self.beat(self.ledger.spending.spent, "")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._table.close()
        if value is not None:
            self._driver = dataclasses.replace(self._driver, state="failed", message=str(value))
            with contextlib.suppress(UserError):  # the error itself may be that nothing can be written
                self._write()
            return
        self._driver = dataclasses.replace(self._driver, state=self.ending)
        try:
            self._write()
        except StorageError as error:
            if not error.passes:
                raise

    def beat(self, device_seconds: float, message: str, at_once: bool = False) -> None:
        """Say that the driver lives, when it is time or at once."""
        self._driver = dataclasses.replace(self._driver, device_seconds=device_seconds, message=message)
        if at_once or self.clock() >= self._next_beat:
            self._next_beat = self.clock() + BEAT_SECONDS
            self._write()

    def table(self, results: Results) -> None:
        """Write the table when it is time and there is something new."""
        self._table.keep(len(results.outcomes))

    def _write(self) -> None:
        self._driver = dataclasses.replace(
            self._driver,
            count=self._driver.count + 1,
            time=time.time(),
            launched_seconds=self.ledger.launched_seconds + self.clock() - self._began,
        )
        write_driver(self.folder, self._driver)
