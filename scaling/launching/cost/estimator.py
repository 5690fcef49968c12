"""What tasks cost before they are trained: seconds on a kind of device, with the factor within which that holds.

Pure arithmetic on what was measured (scaling.launching.cost.pace); nothing here imports JAX. Counted are training, the
evaluation at the end of each run, compilation once a task, the start of a worker, and checkpoints. Not counted is work
that is lost: what was trained after the last checkpoint before a kill or a preemption.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scaling.accounting import training_flops
from scaling.launching.cost.pace import GUESSED, Knot, Rate, assumed, knots_of, rate_of, timed
from scaling.launching.task import Task
from scaling.spec import Model, Run

COMPILE_SECONDS = 8.0
"""For one shape of model, where nothing was measured: its initialisation, step and evaluation."""
CACHED_SECONDS = 2.0
"""To trace a shape's programs and to read them from the cache of compiled ones."""
SAVE_SECONDS = 0.3
"""To write a checkpoint of a small model, where nothing was measured."""
START_SECONDS = 6.0
"""For a worker to start: its imports, and opening the data."""
NOWHERE = Rate(1e11, GUESSED, "nothing")
"""Ranks tasks where nothing tells how fast they are: about a rate of a few CPU cores."""


@dataclass(frozen=True)
class Estimate:
    """Seconds, between `low` and `high` in all likelihood, and what that rests on."""

    seconds: float
    low: float
    high: float
    source: str

    def __add__(self, other: Estimate) -> Estimate:
        """The two one after another. Whatever makes one wrong makes the other wrong, so that bounds add up."""
        said = [text for text in (self.source, other.source) if text]
        source = said[0] if len(said) == 2 and said[1] in said[0] else "; ".join(said)
        return Estimate(self.seconds + other.seconds, self.low + other.low, self.high + other.high, source)

    def __mul__(self, times: float) -> Estimate:
        """So many times as long, as device-seconds of so many devices are."""
        return Estimate(self.seconds * times, self.low * times, self.high * times, self.source)


@dataclass(frozen=True)
class Overheads:
    """Seconds that are not training."""

    compile: float = COMPILE_SECONDS
    """Of a shape whose own compilation was not measured."""
    save: float = SAVE_SECONDS
    """Of one member's checkpoint."""
    start: float = START_SECONDS
    """Of a worker."""
    compiled: frozenset[Model] = frozenset()
    """Shapes whose programs are in the cache that the tasks will read."""
    checkpoint_seconds: float = 60.0
    """A checkpoint is written that often."""


class Estimator:
    """Seconds that tasks take on one kind of device. Learns from finished runs; a call takes some ten microseconds."""

    def __init__(
        self,
        device: str | None = None,
        devices: int = 1,
        knots: Mapping[Model, Knot] | None = None,
        fallback: Rate | None = None,
        overheads: Overheads | None = None,
    ) -> None:
        """`device` is the kind, as JAX names it, None where it is not known; `devices` are those that a task has.

        `knots` is what a calibration measured, `fallback` the rate where neither a run nor a calibration nor the
        device's peak tells.
        """
        self.device, self.devices = device, devices
        self.fallback, self.overheads = fallback, overheads or Overheads()
        self._calibrated = dict(knots or {})
        self._done: dict[Run, dict[str, Any]] = {}
        self._knots: dict[Model, Knot] | None = None
        self._rates: dict[Model, Rate | None] = {}

    def learn(self, results: Mapping[Run, Mapping[str, Any]]) -> None:
        """Take in finished runs; those of another kind of device, or that diverged, tell nothing."""
        new = {run: dict(result) for run, result in results.items() if run not in self._done}
        new = {run: result for run, result in new.items() if timed(run, result, self.device)}
        if new:
            self._done |= new
            self._knots = None
            self._rates.clear()

    def fall_back(self, rate: Rate) -> None:
        """Use a rate where nothing else tells."""
        self.fallback = rate
        self._rates.clear()

    def with_overheads(self, start: float, compiled: Iterable[Model]) -> Estimator:
        """The same rates, where a worker's start takes so long and those shapes are compiled already."""
        other = replace(self.overheads, start=start, compiled=frozenset(compiled))
        made = Estimator(self.device, self.devices, self._calibrated, self.fallback, other)
        made._done, made._knots, made._rates = self._done, self._knots, self._rates
        return made

    def rate(self, model: Model) -> Rate | None:
        """FLOPs a second of one device that trains models of this shape; None where nothing tells."""
        if model not in self._rates:
            found = rate_of(model, self._measured()) or (assumed(model, self.device) if self.device else None)
            self._rates[model] = found or (self.fallback if model.kind != "linear" else None)
        return self._rates[model]

    def known(self, task: Task) -> bool:
        """Whether anything tells how long a task takes."""
        return self.rate(task.population.jobs[0].runs[0].model) is not None

    def seconds(self, task: Task, finished: Callable[[Run], bool] = lambda _: False) -> float:
        """From the start of its worker to its end, without what is `finished`; device-seconds are that times the
        devices of a task. Where `known` is false, a number that ranks tasks and tells nothing else."""
        found = self._estimate(
            task, finished, self.rate(task.population.jobs[0].runs[0].model) or NOWHERE, self.devices
        )
        return found.seconds

    def estimate(
        self, task: Task, finished: Callable[[Run], bool] = lambda _: False, devices: int = 0
    ) -> Estimate | None:
        """The same with its bounds, on another number of devices where one is given; None where nothing tells."""
        rate = self.rate(task.population.jobs[0].runs[0].model)
        return None if rate is None else self._estimate(task, finished, rate, devices or self.devices)

    def study(
        self,
        tasks: Iterable[Task],
        finished: Callable[[Run], bool] = lambda _: False,
        devices: Callable[[Task], int] | None = None,
    ) -> Estimate | None:
        """Device-seconds of all tasks, each on its `devices`; None where nothing tells about one of them, or there is
        none."""
        total: Estimate | None = None
        for task in tasks:
            each = devices(task) if devices else self.devices
            one = self.estimate(task, finished, each)
            if one is None:
                return None
            total = one * each if total is None else total + one * each
        return total

    def _estimate(self, task: Task, finished: Callable[[Run], bool], rate: Rate, devices: int) -> Estimate:
        first, members = task.population.jobs[0].runs[0], task.population.members
        steps, ends, saves = work_of(task, finished)
        tokens = members * (steps * first.optim.batch_tokens + ends * first.data.eval_tokens / 3)
        training = training_flops(first.model, tokens) / rate.flops_per_second / devices
        other = self.overheads
        often = training / other.checkpoint_seconds
        beside = other.start + self._compile(first.model) + (saves + often) * members * other.save
        return Estimate(
            training + beside,
            training / rate.factor + beside / 2,
            training * rate.factor + beside * 2,
            rate.source,
        )

    def _compile(self, model: Model) -> float:
        if model in self.overheads.compiled:
            return CACHED_SECONDS
        knot = self._measured().get(model)
        took = knot.compile_seconds if knot else None
        return self.overheads.compile if took is None else took

    def _measured(self) -> dict[Model, Knot]:
        if self._knots is None:
            self._knots = self._calibrated | knots_of(self._done, self.device)
        return self._knots


def work_of(task: Task, finished: Callable[[Run], bool] = lambda _: False) -> tuple[int, int, int]:
    """Optimiser steps, evaluations and checkpoints of a member that a task has left, from the runs that are finished.

    The steps between the trunk's last checkpoint and now are counted, since their checkpoints are not looked for.
    """
    budgets = task.population.budgets
    if task.part == "trunk":
        return task.leaves, 0, len({runs[0].decay_start for runs in budgets})
    if task.part == "branch":
        return budgets[task.budget][0].decay_steps, 1, 1
    left = [runs for runs in budgets if not all(finished(run) for run in runs)]
    if not left:
        return 0, 0, 0
    begun = max((runs[0].decay_start for runs in budgets if runs not in left), default=0)
    trunk = max(0, left[-1][0].decay_start - begun)
    return trunk + sum(runs[0].decay_steps for runs in left), len(left), 2 * len(left)


def wall_seconds(
    tasks: Sequence[Task],
    seconds: Callable[[Task], float],
    places: int,
    takes: Callable[[Task], int] = lambda _: 1,
) -> float:
    """Seconds until the last of the tasks ends where each `takes` some of the places, by list scheduling: the longest
    that may begin goes first, and a branch may begin when its trunk's task is over or comes to where the branch leaves
    it. A task that takes several places waits until so many are free, whichever these are.
    """
    ids = {task.task_id: task for task in tasks if task.part == "trunk"}
    ready = [(-seconds(task), number) for number, task in enumerate(tasks) if task.after not in ids]
    waiting: dict[str, list[int]] = {}
    for number, task in enumerate(tasks):
        if task.after in ids:
            waiting.setdefault(str(task.after), []).append(number)
    heapq.heapify(ready)
    coming: list[tuple[float, int]] = []  # when a branch may begin
    free, end = [0.0] * min(places, max(1, sum(map(takes, tasks)))), 0.0
    while ready or coming:
        now = free[0]
        if not ready and coming:
            now = max(now, coming[0][0])
        while coming and coming[0][0] <= now:
            _, number = heapq.heappop(coming)
            heapq.heappush(ready, (-seconds(tasks[number]), number))
        length, number = heapq.heappop(ready)
        now = max(now, *(heapq.heappop(free) for _ in range(takes(tasks[number]))))
        for _ in range(takes(tasks[number])):
            heapq.heappush(free, now - length)
        end = max(end, now - length)
        task = tasks[number]
        for branch in waiting.pop(task.task_id, []) if task.part == "trunk" else []:
            share = tasks[branch].leaves / max(1, task.leaves)
            heapq.heappush(coming, (now - length * share, branch))
    return end
