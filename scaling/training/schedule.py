"""Warmup-stable-decay: a rate that every budget shares until its own decay begins."""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from scaling.spec import MAX_STEPS, Run

Array = jax.Array
Scalar = jax.Array | np.float32 | np.int32


@flax.struct.dataclass
class Schedule:
    """The schedule as arrays in the state, so that one program serves every rate and budget."""

    lr: Scalar
    """Peak rate, float32 []."""
    warmup_steps: Scalar
    """int32 []."""
    decay_start: Scalar
    """First step of the decay, int32 []; beyond every step on a trunk."""
    decay_steps: Scalar
    """int32 []."""


def trunk_schedule(run: Run) -> Schedule:
    """Warm-up, then the constant rate for ever."""
    return _schedule(run, MAX_STEPS, 1)


def branch_schedule(run: Run) -> Schedule:
    """The trunk's schedule until `run.decay_start`, then the decay to zero at `run.steps`."""
    return _schedule(run, run.decay_start, run.decay_steps)


def learning_rate(schedule: Schedule, step: Array) -> Array:
    """Rate of step 0, 1, ...: linear warm-up, constant, then 1 - sqrt(share of the decay) (Haegele et al. 2024)."""
    step32 = step.astype(jnp.float32)
    warmup = jnp.minimum(1.0, (step32 + 1) / jnp.maximum(schedule.warmup_steps, 1))
    decayed = jnp.clip((step - schedule.decay_start) / schedule.decay_steps, 0.0, 1.0)
    return schedule.lr * warmup * (1 - jnp.sqrt(decayed))


def _schedule(run: Run, decay_start: int, decay_steps: int) -> Schedule:
    return Schedule(
        lr=np.float32(run.optim.lr),
        warmup_steps=np.int32(run.warmup_steps),
        decay_start=np.int32(decay_start),
        decay_steps=np.int32(decay_steps),
    )
