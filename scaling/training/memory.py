"""The memory that a run takes on each device, from compiling its programs ahead of time, and what the devices have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from scaling.errors import UserError
from scaling.execution import Execution
from scaling.population import Population
from scaling.spec import Run
from scaling.training.program import Program, program_of
from scaling.training.sharding import check_layout

MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class Memory:
    """Bytes on each device, as XLA lays its buffers out; the program's own code and what a library takes are extra."""

    state: int
    """Parameters, moments and settings."""
    step: int
    """A training step: state, batch, gradients, activations."""
    evaluation: int
    """The state and the temporaries of a part of the held-out text."""

    @property
    def needed(self) -> int:
        """What has to be there for the run."""
        return max(self.step, self.evaluation)


def memory_of(program: Program, runs: Sequence[Run]) -> Memory:
    """The memory of `runs`, one a member, compiled and not executed; a persistent cache keeps what is compiled."""
    run = runs[0]
    state = jax.eval_shape(lambda: program.initial_state(runs))
    lead = (program.members,) if program.members > 1 else ()
    batch = jax.ShapeDtypeStruct((*lead, run.batch_rows, run.data.context + 1), np.int32)
    some = program.part_rows(run.data.eval_tokens // run.data.context, run.data.context)
    held_out = jax.ShapeDtypeStruct((some, run.data.context + 1), np.int32)
    step = _analysis(program.step, state, batch)
    evaluation = _analysis(program.evaluate, state.parameters, held_out)
    state_bytes = step.alias_size_in_bytes
    return Memory(
        state=state_bytes,
        step=step.argument_size_in_bytes + step.output_size_in_bytes + step.temp_size_in_bytes - state_bytes,
        evaluation=state_bytes + evaluation.temp_size_in_bytes + evaluation.output_size_in_bytes,
    )


def memory_of_populations(
    populations: Iterable[Population], execution: Execution, progress: Callable[[str, int, int], None]
) -> dict[Population, Memory]:
    """The memory of every population, each shape compiled once; raises UserError for one that cannot be laid out."""
    shapes: dict[tuple[int, int], list[Population]] = {}
    for population in populations:
        run = population.budgets[0][0]
        program = program_of(run, execution, population.members)
        check_layout(run, program.mesh, execution)
        shapes.setdefault((id(program), run.data.eval_tokens), []).append(population)
    found: dict[Population, Memory] = {}
    for number, alike in enumerate(shapes.values()):
        progress("compiling", number, len(shapes))
        runs = alike[0].budgets[0]
        found |= dict.fromkeys(alike, memory_of(program_of(runs[0], execution, len(runs)), runs))
    progress("compiling", len(shapes), len(shapes))
    return found


def capacity() -> int | None:
    """Bytes that a program may use on each device of this host, None where nothing tells.

    Of an accelerator what JAX reserves of its memory, of a CPU what is available now over the devices it plays.
    """
    device = jax.local_devices()[0]
    limit = (device.memory_stats() or {}).get("bytes_limit")
    if limit is not None:
        return int(limit)
    if device.platform != "cpu" or not MEMINFO.is_file():
        return None
    lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
    return 1024 * int(lines["MemAvailable"].split()[0]) // jax.local_device_count()


def check_memory(memory: Mapping[Population, Memory], there: int | None) -> None:
    """Raise UserError, naming the largest of them, where populations need more than is there on a device."""
    large = [population for population, its in memory.items() if there and its.needed > there]
    if not large or not there:
        return
    population = max(large, key=lambda population: memory[population].needed)
    need, run = memory[population], population.budgets[0][0]
    name = (
        run.trunk_name
        if population.members == 1
        else f"the population of {population.members} with {run.trunk_name}"
    )
    raise UserError(
        f"{name} needs {gibibytes(need.needed)} on each device, {gibibytes(need.state)} of it for its state, and there "
        f"are {gibibytes(there)}: {_remedy(population, need, there)}"
    )


def _remedy(population: Population, need: Memory, there: int) -> str:
    if population.members > 1:
        return "train fewer together with --pack"
    if need.state > there:
        return "split the state over more devices with --fsdp or --model-devices"
    if need.evaluation > need.step:
        return "compute the logits in smaller parts with --loss-chunks, or use more devices"
    return "use --microbatches, --remat full, --fsdp over more devices, or a smaller Optim.batch_tokens"


def gibibytes(size: float) -> str:
    """Bytes in GiB, or in MiB where that is less than one."""
    return f"{size / 2**30:.3g} GiB" if size >= 2**30 else f"{size / 2**20:.3g} MiB"


def _analysis(function: Any, *arguments: Any) -> Any:
    return function.lower(*arguments).compile().memory_analysis()
