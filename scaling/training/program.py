"""The compiled functions of one shape: made once, used by every run of that shape."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from scaling.data.batches import host_slice
from scaling.data.languages import scored_of
from scaling.execution import DEFAULT, Execution
from scaling.models import build
from scaling.spec import Model, Optim, Run
from scaling.training.loss import Scored
from scaling.training.schedule import branch_schedule
from scaling.training.sharding import device_mesh, over_data, place, replicated
from scaling.training.state import Metrics, Settings, State, settings_of
from scaling.training.step import make_evaluate, make_excess, make_init, make_step

EVALUATION_TOKENS = 32_768


@dataclass(frozen=True)
class Program:
    """Initialisation, step and evaluation of one shape, jitted over a mesh; the step donates its state."""

    mesh: Mesh
    init: Callable[[Settings], State]
    step: Callable[[State, jax.Array], tuple[State, Metrics]]
    evaluate: Callable[[Any, jax.Array], jax.Array]
    excess: Callable[[Any, jax.Array, jax.Array], jax.Array]

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

    def _by_parts(self, measure: Callable[..., jax.Array], rows: np.ndarray, *more: np.ndarray) -> np.ndarray:
        """`measure` of so many rows at a time, of one shape, the last ones padded."""
        devices = self.mesh.shape["data"]
        size = devices * max(1, EVALUATION_TOKENS // ((rows.shape[1] - 1) * devices))
        size = min(size, -(-len(rows) // devices) * devices)
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
    mesh = device_mesh()
    module = build(model)
    whole, split = replicated(mesh), over_data(mesh)
    return Program(
        mesh=mesh,
        init=jax.jit(make_init(module, optim, model.context), out_shardings=whole),
        step=jax.jit(
            make_step(module, optim, scored),
            in_shardings=(whole, split),
            out_shardings=(whole, whole),
            donate_argnums=0,
        ),
        evaluate=jax.jit(make_evaluate(module, scored), in_shardings=(whole, split), out_shardings=whole),
        excess=jax.jit(make_excess(module, scored), in_shardings=(whole, split, split), out_shardings=whole),
    )
