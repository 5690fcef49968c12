"""Gradients by parts are those of the whole batch, whatever the parts weigh."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling.training.gradients import make_gradients

ROWS = jnp.asarray(np.random.default_rng(0).integers(0, 7, (12, 6)), jnp.int32)
PARAMETERS = {"w": jnp.linspace(-1.0, 1.0, 7), "b": jnp.float32(0.3)}
KEY = jax.random.key(0)


def unequal(parameters, rows, key):
    """Predicts the tokens above 2 alone: rows hold different numbers of them, some none."""
    counted = (rows[:, 1:] > 2) & (rows[:, :1] > 1)
    losses = jnp.square(parameters["w"][rows[:, :-1]] - rows[:, 1:] * parameters["b"])
    return jnp.where(counted, losses, 0.0).sum(), counted.sum().astype(jnp.float32)


def dropping(parameters, rows, key):
    """Leaves out half of the tokens by `key`."""
    kept = jax.random.bernoulli(key, 0.5, rows[:, 1:].shape)
    return jnp.where(kept, parameters["w"][rows[:, :-1]], 0.0).sum(), jnp.float32(kept.size)


def test_parts_of_a_batch_hold_different_numbers_of_predicted_tokens():
    tokens = [float(unequal(PARAMETERS, ROWS[part::4], KEY)[1]) for part in range(4)]
    assert len(set(tokens)) > 1


@pytest.mark.parametrize("parts", [2, 3, 4, 6, 12])
def test_sums_by_parts_are_the_sums_of_the_batch(parts):
    """Tokens to the digit; up to float32 sums in another order, loss and gradient."""
    whole = make_gradients(unequal)(PARAMETERS, ROWS, KEY)
    found = jax.jit(make_gradients(unequal, parts))(PARAMETERS, ROWS, KEY)
    assert found.tokens == whole.tokens
    np.testing.assert_allclose(found.loss, whole.loss, rtol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-4), found.gradient, whole.gradient
    )


def test_a_mean_of_the_means_of_parts_would_be_another_number():
    """What adding sums avoids: the negative control of the test above."""
    whole = make_gradients(unequal)(PARAMETERS, ROWS, KEY)
    means = [make_gradients(unequal)(PARAMETERS, ROWS[part::4], KEY) for part in range(4)]
    mean = np.mean([float(part.loss / part.tokens) for part in means])
    assert abs(mean - float(whole.loss / whole.tokens)) > 1e-2


def test_sums_of_bfloat16_gradients_are_kept_in_float32():
    parameters = jax.tree.map(lambda p: p.astype(jnp.bfloat16), PARAMETERS)
    found = make_gradients(lambda p, rows, key: unequal(p, rows, key), 4)(parameters, ROWS, KEY)
    assert {g.dtype for g in jax.tree.leaves(found.gradient)} == {jnp.dtype("float32")}


def test_dropout_differs_between_the_parts_of_a_batch():
    """The same rows in every part: with one key for all, each part would drop the same tokens."""
    same = jnp.repeat(ROWS[:2], 8, axis=0)  # part j of 8 holds row 0 and row 1
    apart = make_gradients(dropping, 8, dropout=True)(PARAMETERS, same, KEY)
    alike = make_gradients(dropping, 8)(PARAMETERS, same, KEY)
    one = dropping(PARAMETERS, ROWS[:2], KEY)[0]
    np.testing.assert_allclose(alike.loss, 8 * one, rtol=1e-5)  # float32 sums
    assert abs(float(apart.loss - 8 * one)) > 0.1
