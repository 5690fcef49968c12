"""AdamW: the direction by optax, the rate and the decay from the state."""

from __future__ import annotations

from typing import Any

import jax
import optax

from scaling.spec import Optim
from scaling.training.schedule import Scalar

Array = jax.Array


def direction(optim: Optim) -> optax.GradientTransformation:
    """Clipping by the global norm, then Adam's direction; neither rate nor decay is in it."""
    return optax.chain(
        optax.clip_by_global_norm(optim.clip),
        optax.scale_by_adam(b1=optim.beta1, b2=optim.beta2, eps=optim.eps),
    )


def decayed(parameters: Any) -> Any:
    """A tree of booleans: True for matrices, False for the norms' scales and the input embedding table."""

    def is_matrix(path: tuple[Any, ...], _: Array) -> bool:
        return path[-1].key not in ("scale", "embedding")

    return jax.tree_util.tree_map_with_path(is_matrix, parameters)


def apply_update(parameters: Any, updates: Any, rate: Scalar, weight_decay: Scalar) -> Any:
    """p - rate x (direction + weight_decay x p), the last term for matrices alone (Loshchilov and Hutter 2019)."""

    def new(p: Array, u: Array, is_matrix: bool) -> Array:
        return p - rate * (u + weight_decay * p if is_matrix else u)

    return jax.tree.map(new, parameters, updates, decayed(parameters))
