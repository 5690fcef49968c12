"""What several hosts that train one model must agree on, and which of them writes."""

from __future__ import annotations

import jax
import numpy as np

AGREE_EVERY = 10
"""Steps between two exchanges: each host sees its own signals and clock, and all must save at the same step."""


def any_host(step: int, *wishes: bool) -> tuple[bool, ...]:
    """Whether any host has each wish; with several hosts, they are asked every AGREE_EVERY steps and else have none."""
    if jax.process_count() == 1:
        return wishes
    if step % AGREE_EVERY:
        return (False,) * len(wishes)
    from jax.experimental.multihost_utils import process_allgather

    said = np.asarray(process_allgather(np.array(wishes))).reshape(-1, len(wishes))  # [hosts, wishes]
    return tuple(map(bool, np.any(said, axis=0)))


def is_writer() -> bool:
    """Whether this host writes logs and results."""
    return jax.process_index() == 0
