"""The verb `plan`: what a study is, what it takes in memory, time and money, and what is doubtful about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.errors import UserError
from scaling.execution import Execution
from scaling.folder import StudyFolder
from scaling.launching.cost import calibration
from scaling.launching.cost.bill import price_for, print_cost
from scaling.launching.cost.costing import Planning
from scaling.launching.cost.estimator import Estimator
from scaling.launching.cost.naming import disagreements, unknown_device
from scaling.launching.cost.pace import size
from scaling.launching.cost.prices import Price, read_prices
from scaling.population import Population
from scaling.results import results as read_results
from scaling.spec import Model, Run

if TYPE_CHECKING:
    from scaling.training.memory import Memory

COMPILED, LARGEST = 16, 3
"""Up to so many shapes a plan compiles every one; of more, so many of the largest, which need the most memory."""


def show(asked: Planning) -> None:
    """Print all of it; raises UserError for a run that this machine is to train and cannot hold or lay out."""
    prices = read_prices(Path(asked.costing.prices)) if asked.costing.prices else ()
    results = read_results(asked.plan.study.runs, asked.folder)
    if asked.launch.on == "ray":
        _show_elsewhere(asked, results, prices)
    else:
        _show_here(asked, results, prices)


def _show_elsewhere(asked: Planning, results: Mapping[Run, Any], prices: tuple[Price, ...]) -> None:
    """A plan for a cluster: JAX is not asked for a device, which would take it from a worker on this machine."""
    from scaling.launching.tables import print_plan

    if asked.costing.calibrate:
        raise UserError(
            "--calibrate measures this machine, and --on ray trains on others: "
            "run `plan --calibrate` without --on ray on one of them"
        )
    device = _known_device(asked.costing.device, None) or _device_of(results)
    if prices:
        price_for(asked, device, prices)
    print_plan(asked.plan, results, asked.folder, {}, asked.costing.all)
    print("memory: not known here; each worker compiles its job and refuses what its devices cannot hold")
    estimator = calibration.estimator_of(
        asked.folder, results, device, 1, checkpoint_seconds=asked.checkpoint_seconds
    )
    print_cost(asked, results, estimator, device, prices, None)
    models = {job.runs[0].model for job in asked.plan.jobs}
    _print_warnings([*disagreements(map(asked.launch.for_model, models), device), *asked.warnings])


def _show_here(asked: Planning, results: Mapping[Run, Any], prices: tuple[Price, ...]) -> None:
    """A plan for this machine, whose devices say what a job of each shape holds."""
    import jax

    from scaling.launching.filling import on_this_machine
    from scaling.launching.local import layout, packing, pending_populations
    from scaling.launching.preparing import shown
    from scaling.launching.tables import print_plan
    from scaling.training.compiling import keep_compiled_programs
    from scaling.training.memory import check_memory, gibibytes

    execution = on_this_machine(asked.execution)
    here = jax.devices()[0].device_kind
    device = _known_device(asked.costing.device, here) or here
    if prices:
        price_for(asked, device, prices)
    pending = pending_populations(asked.plan, asked.folder, execution)
    with shown() as progress:
        measured = _measured(asked, pending, execution, progress) if asked.costing.calibrate else None
        keep_compiled_programs(asked.data_folder / "compiled")
        memory, left = _memory(pending, execution, progress, asked.costing.all)
    held = {run: gibibytes(of.needed) for run, of in memory.items()}
    print_plan(asked.plan, results, asked.folder, held, asked.costing.all)
    if left:
        print(
            f"memory: of the {len({run.model for run in memory})} largest shapes; {left} smaller ones were not "
            "compiled (--all compiles every shape)"
        )
    if measured is not None:
        _print_calibration(measured, asked.folder)
    estimator = _estimator_here(asked, results, device, here)
    compiled = frozenset(run.model for run in memory) - frozenset(measured.knots() if measured else ())
    ours = (pending, execution, compiled) if device == here else None
    print_cost(asked, results, estimator, device, prices, ours)
    _print_warnings(asked.warnings)
    for said in (packing(pending), layout(execution, max((p.members for p in pending), default=1))):
        if said:
            print(said)
    check_memory(memory)


def _measured(
    asked: Planning,
    pending: Sequence[Population],
    execution: Execution,
    progress: Callable[[str, int, int], None],
) -> calibration.Calibration:
    """The calibration, written into the study's folder. It is made before compiled programs are kept, so that it tells
    what compiling takes rather than reading what an earlier plan compiled."""
    from scaling.launching.cost.probing import calibrate

    probed = pending or tuple(Population((job,)) for job in asked.plan.jobs)
    made = calibrate(probed, asked.data_folder, execution, progress)
    calibration.write(asked.folder, made)
    return made


def _estimator_here(asked: Planning, results: Mapping[Run, Any], device: str, here: str) -> Estimator:
    """With a probe of matrix products as the last resort, where the device is this machine's."""
    from scaling.launching.cost.pace import probed

    estimator = calibration.estimator_of(
        asked.folder, results, device, 1, checkpoint_seconds=asked.checkpoint_seconds
    )
    products = [run.model for run in asked.plan.study.runs if run.model.kind != "linear"]
    if device == here and products and estimator.rate(products[0]) is None:
        estimator.fall_back(probed())
    return estimator


def _memory(
    pending: Sequence[Population],
    execution: Execution,
    progress: Callable[[str, int, int], None],
    every: bool,
) -> tuple[dict[Run, Memory], int]:
    """The memory of runs, and the shapes that were left out: all but the LARGEST where there are more than
    COMPILED.

    Memory grows with parameters and with the tokens that a device holds, so that the largest by both are compiled. The
    layout of every run is checked all the same.
    """
    from scaling.training.memory import memory_of_runs
    from scaling.training.sharding import check_layout, make_mesh

    shapes = {population.jobs[0].runs[0].model for population in pending}
    if every or len(shapes) <= COMPILED:
        return memory_of_runs(pending, execution, progress), 0
    for population in pending:
        check_layout(population.jobs[0].runs[0], make_mesh(execution, population.members), execution)
    weight: dict[Model, float] = {}
    for population in pending:
        run = population.jobs[0].runs[0]
        model = run.model
        activations = run.optim.batch_tokens * (model.depth * model.width + model.vocab)
        heavy = population.members * (size(model) + activations)
        weight[model] = max(weight.get(model, 0.0), heavy)
    chosen = set(sorted(weight, key=lambda model: weight[model])[-LARGEST:])
    chosen.add(max(shapes, key=size))
    compiled = [population for population in pending if population.jobs[0].runs[0].model in chosen]
    return memory_of_runs(compiled, execution, progress), len(shapes - chosen)


def _known_device(device: str, here: str | None) -> str | None:
    """The device asked for, None for none; raises UserError for one of which nothing is known."""
    from scaling.devices import peak_of

    if not device:
        return None
    if device != here and peak_of(device) is None:
        raise unknown_device(device, here)
    return device


def _device_of(results: Mapping[Run, Any]) -> str | None:
    """The kind of device that trained the most finished runs, None before any is done."""
    kinds = [result["measured"].get("device") for result in results.values()]
    kinds = [kind for kind in kinds if kind]
    return max(set(kinds), key=kinds.count) if kinds else None


def _print_warnings(warnings: Sequence[str]) -> None:
    for warning in warnings:
        print(f"warning: {warning}")


def _print_calibration(measured: calibration.Calibration, folder: StudyFolder) -> None:
    for probe in measured.probes:
        used = "MFU unknown (no known peak)" if probe.mfu is None else f"MFU {100 * probe.mfu:.3g} %"
        print(
            f"calibrated: {size(probe.model):,} parameters x {probe.members} on {measured.devices} {measured.device}: "
            f"{probe.tokens_per_second:,.0f} tokens/s, {probe.flops_per_second:.3g} FLOP/s a device, {used}, compiled "
            f"in {probe.compile_seconds:.2g} s, a checkpoint in {probe.save_seconds:.2g} s"
        )
    print(f"calibration: {folder.path / calibration.FILE}")
