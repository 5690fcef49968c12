"""What the files of a study say, read once or again and again: the only part of `status` that touches a disk."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from scaling.errors import UserError
from scaling.folder import StudyFolder
from scaling.launching.journal import (
    Beat,
    Driver,
    Job,
    job_ids,
    log_path,
    read_beat,
    read_driver,
    read_job,
)
from scaling.launching.status.planned import Planned, from_line, planned_runs
from scaling.storage import clear_storage_errors, is_local, read_whole

LOG_LINES = 15
"""Of a failed job's log, from its end."""
LINE_WIDTH = 300
TAIL_BYTES = 16_384
READERS = 16
"""Files of a bucket that are read at once."""
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


class StudyReader:
    """Reads a study's files; what cannot change any more is read once."""

    def __init__(self, folder: StudyFolder) -> None:
        self.folder = folder
        self._results: dict[str, dict[str, Any]] = {}
        self._ended: dict[str, Job] = {}
        self._spec: tuple[str, str, str, tuple[Planned, ...]] = ("", "", "", ())

    def read(self) -> StudyFiles:
        """The study as it is now; raises UserError where it is no study, or may not be read."""
        remedy = "name a study folder that you may read"
        with clear_storage_errors(f"cannot read {self.folder.path}", remedy):
            return self._read()

    def _read(self) -> StudyFiles:
        sha256, name, question, runs = self._read_spec()
        there = {path.name for path in self.folder.path.iterdir()}
        self._read_results(runs, there)
        ours = {run.run_id for run in runs}
        results = {run_id: result for run_id, result in self._results.items() if run_id in ours}
        jobs, damaged = self._read_jobs() if "jobs" in there else ([], ())
        running = [job.task_id for job in jobs if job.state == "running"]
        failed = [job.task_id for job in jobs if job.state == "failed"]
        return StudyFiles(
            str(self.folder.path),
            name,
            question,
            sha256,
            runs,
            results,
            self._read_logged(runs, results, there),
            tuple(jobs),
            {task: beat for task in running if (beat := read_beat(self.folder, task)) is not None},
            {task: tail(log_path(self.folder, task)) for task in failed},
            read_driver(self.folder),
            tuple(damaged),
            "tensorboard" in there,
        )

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

    def _read_results(self, runs: Iterable[Planned], there: set[str]) -> None:
        missing = [run.run_id for run in runs if run.run_id in there and run.run_id not in self._results]
        for run_id, result in self._each(self._result, missing):
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
        self, runs: Iterable[Planned], results: Mapping[str, Any], there: set[str]
    ) -> dict[str, Mapping[str, Any]]:
        pending = [run for run in runs if run.run_id not in results]
        names = {run.run_id for run in pending} | {f"trunk-{run.trunk_id}" for run in pending}
        read = self._each(
            lambda name: last_record(self.folder.path / name / "metrics.jsonl"), sorted(names & there)
        )
        return {name: record for name, record in read if record is not None}

    def _read_jobs(self) -> tuple[list[Job], list[str]]:
        jobs, damaged = [], []
        for task_id, job in self._each(lambda task_id: self._job(task_id), job_ids(self.folder)):
            if job is None:
                damaged.append(f"{task_id}.json")
            else:
                jobs.append(job)
                if job.state == "done":
                    self._ended[task_id] = job
        return jobs, damaged

    def _job(self, task_id: str) -> Job | None:
        return self._ended.get(task_id) or read_job(self.folder, task_id)

    def _each(self, read: Any, names: list[str]) -> list[tuple[str, Any]]:
        """What `read` gives for each name; from a bucket many at once."""
        if is_local(self.folder.path):
            return [(name, read(name)) for name in names]
        with ThreadPoolExecutor(READERS) as pool:
            return list(zip(names, pool.map(read, names), strict=True))


def tail(path: Any, lines: int = LOG_LINES) -> tuple[str, ...]:
    """The last lines of a text file without control characters; none where there is no file."""
    text = CONTROL.sub("", _end(path).decode(errors="replace").replace("\r", "\n"))
    return tuple(line[:LINE_WIDTH] for line in text.splitlines() if line.strip())[-lines:]


def last_record(path: Any) -> dict[str, Any] | None:
    """The last whole record of a metrics.jsonl, None where there is none."""
    for line in reversed(_end(path).splitlines(keepends=True)):
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


def _end(path: Any) -> bytes:
    """The last bytes of a file; an object of a bucket is read whole, since it may be put anew meanwhile."""
    if not is_local(path):
        return (read_whole(path) or b"")[-TAIL_BYTES:]
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - TAIL_BYTES))
            return bytes(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return b""
