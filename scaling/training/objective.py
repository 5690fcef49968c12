"""What a model is asked about a row of tokens: each next token, or tokens that were hidden from it."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from scaling.spec import Model

Array = jax.Array

MASKED, RANDOM = 0.8, 0.1
"""Shares of the hidden tokens that the mask stands for, and a token drawn at random; the rest stay as they are."""


class Task(NamedTuple):
    """A batch as questions and answers."""

    inputs: Array
    """What the model sees, [b t]."""
    positions: Array | None
    """The places that are asked about, [b s]; None where it is every one."""
    targets: Array
    """The tokens to predict, [b s]."""


def next_tokens(rows: Array) -> Task:
    """The token after each position: rows [b, t + 1]."""
    return Task(rows[:, :-1], None, rows[:, 1:])


def hidden_tokens(rows: Array, key: Array, model: Model) -> Task:
    """`model.predictions` tokens of each row of t + 1, the last one left out, to be told from both sides.

    The mask, token number `model.vocab`, stands for 80 % of them and a random token for 10 % (Devlin et al. 2019,
    section 3.1). Equally many are hidden in every row, so that rows weigh the same; which ones is a function of `key`
    and the row's tokens alone, wherever the row lies in a batch and however the batch is split.
    """

    def hide(row: Array) -> Task:
        choice, fate, other = jax.random.split(jax.random.fold_in(key, _number(row)), 3)
        tokens = row[:-1]
        positions = jnp.argsort(jax.random.uniform(choice, tokens.shape))[: model.predictions]
        targets = tokens[positions]
        u = jax.random.uniform(fate, positions.shape)
        drawn = jax.random.randint(other, positions.shape, 0, model.vocab, tokens.dtype)
        shown = jnp.where(u < MASKED, model.vocab, jnp.where(u < MASKED + RANDOM, drawn, targets))
        return Task(tokens.at[positions].set(shown.astype(tokens.dtype)), positions, targets)

    return jax.vmap(hide)(rows.astype(jnp.int32))


def _number(row: Array) -> Array:
    """A hash of a row of tokens [t + 1], uint32 []: its product with fixed odd numbers, modulo 2^32."""
    factors = jax.random.bits(jax.random.key(0), row.shape) | 1
    return jnp.sum(row.astype(jnp.uint32) * factors, dtype=jnp.uint32)
