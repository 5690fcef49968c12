"""Which task is begun next, and what is done when one ends: a state machine without clock, files or processes.

Time is an argument, in seconds of any one clock; the driver gives its monotonic clock, the simulation its own.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from scaling.launching.driving.entry import Entry, Policy
from scaling.launching.driving.spending import Spending
from scaling.launching.engine import Ending
from scaling.launching.task import Task


@dataclass
class Scheduler:
    """Begins the longest remaining chain first: trunks before what waits for them, big jobs first, so that the end of a
    study is not one big job alone. Where what is left costs more than the cap leaves, the cheapest first.

    A branch whose trunk is none of the tasks waits for nothing. `steps_done` are those that earlier attempts saved,
    `tries` their crashes and stalls in a row. An event costs O(log n), and with a cap O(running) more.
    """

    tasks: Iterable[Task]
    policy: Policy = field(default_factory=Policy)
    spending: Spending = field(default_factory=Spending)
    steps_done: Mapping[str, int] = field(default_factory=dict)
    tries: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.active: dict[str, Entry] = {}
        self.waits: dict[str, list[Entry]] = {}
        """Branches by the trunk's task that they wait for."""
        self._longest: list[tuple[float, int]] = []
        self._cheapest: list[tuple[float, int]] = []
        self._later: list[tuple[float, int]] = []
        self._left: dict[float, float] = {}
        """FLOPs of what waits, by the FLOPs of a step."""
        self.waiting = 0
        named = {task.task_id: task for task in self.tasks}
        for task_id, task in named.items():
            self._add(task_id, task, task.after in named)
        for trunk, branches in self.waits.items():
            self.entries[trunk].behind = max(branch.flops for branch in branches)
            self.entries[trunk].first_result = min(branch.flops for branch in branches)
        self._numbered = list(self.entries.values())
        for entry in self._numbered:
            self._count(entry, 1)
            if not entry.blocked:
                self._push(entry)

    def start(self, now: float) -> Entry | None:
        """The next task, now queued as a new attempt; None where nothing may begin now."""
        self._awake(now)
        entry = self._first(self._cheapest if self._scarce(now) else self._longest)
        if entry is None or now >= self.policy.deadline or self._too_dear(entry, now):
            return None
        self._count(entry, -1)
        entry.state, entry.reason = "queued", ""
        entry.attempts += 1
        entry.began = math.inf
        self.active[entry.task_id] = entry
        return entry

    def running(self, task_id: str, now: float, devices: int) -> None:
        """The worker of an attempt has been heard of: from here on it costs."""
        entry = self.active[task_id]
        if entry.state == "queued":
            entry.state, entry.began = "running", now
        entry.devices = devices

    def reached(self, trunk_id: str, step: int) -> None:
        """A trunk's task has a checkpoint at `step`: the branches that leave there may begin."""
        self._release(
            trunk_id, [branch for branch in self.waits.get(trunk_id, ()) if branch.task.leaves == step]
        )

    def end(self, task_id: str, ending: Ending, now: float) -> Entry:
        """An attempt has ended: its task is done, or failed for good, or waits for another try."""
        entry = self.active.pop(task_id)
        gained = min(ending.steps, entry.steps_left) * entry.step_flops
        self.spending.pay(entry.step_flops, ending.seconds * ending.devices, gained)
        entry.steps_left -= min(ending.steps, entry.steps_left)
        if ending.kind == "finished":
            entry.state = "done"
            self._release(task_id, self.waits.get(task_id, [])[:])
            return entry
        entry.reason = ending.reason
        if ending.at_fault == "node" and ending.host and ending.host not in entry.avoid:
            entry.avoid += (ending.host,)
        entry.crashes, entry.stalls = self.policy.counted(
            entry.crashes, entry.stalls, ending.kind, ending.steps
        )
        if entry.crashes > self.policy.crashes or (
            ending.kind == "refused" and not self._elsewhere(entry, ending)
        ):
            self._fail(entry, entry.reason)
        else:
            self._again(entry, ending, now)
        return entry

    def put_back(self, task_id: str) -> None:
        """What was to begin could not be ordered: it waits as before."""
        entry = self.active.pop(task_id)
        entry.state = "waiting"
        entry.attempts -= 1
        self._count(entry, 1)
        self._push(entry)

    def next_wake(self, now: float) -> float | None:
        """When a task that pauses may be tried again; None where none pauses."""
        self._awake(now)
        return self._later[0][0] if self._later else None

    def over(self, now: float) -> bool:
        """Whether nothing runs and nothing will ever begin: what still waits is left out, with the reason."""
        if self.active:
            return False
        self._awake(now)
        entry = self._first(self._cheapest)
        wakes = self._later[0][0] if self._later else math.inf
        if now >= self.policy.deadline or (entry is None and wakes >= self.policy.deadline):
            self._leave_out("it was not begun before --deadline-hours had passed")
        elif self.over_cap(now) or (entry and not self._later and self._too_dear(entry, now)):
            self._leave_out("")
        return self.waiting == 0

    @property
    def flops_waiting(self) -> float:
        """Training FLOPs of what waits."""
        return sum(self._left.values())

    def over_cap(self, now: float) -> bool:
        """Whether what runs has spent all that may be spent."""
        return self.spending.capped and self.spent(now) >= self.spending.cap

    def spent(self, now: float) -> float:
        """Device-seconds of ended attempts, and of running ones up to now."""
        return self.spending.spent + sum(_elapsed(entry, now) for entry in self.active.values())

    def _add(self, task_id: str, task: Task, blocked: bool) -> None:
        left = max(1, task.steps - self.steps_done.get(task_id, 0))
        entry = Entry(task, task_id, task.step_flops, left, len(self.entries), blocked=blocked)
        crashes, entry.stalls = self.tries.get(task_id, (0, 0))
        entry.crashes = min(crashes, self.policy.crashes)  # who calls again wants one try at least
        self.entries[task_id] = entry
        if blocked:
            self.waits.setdefault(task.after or "", []).append(entry)

    def _release(self, trunk_id: str, branches: list[Entry]) -> None:
        for branch in branches:
            self.waits[trunk_id].remove(branch)
            branch.blocked = False
            self._push(branch)

    def _count(self, entry: Entry, sign: int) -> None:
        self.waiting += sign
        self._left[entry.step_flops] = self._left.get(entry.step_flops, 0.0) + sign * entry.flops

    def _push(self, entry: Entry) -> None:
        heapq.heappush(self._longest, (-entry.flops - entry.behind, entry.order))
        heapq.heappush(self._cheapest, (entry.flops + entry.first_result, entry.order))

    def _first(self, heap: list[tuple[float, int]]) -> Entry | None:
        """The first that waits and may begin; what began from the other heap is dropped on the way."""
        while heap:
            entry = self._numbered[heap[0][1]]
            if entry.state == "waiting" and not entry.pauses:
                return entry
            heapq.heappop(heap)
        return None

    def _awake(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            entry = self._numbered[heapq.heappop(self._later)[1]]
            entry.pauses = False
            self._push(entry)

    def _elsewhere(self, entry: Entry, ending: Ending) -> bool:
        """Whether another host may do what one refused: not where two have, or that one again, there being no other."""
        if ending.at_fault == "task" or self.policy.one_host:
            return False
        host = ending.host or "a host without a name"
        first, entry.refused_by = entry.refused_by, host
        if first and first != host:
            entry.reason = f"{ending.reason} (so on {first}, and on {host})"
        return not first

    def _again(self, entry: Entry, ending: Ending, now: float) -> None:
        entry.state = "waiting"
        self._count(entry, 1)
        tries = max(entry.crashes if ending.kind == "failed" else 0, entry.stalls)
        if tries == 0:
            self._push(entry)
        else:
            entry.pauses = True
            pause = min(self.policy.longest_pause, 2.0 ** min(tries - 1, 30))
            heapq.heappush(self._later, (now + pause, entry.order))

    def _fail(self, entry: Entry, reason: str) -> None:
        entry.state, entry.reason = "failed", reason
        for branch in self.waits.pop(entry.task_id, []):
            self._count(branch, -1)
            branch.state, branch.reason = "failed", f"its trunk failed: {reason}"

    def _scarce(self, now: float) -> bool:
        """Whether what waits costs more than the cap leaves, as far as is known."""
        if not self.spending.capped:
            return False
        costs = [self.spending.estimate(size, flops) for size, flops in self._left.items()]
        return (
            any(cost is None for cost in costs)
            or self._committed(now) + sum(cost for cost in costs if cost is not None) > self.spending.cap
        )

    def _too_dear(self, entry: Entry, now: float) -> bool:
        """Whether a task, and of a trunk its first branch, would pass the cap with all that runs."""
        needed = self.spending.estimate(entry.step_flops, entry.flops + entry.first_result) or 0.0
        committed = self._committed(now) if self.spending.capped else 0.0
        return committed >= self.spending.cap or committed + needed > self.spending.cap

    def _committed(self, now: float) -> float:
        """Device-seconds spent, and those that what runs will have taken at its end."""
        return self.spending.spent + sum(
            max(_elapsed(entry, now), self.spending.estimate(entry.step_flops, entry.flops) or 0.0)
            for entry in self.active.values()
        )

    def _leave_out(self, reason: str) -> None:
        for entry in self.entries.values():
            if entry.state == "waiting":
                self._count(entry, -1)
                entry.state, entry.reason = "left_out", reason or self._dear(entry)

    def _dear(self, entry: Entry) -> str:
        needed = self.spending.estimate(entry.step_flops, entry.flops)
        about = "it" if needed is None else f"the {needed / 3600:.3g} device-hours that it needs"
        return (
            f"{about} would pass --max-device-hours = {self.spending.cap / 3600:g}, "
            f"of which {self.spending.spent / 3600:.3g} are spent"
        )


def _elapsed(entry: Entry, now: float) -> float:
    return max(0.0, now - entry.began) * entry.devices
