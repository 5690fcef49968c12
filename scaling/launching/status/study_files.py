"""What the files of a study say, read once or again and again: the only part of `status` that touches a disk."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from scaling.errors import UserError
from scaling.folder import StudyFolder
from scaling.launching.journal import (
    Beat,
    Driver,
    Job,
    read_beat,
    read_driver,
    read_job,
)
from scaling.launching.status.planned import Planned, from_line, planned_runs
from scaling.launching.status.remembered import Remembered
from scaling.storage import children, clear_storage_errors, is_local, read_end, read_whole, stamp, stamps

T = TypeVar("T")

LOG_LINES = 15
"""Of a failed job's log, from its end."""
LINE_WIDTH = 300
TAIL_BYTES = 16_384
CONTROL = re.compile(
    r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.)?|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
"""Escape sequences of a terminal, and other control characters but tab and line feed."""


@dataclass(frozen=True)
class StudyFiles:
    """All that the files of a study say at one moment."""

    path: str
    name: str
    question: str
    spec_sha256: str
    runs: tuple[Planned, ...]
    results: Mapping[str, Mapping[str, Any]]
    """Of the runs of the spec, by run_id: status, diverged, measured."""
    logged: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Of runs and trunks that are not finished, the last record of their metrics.jsonl, by the name of their folder."""
    jobs: tuple[Job, ...] = ()
    beats: Mapping[str, Beat] = field(default_factory=dict)
    """Of jobs that run, by task_id."""
    logs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of jobs that failed, the last lines that they printed."""
    driver: Driver | None = None
    damaged: tuple[str, ...] = ()
    """Names of job files that cannot be read."""
    tensorboard: bool = False

    @property
    def current(self) -> tuple[Job, ...]:
        """The jobs of whoever launches now; none where that one trains in its own process, whatever others left."""
        return self.jobs if self.driver is None or self.driver.jobs else ()


class StudyReader:
    """Reads a study's files; what has not changed since is not read again."""

    def __init__(self, folder: StudyFolder) -> None:
        self.folder, jobs = folder, folder.path / "jobs"
        self._results: dict[str, dict[str, Any]] = {}
        self._pending = Remembered(self._result)
        self._logged = Remembered(lambda name: last_record(folder.path / name / "metrics.jsonl"))
        self._jobs = Remembered(lambda name: read_job(folder, name.removesuffix(".json")))
        self._beats = Remembered(lambda name: read_beat(folder, name.removesuffix(".beat.json")))
        self._logs = Remembered(lambda name: tail(jobs / name))
        self._spec: tuple[str, str, str, tuple[Planned, ...]] = ("", "", "", ())
        self._looks = 0

    def read(self) -> StudyFiles:
        """The study as it is now; raises UserError where it is no study, or may not be read."""
        remedy = "name a study folder that you may read"
        with clear_storage_errors(f"cannot read {self.folder.path}", remedy):
            return self._read()

    def _read(self) -> StudyFiles:
        sha256, name, question, runs = self._read_spec()
        self._looks += 1
        there = set(children(self.folder.path))
        files = stamps(self.folder.path / "jobs") if "jobs" in there else {}
        driver = read_driver(self.folder)
        named = {name: stamp for name, stamp in files.items() if re.fullmatch(r"[^.]+\.json", name)}
        found = self._jobs.look(named)
        jobs = [job for job in found.values() if job is not None]
        moving = self._moving(jobs, driver)
        self._read_results(runs, there, moving)
        ours = {run.run_id for run in runs}
        results = {run_id: result for run_id, result in self._results.items() if run_id in ours}
        beats = self._of("running", jobs, ".beat.json", files, self._beats)
        return StudyFiles(
            str(self.folder.path),
            name,
            question,
            sha256,
            runs,
            results,
            self._read_logged(runs, results, there, moving),
            tuple(jobs),
            {task_id: beat for task_id, beat in beats.items() if beat is not None},
            self._of("failed", jobs, ".log", files, self._logs),
            driver,
            tuple(name for name, job in found.items() if job is None),
            "tensorboard" in there,
        )

    def _of(
        self, state: str, jobs: Iterable[Job], ending: str, files: Mapping[str, object], read: Remembered[T]
    ) -> dict[str, T]:
        """What the files of the jobs in a state say, by task_id."""
        names = [job.task_id + ending for job in jobs if job.state == state]
        found = read.look({name: files[name] for name in names if name in files})
        return {name.removesuffix(ending): answer for name, answer in found.items()}

    def _moving(self, jobs: Iterable[Job], driver: Driver | None) -> set[str] | None:
        """Folders of runs and trunks that may have been written to since the last look; None where that may be any."""
        if driver is None or not driver.jobs:
            return None
        changed = self._jobs.changed
        moved = [job for job in jobs if job.state == "running" or f"{job.task_id}.json" in changed]
        return {
            name for job in moved for name in (*job.run_ids, *(f"trunk-{each}" for each in job.trunk_ids))
        }

    def _stamped(self, names: Iterable[str], file: str, moving: set[str] | None) -> dict[str, object]:
        """Something for each folder that is another where its file may have been written to; on a disk it is asked."""
        if is_local(self.folder.path):
            return {name: stamp(self.folder.path / name / file) for name in names}
        return {name: self._looks if moving is None or name in moving else "at rest" for name in names}

    def _read_spec(self) -> tuple[str, str, str, tuple[Planned, ...]]:
        """Hash, name, question and runs: those of plan.jsonl, which need not be computed, if it is of this spec."""
        text = (read_whole(self.folder.study_json) or b"").decode(errors="replace")
        sha256 = hashlib.sha256(text.removesuffix("\n").encode()).hexdigest()
        if self._spec[0] != sha256 or not text:
            runs = self._planned(sha256) if text else None
            if runs is None:
                study = self.folder.study()  # raises for a folder that is no study
                self._spec = (sha256, study.name, study.question, planned_runs(study))
            else:
                said = json.loads(text)
                self._spec = (sha256, str(said["name"]), str(said.get("question", "")), runs)
        return self._spec

    def _planned(self, sha256: str) -> tuple[Planned, ...] | None:
        """The runs of plan.jsonl, None where it is not there, damaged, or of another spec."""
        try:
            lines = (read_whole(self.folder.plan_jsonl) or b"").decode().splitlines()
            if not lines or json.loads(lines[0])["spec_sha256"] != sha256:
                return None
            return tuple(map(from_line, lines))
        except (ValueError, KeyError, TypeError):
            return None

    def _read_results(self, runs: Iterable[Planned], there: set[str], moving: set[str] | None) -> None:
        missing = [run.run_id for run in runs if run.run_id in there and run.run_id not in self._results]
        for run_id, result in self._pending.look(self._stamped(missing, "result.json", moving)).items():
            if result is not None:
                self._results[run_id] = result

    def _result(self, run_id: str) -> dict[str, Any] | None:
        path = self.folder.path / run_id / "result.json"
        content = _content(path)
        try:
            found = None if content is None else json.loads(content)
            return found and {name: found[name] for name in ("status", "diverged", "measured")}
        except (ValueError, KeyError, TypeError):
            raise UserError(
                f"{path} is damaged; delete it, and `run` measures this run again from its last checkpoint"
            ) from None

    def _read_logged(
        self, runs: Iterable[Planned], results: Mapping[str, Any], there: set[str], moving: set[str] | None
    ) -> dict[str, Mapping[str, Any]]:
        pending = [run for run in runs if run.run_id not in results]
        named = {run.run_id for run in pending} | {f"trunk-{run.trunk_id}" for run in pending}
        names = sorted(named & there)
        changing = self._stamped(names, "metrics.jsonl", moving)
        return {name: record for name, record in self._logged.look(changing).items() if record is not None}


def tail(path: Any, lines: int = LOG_LINES) -> tuple[str, ...]:
    """The last lines of a text file without control characters; none where there is no file."""
    text = CONTROL.sub("", read_end(path, TAIL_BYTES).decode(errors="replace").replace("\r", "\n"))
    return tuple(line[:LINE_WIDTH] for line in text.splitlines() if line.strip())[-lines:]


def last_record(path: Any) -> dict[str, Any] | None:
    """The last whole record of a metrics.jsonl, None where there is none."""
    for line in reversed(read_end(path, TAIL_BYTES).splitlines(keepends=True)):
        try:
            record = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            continue
        if isinstance(record, dict) and "step" in record:
            return record
    return None


def _content(path: Any) -> bytes | None:
    """What a file of a disk or bucket holds, None where there is none; for thousands of small ones."""
    try:
        return path.read_bytes() if is_local(path) else read_whole(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
