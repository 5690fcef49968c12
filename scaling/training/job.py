"""A job: one trunk and its decay branches, from wherever the files say it stands to the end."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from scaling.data.batches import unique_tokens
from scaling.data.rows import Rows
from scaling.execution import DEFAULT, Execution
from scaling.folder import StudyFolder, write_whole
from scaling.plan import Job
from scaling.results import diverged, done
from scaling.spec import Run
from scaling.training.checkpoint import Checkpoints
from scaling.training.evaluation import HeldOut, measure
from scaling.training.loop import Clock, Diverged, Progress, Trainer, Watch
from scaling.training.metrics import MetricsLog
from scaling.training.program import Program, program_of
from scaling.training.sharding import check_layout
from scaling.training.state import State

TRUNK, BRANCH = "trunk", "decay branch"


class Display(Protocol):
    """What a job tells whoever watches."""

    def begin(self, name: str, start: int, stop: int, run: Run) -> None:
        """A trunk or branch goes from step `start` to `stop`."""

    def progress(self, progress: Progress) -> None:
        """A step is done."""

    def finish(self, run: Run, result: dict[str, Any]) -> None:
        """A run is finished."""

    def say(self, message: str) -> None:
        """Something the user should know."""


@dataclass(frozen=True)
class Setting:
    """Where a job works and who watches."""

    folder: StudyFolder
    train: Rows
    held_out: HeldOut
    display: Display
    stop_wanted: Callable[[], bool]
    checkpoint_seconds: float
    execution: Execution = DEFAULT


def train_job(job: Job, setting: Setting) -> None:
    """Train and measure every unfinished run of the job, shortest budget first; finished ones cost nothing.

    Each run writes its result when it is measured, so that work lost to a kill is what came after the last checkpoint.
    A run that diverges is recorded, and the others go on.
    """
    pending = [run for run in job.runs if setting.folder.result(run) is None]
    if not pending:
        return
    program = program_of(pending[0], setting.execution)
    check_layout(pending[0], program.mesh, setting.execution)
    branch_points = [run.decay_start for run in job.runs]
    with Checkpoints(setting.folder.trunk(pending[0]) / "checkpoints", keep=branch_points) as trunk:
        trunk_ended: int | None = None
        for run in pending:
            if trunk_ended is not None and run.decay_start >= trunk_ended:
                result = diverged(run, trunk_ended, TRUNK)
            else:
                result = _train_run(run, program, trunk, setting)
            if result["diverged"] and result["diverged"]["part"] == TRUNK:
                trunk_ended = result["diverged"]["step"]
            write_whole(
                setting.folder.run(run) / "result.json", json.dumps(result, indent=1, allow_nan=False) + "\n"
            )
            setting.display.finish(run, result)


def _train_run(run: Run, program: Program, trunk: Checkpoints, setting: Setting) -> dict[str, Any]:
    part = TRUNK
    try:
        with Checkpoints(setting.folder.run(run) / "checkpoints") as branch:
            blank = program.initial_state(run)
            resumed = branch.restore(blank, run.steps, setting.display.say)
            if resumed:
                start, state, notes = resumed
            else:
                start = run.decay_start
                state, trunk_seconds = _trunk_state(run, blank, program, trunk, setting)
                state = program.branch_off(state, run)
                notes = {"device_seconds": 0.0, "trunk_device_seconds": trunk_seconds}
            part = BRANCH
            state, seconds = _advance(run, state, start, run.steps, notes, program, branch, setting)
    except Diverged as error:
        return diverged(run, error.step, part)
    measured = measure(program, state.parameters, setting.held_out)
    if not math.isfinite(measured["L"]):  # the last update itself overflowed
        return diverged(run, run.steps, BRANCH)
    return done(
        run,
        D_unique=unique_tokens(setting.train, run.tokens),
        device_seconds=seconds,
        trunk_device_seconds=notes["trunk_device_seconds"],
        **measured,
    )


def _trunk_state(
    run: Run, blank: State, program: Program, trunk: Checkpoints, setting: Setting
) -> tuple[State, float]:
    """The trunk's state at the step where `run` leaves it, trained up to there from its nearest checkpoint."""
    resumed = trunk.restore(blank, run.decay_start, setting.display.say)
    start, state, notes = resumed or (0, blank, {"device_seconds": 0.0})
    return _advance(run, state, start, run.decay_start, notes, program, trunk, setting)


def _advance(
    run: Run,
    state: State,
    start: int,
    stop: int,
    notes: dict[str, Any],
    program: Program,
    checkpoints: Checkpoints,
    setting: Setting,
) -> tuple[State, float]:
    """The state at `stop`, and the device-seconds that the trunk or branch of `checkpoints` has taken in all."""
    is_trunk = stop == run.decay_start
    clock = Clock(program.mesh.size, notes["device_seconds"])
    watch = Watch(setting.display.progress, setting.stop_wanted, setting.checkpoint_seconds)
    setting.display.begin(f"{run.trunk_name} trunk" if is_trunk else run.name, start, stop, run)
    with MetricsLog(checkpoints.folder.parent / "metrics.jsonl") as log:
        trainer = Trainer(
            program, setting.train, run.seed, run.batch_rows, checkpoints, log, clock, notes, watch
        )
        return trainer.advance(state, start, stop), clock.device_seconds
