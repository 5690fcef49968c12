"""The compiled functions of one shape: made once, used by every run of that shape, alone or as a population."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from scaling.data.batches import batch, host_slice
from scaling.data.languages import scored_of
from scaling.data.rows import Rows
from scaling.execution import DEFAULT, Execution
from scaling.models import module_of
from scaling.spec import Data, Model, Optim, Run
from scaling.training.gradients import make_gradients
from scaling.training.loss import Scored, make_summed_loss
from scaling.training.mapped import make_mapped_step
from scaling.training.schedule import branch_schedule
from scaling.training.sharding import (
    make_mesh,
    over_data,
    over_members,
    pinned,
    place,
    state_shardings,
)
from scaling.training.state import Metrics, Settings, State, settings_of
from scaling.training.step import make_evaluate, make_excess, make_init, make_step, make_update

EVALUATION_TOKENS = 32_768


@dataclass(frozen=True)
class Program:
    """Initialisation, step and evaluation of one shape, jitted over a mesh; the step donates its state.

    With several members, every array of the state, every batch and every metric has a leading axis of members [p].
    """

    mesh: Mesh
    members: int
    precision: str
    """Of matrix products and activations: float32 or bfloat16."""
    init: Callable[[Settings], State]
    step: Callable[[State, jax.Array], tuple[State, Metrics]]
    evaluate: Callable[[Any, jax.Array], jax.Array]
    excess: Callable[[Any, jax.Array, jax.Array], jax.Array]
    pick: Callable[[State, np.int32], State]
    """One member's state out of a population's."""
    called: list[bool] = field(default_factory=list, compare=False)
    """Not empty when the step has been called: the first call of a process takes the time to make it."""

    @property
    def waits(self) -> bool:
        """Whether each step must be over before the next begins.

        Devices that are threads of one CPU meet in every sum: those of a step that are late find no thread left when
        the others already wait in the next one, and XLA ends the process after 40 s.
        """
        sums = self.mesh.shape["data"] * self.mesh.shape["model"] > 1
        return sums and self.mesh.devices.flat[0].platform == "cpu"

    def initial_state(self, runs: Sequence[Run]) -> State:
        """The state of the runs' trunks, a run a member, before their first step."""
        return self.init(stacked([settings_of(run) for run in runs]))

    def branch_off(self, state: State, runs: Sequence[Run]) -> State:
        """Trunks' state with the runs' decay ahead of it."""
        schedule = stacked([branch_schedule(run) for run in runs])
        # placed like the rest of the state: elsewhere it would be another program
        schedule = jax.device_put(schedule, jax.tree.map(lambda x: x.sharding, state.settings.schedule))
        return dataclasses.replace(state, settings=dataclasses.replace(state.settings, schedule=schedule))

    def batch(self, rows: Rows, seeds: Sequence[int], step: int, batch_rows: int) -> jax.Array:
        """The rows of a step on the mesh, in each member's order: tokens [b, t + 1] or [p, b, t + 1]."""
        host, hosts = jax.process_index(), jax.process_count()
        orders = {seed: batch(rows, seed, step, batch_rows, host, hosts) for seed in dict.fromkeys(seeds)}
        return place(stacked([orders[seed] for seed in seeds]), self.mesh, self.members)

    def apart(self, state: State) -> Iterator[State]:
        """Each member's state."""
        if self.members == 1:
            yield state
        else:
            yield from (self.pick(state, np.int32(number)) for number in range(self.members))

    def together(self, states: Sequence[State], like: State) -> State:
        """The population's state of its members' states, placed like `like`."""
        if self.members == 1:
            return states[0]
        shardings = jax.tree.map(lambda x: x.sharding, like)
        if jax.process_count() > 1:  # no host can read what lies on the devices of another
            return jax.jit(_stack, out_shardings=shardings)(*states)
        whole = jax.tree.map(lambda *parts: np.stack([np.asarray(part) for part in parts]), *states)
        return jax.device_put(whole, shardings)

    def held_out_losses(self, parameters: Any, rows: np.ndarray) -> np.ndarray:
        """Summed loss of each held-out row's scored tokens, nats: rows [r, t + 1] to float64 [members, r]."""
        return self._by_parts(lambda part: self.evaluate(parameters, part), rows)

    def held_out_excess(self, parameters: Any, rows: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """Summed divergence from exact probabilities [r, t, v] of each held-out row, nats: float64 [members, r]."""
        return self._by_parts(lambda *part: self.excess(parameters, *part), rows, probabilities)

    def part_rows(self, rows: int, context: int) -> int:
        """Of so many held-out rows, those measured at a time: a multiple of the data devices, fewer the more members a
        device has."""
        devices = self.mesh.shape["data"]
        a_device = self.members // self.mesh.shape["population"]
        size = devices * max(1, EVALUATION_TOKENS // (context * devices * a_device))
        return min(size, -(-rows // devices) * devices)

    def _by_parts(self, measure: Callable[..., jax.Array], rows: np.ndarray, *more: np.ndarray) -> np.ndarray:
        """`measure` of so many rows at a time, of one shape, the last ones padded."""
        size = self.part_rows(len(rows), rows.shape[1] - 1)
        mine = host_slice(size, jax.process_index(), jax.process_count())
        found = []
        for start in range(0, len(rows), size):
            parts = [array[start : start + size] for array in (rows, *more)]
            missing = size - len(parts[0])
            padded = [np.pad(part, ((0, missing), *((0, 0),) * (part.ndim - 1))) for part in parts]
            values = np.asarray(measure(*(place(part[mine], self.mesh) for part in padded)))
            found.append(values.reshape(self.members, size)[:, : size - missing])
        return np.concatenate(found, axis=1).astype(np.float64)


def program_of(run: Run, execution: Execution = DEFAULT, members: int = 1) -> Program:
    """The program of `run`'s shape: rates, decay, seed and budget are no part of it."""
    optim = dataclasses.replace(run.optim, lr=1.0, weight_decay=0.0)
    return _program(run.model, optim, scored_of(run.data), execution, members)


@functools.cache
def _program(model: Model, optim: Optim, scored: Scored, execution: Execution, members: int) -> Program:
    mesh = make_mesh(execution, members)
    module = module_of(model, execution, mesh)
    parts = execution.loss_chunks, mesh.shape["data"]
    mine = execution.loss_chunks, 1 if execution.mapped else mesh.shape["data"]
    dropout = model.dropout > 0
    gradients = make_gradients(make_summed_loss(module, scored, *mine), execution.microbatches, dropout)
    update = make_update(module, optim)
    if execution.mapped and mesh.shape["data"] > 1:
        step = make_mapped_step(gradients, update, mesh, dropout)
    else:
        step = pinned(make_step(gradients, update), mesh)
    init = make_init(module, optim, model.context)
    like = jax.eval_shape(init, settings_of(_any_run(model, optim)))
    one, state = (state_shardings(like, mesh, execution, number) for number in (1, members))
    rows, metrics = over_data(mesh), over_members(mesh, members)

    each = functools.partial(for_each_member, mesh, members)
    return Program(
        mesh=mesh,
        members=members,
        precision=jnp.dtype(module.dtype).name,
        init=jax.jit(each(init, 0), out_shardings=state),
        step=jax.jit(
            each(step, 0, 0),
            in_shardings=(state, over_data(mesh, members)),
            out_shardings=(state, metrics),
            donate_argnums=0,
        ),
        evaluate=jax.jit(
            each(pinned(make_evaluate(module, scored, *parts), mesh), 0, None),
            in_shardings=(state.parameters, rows),
            out_shardings=metrics,
        ),
        excess=jax.jit(
            each(pinned(make_excess(module, scored, *parts), mesh), 0, None, None),
            in_shardings=(state.parameters, rows, rows),
            out_shardings=metrics,
        ),
        pick=jax.jit(
            lambda population, number: jax.tree.map(lambda leaf: jnp.take(leaf, number, axis=0), population),
            out_shardings=one,
        ),
    )


def for_each_member(
    mesh: Mesh, members: int, function: Callable[..., Any], *axes: int | None
) -> Callable[..., Any]:
    """`function` of every member, with no word between them; `axes` says which arguments have an axis of members.

    Where the mesh splits nothing but the population, it is mapped over the devices, and a member that has a device to
    itself runs the very program that it would run alone.
    """
    apart = mesh.shape["population"]
    if members == 1:
        return function
    if mesh.size > apart:
        return jax.vmap(function, in_axes=axes, spmd_axis_name="population")

    def mine(*arguments: Any) -> Any:
        if members > apart:
            return jax.vmap(function, in_axes=axes)(*arguments)
        own = [
            argument if axis is None else jax.tree.map(lambda leaf: leaf[0], argument)
            for argument, axis in zip(arguments, axes, strict=True)
        ]
        return jax.tree.map(lambda leaf: jnp.expand_dims(leaf, 0), function(*own))

    specs = tuple(P() if axis is None else P("population") for axis in axes)
    return jax.shard_map(mine, mesh=mesh, in_specs=specs, out_specs=P("population"), check_vma=False)


def _any_run(model: Model, optim: Optim) -> Run:
    """A run of a shape, for the shapes of its state."""
    data = Data(context=model.context, eval_tokens=model.context)
    return Run(model=model, data=data, optim=optim, steps=1, warmup_steps=0, decay_steps=1)


def _stack(*states: State) -> State:
    return jax.tree.map(lambda *parts: jnp.stack(parts), *states)


def stacked(parts: Sequence[Any]) -> Any:
    """What the members of a population have, in arrays with a leading axis; a single one's as it is."""
    return parts[0] if len(parts) == 1 else jax.tree.map(lambda *leaves: np.stack(leaves), *parts)
