"""The masked objective hides what it says it hides, shows both sides, and is measured by a fixed examination."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling.data.identity import resolve
from scaling.data.languages import language
from scaling.execution import Execution
from scaling.models import build
from scaling.models.transformer import init_parameters
from scaling.spec import Data, Model, Optim, Run, SpecError, Study
from scaling.training.evaluation import HeldOut, measure
from scaling.training.objective import hidden_tokens
from scaling.training.program import program_of
from scaling.training.step import make_evaluate

MODEL = Model(vocab=50, context=64, depth=2, width=32, heads=2, objective="masked")
ROWS = jax.random.randint(jax.random.key(7), (2000, 65), 0, MODEL.vocab)
TASK = hidden_tokens(ROWS, jax.random.key(0), MODEL)


def parameters(model):
    return jax.jit(init_parameters, static_argnums=(0, 2))(build(model), jax.random.key(0), model.context)


def at(tokens):
    return np.take_along_axis(np.asarray(tokens), np.asarray(TASK.positions), axis=1)


def test_every_row_hides_fifteen_per_cent_of_its_places_each_once():
    assert MODEL.predictions == TASK.positions.shape[1] == round(0.15 * 64)
    assert all(len(set(row)) == MODEL.predictions for row in np.asarray(TASK.positions).tolist())
    assert Model(context=2, objective="masked").predictions == 1
    # each place is as likely as any other: 2000 rows, 5 standard deviations
    share = MODEL.predictions / 64
    counts = np.bincount(np.asarray(TASK.positions).ravel(), minlength=64)
    assert np.abs(counts / 2000 - share).max() < 5 * np.sqrt(share * (1 - share) / 2000)


def test_targets_are_the_tokens_that_were_there_and_the_rest_is_untouched():
    original = np.asarray(ROWS[:, :-1])
    assert np.array_equal(at(original), TASK.targets)
    hidden = np.zeros(original.shape, bool)
    np.put_along_axis(hidden, np.asarray(TASK.positions), True, axis=1)
    assert np.array_equal(np.asarray(TASK.inputs)[~hidden], original[~hidden])


def test_of_what_is_hidden_the_mask_stands_for_80_per_cent_and_a_random_token_for_10():
    shown, targets = at(TASK.inputs), np.asarray(TASK.targets)
    noise = 5 * np.sqrt(0.25 / targets.size)
    assert (shown == MODEL.vocab).mean() == pytest.approx(0.8, abs=noise)
    # a random token is the right one once in vocab
    assert (shown == targets).mean() == pytest.approx(0.1 + 0.1 / MODEL.vocab, abs=noise)
    drawn = shown[(shown != targets) & (shown != MODEL.vocab)]
    assert drawn.min() == 0 and drawn.max() == MODEL.vocab - 1


def test_what_is_hidden_of_a_row_is_the_same_wherever_it_lies_and_another_with_another_key():
    alone = hidden_tokens(ROWS[5:6], jax.random.key(0), MODEL)
    assert all(np.array_equal(a[0], b[5]) for a, b in zip(alone, TASK, strict=True))
    other = hidden_tokens(ROWS[5:6], jax.random.key(1), MODEL)
    assert not np.array_equal(other.positions, alone.positions)
    assert len({tuple(row) for row in np.asarray(TASK.positions[:100]).tolist()}) == 100


def test_a_position_sees_both_sides():
    module = build(MODEL)
    weights = parameters(MODEL)

    def logit(table, place):
        logits = module.apply({"params": weights | {"embedding": table}}, jnp.arange(8)[None])
        return logits[0, place, 40]

    gradient = jax.jit(jax.grad(logit))
    for place in (0, 7):
        by_position = np.abs(gradient(weights["embedding"], place)[:8]).max(axis=-1)
        assert by_position.min() > 0.0


def test_the_mask_has_a_row_of_its_own_that_a_tied_head_does_not_predict():
    model = dataclasses.replace(MODEL, tied=True)
    weights = jax.eval_shape(lambda: parameters(model))
    assert weights["embedding"].shape == (51, 32)
    logits = jax.eval_shape(build(model).apply, {"params": weights}, ROWS[:1, :-1])
    assert logits.shape == (1, 64, 50)


def test_the_examination_of_held_out_rows_is_always_the_same():
    module = build(MODEL)
    weights = parameters(MODEL)
    evaluate = jax.jit(make_evaluate(module))
    losses = evaluate(weights, ROWS[:8])
    np.testing.assert_array_equal(losses, evaluate(weights, ROWS[:8]))
    # in float32 a row's loss may end in another digit elsewhere in a batch
    np.testing.assert_allclose(losses, evaluate(weights, ROWS[:8][::-1])[::-1], rtol=1e-5)
    assert float(losses.mean()) / MODEL.predictions == pytest.approx(np.log(50), rel=0.05)


def masked_run(corpus="markov:vocab=16,tokens=10000"):
    return Run(
        model=Model(vocab=16, context=32, depth=1, width=32, heads=2, objective="masked"),
        data=Data(corpus=corpus, context=32, eval_tokens=32),
        optim=Optim(batch_tokens=512, lr=1e-2),
        steps=400,
        warmup_steps=10,
        decay_steps=100,
    )


def test_a_masked_model_is_measured_in_nats_per_hidden_token_and_learns():
    run = masked_run()
    program, known = program_of(run, Execution(data_devices=1)), language(run.data.corpus)
    rows = known.sample(1, 200, 32).astype(np.int32)
    held = HeldOut(rows, np.arange(200), 1.0, 32, 1.0, known.probabilities(rows).astype(np.float32))
    asked = held.as_asked(run.model)
    assert asked.scored == 5 and held.as_asked(dataclasses.replace(run.model, objective="causal")) is held
    state = program.initial_state([run])
    before = measure(program, state.parameters, asked)[0]
    for step in range(150):
        state, metrics = program.step(state, known.sample(step + 2, 16, 32).astype(np.int32))
    after = measure(program, state.parameters, asked)[0]
    assert before["L"] == pytest.approx(np.log(16), rel=0.05)
    assert after["L"] < 0.95 * before["L"]
    assert float(metrics["loss"]) == pytest.approx(after["L"], rel=0.2)
    # next-token probabilities are no measure of a model that is told both sides
    assert after["bpb"] is None and "excess" not in after and "entropy" not in after


def test_masks_of_a_language_with_unscored_tokens_are_refused(tmp_path):
    run = masked_run("facts:base=4,digits=1,answers=3,tokens=1000")
    run = dataclasses.replace(run, model=dataclasses.replace(run.model, vocab=7))
    with pytest.raises(SpecError, match=r"Model\.objective = 'masked' cannot be: of 'facts.*use causal"):
        resolve(Study(name="s", runs=(run,)), tmp_path)
