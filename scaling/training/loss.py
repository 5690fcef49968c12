"""Cross-entropy of next tokens and their divergence from the truth, in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array

Scored = tuple[bool, ...] | None
"""Whether the token after each position is part of the loss, [t]; None where every token is."""

SummedLoss = Callable[[Any, Array, Array], tuple[Array, Array]]
"""(parameters, rows [b, t + 1], key) -> (loss in nats summed over predicted tokens, their number), float32 [] each."""


def make_summed_loss(model: nn.Module, scored: Scored = None) -> SummedLoss:
    """The training loss of a batch, dropout on."""

    def summed_loss(parameters: Any, rows: Array, key: Array) -> tuple[Array, Array]:
        logits = model.apply({"params": parameters}, rows[:, :-1], train=True, rngs={"dropout": key})
        losses = at_scored(cross_entropy(cast(Array, logits), rows[:, 1:]), scored)
        return losses.sum(), jnp.float32(losses.size)

    return summed_loss


def cross_entropy(logits: Array, targets: Array) -> Array:
    """-log softmax(logits)[target] in nats: logits [b t v] and targets [b t] to losses [b t]."""
    logits = logits.astype(jnp.float32)
    chosen = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return jax.nn.logsumexp(logits, axis=-1) - chosen


def divergence(logits: Array, probabilities: Array) -> Array:
    """sum_v p log(p / softmax(logits)) in nats: logits and probabilities p [b t v] to divergences [b t].

    The divergence of Kullback and Leibler is the expected cross-entropy less the entropy, with no noise from which
    token was drawn.
    """
    log_ratio = jnp.log(jnp.where(probabilities > 0, probabilities, 1.0)) - jax.nn.log_softmax(
        logits.astype(jnp.float32), axis=-1
    )
    return jnp.where(probabilities > 0, probabilities * log_ratio, 0.0).sum(axis=-1)


def at_scored(losses: Array, scored: Scored) -> Array:
    """The losses [b s] of the scored positions of losses [b t]."""
    return losses if scored is None else losses[:, np.flatnonzero(scored)]
