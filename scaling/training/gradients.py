"""Gradients of the summed loss of a batch, and the number of tokens that it is a sum over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from scaling.training.loss import SummedLoss

Array = jax.Array


class Gradients(NamedTuple):
    """Sums over predicted tokens; sums of parts of a batch add up to those of the batch, whatever their sizes."""

    gradient: Any
    """Of the summed loss, like the parameters."""
    loss: Array
    """Nats, summed, float32 []."""
    tokens: Array
    """Predicted tokens, float32 []."""


GradientsOf = Callable[[Any, Array, Array], Gradients]
"""(parameters, rows [b, t + 1], key) -> Gradients."""


def make_gradients(summed_loss: SummedLoss, microbatches: int = 1, dropout: bool = False) -> GradientsOf:
    """A pure function (parameters, rows [b, t + 1], key) -> Gradients of the whole batch.

    With `microbatches`, which must divide b, the batch is taken in so many parts, one after another, and their sums are
    added in float32: memory for the activations of one part. With `dropout`, each part has a key of its own.
    """

    def gradients(parameters: Any, rows: Array, key: Array) -> Gradients:
        (loss, tokens), gradient = jax.value_and_grad(summed_loss, has_aux=True)(parameters, rows, key)
        return Gradients(gradient, loss, tokens)

    def accumulated(parameters: Any, rows: Array, key: Array) -> Gradients:
        def add(sums: Gradients, part: tuple[Array, Array]) -> tuple[Gradients, None]:
            number, some = part
            more = gradients(parameters, some, jax.random.fold_in(key, number) if dropout else key)
            return jax.tree.map(lambda total, x: total + x.astype(jnp.float32), sums, more), None

        # part j has the rows j, j + m, ...: some of every device's, so that none moves between devices
        parts = jnp.moveaxis(rows.reshape(-1, microbatches, rows.shape[-1]), 1, 0)
        none = jax.tree.map(lambda p: jnp.zeros(p.shape, jnp.float32), parameters)
        start = Gradients(none, jnp.float32(0), jnp.float32(0))
        return jax.lax.scan(add, start, (jnp.arange(microbatches), parts))[0]

    return gradients if microbatches == 1 else accumulated
