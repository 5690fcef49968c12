"""How a study stands, made from what its files say: runs, jobs, FLOPs, time. Pure; prints and reads nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scaling.launching.journal import Driver, Job
from scaling.launching.status.active import SILENT_SECONDS, Active, active_jobs, begun, clean, life
from scaling.launching.status.planned import Planned
from scaling.launching.status.study_files import StudyFiles
from scaling.launching.status.totals import Totals, totals_of

STATES = ("running", "queued", "waiting", "done", "failed", "left_out")


@dataclass(frozen=True)
class RunLine:
    """What came of a run, or how far it is."""

    name: str
    tokens: float
    state: str


@dataclass(frozen=True)
class Failed:
    """A job that was given up."""

    name: str
    reason: str
    attempts: int
    log: tuple[str, ...]
    log_file: str


@dataclass(frozen=True)
class Status:
    """How a study stands."""

    path: str
    name: str
    question: str
    spec_sha256: str
    runs: int
    done: int
    diverged: int
    lines: tuple[RunLine, ...]
    jobs: Mapping[str, int]
    """How many jobs are in each state; empty where no driver made jobs."""
    active: tuple[Active, ...]
    failed: tuple[Failed, ...]
    left_out: Mapping[str, int]
    """Reason to the number of jobs that were not begun for it."""
    totals: Totals
    driver: str
    """Who launches, and what is known of whether it lives."""
    over: bool
    """Nothing will change any more, unless `run` is called again."""
    device: str
    """Kind of device that trains it; empty where that is not known."""
    notes: tuple[str, ...]
    tensorboard: bool

    @property
    def finished(self) -> int:
        """Runs with a result."""
        return self.done + self.diverged


def status_of(files: StudyFiles, now: float, silence: Mapping[str, float] | None = None) -> Status:
    """The state of a study from its files.

    `now` is this machine's clock in Unix seconds. `silence`, of who watches on, says by the same clock for how many
    seconds the beats of a job (its task_id) or of the driver ("driver") have not grown; without it no more is known
    than what was last said, by a clock that may be another's.
    """
    kinds = Counter(str(result["status"]) for result in files.results.values())
    active = active_jobs(files, now, silence) if files.current else begun(files)
    failed = [job for job in files.current if job.state == "failed"]
    over = files.driver.state != "running" if files.driver else len(files.results) == len(files.runs)
    return Status(
        files.path,
        files.name,
        clean(files.question),
        files.spec_sha256,
        len(files.runs),
        kinds["done"],
        kinds["diverged"],
        tuple(RunLine(run.name, run.tokens, _state(run, files)) for run in files.runs),
        {state: number for state in STATES if (number := _count(files.current, state))},
        active,
        tuple(_failed(job, files) for job in failed),
        Counter(
            clean(job.reason) or "no reason was given" for job in files.current if job.state == "left_out"
        ),
        totals_of(
            files,
            sum(job.devices for job in active),
            sum((job.seconds or 0.0) * job.devices for job in active),
        ),
        _driver(files.driver, now, silence),
        over,
        _device(files, active),
        _notes(files),
        files.tensorboard,
    )


def _state(run: Planned, files: StudyFiles) -> str:
    from scaling.launching.display import outcome

    if (result := files.results.get(run.run_id)) is not None:
        return outcome(dict(result))
    for folder, what in ((run.run_id, "decay branch"), (f"trunk-{run.trunk_id}", "trunk")):
        if (record := files.logged.get(folder)) is not None:
            return f"{what} at step {min(record['step'], run.steps)} of {run.steps}"
    return "waiting"


def _failed(job: Job, files: StudyFiles) -> Failed:
    reason = (
        clean(job.reason) or clean(job.attempts[-1].reason if job.attempts else "") or "no reason was given"
    )
    file = f"{files.path}/jobs/{job.task_id}.log"
    return Failed(job.name, reason, len(job.attempts), files.logs.get(job.task_id, ()), file)


def _count(jobs: Sequence[Job], state: str) -> int:
    return sum(job.state == state for job in jobs)


def _driver(driver: Driver | None, now: float, silence: Mapping[str, float] | None) -> str:
    if driver is None:
        return "none has launched jobs here; whether `run` is at work is not known"
    who = f"process {driver.pid} on {clean(driver.host)}"
    message = f" ({clean(driver.message)})" if driver.message else ""
    if driver.state != "running":
        return f"{who}: {driver.state}{message}"
    alive = life(driver.time, now, None if silence is None else silence.get("driver"))
    remedy = "; the same `run` command continues" if "perhaps dead" in alive else ""
    rule = f"; silent for {SILENT_SECONDS:g} s it may be dead, which --watch tells" if silence is None else ""
    return f"{who}: running by its last word{message}; {alive}{rule}{remedy}"


def _device(files: StudyFiles, active: Sequence[Active]) -> str:
    kinds = Counter(job.device for job in active if job.device)
    kinds = kinds or Counter(str(r["measured"].get("device") or "") for r in files.results.values())
    return kinds.most_common(1)[0][0] if kinds else ""


def _notes(files: StudyFiles) -> tuple[str, ...]:
    if not files.damaged:
        return ()
    several = len(files.damaged) > 1
    named = ", ".join(files.damaged[:3]) + (
        f" and {len(files.damaged) - 3} more" if len(files.damaged) > 3 else ""
    )
    what = f"{len(files.damaged)} job files are" if several else "a job file is"
    return (f"{what} damaged and left out here: jobs/{named}; the driver writes them anew",)
