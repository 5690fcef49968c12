"""What is left of a study, as its files say: finished runs, trunks that have come far enough, tasks for an engine."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scaling.execution import Execution
from scaling.folder import StudyFolder
from scaling.launching.display import outcome
from scaling.launching.filling import members_asked, members_of_accelerators
from scaling.launching.launch import Launch
from scaling.launching.standing import has_trunk
from scaling.launching.task import Task, tasks_of
from scaling.plan import Job, Plan
from scaling.population import populations
from scaling.spec import Run


class Results:
    """Which runs are finished; what was found once is not read again."""

    def __init__(self, folder: StudyFolder, runs: Sequence[Run]) -> None:
        self.folder, self.runs = folder, runs
        self.outcomes: dict[Run, str] = {}
        """What came of each, in words."""
        self.diverged = 0
        self.before = sum(self.of(run) for run in runs)
        """Runs that were finished at first."""

    def of(self, run: Run) -> bool:
        """Whether a run has its result."""
        if run not in self.outcomes and (result := self.folder.result(run)) is not None:
            self.outcomes[run] = outcome(result)
            self.diverged += result["status"] == "diverged"
        return run in self.outcomes

    def all_of(self, task: Task) -> bool:
        """Whether everything that a task is for is there: its results, or the checkpoints that branches wait for."""
        if task.part == "trunk":
            left = [runs for runs in task.population.budgets if not all(self.of(run) for run in runs)]
            return all(has_trunk(self.folder, runs) for runs in left)
        return all([self.of(run) for run in task.runs])


def pending_tasks(
    plan: Plan, results: Results, execution: Execution, launch: Launch, places: int
) -> tuple[Task, ...]:
    """The tasks that are left, in populations that fill their devices and leave no place empty.

    Populations that were begun stay together, unless `execution` asks for smaller ones. A trunk whose branches find
    their checkpoints is no task.
    """
    left = sum(not all(results.of(run) for run in job.runs) for job in plan.jobs)
    share = max(1, math.ceil(left / max(1, places)))

    def members(job: Job) -> int:
        asked = members_asked(execution)
        own = launch.for_model(job.runs[0].model)
        if asked is not None or own.accelerators == 0 or own.hosts > 1 or own.slice:
            return asked or 1
        return min(share, members_of_accelerators(job, own.accelerators))

    most = execution.pack or math.inf
    begun = [trunks for trunks in results.folder.begun_populations() if len(trunks) <= most]
    made = populations(plan.jobs, members, begun, results.of)
    apart = launch.branches == "apart" or (launch.branches == "auto" and places > len(made))
    tasks = tasks_of(made, apart, results.of)
    return tuple(task for task in tasks if task.part != "trunk" or not results.all_of(task))
