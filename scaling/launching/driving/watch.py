"""What workers say of themselves, read from their beats: which run, which trunks have come far enough, how fast."""

from __future__ import annotations

from collections.abc import Iterable

from scaling.accounting import flops_per_token
from scaling.folder import StudyFolder
from scaling.launching.driving.entry import Entry
from scaling.launching.driving.ledger import Ledger
from scaling.launching.driving.pending import Results
from scaling.launching.driving.scheduler import Scheduler
from scaling.launching.driving.ticker import Standing
from scaling.launching.journal import Beat, read_beat
from scaling.launching.standing import has_trunk

LOOK_SECONDS = 2.0
"""Beats are read that often; where reading them takes long, ten times as seldom as it takes."""


class Watch:
    """Reads beats when it is time, and tells the scheduler and the ledger."""

    def __init__(self, folder: StudyFolder, scheduler: Scheduler, ledger: Ledger, results: Results) -> None:
        self.folder, self.scheduler, self.ledger, self.results = folder, scheduler, ledger, results
        self.beats: dict[str, Beat] = {}
        """Of the present attempts."""
        self.flops = scheduler.flops_waiting
        """What was to do at first."""
        self._next = 0.0

    def look(self, now: float) -> None:
        """Read the beats of everything that runs."""
        for entry in list(self.scheduler.active.values()):
            beat = read_beat(self.folder, entry.task_id)
            if beat is not None and beat.attempt == self.ledger.attempts[entry.task_id][-1].number:
                self._hear(entry, beat, now)

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
        passed = [branch for branch in self.waits_for(entry) if branch.task.leaves <= beat.step]
        self.reach(entry, passed)

    def waits_for(self, entry: Entry) -> list[Entry]:
        """The branches that wait for a trunk."""
        return list(self.scheduler.waits.get(entry.task_id, ()))

    def reach(self, trunk: Entry, branches: Iterable[Entry]) -> None:
        """Tell the scheduler which branches find the checkpoint of the trunk that they begin at."""
        for branch in branches:
            if has_trunk(self.folder, branch.task.runs):
                self.scheduler.reached(trunk.task_id, branch.task.leaves)

    def _flops_left(self, entry: Entry) -> float:
        beat = self.beats.get(entry.task_id)
        if beat is None:
            return entry.flops
        return max(0, entry.task.steps - beat.steps_done) * entry.step_flops
