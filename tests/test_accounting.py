"""Counts from the config agree with the real pytree, with XLA, and with published counts."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling.accounting import CONVENTIONS, flops_per_token, kaplan, parameters, training_flops
from scaling.errors import UserError
from scaling.models import build
from scaling.models.transformer import init_parameters
from scaling.spec import Model
from scaling.training.loss import make_summed_loss

SHAPES = [
    Model(width=16, heads=1, depth=1, context=64),
    Model(width=32, heads=2, depth=2, context=128),
    Model(width=32, heads=4, depth=2, context=32, mlp="plain"),
    Model(width=64, heads=4, depth=3, context=256),
    Model(width=64, heads=2, depth=1, context=16, vocab=4096),
    Model(width=96, heads=3, depth=5, context=64, tied=True),
    Model(width=128, heads=4, depth=4, context=256),
    Model(width=128, heads=2, depth=2, context=64, tied=True, mlp="plain", vocab=1000),
    Model(width=160, heads=5, depth=2, context=96, mlp_width=200),
    Model(width=192, heads=6, depth=6, context=32, mlp="plain", vocab=512),
    Model(width=256, heads=4, depth=2, context=128, mlp="plain"),
    Model(width=256, heads=8, depth=3, context=512),
    Model(width=64, heads=4, depth=3, context=256, objective="masked"),
    Model(width=64, heads=2, depth=1, context=16, vocab=4096, objective="masked", tied=True),
    Model(width=64, heads=2, depth=6, context=32, parametrization="completep"),
    Model(kind="linear", context=64),
    Model(kind="linear", order=2, context=16, vocab=4096),
    Model(kind="linear", order=8, context=64),
]
GPT2 = Model(vocab=50257, context=1024, depth=12, width=768, heads=12, mlp="plain", tied=True)


@pytest.mark.parametrize("model", SHAPES, ids=str)
def test_counted_parameters_equal_the_real_pytree(model):
    shapes = jax.eval_shape(lambda key: init_parameters(build(model), key, model.context), jax.random.key(0))
    assert parameters(model).total == sum(leaf.size for leaf in jax.tree.leaves(shapes))


def flops_by_xla(model: Model, optimised: bool) -> float:
    """XLA's own count per token for loss and gradients of the unrolled model."""
    rows = 2
    module = build(model, unroll=True) if model.kind == "transformer" else build(model)
    weights = jax.eval_shape(lambda key: init_parameters(module, key, model.context), jax.random.key(0))
    tokens = jax.ShapeDtypeStruct((rows, model.context + 1), jnp.int32)
    loss = make_summed_loss(module, chunks=1)
    program = jax.jit(jax.value_and_grad(loss, has_aux=True)).lower(weights, tokens, jax.random.key(0))
    analysis = program.compile().cost_analysis() if optimised else program.cost_analysis()
    return analysis["flops"] / (rows * model.context)


def tolerance(model: Model) -> float:
    """The gradient of the softmax takes fewer operations than twice the forward pass's, as is counted; that shows where
    a model is so narrow that elementwise work is a tenth of all. A linear model's is counted apart, and what is left is
    arithmetic on indices."""
    return 0.02 if model.width > 16 else 0.03


@pytest.mark.parametrize("model", SHAPES, ids=str)
def test_exact_flops_agree_with_xla_on_the_unrolled_model(model):
    # XLA folds some elementwise work into others and counts masks that cost nothing per token
    counted = flops_per_token(model).total
    np.testing.assert_allclose(counted, flops_by_xla(model, optimised=False), rtol=tolerance(model))


@pytest.mark.parametrize("model", [SHAPES[0], SHAPES[2], SHAPES[10], SHAPES[12]], ids=str)
def test_exact_flops_agree_with_the_program_that_xla_runs(model):
    counted = flops_per_token(model).total
    np.testing.assert_allclose(counted, flops_by_xla(model, optimised=True), rtol=tolerance(model))


def test_gpt2_has_nanogpt_count_once_its_biases_are_added():
    # nanoGPT's "123.65M" leaves out the position table; GPT-2 has biases on every matrix and norm, this model has none
    biases = GPT2.depth * (3 + 1 + 4 + 1 + 2) * GPT2.width + GPT2.width
    assert parameters(GPT2).total + biases == 123_653_376


@pytest.mark.parametrize(("width", "depth", "share"), [(256, 4, 0.10), (1024, 24, 0.66)])
def test_kaplan_is_the_published_share_of_chinchilla(width, depth, share):
    model = Model(vocab=50304, context=1024, width=width, depth=depth, heads=width // 64, mlp="plain")
    ratio = training_flops(model, 1, "kaplan") / training_flops(model, 1, "chinchilla_f")
    assert ratio == pytest.approx(share, abs=0.005)  # published with two digits


def test_conventions_converge_for_wide_models():
    model = Model(vocab=257, context=64, width=8192, depth=8, heads=64)
    values = [training_flops(model, 1, name) for name in CONVENTIONS]
    np.testing.assert_allclose(
        values, kaplan(model), rtol=0.02
    )  # what is left is context and vocabulary, of order 1/width


def test_components_add_up_to_the_total():
    flops = flops_per_token(GPT2)
    assert flops.total == sum(vars(flops).values())


def test_unknown_convention_is_refused_by_name():
    with pytest.raises(UserError, match=r"no FLOP convention '7nd'.*chinchilla_f"):
        training_flops(GPT2, 1, "7nd")


def test_accounting_imports_no_jax():
    code = "import sys, scaling.accounting; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
