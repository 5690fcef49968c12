"""Jobs of different sizes on the nodes of a cluster: what is left beside those that run or wait; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scaling.launching.engines.resources import Demand, Node
from scaling.launching.engines.slices import HOST, NAME


def packed(demands: Iterable[Demand], nodes: Sequence[Node]) -> tuple[tuple[Node, ...], int]:
    """The nodes with what is left of them, and how many of the demands find no room.

    Larger demands are placed first, and one of one host where least is left: so a large job that waits keeps its room,
    and small ones are ordered into what it does not need. Ray may have placed them otherwise.
    """
    left = [node | {"Resources": dict(node["Resources"])} for node in nodes]
    waiting, fits, latest = 0, [], None
    for demand in sorted(demands, key=_weight, reverse=True):
        if demand != latest:
            fits, latest = [demand.fits(node) for node in left], demand
        chosen = _of_slice(demand, left) if demand.selectors else _roomiest(demand, fits)
        if len(chosen) < demand.hosts:
            waiting += 1
            continue
        for place, bundle in zip(chosen, demand.bundles, strict=True):
            has = left[place]["Resources"]
            for name, count in bundle.items():
                has[name] = has.get(name, 0.0) - count
            fits[place] = demand.fits(left[place])
    return tuple(left), waiting


def _roomiest(demand: Demand, fits: Sequence[int]) -> list[int]:
    """For several hosts the nodes that hold most, which leaves room for the most others; for one that which is fullest
    already."""
    free = [place for place, times in enumerate(fits) if times > 0]
    if demand.hosts == 1:
        return [min(free, key=lambda place: fits[place])] if free else []
    return sorted(free, key=lambda place: -fits[place])[: demand.hosts]


def _of_slice(demand: Demand, nodes: Sequence[Node]) -> list[int]:
    """The hosts of a slice by their numbers."""
    where = {
        ((labels := node.get("Labels") or {}).get(NAME), labels.get(HOST)): place
        for place, node in enumerate(nodes)
    }
    named = [(labels.get(NAME), labels.get(HOST)) for labels in demand.selectors]
    return [where[name] for name in named if name in where]


def _weight(demand: Demand) -> tuple[float, ...]:
    """Accelerators, cores and memory of all hosts."""
    names = ("GPU", "TPU", "CPU", "memory")
    gpus, tpus, *other = (sum(bundle.get(name, 0.0) for bundle in demand.bundles) for name in names)
    return (gpus + tpus, *other, demand.hosts)
