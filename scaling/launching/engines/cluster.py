"""The engine that trains on the nodes of a Ray cluster: an attempt is one task of Ray a host, each a fresh process.

Orders and endings pass as JSON texts; nothing of ours is pickled but the name of the function to call. What retries,
waits and gives up is the driver's scheduler: Ray is told to try nothing twice. Ray runs what anyone sends who reaches
its ports: they must lie in a trusted network.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from scaling.errors import UserError
from scaling.folder import StudyFolder
from scaling.launching.engine import Ending, Order
from scaling.launching.engines.autoscaling import QUEUED, makes_nodes, report
from scaling.launching.engines.connecting import answers, connect
from scaling.launching.engines.gang import Gang, Work, begin, verdict
from scaling.launching.engines.ray_endings import ending_of, surely_dead
from scaling.launching.engines.resources import (
    Demand,
    Node,
    demand_of,
    demand_of_slice,
    inventory,
    places,
    refusal,
)
from scaling.launching.engines.slices import Slice, intact_slices
from scaling.launching.journal import Beat, read_beat
from scaling.launching.launch import Launch
from scaling.launching.task import Task
from scaling.launching.working.orders import release_claims
from scaling.storage import as_path

GRACE_SECONDS = 60.0
"""An attempt that was asked to stop is killed after that long."""
PEERS_SECONDS = 3.0
"""The other hosts of one that ended badly may say so too before they are killed."""
LOOK_SECONDS = 2.0
"""Nodes and beats are looked at that often."""
AWAY_SECONDS = 10.0
"""A cluster whose head takes no connection for that long is lost."""
SILENT_SECONDS = 120.0
"""That nothing begins is said after that long: a worker waits a minute for the claim of one that went away."""


def call_worker(order: str, peers: str) -> str:
    """What a process of the cluster runs."""
    from scaling.launching.working.worker import work

    return work(order, peers)


def whole_path(path: str) -> str:
    """A path that means the same in a process with another working directory; a URL as it is."""
    return path if "://" in path else os.path.abspath(path)


@dataclass
class _Attempt:
    """A try at a task that has not ended. Times are seconds of time.monotonic."""

    order: Order
    gang: Gang
    slice: str
    beat: Beat | None
    """What the task's worker of an earlier attempt last said."""
    looked: float
    """When it was last seen not to have begun."""
    begun: bool = False
    endings: dict[int, Ending] = field(default_factory=dict)
    """By rank, those that have ended."""
    kill_at: float | None = None
    killed: tuple[int, ...] = ()
    """Ranks that this engine killed."""


class RayEngine:
    """Trains orders on a Ray cluster. Connects when made: raises UserError where it cannot."""

    def __init__(
        self, launch: Launch, study_path: Any, work: Work = call_worker, grace: float = GRACE_SECONDS
    ) -> None:
        self.launch, self.work, self.grace = launch, work, grace
        self.folder = StudyFolder(as_path(study_path))
        self.connection = connect(launch.address)
        print(self.connection.sentence, flush=True)
        self.attempts: dict[str, _Attempt] = {}
        self._heard = self._begun = self._complained = time.monotonic()
        self._looked = -LOOK_SECONDS
        self._nodes: tuple[Node, ...] = ()
        self._grows = makes_nodes(self.nodes(), report())

    def check(self, tasks: Sequence[Task]) -> None:
        """Raise UserError that names what exists where no node could ever hold one of the tasks."""
        if self._fit():
            return
        if self.launch.slice or not self._grows:
            raise refusal(self._asked, self.nodes())
        print(
            f"warning: no node that is up has what a job asks for ({self._asked}); the cluster makes nodes when they "
            "are asked for, so the jobs are queued: `ray status` shows whether one comes",
            file=sys.stderr,
            flush=True,
        )

    def places(self) -> int:
        """Tasks that can be in training at once, with a few more where the cluster makes nodes for what waits."""
        fit = self._fit() + (QUEUED if self._grows else 0)
        return min(fit, self.launch.jobs_at_once or fit)

    def room(self) -> int:
        """How many more orders it wants now."""
        return max(0, self.places() - len(self.attempts))

    def submit(self, order: Order) -> None:
        """Queue an order: Ray begins it on nodes that have what it asks for."""
        chosen = self._free_slice() if self.launch.slice else None
        demand = self._demand(chosen)
        if not self.attempts:
            self._begun = time.monotonic()
        order = replace(order, study=whole_path(order.study), data_folder=whole_path(order.data_folder))
        gang = begin(self.work, order.to_json(), f"{order.task_id} try {order.attempt}", demand)
        self.attempts[order.task_id] = _Attempt(
            order,
            gang,
            chosen.name if chosen else "",
            read_beat(self.folder, order.task_id),
            time.monotonic(),
        )

    def poll(self, seconds: float) -> list[tuple[str, Ending]]:
        """Wait up to so many seconds for attempts to end; raises UserError when the cluster has gone."""
        import ray

        until = time.monotonic() + seconds
        while True:
            self._look()
            by_ref = {
                ref: (attempt, rank)
                for attempt in self.attempts.values()
                for rank, ref in enumerate(attempt.gang.ranks)
                if rank not in attempt.endings
            }
            patience = max(0.0, min(until - time.monotonic(), 0.5))
            if by_ref:
                for ref in (
                    ray.wait(list(by_ref), num_returns=len(by_ref), timeout=0)[0]
                    or (ray.wait(list(by_ref), num_returns=1, timeout=patience)[0])
                ):
                    self._rank_ended(*by_ref[ref], ref)
            else:
                time.sleep(patience)
            ended = [a for a in self.attempts.values() if len(a.endings) == len(a.gang.ranks)]
            if ended or time.monotonic() >= until:
                return [(attempt.order.task_id, self._ended(attempt)) for attempt in ended]

    def stop(self, task_id: str) -> None:
        """Ask an attempt to save and end, as Ctrl-C does; it is killed when it has not after the grace."""
        attempt = self.attempts.get(task_id)
        if attempt is not None and attempt.kill_at is None:
            attempt.kill_at = time.monotonic() + self.grace
            attempt.gang.cancel(force=False)

    def kill(self, task_id: str) -> None:
        """End an attempt at the next look."""
        attempt = self.attempts.get(task_id)
        if attempt is not None:
            attempt.kill_at = min(time.monotonic(), attempt.kill_at or math.inf)

    def complaint(self) -> str:
        """A sentence where orders wait and nothing has begun for two minutes, else empty."""
        silent = time.monotonic() - self._begun
        if not self.attempts or any(a.begun for a in self.attempts.values()) or silent < SILENT_SECONDS:
            return ""
        return (
            f"no job has begun for {silent:.0f} s: {len(self.attempts)} wait, each for {self._asked}; the cluster has "
            f"{inventory(self.nodes())}, which others may be using: `ray status` shows what is free"
        )

    def close(self) -> None:
        """Kill what still runs and leave the cluster; Ray is shut down only where this engine started it."""
        import ray

        if self.attempts and answers(self.connection.address):
            for attempt in self.attempts.values():
                attempt.gang.cancel(force=True)
            refs = [ref for attempt in self.attempts.values() for ref in attempt.gang.ranks]
            ended = ray.wait(refs, num_returns=len(refs), timeout=10)[0]
            for attempt in self.attempts.values():
                attempt.gang.release()
                if attempt.gang.ranks[0] in ended:
                    release_claims(attempt.order)
        self.attempts.clear()
        ray.shutdown()

    def nodes(self) -> tuple[Node, ...]:
        """The cluster's living nodes as Ray describes them, looked at every two seconds."""
        import ray

        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._require_answer()
            self._nodes = tuple(node for node in ray.nodes() if node["Alive"])
            self._looked = time.monotonic()
        return self._nodes

    def _require_answer(self) -> None:
        """Ray would go on trying for minutes, and then end this process without a word."""
        while not answers(self.connection.address):
            if time.monotonic() - self._heard > AWAY_SECONDS:
                raise UserError(
                    f"the Ray cluster at {self.connection.address} has gone (its head takes no connection); nothing "
                    "that was saved is lost: start the cluster again and run the same command"
                )
            time.sleep(1.0)
        self._heard = time.monotonic()

    def _fit(self) -> int:
        """Jobs that the nodes that are up can hold at once."""
        return len(self._slices()) if self.launch.slice else places(self._demand(None), self.nodes())

    def _slices(self) -> tuple[Slice, ...]:
        return intact_slices(self.nodes(), self.launch.slice)

    def _free_slice(self) -> Slice:
        """A slice that no attempt of ours has; where all are taken, one of them, and Ray waits until it is free."""
        taken = [attempt.slice for attempt in self.attempts.values()]
        found = self._slices()
        if not found:
            raise refusal(self._asked, self.nodes())
        return min(found, key=lambda one: taken.count(one.name))

    def _demand(self, chosen: Slice | None) -> Demand:
        return demand_of_slice(self.launch, chosen) if chosen else demand_of(self.launch, self.nodes())

    @property
    def _asked(self) -> str:
        return f"a TPU slice {self.launch.slice}" if self.launch.slice else str(self._demand(None))

    def _look(self) -> None:
        """Kill what did not end when asked to, and see which attempts have begun."""
        self.nodes()
        now = time.monotonic()
        if now - self._complained > SILENT_SECONDS and (complaint := self.complaint()):
            self._complained = now
            print(f"warning: {complaint}", file=sys.stderr, flush=True)
        for attempt in self.attempts.values():
            if attempt.kill_at is not None and now > attempt.kill_at and not attempt.killed:
                attempt.killed = self._alive(attempt)
                attempt.gang.cancel(force=True, ranks=attempt.killed)
            if not attempt.begun and now - attempt.looked > LOOK_SECONDS:
                self._see(attempt)
                if not attempt.begun and attempt.slice not in ("", *(one.name for one in self._slices())):
                    attempt.kill_at = now

    def _alive(self, attempt: _Attempt) -> tuple[int, ...]:
        return tuple(rank for rank in range(len(attempt.gang.ranks)) if rank not in attempt.endings)

    def _see(self, attempt: _Attempt) -> Beat | None:
        """What the attempt's worker last said; None while it has said nothing."""
        beat = read_beat(self.folder, attempt.order.task_id)
        if beat is None or beat == attempt.beat:
            if not attempt.begun:
                attempt.looked = time.monotonic()
            return None
        if not attempt.begun:
            attempt.begun, self._begun = True, time.monotonic()
        return beat

    def _rank_ended(self, attempt: _Attempt, rank: int, ref: Any) -> None:
        """Note what a worker said, or what Ray says of it; one that ended badly takes its peers with it."""
        import ray

        try:
            ending = Ending(**json.loads(ray.get(ref)))
        except Exception as error:
            ending = ending_of(error, rank in attempt.killed)
            if rank == 0 and surely_dead(error):
                release_claims(attempt.order)
        attempt.endings[rank] = ending
        others = self._alive(attempt)
        if others and not attempt.killed:
            well = ending.kind in ("finished", "interrupted")
            kill_at = time.monotonic() + (self.grace if well else PEERS_SECONDS)
            attempt.kill_at = min(kill_at, attempt.kill_at or kill_at)

    def _ended(self, attempt: _Attempt) -> Ending:
        """How an attempt ended all of whose hosts have; seconds and host of one that is lost by what it last said."""
        del self.attempts[attempt.order.task_id]
        attempt.gang.release()
        told = {rank: ending for rank, ending in attempt.endings.items() if rank not in attempt.killed}
        ending = verdict(told or attempt.endings)
        beat = self._see(attempt)
        self._begun = time.monotonic()
        if ending.host or beat is None:
            return ending
        seconds = time.monotonic() - attempt.looked
        return replace(ending, seconds=seconds, host=beat.host, devices=max(1, beat.devices))
