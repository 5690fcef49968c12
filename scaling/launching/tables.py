"""Plans and the state of studies as text tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from scaling.accounting import parameters, training_flops
from scaling.folder import StudyFolder
from scaling.launching.display import outcome
from scaling.plan import Job, Plan
from scaling.spec import Model, Run, count
from scaling.storage import is_local
from scaling.training.metrics import read

MANY = 200
"""Runs above which a plan has a line a shape instead of a line a run."""


def print_plan(
    plan: Plan,
    results: Mapping[Run, dict[str, Any]],
    folder: StudyFolder,
    memory: Mapping[Run, str],
    every: bool = False,
) -> None:
    """A line a run, or a shape where there are more than MANY and not `every` one is asked for, then what all of it is;
    `memory` is what a device has to hold, where that is known."""
    listed = every or len(plan.study.runs) <= MANY
    Console().print(_runs(plan, results, folder, memory) if listed else _shapes(plan, results, memory))
    if not listed:
        print(f"{len(plan.study.runs)} runs by shape; --all prints every run")
    print(f"question: {plan.study.question}")
    trunks = f"{len(plan.jobs)} trunk{'s' if len(plan.jobs) > 1 else ''}"
    print(
        f"{len(plan.study.runs)} runs on {trunks}, {count(_tokens(plan))} tokens, budgets rounded up to whole batches"
    )
    print(
        f"cost: {plan.flops:.3g} FLOPs, where every run from scratch would cost {plan.flops_from_scratch:.3g}"
    )


def _runs(
    plan: Plan, results: Mapping[Run, dict[str, Any]], folder: StudyFolder, memory: Mapping[Run, str]
) -> Table:
    table = _table("run", "N", "D", "D/N", "C (FLOPs)", "steps", "memory", "state")
    for job in plan.jobs:
        for run in job.runs:
            n, c = parameters(run.model).N, training_flops(run.model, run.tokens)
            ratio = f"{run.tokens / n:.3g}"
            numbers = (count(n), count(run.tokens), ratio, f"{c:.3g}", str(run.steps), memory.get(run, ""))
            table.add_row(
                run.name, *numbers, outcome(results[run]) if run in results else _state(run, folder)
            )
    return table


def _shapes(plan: Plan, results: Mapping[Run, dict[str, Any]], memory: Mapping[Run, str]) -> Table:
    table = _table("shape", "N", "runs", "trunks", "D", "C (FLOPs)", "memory", "state")
    shapes: dict[Model, list[Job]] = {}
    for job in plan.jobs:
        shapes.setdefault(job.runs[0].model, []).append(job)
    for model, jobs in shapes.items():
        runs = [run for job in jobs for run in job.runs]
        budgets = sorted({run.tokens for run in runs})
        span = count(budgets[0]) if len(budgets) == 1 else f"{count(budgets[0])}-{count(budgets[-1])}"
        finished = sum(run in results for run in runs)
        held = next((memory[run] for run in runs if run in memory), "")
        numbers = (count(parameters(model).N), str(len(runs)), str(len(jobs)), span)
        cost = f"{sum(job.flops for job in jobs):.3g}"
        words = f"linear n{model.order}" if model.kind == "linear" else f"w{model.width}-d{model.depth}"
        table.add_row(words, *numbers, cost, held, f"{finished} done" if finished else "waiting")
    return table


def fetching(folder: StudyFolder) -> tuple[str, str]:
    """A line that says how to fetch the table from a bucket, empty where it lies on a disk; and what to analyse."""
    if is_local(folder.path):
        return "", str(folder.path)
    table, name = str(folder.table_csv), f"{folder.path.name}.csv"
    scheme = table.split("://")[0]
    command = {"gs": "gcloud storage cp", "s3": "aws s3 cp"}.get(scheme)
    return f"fetch: {command} {table} {name}\n" if command else f"fetch: copy {table} to {name}\n", name


def _state(run: Run, folder: StudyFolder) -> str:
    result = folder.result(run)
    if result is not None:
        return outcome(result)
    for place, what in ((folder.run(run), "decay branch"), (folder.trunk(run), "trunk")):
        records = read(place / "metrics.jsonl")
        if records:
            return f"{what} at step {min(records[-1]['step'], run.steps)} of {run.steps}"
    return "waiting"


def _tokens(plan: Plan) -> float:
    return sum(job.steps * job.runs[0].optim.batch_tokens for job in plan.jobs)


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        words = number == 0 or column == "state"
        table.add_column(column, justify="left" if words else "right", no_wrap=not words, overflow="fold")
    return table
