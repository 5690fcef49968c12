"""The compiled functions of one shape: made once, used by every run of that shape."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax.sharding import Mesh

from scaling.data.batches import host_slice
from scaling.data.languages import scored_of
from scaling.execution import DEFAULT, Execution
from scaling.models import build
from scaling.spec import Data, Model, Optim, Run
from scaling.training.gradients import make_gradients
from scaling.training.loss import Scored, make_summed_loss
from scaling.training.mapped import make_mapped_step
from scaling.training.schedule import branch_schedule
from scaling.training.sharding import make_mesh, over_data, pinned, place, replicated, state_shardings
from scaling.training.state import Metrics, Settings, State, settings_of
from scaling.training.step import make_evaluate, make_excess, make_init, make_step, make_update

EVALUATION_TOKENS = 32_768


@dataclass(frozen=True)
class Program:
    """Initialisation, step and evaluation of one shape, jitted over a mesh; the step donates its state."""

    mesh: Mesh
    init: Callable[[Settings], State]
    step: Callable[[State, jax.Array], tuple[State, Metrics]]
    evaluate: Callable[[Any, jax.Array], jax.Array]
    excess: Callable[[Any, jax.Array, jax.Array], jax.Array]

    @property
    def in_flight(self) -> int:
        """Steps that may be under way at once, 1 or 2.

        Devices that are threads of one CPU meet in every sum: those of a step that are late find no thread left when
        the others already wait in the next one, and XLA ends the process after 40 s.
        """
        sums = self.mesh.shape["data"] * self.mesh.shape["model"] > 1
        return 1 if sums and self.mesh.devices.flat[0].platform == "cpu" else 2

    def initial_state(self, run: Run) -> State:
        """The state of `run`'s trunk before its first step."""
        return self.init(settings_of(run))

    def branch_off(self, state: State, run: Run) -> State:
        """A trunk's state with `run`'s decay ahead of it."""
        # placed like the rest of the state: elsewhere it would be another program
        schedule = jax.device_put(branch_schedule(run), replicated(self.mesh))
        return dataclasses.replace(state, settings=dataclasses.replace(state.settings, schedule=schedule))

    def held_out_losses(self, parameters: Any, rows: np.ndarray) -> np.ndarray:
        """Summed loss of each held-out row's scored tokens, nats: rows [r, t + 1] to float64 [r]."""
        return self._by_parts(lambda part: self.evaluate(parameters, part), rows)

    def held_out_excess(self, parameters: Any, rows: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """Summed divergence from exact probabilities [r, t, v] of each held-out row, nats: float64 [r]."""
        return self._by_parts(lambda *part: self.excess(parameters, *part), rows, probabilities)

    def part_rows(self, rows: int, context: int) -> int:
        """Of so many held-out rows, those measured at a time: a multiple of the data devices."""
        devices = self.mesh.shape["data"]
        size = devices * max(1, EVALUATION_TOKENS // (context * devices))
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
            values = measure(*(place(part[mine], self.mesh) for part in padded))
            found.append(np.asarray(values)[: size - missing])
        return np.concatenate(found).astype(np.float64)


def program_of(run: Run, execution: Execution = DEFAULT) -> Program:
    """The program of `run`'s shape: rates, decay, seed and budget are no part of it."""
    optim = dataclasses.replace(run.optim, lr=1.0, weight_decay=0.0)
    return _program(run.model, optim, scored_of(run.data), execution)


@functools.cache
def _program(model: Model, optim: Optim, scored: Scored, execution: Execution) -> Program:
    mesh = make_mesh(execution)
    module = build(model)
    init = make_init(module, optim, model.context)
    data = Data(context=model.context, eval_tokens=model.context)
    any_run = Run(model=model, data=data, optim=optim, steps=1, warmup_steps=0, decay_steps=1)
    state = state_shardings(jax.eval_shape(init, settings_of(any_run)), mesh, execution)
    whole, split = replicated(mesh), over_data(mesh)
    return Program(
        mesh=mesh,
        init=jax.jit(init, out_shardings=state),
        step=jax.jit(
            _step(module, model, optim, scored, mesh, execution),
            in_shardings=(state, split),
            out_shardings=(state, whole),
            donate_argnums=0,
        ),
        evaluate=jax.jit(
            pinned(make_evaluate(module, scored), mesh),
            in_shardings=(state.parameters, split),
            out_shardings=whole,
        ),
        excess=jax.jit(
            pinned(make_excess(module, scored), mesh),
            in_shardings=(state.parameters, split, split),
            out_shardings=whole,
        ),
    )


def _step(
    module: nn.Module, model: Model, optim: Optim, scored: Scored, mesh: Mesh, execution: Execution
) -> Callable[[State, jax.Array], tuple[State, Metrics]]:
    if not execution.mapped:
        return pinned(make_step(module, optim, scored, execution.microbatches), mesh)
    gradients = make_gradients(make_summed_loss(module, scored), execution.microbatches)
    draws = model.dropout > 0 or model.objective == "masked"
    return make_mapped_step(gradients, make_update(optim), mesh, draws)
