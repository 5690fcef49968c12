"""A decoder in nanodo's shape: Flax Linen, learned positions, LayerNorm before each part, optax, jit.

The recipe: separate `DenseGeneral` projections for queries, keys and values, scores over the whole square with a
causal mask, gelu in the MLP, no biases, blocks one after another in a Python loop, the head tied to the embedding
table (`nn.Embed.attend`), AdamW with clipping by the global norm. Shapes: b(atch) t(ime) d(width) h(eads).
"""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.shapes import Shape

Array = jax.Array


class Attention(nn.Module):
    """Causal multi-head self-attention, [b t d] to [b t d]."""

    shape: Shape

    @nn.compact
    def __call__(self, x: Array) -> Array:
        heads = (self.shape.heads, self.shape.head_dim)
        query, key, value = (
            nn.DenseGeneral(heads, use_bias=False, name=name)(x) for name in ("query", "key", "value")
        )
        scores = jnp.einsum("bthk,bshk->bhts", query / self.shape.head_dim**0.5, key)
        past = nn.make_causal_mask(x[..., 0], dtype=bool)
        scores = jnp.where(past, scores, jnp.finfo(scores.dtype).min)
        mixed = jnp.einsum("bhts,bshk->bthk", jax.nn.softmax(scores, axis=-1), value)
        return nn.DenseGeneral(self.shape.width, axis=(-2, -1), use_bias=False, name="out")(mixed)


class Block(nn.Module):
    """x + attention(norm x), then x + mlp(norm x)."""

    shape: Shape

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = x + Attention(self.shape)(nn.LayerNorm(use_bias=False)(x))
        hidden = nn.Dense(4 * self.shape.width, use_bias=False)(nn.LayerNorm(use_bias=False)(x))
        return x + nn.Dense(self.shape.width, use_bias=False)(nn.gelu(hidden))


class Decoder(nn.Module):
    """Next-token logits [b t v] of tokens [b t]."""

    shape: Shape

    @nn.compact
    def __call__(self, tokens: Array) -> Array:
        s = self.shape
        table = nn.Embed(s.vocab, s.width, name="embedding")
        positions = nn.Embed(s.context, s.width, name="positions")
        x = table(tokens) + positions(jnp.arange(s.context)[None])
        for _ in range(s.depth):
            x = Block(s)(x)
        return table.attend(nn.LayerNorm(use_bias=False)(x))


def trainer(shape: Shape) -> Callable[[int], float]:
    """A function that trains so many steps, waits for the last and returns its loss."""
    model = Decoder(shape)
    transform = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3, b2=0.95, weight_decay=0.1))

    def loss_of(parameters: optax.Params, rows: Array) -> Array:
        logits = model.apply({"params": parameters}, rows[:, :-1])
        return optax.softmax_cross_entropy_with_integer_labels(logits, rows[:, 1:]).mean()

    def step(parameters, moments, rows):
        loss, gradients = jax.value_and_grad(loss_of)(parameters, rows)
        updates, moments = transform.update(gradients, moments, parameters)
        return optax.apply_updates(parameters, updates), moments, loss

    compiled = jax.jit(step, donate_argnums=(0, 1))
    batches = shape.batches()
    parameters = jax.jit(model.init)(jax.random.key(0), batches[0][:, :-1])["params"]
    moments = transform.init(parameters)

    def train(steps: int) -> float:
        nonlocal parameters, moments
        loss = np.float32(0)
        for i in range(steps):
            parameters, moments, loss = compiled(parameters, moments, batches[i % len(batches)])
        return float(loss)

    return train
