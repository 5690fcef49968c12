"""Optimisers: the direction by optax, the rate and the decay from the state, so that one program serves every rate."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from optax.contrib import MuonDimensionNumbers, muon

from scaling.spec import Optim
from scaling.training.parametrization import HIDDEN, Multipliers, axes_of, path_name
from scaling.training.schedule import Scalar

Array = jax.Array


def direction(optim: Optim, multipliers: Multipliers | None = None) -> optax.GradientTransformationExtraArgs:
    """Clipping by the global norm, L2 where it is asked for, then the optimiser's direction; no rate is in it.

    `update` takes the gradient, the moments, the parameters and, by name, `weight_decay`.
    """
    parts = _clipping(optim.clip, multipliers)
    if optim.weight_decay_kind == "l2":
        parts.append(add_l2(multipliers))
    return optax.chain(*parts, OPTIMIZERS[optim.name](optim))


def decayed(parameters: Any) -> Any:
    """A tree of booleans: True for matrices, False for the norms' scales and the input embedding table."""

    def is_matrix(path: tuple[Any, ...], _: Array) -> bool:
        return path[-1].key not in ("scale", "embedding")

    return jax.tree_util.tree_map_with_path(is_matrix, parameters)


def decay_of(optim: Optim, weight_decay: Scalar, peak: Scalar) -> Scalar | None:
    """What the rate is multiplied by to shrink a matrix: the weight decay, or, independent of the peak rate, the
    weight decay over it (Loshchilov and Hutter 2019, algorithm 2: the schedule alone remains); None for L2."""
    if optim.weight_decay_kind == "l2":
        return None
    return weight_decay if optim.weight_decay_kind == "decoupled" else jnp.asarray(weight_decay) / peak


def apply_update(
    parameters: Any, updates: Any, rate: Scalar, decay: Scalar | None, multipliers: Multipliers | None = None
) -> Any:
    """p - r rate x (direction + d decay x p), the last term for matrices alone (Loshchilov and Hutter 2019), with r
    and d the multipliers of rate and decay."""
    ones = jax.tree.map(lambda _: 1.0, parameters)
    r, d = (multipliers.rate, multipliers.decay) if multipliers else (ones, ones)

    def new(p: Array, u: Array, is_matrix: bool, r: float, d: float) -> Array:
        shrink = is_matrix and decay is not None
        return p - _times(rate, r) * (u + _times(decay, d) * p if shrink else u)

    return jax.tree.map(new, parameters, updates, decayed(parameters), r, d)


def add_l2(multipliers: Multipliers | None) -> optax.GradientTransformationExtraArgs:
    """The gradient plus weight_decay x p for matrices: that of the loss with weight_decay / 2 x |p|^2 added."""

    def update(
        gradient: Any, state: optax.EmptyState, parameters: Any, *, weight_decay: Scalar, **_: Any
    ) -> tuple[Any, optax.EmptyState]:
        d = multipliers.decay if multipliers else jax.tree.map(lambda _: 1.0, gradient)

        def new(g: Array, p: Array, is_matrix: bool, d: float) -> Array:
            return g + _times(weight_decay, d) * p if is_matrix else g

        return jax.tree.map(new, gradient, parameters, decayed(parameters), d), state

    return optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), update)


def adamw(optim: Optim) -> optax.GradientTransformation:
    """m / (sqrt(v) + eps) of bias-corrected moments (Kingma and Ba 2015, algorithm 1)."""
    return optax.scale_by_adam(b1=optim.beta1, b2=optim.beta2, eps=optim.eps)


def sgd(optim: Optim) -> optax.GradientTransformation:
    """m <- beta1 m + g, and m is the direction."""
    return optax.trace(decay=optim.beta1)


def lion(optim: Optim) -> optax.GradientTransformation:
    """sign(beta1 m + (1 - beta1) g), then m <- beta2 m + (1 - beta2) g (Chen et al. 2023, algorithm 2)."""
    return optax.scale_by_lion(b1=optim.beta1, b2=optim.beta2)


def adafactor(optim: Optim) -> optax.GradientTransformation:
    """g / sqrt(v) with v of rank one, its rms clipped to 1 (Shazeer and Stern 2018, algorithm 4).

    Of Adafactor, the factored second moment (of matrices of at least 128 x 128; its decay 1 - t^-0.8) and the clipping,
    for every matrix of a stack by itself. Neither momentum nor steps relative to a parameter's size: rates are
    comparable with Adam's.
    """
    return by_matrix(optax.chain(optax.scale_by_factored_rms(), optax.clip_by_block_rms(1.0)))


def muon_adam(optim: Optim) -> optax.GradientTransformation:
    """Muon (Jordan 2024) for the blocks' matrices, Adam for the embedding, the norms and the head; both with Nesterov.

    The momentum is orthogonalised by five steps of Newton and Schulz and multiplied by sqrt(max(1, fan-out / fan-in)).
    Each layer's query, key, value, output, up, gate and down matrix is orthogonalised by itself.
    """

    def axes(parameters: Any) -> Any:
        def of(name: str) -> MuonDimensionNumbers | None:
            return MuonDimensionNumbers(*axes_of(name)) if HIDDEN.fullmatch(name) else None

        return jax.tree.map(of, _names(parameters))

    descent = muon(
        1.0,
        beta=optim.beta1,
        eps=optim.eps,
        adam_b1=optim.beta1,
        adam_b2=optim.beta2,
        muon_weight_dimension_numbers=axes,
    )
    return optax.chain(descent, optax.scale(-1.0))


OPTIMIZERS: dict[str, Callable[[Optim], optax.GradientTransformation]] = {
    "adamw": adamw,
    "sgd": sgd,
    "lion": lion,
    "adafactor": adafactor,
    "muon": muon_adam,
}


def by_matrix(inner: optax.GradientTransformation) -> optax.GradientTransformation:
    """`inner` on every matrix by itself, however parameters stack them; its state is a tree of stacks of states."""

    def init(parameters: Any) -> Any:
        return jax.tree.map(
            lambda name, p: jax.vmap(inner.init)(_matrices(name, p)), _names(parameters), parameters
        )

    def update(updates: Any, state: Any, parameters: Any = None) -> tuple[Any, Any]:
        def of(name: str, leaf: Array, old: Any) -> tuple[Array, Any]:
            stack = _matrices(name, leaf)
            new, states = jax.vmap(inner.update)(stack, old, stack)  # of parameters, optax reads shapes alone
            return _unstacked(name, new, leaf.shape), states

        pairs = jax.tree.map(of, _names(updates), updates, state)
        first, second = (operator.itemgetter(i) for i in (0, 1))
        return jax.tree.map(first, pairs, is_leaf=_is_pair), jax.tree.map(second, pairs, is_leaf=_is_pair)

    return optax.GradientTransformation(init, update)


def _names(tree: Any) -> Any:
    return jax.tree_util.tree_map_with_path(lambda path, _: path_name(path), tree)


def _is_pair(node: Any) -> bool:
    return isinstance(node, tuple)


def _matrices(name: str, x: Array) -> Array:
    """A parameter as [stack, fan-in, fan-out]; a fan that it lacks is 1."""
    order, sizes = _order(name, x.shape)
    return x.transpose(order).reshape(sizes)


def _unstacked(name: str, matrices: Array, shape: tuple[int, ...]) -> Array:
    """The parameter of that shape again."""
    order, _ = _order(name, shape)
    moved = matrices.reshape([shape[axis] for axis in order])
    return moved.transpose([order.index(axis) for axis in range(len(shape))])


def _order(name: str, shape: tuple[int, ...]) -> tuple[list[int], list[int]]:
    fans = [[axis % len(shape) for axis in part] for part in axes_of(name)]
    stacked = [axis for axis in range(len(shape)) if axis not in fans[0] + fans[1]]
    groups = (stacked, *fans)
    return [axis for group in groups for axis in group], [
        math.prod(shape[axis] for axis in group) for group in groups
    ]


def _clipping(clip: float, multipliers: Multipliers | None) -> list[optax.GradientTransformation]:
    """Clipping by the global norm; a gradient over f is Adam's epsilon times f, as Adam is else free of scale."""
    plain = optax.clip_by_global_norm(clip)
    if multipliers is None or all(x == 1.0 for x in jax.tree.leaves((multipliers.norm, multipliers.epsilon))):
        return [plain]
    back = jax.tree.map(lambda norm, epsilon: 1 / (norm * epsilon), multipliers.norm, multipliers.epsilon)
    return [_scaled(multipliers.norm), plain, _scaled(back)]


def _scaled(factors: Any) -> optax.GradientTransformation:
    return optax.stateless(lambda updates, _: jax.tree.map(_times, updates, factors))


def _times(x: Any, factor: float) -> Any:
    """x times a factor that is known when the program is made: no operation where it is 1."""
    return x if factor == 1.0 else x * factor
