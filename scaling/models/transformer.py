"""The Transformer: one stack of blocks, pre-norm, rotary positions, gated or plain MLP, no biases.

The whole model stands in this file, save the kernels of attention. Only Linen's functional half is used: `init` gives
the parameters as a plain pytree, `apply` is a pure function of them. Shapes are named by b(atch) t(ime) d(width)
h(eads) k(head_dim) f(hidden) v(ocab); no word of devices or meshes stands here. Parameters are float32; activations
and matrix products have the type of what enters the blocks, while norms, softmax and logits are float32 always.
"""

from __future__ import annotations

import functools
import math
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from scaling.models.attention import Kernel, attend
from scaling.models.products import PRODUCT, project
from scaling.spec import Model

Array = jax.Array
Remat = Literal["none", "dots", "full"]
init = nn.initializers.variance_scaling
UNROLLED = 8
"""Depth up to which the blocks stand one after another in the program: a loop copies what it keeps, and runs slower."""


@functools.partial(jax.checkpoint, prevent_cse=False)
def gelu(x: Array) -> Array:
    """x sigmoid(2 u) with u = sqrt(2 / pi) (x + 0.044715 x^3): the tanh form, (1 + tanh u) / 2 being sigmoid(2 u).

    The backward pass computes it again from x: that is faster than writing and reading what is between.
    """
    return x * jax.nn.sigmoid(math.sqrt(8 / math.pi) * (x + 0.044715 * x * x * x))


@functools.partial(jax.checkpoint, prevent_cse=False)
def swiglu(gate: Array, x: Array) -> Array:
    """silu(gate) x, computed again in the backward pass as `gelu` is."""
    return jax.nn.silu(gate) * x


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
    angle = np.arange(t)[:, None] * 10_000.0 ** (-np.arange(half) / half)
    cos, sin = (f(angle).astype(np.float32)[None, :, None, :] for f in (np.cos, np.sin))
    first, second = jnp.split(
        x, 2, axis=-1
    )  # its gradient is a concatenation; that of slices a sum of padded ones
    turned = [first * cos - second * sin, first * sin + second * cos]
    return jnp.concatenate(turned, axis=-1).astype(x.dtype)


class Attention(nn.Module):
    """Multi-head self-attention with rotary positions, causal unless the objective is `masked`: [b t d] to [b t d]."""

    model: Model
    kernel: Kernel

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
        q, k, v = (jnp.squeeze(part, 2) for part in jnp.split(project(x, qkv.astype(x.dtype)), 3, axis=2))
        mixed = attend(rotary(q), rotary(k), v, causal=m.causal, scale=m.attention_scale, kind=self.kernel)
        return project(mixed, out.astype(x.dtype), axes=2)


class MLP(nn.Module):
    """`gated`: down(silu(gate x) * up x) (Shazeer 2020, eq. 6); `plain`: down(gelu(up x)). [b t d] to [b t d]."""

    model: Model

    @nn.compact
    def __call__(self, x: Array) -> Array:
        m = self.model
        up = self.param("up", init(1.0, "fan_in", "normal"), (m.width, m.hidden))
        down = self.param("down", init(1 / (2 * m.depth), "fan_in", "normal"), (m.hidden, m.width))
        hidden = project(x, up.astype(x.dtype))
        if m.mlp == "gated":
            gate = self.param("gate", init(1.0, "fan_in", "normal"), (m.width, m.hidden))
            hidden = swiglu(project(x, gate.astype(x.dtype)), hidden)
        else:
            hidden = gelu(hidden)
        return project(hidden, down.astype(x.dtype))


class Block(nn.Module):
    """x + r attention(norm x), then x + r mlp(norm x), with r the model's residual scale; [b t d] to [b t d].

    The second value is what `nn.scan` collects: nothing.
    """

    model: Model
    kernel: Kernel

    @nn.compact
    def __call__(self, x: Array, train: bool) -> tuple[Array, None]:
        m = self.model
        drop = nn.Dropout(m.dropout, deterministic=not train)

        def branch(y: Array) -> Array:
            return drop(y) if m.residual_scale == 1.0 else drop(y) * m.residual_scale

        x = x + branch(Attention(m, self.kernel, name="attention")(RMSNorm(name="attention_norm")(x)))
        x = x + branch(MLP(m, name="mlp")(RMSNorm(name="mlp_norm")(x)))
        return x, None


class Transformer(nn.Module):
    """Logits [b t v] in float32 of tokens [b t]: `predict` of `features`, which the loss calls one by one.

    The embedding has unit variance. The head is initialised at 1/width per weight (a tied head is the unit-variance
    table divided by width), so that the first logits are near zero and the first loss is ln(vocab).
    """

    model: Model
    dtype: Any = jnp.float32
    """Of activations and matrix products."""
    attention: Kernel = "plain"
    remat: Remat = "none"
    """What the backward pass computes again: nothing, all but products with parameters, or every block."""
    unroll: bool = False
    """Write the blocks out one after another in the program, for counting its operations."""

    def setup(self) -> None:
        m = self.model
        self.embedding = self.param("embedding", nn.initializers.normal(1.0), (m.input_rows, m.width))
        self.drop = nn.Dropout(m.dropout)
        # outside a loop XLA would find what is computed again to be the same, and keep it
        short = m.depth <= UNROLLED and self.remat == "none"
        stack = nn.scan(
            rematerialised(self.remat),
            variable_axes={"params": 0, "intermediates": 0},
            split_rngs={"params": True, "dropout": True},
            in_axes=nn.broadcast,
            length=m.depth,
            unroll=m.depth if self.unroll or short else 1,
        )
        self.blocks = stack(m, self.attention)
        self.final_norm = RMSNorm()
        if not m.tied:
            self.head = self.param("head", nn.initializers.normal(1 / m.width), (m.width, m.vocab))

    def features(self, tokens: Array, train: bool = False) -> Array:
        """What the head reads: tokens [b t] to [b t d] in `dtype`."""
        x = jnp.take(self.embedding, tokens, axis=0).astype(self.dtype)
        x = self.drop(x, deterministic=not train)
        x, _ = self.blocks(x, train)
        return self.final_norm(x)

    def predict(self, features: Array) -> Array:
        """Logits [b s v] in float32 of features [b s d]."""
        m = self.model
        if m.tied:
            table = self.embedding[: m.vocab].astype(self.dtype)
            return project(features / m.width, table.T, 1, jnp.float32)
        return project(features, self.head.astype(self.dtype), 1, jnp.float32)

    def __call__(self, tokens: Array, train: bool = False) -> Array:
        return self.predict(self.features(tokens, train))


def rematerialised(remat: Remat) -> type[nn.Module]:
    """The block, keeping of its forward pass for the backward pass what the policy says (Chen et al. 2016)."""
    if remat == "none":
        return Block
    policies = jax.checkpoint_policies
    policy = policies.save_only_these_names(PRODUCT) if remat == "dots" else policies.nothing_saveable
    # a scan's body is computed again where it stands: no fence against common subexpressions is needed
    return nn.remat(Block, policy=policy, static_argnums=(2,), prevent_cse=False)


def init_parameters(model: nn.Module, key: Array, context: int) -> Any:
    """Parameters of `model` as a plain pytree of float32 arrays, drawn from `key`."""
    return model.init(key, jnp.zeros((1, context), jnp.int32))["params"]
