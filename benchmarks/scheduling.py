"""How well 64 preemptible devices are used, by simulation, and what planning and scheduling 10,000 runs costs.

    python -m benchmarks.scheduling

The scheduler that `run` uses is driven in virtual time. Simulated, and no more than that: each device is preempted
after exponential times, every two hours on average, without warning, and tells nothing: what its worker saved is
counted as the driver counts it, what it did since is lost, and another device takes its place after a minute. A worker
takes a minute from its order to its first step (its process, imports, data, compilation), a checkpoint a second a
member, the measuring of a run ten seconds. Devices train `--flops-per-second` at every size, all alike but in the line
with the slow one, which keeps what it has begun: nothing is moved to a faster one. Engine, network, storage and files
cost nothing. Small models are packed, and decay branches set apart, by the driver's own rules.

Kept work is training that no preemption undid: FLOPs of the study over a device's speed. Its share is of the time that
all devices were there, those included that are idle at the study's end. The makespan is set against a lower bound: all
work spread evenly, or the longest chain of trunk and branch, whichever is more.

The driver's seconds are processor seconds: to make the spec, plan it, look for results, and schedule every task to its
end; without writing files, which the driver does beside, and without the engine. Memory is the peak of the process.
"""

from __future__ import annotations

import argparse
import dataclasses
import heapq
import itertools
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.execution import Execution
from scaling.folder import StudyFolder
from scaling.launching.driving.entry import Entry
from scaling.launching.driving.pending import Results, pending_tasks
from scaling.launching.driving.scheduler import Scheduler
from scaling.launching.engine import Ending
from scaling.launching.launch import Launch
from scaling.launching.task import Task
from scaling.plan import Recipe, ladder, make_plan
from scaling.spec import Data, Model, Optim, Study

WIDTHS = (128, 192, 256, 384, 512, 640, 768, 1024)
RATIOS = (5, 10, 20, 40, 80)
RATES = (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2)


@dataclass(frozen=True)
class World:
    """What is simulated."""

    devices: int = 64
    flops_per_second: float = 2e14
    preempted_hours: float = 2.0
    back_seconds: float = 60.0
    start_seconds: float = 60.0
    checkpoint_seconds: float = 60.0
    save_seconds: float = 1.0
    measure_seconds: float = 10.0
    slow: int = 0
    """Devices that train at a quarter of the speed."""
    seed: int = 0


@dataclass(frozen=True)
class Found:
    """What came of a simulation, in seconds."""

    makespan: float
    there: float
    """Of all devices together, those that they were there."""
    kept: float
    began: int
    """Attempts."""


@dataclass
class Attempt:
    """A worker on a device: steps at a pace, and a checkpoint so often."""

    entry: Entry
    device: int
    began: float
    steps: float
    """Those that were left."""
    step_seconds: float
    """With what checkpoints take."""
    world: World

    @property
    def end(self) -> float:
        """When it has trained and measured everything."""
        measured = len(self.entry.task.runs) / len(self.entry.task.population.jobs)
        return self._trains + self.steps * self.step_seconds + measured * self.world.measure_seconds

    def saved(self, now: float) -> int:
        """Steps that its last checkpoint holds."""
        every = self.world.checkpoint_seconds
        return int(min(self.steps, max(0.0, (now - self._trains) // every) * every / self.step_seconds))

    def passes(self, leaves: int) -> float:
        """When it comes to a step of its task, and saves it."""
        done = self.entry.task.steps - self.steps
        return self._trains + max(0.0, leaves - done) * self.step_seconds

    @property
    def _trains(self) -> float:
        return self.began + self.world.start_seconds


class Simulation:
    """The scheduler's decisions on simulated devices."""

    def __init__(self, tasks: tuple[Task, ...], world: World) -> None:
        self.world, self.scheduler = world, Scheduler(tasks)
        self.kept = sum(task.flops for task in tasks) / world.flops_per_second
        self._random = random.Random(world.seed)
        self._number = itertools.count()
        self._events: list[tuple[float, int, str, Any]] = []
        self._free = self._random.sample(range(world.devices), world.devices)
        self._at_work: dict[int, Attempt] = {}
        self._away = 0.0

    def run(self) -> Found:
        """To the end of the study."""
        for device in range(self.world.devices):
            self._later(self._lifetime(), "preempted", device)
        now = end = 0.0
        began = 0
        while not self.scheduler.over(now):
            began += self._fill(now)
            now, _, what, subject = heapq.heappop(self._events)
            if getattr(self, f"_{what}")(subject, now):
                end = now
        return Found(end, end * self.world.devices - self._away, self.kept, began)

    def _fill(self, now: float) -> int:
        began = 0
        while self._free and (entry := self.scheduler.start(now)) is not None:
            world, device = self.world, self._free.pop(0)
            speed = world.flops_per_second * (0.25 if device < world.slow else 1.0)
            members = len(entry.task.population.jobs)
            saving = 1 + members * world.save_seconds / world.checkpoint_seconds
            attempt = Attempt(entry, device, now, entry.steps_left, entry.step_flops / speed * saving, world)
            self._at_work[device] = attempt
            self._later(attempt.end, "finished", attempt)
            for leaves in {branch.task.leaves for branch in self.scheduler.waits.get(entry.task_id, ())}:
                self._later(attempt.passes(leaves), "reached", (attempt, leaves))
            began += 1
        return began

    def _finished(self, attempt: Attempt, now: float) -> bool:
        if self._at_work.get(attempt.device) is not attempt:
            return False
        self._release(
            attempt,
            Ending("finished", seconds=now - attempt.began, devices=1, steps=attempt.entry.task.steps),
            now,
        )
        self._free.append(attempt.device)
        return True

    def _reached(self, passed: tuple[Attempt, int], now: float) -> bool:
        attempt, leaves = passed
        if self._at_work.get(attempt.device) is attempt:
            self.scheduler.reached(attempt.entry.task_id, leaves)
        return False

    def _preempted(self, device: int, now: float) -> bool:
        if (attempt := self._at_work.get(device)) is not None:
            lost = Ending(
                "lost", seconds=now - attempt.began, devices=1
            )  # engines cannot tell what was saved
            entry = attempt.entry
            done = entry.task.steps - attempt.steps + attempt.saved(now)
            self._release(attempt, entry.told(lost, done), now)
        else:
            self._free.remove(device)
        self._away += self.world.back_seconds
        self._later(now + self.world.back_seconds, "back", device)
        return False

    def _back(self, device: int, now: float) -> bool:
        self._free.append(device)
        self._later(now + self._lifetime(), "preempted", device)
        return False

    def _release(self, attempt: Attempt, ending: Ending, now: float) -> None:
        del self._at_work[attempt.device]
        self.scheduler.end(attempt.entry.task_id, ending, now)

    def _later(self, when: float, what: str, subject: Any) -> None:
        heapq.heappush(self._events, (when, next(self._number), what, subject))

    def _lifetime(self) -> float:
        return self._random.expovariate(1 / (self.world.preempted_hours * 3600))


def study(seeds: int) -> Study:
    """A ladder of sizes at multiples of N, for several rates and seeds: 200 runs a seed."""
    models = [Model(width=w, depth=w // 64, heads=w // 64, context=256) for w in WIDTHS]
    runs = itertools.chain.from_iterable(
        ladder(
            models,
            RATIOS,
            Recipe(data=Data(context=256), optim=Optim(lr=lr, batch_tokens=65536)),
            range(seeds),
        )
        for lr in RATES
    )
    return Study(name="ladder", question="How does loss fall?", runs=tuple(runs))


def tasks_of_driver(spec: Study, world: World, branches: str) -> tuple[Task, ...]:
    """The tasks that the driver would make of a study of which nothing is done."""
    with tempfile.TemporaryDirectory() as folder:
        results = Results(StudyFolder(Path(folder) / spec.name), spec.runs)
        launch = Launch(on="ray", accelerators=1, branches=branches)  # type: ignore[arg-type]
        return pending_tasks(make_plan(spec), results, Execution(), launch, world.devices)


def bound(tasks: tuple[Task, ...], world: World) -> float:
    """Seconds that no schedule can beat: work spread evenly, or the longest chain."""
    trunks = {task.task_id: task for task in tasks if task.part == "trunk"}
    chains = [task.flops + (task.leaves * task.step_flops if task.after in trunks else 0.0) for task in tasks]
    work = sum(task.flops for task in tasks) / (world.devices - 0.75 * world.slow)
    return max(work, *chains) / world.flops_per_second


def simulated(name: str, tasks: tuple[Task, ...], world: World) -> Iterator[str]:
    """A line about one simulation."""
    found = Simulation(tasks, world).run()
    yield (
        f"{name:<32} {found.kept / found.there:6.1%} of device time on kept work; {found.makespan / 3600:.1f} h, "
        f"{found.makespan / bound(tasks, world):.3f} of the bound; {found.began} attempts at {len(tasks)} tasks"
    )


def driver_cost(runs: int, world: World) -> Iterator[str]:
    """Processor seconds and memory of planning and scheduling so many runs."""
    begun = time.process_time()
    spec = study(max(1, runs // 200))
    made = time.process_time()
    tasks = tasks_of_driver(spec, world, "apart")
    planned = time.process_time()
    scheduler = Scheduler(tasks)
    while (entry := scheduler.start(0.0)) is not None:
        scheduler.running(entry.task_id, 0.0, 1)
        scheduler.end(entry.task_id, Ending("finished", seconds=1.0, devices=1, steps=entry.task.steps), 0.0)
    over = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield (
        f"driver: {len(spec.runs)} runs, {len(tasks)} tasks: {made - begun:.1f} s to make the spec, "
        f"{planned - made:.1f} s to plan, {over - planned:.1f} s to schedule; {over - begun:.1f} s in all; "
        f"{peak:.0f} MiB at the peak"
    )


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--devices", type=int, default=World.devices)
    parser.add_argument("--runs", type=int, default=10_000, help="of the study whose driver is timed")
    parser.add_argument("--simulated-runs", type=int, default=2000, help="of the study that is simulated")
    parser.add_argument("--flops-per-second", type=float, default=World.flops_per_second)
    parser.add_argument("--seed", type=int, default=World.seed)
    chosen = parser.parse_args()
    world = World(devices=chosen.devices, flops_per_second=chosen.flops_per_second, seed=chosen.seed)
    for line in driver_cost(chosen.runs, world):
        print(line, flush=True)
    spec = study(max(1, chosen.simulated_runs // 200))
    apart, together = (tasks_of_driver(spec, world, branches) for branches in ("apart", "together"))
    print(
        f"{len(spec.runs)} runs on {world.devices} devices, each preempted every 2 h on average:", flush=True
    )
    for name, tasks, changes in (
        ("a checkpoint every 60 s", together, {}),
        ("every 600 s", together, {"checkpoint_seconds": 600.0}),
        ("branches apart", apart, {}),
        ("one device at a quarter speed", together, {"slow": 1}),
        ("preempted every 20 min", together, {"preempted_hours": 1 / 3}),
        ("never preempted", together, {"preempted_hours": 1e9}),
    ):
        for line in simulated(name, tasks, dataclasses.replace(world, **changes)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
