"""What a study has cost and will: FLOPs by its results and logs, device-seconds by the attempts at its jobs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scaling.launching.status.planned import Planned
from scaling.launching.status.study_files import StudyFiles


@dataclass(frozen=True)
class Totals:
    """What the study has cost and will."""

    flops: float
    flops_left: float
    device_seconds: float
    """So far, lost work included."""
    device_seconds_left: float | None
    """At the pace so far; None where no pace is known."""
    devices: int
    """At work now, or where there is no driver those of the runs done so far; 0 where that is not known."""

    @property
    def share(self) -> float:
        """Of all FLOPs, those that are done."""
        return 1 - self.flops_left / self.flops if self.flops else 1.0

    @property
    def seconds_left(self) -> float | None:
        """On the devices at work; None where that is not known."""
        if self.device_seconds_left is None or not self.devices:
            return 0.0 if self.flops_left == 0 else None
        return self.device_seconds_left / self.devices


def totals_of(files: StudyFiles, devices: int, running: float) -> Totals:
    """The totals of a study on so many `devices` at work, whose attempts that run took `running` device-seconds.

    The pace is the FLOPs of all that was trained over the device-seconds of it. A trunk that no driver's attempt is
    known of counts with the seconds of its results and logs.
    """
    tried = [job for job in files.jobs if job.attempts]
    known = {trunk for job in tried for trunk in job.trunk_ids}
    ended = sum(attempt.seconds * attempt.devices for job in tried for attempt in job.attempts)
    spent = ended + running
    flops = left = trained = 0.0
    for runs in by_trunk(files.runs).values():
        progress = [_steps(run, files) for run in runs]
        trunk, end, step = _trunk_steps(runs, files), runs[-1].decay_start, runs[0].step_flops
        branches = [run.steps - run.decay_start for run in runs]
        flops += step * (end + sum(branches))
        left += step * (end - trunk + sum(branches) - sum(done for done, _ in progress))
        if runs[0].trunk_id in known:
            trained += step * (_trained(runs, trunk, files) + sum(steps for _, steps in progress))
        else:
            seconds, steps = _measured(runs, trunk, [steps for _, steps in progress], files)
            spent, trained = spent + seconds, trained + step * steps
    spent = max(spent, files.driver.device_seconds if files.driver else 0.0)  # by its clock, in-process too
    left = left if left > 1e-9 * flops else 0.0
    pace = 0.0 if left == 0 else left * spent / trained if spent and trained else None
    return Totals(flops, left, spent, pace, devices or (0 if files.current else _devices(files)))


def by_trunk(runs: Iterable[Planned]) -> dict[str, list[Planned]]:
    """Runs by their trunk_id, those that leave it first before the others."""
    found: dict[str, list[Planned]] = {}
    for run in sorted(runs, key=lambda run: (run.decay_start, run.steps)):
        found.setdefault(run.trunk_id, []).append(run)
    return found


def _trunk_steps(runs: Sequence[Planned], files: StudyFiles) -> int:
    """Steps of a trunk that need not be trained any more: as its log and its branches say."""
    end = runs[-1].decay_start
    if all(run.run_id in files.results for run in runs):
        return end
    record = files.logged.get(f"trunk-{runs[0].trunk_id}")
    left = [run.decay_start for run in runs if run.run_id in files.results or run.run_id in files.logged]
    return min(end, max([int(record["step"]) if record else 0, *left]))


def _trained(runs: Sequence[Planned], trunk: int, files: StudyFiles) -> int:
    """Steps of a trunk that were really trained: none after it diverged."""
    fates = [files.results[run.run_id]["diverged"] for run in runs if run.run_id in files.results]
    return min([trunk, *(int(fate["step"]) for fate in fates if fate and fate["part"] == "trunk")])


def _steps(run: Planned, files: StudyFiles) -> tuple[int, int]:
    """Steps of a branch that need not be trained any more, and those that were really trained."""
    of = run.steps - run.decay_start
    result, record = files.results.get(run.run_id), files.logged.get(run.run_id)
    if result is not None:
        end = int(result["diverged"]["step"]) if result["diverged"] else run.steps
        return of, max(0, min(of, end - run.decay_start))
    done = max(0, min(of, int(record["step"]) - run.decay_start)) if record else 0
    return done, done


def _measured(
    runs: Sequence[Planned], trunk: int, branches: Sequence[int], files: StudyFiles
) -> tuple[float, int]:
    """Device-seconds of a trunk and its branches by results and logs, and the steps trained in them."""
    named = f"trunk-{runs[0].trunk_id}"
    measured = [files.results.get(run.run_id, {}).get("measured", {}) for run in runs]
    stretches = [float(each.get("trunk_device_seconds") or 0.0) for each in measured]
    seconds = max([_logged(named, files), *stretches])
    steps = trunk if seconds else 0
    for run, each, trained in zip(runs, measured, branches, strict=True):
        if mine := float(each.get("device_seconds") or _logged(run.run_id, files)):
            seconds, steps = seconds + mine, steps + trained
    return seconds, steps


def _logged(folder: str, files: StudyFiles) -> float:
    return float(files.logged.get(folder, {}).get("device_seconds") or 0.0)


def _devices(files: StudyFiles) -> int:
    """The most that a finished run had."""
    measured = (result["measured"].get("devices") for result in files.results.values())
    return max((int(number) for number in measured if number), default=0)
