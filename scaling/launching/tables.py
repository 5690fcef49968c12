"""Plans and the state of studies as text tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich import box
from rich.console import Console
from rich.table import Table

from scaling.accounting import parameters, training_flops
from scaling.folder import StudyFolder
from scaling.launching.display import duration, outcome
from scaling.launching.pace import Pace
from scaling.plan import Plan
from scaling.spec import Run, count
from scaling.storage import is_local
from scaling.training.metrics import read


def print_plan(
    plan: Plan, warnings: list[str], folder: StudyFolder, pace: Pace | None, memory: Mapping[Run, str]
) -> None:
    """A line a run, then what all of it costs, then what is doubtful; `memory` is what a device has to hold, and `pace`
    None where nothing tells it."""
    table = _table("run", "N", "D", "D/N", "C (FLOPs)", "steps", "memory", "state")
    for job in plan.jobs:
        for run in job.runs:
            n, c = parameters(run.model).N, training_flops(run.model, run.tokens)
            ratio = f"{run.tokens / n:.3g}"
            numbers = (count(n), count(run.tokens), ratio, f"{c:.3g}", str(run.steps), memory.get(run, ""))
            table.add_row(run.name, *numbers, _state(run, folder))
    console = Console()
    console.print(table)
    pending = [job for job in plan.jobs if any(folder.result(run) is None for run in job.runs)]
    left = sum(job.flops for job in pending)
    shapes = len({job.runs[0].model for job in pending})
    print(f"question: {plan.study.question}")
    trunks = f"{len(plan.jobs)} trunk{'s' if len(plan.jobs) > 1 else ''}"
    print(
        f"{len(plan.study.runs)} runs on {trunks}, {count(_tokens(plan))} tokens, budgets rounded up to whole batches"
    )
    print(
        f"cost: {plan.flops:.3g} FLOPs, where every run from scratch would cost {plan.flops_from_scratch:.3g}"
    )
    unknown = (
        "not known before a run is done, as no probe of matrix products tells how fast a linear model is"
    )
    known = pace and f"about {duration(pace.seconds(left, shapes))} left, from {pace.source}"
    print(f"time on this machine: {known or unknown}")
    for warning in warnings:
        print(f"warning: {warning}")


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
