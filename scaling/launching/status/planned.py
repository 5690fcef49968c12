"""Runs as plan.jsonl has them: what a status needs of a run, without the spec."""

from __future__ import annotations

import json
from dataclasses import dataclass

from scaling.accounting import training_flops
from scaling.plan import make_plan
from scaling.spec import Study


@dataclass(frozen=True)
class Planned:
    """A run as plan.jsonl has it."""

    run_id: str
    name: str
    trunk_id: str
    tokens: float
    flops: float
    """From scratch."""
    steps: int
    decay_start: int

    @property
    def step_flops(self) -> float:
        """FLOPs of one step."""
        return self.flops / self.steps


def from_line(line: str) -> Planned:
    """A run of a line of plan.jsonl; raises ValueError, KeyError or TypeError for another line."""
    told = json.loads(line)
    names = ("run_id", "name", "trunk_id", "D", "C", "steps", "decay_start")
    return Planned(*(told[name] for name in names))


def planned_runs(study: Study) -> tuple[Planned, ...]:
    """The runs of a study in the order of its plan."""
    runs = (run for job in make_plan(study).jobs for run in job.runs)
    return tuple(
        Planned(
            run.run_id,
            run.name,
            run.trunk_id,
            run.tokens,
            training_flops(run.model, run.tokens),
            run.steps,
            run.decay_start,
        )
        for run in runs
    )
