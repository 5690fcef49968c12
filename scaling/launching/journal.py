"""The jobs of a study as files: what the driver decided about each, and what its worker last said.

`jobs/<task_id>.json` is written by the driver, `jobs/<task_id>.beat.json` by the worker's first host about every five
seconds; `jobs/<task_id>.log` holds what the worker printed, attempt after attempt, and `driver.json` says which driver
is at work. All are written whole. Whoever asks how a study stands reads them, wherever it runs. Times are those of the
clock of whoever wrote them, and are compared with no other clock.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from scaling.folder import StudyFolder, write_whole
from scaling.storage import children, pooled, read_whole

State = Literal["waiting", "queued", "running", "done", "failed", "left_out"]
"""left_out: not begun, because of --max-device-hours or --deadline-hours."""


@dataclass(frozen=True)
class Attempt:
    """One try at a task."""

    number: int
    started: float
    """Unix seconds, the driver's clock."""
    seconds: float = 0.0
    devices: int = 1
    ending: str = ""
    """A Kind of scaling.launching.engine; empty while it runs."""
    reason: str = ""
    host: str = ""
    steps: int = 0
    """Steps newly saved or finished in it."""


@dataclass(frozen=True)
class Job:
    """What the driver knows of a task."""

    task_id: str
    name: str
    part: str
    trunk_ids: tuple[str, ...]
    run_ids: tuple[str, ...]
    """Runs whose results it writes."""
    steps: int
    """Optimiser steps of the whole task."""
    flops: float
    state: State
    reason: str = ""
    """Of a failure, or why it was left out."""
    attempts: tuple[Attempt, ...] = ()
    estimated_seconds: float | None = None


@dataclass(frozen=True)
class Beat:
    """What a worker last said of itself."""

    attempt: int
    count: int
    """Beats of this attempt so far: a worker lives while it grows."""
    time: float
    """Unix seconds, the worker's clock."""
    host: str
    pid: int
    phase: Literal["waiting", "starting", "preparing", "compiling", "training", "measuring", "ended"]
    """waiting: another process works on the same files; `message` names it, and what is said of training is its."""
    device: str = ""
    devices: int = 0
    what: str = ""
    """The trunk or branch in training."""
    start: int = 0
    step: int = 0
    stop: int = 0
    """Steps of that trunk or branch: where it began now, where it is, where it ends."""
    steps_done: int = 0
    """Steps of the whole task that are done or saved."""
    loss: float | None = None
    tokens_per_second: float | None = None
    mfu: float | None = None
    message: str = ""
    seconds: float = 0.0
    """What the attempt has taken so far, by the worker's monotonic clock; waiting is part of it."""


@dataclass(frozen=True)
class Driver:
    """Who launches the study."""

    token: str
    count: int
    """Beats so far."""
    time: float
    """Unix seconds, the driver's clock."""
    started: float
    host: str
    pid: int
    state: Literal["running", "finished", "interrupted", "failed"]
    launch: dict[str, Any]
    """Fields of scaling.launching.launch.Launch."""
    device_seconds: float = 0.0
    """Spent on attempts so far, by this driver and those before it."""
    message: str = ""
    launched_seconds: float = 0.0
    """That this driver was at work, and those before it with the same --deadline-hours."""
    jobs: bool = True
    """Whether it writes files of jobs; one that trains in its own process does not, and finds those of others."""


def write_job(folder: StudyFolder, job: Job) -> None:
    """Write what the driver knows of a task."""
    write_whole(folder.path / "jobs" / f"{job.task_id}.json", json.dumps(asdict(job)) + "\n")


def write_beat(folder: StudyFolder, task_id: str, beat: Beat) -> None:
    """Write what a worker says."""
    write_whole(folder.path / "jobs" / f"{task_id}.beat.json", json.dumps(asdict(beat)) + "\n")


def write_driver(folder: StudyFolder, driver: Driver) -> None:
    """Write who launches the study."""
    write_whole(folder.path / "driver.json", json.dumps(asdict(driver)) + "\n")


def job_ids(folder: StudyFolder) -> list[str]:
    """The ids of the jobs that a driver has written, damaged or not: beats and claims have a dot before `.json`."""
    names = [name for name in children(folder.path / "jobs") if name.endswith(".json")]
    return [task_id for name in names if "." not in (task_id := name.removesuffix(".json"))]


def read_jobs(folder: StudyFolder) -> dict[str, Job]:
    """The jobs that a driver has written, by their id, many read at a time; what is damaged is left out."""
    names = job_ids(folder)
    read = zip(names, pooled(lambda task_id: read_job(folder, task_id), names), strict=True)
    return {task_id: job for task_id, job in read if job is not None}


def read_beats(folder: StudyFolder, task_ids: Iterable[str]) -> dict[str, Beat]:
    """What the workers of some tasks last said, many read at a time; without those who said nothing."""
    names = list(task_ids)
    read = zip(names, pooled(lambda task_id: read_beat(folder, task_id), names), strict=True)
    return {task_id: beat for task_id, beat in read if beat is not None}


def read_job(folder: StudyFolder, task_id: str) -> Job | None:
    """What a driver wrote of a job, None where that is damaged or not there."""
    values = _read(folder.path / "jobs" / f"{task_id}.json")
    try:
        if values is None or values["task_id"] != task_id:
            return None
        attempts = tuple(Attempt(**attempt) for attempt in values["attempts"])
        ids = {name: tuple(values[name]) for name in ("trunk_ids", "run_ids")}
        return Job(**values | ids | {"attempts": attempts})
    except (KeyError, TypeError):
        return None


def read_beat(folder: StudyFolder, task_id: str) -> Beat | None:
    """What a task's worker last said, None where it said nothing yet."""
    values = _read(folder.path / "jobs" / f"{task_id}.beat.json")
    try:
        return None if values is None else Beat(**values)
    except TypeError:  # written by another version of this package
        return None


def read_driver(folder: StudyFolder) -> Driver | None:
    """Who launched the study last, None where no driver did."""
    values = _read(folder.path / "driver.json")
    try:
        return None if values is None else Driver(**values)
    except TypeError:
        return None


def log_path(folder: StudyFolder, task_id: str) -> Any:
    """Where what a task's worker prints is kept."""
    return folder.path / "jobs" / f"{task_id}.log"


def new_token() -> str:
    """A name that nobody else has."""
    return secrets.token_hex(16)


def _read(path: Any) -> dict[str, Any] | None:
    try:
        values = json.loads(read_whole(path) or b"null")
    except ValueError:
        return None
    return values if isinstance(values, dict) else None
