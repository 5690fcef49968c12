"""The driver's book of attempts: kept in the journal, read back by the next driver, so that nothing is forgotten."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Iterable

from scaling.folder import StudyFolder
from scaling.launching.cost.calibration import estimator_of
from scaling.launching.driving.entry import Entry, Policy
from scaling.launching.driving.spending import Spending
from scaling.launching.engine import Ending
from scaling.launching.journal import Attempt, Beat, Job, State, read_beats, read_driver, read_jobs, write_job
from scaling.launching.launch import Launch
from scaling.launching.standing import steps_done
from scaling.launching.task import Task
from scaling.spec import Run
from scaling.storage import READERS, pooled

BEAT_SECONDS = 5.0
"""Between two beats of the driver."""
WRITE_SECONDS = 30.0
"""What a running attempt has cost is written that often, for the driver that comes after a dead one."""
ELSEWHERE = "its runs are trained in other jobs, or are no part of the study any more"
LOST = "its driver went away before it ended"


class Ledger:
    """Attempts at tasks, by their ids, those of earlier drivers included."""

    def __init__(self, folder: StudyFolder, launch: Launch) -> None:
        """What earlier drivers wrote; an attempt without an end cost what its last beat tells."""
        cap = launch.max_device_hours * 3600
        self.folder, self.launch = folder, launch
        self.devices = launch.devices
        self.attempts: dict[str, list[Attempt]] = {}
        self.unwritten: dict[str, Entry] = {}
        """Tasks whose file does not say yet what the scheduler says."""
        self._written: dict[str, float] = {}
        """Seconds of the present attempts as the files have them."""
        self.earlier = read_jobs(folder)
        """Jobs as earlier drivers left them."""
        unended = [
            name for name, job in self.earlier.items() if any(not each.ending for each in job.attempts)
        ]
        beats = read_beats(folder, unended)
        for task_id, job in self.earlier.items():
            self.attempts[task_id] = [self._closed(beats.get(task_id), attempt) for attempt in job.attempts]
        driver = read_driver(folder)
        spent = sum(attempt.seconds * attempt.devices for told in self.attempts.values() for attempt in told)
        spent = max(spent, driver.device_seconds if driver else 0.0)
        self.spending = Spending(cap or math.inf, spent)
        same = driver is not None and driver.launch.get("deadline_hours") == launch.deadline_hours
        self.launched_seconds = driver.launched_seconds if driver and same else 0.0
        """That earlier drivers with the same deadline were at work."""

    def steps_done(self, tasks: Iterable[Task]) -> dict[str, int]:
        """Steps of each task that earlier attempts saved, as its files say."""
        named = {task.task_id: task for task in tasks}
        return {name: steps_done(self.folder, task) for name, task in named.items() if name in self.attempts}

    def tries(self, policy: Policy) -> dict[str, tuple[int, int]]:
        """Crashes and stalls in a row of each task by earlier drivers; an attempt whose driver went away is neither."""
        found = {}
        for task_id, told in self.attempts.items():
            crashes = stalls = 0
            for attempt in told:
                if attempt.reason != LOST:
                    crashes, stalls = policy.counted(crashes, stalls, attempt.ending, attempt.steps)
            found[task_id] = crashes, stalls
        return found

    def settle(self, tasks: Iterable[Task], finished: Iterable[Run]) -> None:
        """Write what came of earlier jobs that are no tasks any more: done as their files say, or trained by others."""
        there = {run.run_id for run in finished}
        named = {task.task_id: task for task in tasks}
        whole = {
            name for task in named.values() if task.part == "whole" for name in task.population.trunk_ids
        }
        settled = []
        for task_id, job in self.earlier.items():
            attempts = tuple(self.attempts[task_id])
            if task_id in named or (job.state == "done" and attempts == job.attempts):
                continue
            over = there.issuperset(job.run_ids) and not (job.part == "trunk" and whole & set(job.trunk_ids))
            state: State = "done" if over else "left_out"
            reason = "" if over else ELSEWHERE
            settled.append(dataclasses.replace(job, state=state, reason=reason, attempts=attempts))
        pooled(lambda job: write_job(self.folder, job), settled)

    def suppose(self, tasks: Iterable[Task], runs: Iterable[Run]) -> None:
        """Under a cap, believe what finished runs and a calibration tell of the pace, until attempts tell it."""
        if not self.spending.capped:
            return
        found = {run: result for run in runs if (result := self.folder.result(run)) is not None}
        estimator = estimator_of(self.folder, found, None, self.devices)
        for task in tasks:
            devices = self.launch.for_task(task).devices
            one = (
                None
                if task.step_flops in self.spending.supposed
                else estimator.estimate(task, devices=devices)
            )
            if one is not None:
                self.spending.suppose(task.step_flops, task.flops / (one.seconds * devices))

    def begin(self, entry: Entry) -> Attempt:
        """A new attempt, written before its worker can begin."""
        told = self.attempts.setdefault(entry.task_id, [])
        number = told[-1].number + 1 if told else 1
        told.append(Attempt(number, time.time(), devices=self.launch.for_task(entry.task).devices))
        self._written.pop(entry.task_id, None)
        self.write(entry)
        return told[-1]

    def unbegin(self, entry: Entry) -> None:
        """The new attempt could not be written or ordered: there was none."""
        self.attempts[entry.task_id].pop()
        self.unwritten[entry.task_id] = entry

    def seen(self, entry: Entry, beat: Beat, seconds: float) -> None:
        """The worker of the present attempt has been heard of; it has cost so many seconds."""
        told = self.attempts[entry.task_id]
        devices = beat.devices or told[-1].devices
        told[-1] = dataclasses.replace(told[-1], seconds=seconds, devices=devices, host=beat.host)
        written = self._written.get(entry.task_id, -math.inf)
        if seconds - written > WRITE_SECONDS:
            self._written[entry.task_id] = seconds
            self.unwritten[entry.task_id] = entry

    def filled(self, entry: Entry, ending: Ending) -> Ending:
        """An ending whose worker could not tell its devices, its host or how long it took: by what was last seen."""
        seen = self.attempts[entry.task_id][-1]
        return dataclasses.replace(
            ending,
            devices=ending.devices or seen.devices,
            seconds=ending.seconds or seen.seconds,
            host=ending.host or seen.host,
        )

    def end(self, entry: Entry, ending: Ending) -> None:
        """The present attempt has ended."""
        told = self.attempts[entry.task_id]
        told[-1] = dataclasses.replace(
            told[-1],
            seconds=ending.seconds,
            devices=ending.devices,
            ending=ending.kind,
            reason=ending.reason,
            host=ending.host,
            steps=ending.steps,
        )
        self.write(entry)

    def write(self, entry: Entry) -> None:
        """Write what is known of a task."""
        task, needed = entry.task, self.spending.estimate(entry.step_flops, entry.flops)
        self.unwritten[entry.task_id] = entry
        job = Job(
            task_id=entry.task_id,
            name=task.name,
            part=task.part,
            trunk_ids=task.population.trunk_ids,
            run_ids=tuple(run.run_id for run in task.runs),
            steps=task.steps,
            flops=task.flops,
            state=entry.state,
            reason=entry.reason,
            attempts=tuple(self.attempts.get(entry.task_id, ())),
            estimated_seconds=None if needed is None else needed / self.launch.for_task(task).devices,
        )
        write_job(self.folder, job)
        del self.unwritten[entry.task_id]

    def write_all(self, entries: Iterable[Entry]) -> None:
        """Write of some tasks what is known."""
        for entry in entries:
            self.write(entry)

    def write_some(self, seconds: float) -> None:
        """Write of what is unwritten as much as so many seconds allow: thousands of small files take minutes."""
        until = time.monotonic() + seconds
        while self.unwritten and time.monotonic() < until:
            pooled(self.write, list(itertools.islice(self.unwritten.values(), READERS)))

    def _closed(self, beat: Beat | None, attempt: Attempt) -> Attempt:
        if attempt.ending:
            return attempt
        heard = beat if beat is not None and beat.attempt == attempt.number else None
        seconds = max(attempt.seconds, heard.seconds if heard else 0.0)
        devices = (heard.devices if heard else 0) or attempt.devices
        return dataclasses.replace(attempt, seconds=seconds, devices=devices, ending="lost", reason=LOST)
