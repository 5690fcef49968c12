"""What workers say of themselves, read from their beats: which run, which trunks have come far enough, how fast."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from scaling.accounting import flops_per_token
from scaling.errors import UserError
from scaling.folder import StudyFolder
from scaling.launching.driving.entry import Entry
from scaling.launching.driving.ledger import Ledger
from scaling.launching.driving.pending import Results
from scaling.launching.driving.scheduler import Scheduler
from scaling.launching.driving.ticker import Standing
from scaling.launching.journal import Beat, read_beat
from scaling.launching.standing import has_trunk
from scaling.spec import Run
from scaling.storage import READERS

LOOK_SECONDS = 2.0
"""Beats are read that often; where reading them takes long, ten times as seldom as it takes."""


PATIENCE_SECONDS = 1.0
"""The longest that a look waits for answers: what comes later is heard at the next."""


@dataclass(frozen=True)
class Heard:
    """What the files of an attempt say."""

    attempt: int
    beat: Beat | None
    found: Mapping[Run, dict[str, Any]] = field(default_factory=dict)
    """Results that were not known."""
    reached: tuple[int, ...] = ()
    """Steps at which branches of a trunk find their checkpoint."""


class Watch:
    """Reads beats when it is time, and tells the scheduler and the ledger.

    Files are read in threads, so that a bucket that takes its time holds nobody up; results only where a beat has a new
    message, as it has for each run that is finished.
    """

    def __init__(self, folder: StudyFolder, scheduler: Scheduler, ledger: Ledger, results: Results) -> None:
        self.folder, self.scheduler, self.ledger, self.results = folder, scheduler, ledger, results
        self.beats: dict[str, Beat] = {}
        """Of the present attempts."""
        self.flops = scheduler.flops_waiting
        """What was to do at first."""
        self._next = 0.0
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="watch")
        self._asked: dict[str, Future[Heard]] = {}

    def look(self, now: float) -> None:
        """Read the beats of everything that runs; raises UserError where one could not be read, after the others."""
        for entry in self.scheduler.active.values():
            if entry.task_id not in self._asked:
                branches = self.waits_for(entry)
                self._asked[entry.task_id] = self._readers.submit(self._ask, entry, branches)
        wait(self._asked.values(), PATIENCE_SECONDS)
        failed: Exception | None = None
        for task_id in [task_id for task_id, asked in self._asked.items() if asked.done()]:
            try:
                self._hear_of(task_id, self._asked.pop(task_id).result(), now)
            except UserError as error:
                failed = error
        if failed is not None:
            raise failed

    def due(self, now: float) -> bool:
        """Whether it is time to look again."""
        return now >= self._next

    def looked(self, began: float, now: float) -> None:
        """Say how long a look took."""
        self._next = now + max(LOOK_SECONDS, 10 * (now - began))

    def forget(self, task_id: str) -> None:
        """An attempt has ended."""
        self.beats.pop(task_id, None)

    def standing(self) -> Standing:
        """How far the study is."""
        active = self.scheduler.active
        running = sum(entry.state == "running" for entry in active.values())
        left = self.scheduler.flops_waiting + sum(self._flops_left(entry) for entry in active.values())
        speed = sum(beat.tokens_per_second or 0.0 for beat in self.beats.values())
        return Standing(
            running,
            len(active) - running,
            len(self.results.outcomes),
            len(self.results.runs),
            self.flops - left,
            self.flops,
            speed,
            tuple(beat.phase for beat in self.beats.values()),
        )

    def _hear(self, entry: Entry, beat: Beat, now: float) -> None:
        self.scheduler.running(
            entry.task_id, now, beat.devices or self.ledger.attempts[entry.task_id][-1].devices
        )
        self.ledger.seen(entry, beat, now - entry.began)
        self.beats[entry.task_id] = beat
        if beat.tokens_per_second:
            model = entry.task.population.jobs[0].runs[0].model
            speed = beat.tokens_per_second * flops_per_token(model).total
            self.scheduler.spending.suppose(entry.step_flops, speed / max(1, beat.devices))

    def waits_for(self, entry: Entry) -> list[Entry]:
        """The branches that wait for a trunk."""
        return list(self.scheduler.waits.get(entry.task_id, ()))

    def reach(self, trunk: Entry, branches: Iterable[Entry]) -> None:
        """Tell the scheduler which branches found the checkpoint of the trunk that they begin at when all began."""
        for branch in branches:
            if has_trunk(self.results.survey, branch.task.runs):
                self.scheduler.reached(trunk.task_id, branch.task.leaves)

    def _ask(self, entry: Entry, branches: list[Entry]) -> Heard:
        """Read what there is of an attempt; in a thread, and nothing is changed."""
        attempt = self.ledger.attempts[entry.task_id][-1].number
        beat, before = read_beat(self.folder, entry.task_id), self.beats.get(entry.task_id)
        if beat is None or beat.attempt != attempt:
            return Heard(attempt, None)
        found = {}
        if beat.message != (before.message if before else ""):
            left = [run for run in entry.task.runs if run not in self.results.outcomes]
            found = {run: result for run in left if (result := self.folder.result(run)) is not None}
        passed = [branch.task for branch in branches if branch.task.leaves <= beat.step]
        reached = tuple(task.leaves for task in passed if has_trunk(self.folder, task.runs))
        return Heard(attempt, beat, found, reached)

    def _hear_of(self, task_id: str, heard: Heard, now: float) -> None:
        entry = self.scheduler.active.get(task_id)
        for run, result in heard.found.items():
            self.results.add(run, result)
        if entry is None or heard.beat is None or heard.attempt != self.ledger.attempts[task_id][-1].number:
            return  # it has ended meanwhile
        self._hear(entry, heard.beat, now)
        for step in heard.reached:
            self.scheduler.reached(task_id, step)

    def _flops_left(self, entry: Entry) -> float:
        beat = self.beats.get(entry.task_id)
        if beat is None:
            return entry.flops
        return max(0, entry.task.steps - beat.steps_done) * entry.step_flops
