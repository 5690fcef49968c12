"""The state of training: all that a step reads and writes, and what runs of one program may differ in."""

from __future__ import annotations

from typing import Any

import flax.struct
import jax
import numpy as np

from scaling.spec import Run
from scaling.training.schedule import Scalar, Schedule, trunk_schedule

Array = jax.Array
Metrics = dict[str, Array]


@flax.struct.dataclass
class Settings:
    """What varies over a grid, as arrays: no part of the program, and another for each member of a population."""

    seed: Scalar
    """Of initialisation and dropout, int32 []."""
    init_scale: Scalar
    """Factor on every matrix before the first step, float32 []."""
    weight_decay: Scalar
    """float32 []."""
    schedule: Schedule


@flax.struct.dataclass
class State:
    """All that a step reads and writes; the state of a population has a leading axis of its members."""

    step: Array
    """Steps done, int32 []."""
    settings: Settings
    parameters: Any
    moments: Any


def settings_of(run: Run) -> Settings:
    """The settings of `run`'s trunk."""
    return Settings(
        seed=np.int32(run.seed),
        init_scale=np.float32(run.init_scale),
        weight_decay=np.float32(run.optim.weight_decay),
        schedule=trunk_schedule(run),
    )
