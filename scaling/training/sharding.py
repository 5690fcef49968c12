"""The mesh of whatever devices exist, and where arrays lie on it."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from scaling.errors import UserError

AXES = ("population", "data", "model")


def device_mesh() -> Mesh:
    """A mesh with axes `population, data, model` whose `data` axis holds every device, host after host."""
    shape, kinds = (1, jax.device_count(), 1), (AxisType.Auto,) * 3
    if jax.process_count() == 1:
        return jax.make_mesh(shape, AXES, axis_types=kinds)
    # make_mesh may mix the devices of hosts, and each host has read one slice of the batch
    devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    return Mesh(np.array(devices).reshape(shape), AXES, axis_types=kinds)


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def over_data(mesh: Mesh) -> NamedSharding:
    """The first axis split over the `data` axis of the mesh."""
    return NamedSharding(mesh, PartitionSpec("data"))


def place(rows: Any, mesh: Mesh) -> jax.Array:
    """Rows [b, ...] on the mesh, split over `data`; each of several hosts gives its slice [b / hosts, ...] of them."""
    hosts = jax.process_count()
    if hosts == 1:
        return jax.device_put(rows, over_data(mesh))
    whole = (len(rows) * hosts, *rows.shape[1:])
    return jax.make_array_from_process_local_data(over_data(mesh), rows, whole)


def check_batch(batch_rows: int, mesh: Mesh) -> None:
    """Raise UserError unless the rows of a batch divide over the mesh's data axis."""
    devices = mesh.shape["data"]
    if batch_rows % devices:
        raise UserError(
            f"a batch of {batch_rows} rows does not divide over {devices} devices; "
            f"make Optim.batch_tokens / context a multiple of {devices}, or use fewer devices"
        )
