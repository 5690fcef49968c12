"""Parametrisations: how initial values, rates, decay and epsilon of each parameter change with the size of the model.

A parametrisation is trees of factors, like the parameters, on what the user asks for. They come from shapes alone: of
the model and of its base, a model `base_width` wide and `base_depth` deep at which every factor is 1. Write m_in and
m_out for a parameter's fan-in and fan-out over those of the base, m_N for the width and m_L for the depth over the
base's.

`standard`: every factor is 1, and initial values alone follow fan-in.

`mup` (Yang et al. 2022, arXiv 2203.03466, table 3, the form of table 8 without multipliers in the forward pass; checked
against the authors' package `mup`). Hidden matrices start at 1 / sqrt(fan-in) and the head at 1 / fan-in, as our
initialisers do. Rates are

    Adam: 1 / m_in        SGD: m_out / m_in

where neither the vocabulary nor a norm's scale has a fan-in that grows: with Adam an embedding and a norm have 1, a
hidden matrix and the head 1 / m_N; with SGD an embedding and a norm have m_N, a hidden matrix 1, the head 1 / m_N.
A tied head divides the features by the width, which is the multiplier of table 8: the table has the embedding's rate.
Decay is 1 / rate factor, so that a step shrinks a matrix alike at every width (`mup` does so too).

`completep` (Dey et al. 2025, arXiv 2505.01618, table 1 with alpha = 1 and equation 40; checked against the authors'
branch of nanoGPT-mup): as `mup` with AdamW, and branches times 1 / m_L in the forward pass (`Model.residual_scale`),
with which rates need no factor of depth (m_L^(alpha - 1) = 1). Initial values are free of depth: ours of the matrices
that end a branch have variance 1 / (2 depth fan-in), hence sqrt(m_L). `mup` is about width alone and leaves depth to
`standard`.

Epsilon follows the size of gradients, 1 / m_N, within blocks 1 / (m_N m_L) (equation 40), the head excepted: there it
is 1, since the paper's 1 / m_N is for a head followed by a multiplier 1 / m_N, which ours contains.

By inference, not from the papers: Lion and Adafactor as Adam, since their updates do not depend on the size of
gradients (the package `mup` says so of any such optimiser); Muon's hidden matrices have the rate factor 1,
since an update of spectral norm sqrt(fan-out / fan-in) changes features alike at every width (Yang et al. 2023, arXiv
2310.17813, condition 1), and its other parameters are Adam's. The global norm, by which gradients are clipped, counts
the head's gradient as if the head had its multiplier: it is the one gradient that grows with width.

Not covered: heads that widen. Scores are divided by sqrt(head_dim), so keep width / heads the same at every size.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from typing import Any, NamedTuple

import jax

from scaling.models import build
from scaling.spec import Model, Optim, SpecError, check_transfer

Shape = tuple[int, ...]


class Axes(NamedTuple):
    """Which axes of a parameter, counted from its end, are fan-in and fan-out; those before or between stack them."""

    fan_in: Shape
    fan_out: Shape


AXES: tuple[tuple[str, Axes], ...] = (
    ("embedding", Axes((-2,), (-1,))),  # [v d]
    ("blocks/attention/qkv", Axes((-4,), (-2, -1))),  # [L d 3 h k]
    ("blocks/attention/out", Axes((-3, -2), (-1,))),  # [L h k d]
    ("blocks/mlp/(up|gate|down)", Axes((-2,), (-1,))),  # [L d f] or [L f d]
    ("head", Axes((-2,), (-1,))),  # [d v], or [n v, v] of a linear model
    (".*scale", Axes((), (-1,))),  # [L d] or [d]
)
"""Path of a parameter, as a pattern, to its axes; the first that matches holds."""

HIDDEN = re.compile(r"blocks/(attention|mlp)/\w+")
"""Matrices between width and width, whose updates Muon orthogonalises."""
ENDS_A_BRANCH = re.compile(r"blocks/(attention/out|mlp/down)")


@dataclasses.dataclass(frozen=True)
class Multipliers:
    """Factors on what a run asks for: trees like the parameters, of plain floats, and so part of the program."""

    init: Any
    """Of initial values."""
    rate: Any
    """Of the learning rate."""
    decay: Any
    """Of the weight decay, beside the rate's."""
    epsilon: Any
    """Of Adam's epsilon; 1 for optimisers that have none."""
    norm: Any
    """Of the gradient, where its global norm is taken."""


class _Factors(NamedTuple):
    init: float = 1.0
    rate: float = 1.0
    decay: float = 1.0
    epsilon: float = 1.0
    norm: float = 1.0


def multipliers(model: Model, optim: Optim) -> Multipliers:
    """The factors of a model's parametrisation for an optimiser; raises SpecError for a pair that has none."""
    check_transfer(model, optim)
    return _multipliers(model, optim.name)


def base_model(model: Model) -> Model:
    """The model of the same kind at which every factor is 1; it exists as shapes only."""
    if model.kind == "linear":  # `standard` always
        return model
    depth = model.base_depth if model.parametrization == "completep" else model.depth
    mlp_width = max(1, round(model.mlp_width * model.base_width / model.width)) if model.mlp_width else 0
    # one head, because shapes need no more: heads x head_dim is the width in any case
    return dataclasses.replace(model, width=model.base_width, depth=depth, heads=1, mlp_width=mlp_width)


def path_name(path: tuple[Any, ...]) -> str:
    """The path of a leaf as a word: `blocks/mlp/up`."""
    return "/".join(str(entry.key) for entry in path)


def axes_of(name: str) -> Axes:
    """The axes of the parameter of that path; raises SpecError for one that AXES does not know."""
    for pattern, axes in AXES:
        if re.fullmatch(pattern, name):
            return axes
    raise SpecError(
        f"parameter {name!r} has no fan-in that is known: add its path to AXES in "
        "scaling/training/parametrization.py, or use parametrization='standard' with adamw, sgd or lion"
    )


@functools.cache
def _multipliers(model: Model, optimizer: str) -> Multipliers:
    shapes, base = _shapes(model), base_model(model)
    if model.parametrization == "standard":
        factors = jax.tree.map(lambda _: _Factors(), shapes)
    else:

        def of(path: tuple[Any, ...], leaf: Any, base_leaf: Any) -> _Factors:
            return _factors(path_name(path), leaf.shape, base_leaf.shape, model, base, optimizer)

        factors = jax.tree_util.tree_map_with_path(of, shapes, _shapes(base))

    def tree(kind: str) -> Any:
        return jax.tree.map(lambda f: getattr(f, kind), factors, is_leaf=lambda f: isinstance(f, _Factors))

    return Multipliers(**{kind: tree(kind) for kind in _Factors._fields})


def _factors(
    name: str, shape: Shape, base_shape: Shape, model: Model, base: Model, optimizer: str
) -> _Factors:
    axes = axes_of(name)
    m_in, m_out = (_size(shape, part) / _size(base_shape, part) for part in axes)
    m_width, m_depth = model.width / base.width, model.depth / base.depth
    if optimizer == "sgd":
        rate = m_out / m_in
    elif optimizer == "muon" and HIDDEN.fullmatch(name):
        rate = 1.0
    else:
        rate = 1 / m_in
    epsilon = 1.0
    if optimizer in ("adamw", "muon") and name != "head":
        epsilon = 1 / (m_width * (m_depth if name.startswith("blocks/") else 1.0))
    return _Factors(
        init=math.sqrt(m_depth) if ENDS_A_BRANCH.fullmatch(name) else 1.0,
        rate=rate,
        decay=1 / rate,
        epsilon=epsilon,
        norm=1 / m_in if name == "head" else 1.0,
    )


def _size(shape: Shape, axes: Shape) -> int:
    return math.prod(shape[axis] for axis in axes)


def _shapes(model: Model) -> Any:
    from scaling.models.transformer import init_parameters

    return jax.eval_shape(lambda: init_parameters(build(model), jax.random.key(0), model.context))
