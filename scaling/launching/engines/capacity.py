"""What the jobs of a study ask of a cluster and how many of them it holds; knows nothing of Ray but its words."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

from scaling.errors import UserError
from scaling.launching.engine import Order
from scaling.launching.engines.autoscaling import MOST_QUEUED, ahead
from scaling.launching.engines.packing import packed
from scaling.launching.engines.resources import (
    Demand,
    Kind,
    Node,
    demand_of,
    inventory,
    kind_of,
    places,
    refusal,
)
from scaling.launching.engines.slices import intact_slices
from scaling.launching.launch import Launch
from scaling.launching.task import Task

UNDECIDED = (
    "no node that is up has accelerators, and whether jobs train on GPUs or TPU chips is not said: add "
    "--accelerator-type GPU, TPU or Ray's name of one, as H100 or TPU-V6E, and the cluster is asked for such nodes"
)


def warn(said: str) -> None:
    """A line for whoever started the driver."""
    print(f"warning: {said}", file=sys.stderr, flush=True)


class Capacity:
    """Of one launch on a cluster that `grows` or not; the nodes of the moment are arguments."""

    def __init__(self, launch: Launch, grows: bool) -> None:
        self.launch, self.grows = launch, grows
        self.asked: tuple[Launch, ...] = (launch,)
        """What the tasks ask for, each once."""
        self._kind: Kind = ""

    def check(self, tasks: Sequence[Task], nodes: Sequence[Node]) -> None:
        """Raise UserError that names what exists where no node could ever hold one of the tasks; warn where none that
        is up does, or accelerators lie idle."""
        self.asked = tuple(dict.fromkeys(self.launch.for_task(task) for task in tasks)) or (self.launch,)
        for asked in self.asked:
            if self.fit(asked, nodes):
                continue
            if asked.slice or not self.grows:
                raise refusal(self.words(asked, nodes), nodes)
            if asked.accelerators and not self.kind(nodes):
                raise UserError(UNDECIDED)
            warn(
                f"no node that is up has what a job asks for ({self.words(asked, nodes)}); the cluster makes nodes "
                "when they are asked for, so the jobs are queued: `ray status` shows whether one comes"
            )
        if not any(asked.accelerated for asked in self.asked):
            _warn_of_idle(nodes)

    def places(self, nodes: Sequence[Node]) -> int:
        """Jobs that can be in training at once, with more where the cluster makes nodes for what waits; of different
        sizes as many as of those that fit most often."""
        most = max(self.fit(asked, nodes) + self._ahead(asked, nodes) for asked in self.asked)
        return min(most, self.launch.jobs_at_once or most)

    def room(self, demands: Sequence[Demand], nodes: Sequence[Node]) -> int:
        """How many more orders are wanted beside what was ordered: a job that fits nowhere now is left waiting where
        others are of another size, so that those are begun beside it."""
        left, waiting = packed(demands, nodes)
        fit = max(self.fit(asked, left) for asked in self.asked)
        extra = max(self._ahead(asked, nodes) for asked in self.asked) - waiting
        most = fit + extra if len(self.asked) == 1 else max(fit if waiting < MOST_QUEUED else 0, extra)
        at_once = self.launch.jobs_at_once
        return max(0, min(most, at_once - len(demands)) if at_once else most)

    def fit(self, asked: Launch, nodes: Sequence[Node]) -> int:
        """Jobs that nodes can hold at once."""
        if asked.slice:
            return len(intact_slices(nodes, asked.slice))
        return places(self.demand(asked, nodes), nodes)

    def fits(self, nodes: Sequence[Node]) -> bool:
        """Whether nodes can hold any of the jobs."""
        return any(self.fit(asked, nodes) for asked in self.asked)

    def launch_of(self, order: Order) -> Launch:
        """What an order is launched with."""
        return replace(self.launch, **order.launch)

    def demand(self, asked: Launch, nodes: Sequence[Node]) -> Demand:
        """What a job asks for that needs no slice."""
        return demand_of(asked, nodes, self.kind(nodes))

    def kind(self, nodes: Sequence[Node]) -> Kind:
        """Whether accelerators are GPUs or TPU chips: once nodes have told it holds, though all of them go away."""
        self._kind = self._kind or kind_of(self.launch, nodes)
        return self._kind

    def said(self, nodes: Sequence[Node]) -> str:
        """What a job asks for, and what the cluster has, in words."""
        each = " or ".join(self.words(asked, nodes) for asked in self.asked)
        return f"each for {each}; the cluster has {inventory(nodes)}"

    def _ahead(self, asked: Launch, nodes: Sequence[Node]) -> int:
        """Jobs to queue beyond those that fit; none for a slice, as only one that is up can be asked for."""
        return ahead(self.fit(asked, nodes)) if self.grows and not asked.slice else 0

    def words(self, asked: Launch, nodes: Sequence[Node]) -> str:
        """What a job asks for."""
        return f"a TPU slice {asked.slice}" if asked.slice else str(self.demand(asked, nodes))


def _warn_of_idle(nodes: Sequence[Node]) -> None:
    there = {name: sum(node["Resources"].get(name, 0.0) for node in nodes) for name in ("GPU", "TPU")}
    idle = " and ".join(f"{count:g} {name}" for name, count in there.items() if count)
    if idle:
        warn(
            f"jobs train on CPU cores, and the cluster's {idle} lie idle: --accelerators 1 gives each job one"
        )
