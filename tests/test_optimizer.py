"""Each optimiser is the published one, on every matrix by itself; rates and decay are arrays of the state."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax.contrib import MuonDimensionNumbers

from scaling.models import build
from scaling.models.transformer import init_parameters
from scaling.spec import Data, Model, Optim, Run, SpecError
from scaling.training.gradients import Gradients, make_gradients
from scaling.training.loss import make_summed_loss
from scaling.training.optimizer import direction
from scaling.training.schedule import branch_schedule
from scaling.training.state import State, settings_of
from scaling.training.step import make_step, make_update

TINY = Model(vocab=61, context=8, depth=2, width=16, heads=2, mlp="plain", mlp_width=32)
WIDE = dataclasses.replace(
    TINY, vocab=130, width=128, mlp_width=256
)  # enough that Adafactor factors its moments
NAMES = ("adamw", "sgd", "lion", "adafactor", "muon")
RATES = {"adamw": 1e-2, "sgd": 0.5, "lion": 1e-2, "adafactor": 1e-2, "muon": 3e-2}
STEPS = 4


def run_of(model=TINY, **fields):
    optim = Optim(batch_tokens=8 * model.context, **fields)
    data = Data(context=model.context)
    return Run(model=model, data=data, optim=optim, steps=100, warmup_steps=0, decay_steps=20)


@functools.cache
def shapes(model):
    return jax.eval_shape(lambda: init_parameters(build(model), jax.random.key(0), model.context))


def normal(model, size, seed):
    generator = np.random.default_rng(seed)
    return jax.tree.map(lambda x: (size * generator.normal(size=x.shape)).astype(np.float32), shapes(model))


def weights(model):
    return normal(model, 0.1, 0)


def random_gradient(model, step):
    """Of a norm below or above what is clipped."""
    return normal(model, (1e-4, 1.0)[step % 2], 100 + step)


def no_gradient(model, step):
    return normal(model, 0.0, 0)


def trained(runs, steps=STEPS, gradient_of=random_gradient):
    """Parameters [run, ...] after steps on given gradients, as a population of runs of one program; gradients are
    handed over as sums over two tokens."""
    model, optim = runs[0].model, runs[0].optim
    update = jax.jit(jax.vmap(make_update(build(model), optim), in_axes=(0, None)))
    states = [first_state(run, settings_of(run)) for run in runs]
    state = jax.tree.map(lambda *x: np.stack(x), *states)
    for step in range(steps):
        doubled = jax.tree.map(lambda g: 2 * g, gradient_of(model, step))
        state, _ = update(state, Gradients(doubled, np.float32(0), np.float32(2)))
    return [jax.tree.map(lambda x, i=i: np.asarray(x[i]), state.parameters) for i in range(len(runs))]


def first_state(run, settings):
    moments = jax.jit(direction(run.optim).init)(weights(run.model))
    return State(np.int32(0), settings, weights(run.model), moments)


def matrices(tree):
    """A Transformer's parameters as separate matrices and vectors, each layer's query, key and value apart."""
    found = {"embedding": tree["embedding"], "head": tree["head"], "final_norm": tree["final_norm"]["scale"]}
    blocks = tree["blocks"]
    depth, width = blocks["mlp_norm"]["scale"].shape
    for layer in range(depth):
        attention, mlp = blocks["attention"], blocks["mlp"]
        for i, name in enumerate("qkv"):
            found[f"{layer} {name}"] = attention["qkv"][layer, :, i].reshape(width, width)
        found[f"{layer} out"] = attention["out"][layer].reshape(width, width)
        found |= {f"{layer} {name}": mlp[name][layer] for name in mlp}
        found |= {f"{layer} {name}": blocks[name]["scale"][layer] for name in ("attention_norm", "mlp_norm")}
    return found


def is_decayed(tree):
    return {name: "norm" not in name and name != "embedding" for name in tree}


def muon_axes(tree):
    hidden = {name: name[0].isdigit() and "norm" not in name for name in tree}
    return {name: MuonDimensionNumbers() if of_muon else None for name, of_muon in hidden.items()}


PLAIN = {
    "adamw": lambda o: optax.adamw(o.lr, o.beta1, o.beta2, o.eps, weight_decay=0.1, mask=is_decayed),
    "sgd": lambda o: optax.sgd(o.lr, momentum=o.beta1),
    "lion": lambda o: optax.lion(o.lr, o.beta1, o.beta2, weight_decay=0.1, mask=is_decayed),
    "adafactor": lambda o: optax.adafactor(o.lr, multiply_by_parameter_scale=False),
    "muon": lambda o: optax.contrib.muon(
        o.lr,
        beta=o.beta1,
        eps=o.eps,
        adam_b1=o.beta1,
        adam_b2=o.beta2,
        muon_weight_dimension_numbers=muon_axes,
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_an_optimiser_on_a_population_of_stacks_is_optax_on_each_matrix_at_each_rate(name):
    model = WIDE if name == "adafactor" else TINY
    decay = 0.1 if name in ("adamw", "lion") else 0.0
    runs = [run_of(model, name=name, lr=rate, weight_decay=decay) for rate in (RATES[name], RATES[name] / 3)]
    for run, parameters in zip(runs, trained(runs), strict=True):
        plain = optax.chain(optax.clip_by_global_norm(1.0), PLAIN[name](run.optim))
        expected = matrices(weights(model))
        moments = plain.init(expected)
        update = jax.jit(plain.update)
        for step in range(STEPS):
            updates, moments = update(matrices(random_gradient(model, step)), moments, expected)
            expected = {part: value + np.asarray(updates[part]) for part, value in expected.items()}
        got = matrices(parameters)
        for part, value in expected.items():
            # float32 in another order; Muon's five products of matrices carry it on
            atol = 1e-4 if name == "muon" else 1e-6
            np.testing.assert_allclose(got[part], value, rtol=1e-4, atol=atol, err_msg=part)


def numpy_adamw(p, g, state, o):
    m, v, t = state or (0, 0, 0)
    m, v, t = o.beta1 * m + (1 - o.beta1) * g, o.beta2 * v + (1 - o.beta2) * g**2, t + 1
    step = (m / (1 - o.beta1**t)) / (np.sqrt(v / (1 - o.beta2**t)) + o.eps)
    return p - o.lr * (step + o.weight_decay * p), (m, v, t)


def numpy_sgd(p, g, state, o):
    m = o.beta1 * (state or (0,))[0] + g
    return p - o.lr * (m + o.weight_decay * p), (m,)


def numpy_lion(p, g, state, o):
    m = (state or (0,))[0]
    step = np.sign(o.beta1 * m + (1 - o.beta1) * g)
    return p - o.lr * (step + o.weight_decay * p), (o.beta2 * m + (1 - o.beta2) * g,)


@pytest.mark.parametrize("by_hand", [numpy_adamw, numpy_sgd, numpy_lion])
def test_an_optimiser_is_the_one_written_out_in_float64(by_hand):
    run = run_of(name=by_hand.__name__.removeprefix("numpy_"), lr=0.05, weight_decay=0.2, clip=1e9)
    p, state = weights(TINY)["head"].astype(np.float64), None
    for step in range(STEPS):
        gradient = random_gradient(TINY, step)["head"].astype(np.float64)
        p, state = by_hand(p, gradient, state, run.optim)
    (parameters,) = trained([run])
    np.testing.assert_allclose(parameters["head"], p, rtol=1e-4, atol=1e-6)  # float32


@pytest.mark.parametrize(
    ("kind", "left"), [("decoupled", (1 - 0.5 * 0.2) ** 3), ("independent", (1 - 0.2) ** 3)]
)
@pytest.mark.parametrize("name", ["sgd", "lion"])
def test_without_a_gradient_decay_alone_shrinks_matrices_and_spares_norms_and_the_embedding(name, kind, left):
    run = run_of(name=name, lr=0.5, weight_decay=0.2, weight_decay_kind=kind)
    before, (after,) = matrices(weights(TINY)), trained([run], 3, no_gradient)
    after = matrices(after)
    for part, is_matrix in is_decayed(before).items():
        np.testing.assert_allclose(
            after[part], before[part] * (left if is_matrix else 1), rtol=1e-5
        )  # float32


def test_independent_decay_follows_the_schedule_and_not_the_peak():
    optim = {"name": "sgd", "weight_decay": 0.2, "weight_decay_kind": "independent"}
    runs = [dataclasses.replace(run_of(lr=lr, **optim), warmup_steps=4) for lr in (1e-3, 0.5)]
    left = (1 - 0.2 / 4) * (1 - 0.2 * 2 / 4)  # two steps of a warm-up over four
    for parameters in trained(runs, 2, no_gradient):
        np.testing.assert_allclose(parameters["head"], left * weights(TINY)["head"], rtol=1e-5)  # float32


def test_l2_is_the_gradient_of_half_the_squared_weights():
    run = run_of(name="sgd", lr=0.5, weight_decay=0.2, weight_decay_kind="l2", beta1=0.0)
    (parameters,) = trained([run], 3, no_gradient)
    np.testing.assert_allclose(
        parameters["head"], (1 - 0.1) ** 3 * weights(TINY)["head"], rtol=1e-5
    )  # float32
    assert np.array_equal(parameters["embedding"], weights(TINY)["embedding"])


def test_l2_goes_through_adam_and_so_moves_every_weight_alike():
    run = run_of(name="adamw", lr=1e-3, weight_decay=0.2, weight_decay_kind="l2")
    before, (after,) = weights(TINY)["head"], trained([run], 1, no_gradient)
    large = np.abs(before) > 1e-3  # of smaller ones epsilon is a part
    np.testing.assert_allclose((before - after["head"])[large], 1e-3 * np.sign(before)[large], rtol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_every_optimiser_lowers_the_loss_and_keeps_float32_moments(name):
    run = run_of(name=name, lr=RATES[name])
    module = build(TINY)
    step = jax.jit(make_step(make_gradients(make_summed_loss(module)), make_update(module, run.optim)))
    rows = np.random.default_rng(3).integers(0, TINY.vocab, (8, TINY.context + 1)).astype(np.int32)
    state, losses = first_state(run, settings_of(run)), []
    for _ in range(25):
        state, metrics = step(state, rows)
        losses.append(float(metrics["loss"]))
    assert losses[-1] < 0.75 * losses[0]
    moments = [leaf for leaf in jax.tree.leaves(state.moments) if leaf.ndim > 1]
    assert moments
    assert {leaf.dtype for leaf in moments} == {jnp.dtype("float32")}


def test_a_decay_branch_lowers_the_rate_to_zero():
    run = dataclasses.replace(
        run_of(name="lion", lr=0.01, weight_decay=0.0), steps=4, decay_steps=4, decay_shape="linear"
    )
    update = jax.jit(make_update(build(TINY), run.optim))
    state = first_state(run, dataclasses.replace(settings_of(run), schedule=branch_schedule(run)))
    gradient = normal(TINY, 1.0, 0)
    for share in (1, 0.75, 0.5, 0.25, 0):
        before = state.parameters["head"]
        state, _ = update(state, Gradients(gradient, np.float32(0), np.float32(1)))
        moved = np.abs(before - state.parameters["head"])
        np.testing.assert_allclose(moved, share * 0.01, atol=1e-7)  # float32


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "sgd", "beta2": 0.99}, r"Optim\.beta2 = 0\.99 .*sgd has no use for it: leave it at 0\.95"),
        ({"name": "lion", "eps": 1e-6}, r"Optim\.eps = 1e-06 .*lion has no use"),
        ({"name": "adafactor", "beta1": 0.5}, r"Optim\.beta1 = 0\.5 .*adafactor"),
        ({"name": "muon", "weight_decay_kind": "l2"}, r"Optim\.weight_decay_kind = 'l2' .*'decoupled'"),
        ({"name": "adam"}, r"Optim\.name = 'adam' .*'adamw'"),
    ],
)
def test_a_setting_without_meaning_is_refused(fields, said):
    with pytest.raises(SpecError, match=said):
        Optim(**fields)


def test_a_parameter_whose_matrices_are_not_known_is_refused_by_name():
    with pytest.raises(SpecError, match="parameter 'convolution' has no fan-in"):
        direction(Optim(name="adafactor")).init({"convolution": jnp.ones((3, 3))})
