"""The learning rate: warm-up, a constant rate that every budget shares, and a decay of a run's own."""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from scaling.spec import MAX_STEPS, Run

Array = jax.Array
Scalar = jax.Array | np.float32 | np.int32

SHAPES = ("none", "sqrt", "linear", "cosine")
"""Shapes of the decay, in the order of their numbers in `Schedule.shape`."""


@flax.struct.dataclass
class Schedule:
    """The schedule as arrays in the state, so that one program serves every rate, budget and shape."""

    lr: Scalar
    """Peak rate, float32 []."""
    warmup_steps: Scalar
    """int32 []."""
    decay_start: Scalar
    """First step of the decay, int32 []; beyond every step on a trunk."""
    decay_steps: Scalar
    """int32 []."""
    shape: Scalar
    """Index into SHAPES, int32 []."""
    decay_to: Scalar
    """The rate at the end as a share of the peak, float32 []."""


def trunk_schedule(run: Run) -> Schedule:
    """Warm-up, then the constant rate for ever."""
    return _schedule(run, MAX_STEPS, 1)


def branch_schedule(run: Run) -> Schedule:
    """The trunk's schedule until `run.decay_start`, then the decay to its end at `run.steps`."""
    return _schedule(run, run.decay_start, run.decay_steps)


def share_of_peak(schedule: Schedule, step: Array) -> Array:
    """The rate of step 0, 1, ... over the peak rate, float32 [].

    A linear warm-up, 1, then with x the share of the decay that is over, 1 - (1 - decay_to) f(x): f is sqrt(x) (Haegele
    et al. 2024, eq. 1), x, or (1 - cos(pi x)) / 2 (Loshchilov and Hutter 2017, eq. 5).
    """
    warmup = jnp.minimum(1.0, (step.astype(jnp.float32) + 1) / jnp.maximum(schedule.warmup_steps, 1))
    x = jnp.clip((step - schedule.decay_start) / schedule.decay_steps, 0.0, 1.0)
    fallen = jnp.stack([jnp.zeros_like(x), jnp.sqrt(x), x, (1 - jnp.cos(jnp.pi * x)) / 2])[schedule.shape]
    return warmup * (1 - (1 - schedule.decay_to) * fallen)


def learning_rate(schedule: Schedule, step: Array) -> Array:
    """Rate of step 0, 1, ..., float32 []."""
    return schedule.lr * share_of_peak(schedule, step)


def _schedule(run: Run, decay_start: int, decay_steps: int) -> Schedule:
    return Schedule(
        lr=np.float32(run.optim.lr),
        warmup_steps=np.int32(run.warmup_steps),
        decay_start=np.int32(decay_start),
        decay_steps=np.int32(decay_steps),
        shape=np.int32(SHAPES.index(run.decay_shape)),
        decay_to=np.float32(run.decay_to),
    )
