"""Populations: jobs of one shape that are trained together, each a member of one state with a leading axis."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from scaling.plan import Job
from scaling.record import short_hash
from scaling.spec import Run, SpecError


@dataclass(frozen=True)
class Population:
    """One job or more, alike in all but what lives in the state: the settings of scaling/training/state.py.

    Raises SpecError for jobs of different shapes.
    """

    jobs: tuple[Job, ...]

    def __post_init__(self) -> None:
        first = self.jobs[0]
        for job in self.jobs[1:]:
            if shape_of(job) != shape_of(first):
                a, b = job.runs[0], first.runs[0]
                raise SpecError(
                    f"{a.name} and {b.name} cannot be members of one population ({_difference(job, first)}): "
                    "train them apart"
                )

    @property
    def members(self) -> int:
        """Models trained together."""
        return len(self.jobs)

    @property
    def population_id(self) -> str | None:
        """Hash of the members' trunks; None for a job that is trained alone."""
        return short_hash(" ".join(self.trunk_ids)) if self.members > 1 else None

    @property
    def trunk_ids(self) -> tuple[str, ...]:
        """The members' trunks, in order."""
        return tuple(job.trunk_id for job in self.jobs)

    @property
    def budgets(self) -> tuple[tuple[Run, ...], ...]:
        """The members' runs of each budget, shortest first: [budgets][members]."""
        return tuple(zip(*(job.runs for job in self.jobs), strict=True))

    @property
    def flops(self) -> float:
        """Training FLOPs of all members."""
        return sum(job.flops for job in self.jobs)


def shape_of(job: Job) -> tuple[Any, ...]:
    """What members of one population share: all that is compiled in, and the steps at which branches begin and end."""
    run = job.runs[0]
    optim = dataclasses.replace(run.optim, lr=1.0, weight_decay=0.0)
    return run.model, run.data, optim, tuple((run.steps, run.decay_steps) for run in job.runs)


def populations(
    jobs: Sequence[Job],
    members: Callable[[Job], int],
    begun: Iterable[Sequence[str]] = (),
    finished: Callable[[Run], bool] = lambda _: False,
) -> tuple[Population, ...]:
    """Jobs that are not finished, in populations of at most `members(job)` of one shape, cheapest first.

    Members have the same runs left to train, so that none is trained again to keep another company. A population that
    was `begun` (its trunk ids) is kept together until all of it is finished, so that training that was interrupted goes
    on in the same program and ends bitwise the same.
    """

    def left(job: Job) -> tuple[bool, ...]:
        return tuple(not finished(run) for run in job.runs)

    by_trunk = {job.trunk_id: job for job in jobs}
    made: list[Population] = []
    placed: set[str] = set()
    for trunks in begun:
        old = [by_trunk[trunk] for trunk in trunks if trunk in by_trunk and trunk not in placed]
        whole = len(old) == len(trunks) and len({shape_of(job) for job in old}) == 1
        if whole and any(any(left(job)) for job in old):
            made.append(Population(tuple(old)))
            placed.update(trunks)
    alike: dict[tuple[Any, ...], list[Job]] = {}
    for job in jobs:
        if job.trunk_id not in placed and any(left(job)):
            alike.setdefault((*shape_of(job), left(job)), []).append(job)
    for group in alike.values():
        size = max(1, members(group[0]))
        made += [Population(tuple(group[i : i + size])) for i in range(0, len(group), size)]
    return tuple(sorted(made, key=lambda population: population.jobs[0].flops))


def _difference(a: Job, b: Job) -> str:
    names = ("model", "data", "optimiser", "steps")
    parts = [name for name, x, y in zip(names, shape_of(a), shape_of(b), strict=True) if x != y]
    return "they differ in " + " and ".join(parts)
