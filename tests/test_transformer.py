"""The model does what a decoder does: sees no future, begins at ln(vocab), and can learn a batch by heart."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling.models import build
from scaling.models.attention import attend
from scaling.models.transformer import Transformer, init_parameters, rotary
from scaling.spec import Data, Model, Optim, Run, SpecError
from scaling.training.loss import cross_entropy
from scaling.training.program import program_of

SMALL = Model(vocab=61, context=8, depth=2, width=32, heads=2)
VARIANTS = {
    "gated": SMALL,
    "plain": Model(vocab=61, context=8, depth=2, width=32, heads=2, mlp="plain"),
    "tied": Model(vocab=61, context=8, depth=2, width=32, heads=4, tied=True),
}


@functools.cache
def parameters(model):
    return jax.jit(init_parameters, static_argnums=(0, 2))(build(model), jax.random.key(0), model.context)


@functools.partial(jax.jit, static_argnums=(0,), static_argnames=("train",))
def apply(module, weights, x, **options):
    return module.apply({"params": weights}, x, **options)


def tokens(model, rows=4, seed=1):
    return jax.random.randint(jax.random.key(seed), (rows, model.context), 0, model.vocab)


@pytest.mark.parametrize("model", VARIANTS.values(), ids=VARIANTS.keys())
def test_no_position_sees_a_later_one(model):
    """Every position holds a token of its own, so a row of the table is one position, with its own gradient."""
    weights = parameters(model)
    row = jnp.arange(model.context)[None]

    def loss_at(table, t):
        logits = build(model).apply({"params": weights | {"embedding": table}}, row)
        return logits[
            0, t, 40:
        ].sum()  # tokens 40 and above are in no position, so a tied head adds nothing below

    gradients = jax.jit(jax.vmap(jax.grad(loss_at), in_axes=(None, 0)))(
        weights["embedding"], jnp.arange(model.context)
    )
    by_position = np.abs(gradients[:, : model.context]).max(axis=-1)  # [t, position]
    assert by_position[np.triu_indices(model.context, k=1)].max() == 0.0
    assert by_position[np.tril_indices(model.context)].min() > 0.0


@pytest.mark.parametrize("model", VARIANTS.values(), ids=VARIANTS.keys())
def test_the_first_loss_is_the_logarithm_of_the_vocabulary(model):
    logits = apply(build(model), parameters(model), tokens(model, rows=64))
    losses = cross_entropy(logits, tokens(model, rows=64, seed=2))
    # the logits have variance 1/width: it adds half of that in the mean, and the rest is noise of 1024 tokens
    noise = 4 * float(losses.std()) / losses.size**0.5
    assert abs(float(losses.mean()) - np.log(model.vocab)) < 1 / (2 * model.width) + noise


@pytest.mark.parametrize("model", VARIANTS.values(), ids=VARIANTS.keys())
def test_scanned_and_unrolled_blocks_are_the_same_function(model):
    weights, x = parameters(model), tokens(model)
    scanned = apply(Transformer(model), weights, x)
    unrolled = apply(Transformer(model, unroll=True), weights, x)
    np.testing.assert_allclose(scanned, unrolled, rtol=0, atol=1e-5)  # float32 in another order


def test_attention_is_softmax_over_the_past_written_out_in_float64():
    q, k, v = np.random.default_rng(0).normal(size=(3, 2, 5, 2, 4))
    scores = np.einsum("bthk,bshk->bhts", q, k) / 2.0
    scores[..., np.triu(np.ones((5, 5), bool), k=1)] = -np.inf
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    expected = np.einsum("bhts,bshk->bthk", weights / weights.sum(-1, keepdims=True), v)
    q, k, v = (jnp.asarray(a, jnp.float32) for a in (q, k, v))
    got = attend(q, k, v, causal=True, scale=0.5, kind="plain")
    np.testing.assert_allclose(got, expected, atol=1e-5)  # float32


def test_rotary_scores_depend_on_the_distance_alone():
    q, k = (jnp.tile(jax.random.normal(jax.random.key(i), (1, 1, 1, 8)), (1, 12, 1, 1)) for i in (0, 1))
    scores = jnp.einsum("bthk,bshk->ts", rotary(q), rotary(k))
    for distance in range(-3, 4):
        diagonal = np.diagonal(scores, distance)
        np.testing.assert_allclose(diagonal, diagonal[0], rtol=1e-4, atol=1e-5)  # float32 sines and cosines


def test_rotary_keeps_lengths():
    x = jax.random.normal(jax.random.key(0), (2, 12, 3, 8))
    np.testing.assert_allclose(jnp.linalg.norm(rotary(x), axis=-1), jnp.linalg.norm(x, axis=-1), rtol=1e-5)


def test_dropout_changes_training_and_not_evaluation():
    model = Model(vocab=61, context=8, depth=2, width=32, heads=2, dropout=0.5)
    module, weights, x = build(model), parameters(model), tokens(model)
    evaluated = apply(module, weights, x)
    assert np.array_equal(evaluated, apply(module, weights, x))
    first, second = (
        apply(module, weights, x, train=True, rngs={"dropout": jax.random.key(i)}) for i in (0, 1)
    )
    assert not np.array_equal(first, second)


def small_run(**optim) -> Run:
    return Run(
        model=SMALL,
        data=Data(context=SMALL.context),
        optim=Optim(lr=1e-2, batch_tokens=8 * SMALL.context, weight_decay=0.0, **optim),
        steps=200,
        warmup_steps=10,
        decay_steps=20,
    )


def test_it_learns_one_batch_by_heart():
    run = small_run()
    program = program_of(run)
    state, rows = (
        program.initial_state([run]),
        np.asarray(jax.random.randint(jax.random.key(3), (8, 9), 0, 61), np.int32),
    )
    for _ in range(120):
        state, metrics = program.step(state, rows)
    assert float(metrics["loss"]) < 0.05  # from ln 61 = 4.1


def test_the_first_step_is_the_golden_one():
    run = small_run()
    program = program_of(run)
    rows = np.arange(8 * 9, dtype=np.int32).reshape(8, 9) * 7 % 61
    state, first = program.step(program.initial_state([run]), rows)
    _, second = program.step(state, rows)
    # measured once on a CPU; 1e-4 allows for another order of float32 sums on other machines
    np.testing.assert_allclose(
        [first["loss"], first["gradient_norm"], second["loss"]], [4.080014, 0.806357, 4.029028], rtol=1e-4
    )


def test_an_unknown_kind_is_refused_by_name():
    with pytest.raises(SpecError, match=r"Model\.kind = 'mamba' is not known; use one of transformer"):
        build(Model(kind="mamba"))
