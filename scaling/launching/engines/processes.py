"""Workers as processes of this machine, each with accelerators or CPU cores of its own."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scaling.errors import UserError
from scaling.folder import StudyFolder
from scaling.launching.engine import Ending, Order
from scaling.launching.engines.machine import Accelerators, accelerators, cores
from scaling.launching.journal import log_path, read_beat
from scaling.launching.launch import Launch
from scaling.launching.task import Task
from scaling.launching.working.orders import release_claims
from scaling.launching.working.worker import CORES, PARENT
from scaling.storage import as_path, read_whole

WORKER = "scaling.launching.working.worker"
LOOK_SECONDS = 0.05
WORKER = "scaling.launching.working.worker"
"""The module that a worker runs."""


@dataclass
class Worker:
    """A process at work on an order."""

    order: Order
    process: subprocess.Popen[bytes]
    place: int
    began: float
    files: Path
    """Its folder: the order, the ending, and what it printed before it had a log."""
    asked: bool = False
    """Whether it was asked to stop."""


class ProcessEngine:
    """Trains each order in a process of this machine. Processes end with the one that made the engine, however that
    ends. Used from one thread."""

    def __init__(self, launch: Launch) -> None:
        """Nothing is started before the first order."""
        self.launch = launch
        self._devices = accelerators()
        self._places = jobs_that_fit(launch, self._devices)
        self._workers: dict[str, Worker] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="scaling-"))

    def check(self, tasks: Sequence[Task]) -> None:
        """Raise UserError where this machine cannot hold a job."""
        launch = self.launch
        if launch.accelerators > len(self._devices.ids):
            there = f"{len(self._devices.ids)} {self._devices.what}" if self._devices.ids else "none"
            raise UserError(
                f"--accelerators {launch.accelerators} cannot be had: this machine has {there}; use fewer, or --on ray"
            )
        if launch.cpus > len(cores()):
            raise UserError(
                f"--cpus {launch.cpus:g} cannot be had: this process may use {len(cores())} CPU cores; use fewer, "
                "or --on ray"
            )
        if launch.memory_gib > (there_gib := _memory_gib()):
            raise UserError(
                f"--memory-gib {launch.memory_gib:g} cannot be had: this machine has {there_gib:.3g} GiB; use less, "
                "or --on ray"
            )

    def places(self) -> int:
        """Workers that there are devices for."""
        return self._places

    def room(self) -> int:
        """Places that are free."""
        return self._places - len(self._workers)

    def submit(self, order: Order) -> None:
        """Start a worker on an order, at a free place."""
        taken = {worker.place for worker in self._workers.values()}
        place = min(set(range(len(taken) + 1)) - taken)
        files = Path(tempfile.mkdtemp(dir=self._folder))
        (files / "order.json").write_text(order.to_json())
        command = [sys.executable, "-m", WORKER, "order.json", "ending.json"]
        command[-2:] = [str(files / name) for name in command[-2:]]
        with (files / "printed").open("wb") as printed:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                start_new_session=True,  # Ctrl-C is for the driver, which asks its workers to save
                env=os.environ | place_of(place, self.launch, self._devices),
            )
        self._workers[order.task_id] = Worker(order, process, place, time.monotonic(), files)

    def poll(self, seconds: float) -> list[tuple[str, Ending]]:
        """Wait up to so many seconds for workers to end."""
        until = time.monotonic() + seconds
        while True:
            over = [name for name, worker in self._workers.items() if worker.process.poll() is not None]
            if over or time.monotonic() >= until:
                return [(name, self._ending(self._workers.pop(name))) for name in over]
            time.sleep(max(0.0, min(LOOK_SECONDS, until - time.monotonic())))

    def stop(self, task_id: str) -> None:
        """Ask a worker to save and end."""
        worker = self._workers.get(task_id)
        if worker is not None and not worker.asked:
            worker.asked = True
            worker.process.terminate()

    def kill(self, task_id: str) -> None:
        """End a worker at once."""
        if (worker := self._workers.get(task_id)) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Kill the workers that still run, and leave no process and no file behind."""
        for worker in self._workers.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.process.pid, signal.SIGKILL)
            worker.process.wait()
            release_claims(worker.order)
        self._workers.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _ending(self, worker: Worker) -> Ending:
        """What a worker that is gone said of its end, or what its exit tells."""
        try:
            return Ending(**json.loads((worker.files / "ending.json").read_text()))
        except (OSError, ValueError, TypeError):
            code = worker.process.returncode
        release_claims(worker.order)
        seconds, host = time.monotonic() - worker.began, socket.gethostname()
        if code < 0 or code > 128:
            number = -code if code < 0 else code - 128
            if worker.asked and number == signal.SIGTERM and not self._begun(worker.order):
                return Ending("interrupted", "asked to stop before it began", seconds, host=host)
            return Ending("lost", f"its process was ended by {_signal_name(number)}", seconds, host=host)
        reason = self._last_words(worker) or f"its process ended with exit code {code} and said nothing"
        return Ending("failed", reason, seconds, host=host)

    def _begun(self, order: Order) -> bool:
        """Whether the worker of an order got as far as to say something of itself."""
        with contextlib.suppress(UserError):
            beat = read_beat(StudyFolder(as_path(order.study)), order.task_id)
            return beat is not None and beat.attempt == order.attempt
        return False

    def _last_words(self, worker: Worker) -> str:
        log = log_path(StudyFolder(as_path(worker.order.study)), worker.order.task_id)
        for path in (worker.files / "printed", log):
            with contextlib.suppress(UserError):
                lines = (read_whole(path) or b"").decode(errors="replace").strip().splitlines()
                if lines:
                    return str(lines[-1])[:500]
        return ""


def jobs_that_fit(launch: Launch, found: Accelerators | None = None) -> int:
    """Jobs that this machine trains at once: as many as its accelerators allow, and on CPU cores one, or as many as
    `jobs_at_once` says. Asks no JAX."""
    if not launch.accelerators:
        return launch.jobs_at_once or 1
    fit = len((found or accelerators()).ids) // launch.accelerators
    return max(1, min(fit, launch.jobs_at_once or fit))


def place_of(place: int, launch: Launch, found: Accelerators) -> Mapping[str, str]:
    """The environment that gives the worker at a place, 0 or above, its own accelerators or its own CPU cores."""
    values = {PARENT: str(os.getpid())}
    if launch.accelerators:
        start = place * launch.accelerators
        return {**values, **found.visible(found.ids[start : start + launch.accelerators])}
    there, each = cores(), max(1, math.ceil(launch.cpus))
    if each > len(there):
        return values
    start = (place * each) % (len(there) - len(there) % each)  # more jobs than cores share them
    mine = ",".join(str(core) for core in there[start : start + each])
    return values | {CORES: mine, "JAX_PLATFORMS": os.environ.get("JAX_PLATFORMS", "cpu")}


def _memory_gib() -> float:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError):
        return math.inf


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
