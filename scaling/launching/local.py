"""A study on this machine's devices: job after job, resumable at any moment."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import re
import signal
import time
from collections.abc import Callable, Container, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from scaling.accounting import training_flops
from scaling.execution import DEFAULT, Execution
from scaling.folder import StudyFolder
from scaling.launching.allocator import keep_freed_memory
from scaling.launching.begun import begun
from scaling.launching.claim import Holder
from scaling.launching.cost.calibration import estimator_of
from scaling.launching.cost.estimator import Estimator
from scaling.launching.cost.pace import probed
from scaling.launching.current_table import CurrentTable
from scaling.launching.driving.meter import Meter
from scaling.launching.filling import members_that_fill, on_this_machine
from scaling.launching.holding import holding, in_words
from scaling.launching.journal import new_token
from scaling.launching.launch import DEFAULT as ON_THIS_MACHINE
from scaling.launching.launch import Launch
from scaling.launching.lock import while_held
from scaling.launching.recording import Outcome, Recording
from scaling.launching.task import Task
from scaling.plan import Plan
from scaling.population import Population, populations
from scaling.results import collect, results
from scaling.spec import Run
from scaling.storage import children
from scaling.survey import survey
from scaling.training.metrics import Logs

SAME_WISH_SECONDS = 1.0
"""A signal to a process group or a cgroup may come to a process twice, of different senders."""


def run_study(
    plan: Plan,
    folder: StudyFolder,
    data_folder: Path,
    recording: Recording,
    execution: Execution = DEFAULT,
    launch: Launch = ON_THIS_MACHINE,
) -> Outcome:
    """Train what is not done, keep table.csv current, and stop cleanly when asked to or when a cap is reached."""
    from scaling.training.hosts import is_writer

    keep_freed_memory()
    execution = on_this_machine(execution)
    with folder.locked() as held:
        folder.write_study(plan.study, iter(plan.lines()))
        before = results(plan.study.runs, folder)
        interrupted, left_out = False, 0
        if len(before) < len(plan.study.runs):
            with (
                stop_on_signals() as stop_wanted,
                _meter(plan, folder, launch) as meter,
            ):
                still = while_held(stop_wanted, held, folder.path)
                interrupted, left_out = _train(plan, folder, data_folder, recording, execution, still, meter)
                if interrupted or left_out:
                    meter.interrupted()
        if is_writer():
            fill_copies(plan, folder, recording)
        collect(plan.study, folder)
        _mention_others(plan, folder)
        found = results(plan.study.runs, folder)
        lost = sum(result["status"] == "diverged" for result in found.values())
        return Outcome(len(found), len(found) - len(before), lost, interrupted, left_out=left_out)


def _train(
    plan: Plan,
    folder: StudyFolder,
    data_folder: Path,
    recording: Recording,
    execution: Execution,
    stop_wanted: Callable[[], bool],
    meter: Meter,
) -> tuple[bool, int]:
    """Train every unfinished job, in populations where that pays; whether it was stopped as asked, and runs that were
    left out because of a cap."""
    from scaling.launching.display import display
    from scaling.launching.preparing import shown
    from scaling.launching.working.bench import prepare, tracing
    from scaling.training.job import train_population
    from scaling.training.loop import Interrupted

    pending = pending_populations(plan, folder, execution)
    with shown() as progress:
        bench = prepare(pending, folder, data_folder, recording, execution, progress, stop_wanted)
    if bench is None:
        return True, 0
    there = results(plan.study.runs, folder)
    finished = len(there)
    with (
        CurrentTable(plan.study, folder) as table,
        tracing(folder, recording) as trace,
        display(plan, finished, _flops_left(plan, there)) as watcher,
    ):
        for said in (packing(pending), layout(execution, max(population.members for population in pending))):
            if said:
                watcher.say(said)
        for number, population in enumerate(pending):
            if why := meter.refuses(population):
                return False, _leave_out(pending[number:], folder, why, watcher.say)
            folder.begin_population(population.population_id, population.trunk_ids)
            wanted = meter.watching(stop_wanted)
            try:
                with _held(folder, population, stop_wanted, watcher.say) as still_held:
                    setting = bench.setting(
                        population, watcher, while_held(wanted, still_held, folder.path), trace
                    )
                    train_population(population, setting)
            except Interrupted:
                if stop_wanted():
                    return True, 0
                why = "it was stopped at a checkpoint, as --max-device-hours were spent"
                return False, _leave_out(pending[number:], folder, why, watcher.say)
            finished += sum(folder.result(run) is not None for job in population.jobs for run in job.runs)
            table.keep(finished)
    if trace is not None:
        traced_to = trace.files
        print(f"profile: {traced_to[-1]}" if traced_to else "no profile: there were too few steps to trace")
    return False, 0


@contextlib.contextmanager
def _held(
    folder: StudyFolder, population: Population, stop_wanted: Callable[[], bool], say: Callable[[str], None]
) -> Iterator[Callable[[], bool]]:
    """Hold what a population writes: a worker that a dead driver left behind may still save its last checkpoint. Raises
    Interrupted where it was asked to stop while it waited."""
    from scaling.training.hosts import is_writer
    from scaling.training.loop import Interrupted

    if not is_writer():
        yield lambda: True
        return
    told: set[str] = set()

    def waiting(holder: Holder) -> None:
        if holder.who not in told:
            told.add(holder.who)
            say(in_words(holder, Task(population).name))

    with holding(folder, Task(population), new_token(), stop_wanted, waiting) as claim:
        if claim is None:
            raise Interrupted
        yield claim.held


def _meter(plan: Plan, folder: StudyFolder, launch: Launch) -> Meter:
    """The meter of this process's devices; what tasks cost is found out when a cap asks for it."""
    import jax

    @functools.cache
    def estimator() -> Estimator:
        found = results(plan.study.runs, folder)
        return estimator_of(folder, found, jax.devices()[0].device_kind, jax.device_count(), probed())

    def seconds(task: Task) -> float:
        return estimator().seconds(task, lambda run: folder.result(run) is not None)

    return Meter(plan.study, folder, launch, jax.device_count(), seconds)


def _leave_out(
    populations: Sequence[Population], folder: StudyFolder, why: str, say: Callable[[str], None]
) -> int:
    """Say which jobs are left out, dearest last; the number of their runs that are not finished."""
    say(f"left out: {Task(populations[0]).name}: {why}")
    if len(populations) > 1:
        say(
            "left out as well, as they cost as much or more: "
            + ", ".join(Task(p).name for p in populations[1:])
        )
    return sum(folder.result(run) is None for p in populations for runs in p.budgets for run in runs)


def fill_copies(plan: Plan, folder: StudyFolder, recording: Recording) -> None:
    """Bring the copies of all logs up to date, also of runs that were finished before a copy was asked for."""
    if recording.copies:
        logs = Logs(folder.path, recording.copies)
        for run in plan.study.runs:
            for path, trunk in ((folder.trunk(run), True), (folder.run(run), False)):
                if (path / "metrics.jsonl").is_file():
                    logs.of(run, path, trunk).close()


def pending_populations(plan: Plan, folder: StudyFolder, execution: Execution) -> tuple[Population, ...]:
    """The unfinished jobs of a plan as they are trained together on this machine.

    What was begun stays as it is, alone or in its population, unless `execution` asks for smaller ones.
    """
    there = survey(folder, plan.study.runs)
    finished = there.found.__contains__
    kept = begun(there, plan.jobs, execution, finished)
    members = functools.partial(members_that_fill, execution=execution)
    return populations(plan.jobs, members, kept, finished)


def packing(made: Sequence[Population]) -> str:
    """What is trained together on this machine, and why, in a sentence; empty where nothing is."""
    import jax

    together = [population.members for population in made if population.members > 1]
    if not together:
        return ""
    device = jax.devices()[0]
    a_device = -(-max(together) // math.gcd(max(together), jax.device_count()))
    cores = device.platform == "cpu"
    each = (
        f"{a_device} to a CPU core"
        if cores
        else f"{a_device} to a {device.device_kind}, which one would not fill"
    )
    trunks = sum(population.members for population in made)
    kinds = "a population" if len(together) == 1 else f"{len(together)} populations"
    return (
        f"{sum(together)} of {trunks} trunks are trained in {kinds} of up to {max(together)} members, {each}, "
        "with no word between members (--pack 1 trains them apart)"
    )


def layout(execution: Execution, members: int) -> str:
    """How one model lies on devices, in a sentence; empty where it has one device."""
    from scaling.training.sharding import make_mesh

    shape = make_mesh(execution, members).shape
    said = []
    if shape["data"] > 1:
        whole = "parameters and moments split over them" if execution.fsdp else "parameters whole on each"
        how = "by a step a device" if execution.mapped else "in one partitioned program"
        said.append(f"each batch over {shape['data']} devices, {whole}, {how}")
    if shape["model"] > 1:
        said.append(f"heads, hidden units and vocabulary over {shape['model']} devices")
    return "; ".join(said)


def _mention_others(plan: Plan, folder: StudyFolder) -> None:
    """Say that finished runs of an earlier spec lie in the folder: they are kept, and are no rows of this table."""
    ours = {run.run_id for run in plan.study.runs}
    names = [name for name in children(folder.path) if re.fullmatch("[0-9a-f]{12}", name)]
    others = [name for name in names if name not in ours and (folder.path / name / "result.json").exists()]
    if others:
        print(
            f"{len(others)} finished runs in {folder.path} are not in this spec: kept, but not in its table"
        )


def _flops_left(plan: Plan, finished: Container[Run]) -> float:
    left = 0.0
    for job in plan.jobs:
        pending = [run for run in job.runs if run not in finished]
        if pending:
            done = max((run.decay_start for run in job.runs if run not in pending), default=0)
            steps = max(0, pending[-1].decay_start - done) + sum(run.decay_steps for run in pending)
            left += training_flops(pending[0].model, steps * pending[0].optim.batch_tokens)
    return left


@contextlib.contextmanager
def stop_on_signals(
    last: Callable[[], None] = lambda: None, ends: bool = True
) -> Iterator[Callable[[], bool]]:
    """A function that says whether SIGTERM, SIGUSR1 or Ctrl-C came. Where they may `end` the process, one more ends it
    at once after `last`, and one after that without; within a second of the first it is the same wish, told twice."""
    asked, first = 0, 0.0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked, first
        if asked == 1 and time.monotonic() - first < SAME_WISH_SECONDS:
            return
        asked, first = asked + 1, first or time.monotonic()
        try:
            if asked == 2 and ends:
                last()
        finally:
            if asked >= 2 and ends:
                os._exit(128 + number)

    previous: dict[int, Any] = {
        number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
    }
    try:
        yield lambda: asked > 0
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
