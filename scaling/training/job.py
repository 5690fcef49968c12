"""A population's training: whole, its trunks alone, or one budget's branches, from wherever the files say it stands."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from scaling.folder import write_whole
from scaling.population import Population
from scaling.results import diverged
from scaling.spec import Run
from scaling.training.checkpoint import PopulationCheckpoints
from scaling.training.disk import DamagedTrunk
from scaling.training.hosts import is_writer, of_writer
from scaling.training.program import program_of
from scaling.training.setting import Display, Setting
from scaling.training.sharding import check_layout
from scaling.training.stretch import TRUNK, Training

__all__ = ["Display", "Setting", "train_part", "train_population"]


def train_part(population: Population, part: str, budget: int, setting: Setting) -> None:
    """Train `whole`, the `trunk` or the `branch` of one budget."""
    if part == "trunk":
        train_trunks(population, setting)
    elif part == "branch":
        train_branches(population, budget, setting)
    else:
        train_population(population, setting)


def train_population(population: Population, setting: Setting) -> None:
    """Train and measure every unfinished run of every member, shortest budget first; finished ones cost nothing.

    Each run writes its result when it is measured, so that work lost to a kill is what came after the last checkpoint.
    A member that diverges is recorded, and the others go on.
    """
    pending = _pending(population, setting)
    if not pending:
        return
    training = _training(population, setting)
    fates: list[dict[str, Any]] = []
    ended: int | None = None  # the step by which every trunk has diverged: nothing is left to train
    with _trunks(population, setting) as trunks:
        for runs in pending:
            if ended is not None and runs[0].decay_start >= ended:
                results = _lost_in_trunk(population, runs, [fate["step"] for fate in fates])
            else:
                results = training.results(runs, trunks)
            fates = [result["diverged"] for result in results]
            if all(fate and fate["part"] == TRUNK for fate in fates):
                ended = max(fate["step"] for fate in fates)
            _write(runs, results, setting)


def train_trunks(population: Population, setting: Setting) -> None:
    """Train the trunks to the last branch point, keeping a checkpoint at each that an unfinished branch begins at.

    Where every trunk diverges before a branch point, the runs that can never begin get their results here.
    """
    training = None
    ends: list[int] = []  # the steps at which the trunks diverged, where all have
    with _trunks(population, setting) as trunks:
        for runs in _pending(population, setting):
            if runs[0].decay_start in (0, *trunks.steps()):
                continue
            if not ends:
                training = training or _training(population, setting)
                fates = training.trunk_fates(runs, trunks)
                lost = [step for _, step in fates if step is not None]
                ends = lost if len(lost) == len(fates) else []
            if ends:
                _write(runs, _lost_in_trunk(population, runs, ends), setting)


def train_branches(population: Population, budget: int, setting: Setting) -> None:
    """Train and measure the runs of one of `population.budgets` from their trunks' checkpoint, which another process
    saves; raises CheckpointError where it is not there. One that is damaged is set aside, and the trunks are trained to
    there again from the one before."""
    runs = population.budgets[budget]
    if runs not in _pending(population, setting):
        return
    training = _training(population, setting)
    try:
        with _trunks(population, setting, reads_only=True) as trunks:
            results = training.results(runs, trunks, only_there=True)
    except DamagedTrunk:
        setting.display.say(
            f"the trunk of {runs[0].name} is trained to step {runs[0].decay_start} again here"
        )
        setting.claim_trunks()
        with _trunks(population, setting) as trunks:
            results = training.results(runs, trunks)
    _write(runs, results, setting)


def _pending(population: Population, setting: Setting) -> list[tuple[Run, ...]]:
    """The budgets of which not every run has a result, as the host that writes sees it."""
    found = [any(setting.folder.result(run) is None for run in runs) for runs in population.budgets]
    return [runs for runs, missing in zip(population.budgets, of_writer(found), strict=True) if missing]


def _training(population: Population, setting: Setting) -> Training:
    first = population.budgets[0][0]
    program = program_of(first, setting.execution, population.members)
    check_layout(first, program.mesh, setting.execution)
    if setting.trace is not None:
        program = dataclasses.replace(program, step=setting.trace.watch(program.step))
    return Training(population, program, setting)


def _trunks(population: Population, setting: Setting, reads_only: bool = False) -> PopulationCheckpoints:
    folders = [setting.folder.trunk(run) / "checkpoints" for run in population.budgets[0]]
    branch_points = [runs[0].decay_start for runs in population.budgets]
    return PopulationCheckpoints(folders, branch_points, reads_only)


def _lost_in_trunk(population: Population, runs: Sequence[Run], ends: Sequence[int]) -> list[dict[str, Any]]:
    """The results of runs that never begin, as their trunks diverged at these steps."""
    return [diverged(run, population.population_id, end, TRUNK) for run, end in zip(runs, ends, strict=True)]


def _write(runs: Sequence[Run], results: Sequence[dict[str, Any]], setting: Setting) -> None:
    """Write the results that are not there yet."""
    for run, result in zip(runs, results, strict=True):
        if setting.folder.result(run) is not None:
            continue
        setting.before_writing()
        if is_writer():
            text = json.dumps(result, indent=1, allow_nan=False) + "\n"
            write_whole(setting.folder.run(run) / "result.json", text)
        setting.display.finish(run, result)
