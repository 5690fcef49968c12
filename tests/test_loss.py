"""Losses and divergences against NumPy in float64, and that unscored tokens are no part of them."""

import jax.numpy as jnp
import numpy as np
import pytest

from scaling.data.languages import language, scored_of
from scaling.spec import Data, Model, Optim, Run
from scaling.training.evaluation import HeldOut, measure
from scaling.training.loss import at_scored, cross_entropy, divergence
from scaling.training.program import program_of

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
    (before,) = measure(program, state.parameters, held)
    for step in range(60):
        state, _ = program.step(state, known.sample(step, 8, 8).astype(np.int32))
    (after,) = measure(program, state.parameters, held)
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
    (found,) = measure(program, state.parameters, held)
    noise = 4 * np.hypot(found["L_se"], found["excess_se"])
    assert found["L"] == pytest.approx(found["entropy"] + found["excess"], abs=noise)
    assert found["excess_se"] < found["L_se"]
