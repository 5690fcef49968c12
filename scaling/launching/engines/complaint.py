"""What is said of jobs that do not begin: nothing is waited for in silence."""

from __future__ import annotations

import time
from collections.abc import Sequence

from scaling.launching.engines.attempt import Attempt
from scaling.launching.engines.capacity import Capacity
from scaling.launching.engines.packing import packed
from scaling.launching.engines.resources import Node, inventory


def complaint(
    attempts: Sequence[Attempt], capacity: Capacity, nodes: Sequence[Node], silent: float, patience: float
) -> str:
    """A sentence where nothing has begun for `patience` seconds, though orders wait or no node could hold one, or where
    an order that no node that is up could hold has waited for so long; else empty.

    `silent` are the seconds since anything began or ended.
    """
    if any(attempt.begun for attempt in attempts):
        return _homeless(attempts, capacity, nodes, patience)
    if silent < patience:
        return ""
    said = capacity.said(nodes)
    if attempts:
        return (
            f"no job has begun for {silent:.0f} s: {len(attempts)} wait, {said}, which others may be using: "
            "`ray status` shows what is free"
        )
    if capacity.fits(nodes):
        return ""
    return (
        f"no job can begin, for {silent:.0f} s now: all wait, {said}; they begin when nodes come back, and Ctrl-C "
        "ends this without a loss"
    )


def _homeless(attempts: Sequence[Attempt], capacity: Capacity, nodes: Sequence[Node], patience: float) -> str:
    """A sentence about orders that no node could hold, were it idle."""
    long = time.monotonic() - patience
    waits = [one for one in attempts if not one.begun and one.ordered < long]
    waits = [one for one in waits if packed([one.demand], nodes)[1]]
    if not waits:
        return ""
    first = capacity.words(capacity.launch_of(waits[0].order), nodes)
    return (
        f"jobs that no node that is up could hold: {len(waits)}, one of them asks for {first}; the cluster has "
        f"{inventory(nodes)}, and they begin when such nodes come"
    )
