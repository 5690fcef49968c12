"""The training step: a pure function of (state, batch), the same program for every run of a shape."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from scaling.models.transformer import init_parameters
from scaling.spec import Optim
from scaling.training.gradients import Gradients, make_gradients
from scaling.training.loss import Scored, at_scored, cross_entropy, divergence, make_summed_loss
from scaling.training.optimizer import apply_update, direction
from scaling.training.schedule import learning_rate
from scaling.training.state import Metrics, Settings, State

Array = jax.Array


def make_init(model: nn.Module, optim: Optim, context: int) -> Callable[[Settings], State]:
    """A pure function (settings) -> state before the first step."""

    def initial(settings: Settings) -> State:
        parameters = init_parameters(model, jax.random.key(settings.seed), context)
        return State(jnp.int32(0), settings, parameters, direction(optim).init(parameters))

    return initial


def make_step(
    model: nn.Module, optim: Optim, scored: Scored = None, microbatches: int = 1
) -> Callable[[State, Array], tuple[State, Metrics]]:
    """A pure function (state, batch [b, t + 1]) -> (state, metrics)."""
    gradients = make_gradients(make_summed_loss(model, scored), microbatches)
    update = make_update(optim)

    def step(state: State, batch: Array) -> tuple[State, Metrics]:
        return update(state, gradients(state.parameters, batch, step_key(state)))

    return step


def step_key(state: State) -> Array:
    """The key of a step's dropout and masks: a function of seed and step alone."""
    return jax.random.fold_in(jax.random.key(state.settings.seed), state.step)


def make_update(optim: Optim) -> Callable[[State, Gradients], tuple[State, Metrics]]:
    """A pure function (state, summed gradients of a batch) -> (state, metrics).

    Loss and gradient are the sums divided by the predicted tokens, so that they stay the mean over tokens on any mesh.
    """
    transform = direction(optim)

    def update(state: State, sums: Gradients) -> tuple[State, Metrics]:
        gradient = jax.tree.map(lambda g: g / sums.tokens, sums.gradient)
        updates, moments = transform.update(gradient, state.moments)
        rate = learning_rate(state.settings.schedule, state.step)
        parameters = apply_update(state.parameters, updates, rate, state.settings.weight_decay)
        metrics = {"loss": sums.loss / sums.tokens, "gradient_norm": optax.tree.norm(gradient), "lr": rate}
        return dataclasses.replace(
            state, step=state.step + 1, parameters=parameters, moments=moments
        ), metrics

    return update


def make_evaluate(model: nn.Module, scored: Scored = None) -> Callable[[Any, Array], Array]:
    """A pure function (parameters, rows [b, t + 1]) -> summed loss of each row's scored tokens, nats [b]."""

    def evaluate(parameters: Any, rows: Array) -> Array:
        logits = model.apply({"params": parameters}, rows[:, :-1])
        return at_scored(cross_entropy(cast(Array, logits), rows[:, 1:]), scored).sum(axis=-1)

    return evaluate


def make_excess(model: nn.Module, scored: Scored = None) -> Callable[[Any, Array, Array], Array]:
    """A pure function (parameters, rows [b, t + 1], exact next-token probabilities [b, t, v]) -> what the model loses
    to them, summed over each row's scored tokens, nats [b]."""

    def excess(parameters: Any, rows: Array, probabilities: Array) -> Array:
        logits = model.apply({"params": parameters}, rows[:, :-1])
        return at_scored(divergence(cast(Array, logits), probabilities), scored).sum(axis=-1)

    return excess
