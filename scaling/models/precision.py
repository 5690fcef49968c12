"""Products whose results are float32 where their operands are narrower: scores of attention, and logits."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

Array = jax.Array


def einsum32(equation: str, a: Array, b: Array) -> Array:
    """The einsum in float32 of two operands of one type.

    Its gradient is rounded to the type of the operands before it meets them: mixed products would be done in float32.
    """
    return jnp.einsum(equation, a, b) if a.dtype == jnp.float32 else _widened(equation, a, b)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _widened(equation: str, a: Array, b: Array) -> Array:
    return jnp.einsum(equation, a, b, preferred_element_type=jnp.float32)


def _forward(equation: str, a: Array, b: Array) -> tuple[Array, tuple[Array, Array]]:
    return _widened(equation, a, b), (a, b)


def _backward(equation: str, operands: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    _, pull_back = jax.vjp(functools.partial(jnp.einsum, equation), *operands)
    return pull_back(gradient.astype(operands[0].dtype))


_widened.defvjp(_forward, _backward)
