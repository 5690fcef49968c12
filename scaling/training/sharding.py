"""The mesh of devices, and where the arrays of training lie on it: parameters and moments by rules on their paths.

A mesh has the axes `population, data, model`. The model holds no word of it: which axis of a parameter is split over
which axis of the mesh stands in RULES, `pinned` keeps the rows of activations apart, and XLA derives the rest.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from scaling.errors import UserError
from scaling.execution import DEFAULT, Execution
from scaling.spec import Run

P = PartitionSpec

AXES = ("population", "data", "model")

RULES: tuple[tuple[str, PartitionSpec], ...] = (
    ("embedding", P("model", "data")),  # [v d]
    ("blocks/attention/qkv", P(None, "data", None, "model", None)),  # [L d 3 h k]
    ("blocks/attention/out", P(None, "model", None, "data")),  # [L h k d]
    ("blocks/mlp/(up|gate)", P(None, "data", "model")),  # [L d f]
    ("blocks/mlp/down", P(None, "model", "data")),  # [L f d]
    ("head", P("data", "model")),  # [d v], or [n v, v] of a linear model
    (".*", P()),
)
"""Path of a parameter, as a pattern, to the mesh axis that each of its axes is split over; the first match holds.

`model` splits heads, hidden units and vocabulary (Shoeybi et al. 2019); `data` splits the width, under FSDP alone
(Rajbhandari et al. 2020, stage 3).
"""


def make_mesh(execution: Execution = DEFAULT, members: int = 1) -> Mesh:
    """The mesh `population, data, model` on which a population of so many members trains.

    Of the devices that `data` and `model` leave, `population` takes as many as share the members evenly. Where the data
    devices are automatic, a model alone has all that are left, and the batches of a population are not split. Of
    several hosts, each holds one slice of the data axis, in order.
    Raises UserError for a mesh that these devices cannot make.
    """
    shape = _shape(execution, members, jax.device_count(), jax.process_count())
    kinds = (AxisType.Auto,) * 3
    used = math.prod(shape)
    if jax.process_count() == 1:
        return jax.make_mesh(shape, AXES, axis_types=kinds, devices=jax.devices()[:used])
    # make_mesh may mix the devices of hosts, and each host has read one slice of the batch
    devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    population, data, model = shape
    grid = np.array(devices).reshape(data, population, model).swapaxes(0, 1)
    return Mesh(grid, AXES, axis_types=kinds)


def _shape(execution: Execution, members: int, devices: int, hosts: int) -> tuple[int, int, int]:
    """Devices along population, data and model; raises UserError where there is no such mesh."""
    data, model = execution.data_devices, execution.model_devices
    if max(data, 1) * model > devices:
        asked = f"--model-devices {model}" + (f" x --data-devices {data}" if data else "")
        raise UserError(
            f"{asked} is a mesh larger than the {devices} devices there are: ask for at most {devices}"
        )
    if devices % model and not data:
        raise UserError(
            f"--model-devices {model} does not divide the {devices} devices: "
            "use a number that does, or set --data-devices too and leave the others idle"
        )
    free = devices // (max(data, 1) * model)
    if hosts > 1:
        population = math.gcd(members, free if data else free // hosts)
        data = data or free // population
    else:
        population = max(count for count in range(1, free + 1) if members % count == 0)
        data = data or (free if members == 1 else 1)
    if hosts > 1 and (data % hosts or population * data * model != devices):
        raise UserError(
            f"{hosts} hosts each read a slice of the batch, and a mesh of {population} x {data} x {model} "
            f"(population, data, model) does not give each one the same on all {devices} devices: "
            f"make the data devices a multiple of {hosts}, or leave --data-devices out"
        )
    return population, data, model


def check_layout(run: Run, mesh: Mesh, execution: Execution = DEFAULT) -> None:
    """Raise UserError unless heads and hidden units divide over `model`, and the rows of a batch over `data` and the
    microbatches."""
    parts = mesh.shape["model"]
    split = (("heads", run.model.heads, "Model.heads"), ("hidden units", run.model.hidden, "Model.mlp_width"))
    for what, number, remedy in () if run.model.kind == "linear" else split:
        if number % parts:
            raise UserError(
                f"--model-devices {parts} does not divide the {number} {what} of {run.name}: "
                f"use a number that does, or another {remedy}"
            )
    devices, rows = mesh.shape["data"], run.batch_rows
    parts = devices * execution.microbatches
    if rows % parts:
        over = f"{devices} devices" + (
            f" x {execution.microbatches} microbatches" if execution.microbatches > 1 else ""
        )
        raise UserError(
            f"a batch of {rows} rows does not divide over {over}; make Optim.batch_tokens / context a multiple "
            f"of {parts}, or use fewer devices (--data-devices) or --microbatches"
        )


def state_shardings(state: Any, mesh: Mesh, execution: Execution = DEFAULT, members: int = 1) -> Any:
    """A sharding for every array of a State of one model, given as arrays or as the shapes of `jax.eval_shape`.

    Parameters follow RULES, and so do moments of a parameter's path and shape; everything else is whole on every
    device. An axis that the mesh does not divide evenly stays whole. With several members, it is that of their state,
    whose leading axis is split over `population`.
    """
    splits = {"data": execution.fsdp, "model": True}
    rules: dict[str, tuple[Any, PartitionSpec]] = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(state.parameters)[0]:
        rules[_name(path)] = leaf.shape, _spec(_name(path), leaf.shape, mesh, splits)

    def sharding(path: tuple[Any, ...], leaf: Any) -> NamedSharding:
        ends = (_name(path[start:]) for start in range(len(path)))  # a moment's path ends as its parameter's
        found = next(
            (spec for end in ends if end in rules for shape, spec in [rules[end]] if shape == leaf.shape), P()
        )
        return NamedSharding(mesh, P("population", *found) if members > 1 else found)

    return jax.tree_util.tree_map_with_path(sharding, state)


def pinned(function: Callable[..., Any], mesh: Mesh) -> Callable[..., Any]:
    """`function`, with every [b t d] that goes in and out of the model's parts split over `data` alone.

    Left to itself, XLA takes a width that FSDP splits for tensor parallelism: it gives every device the whole batch and
    sums activations. Pinned, it gathers the parameters of a block when they are used, and sums activations over `model`
    where a row of heads or of hidden units ends. Values stay the same.
    """
    if mesh.shape["data"] * mesh.shape["model"] == 1:
        return function
    sharding = NamedSharding(mesh, P("data", None, None))

    def pin(value: Any) -> Any:
        three = isinstance(value, jax.Array) and value.ndim == 3
        return jax.lax.with_sharding_constraint(value, sharding) if three else value

    def around(call: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
        if not context.module.path:  # the model itself: its logits may be split over `model`
            return call(*args, **kwargs)
        return jax.tree.map(pin, call(*jax.tree.map(pin, args), **kwargs))

    @functools.wraps(function)
    def traced(*args: Any) -> Any:
        with nn.intercept_methods(around):
            return function(*args)

    return traced


def _spec(name: str, shape: Sequence[int], mesh: Mesh, splits: dict[str, bool]) -> PartitionSpec:
    """The first rule for a parameter, without the axes that are not to be split or do not divide."""
    rule = next(spec for pattern, spec in RULES if re.fullmatch(pattern, name))
    axes = (*rule, *(None,) * (len(shape) - len(rule)))
    kept = [
        axis if axis and splits[axis] and size % mesh.shape[axis] == 0 else None
        for axis, size in zip(axes, shape, strict=True)
    ]
    while kept and kept[-1] is None:
        kept.pop()
    return P(*kept)


def _name(path: tuple[Any, ...]) -> str:
    return "/".join(str(getattr(entry, "key", getattr(entry, "name", entry))) for entry in path)


def over_members(mesh: Mesh, members: int = 1) -> NamedSharding:
    """The first axis, that of several members, split over `population`; of one, the whole array on every device."""
    return NamedSharding(mesh, P("population") if members > 1 else P())


def over_data(mesh: Mesh, members: int = 1) -> NamedSharding:
    """Rows [b, ...] split over `data`, or those of several members [p, b, ...] over `population` and `data`."""
    return NamedSharding(mesh, P("population", "data") if members > 1 else P("data"))


def place(rows: Any, mesh: Mesh, members: int = 1) -> jax.Array:
    """Rows [b, ...], or [p, b, ...] of several members, on the mesh; each of several hosts gives its slice of b."""
    hosts, sharding = jax.process_count(), over_data(mesh, members)
    if hosts == 1:
        return jax.device_put(rows, sharding)
    axis = 1 if members > 1 else 0
    whole = (*rows.shape[:axis], rows.shape[axis] * hosts, *rows.shape[axis + 1 :])
    return jax.make_array_from_process_local_data(sharding, rows, whole)
