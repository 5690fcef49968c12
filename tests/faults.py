"""Faults done to real drivers, workers and nodes on the tiny study, and what must hold after each."""

import contextlib
import os
import re
import secrets
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import Tiny

from scaling.folder import StudyFolder
from scaling.launching.journal import read_beat, read_jobs
from scaling.launching.standing import checkpoint_steps

BUDGETS = ("--budgets", "102400", "204800", "307200")
"""400, 800 and 1200 steps, of which the last fifths are branches: long enough to be hit in the middle."""
KNOBS = (*BUDGETS, "--checkpoint-seconds", "0.25")
ONE = ("--widths", "8", *KNOBS)
"""One trunk with its three branches."""
JOB = ("--branches", "together")
"""One job a trunk, though there are more places than trunks."""
MARK = "SCALING_TEST_DRIVER"


@pytest.fixture(scope="session")
def calm(tmp_path_factory, data_folder):
    """The study without any disturbance."""
    study = Tiny(tmp_path_factory.mktemp("calm"), data_folder)
    done = study.run(*BUDGETS)
    assert done.returncode == 0, done.stderr
    return study


@pytest.fixture(scope="session")
def two_nodes():
    """A cluster of two nodes of one CPU for all faults that leave it sound."""
    from ray_cluster import loopback_cluster

    with loopback_cluster((1, 1)) as cluster:
        yield cluster


def on_ray(cluster):
    """Options that launch on a cluster."""
    return "--on", "ray", "--address", cluster.address


class Launched:
    """A driver at work on a tiny study, in a process group of its own; killed where the block ends before it."""

    def __init__(self, tiny, *knobs, **options):
        self.tiny, self.folder, self.token = tiny, StudyFolder(tiny.study), secrets.token_hex(8)
        self.file = tiny.folder / f"printed-{self.token}"
        with self.file.open("wb") as file:
            self.process = subprocess.Popen(
                tiny.command(*knobs),
                stdout=file,
                stderr=subprocess.STDOUT,
                env=os.environ | {MARK: self.token} | options.pop("env", {}),
                start_new_session=True,
                **options,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(10)

    @property
    def printed(self):
        return self.file.read_text()

    def pids(self):
        """Of the driver and all that it started and that lives."""
        from ray_cluster import all_pids, environment_of

        return [pid for pid in all_pids() if f"{MARK}={self.token}" in environment_of(pid)]

    def kill(self):
        """SIGKILL the driver."""
        self.process.kill()
        self.process.wait(10)

    def until(self, holds, seconds=150, every=0.005):
        """What `holds` returns once it is true; fails with what was printed where the driver ends before."""
        end = time.monotonic() + seconds
        while not (found := holds()):
            assert self.process.poll() is None, self.printed
            assert time.monotonic() < end, f"nothing came about in {seconds} s: {self.printed}"
            time.sleep(every)
        return found

    def worker(self, part="whole", beyond=0, among=lambda pid: True):
        """The beat of a worker `among` those at tasks of a part, as soon as it trains and a checkpoint beyond a step is
        saved."""

        def training():
            for job in read_jobs(self.folder).values():
                beat = read_beat(self.folder, job.task_id)
                if job.part == part and beat and beat.phase == "training" and among(beat.pid):
                    saved = self.saved().get(f"trunk-{job.trunk_ids[0]}", [])
                    return beat if max(saved, default=0) > beyond else None
            return None

        return self.until(training)

    def ends(self, code, *sentences, seconds=240):
        """Wait for its end, which must be so and be said so; what it printed."""
        assert self.process.wait(seconds) == code, self.printed
        for sentence in sentences:
            assert re.search(sentence, self.printed), f"{sentence!r} is not in\n{self.printed}"
        assert "Traceback" not in self.printed, self.printed
        return self.printed

    def saved(self):
        """Steps of the finished checkpoints of each trunk and run."""
        folders = sorted(self.tiny.study.iterdir()) if self.tiny.study.exists() else []
        return {path.name: checkpoint_steps(path) for path in folders if (path / "checkpoints").is_dir()}

    def endings(self, part="whole"):
        """How the attempts at each task of a part ended, as the journal says."""
        jobs = read_jobs(self.folder).values()
        return [[attempt.ending for attempt in job.attempts] for job in jobs if job.part == part]

    def stretches(self, part="whole"):
        """What each attempt at the task of a part that was tried most trained, as (folder, start, stop), by its log."""
        runs = self.folder.study().runs
        folder_of = {run.name: run.run_id for run in runs}
        folder_of |= {f"{run.trunk_name} trunk": f"trunk-{run.trunk_id}" for run in runs}
        jobs = [job for job in read_jobs(self.folder).values() if job.part == part]
        job = max(jobs, key=lambda job: len(job.attempts))
        log = (self.tiny.study / "jobs" / f"{job.task_id}.log").read_text()
        return [
            [
                (folder_of[name], int(start), int(stop))
                for name, start, stop in re.findall(r"^(.+): step (\d+) to (\d+)$", attempt, re.MULTILINE)
            ]
            for attempt in re.split(r"^--- attempt .*$", log, flags=re.MULTILINE)[1:]
        ]

    def goes_on(self, saved, attempt=2, part="whole"):
        """Assert that an attempt began at the last checkpoints that were `saved` before it, so trained nothing twice
        that was saved."""
        begins = {run.run_id: run.decay_start for run in self.folder.study().runs}
        begun: dict[str, int] = {}
        trained = self.stretches(part)[attempt - 1]
        assert trained
        for folder, start, stop in trained:
            there = [step for step in saved.get(folder, []) if step <= stop]
            assert start == begun.get(folder, max(there, default=begins.get(folder, 0))), (trained, saved)
            begun[folder] = stop


def finished_as(calm, launched, runs):
    """Assert that so many runs have bitwise the results and logs of the undisturbed study, and the table its rows."""
    from scaling.table import read

    ours = launched.tiny.numbers()
    results = [name for name in ours if not name.endswith(" log")]
    assert len(results) == runs == len(read(launched.tiny.study / "table.csv"))
    assert ours.items() <= calm.numbers().items()


def nothing_left(launched, cluster=None):
    """Assert that no process of the driver or its workers lives, none is a zombie, and the study's lock is free."""
    from ray_cluster import command_of, wait_until, zombies

    def working():
        there = cluster.worker_pids() if cluster else []
        return [pid for pid in there if " try " in command_of(pid)]

    wait_until(lambda: not launched.pids() and not working(), 15)
    parents = {os.getpid(), *(cluster.pids() if cluster else [])}
    parents -= (
        {cluster.maker.pid} if cluster else set()
    )  # it stands for machines, also for those that have gone
    wait_until(lambda: not zombies(parents), 5)
    with launched.folder.locked():
        pass


def kill(pid, number=signal.SIGKILL):
    """Signal a living process, and after SIGKILL wait until it is gone."""
    os.kill(pid, number)
    end = time.monotonic() + 10
    while number == signal.SIGKILL and state_of(pid) not in ("", "Z"):
        assert time.monotonic() < end, f"process {pid} survives SIGKILL"
        time.sleep(0.005)


def freeze(pid):
    """Stop a process in its tracks; returns when all its threads stand still."""
    os.kill(pid, signal.SIGSTOP)
    end = time.monotonic() + 10
    while state_of(pid) != "T":
        assert time.monotonic() < end and state_of(pid), f"process {pid} does not stop"
        time.sleep(0.001)


def freeze_in_a_save(launched, pid):
    """Stop a worker with a checkpoint half written."""

    def caught():
        if not half_written(launched.tiny.study):
            return False
        freeze(pid)
        time.sleep(0.01)  # what the kernel had begun for it is done
        if half_written(launched.tiny.study):
            return True
        os.kill(pid, signal.SIGCONT)
        return False

    launched.until(caught, every=0.0005)


def half_written(study: Path):
    """Checkpoints in the making."""
    return [path for path in study.glob("*/checkpoints/*") if "tmp" in path.name]


def state_of(pid):
    """The letter by which the kernel tells a process's state, empty for one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
