"""The engine that trains on the nodes of a Ray cluster: each attempt is one task of Ray, in a fresh process.

Orders and endings pass as JSON texts; nothing of ours is pickled but the name of the function to call. What retries,
waits and gives up is the driver's scheduler: Ray is told to try nothing twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from scaling.folder import StudyFolder
from scaling.launching.connecting import Connection, connect
from scaling.launching.engine import Ending, Order
from scaling.launching.journal import read_beat
from scaling.launching.launch import Launch
from scaling.launching.ray_endings import ending_of
from scaling.launching.resources import demand_of, places, refusal
from scaling.launching.task import Task

Work = Callable[[str, str], str]
"""(order, peers) -> ending, all JSON."""
GRACE_SECONDS = 60.0
"""An attempt that was asked to stop is killed after that long."""
KILLED = float("inf")


def call_worker(order: str, peers: str) -> str:
    """What a process of the cluster runs."""
    from scaling.launching.worker import work

    return work(order, peers)


@dataclass
class _Attempt:
    """A try at a task that has not ended."""

    order: Order
    ref: Any
    submitted: float
    stop_by: float | None = None
    """When an attempt that was asked to stop is killed; seconds of time.monotonic, as `submitted`."""


class RayEngine:
    """Trains orders on a Ray cluster. Connects when made; raises UserError where it cannot."""

    def __init__(
        self, launch: Launch, study_path: Any, work: Work = call_worker, grace: float = GRACE_SECONDS
    ) -> None:
        self.launch = launch
        self.folder = StudyFolder(study_path if not isinstance(study_path, str) else Path(study_path))
        self.work = work
        self.grace = grace
        self.connection: Connection = connect(launch.address)
        self.attempts: dict[str, _Attempt] = {}

    def check(self, tasks: Sequence[Task]) -> None:
        """Raise UserError that names what exists where no node could ever hold one of the tasks."""
        refusal(demand_of(self.launch, _nodes()), _nodes())

    def places(self) -> int:
        """Tasks that the nodes that are up can train at once."""
        return places(demand_of(self.launch, _nodes()), _nodes())

    def room(self) -> int:
        """How many more orders it wants now."""
        return max(0, self.places() - len(self.attempts))

    def submit(self, order: Order) -> None:
        """Queue an order: Ray begins it on a node that has what it asks for."""
        import ray

        demand = demand_of(self.launch, _nodes())
        train = ray.remote(**demand.options, name=order.task_id)(self.work)
        self.attempts[order.task_id] = _Attempt(order, train.remote(order.to_json(), ""), time.monotonic())

    def poll(self, seconds: float) -> list[tuple[str, Ending]]:
        """Wait up to so many seconds for attempts to end."""
        import ray

        self._kill_the_deaf()
        by_ref = {attempt.ref: task_id for task_id, attempt in self.attempts.items()}
        if not by_ref:
            time.sleep(seconds)
            return []
        ready, _ = ray.wait(list(by_ref), num_returns=1, timeout=seconds)
        if ready:
            ready, _ = ray.wait(list(by_ref), num_returns=len(by_ref), timeout=0)
        return [(by_ref[ref], self._ended(self.attempts.pop(by_ref[ref]))) for ref in ready]

    def stop(self, task_id: str) -> None:
        """Ask an attempt to save and end; it is killed when it has not after the grace."""
        import ray

        attempt = self.attempts.get(task_id)
        if attempt is not None and attempt.stop_by is None:
            attempt.stop_by = time.monotonic() + self.grace
            ray.cancel(attempt.ref, force=False)

    def close(self) -> None:
        """Kill what still runs and leave the cluster; Ray is shut down only where this engine started it."""
        import ray

        for attempt in self.attempts.values():
            ray.cancel(attempt.ref, force=True)
        ray.wait([attempt.ref for attempt in self.attempts.values()] or [ray.put("")], timeout=10)
        self.attempts.clear()
        ray.shutdown()

    def _kill_the_deaf(self) -> None:
        import ray

        for attempt in self.attempts.values():
            if attempt.stop_by is not None and time.monotonic() > attempt.stop_by:
                ray.cancel(attempt.ref, force=True)
                attempt.stop_by = KILLED

    def _ended(self, attempt: _Attempt) -> Ending:
        """What the worker said, or what Ray says of a worker that could not."""
        import ray

        try:
            return Ending(**json.loads(ray.get(attempt.ref)))
        except Exception as error:
            ending = ending_of(error, killed=attempt.stop_by == KILLED)
        beat = read_beat(self.folder, attempt.order.task_id)
        if beat is None or beat.attempt != attempt.order.attempt:
            return ending
        seconds = time.monotonic() - attempt.submitted
        return replace(ending, seconds=seconds, host=beat.host, devices=max(1, beat.devices))


def ending_json(ending: Ending) -> str:
    """As a worker says it."""
    return json.dumps(asdict(ending))


def _nodes() -> list[dict[str, Any]]:
    """The cluster's nodes, as Ray describes them."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]
