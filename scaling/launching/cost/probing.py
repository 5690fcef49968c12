"""The probe of `plan --calibrate`: trains a few steps of some shapes of a study on this machine, and times them.

It writes nothing into the study: what it saves to time a checkpoint goes to a temporary folder of this machine's disk.
"""

from __future__ import annotations

import datetime
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from scaling.accounting import palm, training_flops
from scaling.devices import mfu, peak_of
from scaling.execution import Execution
from scaling.launching.cost.calibration import Calibration, Probe, processor
from scaling.launching.cost.pace import size
from scaling.population import Population
from scaling.spec import Model

SECONDS = 3.0
"""Of training that is timed, a shape."""
WARM_STEPS = 2
"""Not timed: the first step of a process makes its program."""
IN_FLIGHT = 10
"""Steps that the device may be ahead of the host, about as in training."""
MOST_STEPS = 2000


def calibrate(
    populations: Sequence[Population],
    data_folder: Path,
    execution: Execution,
    progress: Callable[[str, int, int], None],
    seconds: float = SECONDS,
) -> Calibration:
    """Time the smallest, the median and the largest shape of some populations, at their real batch, trained together as
    `run` trains them."""
    import jax

    from scaling.training.program import program_of

    chosen = typical(populations)
    probes = []
    for number, population in enumerate(chosen):
        progress("calibrating", number, len(chosen))
        probes.append(_probe(population, data_folder, execution, seconds))
    progress("calibrating", len(chosen), len(chosen))
    program = program_of(chosen[0].jobs[0].runs[0], execution, chosen[0].members)
    device = jax.devices()[0].device_kind
    return Calibration(
        device=device,
        processor=processor() if device == "cpu" else "",
        devices=program.mesh.size,
        precision=program.precision,
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        versions={name: version(name) for name in ("scaling", "jax", "flax", "optax", "orbax-checkpoint")},
        probes=tuple(probes),
    )


def typical(populations: Sequence[Population]) -> list[Population]:
    """One population each of the smallest, the median and the largest shape, by parameters; the largest population of
    the shape, since that is how most of its runs are trained."""
    by_shape: dict[Model, Population] = {}
    for population in populations:
        model = population.jobs[0].runs[0].model
        if model not in by_shape or by_shape[model].members < population.members:
            by_shape[model] = population
    ordered = sorted(by_shape, key=lambda model: (size(model), repr(model)))
    places = sorted({0, len(ordered) // 2, len(ordered) - 1})
    return [by_shape[ordered[place]] for place in places]


def _probe(population: Population, data_folder: Path, execution: Execution, seconds: float) -> Probe:
    import jax

    from scaling.data.rows import prepare_rows
    from scaling.training.memory import check_memory, memory_of
    from scaling.training.program import program_of
    from scaling.training.sharding import check_layout

    runs = population.budgets[0]
    first, members = runs[0], population.members
    program = program_of(first, execution, members)
    check_layout(first, program.mesh, execution)
    memory = memory_of(program, first)
    check_memory(dict.fromkeys(runs, memory))
    rows = prepare_rows(first.data, data_folder)["train"]
    seeds = [run.order_seed for run in runs]
    state = program.initial_state(runs)
    done, begun = 0, time.perf_counter()
    while done < WARM_STEPS + 1 or (time.perf_counter() - begun < seconds and done < MOST_STEPS):
        batch = program.batch(rows, seeds, done, first.batch_rows)
        state, metrics = program.step(state, batch)
        done += 1
        if program.waits or done <= WARM_STEPS or done % IN_FLIGHT == 0:
            jax.block_until_ready((state, metrics))
        if done == WARM_STEPS:
            begun = time.perf_counter()
    jax.block_until_ready(state)
    took, steps = time.perf_counter() - begun, done - WARM_STEPS
    pace = steps * members * first.optim.batch_tokens / took
    devices = program.mesh.size
    peak = peak_of(program.mesh.devices.flat[0].device_kind)
    linear = first.model.kind == "linear"
    return Probe(
        model=first.model,
        members=members,
        batch_tokens=first.optim.batch_tokens,
        steps=steps,
        seconds=took,
        tokens_per_second=pace,
        flops_per_second=training_flops(first.model, pace) / devices,
        mfu=None if linear else mfu(palm(first.model), pace, devices, peak, program.precision),
        compile_seconds=memory.compile_seconds,
        save_seconds=_save_seconds(next(program.apart(state))),
    )


def _save_seconds(state: object) -> float:
    """Seconds to write a member's checkpoint, the second of two: the first one loads what Orbax needs."""
    from scaling.training.checkpoint import Checkpoints

    with (
        tempfile.TemporaryDirectory(prefix="scaling-calibration-") as folder,
        Checkpoints(Path(folder)) as saves,
    ):
        saves.save(1, state, {})
        begun = time.perf_counter()
        saves.save(2, state, {})
        return time.perf_counter() - begun
