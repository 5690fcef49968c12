"""A study as jobs on an engine: what is done is read from files, what is left is launched, watched and tried again.

The driver needs no accelerator and never asks JAX for one. It may die at any moment: the next call goes on from the
files, and workers that a dead driver left behind lose their claims to the new ones.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scaling.execution import Execution
from scaling.folder import StudyFolder
from scaling.launching.driving.desk import Desk
from scaling.launching.driving.entry import Policy
from scaling.launching.driving.hosts import Hosts
from scaling.launching.driving.ledger import Ledger
from scaling.launching.driving.news import News
from scaling.launching.driving.pending import Results, pending_tasks
from scaling.launching.driving.scheduler import Scheduler
from scaling.launching.driving.ticker import LiveTicker, PlainTicker, ticker
from scaling.launching.driving.watch import Watch
from scaling.launching.engine import Ending, Engine, Order
from scaling.launching.journal import new_token
from scaling.launching.launch import Launch
from scaling.launching.lock import while_held
from scaling.launching.recording import EXIT_INTERRUPTED, Outcome, Recording
from scaling.launching.standing import steps_done
from scaling.launching.task import Task
from scaling.plan import Plan
from scaling.results import collect

Clock = Callable[[], float]

POLL_SECONDS = 0.5
"""The longest that a signal waits for its answer."""
WRITE_SECONDS = 0.2
"""Spent on files of waiting jobs between two looks at the engine."""
MISSING = "its worker said that it had finished, but not all its results are there"


def launch_study(
    plan: Plan,
    folder: StudyFolder,
    data_folder: Path,
    recording: Recording,
    execution: Execution,
    launch: Launch,
    engine: Engine,
    clock: Clock = time.monotonic,
) -> Outcome:
    """Train what is not done on an engine, which is closed at the end, and write the table.

    Raises UserError where another driver holds the study, no node could hold a job, or files cannot be written.
    """
    from scaling.launching.local import fill_copies, stop_on_signals

    with contextlib.closing(engine), folder.locked() as held:
        folder.write_study(plan.study, iter(plan.lines()))
        results = Results(folder, plan.study.runs)
        tasks = pending_tasks(plan, results, execution, launch, engine.places())
        engine.check(tasks)
        orders = Orders(folder, plan.study.spec_sha256, data_folder, recording, execution, launch)
        ledger = Ledger(folder, launch)
        ledger.settle(tasks, results.outcomes)
        ledger.suppose(tasks, results.outcomes)
        with (
            stop_on_signals(engine.close) as stop_wanted,
            ticker(clock) as shown,
            Desk(plan.study, folder, launch, ledger, clock) as desk,
        ):
            news = News(folder, results, shown)
            if tasks:
                news.say(f"jobs to train: {len(tasks)}; places for them: {engine.places()}")
            driving = Driving(tasks, orders, engine, clock, ledger, results, news)
            driving.drive(
                while_held(stop_wanted, held, folder.path), lambda: _keep_current(driving, desk, shown)
            )
            outcome = driving.outcome()
            code = outcome.exit_code
            desk.ending = "interrupted" if code == EXIT_INTERRUPTED else "failed" if code else "finished"
        fill_copies(plan, folder, recording)
        collect(plan.study, folder)
        return outcome


def _keep_current(driving: Driving, desk: Desk, shown: PlainTicker | LiveTicker) -> None:
    """Write files and the table, and show how far it is, each when it is time."""
    desk.beat(driving.scheduler.spent(driving.clock()), driving.stopping)
    driving.ledger.write_some(WRITE_SECONDS)
    desk.table(driving.results)
    shown.show(driving.watch.standing())


@dataclass(frozen=True)
class Orders:
    """What all orders of a study have in common."""

    folder: StudyFolder
    spec_sha256: str
    data_folder: Path
    recording: Recording
    execution: Execution
    launch: Launch

    def of(self, task: Task, task_id: str, attempt: int, avoid: tuple[str, ...] = ()) -> Order:
        """The order to a worker to try a task; the population that it trains is remembered."""
        from scaling.launching.versions import versions

        population = task.population
        self.folder.begin_population(population.population_id, population.trunk_ids)
        return Order(
            study=str(self.folder.path),
            spec_sha256=self.spec_sha256,
            task_id=task_id,
            trunk_ids=population.trunk_ids,
            part=task.part,
            budget=task.budget,
            attempt=attempt,
            token=new_token(),
            data_folder=str(self.data_folder),
            execution=dataclasses.asdict(self.execution),
            recording=dataclasses.asdict(self.recording) | {"copies": list(self.recording.copies)},
            launch=dataclasses.asdict(self.launch.for_task(task)) | {"larger": []},
            versions=dict(versions()),
            avoid=avoid,
        )


def _policy(launch: Launch, now: float, launched_seconds: float) -> Policy:
    left = launch.deadline_hours * 3600 - launched_seconds
    deadline = now + left if launch.deadline_hours else math.inf
    return Policy(launch.crashes, deadline=deadline, one_host=launch.on == "local")


class Driving:
    """A study under way."""

    def __init__(
        self,
        tasks: Sequence[Task],
        orders: Orders,
        engine: Engine,
        clock: Clock,
        ledger: Ledger,
        results: Results,
        news: News,
    ) -> None:
        self.orders, self.engine, self.clock, self.ledger = orders, engine, clock, ledger
        self.results, self.news = results, news
        policy = _policy(orders.launch, clock(), ledger.launched_seconds)
        self.scheduler = Scheduler(
            tasks, policy, ledger.spending, ledger.steps_done(tasks), ledger.tries(policy)
        )
        self.watch = Watch(orders.folder, self.scheduler, ledger, results)
        self.hosts = Hosts()
        ledger.unwritten |= self.scheduler.entries
        for trunk_id in self.scheduler.waits:
            trunk = self.scheduler.entries[trunk_id]
            self.watch.reach(trunk, self.watch.waits_for(trunk))
        self.stopping = ""
        """Why nothing is begun any more; empty while it is."""

    def drive(self, stop_wanted: Callable[[], bool], keep_current: Callable[[], None]) -> None:
        """Until nothing runs and nothing will begin."""
        while True:
            now = self.clock()
            if not self.stopping:
                self._stop_where_asked(now, stop_wanted)
                self._submit(now)
            if self.scheduler.over(now) or (self.stopping and not self.scheduler.active):
                break
            for task_id, ending in self.engine.poll(self._patience(now)):
                self._ended(task_id, ending)
            self._look()
            keep_current()
        self.ledger.write_all(entry for entry in self.scheduler.entries.values() if entry.reason)
        self.news.summary(self.scheduler.entries.values(), self.scheduler.spent(self.clock()))

    def outcome(self) -> Outcome:
        """What came of it, in runs."""
        entries = self.scheduler.entries.values()
        finished = len(self.results.outcomes)

        def runs(state: str) -> int:
            return sum(not self.results.of(run) for e in entries if e.state == state for run in e.task.runs)

        return Outcome(
            finished=finished,
            trained=finished - self.results.before,
            diverged=self.results.diverged,
            interrupted=any(entry.state == "waiting" for entry in entries),
            failed=runs("failed"),
            left_out=runs("left_out"),
        )

    def _stop_where_asked(self, now: float, stop_wanted: Callable[[], bool]) -> None:
        if stop_wanted():
            self.stopping = "stopping as asked"
        elif self.scheduler.active and self.scheduler.over_cap(now):
            self.stopping = "stopping, as --max-device-hours are spent"
        if self.stopping:
            self.news.say(f"{self.stopping}; jobs that save their work first: {len(self.scheduler.active)}")
            for task_id in self.scheduler.active:
                self.engine.stop(task_id)

    def _submit(self, now: float) -> None:
        """Order what may begin, while the engine has room."""
        if self.stopping:
            return
        room, most = self.engine.room(), self.orders.launch.jobs_at_once
        if most:
            room = min(room, most - len(self.scheduler.active))
        for _ in range(room):
            if (entry := self.scheduler.start(now)) is None:
                return
            number = self.ledger.begin(entry).number
            avoid = tuple(dict.fromkeys((*entry.avoid, *self.hosts.avoid)))
            self.engine.submit(self.orders.of(entry.task, entry.task_id, number, avoid))
            self.news.started(entry, number)

    def _patience(self, now: float) -> float:
        wake = self.scheduler.next_wake(now)
        return POLL_SECONDS if wake is None else max(0.0, min(POLL_SECONDS, wake - now))

    def _ended(self, task_id: str, ending: Ending) -> None:
        """An attempt has ended; whether its task is done, the files say."""
        if task_id not in self.scheduler.active:
            return
        task = self.scheduler.entries[task_id].task
        ending = self.ledger.filled(self.scheduler.entries[task_id], ending)
        if self.results.all_of(task):
            ending = dataclasses.replace(ending, kind="finished", reason="")
        elif (
            ending.kind == "finished" and task.part != "trunk"
        ):  # a trunk that diverged has no last checkpoint
            ending = dataclasses.replace(ending, kind="failed", reason=MISSING)
        else:
            entry = self.scheduler.entries[task_id]
            ending = entry.told(ending, steps_done(self.orders.folder, task))
        if self.hosts.heard(task_id, ending):
            self.news.say(f"nothing more is given to {ending.host} while there are others: {ending.reason}")
        entry = self.scheduler.end(task_id, ending, self.clock())
        self.watch.forget(task_id)
        self.ledger.end(entry, ending)
        self.news.ended(entry, ending, bool(self.stopping))

    def _look(self) -> None:
        """Read what the workers say, when it is time."""
        began = self.clock()
        if self.watch.due(began):
            self.watch.look(began)
            for entry in self.scheduler.active.values():
                self.news.runs(entry.task)
            self.watch.looked(began, self.clock())
