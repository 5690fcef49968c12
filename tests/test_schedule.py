"""The learning rate over a run: warm-up, constant, decay to zero; branches leave their trunk exactly."""

import jax
import jax.numpy as jnp
import numpy as np

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


def rates(schedule):
    return np.asarray(jax.vmap(learning_rate, in_axes=(None, 0))(schedule, STEPS))


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
