"""The training step: a pure function of (state, batch), the same program for every run of a shape."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, cast

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax

from scaling.models.transformer import init_parameters
from scaling.spec import Optim
from scaling.training.loss import Scored, at_scored, cross_entropy, divergence
from scaling.training.optimizer import apply_update, direction
from scaling.training.schedule import Scalar, Schedule, learning_rate

Array = jax.Array
Metrics = dict[str, Array]


@flax.struct.dataclass
class State:
    """All that a step reads and writes. What varies over a grid is here, so that it is no part of the program."""

    step: Array
    """Steps done, int32 []."""
    seed: Scalar
    """int32 []."""
    parameters: Any
    moments: Any
    schedule: Schedule
    weight_decay: Scalar
    """float32 []."""


def make_init(model: nn.Module, optim: Optim, context: int) -> Callable[[Scalar, Schedule, Scalar], State]:
    """A pure function (seed, schedule, weight decay) -> state before the first step."""

    def initial(seed: Scalar, schedule: Schedule, weight_decay: Scalar) -> State:
        parameters = init_parameters(model, jax.random.key(seed), context)
        moments = direction(optim).init(parameters)
        return State(jnp.int32(0), seed, parameters, moments, schedule, weight_decay)

    return initial


def make_step(
    model: nn.Module, optim: Optim, scored: Scored = None
) -> Callable[[State, Array], tuple[State, Metrics]]:
    """A pure function (state, batch [b, t + 1]) -> (state, metrics).

    The loss is the sum over scored tokens divided by their number, so that it stays the mean over tokens on any mesh.
    """
    transform = direction(optim)

    def loss_of(parameters: Any, batch: Array, key: Array) -> Array:
        logits = model.apply({"params": parameters}, batch[:, :-1], train=True, rngs={"dropout": key})
        losses = at_scored(cross_entropy(cast(Array, logits), batch[:, 1:]), scored)
        return losses.sum() / losses.size

    def step(state: State, batch: Array) -> tuple[State, Metrics]:
        key = jax.random.fold_in(jax.random.key(state.seed), state.step)
        loss, gradients = jax.value_and_grad(loss_of)(state.parameters, batch, key)
        updates, moments = transform.update(gradients, state.moments)
        rate = learning_rate(state.schedule, state.step)
        parameters = apply_update(state.parameters, updates, rate, state.weight_decay)
        metrics = {"loss": loss, "gradient_norm": optax.tree.norm(gradients), "lr": rate}
        done = dataclasses.replace(state, step=state.step + 1, parameters=parameters, moments=moments)
        return done, metrics

    return step


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
