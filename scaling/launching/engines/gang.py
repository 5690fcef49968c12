"""The tasks of Ray that train one order: one, or one a host in a placement group of different nodes."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scaling.launching.engine import Ending, Kind
from scaling.launching.engines.resources import Demand
from scaling.launching.working.peers import Peers, is_of_peers, part

Work = Callable[[str, str], str]
"""(order, peers) -> ending, all JSON."""
ALONE = {"max_retries": 0, "max_calls": 1}
"""Of a task: Ray tries it once, in a process that it shares with no other."""
EXIT_SECONDS = 10
"""A host that has said how it ended is gone by then: JAX would wait five minutes for peers that went away, and keep its
accelerators from the next attempt. The system ends it, as nothing of Python may run any more."""
WORST: tuple[Kind, ...] = ("lost", "refused", "failed", "interrupted", "finished")
"""Of the endings of several hosts that which explains the others: a lost host makes its peers fail."""

BAD = WORST[:3]


@dataclass(frozen=True)
class Gang:
    """The tasks of an order, rank 0 first, and the placement group that they have, if any."""

    ranks: tuple[Any, ...]
    group: Any = None

    def cancel(self, force: bool, ranks: Sequence[int] | None = None) -> None:
        """Interrupt the workers as Ctrl-C does, or `force`: kill them. One that has ended is left alone."""
        import ray

        for rank in range(len(self.ranks)) if ranks is None else ranks:
            ray.cancel(self.ranks[rank], force=force)

    def release(self) -> None:
        """Give back what was reserved."""
        from ray.util.placement_group import remove_placement_group

        if self.group is not None:
            remove_placement_group(self.group)


def begin(work: Work, order: str, name: str, demand: Demand) -> Gang:
    """Queue an order; `name` is what Ray's dashboard shows. Returns at once."""
    import ray

    if demand.hosts == 1 and not demand.selectors:
        options: dict[str, Any] = ALONE | demand.options(0)
        if demand.avoid:  # others may be gone before it begins
            options |= {"label_selector": demand.elsewhere, "fallback_strategy": [{"label_selector": {}}]}
        return Gang((ray.remote(**options, name=name)(work).remote(order, ""),))
    from ray.util.placement_group import placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    group = placement_group(
        list(demand.bundles),
        strategy="STRICT_SPREAD",
        name=name,
        bundle_label_selector=list(demand.selectors)
        or ([demand.elsewhere] * demand.hosts if demand.avoid else None),
    )

    def place(rank: int) -> dict[str, Any]:
        return {"scheduling_strategy": PlacementGroupSchedulingStrategy(group, rank)}

    meeting = ray.remote(**ALONE, **place(0), num_cpus=0, name=f"{name} meeting")(meeting_place).remote()
    ranks = [
        ray.remote(**ALONE, **demand.options(rank), **place(rank), name=f"{name} host {rank}")(
            train_rank
        ).remote(work, order, meeting, demand.hosts, rank)
        for rank in range(demand.hosts)
    ]
    return Gang(tuple(ranks), group)


def meeting_place() -> str:
    """ADDRESS:PORT of this node that is free now. Another may take the port before rank 0 does: then JAX's coordinator
    ends its process without a word, the attempt is lost, and the next asks for another."""
    import ray

    address = ray.util.get_node_ip_address()
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.bind((address, 0))
        port = probe.getsockname()[1]
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def train_rank(work: Work, order: str, meeting: str, hosts: int, rank: int) -> str:
    """What one host of several runs."""
    peers = Peers(meeting, hosts, rank).to_json() if hosts > 1 else ""
    try:
        ending = work(order, peers)
        if json.loads(ending)["kind"] in ("finished", "interrupted"):
            part(peers)
        return ending
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(EXIT_SECONDS)


def verdict(told: Mapping[int, Ending]) -> Ending:
    """How an order ended whose hosts ended so, by rank; leave out those that were killed because of the others.

    What rank 0 calls finished is finished: it wrote the results. The reason is that of each host with its name, where
    they differ, and an error of a host's own comes before those that only say that another went away.
    """
    if 0 in told and told[0].kind == "finished":
        return told[0]
    ranks = sorted(
        told, key=lambda rank: (WORST.index(told[rank].kind), is_of_peers(told[rank].reason), rank)
    )
    worst = told[ranks[0]]
    steps = max(ending.steps for ending in told.values())
    return replace(worst, reason=_together({rank: told[rank] for rank in ranks}), steps=steps)


def _together(told: Mapping[int, Ending]) -> str:
    """The reasons of hosts that ended badly, own errors first, each said once; else that of the first."""
    bad = {rank: ending for rank, ending in told.items() if ending.kind in BAD and ending.reason}
    if len({ending.reason for ending in bad.values()}) < 2:
        return next(iter(bad.values()), next(iter(told.values()))).reason
    said: dict[str, str] = {}
    for rank, ending in sorted(bad.items(), key=lambda pair: is_of_peers(pair[1].reason)):
        said.setdefault(
            ending.reason, f"host {rank}{f' ({ending.host})' if ending.host else ''}: {ending.reason}"
        )
    return "; ".join(said.values())
