"""Factors of the parametrisations are the papers', and keep activations and their changes the same at every size."""

import dataclasses
import functools
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling.models import build
from scaling.spec import Data, Model, Optim, Run, SpecError
from scaling.training.coordinates import coordinate_check, slope
from scaling.training.optimizer import direction
from scaling.training.parametrization import base_model, multipliers, path_name
from scaling.training.state import settings_of
from scaling.training.step import make_init

BASE = Model(vocab=128, context=16, depth=2, width=32, heads=2, base_width=32, base_depth=2, mlp="plain")
TEXT = np.frombuffer((Path(__file__).parent.parent / "LICENSE").read_bytes(), np.uint8).astype(np.int32)
ROWS = np.stack([TEXT[start : start + 17] for start in range(0, 16 * 60, 60)])
"""Sixteen rows of a real text in bytes."""


def sized(kind, width=32, depth=2, **changes):
    return dataclasses.replace(
        BASE, parametrization=kind, width=width, depth=depth, heads=width // 16, **changes
    )


def by_name(tree):
    return {path_name(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}


EMBEDDING, HEAD, NORM = ("embedding",), ("head",), ("final_norm/scale",)
BLOCK_NORMS = ("blocks/attention_norm/scale", "blocks/mlp_norm/scale")
ENDS = ("blocks/attention/out", "blocks/mlp/down")
HIDDEN = ("blocks/attention/qkv", "blocks/mlp/up", *ENDS)
EVERY = (*EMBEDDING, *HEAD, *NORM, *BLOCK_NORMS, *HIDDEN)


@pytest.mark.parametrize(
    ("kind", "optimizer", "factor", "expected"),
    [
        # 4 times as wide and 3 times as deep: m_N = 4, m_L = 3
        ("mup", "adamw", "rate", {EMBEDDING + NORM + BLOCK_NORMS: 1, HIDDEN + HEAD: 1 / 4}),
        ("mup", "lion", "rate", {EMBEDDING + NORM + BLOCK_NORMS: 1, HIDDEN + HEAD: 1 / 4}),
        ("mup", "adafactor", "rate", {EMBEDDING + NORM + BLOCK_NORMS: 1, HIDDEN + HEAD: 1 / 4}),
        ("mup", "sgd", "rate", {EMBEDDING + NORM + BLOCK_NORMS: 4, HIDDEN: 1, HEAD: 1 / 4}),
        ("mup", "muon", "rate", {EMBEDDING + NORM + BLOCK_NORMS + HIDDEN: 1, HEAD: 1 / 4}),
        ("mup", "adamw", "decay", {HIDDEN + HEAD: 4}),
        ("mup", "adamw", "init", {EVERY: 1}),
        ("mup", "adamw", "epsilon", {EMBEDDING + NORM + BLOCK_NORMS + HIDDEN: 1 / 4, HEAD: 1}),
        ("mup", "adamw", "norm", {EMBEDDING + NORM + BLOCK_NORMS + HIDDEN: 1, HEAD: 1 / 4}),
        ("mup", "sgd", "epsilon", {EVERY: 1}),
        ("completep", "adamw", "rate", {EMBEDDING + NORM + BLOCK_NORMS: 1, HIDDEN + HEAD: 1 / 4}),
        ("completep", "adamw", "decay", {HIDDEN + HEAD: 4}),
        ("completep", "adamw", "init", {ENDS: 3**0.5, EMBEDDING + HEAD + NORM + HIDDEN[:2]: 1}),
        ("completep", "adamw", "epsilon", {BLOCK_NORMS + HIDDEN: 1 / 12, EMBEDDING + NORM: 1 / 4, HEAD: 1}),
        ("standard", "adamw", "rate", {EVERY: 1}),
        ("standard", "sgd", "rate", {EVERY: 1}),
    ],
)
def test_factors_are_those_of_the_papers_tables(kind, optimizer, factor, expected):
    tree = by_name(getattr(multipliers(sized(kind, 128, 6), Optim(name=optimizer)), factor))
    assert set(tree) == set(EVERY)
    for names, value in expected.items():
        for name in names:
            assert tree[name] == pytest.approx(value), name


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "lion", "adafactor", "muon"])
def test_at_the_base_every_factor_is_one(optimizer):
    factors = multipliers(sized("mup"), Optim(name=optimizer))
    assert {leaf for tree in dataclasses.astuple(factors) for leaf in jax.tree.leaves(tree)} == {1.0}


def test_completep_is_mup_at_the_base_depth():
    mup, completep = (multipliers(sized(kind, 256), Optim()) for kind in ("mup", "completep"))
    assert mup == completep


def test_ratios_come_out_of_the_shapes_where_hidden_widths_are_rounded():
    model = dataclasses.replace(sized("mup", 128), mlp="gated")
    rate = by_name(multipliers(model, Optim()).rate)
    assert rate["blocks/mlp/down"] == base_model(model).hidden / model.hidden == 88 / 344
    assert rate["blocks/mlp/up"] == 1 / 4


def test_an_explicit_hidden_width_is_scaled_to_the_base():
    assert base_model(sized("mup", 128, mlp_width=512)).mlp_width == 128


def gradients(factors, size):
    generator = np.random.default_rng(0)
    shapes = jax.tree.map(lambda _: (3,), factors.rate)
    return jax.tree.map(
        lambda s: (size * generator.normal(size=s)).astype(np.float32), shapes, is_leaf=lambda s: s == (3,)
    )


def test_adam_has_the_epsilon_of_each_parameter():
    optim = Optim(eps=1e-2, clip=1e9)
    factors = multipliers(sized("completep", 128, 6), optim)
    gradient = gradients(factors, 1e-2)
    transform = direction(optim, factors)
    updates, _ = transform.update(gradient, transform.init(gradient), gradient, weight_decay=0.0)
    for name, g in by_name(gradient).items():
        epsilon = 1e-2 * by_name(factors.epsilon)[name]
        expected = g / (np.abs(g) + epsilon)  # the first step: both moments are the gradient's
        np.testing.assert_allclose(by_name(updates)[name], expected, rtol=1e-5)  # float32


def test_the_clipped_norm_counts_the_head_as_if_its_multiplier_were_in_the_forward_pass():
    optim = Optim(name="sgd", beta1=0.0, clip=0.5)
    factors = multipliers(sized("mup", 128), optim)
    gradient = gradients(factors, 1.0)
    transform = direction(optim, factors)
    updates, _ = transform.update(gradient, transform.init(gradient), gradient, weight_decay=0.0)
    counted = by_name(gradient) | {"head": gradient["head"] / 4}
    norm = math.sqrt(sum(float(np.square(g).sum()) for g in counted.values()))
    for name, g in by_name(gradient).items():
        np.testing.assert_allclose(by_name(updates)[name], g * 0.5 / norm, rtol=1e-5)  # float32


def initial(model, **run):
    made = Run(
        model=model,
        data=Data(context=16),
        optim=Optim(batch_tokens=16),
        steps=2,
        warmup_steps=0,
        decay_steps=1,
        **run,
    )
    return jax.jit(make_init(build(model), made.optim, 16))(settings_of(made)).parameters


def test_initial_values_under_completep_are_free_of_depth():
    deep = by_name(initial(sized("completep", 64, 8)))
    expected = (2 * 2 * 64) ** -0.5  # base depth 2, fan-in 64
    assert float(deep["blocks/attention/out"].std()) == pytest.approx(expected, rel=0.03)  # of 32768 draws
    assert float(deep["blocks/mlp/down"].std()) == pytest.approx(expected / 2, rel=0.03)


def test_the_initial_scale_is_of_matrices_alone():
    once, thrice = (by_name(initial(sized("standard"), init_scale=scale)) for scale in (1.0, 3.0))
    for name, value in once.items():
        spared = name == "embedding" or name.endswith("scale")
        np.testing.assert_allclose(thrice[name], value * (1 if spared else 3), rtol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    ("model", "optim", "said"),
    [
        (
            sized("completep"),
            Optim(name="sgd"),
            r"Model\.parametrization = 'completep' .*free of the gradient's size",
        ),
        (sized("mup"), Optim(weight_decay_kind="l2"), r"Optim\.weight_decay_kind = 'l2' .*under mup"),
    ],
)
def test_an_optimiser_for_which_no_rule_is_known_is_refused(model, optim, said):
    with pytest.raises(SpecError, match=said):
        multipliers(model, optim)
    with pytest.raises(SpecError, match=said):
        optim = dataclasses.replace(optim, batch_tokens=16)
        Run(model=model, data=Data(context=16), optim=optim, steps=2, warmup_steps=0, decay_steps=1)


RATES = {"adamw": 0.01, "sgd": 0.1, "muon": 0.02, "lion": 0.003, "adafactor": 0.01}
WIDTHS, DEPTHS, STEPS = (32, 96, 256), (2, 6, 16), 4
PARTS = ("blocks", "blocks/attention", "blocks/mlp", "logits")
FLAT = 0.2


@functools.cache
def checked(model, optimizer):
    optim = Optim(name=optimizer, lr=RATES[optimizer], weight_decay=0.0)
    return coordinate_check([model], optim, ROWS, STEPS)


def slopes(kind, axis, sizes, optimizer="adamw"):
    """Of the size and the change of each part after the last step, against width or depth."""
    rows = [row for size in sizes for row in checked(sized(kind, **{axis: size}), optimizer)]
    found = {}
    for part in PARTS:
        mine = [row for row in rows if row.step == STEPS and row.part == part]
        assert [getattr(row, axis) for row in mine] == list(sizes)
        found[part] = tuple(slope(sizes, [getattr(row, what) for row in mine]) for what in ("size", "change"))
    return found


@pytest.mark.parametrize(
    ("kind", "axis", "optimizer"),
    [
        ("mup", "width", "adamw"),
        ("completep", "depth", "adamw"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("completep", "width", "adamw"),
                ("mup", "width", "sgd"),
                ("mup", "width", "lion"),
                ("mup", "width", "adafactor"),
                ("mup", "width", "muon"),
                ("completep", "depth", "lion"),
                ("completep", "depth", "muon"),
            )
        ),
    ],
)
def test_activations_and_their_changes_are_flat(kind, axis, optimizer):
    # activations at first are sums over few heads and channels at width 32: they differ by a tenth from seed to seed
    found = slopes(kind, axis, WIDTHS if axis == "width" else DEPTHS, optimizer)
    assert all(
        abs(value) < FLAT for part, pair in found.items() for value in pair[part == "blocks/attention" :]
    ), found


def test_the_standard_parametrisation_fails_the_same_check_in_width():
    found = slopes("standard", "width", WIDTHS[::2])
    assert found["blocks"][1] > 0.3, found
    assert found["logits"][1] > 0.3, found


def test_the_standard_parametrisation_fails_the_same_check_in_depth():
    # the logits follow a norm, which hides how the stream has grown
    assert slopes("standard", "depth", DEPTHS[::2])["blocks"][1] > 0.3


def test_a_coordinate_check_measures_what_the_model_gives_out():
    rows = {(row.part, row.step): row for row in checked(sized("mup"), "adamw")}
    module, parameters = build(sized("mup")), initial(sized("mup"))
    logits = jax.jit(module.apply)({"params": parameters}, ROWS[:, :-1])
    assert rows["logits", 0].size == pytest.approx(float(jnp.sqrt(jnp.mean(logits**2))), rel=1e-5)
    assert rows["logits", 0].change == 0 < rows["logits", 1].change


def test_a_slope_is_the_exponent_of_a_power():
    assert slope([1, 2, 8], [3, 6 * 2**0.5, 3 * 8**1.5]) == pytest.approx(1.5)
