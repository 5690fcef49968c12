"""Losses of tokens and their divergence from the truth, in float32.

The logits of a batch, b t v numbers, are by far the largest array of a small model's step. Where they are large they
are made in parts, one stretch of time after another, and once more in the backward pass, so that no more than the
loss of each token stays in memory. Parts are of time: a batch that is split over devices stays split.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from scaling.training.objective import hidden_tokens, next_tokens

Array = jax.Array

Scored = tuple[bool, ...] | None
"""Whether the token after each position is part of the loss, [t]; None where every token is."""

SummedLoss = Callable[[Any, Array, Array], tuple[Array, Array]]
"""(parameters, rows [b, t + 1], key) -> (loss in nats summed over predicted tokens, their number), float32 [] each."""

PART_BYTES = 2**26
"""Logits on a device, in bytes, that are made in one part."""


def make_summed_loss(
    module: nn.Module, scored: Scored = None, chunks: int = 0, devices: int = 1
) -> SummedLoss:
    """The training loss of a batch, dropout on; `chunks` and `devices` as in `in_parts`."""
    losses = make_losses(module, True, scored, chunks, devices)

    def summed_loss(parameters: Any, rows: Array, key: Array) -> tuple[Array, Array]:
        found = losses(parameters, rows, key)
        return found.sum(), jnp.float32(found.size)

    return summed_loss


def make_losses(
    module: nn.Module, train: bool, scored: Scored = None, chunks: int = 0, devices: int = 1
) -> Callable[[Any, Array, Array], Array]:
    """A pure function (parameters, rows [b, t + 1], key) -> the loss of each predicted token, nats [b s].

    The key is that of dropout and of the tokens that the objective `masked` hides.
    """
    model = module.model

    def losses(parameters: Any, rows: Array, key: Array) -> Array:
        task = next_tokens(rows) if model.causal else hidden_tokens(rows, key, model)
        x = features(module, parameters, task.inputs, train, key)
        if task.positions is not None:
            x = jnp.take_along_axis(x, task.positions[..., None], axis=1)

        def part(parameters: Any, x: Array, targets: Array) -> Array:
            return cross_entropy(predict(module, parameters, x), targets)

        found = in_parts(part, parameters, (x, task.targets), model.vocab, chunks, devices)
        return at_scored(found, scored)

    return losses


def features(
    module: nn.Module, parameters: Any, tokens: Array, train: bool, key: Array | None = None
) -> Array:
    """What the head of a model reads, [b t d], of tokens [b t]; `key` is that of dropout."""
    rngs = {} if key is None else {"dropout": key}
    return cast(Array, module.apply({"params": parameters}, tokens, train, method="features", rngs=rngs))


def predict(module: nn.Module, parameters: Any, x: Array) -> Array:
    """Logits [b s v] in float32 of features x [b s d]."""
    return cast(Array, module.apply({"params": parameters}, x, method="predict"))


def in_parts(
    f: Callable[..., Array], parameters: Any, arrays: Sequence[Array], vocab: int, chunks: int, devices: int
) -> Array:
    """f(parameters, *arrays) [b t] of arrays [b t ...], where f makes logits of `vocab` tokens on the way.

    It is done in `chunks` parts of time, one after another, and again in the backward pass. 0 takes as many, a power of
    two, as keep the logits of a part below PART_BYTES on each of the `devices` that the batch is split over.
    """
    b, t = arrays[0].shape[:2]
    if chunks == 0:
        wanted = 4 * b * t * vocab / devices / PART_BYTES
        chunks = 1 if wanted <= 1 else 2 ** math.ceil(math.log2(wanted))
    if chunks == 1:
        return f(parameters, *arrays)
    size = -(-t // chunks)
    chunks = -(-t // size)
    # each of several devices has parameters of its own, else their gradients would be summed over devices in every part
    groups = devices if b % devices == 0 else 1
    own, axis = parameters, None
    if groups > 1:
        own, axis = jax.tree.map(lambda w: jnp.broadcast_to(w, (groups, *w.shape)), parameters), 0
    each = jax.vmap(jax.checkpoint(f), in_axes=(axis, *(0 for _ in arrays)))

    def split(array: Array) -> Array:
        ends = ((0, 0), (0, chunks * size - t), *((0, 0),) * (array.ndim - 2))
        parts = jnp.pad(array, ends).reshape(groups, b // groups, chunks, size, *array.shape[2:])
        return jnp.moveaxis(parts, 2, 0)

    parts = [split(array) for array in arrays]  # [chunks, groups, b / groups, size, ...]
    found = jax.lax.map(lambda part: each(own, *part), parts)
    return jnp.moveaxis(found, 0, 2).reshape(b, chunks * size)[:, :t]


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
