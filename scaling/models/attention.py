"""Attention by kernel: one function, whatever computes it, and which kernel suits a device."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal, cast

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from scaling.errors import UserError

Array = jax.Array
Named = Literal["plain", "cudnn", "splash"]
Kernel = Named | Callable[[Array, Array, Array, bool, float], Array]
"""A kernel by name, or a function (q, k, v, causal, scale) -> [b t h k]."""

SPLASH_BLOCK = 128
"""What splash attention wants the context to be a multiple of: a block of it fills the lanes of a TPU."""


def attend(q: Array, k: Array, v: Array, *, causal: bool, scale: float, kind: Kernel) -> Array:
    """softmax(scale q k') v over every position, or over the present and the past; all are [b t h k].

    The softmax is in float32 whatever the type of q, k and v.
    """
    if callable(kind):
        return kind(q, k, v, causal, scale)
    if kind == "cudnn":
        return jax.nn.dot_product_attention(q, k, v, scale=scale, is_causal=causal, implementation="cudnn")
    if kind == "splash":
        return splash(q, k, v, causal, scale)
    return plain(q, k, v, causal, scale)


def plain(q: Array, k: Array, v: Array, causal: bool, scale: float) -> Array:
    """Attention written out: the whole square of weights [b h t t] is in memory."""
    by_head = (jnp.moveaxis(x, 2, 1) for x in (q * scale, k, v))
    return jnp.moveaxis(weighted_mean(*by_head, causal), 1, 2)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def weighted_mean(q: Array, k: Array, v: Array, causal: bool) -> Array:
    """softmax(q k') v, all [b h t k], with a gradient written by hand because of the speed of its products on CPUs.

    With weights w = softmax(q k') and g the gradient of the mean y, that of the scores is w (g v' - (g . y)), where
    g . y, a number a position, is the sum of w (g v') over positions (Dao 2023, algorithm 2, line 4).
    """
    return _forward(q, k, v, causal)[0]


def _forward(q: Array, k: Array, v: Array, causal: bool) -> tuple[Array, tuple[Array, ...]]:
    scores = jnp.einsum("bhtk,bhsk->bhts", q, k, preferred_element_type=jnp.float32)
    if causal:
        t = scores.shape[-1]
        past = jnp.tril(jnp.ones((t, t), dtype=bool))[None, None]
        scores = jnp.where(past, scores, -1e30)
    weights = jax.nn.softmax(scores, axis=-1).astype(v.dtype)
    mean = jnp.einsum("bhts,bhsk->bhtk", weights, v)
    return mean, (q, k, v, weights, mean)


def _backward(causal: bool, kept: tuple[Array, ...], gradient: Array) -> tuple[Array, Array, Array]:
    q, k, v, weights, mean = kept
    to_weights = jnp.einsum("bhtk,bhsk->bhts", gradient, v, preferred_element_type=jnp.float32)
    inner = jnp.sum(gradient.astype(jnp.float32) * mean, axis=-1, keepdims=True)
    to_scores = (weights * (to_weights - inner)).astype(q.dtype)
    # a product over t wants t last on the left and first on the right: a transposed copy of [t k] is cheap, one of
    # [t s] is not, and the barriers keep XLA from swapping the operands back
    by_time = jax.lax.optimization_barrier((jnp.matrix_transpose(q), jnp.matrix_transpose(gradient)))
    sums = (
        jnp.einsum("bhkt,bhts->bhks", by_time[0], to_scores),
        jnp.einsum("bhkt,bhts->bhks", by_time[1], weights),
    )
    back = tuple(jnp.matrix_transpose(x) for x in jax.lax.optimization_barrier(sums))
    to_k, to_v = jax.lax.optimization_barrier(back)
    return jnp.einsum("bhts,bhsk->bhtk", to_scores, k), to_k, to_v


weighted_mean.defvjp(_forward, _backward)


def splash(q: Array, k: Array, v: Array, causal: bool, scale: float, interpret: bool = False) -> Array:
    """JAX's kernel for TPUs, which keeps no scores and skips the future; `interpret` runs it anywhere, slowly."""
    from jax.experimental.pallas.ops.tpu import splash_attention as kernels

    t, h = q.shape[1:3]
    mask = kernels.CausalMask((t, t)) if causal else kernels.FullMask((t, t))
    block = next(size for size in (512, 256, SPLASH_BLOCK) if t % size == 0)
    kernel = kernels.make_splash_mha_single_device(
        kernels.MultiHeadMask([mask] * h),
        block_sizes=kernels.BlockSizes(
            block_q=block,
            block_kv=block,
            block_q_dkv=block,
            block_kv_dkv=block,
            block_q_dq=block,
            block_kv_dq=block,
        ),
        interpret=interpret,
    )
    by_head = (jnp.moveaxis(x, 2, 1) for x in (q * scale, k, v))
    return jnp.moveaxis(jax.vmap(kernel)(*by_head), 1, 2).astype(v.dtype)


def splash_over(mesh: Mesh, interpret: bool = False) -> Kernel:
    """Splash attention in a program that is partitioned over a mesh: XLA cuts no TPU kernel by itself, so each device
    gets its rows (`data`) and heads (`model`) here."""
    part = PartitionSpec("data", None, "model", None)

    def attention(q: Array, k: Array, v: Array, causal: bool, scale: float) -> Array:
        local = functools.partial(splash, causal=causal, scale=scale, interpret=interpret)
        if jax.sharding.get_abstract_mesh().manual_axes:  # in a step that is mapped over devices as a whole
            return local(q, k, v)
        if q.shape[0] % mesh.shape["data"]:  # the one row that parameters are initialised with
            return plain(q, k, v, causal, scale)
        return jax.shard_map(local, mesh=mesh, in_specs=part, out_specs=part, check_vma=False)(q, k, v)

    return attention


def choose(asked: str, platform: str, capability: str, precision: str, head_dim: int, context: int) -> Named:
    """The kernel for a device of a platform ("cpu", "gpu", "tpu"), of a compute capability such as "9.0" if NVIDIA's.

    `auto` takes cuDNN's in bfloat16 on Hopper and later, splash on TPUs, and the plain one wherever these cannot be.
    Raises UserError when the kernel asked for cannot be.
    """
    if asked == "plain":
        return "plain"
    reasons = {
        "cudnn": _no_cudnn(platform, capability, precision, head_dim),
        "splash": _no_splash(platform, context),
    }
    if asked == "auto":
        if reasons["cudnn"] is None and _generation(capability) >= 9:
            return "cudnn"
        return "splash" if reasons["splash"] is None else "plain"
    if reason := reasons[asked]:
        raise UserError(f"--attention {asked} cannot be: {reason}")
    return cast(Named, asked)


def _no_cudnn(platform: str, capability: str, precision: str, head_dim: int) -> str | None:
    """Why cuDNN's kernel cannot be; None where it can."""
    generation = _generation(capability)
    if platform != "gpu" or generation < 8:
        return f"cuDNN's kernel is for NVIDIA GPUs from Ampere on and the device is a {platform}; use plain or auto"
    if precision != "bfloat16":
        return f"cuDNN's kernel takes no {precision}; use --precision bfloat16, or plain attention"
    widest = 256 if generation >= 9 else 128
    if head_dim % 8 or head_dim > widest:
        remedy = f"use heads of a multiple of 8 up to {widest}, or plain attention"
        return f"Model.width / Model.heads = {head_dim} does not suit cuDNN's kernel; {remedy}"
    return None


def _no_splash(platform: str, context: int) -> str | None:
    """Why splash attention cannot be; None where it can."""
    if platform != "tpu":
        return f"splash attention is for TPUs and the device is a {platform}; use plain or auto"
    if context % SPLASH_BLOCK:
        remedy = f"use a multiple of {SPLASH_BLOCK}, or plain attention"
        return f"Model.context = {context} does not suit splash attention; {remedy}"
    return None


def _generation(capability: str) -> int:
    """The major number of an NVIDIA GPU's compute capability; 0 for whatever else."""
    major = capability.partition(".")[0]
    return int(major) if major.isdigit() else 0
