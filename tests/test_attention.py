"""Every kernel of attention is the same function, and one that a device does not have is refused."""

import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling.errors import UserError
from scaling.execution import Execution
from scaling.models import module_of
from scaling.models.attention import attend, choose, splash
from scaling.spec import Model


def operands(b, t, h, k, dtype=jnp.float32):
    """q, k, v and what the result is multiplied by to make one number of it."""
    return [jax.random.normal(jax.random.key(i), (b, t, h, k), dtype) for i in range(4)]


def value_and_gradients(function, q, k, v, weight):
    """The result and its gradients: one array each of [b t h k]."""

    def total(q, k, v):
        found = function(q, k, v)
        return jnp.sum(found.astype(jnp.float32) * weight), found

    (_, found), gradients = jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True))(q, k, v)
    return [found, *gradients]


def plain(causal, scale):
    return functools.partial(attend, causal=causal, scale=scale, kind="plain")


@pytest.mark.parametrize("causal", [True, False])
def test_plain_attention_is_the_softmax_written_out_in_float64(causal):
    q, k, v = np.random.default_rng(0).normal(size=(3, 2, 5, 2, 4))
    scores = np.einsum("bthk,bshk->bhts", q, k) / 2.0
    if causal:
        scores[..., np.triu(np.ones((5, 5), bool), k=1)] = -np.inf
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    expected = np.einsum("bhts,bshk->bthk", weights / weights.sum(-1, keepdims=True), v)
    q, k, v = (jnp.asarray(a, jnp.float32) for a in (q, k, v))
    np.testing.assert_allclose(plain(causal, 0.5)(q, k, v), expected, atol=1e-5)  # float32


@pytest.mark.parametrize("causal", [True, False])
def test_plain_attention_and_jax_own_are_the_same_function(causal):
    q, k, v, weight = operands(2, 33, 3, 16)
    witness = functools.partial(jax.nn.dot_product_attention, is_causal=causal, implementation="xla")
    expected = value_and_gradients(witness, q, k, v, weight)
    for found, right in zip(value_and_gradients(plain(causal, 0.25), q, k, v, weight), expected, strict=True):
        np.testing.assert_allclose(found, right, atol=1e-5)  # float32


@pytest.mark.parametrize("causal", [True, False])
def test_splash_attention_is_the_plain_one(causal):
    q, k, v, weight = operands(1, 256, 2, 32)
    interpreted = functools.partial(splash, causal=causal, scale=32**-0.5, interpret=True)
    expected = value_and_gradients(plain(causal, 32**-0.5), q, k, v, weight)
    for found, right in zip(value_and_gradients(interpreted, q, k, v, weight), expected, strict=True):
        np.testing.assert_allclose(found, right, atol=2e-5)  # float32


SPLIT = """
import jax, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from scaling.models.attention import attend, splash_over
mesh = jax.make_mesh((2, 2, 2), ("population", "data", "model"), axis_types=(AxisType.Auto,) * 3)
q, k, v = (jax.random.normal(jax.random.key(i), (2, 2, 128, 2, 16)) for i in range(3))
placed = jax.device_put((q, k, v), NamedSharding(mesh, PartitionSpec("population", "data", None, "model")))
def gradients(kind, **over):
    one = lambda *qkv: attend(*qkv, causal=True, scale=0.25, kind=kind)
    return jax.grad(lambda *qkv: (jax.vmap(one, **over)(*qkv) ** 2).sum(), argnums=(0, 1, 2))
split = jax.jit(gradients(splash_over(mesh, interpret=True), spmd_axis_name="population"))
for a, b in zip(split(*placed), jax.jit(gradients("plain"))(q, k, v)):
    np.testing.assert_allclose(a, b, atol=1e-4)  # float32
plain = attend(q[0], k[0], v[0], causal=True, scale=0.25, kind="plain")
alone = splash_over(mesh)(q[0, :1], k[0, :1], v[0, :1], True, 0.25)  # a row that two devices cannot share
np.testing.assert_allclose(alone, plain[:1], atol=1e-5)
kernel = lambda q, k, v: splash_over(mesh, interpret=True)(q, k, v, True, 0.25)
rows = PartitionSpec("data")
mapped = jax.shard_map(kernel, mesh=mesh, in_specs=rows, out_specs=rows, check_vma=False)
np.testing.assert_allclose(jax.jit(mapped)(q[0], k[0], v[0]), plain, atol=1e-5)
gathered = [line for line in split.lower(*placed).compile().as_text().splitlines() if " all-gather(" in line]
assert not gathered, gathered
"""


def test_splash_attention_is_the_plain_one_with_members_rows_and_heads_on_other_devices():
    flags = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    done = subprocess.run([sys.executable, "-c", SPLIT], env=flags, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("causal", [True, False])
def test_cudnn_attention_is_the_plain_one(causal):
    if jax.default_backend() != "gpu":
        pytest.skip("needs an NVIDIA GPU: run with JAX_PLATFORMS=cuda")
    q, k, v, weight = operands(2, 256, 4, 64, jnp.bfloat16)
    cudnn = functools.partial(attend, causal=causal, scale=0.125, kind="cudnn")
    expected = value_and_gradients(plain(causal, 0.125), q, k, v, weight)
    for found, right in zip(value_and_gradients(cudnn, q, k, v, weight), expected, strict=True):
        found, right = (np.asarray(x, np.float32) for x in (found, right))
        assert np.abs(found - right).max() < 0.03 * np.abs(right).max()  # bfloat16 has 8 bits


@pytest.mark.parametrize(
    ("asked", "platform", "capability", "precision", "head_dim", "context", "kernel"),
    [
        ("auto", "cpu", "", "float32", 64, 1024, "plain"),
        ("auto", "gpu", "9.0", "bfloat16", 64, 1024, "cudnn"),
        ("auto", "gpu", "9.0", "bfloat16", 256, 100, "cudnn"),
        ("auto", "gpu", "10.0", "bfloat16", 128, 1024, "cudnn"),
        ("auto", "gpu", "9.0", "float32", 64, 1024, "plain"),
        ("auto", "gpu", "9.0", "bfloat16", 12, 1024, "plain"),
        ("auto", "gpu", "8.0", "bfloat16", 64, 1024, "plain"),
        ("auto", "gpu", "gfx942", "bfloat16", 64, 1024, "plain"),
        ("auto", "tpu", "", "bfloat16", 64, 1024, "splash"),
        ("auto", "tpu", "", "bfloat16", 64, 1000, "plain"),
        ("cudnn", "gpu", "8.0", "bfloat16", 128, 1024, "cudnn"),
        ("splash", "tpu", "", "float32", 64, 128, "splash"),
        ("plain", "gpu", "9.0", "bfloat16", 64, 1024, "plain"),
    ],
)
def test_the_kernel_follows_the_device(asked, platform, capability, precision, head_dim, context, kernel):
    assert choose(asked, platform, capability, precision, head_dim, context) == kernel


@pytest.mark.parametrize(
    ("asked", "platform", "capability", "precision", "head_dim", "context", "words"),
    [
        ("cudnn", "cpu", "", "bfloat16", 64, 128, "--attention cudnn cannot be: .*NVIDIA.*a cpu; use plain"),
        ("cudnn", "gpu", "7.0", "bfloat16", 64, 128, "from Ampere on"),
        ("cudnn", "gpu", "9.0", "float32", 64, 128, "takes no float32; use --precision bfloat16"),
        ("cudnn", "gpu", "9.0", "bfloat16", 12, 128, "= 12 does not suit .* multiple of 8 up to 256"),
        ("cudnn", "gpu", "9.0", "bfloat16", 264, 128, "= 264 does not suit .* up to 256"),
        ("cudnn", "gpu", "8.6", "bfloat16", 256, 128, "= 256 does not suit .* up to 128"),
        ("splash", "gpu", "9.0", "bfloat16", 64, 128, "for TPUs and the device is a gpu"),
        ("splash", "tpu", "", "bfloat16", 64, 100, r"Model\.context = 100 .* multiple of 128"),
    ],
)
def test_a_kernel_that_cannot_be_is_refused(asked, platform, capability, precision, head_dim, context, words):
    with pytest.raises(UserError, match=words):
        choose(asked, platform, capability, precision, head_dim, context)


def test_cudnn_is_refused_before_anything_is_trained_on_a_cpu():
    if jax.default_backend() != "cpu":
        pytest.skip("of a CPU")
    with pytest.raises(UserError, match="--attention cudnn cannot be"):
        module_of(Model(), Execution(attention="cudnn", precision="bfloat16"))
