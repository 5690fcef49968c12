"""What a driver tells a worker to do."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from scaling.execution import Execution
from scaling.folder import StudyFolder
from scaling.launching.engine import Order
from scaling.launching.journal import new_token
from scaling.launching.launch import Launch
from scaling.launching.recording import Recording
from scaling.launching.task import Task


@dataclass(frozen=True)
class Orders:
    """What all orders of a study have in common."""

    folder: StudyFolder
    spec_sha256: str
    data_folder: Path
    recording: Recording
    execution: Execution
    launch: Launch

    def of(self, task: Task, task_id: str, attempt: int, avoid: tuple[str, ...] = ()) -> Order:
        """The order to a worker to try a task; the population that it trains is remembered."""
        from scaling.launching.versions import versions

        population = task.population
        self.folder.begin_population(population.population_id, population.trunk_ids)
        return Order(
            study=str(self.folder.path),
            spec_sha256=self.spec_sha256,
            task_id=task_id,
            trunk_ids=population.trunk_ids,
            part=task.part,
            budget=task.budget,
            attempt=attempt,
            token=new_token(),
            data_folder=str(self.data_folder),
            execution=dataclasses.asdict(self.execution),
            recording=dataclasses.asdict(self.recording) | {"copies": list(self.recording.copies)},
            launch=dataclasses.asdict(self.launch.for_task(task)) | {"larger": []},
            versions=dict(versions()),
            avoid=avoid,
        )
