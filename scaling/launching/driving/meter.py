"""What training in this process costs: device-seconds of it and of all earlier calls, against the caps of `run`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from scaling.folder import StudyFolder
from scaling.launching.driving.desk import Desk
from scaling.launching.driving.ledger import Ledger
from scaling.launching.launch import Launch
from scaling.launching.task import Task
from scaling.population import Population
from scaling.spec import Study


class Meter:
    """Counts from when it is made; `driver.json` keeps the count for the calls that follow.

    Used as a context manager.
    """

    def __init__(
        self,
        study: Study,
        folder: StudyFolder,
        launch: Launch,
        devices: int,
        seconds: Callable[[Task], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`seconds` says how long a task will take on all devices, without finished runs; asked only under a cap."""
        self.folder, self.devices, self.clock = folder, devices, clock
        self._ledger = Ledger(folder, launch)
        self._spending = self._ledger.spending
        self._desk = Desk(study, folder, launch, self._ledger, clock, jobs=False)
        self._began, self._seconds = clock(), seconds
        hours = launch.deadline_hours
        left = hours * 3600 - self._ledger.launched_seconds
        self._deadline = self._began + left if hours else math.inf

    def __enter__(self) -> Meter:
        self._desk.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._desk.beat(self.spent, "", at_once=True)
        self._desk.__exit__(*error)  # type: ignore[arg-type]

    @property
    def spent(self) -> float:
        """Device-seconds so far, those of earlier calls included."""
        return self._spending.spent + (self.clock() - self._began) * self.devices

    @property
    def over(self) -> bool:
        """Whether all that may be spent is spent."""
        return self._spending.capped and self.spent >= self._spending.cap

    def interrupted(self) -> None:
        """Say in driver.json that the study was stopped before its end."""
        self._desk.ending = "interrupted"

    def watching(self, stop_wanted: Callable[[], bool]) -> Callable[[], bool]:
        """`stop_wanted`, or that the cap is reached; whoever asks keeps driver.json current."""

        def asked() -> bool:
            self._desk.beat(self.spent, "")
            return stop_wanted() or self.over

        return asked

    def refuses(self, population: Population) -> str:
        """Why a population is not begun any more, in words; empty where it may be."""
        if self.clock() >= self._deadline:
            return "it was not begun before --deadline-hours had passed"
        if not self._spending.capped:
            return ""
        needed = self._seconds(Task(population)) * self.devices
        if not self.over and self.spent + needed <= self._spending.cap:
            return ""
        return (
            f"the {needed / 3600:.3g} device-hours that it needs would pass --max-device-hours = "
            f"{self._spending.cap / 3600:g}, of which {self.spent / 3600:.3g} are spent"
        )
