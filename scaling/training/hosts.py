"""What several hosts that train one model must agree on, and which of them writes."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

AGREE_EVERY = 10
"""Steps between two exchanges at most: each host sees its own signals and clock, and all must save at the same step."""
AGREE_SECONDS = 2.0
"""Seconds between two exchanges at most, where a step does not take longer: a preempted host has half a minute."""


@dataclass
class Agreement:
    """When the hosts ask each other, and what they then say; one host alone asks itself at every step.

    The next exchange depends on what was exchanged alone, so it comes at the same step on every host.
    """

    hosts: int = field(default_factory=lambda: jax.process_count())
    _next: int = 0
    _last: tuple[int, float] | None = None
    """Step and time of the exchange before, by this host's clock."""

    def is_due(self, step: int) -> bool:
        """Whether the hosts ask each other at this step, later than all before."""
        return self.hosts == 1 or step >= self._next

    def any_host(self, step: int, *wishes: bool) -> tuple[bool, ...]:
        """Whether any host has each wish; called by all of them at a step at which it is due."""
        if self.hosts == 1:
            return wishes
        now = time.monotonic()
        pace = (now - self._last[1]) / (step - self._last[0]) if self._last else AGREE_SECONDS
        said = of_all_hosts([*wishes, pace])
        self._next = step + steps_between(float(said[:, -1].max()))
        self._last = step, time.monotonic()
        return tuple(bool(said[:, number].any()) for number in range(len(wishes)))


def steps_between(seconds_a_step: float) -> int:
    """Steps from one exchange to the next."""
    return max(1, min(AGREE_EVERY, int(AGREE_SECONDS / max(seconds_a_step, 1e-9))))


def of_all_hosts(numbers: list[float]) -> np.ndarray:
    """What each host says, in the order of their ranks, as float32 [hosts, numbers]."""
    from jax.experimental.multihost_utils import process_allgather

    mine = np.array(numbers, np.float32)
    return np.asarray(process_allgather(mine)).reshape(-1, len(numbers)) if several() else mine[None]


def of_writer(value: Any) -> Any:
    """What the host that writes says, a value of JSON; all hosts call it together."""
    if not several():
        return value
    from jax.experimental.multihost_utils import broadcast_one_to_all

    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    size = int(broadcast_one_to_all(np.int32(text.size)))
    mine = text if is_writer() else np.zeros(size, np.uint8)
    return json.loads(bytes(np.asarray(broadcast_one_to_all(mine), np.uint8)))


def several() -> bool:
    """Whether several hosts train one model."""
    return jax.process_count() > 1


def is_writer() -> bool:
    """Whether this host writes logs and results."""
    return jax.process_index() == 0
