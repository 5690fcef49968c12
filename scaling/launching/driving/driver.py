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
from scaling.launching.driving.entry import Entry, Policy
from scaling.launching.driving.hosts import Hosts
from scaling.launching.driving.ledger import Ledger
from scaling.launching.driving.news import News
from scaling.launching.driving.ordering import Orders
from scaling.launching.driving.outage import Outage
from scaling.launching.driving.pending import Results, pending_tasks
from scaling.launching.driving.scheduler import Scheduler
from scaling.launching.driving.ticker import LiveTicker, PlainTicker, ticker
from scaling.launching.driving.watch import Watch
from scaling.launching.driving.watchdog import Watchdog
from scaling.launching.engine import Ending, Engine, Order
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
SILENT_SECONDS = 120.0
"""That jobs wait and none begins is said that often."""
LATE_SECONDS = 90.0
"""A disk of the network may show a file that late to those who looked for it before it was there."""
AGAIN_SECONDS = 1.0
"""Between two looks for a file that may be late."""
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

    Raises UserError where another driver holds the study, no node could hold a job, or files cannot be written. A
    storage that fails is borne for some minutes; then all is stopped as by a signal.
    """
    from scaling.launching.local import fill_copies, stop_on_signals

    with contextlib.closing(engine), folder.locked() as held:
        folder.write_study(plan.study, iter(plan.lines()))
        results = Results(folder, plan.study.runs)
        tasks = pending_tasks(plan, results, execution, launch, engine.places())
        engine.check(tasks)
        orders = Orders(folder, plan.study.spec_sha256, data_folder, recording, execution, launch)
        ledger = Ledger(results.survey, launch)  # which knows what was there, and asks for nothing twice
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
            holds = while_held(lambda: False, held, folder.path)
            driving.drive(
                lambda: stop_wanted() or holds(),  # in this order: a signal is heard while the storage fails
                lambda: _keep_current(driving, desk, shown),
            )
            outcome = driving.outcome()
            code = outcome.exit_code
            desk.ending = "interrupted" if code == EXIT_INTERRUPTED else "failed" if code else "finished"
        with driving.outage.borne():
            fill_copies(plan, folder, recording)
            collect(plan.study, folder)
        return outcome


def _keep_current(driving: Driving, desk: Desk, shown: PlainTicker | LiveTicker) -> None:
    """Write files and the table, and show how far it is, each when it is time."""
    borne, clock = driving.outage.borne, driving.clock
    with borne():
        desk.beat(driving.scheduler.spent(clock()), driving.stopping)
    with borne():
        driving.ledger.write_some(WRITE_SECONDS)
    with borne():
        desk.table(driving.results)
    shown.show(driving.watch.standing())


def _policy(launch: Launch, now: float, launched_seconds: float) -> Policy:
    left = launch.deadline_hours * 3600 - launched_seconds
    deadline = now + left if launch.deadline_hours else math.inf
    return Policy(launch.crashes, deadline=deadline, one_host=launch.on == "local")


@dataclass
class Told:
    """An ending that an engine told, until the files agree."""

    ending: Ending
    since: float
    look_at: float


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
        self.hosts, self.watchdog = Hosts(), Watchdog(orders.launch.stuck_minutes)
        self.outage = Outage(clock, news.say)
        self.told: dict[str, Told] = {}
        """By task; these still count as active."""
        self._silent_since = clock()
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
                with self.outage.borne():
                    self._stop_where_asked(now, stop_wanted)
                self._submit(now)
            if self.scheduler.over(now) or (self.stopping and not self.scheduler.active):
                break
            self._complain(now)
            for task_id, ending in self.engine.poll(self._patience(now)):
                self.told[task_id] = Told(ending, self.clock(), self.clock())
            self._settle()
            self._look()
            keep_current()
        with self.outage.borne():
            self.ledger.write_all(entry for entry in self.scheduler.entries.values() if entry.reason)
        with self.outage.borne():
            self.news.summary(self.scheduler.entries.values(), self.scheduler.spent(self.clock()))

    def outcome(self) -> Outcome:
        """What came of it, in runs."""
        entries = self.scheduler.entries.values()
        finished = len(self.results.outcomes)

        def runs(state: str) -> int:
            there = self.results.outcomes
            return sum(run not in there for e in entries if e.state == state for run in e.task.runs)

        return Outcome(
            finished=finished,
            trained=finished - self.results.before,
            diverged=self.results.diverged,
            interrupted=any(entry.state == "waiting" for entry in entries),
            failed=runs("failed"),
            left_out=runs("left_out"),
        )

    def _stop_where_asked(self, now: float, stop_wanted: Callable[[], bool]) -> None:
        if self.outage.over:
            self.stopping = f"stopping, as the storage has failed for minutes: {self.outage.error}"
        elif stop_wanted():
            self.stopping = "stopping as asked"
        elif self.scheduler.active and self.scheduler.over_cap(now):
            self.stopping = "stopping, as --max-device-hours are spent"
        if self.stopping:
            self.news.say(f"{self.stopping}; jobs that save their work first: {len(self.scheduler.active)}")
            for task_id in self.scheduler.active:
                self.engine.stop(task_id)

    def _submit(self, now: float) -> None:
        """Order what may begin, while the engine has room."""
        if self.stopping or self.outage.failing:
            return
        room, most = self.engine.room(), self.orders.launch.jobs_at_once
        if most:
            room = min(room, most - len(self.scheduler.active))
        for _ in range(room):
            if (entry := self.scheduler.start(now)) is None or (order := self._order(entry)) is None:
                return
            self.engine.submit(order)
            self.news.started(entry, order.attempt)

    def _order(self, entry: Entry) -> Order | None:
        """An order, written down before it is given; None where the storage fails, and the task waits as before."""
        order = None
        with self.outage.borne():
            number = self.ledger.begin(entry).number
            avoid = tuple(dict.fromkeys((*entry.avoid, *self.hosts.avoid)))
            order = self.orders.of(entry.task, entry.task_id, number, avoid)
        if order is None:
            self.scheduler.put_back(entry.task_id)
            self.ledger.unbegin(entry)
        return order

    def _complain(self, now: float) -> None:
        """Nothing is waited for in silence."""
        if self.scheduler.active or self.stopping:
            self._silent_since = now
        elif now - self._silent_since > SILENT_SECONDS:
            self._silent_since = now
            self.news.say(
                f"warning: jobs wait ({self.scheduler.waiting}), none runs, and for {SILENT_SECONDS:.0f} s none could "
                f"begin: there are places for {self.engine.places()}"
            )

    def _patience(self, now: float) -> float:
        wake = self.scheduler.next_wake(now)
        return POLL_SECONDS if wake is None else max(0.0, min(POLL_SECONDS, wake - now))

    def _settle(self) -> None:
        """Book the endings whose files could be read, and leave the others for the next time."""
        for task_id, told in list(self.told.items()):
            if (entry := self.scheduler.active.get(task_id)) is None:
                del self.told[task_id]
            elif self.clock() >= told.look_at:
                with self.outage.borne():
                    self._ended(entry, told)

    def _ended(self, entry: Entry, told: Told) -> None:
        """An attempt has ended; whether its task is done, the files say."""
        ending = self._by_its_files(entry, self.ledger.filled(entry, told.ending))
        if ending.reason == MISSING:
            if not self.stopping and self.clock() - told.since < LATE_SECONDS:
                told.look_at = self.clock() + AGAIN_SECONDS
                return
            ending = dataclasses.replace(ending, kind="interrupted" if self.stopping else "failed")
        del self.told[entry.task_id]
        if self.hosts.heard(entry.task_id, ending):
            self.news.say(f"nothing more is given to {ending.host} while there are others: {ending.reason}")
        self.scheduler.end(entry.task_id, ending, self.clock())
        self.watch.forget(entry.task_id)
        self.watchdog.forget(entry.task_id)
        self.news.ended(entry, ending, bool(self.stopping))
        self.ledger.end(entry, ending)

    def _by_its_files(self, entry: Entry, ending: Ending) -> Ending:
        """What an ending is to be taken for, by what is there; where nothing can be read any more, an interruption."""
        if self.outage.over:
            return dataclasses.replace(ending, kind="interrupted", reason=self.outage.error)
        if self.results.all_of(entry.task):
            return dataclasses.replace(ending, kind="finished", reason="")
        if (
            ending.kind == "finished" and entry.task.part != "trunk"
        ):  # one that diverged has no last checkpoint
            return dataclasses.replace(ending, reason=MISSING)
        ending = entry.told(ending, steps_done(self.orders.folder, entry.task))
        if ending.kind != "finished" and (stuck := self.watchdog.stuck.get(entry.task_id)):
            return dataclasses.replace(ending, kind="failed", reason=stuck, at_fault="node")
        return ending

    def _look(self) -> None:
        """Read what the workers say, when it is time, and stop those that are stuck."""
        began = self.clock()
        if self.watch.due(began):
            with self.outage.borne():
                self.watch.look(began)
                for entry in self.scheduler.active.values():
                    self.news.runs(entry.task)
            self._stop_the_stuck(began)
            self.watch.looked(began, self.clock())

    def _stop_the_stuck(self, now: float) -> None:
        for task_id, beat in self.watch.beats.items():
            if task_id not in self.told and (reason := self.watchdog.heard(task_id, beat, now)):
                self.news.say(
                    f"stuck     {self.scheduler.entries[task_id].task.name}: {reason}; it is stopped"
                )
                self.engine.stop(task_id)
        for task_id in self.watchdog.overdue(now):
            self.engine.kill(task_id)
