"""Norms by group add up to what optax computes, under jit, vmap and on a mesh, and share their sums with clipping."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from scaling.models import build
from scaling.models.transformer import init_parameters
from scaling.spec import Model
from scaling.training.norms import global_norm, group_norms, group_of, norm_metrics

ROUNDING = 2e-6
"""Float32 sums of some ten thousand squares, in another order."""


def parameters(tied=False, mlp="gated"):
    """A tree with the places and shapes of a Transformer's parameters, and normal numbers in it."""
    model = Model(vocab=64, context=16, depth=3, width=16, heads=2, tied=tied, mlp=mlp)
    shapes = jax.eval_shape(lambda key: init_parameters(build(model), key, model.context), jax.random.key(0))
    draw = np.random.default_rng(0)
    return jax.tree.map(lambda s: jnp.asarray(draw.normal(size=s.shape), s.dtype), shapes)


def by_hand(tree, *keys):
    """The norm of the leaves at these places, in float64."""
    total = 0.0
    for key in keys:
        leaf = tree
        for part in key.split("/"):
            leaf = leaf[part]
        total += np.square(np.asarray(leaf, np.float64)).sum()
    return np.sqrt(total)


def test_a_known_tree_has_its_known_norms():
    tree = {
        "embedding": jnp.array([3.0, 4.0]),
        "blocks": {
            "attention": {"qkv": jnp.array([1.0, 2.0]), "out": jnp.array([2.0])},
            "attention_norm": {"scale": jnp.array([12.0])},
        },
        "final_norm": {"scale": jnp.array([5.0])},
    }
    found = {name: float(value) for name, value in norm_metrics("gradient_norm", group_norms(tree)).items()}
    assert found == pytest.approx(
        {
            "gradient_norm": np.sqrt(25 + 9 + 169),
            "gradient_norm/embedding": 5.0,
            "gradient_norm/attention": 3.0,
            "gradient_norm/norms": 13.0,
        },
        rel=1e-6,  # a few roundings of float32
    )


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("mlp", ["gated", "plain"])
def test_every_parameter_of_the_transformer_is_in_the_group_of_its_name(tied, mlp):
    tree = parameters(tied, mlp)
    matrices = ["blocks/mlp/up", "blocks/mlp/down"] + (["blocks/mlp/gate"] if mlp == "gated" else [])
    scales = ["blocks/attention_norm/scale", "blocks/mlp_norm/scale", "final_norm/scale"]
    expected = {
        "embedding": by_hand(tree, "embedding"),
        "attention": by_hand(tree, "blocks/attention/qkv", "blocks/attention/out"),
        "mlp": by_hand(tree, *matrices),
        "norms": by_hand(tree, *scales),
    } | ({} if tied else {"head": by_hand(tree, "head")})
    found = {group: float(norm) for group, norm in group_norms(tree).items()}
    assert found == pytest.approx(expected, rel=ROUNDING)


def test_the_groups_together_are_the_global_norm_of_optax():
    tree = parameters()
    np.testing.assert_allclose(global_norm(group_norms(tree)), optax.tree.norm(tree), rtol=ROUNDING)


def test_a_parameter_that_no_pattern_knows_is_counted_all_the_same():
    assert group_of("kernel") == "other"
    tree = {"kernel": jnp.array([3.0]), "head": jnp.array([4.0])}
    assert float(global_norm(group_norms(tree))) == 5.0


def test_squares_of_half_precision_are_summed_in_float32():
    """512 x 256^2 is beyond the largest float16."""
    found = group_norms({"head": jnp.full((512,), 256.0, jnp.float16)})["head"]
    assert (found.dtype, float(found)) == (jnp.float32, pytest.approx(256 * 512**0.5, rel=1e-6))


def test_a_population_has_the_norms_of_its_members():
    members = [jax.tree.map(lambda leaf, n=n: leaf * (n + 1), parameters()) for n in range(3)]
    together = jax.jit(jax.vmap(group_norms))(jax.tree.map(lambda *leaves: jnp.stack(leaves), *members))
    for number, member in enumerate(members):
        for group, norm in group_norms(member).items():
            np.testing.assert_allclose(together[group][number], norm, rtol=ROUNDING)


def test_a_nan_in_one_group_is_seen_there_alone():
    tree = parameters()
    tree["head"] = tree["head"].at[0, 0].set(jnp.nan)
    found = group_norms(tree)
    assert [group for group, norm in found.items() if not jnp.isfinite(norm)] == ["head"]
    assert not jnp.isfinite(global_norm(found))


def test_sharded_parameters_have_the_same_norms():
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))
    tree = {"embedding": jnp.arange(64.0).reshape(8, 8), "head": jnp.ones((8, 8))}
    split = jax.device_put(tree, NamedSharding(mesh, PartitionSpec("data")))
    for group, norm in jax.jit(group_norms)(split).items():
        np.testing.assert_allclose(norm, group_norms(tree)[group], rtol=ROUNDING)


def test_gradient_norms_by_group_add_no_pass_over_the_gradient_to_clipping():
    """XLA shares the sums of squares: the program with both reduces as often as that with clipping alone."""
    clip = optax.clip_by_global_norm(1.0)

    def clipped(gradient):
        return clip.update(gradient, clip.init(gradient))[0]

    def both(gradient):
        return clipped(gradient), group_norms(gradient)

    tree = parameters()
    alone, shared = (jax.jit(f).lower(tree).compile().as_text().count(" reduce(") for f in (clipped, both))
    assert alone == shared > 0
