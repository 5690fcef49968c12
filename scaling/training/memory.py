"""The memory that a run takes on each device, from compiling its programs ahead of time, and what the devices have."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from scaling.data.languages import is_language
from scaling.errors import UserError
from scaling.execution import Execution
from scaling.population import Population
from scaling.spec import Run
from scaling.training.compiling import CompileClock
from scaling.training.program import Program, program_of, stacked
from scaling.training.sharding import check_layout
from scaling.training.state import settings_of

MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class Memory:
    """Bytes on each device, as XLA lays its buffers out; the program's own code and what a library takes are extra."""

    state: int
    """Parameters, moments and settings."""
    step: int
    """A training step: state, batch, gradients, activations."""
    evaluation: int
    """The state, and what the evaluation of a part of the held-out text takes."""
    members: int = 1
    """Models trained together that it is the memory of."""
    devices: int = 1
    """Devices that they are trained on."""
    compile_seconds: float = 0.0
    """Seconds that the two programs took to compile, or to be read from the cache of compiled programs."""

    @property
    def needed(self) -> int:
        """What has to be there for the run."""
        return max(self.step, self.evaluation)


def memory_of(program: Program, run: Run) -> Memory:
    """The memory of `run` and members like it, compiled and not executed; a persistent cache keeps the programs."""
    state = jax.eval_shape(program.init, stacked([settings_of(run)] * program.members))
    members = () if program.members == 1 else (program.members,)
    rows = jax.ShapeDtypeStruct((*members, run.batch_rows, run.data.context + 1), np.int32)
    some = program.part_rows(run.data.eval_tokens // run.data.context, run.data.context)
    held = jax.ShapeDtypeStruct((some, run.data.context + 1), np.int32)
    with CompileClock() as clock:
        step = _analysis(program.step, state, rows)
        evaluations = [_analysis(program.evaluate, state.parameters, held)]
        if is_language(run.data.corpus) and run.model.causal:
            exact = jax.ShapeDtypeStruct((some, run.data.context, run.model.vocab), np.float32)
            evaluations.append(_analysis(program.excess, state.parameters, held, exact))
    state_bytes, parameters_and_rows = step.alias_size_in_bytes, evaluations[0].argument_size_in_bytes

    def beside(evaluation: Any) -> int:
        """What it has beside the state: results, temporaries, and exact probabilities among its arguments."""
        more = evaluation.argument_size_in_bytes - parameters_and_rows
        return int(more + evaluation.temp_size_in_bytes + evaluation.output_size_in_bytes)

    return Memory(
        state=state_bytes,
        step=_bytes(step),
        evaluation=state_bytes + max(beside(evaluation) for evaluation in evaluations),
        compile_seconds=clock.seconds,
        members=program.members,
        devices=program.mesh.size,
    )


def memory_of_runs(
    populations: Iterable[Population],
    execution: Execution,
    progress: Callable[[str, int, int], None],
    stop_wanted: Callable[[], bool] = lambda: False,
) -> dict[Run, Memory]:
    """The memory of every run with those that train with it, each shape compiled once; raises UserError for a run that
    cannot be laid out. Ends early, with the shapes that are done, when it is asked to stop."""
    shapes: dict[tuple[int, int], tuple[Program, list[Run]]] = {}
    for population in populations:
        runs = [run for job in population.jobs for run in job.runs]
        program = program_of(runs[0], execution, population.members)
        check_layout(runs[0], program.mesh, execution)
        key = (id(program), runs[0].data.eval_tokens)
        shapes.setdefault(key, (program, []))[1].extend(runs)
    found: dict[Run, Memory] = {}
    for number, (program, alike) in enumerate(shapes.values()):
        if stop_wanted():
            return found
        progress("compiling", number, len(shapes))
        found |= dict.fromkeys(alike, memory_of(program, alike[0]))
    progress("compiling", len(shapes), len(shapes))
    return found


def capacity(devices: int) -> int | None:
    """Bytes that a program may use on each of its `devices`, None where nothing tells.

    Of an accelerator what JAX reserves of its memory, of a CPU what is available now over those of the devices it plays
    that are on this host.
    """
    device = jax.local_devices()[0]
    limit = (device.memory_stats() or {}).get("bytes_limit")
    if limit is not None:
        return int(limit)
    if device.platform != "cpu" or not MEMINFO.is_file():
        return None
    lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
    return 1024 * int(lines["MemAvailable"].split()[0]) // min(devices, jax.local_device_count())


def check_memory(memory: dict[Run, Memory], capacity: Callable[[int], int | None] = capacity) -> None:
    """Raise UserError, naming the largest of them, where runs need more than the `capacity` of each of so many
    devices."""
    room = {devices: capacity(devices) for devices in {need.devices for need in memory.values()}}
    large = [run for run, need in memory.items() if need.needed > (room[need.devices] or math.inf)]
    if not large:
        return
    run = max(large, key=lambda run: memory[run].needed)
    need = memory[run]
    there = room[need.devices] or 0
    others = f" ({len(large)} runs need too much)" if len(large) > 1 else ""
    together = f" with {need.members - 1} trained together with it" if need.members > 1 else ""
    if need.members > 1:
        remedy = "train fewer together with --pack"
    elif need.state > there:
        remedy = "split the state over more devices with --fsdp or --model-devices"
    elif need.evaluation > need.step:
        remedy = "compute the logits in smaller parts with --loss-chunks, or use more devices"
    else:
        remedy = "use --microbatches, --remat full, --fsdp over more devices, or a smaller Optim.batch_tokens"
    raise UserError(
        f"{run.name}{together} needs {gibibytes(need.needed)} on each device{others}, "
        f"{gibibytes(need.state)} of them for the state, and there are {gibibytes(there)}: {remedy}"
    )


def gibibytes(size: float) -> str:
    """Bytes in GiB, or in MiB where that is less than one."""
    return f"{size / 2**30:.3g} GiB" if size >= 2**30 else f"{size / 2**20:.3g} MiB"


def _analysis(function: Any, *arguments: Any) -> Any:
    return function.lower(*arguments).compile().memory_analysis()


def _bytes(analysis: Any) -> int:
    return (
        analysis.argument_size_in_bytes
        + analysis.output_size_in_bytes
        + analysis.temp_size_in_bytes
        - analysis.alias_size_in_bytes
    )
