"""Gradients of the summed loss of a batch, and the number of tokens that it is a sum over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

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


def make_gradients(summed_loss: SummedLoss) -> Callable[[Any, Array, Array], Gradients]:
    """A pure function (parameters, rows [b, t + 1], key) -> Gradients."""

    def gradients(parameters: Any, rows: Array, key: Array) -> Gradients:
        (loss, tokens), gradient = jax.value_and_grad(summed_loss, has_aux=True)(parameters, rows, key)
        return Gradients(gradient, loss, tokens)

    return gradients
