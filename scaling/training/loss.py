"""Cross-entropy of next tokens and their divergence from the truth, in float32."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array

Scored = tuple[bool, ...] | None
"""Whether the token after each position is part of the loss, [t]; None where every token is."""


def cross_entropy(logits: Array, targets: Array) -> Array:
    """-log softmax(logits)[target] in nats: logits [b t v] and targets [b t] to losses [b t]."""
    logits = logits.astype(jnp.float32)
    chosen = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return jax.nn.logsumexp(logits, axis=-1) - chosen


def divergence(logits: Array, probabilities: Array) -> Array:
    """sum_v p log(p / softmax(logits)) in nats: logits and probabilities p [b t v] to divergences [b t].

    The divergence of Kullback and Leibler is the expected cross-entropy less the entropy, with no noise from which token was drawn.
    """
    log_ratio = jnp.log(jnp.where(probabilities > 0, probabilities, 1.0)) - jax.nn.log_softmax(
        logits.astype(jnp.float32), axis=-1
    )
    return jnp.where(probabilities > 0, probabilities * log_ratio, 0.0).sum(axis=-1)


def at_scored(losses: Array, scored: Scored) -> Array:
    """The losses [b s] of the scored positions of losses [b t]."""
    return losses if scored is None else losses[:, np.flatnonzero(scored)]
