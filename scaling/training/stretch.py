"""A population's way along its trunks or one budget's branches: from the nearest checkpoint to a step."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax

from scaling.accounting import palm, training_flops
from scaling.data.batches import unique_tokens
from scaling.devices import mfu, peak_of
from scaling.errors import UserError
from scaling.population import Population
from scaling.results import diverged, done
from scaling.spec import Run
from scaling.training.checkpoint import PopulationCheckpoints
from scaling.training.disk import CheckpointError, DamagedTrunk
from scaling.training.evaluation import measure
from scaling.training.loop import Clock, Member, Trainer, Watch
from scaling.training.program import Program
from scaling.training.setting import Setting
from scaling.training.state import State

TRUNK, BRANCH = "trunk", "decay branch"

Fates = list[tuple[float, int | None]]
"""Of each member: its device-seconds on a trunk or branch in all, and the step at which it diverged."""


@dataclass(frozen=True)
class Training:
    """A population in training."""

    population: Population
    program: Program
    setting: Setting

    def results(
        self, runs: Sequence[Run], trunks: PopulationCheckpoints, only_there: bool = False
    ) -> list[dict[str, Any]]:
        """Train the members' runs of one budget to their end, and measure them.

        `only_there` takes the trunks' checkpoint from where another process saves it, and never trains a trunk.
        """
        say = self.setting.display.say
        folders = [self.setting.folder.run(run) / "checkpoints" for run in runs]
        with PopulationCheckpoints(folders) as branches:
            blank = self.program.initial_state(runs)
            likes = self._likes(blank)
            resumed = branches.restore(likes, runs[0].steps, say)
            if resumed:
                start, states, notes = resumed
                self._check_origin(runs[0], notes)
                state = self.program.together(states, blank)
            else:
                start = runs[0].decay_start
                begin = self._left_trunks if only_there else self._trunks
                state, members = begin(runs, blank, likes, trunks)
                state = self.program.branch_off(state, runs)
                notes = [
                    {
                        "device_seconds": 0.0,
                        "trunk_device_seconds": seconds,
                        "trunk_diverged": lost,
                        **self._origin,
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

    def trunk_fates(self, runs: Sequence[Run], trunks: PopulationCheckpoints) -> Fates:
        """Train the trunks to the step where `runs` leave them, and save them there; what came of each."""
        blank = self.program.initial_state(runs)
        return self._trunks(runs, blank, self._likes(blank), trunks)[1]

    def _left_trunks(
        self, runs: Sequence[Run], blank: State, likes: Sequence[Any], trunks: PopulationCheckpoints
    ) -> tuple[State, Fates]:
        """The trunks' state at the step where `runs` leave them, as another process has saved it; raises
        CheckpointError where it has not."""
        step = runs[0].decay_start
        if step == 0:
            return blank, [(0.0, None)] * len(runs)
        there = step in trunks.steps()
        resumed = trunks.restore(likes, step, self.setting.display.say) if there else None
        if resumed is None or resumed[0] != step:
            raise (DamagedTrunk if there else CheckpointError)(
                f"the trunk of {runs[0].name} has no sound checkpoint of step {step}, where this branch begins, in "
                f"{trunks.members[0].folder}: train the trunk to there first"
            )
        _, states, notes = resumed
        self._check_origin(runs[0], notes)
        return self.program.together(states, blank), [
            (note["device_seconds"], note.get("diverged")) for note in notes
        ]

    def _trunks(
        self, runs: Sequence[Run], blank: State, likes: Sequence[Any], trunks: PopulationCheckpoints
    ) -> tuple[State, Fates]:
        """The trunks' state at the step where `runs` leave them, trained up to there from the nearest checkpoint."""
        resumed = trunks.restore(likes, runs[0].decay_start, self.setting.display.say)
        if resumed:
            start, states, notes = resumed
            self._check_origin(runs[0], notes)
            state = self.program.together(states, blank)
        else:
            begun = {"device_seconds": 0.0, **self._origin}
            start, state, notes = 0, blank, [dict(begun) for _ in runs]
        return self._advance(runs, state, start, runs[0].decay_start, notes, trunks)

    @property
    def _origin(self) -> dict[str, str]:
        """What decides the numbers besides the spec; kept with every checkpoint as it was at the first step."""
        device = self.program.mesh.devices.flat[0].device_kind
        return {"precision": self.program.precision, "source": self.setting.source, "device": device}

    def _check_origin(self, run: Run, notes: Sequence[dict[str, Any]]) -> None:
        """Say where training was begun by another source of this package or on another kind of device; raise UserError
        where it was begun in another precision."""
        for name, words in (("source", "source of this package (its hash)"), ("device", "kind of device")):
            ours = self._origin[name]
            for before in sorted({note.get(name) or ours for note in notes} - {ours}):
                self.setting.display.say(
                    f"{run.name} was begun with another {words}, {before}, and goes on with {ours}: its last "
                    "digits may differ from those of a run that had one alone"
                )
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
    ) -> tuple[State, Fates]:
        """The state at `stop`, and what came of each member."""
        first, setting = runs[0], self.setting
        clock = Clock(self.program.mesh.size / len(runs))
        watch = Watch(
            setting.display.progress, setting.stop_wanted, setting.checkpoint_seconds, setting.before_writing
        )
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
