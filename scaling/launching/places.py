"""Where a study is trained: in this process, in processes of this machine, or on a Ray cluster."""

from __future__ import annotations

from pathlib import Path

from scaling.errors import UserError
from scaling.execution import Execution
from scaling.folder import StudyFolder
from scaling.launching.engine import Engine
from scaling.launching.launch import DEFAULT, Launch
from scaling.launching.recording import Outcome, Recording
from scaling.plan import Plan

OF_JOBS = ("cpus", "memory_gib", "branches", "crashes", "accelerators", "stuck_minutes")
"""Options of Launch that are about jobs in processes of their own."""


def train_study(
    plan: Plan,
    folder: StudyFolder,
    data_folder: Path,
    recording: Recording,
    execution: Execution,
    launch: Launch,
) -> Outcome:
    """Train what is not done of a study where `launch` says; raises UserError for an option that does nothing there."""
    if in_this_process(launch):
        from scaling.launching.local import run_study

        return run_study(plan, folder, data_folder, recording, execution, launch)
    from scaling.launching.driving.driver import launch_study

    engine: Engine
    if launch.on == "ray":
        from scaling.launching.engines.cluster import RayEngine

        engine = RayEngine(launch, folder.path)
    else:
        from scaling.launching.engines.processes import ProcessEngine

        engine = ProcessEngine(launch)
    return launch_study(plan, folder, data_folder, recording, execution, launch, engine)


def in_this_process(launch: Launch) -> bool:
    """Whether jobs are trained one after another in this process, on all its devices.

    They are unless several at once, accelerators of their own, or Ray are asked for. Raises UserError for an option
    that does nothing then.
    """
    if launch.on == "ray" or launch.jobs_at_once > 1 or (launch.accelerators and not launch.jobs_at_once):
        return False
    for name in OF_JOBS:
        if (value := getattr(launch, name)) != getattr(DEFAULT, name):
            raise UserError(
                f"--{name.replace('_', '-')} {value} does nothing where jobs are trained one after another in this "
                "process: leave it out, or give --jobs-at-once 2 or more, or --on ray"
            )
    return True
