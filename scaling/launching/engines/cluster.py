"""The engine that trains on the nodes of a Ray cluster: an attempt is one task of Ray a host, each a fresh process.

Orders and endings pass as JSON texts; nothing of ours is pickled but the name of the function to call. What retries,
waits and gives up is the driver's scheduler: Ray is told to try nothing twice. Ray runs what anyone sends who reaches
its ports: they must lie in a trusted network.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from scaling.errors import UserError
from scaling.folder import StudyFolder
from scaling.launching.engine import Ending, Order
from scaling.launching.engines.attempt import PATIENCE, Attempt, last_beat
from scaling.launching.engines.autoscaling import makes_nodes, report
from scaling.launching.engines.capacity import Capacity, warn
from scaling.launching.engines.complaint import complaint
from scaling.launching.engines.connecting import answers, connect
from scaling.launching.engines.gang import Work, begin, verdict
from scaling.launching.engines.ray_endings import ending_of, surely_dead
from scaling.launching.engines.resources import Node, demand_of_slice
from scaling.launching.engines.slices import NAME, intact_slices
from scaling.launching.journal import Beat
from scaling.launching.launch import Launch
from scaling.launching.task import Task
from scaling.launching.working.orders import release_claims
from scaling.storage import as_path

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


class RayEngine:
    """Trains orders on a Ray cluster. Connects when made: raises UserError where it cannot."""

    def __init__(
        self, launch: Launch, study_path: Any, work: Work = call_worker, grace: float | None = None
    ) -> None:
        self.launch, self.work = launch, work
        self.grace = launch.grace_seconds if grace is None else grace
        self.folder = StudyFolder(as_path(study_path))
        self.connection = connect(launch.address)
        print(self.connection.sentence, flush=True)
        self.attempts: dict[str, Attempt] = {}
        self._heard = self._begun = self._complained = time.monotonic()
        self._looked = -LOOK_SECONDS
        self._nodes: tuple[Node, ...] = ()
        self.capacity = Capacity(launch, makes_nodes(self.nodes(), report()))

    def check(self, tasks: Sequence[Task]) -> None:
        """Raise UserError that names what exists where no node could ever hold one of the tasks."""
        self.capacity.check(tasks, self.nodes())

    def places(self) -> int:
        """Tasks that can be in training at once, with more where the cluster makes nodes for what waits."""
        return self.capacity.places(self.nodes())

    def room(self) -> int:
        """How many more orders it wants now: as many as fit beside what runs and waits."""
        return self.capacity.room([attempt.demand for attempt in self.attempts.values()], self.nodes())

    def submit(self, order: Order) -> None:
        """Queue an order: Ray begins it on nodes that have what it asks for; one for a slice waits here until a slice
        is whole."""
        order = replace(order, study=whole_path(order.study), data_folder=whole_path(order.data_folder))
        launch = self.capacity.launch_of(order)
        now = time.monotonic()
        if not self.attempts:
            self._begun = now
        demand = self.capacity.demand(launch, self.nodes())
        attempt = Attempt(order, demand, None, "", last_beat(self.folder, order.task_id), now, now)
        self.attempts[order.task_id] = attempt
        if launch.slice:
            attempt.demand = replace(demand, selectors=({NAME: ""},))
            self._begin_on_a_slice(attempt)
        else:
            attempt.demand = replace(demand, avoid=demand.away_from(order.avoid, self.nodes()))
            self._begin(attempt)

    def poll(self, seconds: float) -> list[tuple[str, Ending]]:
        """Wait up to so many seconds for attempts to end; raises UserError when the cluster has gone."""
        import ray

        until = time.monotonic() + seconds
        while True:
            self._look()
            by_ref = {
                attempt.gang.ranks[rank]: (attempt, rank)
                for attempt in self.attempts.values()
                for rank in attempt.alive
                if attempt.gang is not None
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
            ended = [attempt for attempt in self.attempts.values() if attempt.over]
            if ended or time.monotonic() >= until:
                return [(attempt.order.task_id, self._ended(attempt)) for attempt in ended]

    def stop(self, task_id: str) -> None:
        """Ask an attempt to save and end, as Ctrl-C does; it is killed when it has not after the grace, and while it
        beats after PATIENCE times the grace."""
        attempt = self.attempts.get(task_id)
        if attempt is None or attempt.kill_at is not None:
            return
        attempt.beat = last_beat(self.folder, task_id) if attempt.begun else attempt.beat
        attempt.end_within(self.grace, PATIENCE * self.grace)
        if attempt.gang is None:
            attempt.endings[0] = Ending("interrupted", "asked to stop before it began")
        else:
            attempt.gang.cancel(force=False)

    def kill(self, task_id: str) -> None:
        """End an attempt at the next look, though it beats."""
        attempt = self.attempts.get(task_id)
        if attempt is not None:
            attempt.end_within(0.0, 0.0)

    def complaint(self) -> str:
        """A sentence where jobs have waited for two minutes and none has begun, or could; else empty."""
        silent = time.monotonic() - self._begun
        return complaint(tuple(self.attempts.values()), self.capacity, self.nodes(), silent, SILENT_SECONDS)

    def close(self) -> None:
        """Kill what still runs and leave the cluster; Ray is shut down only where this engine started it."""
        import ray

        if self.attempts and answers(self.connection.address):
            gangs = [(attempt.order, attempt.gang) for attempt in self.attempts.values() if attempt.gang]
            for _, gang in gangs:
                gang.cancel(force=True)
            refs = [ref for _, gang in gangs for ref in gang.ranks]
            ended = ray.wait(refs, num_returns=len(refs), timeout=10)[0] if refs else []
            for order, gang in gangs:
                gang.release()
                if gang.ranks[0] in ended:
                    release_claims(order)
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

    def _begin(self, attempt: Attempt) -> None:
        order = attempt.order
        attempt.looked = time.monotonic()
        attempt.gang = begin(
            self.work, order.to_json(), f"{order.task_id} try {order.attempt}", attempt.demand
        )

    def _begin_on_a_slice(self, attempt: Attempt) -> None:
        """Take a slice that no attempt of ours has; where all are taken, one of them, and Ray waits until it is free.
        While none is whole it is tried again at every look."""
        launch = self.capacity.launch_of(attempt.order)
        taken = [other.slice for other in self.attempts.values()]
        avoided = {
            (node.get("Labels") or {}).get(NAME)
            for node in self.nodes()
            if node.get("NodeManagerHostname") in attempt.order.avoid
        }
        found = intact_slices(self.nodes(), launch.slice)
        if found:
            chosen = min(found, key=lambda one: (taken.count(one.name), one.name in avoided))
            attempt.slice, attempt.demand = chosen.name, demand_of_slice(launch, chosen)
            self._begin(attempt)

    def _look(self) -> None:
        """Kill what did not end when asked to, and see which attempts have begun."""
        nodes, now = self.nodes(), time.monotonic()
        if not self.attempts and self.capacity.fits(nodes):
            self._begun = now
        if now - self._complained > SILENT_SECONDS and (said := self.complaint()):
            self._complained = now
            warn(said)
        for attempt in self.attempts.values():
            attempt.kill_when_due(now, self.folder)
            if not attempt.begun and now - attempt.looked > LOOK_SECONDS:
                self._look_at_what_waits(attempt, now)

    def _look_at_what_waits(self, attempt: Attempt, now: float) -> None:
        """See whether an attempt has begun; one that waits for a slice, or for nodes that are not avoided, that went
        away is lost."""
        if self._see(attempt) is not None:
            return
        attempt.looked = now
        if attempt.kill_at is not None:
            return
        if attempt.gang is None:
            self._begin_on_a_slice(attempt)
            return
        launch = self.capacity.launch_of(attempt.order)
        up = {one.name for one in intact_slices(self.nodes(), launch.slice)} if launch.slice else {""}
        if attempt.slice not in up:
            attempt.why, attempt.kill_at = "its slice went away before it began", now
        elif attempt.demand.avoid and not attempt.demand.away_from(attempt.order.avoid, self.nodes()):
            attempt.why, attempt.kill_at = "the nodes that it waited for went away", now

    def _see(self, attempt: Attempt) -> Beat | None:
        """What the attempt's worker last said; None while it has said nothing."""
        beat = last_beat(self.folder, attempt.order.task_id)
        if beat is None or (not attempt.begun and beat == attempt.beat):
            return None
        if not attempt.begun:
            attempt.begun, attempt.beat, self._begun = True, beat, time.monotonic()
        return beat

    def _rank_ended(self, attempt: Attempt, rank: int, ref: Any) -> None:
        """Note what a worker said, or what Ray says of it; one that ended badly takes its peers with it."""
        import ray

        try:
            ending = Ending(**json.loads(ray.get(ref)))
        except Exception as error:
            ending = ending_of(error, rank in attempt.killed)
            if rank == 0 and surely_dead(error):
                release_claims(attempt.order)
        attempt.endings[rank] = ending
        if attempt.alive and not attempt.killed:
            if ending.kind in ("finished", "interrupted"):
                attempt.end_within(self.grace, PATIENCE * self.grace)
            else:
                attempt.end_within(PEERS_SECONDS, 0.0)

    def _ended(self, attempt: Attempt) -> Ending:
        """How an attempt ended all of whose hosts have; seconds and host of one that is lost by what it last said."""
        del self.attempts[attempt.order.task_id]
        if attempt.gang is not None:
            attempt.gang.release()
        told = {rank: ending for rank, ending in attempt.endings.items() if rank not in attempt.killed}
        ending = verdict(told or attempt.endings)
        if attempt.why and not told:
            ending = replace(ending, reason=attempt.why)
        beat = self._see(attempt)
        self._begun = time.monotonic()
        if ending.host or beat is None:
            return ending
        seconds = time.monotonic() - attempt.looked
        return replace(ending, seconds=seconds, host=beat.host, devices=beat.devices)
