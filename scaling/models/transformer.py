"""The Transformer: decoder-only, pre-norm, rotary positions, causal attention, gated or plain MLP, no biases.

The whole model stands in this file. Only Linen's functional half is used: `init` gives the parameters as a plain
pytree, `apply` is a pure function of them. Shapes are named by b(atch) t(ime) d(width) h(eads) k(head_dim)
f(hidden) v(ocab); no word of devices or meshes stands here.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from scaling.spec import Model

Array = jax.Array
init = nn.initializers.variance_scaling


class RMSNorm(nn.Module):
    """x / rms(x) x scale, over the last axis, computed in float32 (Zhang and Sennrich 2019, eq. 4)."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        x32 = x.astype(jnp.float32)
        inverse = jax.lax.rsqrt(jnp.mean(jnp.square(x32), axis=-1, keepdims=True) + 1e-6)
        return (x32 * inverse * jnp.expand_dims(scale, range(x.ndim - 1))).astype(x.dtype)


def rotary(x: Array) -> Array:
    """Turn pairs of numbers of x [b t h k] by angles proportional to t (Su et al. 2021, eq. 34)."""
    t, half = x.shape[1], x.shape[-1] // 2
    frequency = 10_000.0 ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angle = jnp.arange(t, dtype=jnp.float32)[:, None] * frequency[None, :]
    cos, sin = (f(angle)[None, :, None, :].astype(x.dtype) for f in (jnp.cos, jnp.sin))
    first, second = x[..., :half], x[..., half:]
    return jnp.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)


def causal_attention(q: Array, k: Array, v: Array) -> Array:
    """softmax(q k' / sqrt(head_dim)) v over the present and the past; q, k, v and the result are [b t h k]."""
    scores = jnp.einsum("bthk,bshk->bhts", q * (q.shape[-1] ** -0.5), k)
    t = scores.shape[-1]
    past = jnp.tril(jnp.ones((t, t), dtype=bool))[None, None]
    weights = jax.nn.softmax(jnp.where(past, scores.astype(jnp.float32), -1e30), axis=-1)
    return jnp.einsum("bhts,bshk->bthk", weights.astype(v.dtype), v)


class Attention(nn.Module):
    """Multi-head causal self-attention with rotary positions: [b t d] to [b t d]."""

    model: Model

    @nn.compact
    def __call__(self, x: Array) -> Array:
        m = self.model
        qkv = self.param(
            "qkv",
            init(1.0, "fan_in", "normal", in_axis=0, out_axis=(1, 2, 3)),
            (m.width, 3, m.heads, m.head_dim),
        )
        out_init = init(1 / (2 * m.depth), "fan_in", "normal", in_axis=(0, 1), out_axis=2)
        out = self.param("out", out_init, (m.heads, m.head_dim, m.width))
        q, k, v = jnp.moveaxis(jnp.einsum("btd,dnhk->btnhk", x, qkv.astype(x.dtype)), 2, 0)
        mixed = causal_attention(rotary(q), rotary(k), v)
        return jnp.einsum("bthk,hkd->btd", mixed, out.astype(x.dtype))


class MLP(nn.Module):
    """`gated`: down(silu(gate x) * up x) (Shazeer 2020, eq. 6); `plain`: down(gelu(up x)). [b t d] to [b t d]."""

    model: Model

    @nn.compact
    def __call__(self, x: Array) -> Array:
        m = self.model
        up = self.param("up", init(1.0, "fan_in", "normal"), (m.width, m.hidden))
        down = self.param("down", init(1 / (2 * m.depth), "fan_in", "normal"), (m.hidden, m.width))
        hidden = x @ up.astype(x.dtype)
        if m.mlp == "gated":
            gate = self.param("gate", init(1.0, "fan_in", "normal"), (m.width, m.hidden))
            hidden = jax.nn.silu(x @ gate.astype(x.dtype)) * hidden
        else:
            hidden = jax.nn.gelu(hidden)
        return hidden @ down.astype(x.dtype)


class Block(nn.Module):
    """x + attention(norm x), then x + mlp(norm x); the second value is what `nn.scan` collects: nothing."""

    model: Model

    @nn.compact
    def __call__(self, x: Array, train: bool) -> tuple[Array, None]:
        drop = nn.Dropout(self.model.dropout, deterministic=not train)
        x = x + drop(Attention(self.model, name="attention")(RMSNorm(name="attention_norm")(x)))
        x = x + drop(MLP(self.model, name="mlp")(RMSNorm(name="mlp_norm")(x)))
        return x, None


class Transformer(nn.Module):
    """Next-token logits [b t v] in float32 of tokens [b t].

    The embedding has unit variance. The head is initialised at 1/width per weight (a tied head is the unit-variance
    table divided by width), so that the first logits are near zero and the first loss is ln(vocab).
    `unroll` writes the blocks out one after another in the program, for counting its operations.
    """

    model: Model
    unroll: bool = False

    @nn.compact
    def __call__(self, tokens: Array, train: bool = False) -> Array:
        m = self.model
        table = self.param("embedding", nn.initializers.normal(1.0), (m.vocab, m.width))
        x = jnp.take(table, tokens, axis=0)
        x = nn.Dropout(m.dropout, deterministic=not train)(x)
        blocks = nn.scan(
            Block,
            variable_axes={"params": 0},
            split_rngs={"params": True, "dropout": True},
            in_axes=nn.broadcast,
            length=m.depth,
            unroll=m.depth if self.unroll else 1,
        )
        x, _ = blocks(m, name="blocks")(x, train)
        x = RMSNorm(name="final_norm")(x)
        if m.tied:
            return jnp.einsum("btd,vd->btv", x / m.width, table).astype(jnp.float32)
        head = self.param("head", nn.initializers.normal(1 / m.width), (m.width, m.vocab))
        return (x @ head).astype(jnp.float32)


def init_parameters(model: nn.Module, key: Array, context: int) -> Any:
    """Parameters of `model` as a plain pytree of float32 arrays, drawn from `key`."""
    return model.init(key, jnp.zeros((1, context), jnp.int32))["params"]
