"""What is in training: the jobs of a driver, or trunks and branches that were begun where no driver says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scaling.launching.journal import Attempt, Beat, Driver, Job
from scaling.launching.status.study_files import CONTROL, StudyFiles
from scaling.launching.status.totals import by_trunk

SILENT_SECONDS = 60.0
"""A worker or driver that has not beaten for so long may be dead."""


@dataclass(frozen=True)
class Active:
    """A job that runs by its driver's last word; or, without a driver, a trunk or branch that was begun."""

    name: str
    host: str
    phase: str
    steps_done: int
    steps: int
    tokens_per_second: float | None
    mfu: float | None
    attempt: int
    """1 for the first; 0 where no driver counts."""
    lost: int
    """Attempts that were lost or preempted."""
    seconds: float | None
    """Of this attempt, by the driver's clock; None where that is not known."""
    life: str
    """What is known of whether it lives."""
    devices: int = 0
    device: str = ""

    @property
    def share(self) -> float:
        """Of its steps, those that are done."""
        return min(1.0, self.steps_done / max(1, self.steps))


def clean(text: str) -> str:
    """One line without control characters."""
    return " ".join(CONTROL.sub("", text).split())


def life(time: float, now: float, silent: float | None) -> str:
    """What is known of whether someone lives whose last beat was at `time` by their clock."""
    from scaling.launching.display import duration

    if silent is not None:
        return "beats" if silent < SILENT_SECONDS else f"no beat for {duration(silent)}: perhaps dead"
    age = now - time
    if age < -1:
        return f"beat {duration(-age)} ahead of this clock: they disagree"
    return f"beat {duration(age)} ago by its clock"


def active_jobs(files: StudyFiles, now: float, silence: Mapping[str, float] | None) -> tuple[Active, ...]:
    """The jobs that run by their driver's last word."""
    running = [job for job in files.jobs if job.state == "running"]
    return tuple(_active(job, files.beats.get(job.task_id), files.driver, now, silence) for job in running)


def _active(
    job: Job, beat: Beat | None, driver: Driver | None, now: float, silence: Mapping[str, float] | None
) -> Active:
    attempt = job.attempts[-1] if job.attempts else Attempt(1, 0.0)
    if beat is not None and beat.attempt != attempt.number:
        beat = None  # of an attempt before this one
    silent = None if silence is None else silence.get(job.task_id)
    lost = sum(each.ending in ("lost", "interrupted") for each in job.attempts)
    seconds = _so_far(attempt, driver)
    if beat is None:
        return Active(
            *(job.name, clean(attempt.host), "starting", 0, job.steps, None, None),
            *(attempt.number, lost, seconds, "no beat yet", attempt.devices),
        )
    return Active(
        job.name,
        clean(beat.host),
        beat.phase,
        beat.steps_done,
        job.steps,
        beat.tokens_per_second,
        beat.mfu,
        attempt.number,
        lost,
        seconds,
        life(beat.time, now, silent),
        beat.devices or attempt.devices,
        clean(beat.device),
    )


def _so_far(attempt: Attempt, driver: Driver | None) -> float | None:
    """Both times are by the driver's clock, where this driver began the attempt."""
    if driver is None or driver.state != "running" or not driver.started <= attempt.started <= driver.time:
        return None
    return driver.time - attempt.started


def begun(files: StudyFiles) -> tuple[Active, ...]:
    """Of each trunk that is not finished what was logged last, where no driver says what runs."""
    found = []
    for trunk_id, runs in by_trunk(files.runs).items():
        places = [(f"trunk-{trunk_id}", runs[-1], "trunk", 0, runs[-1].decay_start)]
        places += [(run.run_id, run, "decay branch", run.decay_start, run.steps) for run in runs]
        there = [place for place in places if place[0] in files.logged]
        if there and not all(run.run_id in files.results for run in runs):
            folder, run, phase, start, stop = there[-1]
            record = files.logged[folder]
            speed, mfu = record.get("tokens_per_second"), record.get("mfu")
            steps = max(0, min(int(record["step"]), stop) - start)
            found.append(Active(run.name, "", phase, steps, stop - start, speed, mfu, 0, 0, None, ""))
    return tuple(found)
