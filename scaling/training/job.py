"""A population's training: its trunks and their decay branches, from wherever the files say they stand to the end."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import jax

from scaling.accounting import palm, training_flops
from scaling.data.batches import unique_tokens
from scaling.data.rows import Rows
from scaling.devices import mfu, peak_of
from scaling.errors import UserError
from scaling.execution import DEFAULT, Execution
from scaling.folder import StudyFolder, write_whole
from scaling.population import Population
from scaling.results import diverged, done
from scaling.spec import Run
from scaling.training.checkpoint import PopulationCheckpoints
from scaling.training.evaluation import HeldOut, measure
from scaling.training.hosts import is_writer
from scaling.training.loop import Clock, Member, Progress, Trainer, Watch
from scaling.training.metrics import Logs
from scaling.training.profile import Trace
from scaling.training.program import Program, program_of
from scaling.training.sharding import check_layout
from scaling.training.state import State

TRUNK, BRANCH = "trunk", "decay branch"


class Display(Protocol):
    """What a job tells whoever watches."""

    def begin(self, name: str, start: int, stop: int, flops_a_step: float) -> None:
        """A trunk or branch, or those of a population, goes from step `start` to `stop`."""

    def progress(self, progress: Progress) -> None:
        """Steps are done."""

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
    logs: Logs
    execution: Execution = DEFAULT
    trace: Trace | None = None
    compile_seconds: float | None = None
    """What its programs took to compile."""


def train_population(population: Population, setting: Setting) -> None:
    """Train and measure every unfinished run of every member, shortest budget first; finished ones cost nothing.

    Each run writes its result when it is measured, so that work lost to a kill is what came after the last checkpoint.
    A member that diverges is recorded, and the others go on.
    """
    pending = [runs for runs in population.budgets if any(setting.folder.result(run) is None for run in runs)]
    if not pending:
        return
    program = program_of(pending[0][0], setting.execution, population.members)
    check_layout(pending[0][0], program.mesh, setting.execution)
    if setting.trace is not None:
        program = dataclasses.replace(program, step=setting.trace.watch(program.step))
    training = Training(population, program, setting)
    folders = [setting.folder.trunk(run) / "checkpoints" for run in pending[0]]
    branch_points = [runs[0].decay_start for runs in population.budgets]
    fates: list[dict[str, Any]] = []
    ended: int | None = None  # the step by which every trunk has diverged: nothing is left to train
    with PopulationCheckpoints(folders, keep=branch_points) as trunks:
        for runs in pending:
            if ended is not None and runs[0].decay_start >= ended:
                results = [
                    diverged(run, population.population_id, **fate)
                    for run, fate in zip(runs, fates, strict=True)
                ]
            else:
                results = training.results(runs, trunks)
            fates = [result["diverged"] for result in results]
            if all(fate and fate["part"] == TRUNK for fate in fates):
                ended = max(fate["step"] for fate in fates)
            for run, result in zip(runs, results, strict=True):
                if setting.folder.result(run) is None:
                    _write(run, result, setting)


def _write(run: Run, result: dict[str, Any], setting: Setting) -> None:
    if is_writer():
        text = json.dumps(result, indent=1, allow_nan=False) + "\n"
        write_whole(setting.folder.run(run) / "result.json", text)
    setting.display.finish(run, result)


@dataclass(frozen=True)
class Training:
    """A population in training."""

    population: Population
    program: Program
    setting: Setting

    def results(self, runs: Sequence[Run], trunks: PopulationCheckpoints) -> list[dict[str, Any]]:
        """Train the members' runs of one budget to their end, and measure them."""
        say = self.setting.display.say
        folders = [self.setting.folder.run(run) / "checkpoints" for run in runs]
        with PopulationCheckpoints(folders) as branches:
            blank = self.program.initial_state(runs)
            likes = self._likes(blank)
            resumed = branches.restore(likes, runs[0].steps, say)
            if resumed:
                start, states, notes = resumed
                self._check_precision(runs[0], notes)
                state = self.program.together(states, blank)
            else:
                start = runs[0].decay_start
                state, members = self._trunks(runs, blank, likes, trunks)
                state = self.program.branch_off(state, runs)
                notes = [
                    {
                        "device_seconds": 0.0,
                        "trunk_device_seconds": seconds,
                        "trunk_diverged": lost,
                        "precision": self.program.precision,
                    }
                    for seconds, lost in members
                ]
            for note in notes:  # what was lost in the trunk is carried along, not trained
                note["diverged"] = note.get("diverged") or note["trunk_diverged"]
            state, ends = self._advance(runs, state, start, runs[0].steps, notes, branches)
        if all(lost is not None for _, lost in ends):
            measured: Sequence[dict[str, Any]] = [{"L": math.nan}] * len(runs)
        else:
            held_out = self.setting.held_out.as_asked(runs[0].model)
            measured = measure(self.program, state.parameters, held_out)
        return [
            self._result(run, note, end, found)
            for run, note, end, found in zip(runs, notes, ends, measured, strict=True)
        ]

    def _result(
        self,
        run: Run,
        notes: dict[str, Any],
        end: tuple[float, int | None],
        measured: dict[str, Any],
    ) -> dict[str, Any]:
        seconds, lost = end
        population_id = self.population.population_id
        if notes["trunk_diverged"] is not None:
            return diverged(run, population_id, notes["trunk_diverged"], TRUNK)
        if lost is not None or not math.isfinite(measured["L"]):  # or the last update itself overflowed
            return diverged(run, population_id, lost or run.steps, BRANCH)
        return done(
            run,
            population_id,
            D_unique=unique_tokens(self.setting.train, run.tokens),
            device_seconds=seconds,
            trunk_device_seconds=notes["trunk_device_seconds"],
            compile_seconds=self.setting.compile_seconds,
            mfu=self._mfu(run, run.decay_steps * run.optim.batch_tokens / max(seconds, 1e-9), 1),
            device=self.program.mesh.devices.flat[0].device_kind,
            devices=self.program.mesh.size,
            precision=self.program.precision,
            **measured,
        )

    def _trunks(
        self, runs: Sequence[Run], blank: State, likes: Sequence[Any], trunks: PopulationCheckpoints
    ) -> tuple[State, list[tuple[float, int | None]]]:
        """The trunks' state at the step where `runs` leave them, trained up to there from the nearest checkpoint; each
        member's device-seconds, and the step at which it diverged."""
        resumed = trunks.restore(likes, runs[0].decay_start, self.setting.display.say)
        if resumed:
            start, states, notes = resumed
            self._check_precision(runs[0], notes)
            state = self.program.together(states, blank)
        else:
            begun = {"device_seconds": 0.0, "precision": self.program.precision}
            start, state, notes = 0, blank, [dict(begun) for _ in runs]
        return self._advance(runs, state, start, runs[0].decay_start, notes, trunks)

    def _check_precision(self, run: Run, notes: Sequence[dict[str, Any]]) -> None:
        """Raise UserError where training that was begun in another precision would go on in this one."""
        for begun in (note["precision"] for note in notes):
            if begun != self.program.precision:
                raise UserError(
                    f"{run.name} was begun in {begun} and cannot go on in {self.program.precision}: "
                    f"use --precision {begun}, or another --out"
                )

    def _advance(
        self,
        runs: Sequence[Run],
        state: State,
        start: int,
        stop: int,
        notes: Sequence[dict[str, Any]],
        checkpoints: PopulationCheckpoints,
    ) -> tuple[State, list[tuple[float, int | None]]]:
        """The state at `stop`; each member's device-seconds on its trunk or branch in all, and the step at which it
        diverged."""
        first, setting = runs[0], self.setting
        clock = Clock(self.program.mesh.size / len(runs))
        watch = Watch(setting.display.progress, setting.stop_wanted, setting.checkpoint_seconds)
        flops = training_flops(first.model, first.optim.batch_tokens) * len(runs)
        setting.display.begin(self._name(runs, stop), start, stop, flops)
        with contextlib.ExitStack() as stack:
            members = [
                Member.of(
                    stack.enter_context(setting.logs.of(run, each.folder.parent, stop == run.decay_start)),
                    run.order_seed,
                    note,
                )
                for run, note, each in zip(runs, notes, checkpoints.members, strict=True)
            ]
            trainer = Trainer(
                self.program,
                setting.train,
                members,
                first.batch_rows,
                checkpoints,
                clock,
                watch,
                lambda pace: self._mfu(first, pace, clock.devices),
            )
            if not trainer.lost:
                state = trainer.advance(state, start, stop)
            return state, [
                (member.device_seconds(clock.device_seconds), member.diverged) for member in members
            ]

    def _mfu(self, run: Run, tokens_per_second: float, devices: float) -> float | None:
        if run.model.kind == "linear":  # PaLM counts matrix products, and it has none
            return None
        device = self.program.mesh.devices.flat[0]
        peak = peak_of(device.device_kind)
        return mfu(palm(run.model), tokens_per_second, devices, peak, self.program.precision)

    def _name(self, runs: Sequence[Run], stop: int) -> str:
        first = runs[0]
        name = f"{first.trunk_name} trunk" if stop == first.decay_start else first.name
        return name if len(runs) == 1 else f"{name} and {len(runs) - 1} more"

    def _likes(self, blank: State) -> list[Any]:
        """A member's state for each member, as shapes and places."""
        if self.program.members == 1:
            return [blank]
        one = next(self.program.apart(blank))
        return [jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), one)] * (
            self.program.members
        )
