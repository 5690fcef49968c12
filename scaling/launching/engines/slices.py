"""TPU slices among the nodes of a cluster, by the labels that Ray gives to TPU hosts; pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scaling.errors import UserError

NAME, HOST, TYPE = "ray.io/tpu-slice-name", "ray.io/tpu-worker-id", "ray.io/tpu-pod-type"
"""Labels of a TPU host: its slice, its number in the slice, the slice's type."""
CORES_A_CHIP = {"v2": 2, "v3": 2, "v4": 2, "v5p": 2, "v5litepod": 1, "v6e": 1, "v7x": 2}
"""What the number in a slice's type counts, a generation: Ray's table."""


@dataclass(frozen=True)
class Slice:
    """A slice all of whose hosts are up, in the order of their numbers."""

    name: str
    chips: tuple[float, ...]
    """TPU chips of each host."""

    @property
    def selectors(self) -> tuple[dict[str, str], ...]:
        """Labels that each rank's node must have: rank i is host i, as libtpu counts them too."""
        return tuple({NAME: self.name, HOST: str(host)} for host in range(len(self.chips)))


def chips_of(kind: str, option: str = "--slice") -> int:
    """TPU chips of a slice type as `v4-16`; raises UserError for what is no type."""
    found = re.fullmatch(r"(v\d+[a-z]*)-([1-9]\d*)", kind)
    if found is None or found[1] not in CORES_A_CHIP:
        known = ", ".join(CORES_A_CHIP)
        raise UserError(f"{option} {kind} cannot be: give a generation of {known} and its size, as v4-16")
    return max(1, int(found[2]) // CORES_A_CHIP[found[1]])


def intact_slices(nodes: Sequence[dict[str, Any]], kind: str) -> tuple[Slice, ...]:
    """The slices of a type that have all their hosts, by name."""
    hosts: dict[str, dict[int, float]] = defaultdict(dict)
    for node in nodes:
        labels = node.get("Labels") or {}
        if labels.get(TYPE) == kind and NAME in labels and labels.get(HOST, "").isdigit():
            hosts[labels[NAME]][int(labels[HOST])] = node["Resources"].get("TPU", 0.0)
    return tuple(
        Slice(name, tuple(chips[host] for host in sorted(chips)))
        for name, chips in sorted(hosts.items())
        if sorted(chips) == list(range(len(chips))) and sum(chips.values()) == chips_of(kind)
    )
