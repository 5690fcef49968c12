"""Where the files of a study lie, and the lock that keeps it to one process."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from scaling.errors import UserError
from scaling.launching.lock import locked
from scaling.spec import Run, SpecError, Study, from_json, to_json
from scaling.storage import as_path, children, clear_storage_errors, is_local, read_whole
from scaling.storage import check_writable as check_writable
from scaling.storage import write_whole as write_whole


@dataclass(frozen=True)
class StudyFolder:
    """`runs/<study>/`: study.json, plan.jsonl, table.csv, a folder a run and a folder a trunk.

    It lies on a disk of this machine or of the network, or in a bucket (`gs://BUCKET/runs/<study>`).
    """

    path: Any
    """A path or URL; kept as `scaling.storage.as_path` gives it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", as_path(self.path))

    @property
    def study_json(self) -> Any:
        """The study's canonical JSON."""
        return self.path / "study.json"

    @property
    def plan_jsonl(self) -> Any:
        """One line a run."""
        return self.path / "plan.jsonl"

    @property
    def table_csv(self) -> Any:
        """One row a finished run."""
        return self.path / "table.csv"

    def run(self, run: Run) -> Any:
        """The folder of a run: metrics.jsonl, checkpoints, result.json."""
        return self.path / run.run_id

    def trunk(self, run: Run) -> Any:
        """The folder of a run's trunk: metrics.jsonl and checkpoints."""
        return self.path / f"trunk-{run.trunk_id}"

    def result(self, run: Run) -> dict[str, Any] | None:
        """What a finished run says of itself, None while it is not finished."""
        path = self.run(run) / "result.json"
        content = read_whole(path)
        try:
            return None if content is None else json.loads(content)
        except ValueError:
            raise UserError(
                f"{path} is damaged; delete it, and `run` measures this run again from its last checkpoint"
            ) from None

    def saved(self, name: str) -> list[int]:
        """Steps of the finished checkpoints in one of its folders, of a run or a trunk, in order."""
        return checkpoint_steps(self.path / name)

    def begun_populations(self) -> list[list[str]]:
        """The trunk ids of each population that training was begun with, in the order of their names."""
        names = [name for name in children(self.path) if re.fullmatch(r"population-.*\.json", name)]
        return [json.loads(read_whole(self.path / name) or b"[]") for name in names]

    def begin_population(self, population_id: str | None, trunk_ids: Sequence[str]) -> None:
        """Remember that these trunks are trained together; a trunk on its own needs no memory."""
        if population_id is not None:
            path = self.path / f"population-{population_id}.json"
            if not path.exists():
                write_whole(path, json.dumps(list(trunk_ids)) + "\n")

    def study(self) -> Study:
        """The study last planned here; raises SpecError where there is none."""
        content = read_whole(self.study_json)
        if content is None:
            raise SpecError(
                f"{self.path} is no study folder (it has no study.json); name one that `run` made"
            )
        return from_json(Study, content.decode("utf-8", errors="replace"))

    def write_study(self, study: Study, plan_lines: Iterator[str]) -> None:
        """Write study.json and plan.jsonl, each whole or not at all."""
        write_whole(self.study_json, to_json(study) + "\n")
        write_whole(self.plan_jsonl, "".join(line + "\n" for line in plan_lines))

    def locked(self) -> contextlib.AbstractContextManager[Callable[[], bool]]:
        """Hold the study for this process; raises UserError that names the holder where another has it.

        In the block, a function says whether it is still held: on a disk it always is.
        """
        return locked(self.path)


def checkpoint_steps(path: Any) -> list[int]:
    """Steps of the finished checkpoints in the folder of a run or trunk, in order."""
    folder = path / "checkpoints"
    if is_local(folder):
        return sorted(int(name) for name in children(folder) if name.isdigit())
    with clear_storage_errors(f"cannot read {folder}"):
        # in a bucket a step has its name before it is finished
        return sorted(int(done.parent.name) for done in folder.glob("*/commit_success.txt"))
