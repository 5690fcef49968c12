"""Norms of a gradient or an update by group of parameters: embedding, attention, mlp, norms, head."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp

Array = jax.Array

GROUPS = (
    (r"(^|/)embedding$", "embedding"),
    (r"norm/scale$", "norms"),
    (r"(^|/)attention/", "attention"),
    (r"(^|/)mlp/", "mlp"),
    (r"(^|/)head$", "head"),
)
"""Patterns of a parameter's path and the group it belongs to; the first that is found counts, else `other`."""


def group_of(path: str) -> str:
    """The group of the parameter at a path such as `blocks/attention/qkv`."""
    return next((group for pattern, group in GROUPS if re.search(pattern, path)), "other")


def group_norms(tree: Any) -> dict[str, Array]:
    """The L2 norm of each group of leaves that there is in `tree`, float32 [].

    The squares are summed in float32 whatever the leaves are. A tied model has no group `head`: its gradient is part of
    the embedding's.
    """
    sums: dict[str, Array] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        group = group_of(jax.tree_util.keystr(path, simple=True, separator="/"))
        sums[group] = sums.get(group, jnp.float32(0)) + jnp.sum(jnp.square(leaf.astype(jnp.float32)))
    return {group: jnp.sqrt(total) for group, total in sums.items()}


def global_norm(groups: dict[str, Array]) -> Array:
    """The norm of all groups together, sqrt(sum of squares), float32 []: of a gradient, what clipping compares."""
    return jnp.sqrt(sum((jnp.square(norm) for norm in groups.values()), jnp.float32(0)))


def norm_metrics(name: str, groups: dict[str, Array]) -> dict[str, Array]:
    """Metrics `name` (of all) and `name/<group>`, with `name` such as gradient_norm or update_norm."""
    return {name: global_norm(groups), **{f"{name}/{group}": norm for group, norm in groups.items()}}
