"""How far a task is by its files alone: results and checkpoints. Imports no JAX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scaling.folder import StudyFolder
from scaling.folder import checkpoint_steps as checkpoint_steps
from scaling.launching.task import Task
from scaling.spec import Run


def is_finished(folder: StudyFolder, task: Task) -> bool:
    """Whether nothing is left to train: all runs have results; of a trunk, each run has its result or the checkpoint
    that it begins at."""
    if task.part == "trunk":
        return all(_has_results(folder, runs) or has_trunk(folder, runs) for runs in task.population.budgets)
    return _has_results(folder, task.runs)


def has_trunk(folder: StudyFolder, runs: Sequence[Run]) -> bool:
    """Whether the trunks of a budget's runs have a checkpoint where these leave them."""
    step = runs[0].decay_start
    return step == 0 or all(step in folder.saved(f"trunk-{run.trunk_id}") for run in runs)


def may_begin(folder: StudyFolder, task: Task) -> bool:
    """Whether a branch finds what it begins at; a whole population or a trunk always may."""
    return task.part != "branch" or has_trunk(folder, task.runs)


def claim_paths(folder: StudyFolder, task: Task) -> tuple[Any, ...]:
    """The claims that whoever works on a task takes, in this order: its own, by which the others are held, then one for
    each trunk and run that it writes, sorted, so that of two who wait neither has what the other waits for."""
    trunks = () if task.part == "branch" else task.population.trunk_ids
    written = sorted([f"trunk-{trunk}" for trunk in trunks] + [f"run-{run.run_id}" for run in task.runs])
    return (own_claim(folder, task.task_id), *(folder.path / "claims" / name for name in written))


def own_claim(folder: StudyFolder, task_id: str) -> Any:
    """The claim of whoever works on a task."""
    return folder.path / "claims" / f"task-{task_id}"


def steps_of(task: Task) -> int:
    """Optimiser steps of the whole task."""
    trunk = 0 if task.part == "branch" else task.leaves
    return trunk + sum(runs[0].decay_steps for runs in _budgets(task))


def steps_done(folder: StudyFolder, task: Task) -> int:
    """Of `steps_of` those that are finished or saved, so that no attempt trains them again; read of the member that is
    saved last."""
    done = 0
    if task.part != "branch":
        last = [runs[-1] for runs in task.population.budgets]
        left = [run.decay_start for run in last if folder.result(run) is not None]
        done += min(max([0, *folder.saved(f"trunk-{last[0].trunk_id}"), *left]), task.leaves)
    for runs in _budgets(task):
        run = runs[-1]
        if folder.result(run) is not None:
            done += run.decay_steps
        else:
            done += max([run.decay_start, *folder.saved(run.run_id)]) - run.decay_start
    return done


def _budgets(task: Task) -> Sequence[Sequence[Run]]:
    """The budgets whose runs the task writes results of."""
    if task.part == "trunk":
        return ()
    return task.population.budgets if task.part == "whole" else (task.runs,)


def _has_results(folder: StudyFolder, runs: Sequence[Run]) -> bool:
    return all(folder.result(run) is not None for run in runs)
