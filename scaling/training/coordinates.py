"""Coordinate checks: whether activations, and what training changes in them, have the same size in every model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from scaling.models import build
from scaling.spec import Data, Model, Optim, Run
from scaling.training.gradients import make_gradients
from scaling.training.loss import make_summed_loss
from scaling.training.state import State, settings_of
from scaling.training.step import make_init, make_step, make_update

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Coordinate:
    """Sizes in one model, after some steps, of what one part gives out: root mean squares over coordinates."""

    width: int
    depth: int
    step: int
    """Steps done."""
    part: str
    """Path of a module, as `blocks/attention`, of which the last block's is meant, or `logits`."""
    size: float
    """Of the activations."""
    change: float
    """Of their difference from those before the first step, on the same rows; 0 at step 0."""


def coordinate_check(
    models: Iterable[Model], optim: Optim, rows: np.ndarray, steps: int = 3, seed: int = 0
) -> list[Coordinate]:
    """Train each model on the same rows [b, t + 1] at the constant rate, and measure every part after every step.

    Under a parametrisation that suits the models, sizes and changes do not depend on their size (Yang et al. 2022,
    coordinate checks); `slope` puts a number on it. The first logits are an exception: they shrink as 1 / sqrt(width),
    and it takes some steps for what was learnt to outweigh them. `optim.batch_tokens` is that of the rows.
    """
    found = []
    for model in models:
        context = rows.shape[1] - 1
        optim = dataclasses.replace(optim, batch_tokens=rows.shape[0] * context)
        model, data = dataclasses.replace(model, context=context), Data(context=context)
        run = Run(
            model=model, data=data, optim=optim, seed=seed, steps=steps + 1, warmup_steps=0, decay_steps=1
        )
        found += _check(run, jnp.asarray(rows), steps)
    return found


def slope(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Exponent of the power of a size that values follow: the least-squares slope of log value on log size."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def _check(run: Run, rows: Array, steps: int) -> list[Coordinate]:
    module = build(run.model)
    gradients = make_gradients(make_summed_loss(module), dropout=run.model.dropout > 0)
    step = make_step(gradients, make_update(module, run.optim))

    @jax.jit
    def measured_step(state: State) -> tuple[State, dict[str, Array]]:
        return step(state, rows)[0], _activations(module, state.parameters, rows[:, :-1])

    state = jax.jit(make_init(module, run.optim, run.model.context))(settings_of(run))
    first: dict[str, Array] = {}
    found = []
    for done in range(steps + 1):
        state, now = measured_step(state)
        first = first or now
        for part, value in now.items():
            sizes = _rms(value), _rms(value - first[part])
            found.append(Coordinate(run.model.width, run.model.depth, done, part, *sizes))
    return found


def _activations(module: nn.Module, parameters: Any, tokens: Array) -> dict[str, Array]:
    """What every module gives out, of stacked modules the last; and the logits."""
    logits, captured = module.apply(
        {"params": parameters}, tokens, capture_intermediates=True, mutable=["intermediates"]
    )
    found = {"logits": logits}
    for path, leaf in jax.tree_util.tree_flatten_with_path(captured["intermediates"])[0]:
        names = [str(entry.key) for entry in path if hasattr(entry, "key")]
        found["/".join(names[:-1])] = leaf[-1] if names[0] == "blocks" else leaf
    return {part: value for part, value in found.items() if part and "rop" not in part}


def _rms(x: Array) -> float:
    return float(np.sqrt(np.mean(np.square(np.asarray(x, np.float64)))))
