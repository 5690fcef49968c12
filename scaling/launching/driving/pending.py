"""What is left of a study, as its files say: finished runs, trunks that have come far enough, tasks for an engine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from scaling.execution import Execution
from scaling.folder import StudyFolder
from scaling.launching.begun import begun
from scaling.launching.display import outcome
from scaling.launching.filling import members_asked, members_of_accelerators
from scaling.launching.launch import Launch
from scaling.launching.standing import has_trunk
from scaling.launching.task import Task, tasks_of
from scaling.plan import Job, Plan
from scaling.population import populations
from scaling.spec import Run
from scaling.storage import pooled
from scaling.survey import survey


class Results:
    """Which runs are finished; what was found once is not read again."""

    def __init__(self, folder: StudyFolder, runs: Sequence[Run]) -> None:
        self.folder, self.runs = folder, runs
        self.survey = survey(folder, runs)
        """What was there at first, which is not asked for again while a driver starts."""
        self.outcomes: dict[Run, str] = {}
        """What came of each, in words."""
        self.diverged = 0
        for run, result in self.survey.found.items():
            self.add(run, result)
        self.before = len(self.outcomes)
        """Runs that were finished at first."""

    def add(self, run: Run, result: dict[str, Any]) -> None:
        """A result has been read."""
        if run not in self.outcomes:
            self.outcomes[run] = outcome(result)
            self.diverged += result["status"] == "diverged"

    def of(self, run: Run) -> bool:
        """Whether a run has its result; asks where it had none so far."""
        self.ask([run])
        return run in self.outcomes

    def ask(self, runs: Sequence[Run]) -> None:
        """Read the results of some runs, many at a time."""
        unknown = [run for run in runs if run not in self.outcomes]
        for run, result in zip(unknown, pooled(self.folder.result, unknown), strict=True):
            if result is not None:
                self.add(run, result)

    def all_of(self, task: Task) -> bool:
        """Whether everything that a task is for is there: its results, or the checkpoints that branches wait for."""
        if task.part == "trunk":
            self.ask([run for runs in task.population.budgets for run in runs])
            return self._reached(task, self.folder)
        self.ask(task.runs)
        return self.outcomes.keys() >= set(task.runs)

    def all_were_of(self, trunk: Task) -> bool:
        """Whether everything that a trunk is for was there at first."""
        return self._reached(trunk, self.survey)

    def _reached(self, trunk: Task, folder: StudyFolder) -> bool:
        left = [runs for runs in trunk.population.budgets if not self.outcomes.keys() >= set(runs)]
        return all(has_trunk(folder, runs) for runs in left)


def pending_tasks(
    plan: Plan, results: Results, execution: Execution, launch: Launch, places: int
) -> tuple[Task, ...]:
    """The tasks that are left, in populations that fill their devices and leave no place empty.

    What was begun stays as it is, alone or in its population, unless `execution` asks for smaller ones. A trunk whose
    branches find their checkpoints is no task.
    """
    finished = results.outcomes.__contains__
    left = sum(not all(map(finished, job.runs)) for job in plan.jobs)
    share = max(1, math.ceil(left / max(1, places)))

    def members(job: Job) -> int:
        asked = members_asked(execution)
        own = launch.for_model(job.runs[0].model)
        if asked is not None or own.accelerators == 0 or own.hosts > 1 or own.slice:
            return asked or 1
        return min(share, members_of_accelerators(job, own.accelerators))

    kept = begun(results.survey, plan.jobs, execution, finished)
    made = populations(plan.jobs, members, kept, finished)
    apart = launch.branches == "apart" or (launch.branches == "auto" and places > len(made))
    tasks = tasks_of(made, apart, finished)
    return tuple(task for task in tasks if task.part != "trunk" or not results.all_were_of(task))
