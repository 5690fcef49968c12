"""The training step written for one device and mapped over `data` (`jax.shard_map`, today's form of `pmap`)."""

from __future__ import annotations

from collections.abc import Callable

import jax
from jax.sharding import Mesh, PartitionSpec

from scaling.training.gradients import Gradients, GradientsOf
from scaling.training.state import Metrics, State
from scaling.training.step import step_key

P = PartitionSpec


def make_mapped_step(
    gradients: GradientsOf,
    update: Callable[[State, Gradients], tuple[State, Metrics]],
    mesh: Mesh,
    dropout: bool,
) -> Callable[[State, jax.Array], tuple[State, Metrics]]:
    """A pure function (state, batch [b, t + 1]) -> (state, metrics): data parallelism with its sums written out.

    Each device holds the whole state, takes the gradients of its own rows, adds gradient, loss and tokens up over
    `data`, and makes the same update. It equals the step of one partitioned program up to the order of float32 sums.
    With `dropout`, each device folds its place into the key, and the two steps drop other activations, equally often.
    """

    def step(state: State, rows: jax.Array) -> tuple[State, Metrics]:
        key = step_key(state)
        if dropout:
            key = jax.random.fold_in(key, jax.lax.axis_index("data"))
        mine = gradients(state.parameters, rows, key)
        return update(state, jax.lax.psum(mine, "data"))

    # the check of replication is off, as it has no rules for attention kernels; the tests compare the devices instead
    return jax.shard_map(step, mesh=mesh, in_specs=(P(), P("data")), out_specs=P(), check_vma=False)
