"""The mesh of whatever devices exist, and where arrays lie on it."""

from __future__ import annotations

from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from scaling.errors import UserError

AXES = ("population", "data", "model")


def device_mesh() -> Mesh:
    """A mesh with axes `population, data, model` whose `data` axis holds every device."""
    return jax.make_mesh((1, jax.device_count(), 1), AXES, axis_types=(AxisType.Auto,) * 3)


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def over_data(mesh: Mesh) -> NamedSharding:
    """The first axis split over the `data` axis of the mesh."""
    return NamedSharding(mesh, PartitionSpec("data"))


def place(rows: Any, mesh: Mesh) -> jax.Array:
    """Rows [b, ...] on the mesh, split over `data`."""
    return jax.device_put(rows, over_data(mesh))


def check_batch(batch_rows: int, mesh: Mesh) -> None:
    """Raise UserError unless the rows of a batch divide over the mesh's data axis."""
    devices = mesh.shape["data"]
    if batch_rows % devices:
        raise UserError(
            f"a batch of {batch_rows} rows does not divide over {devices} devices; "
            f"make Optim.batch_tokens / context a multiple of {devices}, or use fewer devices"
        )
