"""The mesh of whatever devices exist, and where arrays lie on it."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from scaling.errors import UserError

AXES = ("population", "data", "model")


def device_mesh(members: int = 1) -> Mesh:
    """A mesh with axes `population, data, model`: as many devices as divide the members and their own number lie along
    `population`, the others along `data`, host after host."""
    count = jax.device_count()
    apart = math.gcd(members, count)
    shape, kinds = (apart, count // apart, 1), (AxisType.Auto,) * 3
    if jax.process_count() == 1:
        return jax.make_mesh(shape, AXES, axis_types=kinds)
    # make_mesh may mix the devices of hosts, and each host has read one slice of the batch
    devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    return Mesh(np.array(devices).reshape(shape), AXES, axis_types=kinds)


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def over_members(mesh: Mesh) -> NamedSharding:
    """The first axis split over the `population` axis of the mesh."""
    return NamedSharding(mesh, PartitionSpec("population"))


def over_data(mesh: Mesh, members: int = 1) -> NamedSharding:
    """Rows [b, ...] split over the `data` axis of the mesh, or those of several members [p, b, ...]."""
    return NamedSharding(mesh, PartitionSpec("data") if members == 1 else PartitionSpec("population", "data"))


def place(rows: Any, mesh: Mesh, members: int = 1) -> jax.Array:
    """Rows [b, ...], or [p, b, ...] of several members, on the mesh; each of several hosts gives its slice of b."""
    hosts, sharding = jax.process_count(), over_data(mesh, members)
    if hosts == 1:
        return jax.device_put(rows, sharding)
    axis = 0 if members == 1 else 1
    whole = (*rows.shape[:axis], rows.shape[axis] * hosts, *rows.shape[axis + 1 :])
    return jax.make_array_from_process_local_data(sharding, rows, whole)


def check_batch(batch_rows: int, mesh: Mesh) -> None:
    """Raise UserError unless the rows of a batch divide over the mesh's data axis."""
    devices = mesh.shape["data"]
    if batch_rows % devices:
        raise UserError(
            f"a batch of {batch_rows} rows does not divide over {devices} devices; "
            f"make Optim.batch_tokens / context a multiple of {devices}, or use fewer devices"
        )
