"""Where the files of a study lie, and the lock that keeps it to one process."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.errors import UserError
from scaling.spec import Run, SpecError, Study, from_json, to_json
from scaling.storage import check_writable as check_writable
from scaling.storage import write_whole as write_whole


@dataclass(frozen=True)
class StudyFolder:
    """`runs/<study>/`: study.json, plan.jsonl, table.csv, a folder a run and a folder a trunk."""

    path: Path

    @property
    def study_json(self) -> Path:
        """The study's canonical JSON."""
        return self.path / "study.json"

    @property
    def plan_jsonl(self) -> Path:
        """One line a run."""
        return self.path / "plan.jsonl"

    @property
    def table_csv(self) -> Path:
        """One row a finished run."""
        return self.path / "table.csv"

    def run(self, run: Run) -> Path:
        """The folder of a run: metrics.jsonl, checkpoints, result.json."""
        return self.path / run.run_id

    def trunk(self, run: Run) -> Path:
        """The folder of a run's trunk: metrics.jsonl and checkpoints."""
        return self.path / f"trunk-{run.trunk_id}"

    def result(self, run: Run) -> dict[str, Any] | None:
        """What a finished run says of itself, None while it is not finished."""
        path = self.run(run) / "result.json"
        try:
            return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        except ValueError:
            raise UserError(
                f"{path} is damaged; delete it, and `run` measures this run again from its last checkpoint"
            ) from None

    def begun_populations(self) -> list[list[str]]:
        """The trunk ids of each population that training was begun with, in the order of their names."""
        return [json.loads(path.read_text()) for path in sorted(self.path.glob("population-*.json"))]

    def begin_population(self, population_id: str | None, trunk_ids: Sequence[str]) -> None:
        """Remember that these trunks are trained together; a trunk on its own needs no memory."""
        if population_id is not None:
            path = self.path / f"population-{population_id}.json"
            if not path.exists():
                write_whole(path, json.dumps(list(trunk_ids)) + "\n")

    def study(self) -> Study:
        """The study last planned here; raises SpecError where there is none."""
        if not self.study_json.is_file():
            raise SpecError(
                f"{self.path} is no study folder (it has no study.json); name one that `run` made"
            )
        return from_json(Study, self.study_json.read_bytes().decode("utf-8", errors="replace"))

    def write_study(self, study: Study, plan_lines: Iterator[str]) -> None:
        """Write study.json and plan.jsonl, each whole or not at all."""
        write_whole(self.study_json, to_json(study) + "\n")
        write_whole(self.plan_jsonl, "".join(line + "\n" for line in plan_lines))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the study for this process; raises UserError that names the holder where another has it.

        The lock goes with its process, however that ends.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / ".lock").open("a+", encoding="utf-8")
        except OSError as error:
            raise UserError(
                f"cannot write to {self.path} ({error.strerror}); mend that, or choose another --out"
            ) from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "another process"
                raise UserError(
                    f"the study {self.path} is being run by {holder}; wait for it, or stop it and run this again"
                ) from None
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
            yield
