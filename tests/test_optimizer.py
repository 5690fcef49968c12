"""Each optimiser is the published one, on every matrix by itself; rates and decay are arrays of the state."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax.contrib import MuonDimensionNumbers

from scaling.models import build
from scaling.models.transformer import init_parameters
from scaling.spec import Data, Model, Optim, Run, SpecError
from scaling.training.gradients import Gradients
from scaling.training.optimizer import direction
from scaling.training.schedule import branch_schedule
from scaling.training.state import State, settings_of
from scaling.training.step import make_init, make_step, make_update

MODEL = Model(vocab=130, context=8, depth=2, width=128, heads=4, mlp="plain", mlp_width=256)
TINY = Model(vocab=61, context=8, depth=2, width=16, heads=2)
NAMES = ("adamw", "sgd", "lion", "adafactor", "muon")
RATES = {"adamw": 1e-2, "sgd": 0.5, "lion": 3e-3, "adafactor": 1e-2, "muon": 3e-2}
STEPS = 4


def run_of(model=TINY, **fields):
    optim = Optim(batch_tokens=8 * model.context, **fields)
    data = Data(context=model.context)
    return Run(model=model, data=data, optim=optim, steps=100, warmup_steps=0, decay_steps=20)


def weights(model, seed=0):
    return init_parameters(build(model), jax.random.key(seed), model.context)


def random_gradients(parameters, step):
    """Of norms below and above what is clipped."""
    leaves, structure = jax.tree.flatten(parameters)
    keys = jax.random.split(jax.random.key(100 + step), len(leaves))
    size = (1e-4, 1.0)[step % 2]
    drawn = [size * jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)]
    return structure.unflatten(drawn)


def trained(run, steps=STEPS, gradients=random_gradients):
    """Parameters after some steps on given gradients, which are handed over as sums over two tokens."""
    update = jax.jit(make_update(build(run.model), run.optim))
    parameters = weights(run.model)
    moments = direction(run.optim).init(parameters)
    state = State(jnp.int32(0), settings_of(run), parameters, moments)
    for step in range(steps):
        doubled = jax.tree.map(lambda g: 2 * g, gradients(parameters, step))
        state, _ = update(state, Gradients(doubled, jnp.float32(0), jnp.float32(2)))
    return state


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
    return {
        name: MuonDimensionNumbers() if name[0].isdigit() and x.ndim == 2 else None
        for name, x in tree.items()
    }


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
def test_an_optimiser_on_stacked_parameters_is_optax_on_each_matrix(name):
    decay = 0.1 if name in ("adamw", "lion") else 0.0
    run = run_of(MODEL, name=name, lr=RATES[name], weight_decay=decay)
    plain = optax.chain(optax.clip_by_global_norm(1.0), PLAIN[name](run.optim))
    whole = weights(MODEL)
    expected = matrices(whole)
    moments = plain.init(expected)
    update = jax.jit(plain.update)
    for step in range(STEPS):
        updates, moments = update(matrices(random_gradients(whole, step)), moments, expected)
        expected = optax.apply_updates(expected, updates)
    got = matrices(trained(run).parameters)
    for part, value in expected.items():
        # float32 in another order; Muon's five products of matrices carry it on
        np.testing.assert_allclose(
            got[part], value, rtol=1e-4, atol=1e-4 if name == "muon" else 1e-6, err_msg=part
        )


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
    p, state = np.asarray(weights(TINY)["head"], np.float64), None
    for step in range(STEPS):
        gradient = np.asarray(random_gradients(weights(TINY), step)["head"], np.float64)
        p, state = by_hand(p, gradient, state, run.optim)
    np.testing.assert_allclose(trained(run).parameters["head"], p, rtol=1e-4, atol=1e-6)  # float32


def no_gradient(parameters, step):
    return jax.tree.map(jnp.zeros_like, parameters)


@pytest.mark.parametrize(
    ("kind", "left"), [("decoupled", (1 - 0.5 * 0.2) ** 3), ("independent", (1 - 0.2) ** 3)]
)
@pytest.mark.parametrize("name", NAMES)
def test_without_a_gradient_decay_alone_shrinks_matrices_and_spares_norms_and_the_embedding(name, kind, left):
    run = run_of(name=name, lr=0.5, weight_decay=0.2, weight_decay_kind=kind)
    before, after = weights(TINY), trained(run, 3, no_gradient).parameters
    for path in (("head",), ("blocks", "attention", "qkv"), ("blocks", "mlp", "down")):
        old, new = before, after
        for key in path:
            old, new = old[key], new[key]
        np.testing.assert_allclose(new, left * old, rtol=1e-5)  # float32
    assert np.array_equal(before["embedding"], after["embedding"])
    assert np.array_equal(before["final_norm"]["scale"], after["final_norm"]["scale"])


def test_independent_decay_follows_the_schedule_and_not_the_peak():
    runs = [
        dataclasses.replace(
            run_of(name="sgd", lr=lr, weight_decay=0.2, weight_decay_kind="independent"), warmup_steps=4
        )
        for lr in (1e-3, 0.5)
    ]
    left = (1 - 0.2 / 4) * (1 - 0.2 * 2 / 4)  # two steps of a warm-up over four
    for run in runs:
        head = trained(run, 2, no_gradient).parameters["head"]
        np.testing.assert_allclose(head, left * weights(TINY)["head"], rtol=1e-5)  # float32


def test_l2_is_the_gradient_of_half_the_squared_weights():
    run = run_of(name="sgd", lr=0.5, weight_decay=0.2, weight_decay_kind="l2", beta1=0.0)
    head = trained(run, 3, no_gradient).parameters["head"]
    np.testing.assert_allclose(head, (1 - 0.1) ** 3 * weights(TINY)["head"], rtol=1e-5)  # float32


def test_l2_goes_through_adam_and_so_has_its_step_whatever_its_size():
    run = run_of(name="adamw", lr=1e-3, weight_decay=0.2, weight_decay_kind="l2")
    before, after = weights(TINY)["head"], trained(run, 1, no_gradient).parameters["head"]
    large = np.abs(before) > 1e-3  # of them epsilon is no part
    np.testing.assert_allclose(
        np.asarray(after)[large], (before - 1e-3 * np.sign(before))[large], rtol=1e-3, atol=1e-7
    )


def memorise(run, steps=25):
    """Losses of steps on one batch: of the run alone, and within a population whose other member has another rate."""
    module = build(run.model)
    init, step = make_init(module, run.optim, run.model.context), make_step(module, run.optim)
    rows = jax.random.randint(jax.random.key(3), (8, run.model.context + 1), 0, run.model.vocab)
    other = dataclasses.replace(
        run, seed=1, optim=dataclasses.replace(run.optim, lr=run.optim.lr / 3, weight_decay=0.0)
    )
    pair = jax.tree.map(lambda *x: jnp.stack(x), settings_of(run), settings_of(other))
    alone, together = jax.jit(init)(settings_of(run)), jax.jit(jax.vmap(init))(pair)
    steps_alone, steps_together = jax.jit(step), jax.jit(jax.vmap(step, in_axes=(0, None)))
    losses = []
    for _ in range(steps):
        alone, one = steps_alone(alone, rows)
        together, two = steps_together(together, rows)
        losses.append((one["loss"], two["loss"][0]))
    return np.array(losses), alone


@pytest.mark.parametrize("name", NAMES)
def test_every_optimiser_lowers_the_loss_alone_and_the_same_in_a_population(name):
    losses, state = memorise(run_of(name=name, lr=RATES[name]))
    assert losses[-1, 0] < 0.75 * losses[0, 0]
    np.testing.assert_allclose(
        losses[:, 0], losses[:, 1], rtol=2e-4
    )  # float32 in another order, over the steps
    moments = [leaf for leaf in jax.tree.leaves(state.moments) if leaf.ndim > 1]
    assert moments and {leaf.dtype for leaf in moments} == {jnp.dtype("float32")}


def test_a_decay_branch_lowers_the_rate_of_every_optimiser_alike():
    run = dataclasses.replace(
        run_of(name="lion", lr=0.01, weight_decay=0.0), steps=4, decay_steps=4, decay_shape="linear"
    )
    update = jax.jit(make_update(build(TINY), run.optim))
    settings = dataclasses.replace(settings_of(run), schedule=branch_schedule(run))
    parameters = weights(TINY)
    state = State(jnp.int32(0), settings, parameters, direction(run.optim).init(parameters))
    gradient = jax.tree.map(jnp.ones_like, parameters)
    for share in (1, 0.75, 0.5, 0.25, 0):
        before = state.parameters["head"]
        state, _ = update(state, Gradients(gradient, jnp.float32(0), jnp.float32(1)))
        np.testing.assert_allclose(before - state.parameters["head"], share * 0.01, atol=1e-7)  # float32


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


def test_a_parameter_whose_matrices_are_not_known_is_refused_by_muon():
    with pytest.raises(SpecError, match="parameter 'convolution' has no fan-in"):
        direction(Optim(name="adafactor")).init({"convolution": jnp.ones((3, 3))})
