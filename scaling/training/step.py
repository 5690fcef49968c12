"""The training step: a pure function of (state, batch), the same program for every run of a shape."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from scaling.models.transformer import init_parameters
from scaling.spec import Optim
from scaling.training.gradients import Gradients, GradientsOf
from scaling.training.loss import (
    Scored,
    at_scored,
    divergence,
    features,
    in_parts,
    make_losses,
    predict,
)
from scaling.training.norms import group_norms, norm_metrics
from scaling.training.optimizer import apply_update, decay_of, decayed, direction
from scaling.training.parametrization import multipliers
from scaling.training.schedule import learning_rate
from scaling.training.state import Metrics, Settings, State

Array = jax.Array


def make_init(model: nn.Module, optim: Optim, context: int) -> Callable[[Settings], State]:
    """A pure function (settings) -> state before the first step: drawn values times the factors of the
    parametrisation, and of matrices times `init_scale`."""
    factors = multipliers(model.model, optim)
    transform = direction(optim, factors)

    def initial(settings: Settings) -> State:
        drawn = init_parameters(model, jax.random.key(settings.seed), context)

        def scaled(p: Array, factor: float, is_matrix: bool) -> Array:
            return p * (settings.init_scale * factor if is_matrix else factor)

        parameters = jax.tree.map(scaled, drawn, factors.init, decayed(drawn))
        return State(jnp.int32(0), settings, parameters, transform.init(parameters))

    return initial


def make_step(
    gradients: GradientsOf, update: Callable[[State, Gradients], tuple[State, Metrics]]
) -> Callable[[State, Array], tuple[State, Metrics]]:
    """A pure function (state, batch [b, t + 1]) -> (state, metrics)."""

    def step(state: State, batch: Array) -> tuple[State, Metrics]:
        return update(state, gradients(state.parameters, batch, step_key(state)))

    return step


def step_key(state: State) -> Array:
    """The key of a step's dropout and masks: a function of seed and step alone."""
    return jax.random.fold_in(jax.random.key(state.settings.seed), state.step)


def make_update(model: nn.Module, optim: Optim) -> Callable[[State, Gradients], tuple[State, Metrics]]:
    """A pure function (state, summed gradients of a batch) -> (state, metrics).

    Loss and gradient are the sums divided by the predicted tokens, so that they stay the mean over tokens on any mesh.
    """
    factors = multipliers(model.model, optim)
    transform = direction(optim, factors)

    def update(state: State, sums: Gradients) -> tuple[State, Metrics]:
        gradient = jax.tree.map(lambda g: g / sums.tokens, sums.gradient)
        settings = state.settings
        updates, moments = transform.update(
            gradient, state.moments, state.parameters, weight_decay=settings.weight_decay
        )
        rate = learning_rate(settings.schedule, state.step)
        decay = decay_of(optim, settings.weight_decay, settings.schedule.lr)
        parameters = apply_update(state.parameters, updates, rate, decay, factors)
        moved = jax.tree.map(jnp.subtract, parameters, state.parameters)
        metrics = {
            "loss": sums.loss / sums.tokens,
            "lr": rate,
            **norm_metrics("gradient_norm", group_norms(gradient)),
            **norm_metrics("update_norm", group_norms(moved)),
        }
        done = dataclasses.replace(state, step=state.step + 1, parameters=parameters, moments=moments)
        return done, metrics

    return update


def make_evaluate(
    module: nn.Module, scored: Scored = None, chunks: int = 0, devices: int = 1
) -> Callable[[Any, Array], Array]:
    """A pure function (parameters, rows [b, t + 1]) -> summed loss of each row's predicted tokens, nats [b]; what the
    objective `masked` hides of a row is always the same."""
    losses = make_losses(module, False, scored, chunks, devices)

    def evaluate(parameters: Any, rows: Array) -> Array:
        return losses(parameters, rows, jax.random.key(0)).sum(axis=-1)

    return evaluate


def make_excess(
    module: nn.Module, scored: Scored = None, chunks: int = 0, devices: int = 1
) -> Callable[[Any, Array, Array], Array]:
    """A pure function (parameters, rows [b, t + 1], exact next-token probabilities [b, t, v]) -> what the model loses
    to them, summed over each row's scored tokens, nats [b]; of no meaning under the objective `masked`."""

    def excess(parameters: Any, rows: Array, probabilities: Array) -> Array:
        def part(parameters: Any, x: Array, truth: Array) -> Array:
            return divergence(predict(module, parameters, x), truth)

        x = features(module, parameters, rows[:, :-1], False)
        lost = in_parts(part, parameters, (x, probabilities), module.model.vocab, chunks, devices)
        return at_scored(lost, scored).sum(axis=-1)

    return excess
