"""The model does what a decoder does: sees no future, begins at ln(vocab), and can learn a batch by heart."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling.execution import Execution
from scaling.models import build
from scaling.models.transformer import Transformer, init_parameters, rotary
from scaling.spec import Data, Model, Optim, Run, SpecError
from scaling.training.loss import cross_entropy, make_summed_loss
from scaling.training.program import program_of
from scaling.training.state import settings_of

ONE = Execution(data_devices=1)

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
    first, again, second = (
        apply(module, weights, x, train=True, rngs={"dropout": jax.random.key(i)}) for i in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, second) and not np.array_equal(first, evaluated)


def test_dropout_is_a_function_of_seed_and_step():
    run = dataclasses.replace(small_run(), model=dataclasses.replace(SMALL, dropout=0.5))
    program = program_of(run, ONE)
    rows = np.arange(8 * 9, dtype=np.int32).reshape(8, 9) % 61

    def loss(seed, step):
        state = program.initial_state([run])
        settings = dataclasses.replace(state.settings, seed=jnp.int32(seed))
        return float(
            program.step(dataclasses.replace(state, step=jnp.int32(step), settings=settings), rows)[1]["loss"]
        )

    found = [loss(0, 0), loss(0, 0), loss(0, 1), loss(1, 0)]
    assert found[0] == found[1] and len(set(found)) == 3


DEEP = Model(vocab=61, context=64, depth=8, width=64, heads=2)


def gradient_of(module):
    """The jitted loss and gradient of the deep model in training."""
    return jax.jit(jax.value_and_grad(make_summed_loss(module), has_aux=True))


@functools.cache
def remembered(remat):
    """Loss and gradient of the deep model, and the temporary bytes of computing them."""
    rows = jax.random.randint(jax.random.key(1), (16, 65), 0, 61)
    arguments = (parameters(DEEP), rows, jax.random.key(0))
    program = gradient_of(build(DEEP, remat=remat)).lower(*arguments).compile()
    return program(*arguments), program.memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize("remat", ["dots", "full"])
def test_what_is_computed_again_is_the_same(remat):
    for a, b in zip(*(jax.tree.leaves(remembered(policy)[0]) for policy in ("none", remat)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max())  # float32 in another order


def test_what_is_computed_again_need_not_be_kept():
    none, dots, full = (remembered(remat)[1] for remat in ("none", "dots", "full"))
    assert full < 0.75 * dots and dots < 0.75 * none


@pytest.mark.parametrize("tied", [False, True])
def test_in_bfloat16_the_loss_and_its_gradient_are_near_those_in_float32(tied):
    model = dataclasses.replace(DEEP, depth=2, tied=tied)
    weights = dict(parameters(model))
    head = "embedding" if tied else "head"
    weights[head] = weights[head] * 8  # logits of unit variance, and their losses with them
    rows = jax.random.randint(jax.random.key(1), (16, 65), 0, 61)
    ((loss, count), gradient), ((near, _), other) = (
        gradient_of(build(model, dtype=dtype))(weights, rows, jax.random.key(0))
        for dtype in (jnp.float32, jnp.bfloat16)
    )
    assert loss / count > np.log(61) + 0.1
    # bfloat16 has 8 bits: an error of up to 2^-9 a rounding, most of which cancel
    assert abs(near - loss) / count < 0.002
    for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(other), strict=True):
        assert b.dtype == jnp.float32
        assert np.linalg.norm(a - b) < 0.03 * np.linalg.norm(a)


def primitives(jaxpr):
    """Every equation of a program, those of its inner programs included."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns") or hasattr(x, "jaxpr")
        ):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from primitives(inner)


def test_in_bfloat16_products_are_bfloat16_and_norms_softmax_and_logits_float32():
    module = build(DEEP, dtype=jnp.bfloat16)
    weights = parameters(DEEP)
    assert {leaf.dtype for leaf in jax.tree.leaves(weights)} == {jnp.dtype(jnp.float32)}
    loss = jax.value_and_grad(make_summed_loss(module), has_aux=True)
    found = list(
        primitives(jax.make_jaxpr(loss)(weights, jnp.zeros((2, 65), jnp.int32), jax.random.key(0)).jaxpr)
    )

    def types(name):
        return {str(v.aval.dtype) for e in found if e.primitive.name == name for v in e.invars}

    assert types("dot_general") == {"bfloat16"}
    assert types("exp") == types("rsqrt") == types("log") == {"float32"}
    logits = jax.eval_shape(module.apply, {"params": weights}, tokens(DEEP))
    assert logits.dtype == jnp.float32
    features = jax.eval_shape(lambda x: module.apply({"params": weights}, x, method="features"), tokens(DEEP))
    assert features.dtype == jnp.bfloat16


def test_in_bfloat16_the_state_of_training_is_float32():
    run = small_run()
    program = program_of(run, dataclasses.replace(ONE, precision="bfloat16"))
    state = jax.eval_shape(program.init, settings_of(run))
    for _ in range(2):
        assert {x.dtype for x in jax.tree.leaves((state.parameters, state.moments)) if x.ndim} == {
            jnp.dtype("float32")
        }
        state, _ = jax.eval_shape(program.step, state, jax.ShapeDtypeStruct((8, 9), jnp.int32))


def test_branches_are_scaled_down_with_depth_under_completep_alone():
    model = dataclasses.replace(SMALL, depth=4, base_depth=1, parametrization="completep")
    assert model.residual_scale == 0.25
    assert dataclasses.replace(model, parametrization="mup").residual_scale == 1.0
    assert dataclasses.replace(model, depth=1).residual_scale == 1.0
    # a branch is linear in its last matrix: scaling the branch is scaling that
    weights = parameters(dataclasses.replace(model, parametrization="standard"))
    scaled = jax.tree.map_with_path(
        lambda path, w: 0.25 * w if jax.tree_util.keystr(path[-1:], simple=True) in ("out", "down") else w,
        weights,
    )
    expected = apply(build(dataclasses.replace(model, parametrization="standard")), scaled, tokens(model))
    np.testing.assert_allclose(apply(build(model), weights, tokens(model)), expected, atol=1e-6)  # float32


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
