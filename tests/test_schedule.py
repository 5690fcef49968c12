"""The learning rate over a run: warm-up, constant, decay to zero; branches leave their trunk exactly."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.spec import Data, Model, Optim, Run
from scaling.training.schedule import branch_schedule, learning_rate, trunk_schedule

RUN = Run(
    model=Model(context=32, width=16, heads=1),
    data=Data(context=32),
    optim=Optim(lr=0.5, batch_tokens=32),
    steps=100,
    warmup_steps=10,
    decay_steps=20,
)
STEPS = jnp.arange(120)


every_step = jax.jit(jax.vmap(learning_rate, in_axes=(None, 0)))


def rates(schedule):
    return np.asarray(every_step(schedule, STEPS))


def test_a_branch_follows_its_trunk_until_the_decay_begins():
    trunk, branch = rates(trunk_schedule(RUN)), rates(branch_schedule(RUN))
    assert np.array_equal(trunk[: RUN.decay_start + 1], branch[: RUN.decay_start + 1])
    assert (branch[RUN.decay_start + 1 :] < trunk[RUN.decay_start + 1 :]).all()


def test_warm_up_is_linear_and_ends_at_the_peak():
    warm = rates(trunk_schedule(RUN))
    np.testing.assert_allclose(warm[:10], 0.5 * np.arange(1, 11) / 10, rtol=1e-6)  # float32
    np.testing.assert_allclose(warm[10:], 0.5, rtol=0)


def test_the_decay_is_one_minus_the_root_and_ends_at_zero():
    branch = rates(branch_schedule(RUN))
    expected = 0.5 * (1 - np.sqrt(np.arange(20) / 20))
    np.testing.assert_allclose(branch[80:100], expected, rtol=1e-5)  # float32
    assert (branch[100:] == 0).all()


def branch(shape, to=0.0, warmup=10, steps=100, decay=20, lr=0.5):
    changes = {"warmup_steps": warmup, "steps": steps, "decay_steps": 1 if shape == "none" else decay}
    optim = dataclasses.replace(RUN.optim, lr=lr)
    return dataclasses.replace(RUN, decay_shape=shape, decay_to=to, optim=optim, **changes)


@pytest.mark.parametrize(
    ("shape", "fallen"),
    [
        ("sqrt", lambda x: np.sqrt(x)),
        ("linear", lambda x: x),
        ("cosine", lambda x: (1 - np.cos(np.pi * x)) / 2),
    ],
)
@pytest.mark.parametrize("to", [0.0, 0.1])
def test_a_decay_has_its_shape_and_ends_at_its_share_of_the_peak(shape, fallen, to):
    found = rates(branch_schedule(branch(shape, to)))
    expected = 0.5 * (1 - (1 - to) * fallen(np.arange(21) / 20))
    np.testing.assert_allclose(found[80:101], expected, rtol=1e-5, atol=1e-7)  # float32
    np.testing.assert_allclose(found[100:], 0.5 * to, rtol=1e-5, atol=1e-7)


def test_without_decay_a_branch_is_its_trunk():
    run = branch("none")
    assert np.array_equal(rates(branch_schedule(run)), rates(trunk_schedule(run)))


@given(
    shape=st.sampled_from(["sqrt", "linear", "cosine"]),
    to=st.floats(0, 0.99),
    warmup=st.integers(0, 40),
    decay=st.integers(1, 60),
    lr=st.floats(1e-6, 10),
)
def test_every_rate_lies_between_zero_and_the_peak_and_the_decay_begins_where_the_trunk_is(
    shape, to, warmup, decay, lr
):
    run = branch(shape, to, warmup, 100, decay, lr)
    found = rates(branch_schedule(run))
    assert (found >= 0).all()
    assert (found <= np.float32(lr)).all()
    assert found[run.decay_start] == rates(trunk_schedule(run))[run.decay_start]
    assert (np.diff(found[max(warmup - 1, 0) :]) <= 0).all()
    np.testing.assert_allclose(found[100], lr * to, rtol=1e-5, atol=1e-6 * lr)  # float32
