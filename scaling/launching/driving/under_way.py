"""A study under way: what is ordered, what is done when an attempt ends, and when all is over."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scaling.launching.driving.entry import Entry, Policy
from scaling.launching.driving.hosts import Hosts
from scaling.launching.driving.ledger import Ledger
from scaling.launching.driving.news import News
from scaling.launching.driving.ordering import Orders
from scaling.launching.driving.outage import Outage
from scaling.launching.driving.pending import Results
from scaling.launching.driving.scheduler import Scheduler
from scaling.launching.driving.watch import Watch
from scaling.launching.driving.watchdog import Watchdog
from scaling.launching.engine import Ending, Engine, Order
from scaling.launching.launch import Launch
from scaling.launching.recording import Outcome
from scaling.launching.standing import steps_done
from scaling.launching.task import Task

Clock = Callable[[], float]

POLL_SECONDS = 0.5
"""The longest that a signal waits for its answer."""
SILENT_SECONDS = 120.0
"""That jobs wait and none begins is said that often."""
LATE_SECONDS = 90.0
"""A disk of the network may show a file that late to those who looked for it before it was there."""
AGAIN_SECONDS = 1.0
"""Between two looks for a file that may be late."""
MISSING = "its worker said that it had finished, but not all its results are there"


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
            for task_id in self.watchdog.overdue(began):
                self.engine.kill(task_id)
            self.watch.looked(began, self.clock())

    def _stop_the_stuck(self, now: float) -> None:
        """By what was read just now: that nothing can be read says nothing of them."""
        for task_id, beat in self.watch.beats.items():
            if task_id not in self.told and (reason := self.watchdog.heard(task_id, beat, now)):
                self.news.say(
                    f"stuck     {self.scheduler.entries[task_id].task.name}: {reason}; it is stopped"
                )
                self.engine.stop(task_id)
