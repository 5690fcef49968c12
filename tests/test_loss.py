"""Losses and divergences against NumPy in float64, whole or in parts, and that unscored tokens are no part of them."""

import dataclasses
import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling.data.languages import language, scored_of
from scaling.models import build
from scaling.models.transformer import init_parameters
from scaling.spec import Data, Model, Optim, Run
from scaling.training.evaluation import HeldOut, measure
from scaling.training.loss import at_scored, cross_entropy, divergence, in_parts, make_summed_loss, predict
from scaling.training.program import program_of
from scaling.training.step import make_evaluate, make_excess

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(3, 4, 7))
P = RNG.dirichlet(np.ones(7), size=(3, 4))


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def test_divergence_is_the_expected_cross_entropy_less_the_entropy():
    expected = -(P * log_softmax(LOGITS)).sum(axis=-1) + (P * np.log(P)).sum(axis=-1)
    found = divergence(jnp.asarray(LOGITS, jnp.float32), jnp.asarray(P, jnp.float32))
    np.testing.assert_allclose(found, expected, atol=1e-6)  # float32
    losses = [cross_entropy(jnp.asarray(LOGITS, jnp.float32), jnp.full((3, 4), v)) for v in range(7)]
    by_token = (P * np.stack(losses, axis=-1)).sum(axis=-1)
    np.testing.assert_allclose(found, by_token + (P * np.log(P)).sum(axis=-1), atol=1e-6)  # float32


def test_divergence_is_zero_at_the_truth_and_finite_where_a_token_cannot_come():
    certain = np.zeros((1, 2, 7))
    certain[..., 3] = 1.0
    found = divergence(jnp.zeros((1, 2, 7)), jnp.asarray(certain, jnp.float32))
    np.testing.assert_allclose(found, np.log(7), rtol=1e-6)
    assert np.abs(divergence(jnp.log(jnp.asarray(P, jnp.float32)), jnp.asarray(P, jnp.float32))).max() < 1e-6


def test_only_scored_positions_remain():
    losses = jnp.arange(12.0).reshape(3, 4)
    assert at_scored(losses, None) is losses
    np.testing.assert_array_equal(at_scored(losses, (False, True, False, True)), losses[:, [1, 3]])


def facts_run(**optim):
    data = Data(corpus="facts:base=4,digits=1,answers=3,tokens=1000", context=8, eval_tokens=8)
    model = Model(vocab=7, context=8, depth=1, width=16, heads=1)
    return Run(
        model=model,
        data=data,
        optim=Optim(batch_tokens=64, **optim),
        steps=90,
        warmup_steps=5,
        decay_steps=20,
    )


def test_a_step_on_facts_is_blind_to_how_often_they_are_asked():
    """The loss is the mean over answers alone: a target that is a question moves neither it nor the gradient."""
    run = facts_run()
    program = program_of(run)
    rows = language(run.data.corpus).sample(0, 8, 8).astype(np.int32)
    last = rows.copy()
    last[:, -1] = (last[:, -1] + 1) % 4  # the last token is a question, and nothing comes after it
    assert not scored_of(run.data)[-1]
    found = [program.step(program.initial_state([run]), batch)[1] for batch in (rows, last)]
    assert float(found[0]["loss"]) == float(found[1]["loss"])
    assert float(found[0]["gradient_norm"]) == float(found[1]["gradient_norm"])


def test_excess_is_the_loss_above_the_entropy_and_is_learned_away():
    run = facts_run(lr=3e-2)
    program = program_of(run)
    known = language(run.data.corpus)
    rows = known.sample(1, 40, 8).astype(np.int32)
    truth = known.probabilities(rows).astype(np.float32)
    held = HeldOut(rows, np.arange(40), None, int(known.scored(8).sum()), known.entropy(8), truth)
    state = program.initial_state([run])
    before = measure(program, state.parameters, held)[0]
    for step in range(60):
        state, _ = program.step(state, known.sample(step, 8, 8).astype(np.int32))
    after = measure(program, state.parameters, held)[0]
    assert before["excess"] == pytest.approx(before["L"], abs=1e-6)  # an answer is certain: entropy 0
    assert after["excess"] == pytest.approx(after["L"], abs=1e-6)
    assert after["excess"] < 0.1 * before["excess"] and before["bpb"] is None


def test_excess_tells_markov_models_apart_that_the_text_blurs():
    run = Run(
        model=Model(vocab=16, context=16, depth=1, width=8, heads=1),
        data=Data(corpus="markov:vocab=16,tokens=10000", context=16, eval_tokens=16),
        optim=Optim(batch_tokens=256, lr=2e-2),
        steps=90,
        warmup_steps=5,
        decay_steps=20,
    )
    program = program_of(run)
    known = language(run.data.corpus)
    rows = known.sample(1, 400, 16).astype(np.int32)
    held = HeldOut(
        rows, np.arange(400), None, 16, known.entropy(16), known.probabilities(rows).astype(np.float32)
    )
    state = program.initial_state([run])
    for step in range(60):
        state, _ = program.step(state, known.sample(step + 2, 16, 16).astype(np.int32))
    found = measure(program, state.parameters, held)[0]
    noise = 4 * np.hypot(found["L_se"], found["excess_se"])
    assert found["L"] == pytest.approx(found["entropy"] + found["excess"], abs=noise)
    assert found["excess_se"] < found["L_se"]


SMALL = Model(vocab=61, context=12, depth=1, width=16, heads=2)
ROWS = jnp.asarray(np.random.default_rng(1).integers(0, 61, (4, 13)), jnp.int32)
SCORED = (False, True, True) * 4
BIG = Model(vocab=50304, context=1024, depth=1, width=256, heads=4)


@functools.cache
def parameters(model):
    return jax.jit(init_parameters, static_argnums=(0, 2))(build(model), jax.random.key(0), model.context)


@functools.cache
def loss_and_gradient(model, chunks, devices):
    summed = make_summed_loss(build(model), SCORED if model.causal else None, chunks, devices)
    return jax.jit(jax.value_and_grad(summed, has_aux=True))(parameters(model), ROWS, jax.random.key(2))


@pytest.mark.parametrize(
    "model",
    [SMALL, dataclasses.replace(SMALL, objective="masked", tied=True)],
    ids=["causal", "masked and tied"],
)
@pytest.mark.parametrize(("chunks", "devices"), [(3, 1), (5, 2), (100, 1)])
def test_the_loss_in_parts_is_the_loss(model, chunks, devices):
    """5 parts do not divide 12 positions, and 100 are more than there are."""
    whole, parts = loss_and_gradient(model, 1, 1), loss_and_gradient(model, chunks, devices)
    assert whole[0][1] == parts[0][1] == 4 * (sum(SCORED) if model.causal else model.predictions)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=2e-6)  # float32 sums in another order


def test_evaluation_in_parts_is_evaluation():
    weights, module = parameters(SMALL), build(SMALL)
    truth = jnp.asarray(RNG.dirichlet(np.ones(61), size=(4, 12)), jnp.float32)
    for make, more in ((make_evaluate, ()), (make_excess, (truth,))):
        whole, parts = (jax.jit(make(module, SCORED, n))(weights, ROWS, *more) for n in (1, 5))
        np.testing.assert_allclose(whole, parts, rtol=2e-6)  # float32 sums in another order


def temporary_memory(chunks):
    """MiB of the loss of 8192 tokens and its gradients with respect to head and features."""
    weights = jax.eval_shape(lambda: init_parameters(build(BIG), jax.random.key(0), BIG.context))

    def loss(head, rest, x, targets):
        def part(weights, x, targets):
            return cross_entropy(predict(build(BIG), weights, x), targets)

        return in_parts(part, rest | {"head": head}, (x, targets), BIG.vocab, chunks, 1).sum()

    x, targets = jax.ShapeDtypeStruct((8, 1024, 256), jnp.float32), jax.ShapeDtypeStruct((8, 1024), jnp.int32)
    program = jax.jit(jax.grad(loss, argnums=(0, 2))).lower(weights["head"], weights, x, targets)
    return program.compile().memory_analysis().temp_size_in_bytes / 2**20


def test_large_logits_are_never_in_memory_at_once():
    assert temporary_memory(chunks=1) > 3000
    assert temporary_memory(chunks=8) <= 500
    assert temporary_memory(chunks=0) <= 250


COLLECTIVES = """
import re, sys, jax, jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from scaling.models import build
from scaling.models.transformer import init_parameters
from scaling.spec import Model
from scaling.training.loss import make_summed_loss
model = Model(vocab=1024, context=64, depth=1, width=32, heads=2)
mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
whole, split = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("data",)))
weights = jax.eval_shape(lambda: init_parameters(build(model), jax.random.key(0), 64))
for chunks in (1, 8):
    loss = make_summed_loss(build(model), None, chunks, 4)
    step = jax.jit(lambda w, r: jax.grad(loss, has_aux=True)(w, r, jax.random.key(0)), in_shardings=(whole, split))
    program = step.lower(weights, jax.ShapeDtypeStruct((8, 65), jnp.int32)).compile().as_text()
    reduced = re.findall(r"= (.*) all-reduce\\(", program)
    print(sum(line.count("1024") for line in reduced), len(re.findall(r" (?:all-gather|all-to-all)\\(", program)))
"""


def test_devices_add_up_the_gradients_of_embedding_and_head_once_however_many_parts_there_are():
    flags = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    done = subprocess.run([sys.executable, "-c", COLLECTIVES], env=flags, capture_output=True, text=True)
    assert done.stdout.split() == ["2", "0", "2", "0"], done.stderr
