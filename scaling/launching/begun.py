"""What training was begun with, and goes on as: no job is packed with others in a way that gives up what it saved."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from scaling.execution import Execution
from scaling.folder import StudyFolder
from scaling.plan import Job
from scaling.spec import Run


def begun(
    folder: StudyFolder, jobs: Sequence[Job], execution: Execution, finished: Callable[[Run], bool]
) -> list[list[str]]:
    """The trunk ids of what stays as it was begun: populations, unless `execution` asks for smaller ones, and each
    trunk that has checkpoints of its own and never was of a population: in one it would go back to its first step."""
    together = folder.begun_populations()
    members = {trunk for trunks in together for trunk in trunks}

    def has_saved(job: Job) -> bool:
        left = [run for run in job.runs if not finished(run)]
        names = [f"trunk-{job.trunk_id}", *(run.run_id for run in left)] if left else []
        return any(folder.saved(name) for name in names)

    alone = [[job.trunk_id] for job in jobs if job.trunk_id not in members and has_saved(job)]
    return [trunks for trunks in together if len(trunks) <= (execution.pack or math.inf)] + alone
