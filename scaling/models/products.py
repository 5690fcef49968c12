"""Matrix products whose gradients are ordered for speed; the values are those of the plain product.

The gradient of a weight is a product of two arrays of [tokens, ...], contracted over tokens, and the one on its left is
transposed first. JAX's own rule puts the gradient of the output there. Where that is the wide one (hidden units), XLA
on CPUs writes it out again in transposed order, activation function included, one number at a time: at width 128 that
took half of the step. Here the narrow one stands on the left.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

Array = jax.Array


PRODUCT = "product"
"""What a policy of rematerialisation knows the results of `project` by."""


def project(x: Array, w: Array, axes: int = 1, dtype: DTypeLike | None = None) -> Array:
    """x [b t i ...] times w [i ... o ...] of one type, contracted over `axes` axes i: [b t o ...].

    The result is of `dtype` where it is given. Its gradient is rounded to the type of the operands before it meets
    them: mixed products would be done in float32.
    """
    return checkpoint_name(_project(x, w, axes, dtype), PRODUCT)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _project(x: Array, w: Array, axes: int, dtype: DTypeLike | None) -> Array:
    return jnp.tensordot(x, w, axes, preferred_element_type=dtype)


def _forward(x: Array, w: Array, axes: int, dtype: DTypeLike | None) -> tuple[Array, tuple[Array, Array]]:
    return _project(x, w, axes, dtype), (x, w)


def _backward(
    axes: int, dtype: DTypeLike | None, operands: tuple[Array, Array], gradient: Array
) -> tuple[Array, Array]:
    x, w = operands
    gradient = gradient.astype(x.dtype)
    to_x = jnp.tensordot(gradient, w, (tuple(range(2, gradient.ndim)), tuple(range(axes, w.ndim))))
    return to_x, over_tokens(x, gradient)


def over_tokens(a: Array, b: Array) -> Array:
    """The sum over tokens of the outer products of a [b t i ...] and b [b t o ...]: [i ... o ...]."""
    narrow_first = a.size <= b.size
    first, second = (x.reshape(-1, *x.shape[2:]) for x in ((a, b) if narrow_first else (b, a)))
    product = jnp.tensordot(first, second, (0, 0))
    if narrow_first:
        return product
    # without the barrier XLA would swap the operands back, to save a transposition of the small product
    product = jax.lax.optimization_barrier(product)
    return jnp.moveaxis(product, range(b.ndim - 2), range(-(b.ndim - 2), 0))


_project.defvjp(_forward, _backward)
