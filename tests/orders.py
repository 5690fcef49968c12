"""Orders for workers on a tiny study that is planned and not trained: shared by the tests of workers and engines."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

from scaling.execution import Execution
from scaling.folder import StudyFolder
from scaling.launching.engine import Ending, Order
from scaling.launching.journal import new_token
from scaling.launching.launch import Launch
from scaling.launching.recording import Recording
from scaling.launching.task import Task, tasks_of
from scaling.launching.versions import versions
from scaling.plan import Recipe, make_plan, product
from scaling.population import populations
from scaling.spec import Study


def variant(study: Study, widths=(8,), budgets=(10240, 30720), rates=(1e-2,)) -> Study:
    """A tiny study with other knobs, on the corpus of one whose corpus is prepared."""
    first = study.runs[0]
    models = [dataclasses.replace(first.model, width=width) for width in widths]
    runs = []
    for rate in rates:
        recipe = Recipe(data=first.data, optim=dataclasses.replace(first.optim, lr=rate))
        runs += product(models, budgets, recipe)
    return Study(name="tiny", question="", runs=tuple(runs))


class Planned:
    """A study that is planned in a folder of its own; `pack` says how many trunks are trained together."""

    def __init__(self, study, path: Path, data_folder: Path, pack: int = 1) -> None:
        self.folder, self.data_folder = StudyFolder(path), data_folder
        self.plan = make_plan(study)
        self.folder.write_study(self.plan.study, iter(self.plan.lines()))
        self.populations = populations(self.plan.jobs, lambda _: pack)

    def tasks(self, apart: bool) -> tuple[Task, ...]:
        return tasks_of(self.populations, apart, lambda run: self.folder.result(run) is not None)

    def order(self, task: Task, attempt: int = 1, seconds: float = 60.0, **changes) -> Order:
        launch = changes.pop("launch", Launch())
        made = Order(
            study=str(self.folder.path),
            spec_sha256=self.plan.study.spec_sha256,
            task_id=task.task_id,
            trunk_ids=task.population.trunk_ids,
            part=task.part,
            budget=task.budget,
            attempt=attempt,
            token=new_token(),
            data_folder=str(self.data_folder),
            execution=dataclasses.asdict(Execution()),
            recording=dataclasses.asdict(Recording(seconds)),
            launch=dataclasses.asdict(launch),
            versions=dict(versions()),
        )
        return dataclasses.replace(made, **changes)

    def start(self, order: Order, **options) -> subprocess.Popen:
        """A worker on the order, in a process of its own."""
        place = self.folder.path.parent / f"order-{order.token[:8]}.json"
        place.write_text(order.to_json())
        command = [
            sys.executable,
            "-m",
            "scaling.launching.working.worker",
            str(place),
            str(self.ending_of(order)),
        ]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
        )

    def ending_of(self, order: Order) -> Path:
        return Path(self.folder.path).parent / f"ending-{order.token[:8]}.json"

    def work(self, order: Order, **options) -> Ending:
        """The ending of a worker on the order."""
        process = self.start(order, **options)
        said, _ = process.communicate()
        assert process.returncode == 0, said
        return Ending(**json.loads(self.ending_of(order).read_text()))

    def log(self, task: Task) -> str:
        return (self.folder.path / "jobs" / f"{task.task_id}.log").read_text()
