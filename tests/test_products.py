"""Products with ordered gradients are the plain products, in value and in gradient, wherever they may stand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling.models.products import project
from scaling.models.transformer import gelu, rotary, swiglu

# shapes of x and w, and the axes contracted: to a wider result, to a narrower one, heads on either side
SHAPES = {
    "up": ((2, 5, 4), (4, 12), 1),
    "down": ((2, 5, 12), (12, 4), 1),
    "qkv": ((2, 5, 8), (8, 3, 2, 4), 1),
    "out": ((2, 5, 2, 8), (2, 8, 3), 2),
}


def drawn(*shapes, dtype=jnp.float32):
    return [jax.random.normal(jax.random.key(i), shape, dtype) for i, shape in enumerate(shapes)]


def value_and_gradients(function, *operands):
    """A number that depends on every entry of the result in its own way, and its gradients."""

    def total(*operands):
        found = function(*operands).astype(jnp.float32)
        return jnp.sum(found * jnp.cos(jnp.arange(found.size, dtype=jnp.float32)).reshape(found.shape))

    return jax.tree.leaves(jax.value_and_grad(total, argnums=tuple(range(len(operands))))(*operands))


@pytest.mark.parametrize(("x", "w", "axes"), SHAPES.values(), ids=SHAPES.keys())
def test_a_projection_is_the_tensor_product_and_so_are_its_gradients(x, w, axes):
    operands = drawn(x, w)
    found = value_and_gradients(functools.partial(project, axes=axes), *operands)
    expected = value_and_gradients(functools.partial(jnp.tensordot, axes=axes), *operands)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)  # float32 sums in another order


@pytest.mark.parametrize(("x", "w", "axes"), SHAPES.values(), ids=SHAPES.keys())
def test_a_population_of_projections_is_each_of_them(x, w, axes):
    xs, ws = drawn((3, *x), (3, *w))
    one = functools.partial(value_and_gradients, functools.partial(project, axes=axes))
    together = jax.vmap(one)(xs, ws)
    for i in range(3):
        for a, b in zip(together, one(xs[i], ws[i]), strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-5, atol=1e-5)  # float32 sums in another order


def test_a_narrow_projection_with_a_wide_result_has_narrow_gradients():
    x, w = drawn((2, 5, 4), (4, 12), dtype=jnp.bfloat16)
    assert project(x, w, 1, jnp.float32).dtype == jnp.float32
    _, to_x, to_w = value_and_gradients(lambda x, w: project(x, w, 1, jnp.float32), x, w)
    assert to_x.dtype == to_w.dtype == jnp.bfloat16


def test_gelu_by_the_logistic_function_is_gelu_by_tanh():
    x = jnp.linspace(-8, 8, 1001)
    for a, b in zip(value_and_gradients(gelu, x), value_and_gradients(jax.nn.gelu, x), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)  # float32 near the cancellation at -3


def test_swiglu_is_silu_of_the_gate_times_the_other():
    gate, x = drawn((1001,), (1001,))
    expected = value_and_gradients(lambda gate, x: jax.nn.silu(gate) * x, gate, x)
    for a, b in zip(value_and_gradients(swiglu, gate, x), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)  # float32


def test_rotary_multiplies_a_pair_as_a_complex_number_by_a_unit_one():
    (x,) = drawn((2, 7, 3, 8))
    angle = np.arange(7)[:, None] * 10_000.0 ** (-np.arange(4) / 4)
    expected = (np.asarray(x[..., :4]) + 1j * np.asarray(x[..., 4:])) * np.exp(1j * angle)[None, :, None, :]
    found = np.asarray(rotary(x))
    np.testing.assert_allclose(found[..., :4] + 1j * found[..., 4:], expected, atol=1e-5)  # float32
