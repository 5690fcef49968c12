"""A worker: trains one task as its order says, in a process of its own, and says how that ended.

`python -m scaling.launching.working.worker ORDER.json ENDING.json` reads an order, works, and writes the ending.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from scaling.errors import HostError, UserError
from scaling.folder import StudyFolder
from scaling.launching.claim import Claim, holder_of
from scaling.launching.engine import Ending, Kind, Order
from scaling.launching.holding import holding
from scaling.launching.journal import log_path
from scaling.launching.launch import Launch
from scaling.launching.local import stop_on_signals
from scaling.launching.standing import claim_paths, is_finished, steps_done
from scaling.launching.task import Task
from scaling.launching.versions import check_versions
from scaling.launching.working.orders import ordered_task, read_order
from scaling.launching.working.peers import join, rank_of
from scaling.launching.working.printed import printed_to
from scaling.storage import as_path, storage_reason, write_whole

PARENT, CORES = "SCALING_PARENT", "SCALING_CORES"
"""Environment of a worker: the process that it does not outlive, and the CPU cores that it keeps to."""
PARENT_SECONDS = 0.5
"""Between two looks at whether the parent lives."""
LEADER_SECONDS = 0.5
"""Between two looks at whether the host that leads has its claims."""
ORPHAN_SECONDS = 5.0
"""For a last checkpoint after the parent is gone."""


def work(order_json: str, peers_json: str = "") -> str:
    """Train what an order says, to the end or until SIGTERM, SIGINT or SIGUSR1 comes: the Ending, as JSON.

    Must be called in the main thread of a process that has not used JAX. `peers_json` names the processes of other
    hosts that train the same task; the first of them alone writes. Never raises.
    """
    began = time.monotonic()
    with stop_on_signals(ends=False) as stop_wanted:
        try:
            ending = Shift(read_order(order_json), peers_json, stop_wanted, began).work()
        except Exception as error:
            ending = _ending_of(error)
    return json.dumps(asdict(replace(ending, seconds=time.monotonic() - began, host=socket.gethostname())))


@dataclass(frozen=True)
class Shift:
    """One attempt at one task."""

    order: Order
    peers_json: str
    stop_wanted: Callable[[], bool]
    began: float
    """By time.monotonic()."""

    @property
    def leads(self) -> bool:
        """Whether this process writes: of several hosts the first."""
        return rank_of(self.peers_json) == 0

    def work(self) -> Ending:
        """Train the task; raises UserError where the order cannot be followed here."""
        check_versions(self.order.versions)
        folder = StudyFolder(as_path(self.order.study))
        task = ordered_task(self.order, folder)
        with self._printing(folder) as copy:
            print(f"--- attempt {self.order.attempt} on {socket.gethostname()}", flush=True)
            try:
                ending = self._attended(folder, task, copy)
            except Exception as error:
                ending = _ending_of(error)
            print(f"--- {ending.kind}{': ' if ending.reason else ''}{ending.reason}", flush=True)
        return ending

    def _printing(self, folder: StudyFolder) -> contextlib.AbstractContextManager[Callable[[], None]]:
        """Each host has a log of its own: JOB.log the first, JOB.rank1.log the next."""
        rank = rank_of(self.peers_json)
        return printed_to(
            log_path(folder, f"{self.order.task_id}.rank{rank}" if rank else self.order.task_id)
        )

    def _attended(self, folder: StudyFolder, task: Task, copy: Callable[[], None]) -> Ending:
        """Train the task while its claims are held and beats are written."""
        from scaling.launching.working.pulse import Pulse, Superseded

        pulse = Pulse(folder, task, self.order.attempt, copy, self.leads, self.began)
        with contextlib.ExitStack() as stack:
            if self.leads:
                claims = holding(folder, task, self.order.token, self.stop_wanted, pulse.waiting)
                pulse.claim = stack.enter_context(claims)
            if pulse.claim is None and (self.leads or not self._leader_holds(folder, task)):
                return Ending("interrupted", "asked to stop before it began")
            stack.enter_context(pulse)
            before = steps_done(folder, task)
            try:
                ending = self._ended(folder, task, pulse)
            except Superseded:
                return Ending("lost", "another attempt at the same task has taken it over")
            return replace(ending, steps=max(0, steps_done(folder, task) - before))

    def _ended(self, folder: StudyFolder, task: Task, pulse: Any) -> Ending:
        """Train the task; raises Superseded also where an error came of that another attempt moved its files."""
        try:
            return self._trained(folder, task, pulse)
        except Exception as error:
            pulse.check_now()
            return _ending_of(error)

    def _claim_trunks(self, folder: StudyFolder, task: Task, pulse: Any) -> None:
        """Claim the trunks of a branch, too, as long as its own claim is held; raises Interrupted where it was asked to
        stop while it waited."""
        from scaling.training.loop import Interrupted

        trunk = Task(task.population, "trunk")
        for path in claim_paths(folder, trunk)[1:] if self.leads else ():
            claim = Claim(path, self.order.token, first=pulse.claim)
            if not claim.take(stop_wanted=self.stop_wanted):
                raise Interrupted
        if not self.leads and not self._leader_holds(folder, trunk):
            raise Interrupted

    def _leader_holds(self, folder: StudyFolder, task: Task) -> bool:
        """Wait until the host that leads holds all claims: it may wait for long, and would not be met meanwhile. False
        where this one was asked to stop."""
        last = claim_paths(folder, task)[-1]
        while holder_of(last).token != self.order.token:
            if self.stop_wanted():
                return False
            time.sleep(LEADER_SECONDS)
        return True

    def _trained(self, folder: StudyFolder, task: Task, pulse: Any) -> Ending:
        """Train the task on this process's devices."""
        if not self.peers_json and is_finished(folder, task):  # several hosts may not see the same
            return Ending("finished")
        execution = self._devices()
        import jax

        from scaling.launching.working.bench import prepare, tracing
        from scaling.training.job import train_part
        from scaling.training.loop import Interrupted

        devices = jax.device_count()
        pulse.tell(phase="preparing", device=jax.devices()[0].device_kind, devices=devices)
        recording, data_folder = self._recording(), as_path(self.order.data_folder)

        def progress(what: str, done: int, total: int) -> None:
            pulse.tell(phase="compiling" if what == "compiling" else "preparing")

        bench = prepare(
            [task.population], folder, data_folder, recording, execution, progress, self.stop_wanted
        )
        if bench is None:
            return Ending("interrupted", "asked to stop before it began", devices=devices)
        with tracing(folder, recording) as trace:
            setting = bench.setting(task.population, pulse, self.stop_wanted, trace, pulse.check_now)
            setting = replace(setting, claim_trunks=lambda: self._claim_trunks(folder, task, pulse))
            try:
                train_part(task.population, task.part, task.budget, setting)
            except Interrupted:
                return Ending("interrupted", "asked to stop, and saved a checkpoint", devices=devices)
        return Ending("finished", devices=devices)

    def _devices(self) -> Any:
        """Make the devices that the order gives this process, together with those of its peers; the execution on
        them."""
        import jax

        from scaling.execution import Execution
        from scaling.launching.allocator import keep_freed_memory
        from scaling.launching.filling import on_this_machine

        launch = Launch(**self.order.launch)
        accelerated = launch.accelerators > 0 or bool(launch.slice)
        if not accelerated:
            keep_freed_memory()
            jax.config.update("jax_platforms", "cpu")
        if self.peers_json:
            join(self.peers_json)
        execution = on_this_machine(Execution(**self.order.execution), max(1, int(launch.cpus)))
        if accelerated and jax.default_backend() == "cpu" and os.environ.get("JAX_PLATFORMS") != "cpu":
            raise HostError(
                f"{launch.accelerators} accelerators were asked for, and JAX on {socket.gethostname()} finds none: "
                "install jax[cuda13] or jax[tpu] there, or leave out --accelerators"
            )
        return execution

    def _recording(self) -> Any:
        from scaling.launching.recording import Recording

        values = self.order.recording
        return Recording(**values | {"copies": tuple(values.get("copies", ()))})


def _ending_of(error: Exception) -> Ending:
    """What an error means for the task: whether another attempt may mend it."""
    from scaling.training.disk import CheckpointError

    sentence = " ".join(str(error).split())[:500]
    if isinstance(error, UserError):
        storage = error.__context__ is not None and storage_reason(error.__context__) is not None
        print(f"error: {sentence}", file=sys.stderr, flush=True)
        kind: Kind = "failed" if storage or isinstance(error, CheckpointError) else "refused"
        return Ending(kind, sentence, at_fault="node" if storage or isinstance(error, HostError) else "task")
    traceback.print_exception(error)
    sys.stderr.flush()
    return Ending("failed", f"{type(error).__name__}: {sentence}" if sentence else type(error).__name__)


def main(order_file: str, ending_file: str) -> None:
    """Work on the order in one file and write the ending to another, whole."""
    _keep_to_cores()
    _end_with_parent()
    ending = work(as_path(order_file).read_text())
    write_whole(as_path(ending_file), ending + "\n")


def _keep_to_cores() -> None:
    """Use no other CPU cores than the environment says; before any thread is made."""
    if CORES in os.environ and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core) for core in os.environ[CORES].split(",")})


def _end_with_parent() -> None:
    """Save and end once the process that the environment names is no longer the parent, and end in any case soon
    after."""
    parent = int(os.environ.get(PARENT, "0"))

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(ORPHAN_SECONDS)
        os._exit(128 + signal.SIGTERM)

    if parent:
        threading.Thread(target=watch, name="parent", daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
