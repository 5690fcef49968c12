"""Tasks: what one worker trains at a time, and the graph of what must come before what. Pure; nothing imports JAX."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from scaling.accounting import training_flops
from scaling.population import Population
from scaling.record import short_hash
from scaling.spec import Run

Part = Literal["whole", "trunk", "branch"]


@dataclass(frozen=True)
class Task:
    """A population trained whole, or its trunks alone, or its decay branches of one budget.

    A branch may begin when the trunk's task has a checkpoint at the step where the branch leaves it.
    """

    population: Population
    part: Part = "whole"
    budget: int = -1
    """Of a branch: which of `population.budgets`, shortest first."""

    @property
    def task_id(self) -> str:
        """Letters, digits and hyphens, so that it can name a file: hash of the trunks, the part, the steps."""
        trunks = short_hash(" ".join(self.population.trunk_ids))
        if self.part != "branch":
            return f"{trunks}-{self.part}"
        first = self.population.budgets[self.budget][0]
        return f"{trunks}-branch-{first.steps}-{first.decay_steps}"

    @property
    def after(self) -> str | None:
        """The id of the trunk's task that must have come to `leaves` before this one may begin."""
        return Task(self.population, "trunk").task_id if self.part == "branch" else None

    @property
    def leaves(self) -> int:
        """The trunk's step that a branch needs, and that a trunk ends at."""
        budgets = self.population.budgets
        return (budgets[self.budget] if self.part == "branch" else budgets[-1])[0].decay_start

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs whose results this task writes; none for a trunk."""
        if self.part == "trunk":
            return ()
        budgets = self.population.budgets if self.part == "whole" else (self.population.budgets[self.budget],)
        return tuple(run for members in budgets for run in members)

    @property
    def steps(self) -> int:
        """Optimiser steps from its start, of all members at once."""
        if self.part == "whole":
            return self.population.jobs[0].steps
        return self.population.budgets[self.budget][0].decay_steps if self.part == "branch" else self.leaves

    @property
    def step_flops(self) -> float:
        """Training FLOPs of a step, all members."""
        first = self.population.jobs[0].runs[0]
        return self.population.members * training_flops(first.model, first.optim.batch_tokens)

    @property
    def flops(self) -> float:
        """Training FLOPs from its start, all members."""
        return self.steps * self.step_flops

    @property
    def name(self) -> str:
        """What a person reads."""
        first = self.population.jobs[0].runs[0]
        others = f" and {self.population.members - 1} more" if self.population.members > 1 else ""
        if self.part == "branch":
            return f"{self.population.budgets[self.budget][0].name}{others}"
        return f"{first.trunk_name}{' trunk' if self.part == 'trunk' else ''}{others}"


def tasks_of(
    populations: Iterable[Population], apart: bool, finished: Callable[[Run], bool] = lambda _: False
) -> tuple[Task, ...]:
    """The tasks that are left of populations, each whole or, `apart`, a trunk and its branches."""
    made: list[Task] = []
    for population in populations:
        left = [
            number for number, runs in enumerate(population.budgets) if not all(finished(run) for run in runs)
        ]
        if not left:
            continue
        if apart and len(population.budgets) > 1:
            made.append(Task(population, "trunk"))
            made += [Task(population, "branch", number) for number in left]
        else:
            made.append(Task(population))
    return tuple(made)


def trunks_of(tasks: Sequence[Task]) -> dict[str, Task]:
    """The trunk tasks by their id."""
    return {task.task_id: task for task in tasks if task.part == "trunk"}
