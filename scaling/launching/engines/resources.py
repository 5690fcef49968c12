"""What a job asks of each host and whether the nodes of a cluster have it; pure, imports nothing of Ray."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from scaling.errors import UserError
from scaling.launching.engines.slices import Slice
from scaling.launching.launch import Launch

GIB = 2.0**30
ACCELERATOR_TYPE = "accelerator_type:"
"""Prefix of the resource by which Ray says what accelerators a node has."""
NODE_ID = "ray.io/node-id"
"""Ray's label of a node's id."""

Kind = Literal["GPU", "TPU", ""]
"""Ray's name of what accelerators are counted by; empty where it is not known."""
Node = dict[str, Any]
"""A node as ray.nodes() describes it: Resources, Labels, NodeManagerAddress."""


@dataclass(frozen=True)
class Demand:
    """What one job asks of each of its hosts, by Ray's names: CPU, GPU, TPU, memory in bytes."""

    bundles: tuple[dict[str, float], ...]
    """Of each host, rank 0 first; the hosts are different nodes."""
    selectors: tuple[dict[str, str], ...] = ()
    """Labels that the node of each host must have; empty for any."""
    avoid: tuple[str, ...] = ()
    """Ids of nodes that it is not given to while others are up."""

    @property
    def elsewhere(self) -> dict[str, str]:
        """The label that nodes have which are not avoided, as Ray selects it; empty where none is."""
        return {NODE_ID: f"!in({','.join(self.avoid)})"} if self.avoid else {}

    @property
    def hosts(self) -> int:
        """Nodes that train the job together."""
        return len(self.bundles)

    def away_from(self, hosts: Sequence[str], nodes: Sequence[Node]) -> tuple[str, ...]:
        """Ids of the nodes on these hosts; none where no other nodes could ever hold the demand."""
        named = tuple(node["NodeID"] for node in nodes if node.get("NodeManagerHostname") in hosts)
        others = [node for node in nodes if node.get("NodeID") not in named]
        return named if named and places(self, others) else ()

    def options(self, rank: int) -> dict[str, Any]:
        """Of a task of Ray that holds what the host of that rank is asked for."""
        bundle = self.bundles[rank]
        custom = {name: count for name, count in bundle.items() if name not in ("CPU", "GPU", "memory")}
        return {
            "num_cpus": bundle["CPU"],
            "num_gpus": bundle.get("GPU", 0),
            "memory": bundle.get("memory") or None,
            "resources": custom or None,
        }

    def fits(self, node: Node) -> int:
        """How many times a node holds the demand of one host."""
        has = node["Resources"]
        return int(min((has.get(name, 0.0) + 1e-9) // count for name, count in self.bundles[0].items()))

    def __str__(self) -> str:
        one = described(self.bundles[0])
        return f"{self.hosts} different nodes with {one} each" if self.hosts > 1 else f"one node with {one}"


def kind_of(launch: Launch, nodes: Sequence[Node]) -> Kind:
    """What the accelerators of this launch are: as the type says, else GPUs where a node has some, else TPU chips;
    empty where nothing tells."""
    if launch.accelerator_type:
        return "TPU" if launch.accelerator_type.upper().startswith("TPU") else "GPU"
    kinds: tuple[Kind, ...] = ("GPU", "TPU")
    return next((kind for kind in kinds if any(node["Resources"].get(kind) for node in nodes)), "")


def demand_of(launch: Launch, nodes: Sequence[Node], kind: Kind = "") -> Demand:
    """What a job of this launch asks for; where nothing tells of what `kind` accelerators are, they are GPUs."""
    bundle = {"CPU": launch.cpus}
    if launch.accelerators:
        bundle[kind or kind_of(launch, nodes) or "GPU"] = float(launch.accelerators)
    if launch.accelerator_type not in ("", "GPU", "TPU"):
        bundle[ACCELERATOR_TYPE + launch.accelerator_type] = 0.001
    if launch.memory_gib:
        bundle["memory"] = float(int(launch.memory_gib * GIB))
    return Demand((bundle,) * launch.hosts)


def demand_of_slice(launch: Launch, chosen: Slice) -> Demand:
    """What a job asks for that has a slice to itself: every chip of every host.

    Host 0 has a resource by which Ray says that a slice is taken.
    """
    memory = {"memory": float(int(launch.memory_gib * GIB))} if launch.memory_gib else {}
    bundles = [{"CPU": launch.cpus, "TPU": chips, **memory} for chips in chosen.chips]
    bundles[0][f"TPU-{launch.slice}-head"] = 1.0
    return Demand(tuple(bundles), chosen.selectors)


def places(demand: Demand, nodes: Sequence[Node]) -> int:
    """Jobs that can be in training at once; a job's hosts are different nodes."""
    times = [demand.fits(node) for node in nodes]
    if demand.hosts == 1:
        return sum(times)
    jobs = 0
    while sum(min(count, jobs + 1) for count in times) >= (jobs + 1) * demand.hosts:
        jobs += 1
    return jobs


def refusal(asked: str, nodes: Sequence[Node]) -> UserError:
    """That the nodes could not hold even one job were they all idle."""
    return UserError(
        f"a job asks for {asked}, and the cluster can never give it that: it has {inventory(nodes)}; "
        "ask for less, or add nodes that have it"
    )


def inventory(nodes: Sequence[Node]) -> str:
    """The nodes in few words, equal ones together, of equal numbers those with more cores first: Ray tells nodes in any
    order."""
    ordered = sorted(nodes, key=lambda node: -node["Resources"].get("CPU", 0.0))
    kinds = Counter(described(node["Resources"]) for node in ordered)
    said = [f"{count} node{'s' if count > 1 else ''} of {kind}" for kind, count in kinds.most_common(8)]
    more = len(kinds) - len(said)
    return ", ".join(said) + (f" and {more} other kinds" if more > 0 else "") if said else "no node"


def described(resources: dict[str, float]) -> str:
    """Resources as a person reads them: `4 CPU, 1 GPU (H100), 20.0 GiB`."""
    said = [f"{resources[name]:g} {name}" for name in ("CPU", "GPU", "TPU") if resources.get(name)]
    types = [name.removeprefix(ACCELERATOR_TYPE) for name in resources if name.startswith(ACCELERATOR_TYPE)]
    if types:
        said.append(f"accelerator {' and '.join(sorted(types))}")
    said += sorted(name for name in resources if name.startswith("TPU-") and name.endswith("-head"))
    if "memory" in resources:
        said.append(f"{resources['memory'] / GIB:.1f} GiB of memory")
    return ", ".join(said) or "nothing"
