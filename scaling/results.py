"""What a finished run says of itself (`result.json`), and the table of all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any

from scaling.accounting import flops_per_token, parameters
from scaling.folder import StudyFolder
from scaling.record import canonical, plain, short_hash
from scaling.spec import Run, Study
from scaling.storage import children, pooled
from scaling.table import write
from scaling.tuning import rate_ranges

MEASURED = (
    *("D_unique", "L", "L_se", "bpb", "tokens_per_byte", "entropy", "excess", "excess_se"),
    *("device_seconds", "trunk_device_seconds", "compile_seconds", "mfu", "device", "devices", "precision"),
)
"""Columns of the table that a run that was trained to its end has measured; empty for others."""


def done(run: Run, population_id: str | None, **measured: Any) -> dict[str, Any]:
    """The result of a run that was trained to its end, alone or in a population, and measured."""
    return _result(run, population_id, "done", None, measured)


def diverged(run: Run, population_id: str | None, step: int, part: str) -> dict[str, Any]:
    """The result of a run whose loss or gradient was no number at `step`, in its trunk or its decay branch."""
    return _result(run, population_id, "diverged", {"step": step, "part": part}, {})


def results(runs: Sequence[Run], folder: StudyFolder) -> dict[Run, dict[str, Any]]:
    """What the finished ones of the runs say of themselves, in the order of `runs`; each file of a run that was begun
    is read once, many at a time."""
    there = set(children(folder.path))
    begun = [run for run in runs if run.run_id in there]
    found = zip(begun, pooled(folder.result, begun), strict=True)
    return {run: result for run, result in found if result is not None}


def collect(study: Study, folder: StudyFolder) -> int:
    """Write table.csv with a row for each finished run of the study; the number of rows."""
    found = results(study.runs, folder)
    before = _previous(found)
    rows = [row(run, result, before[run]) for run, result in found.items()]
    if rows:
        write(_with_rate_range(rows), folder.table_csv)
    else:
        folder.table_csv.unlink(missing_ok=True)  # one of another spec must not pass for this study's
    return len(rows)


def row(run: Run, result: dict[str, Any], previous: Run | None) -> dict[str, Any]:
    """The table's row of a run; `previous` is the finished run of its trunk before it.

    `C_spent` is what this row added to the study: its decay branch and the stretch of trunk since `previous` left it.
    """
    model, tokens = run.model, run.tokens
    blocks = model.kind != "linear"
    size, flops = parameters(model), flops_per_token(model)
    stretch = run.decay_start - (previous.decay_start if previous else 0)
    spent = stretch + run.decay_steps
    if result["diverged"]:
        spent = max(0, min(spent, spent - (run.steps - result["diverged"]["step"])))
    return {
        "run_id": run.run_id,
        "name": run.name,
        "trunk_id": run.trunk_id,
        "population_id": result.get("population_id"),
        "seed": run.seed,
        "data_seed": run.order_seed,
        "N": size.N,
        "N_total": size.total,
        "N_embedding": size.embedding,
        "N_head": size.head,
        "D": tokens,
        "C": flops.total * tokens,
        "C_6ND": 6 * size.N * tokens if blocks else None,
        "C_spent": flops.total * spent * run.optim.batch_tokens,
        **{f"C_{part}": value * tokens for part, value in dataclasses.asdict(flops).items()},
        "architecture": model.kind,
        "objective": model.objective,
        "parametrization": model.parametrization,
        "base_width": model.base_width if model.parametrization != "standard" else None,
        "init_scale": run.init_scale,
        "optimizer": run.optim.name,
        "lr": run.optim.lr,
        "decay_shape": run.decay_shape,
        "decay_to": run.decay_to,
        "sweep_id": sweep_id(run),
        "weight_decay": run.optim.weight_decay,
        "weight_decay_kind": run.optim.weight_decay_kind,
        "batch_tokens": run.optim.batch_tokens,
        "steps": run.steps,
        "depth": model.depth if blocks else None,
        "width": model.width if blocks else None,
        "heads": model.heads if blocks else None,
        "order": None if blocks else model.order,
        "context": model.context,
        "vocab": model.vocab,
        "corpus": run.data.corpus,
        "corpus_sha256": run.data.sha256,
        "decayed": run.decay_shape != "none",
        "status": result["status"],
        **{name: result["measured"].get(name) for name in MEASURED},
    }


def sweep_id(run: Run) -> str:
    """Hash of what runs of one sweep share: all fields but the peak rate and the seeds."""
    fields = {name: value for name, value in plain(run).items() if name not in ("seed", "data_seed")}
    optim = {name: value for name, value in fields["optim"].items() if name != "lr"}
    return short_hash(canonical(fields | {"optim": optim}))


def _with_rate_range(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with the column that depends on the others, and so is made anew with every table."""
    import pandas as pd

    told = rate_ranges(pd.DataFrame(rows))
    return [row | {"rate_range": found or None} for row, found in zip(rows, told, strict=True)]


def _result(
    run: Run,
    population_id: str | None,
    status: str,
    diverged_at: dict[str, Any] | None,
    measured: dict[str, Any],
) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "population_id": population_id,
        "run": dataclasses.asdict(run),
        "status": status,
        "diverged": diverged_at,
        "measured": measured,
        "versions": {name: version(name) for name in ("scaling", "jax", "flax", "optax")},
    }


def _previous(finished: Iterable[Run]) -> dict[Run, Run | None]:
    """For each finished run the one of its trunk that was trained before it, in the order of a Job."""
    trunks: dict[str, list[Run]] = {}
    for run in finished:
        trunks.setdefault(run.trunk_id, []).append(run)
    before: dict[Run, Run | None] = {}
    for runs in trunks.values():
        runs.sort(key=lambda run: (run.decay_start, run.steps))
        before |= zip(runs, [None, *runs], strict=False)
    return before
