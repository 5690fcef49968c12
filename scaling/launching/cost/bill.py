"""The bill of a study before it is trained: device-hours, time by the clock and money, and what each rests on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scaling.errors import UserError
from scaling.execution import Execution
from scaling.launching.cost.costing import Planning
from scaling.launching.cost.estimator import START_SECONDS, Estimate, Estimator, wall_seconds
from scaling.launching.cost.prices import Price, amount, price_of
from scaling.launching.display import duration
from scaling.launching.launch import Launch
from scaling.launching.task import Task, tasks_of
from scaling.plan import Job
from scaling.population import Population, populations
from scaling.spec import Model, Run

WORTH_SAYING = 0.05
"""Branches trained with their trunks are proposed where they save that share of the device-hours or more."""


def print_cost(
    asked: Planning,
    results: Mapping[Run, Any],
    estimator: Estimator,
    device: str | None,
    prices: tuple[Price, ...],
    here: tuple[Sequence[Population], Execution, frozenset[Model]] | None,
) -> None:
    """Device-hours, time and money that are left; unknown where nothing tells, never 0."""
    tasks = _tasks_apart(asked, results)
    if not tasks:
        print("nothing is left to train")
        return
    total = estimator.study(tasks, results.__contains__, lambda task: devices_of(asked.launch.for_task(task)))
    where = device or "the cluster's devices"
    _check_at_hand(asked, tasks)
    if here is not None:
        print_time_here(estimator, results, *here)
    if total is None:
        print(f"device-hours: unknown on {where}: {_why_unknown(asked, device)}")
    else:
        print(
            f"device-hours: about {_hours(total)} left on {where}, trunks shared{_sizes(asked, tasks)}; "
            f"{_hours(_from_scratch(asked, results, estimator))} if every run left were trained from scratch, each a "
            "job of its own"
        )
        print(f"  from {total.source}")
        for said in _cheaper_together(asked, tasks, results, estimator, total):
            print(said)
        print(
            "  counted: training, evaluation, compiling once a job, starts of workers, checkpoints; not counted: work "
            "lost to interruptions, idle devices, storage"
        )
    if asked.costing.devices_at_hand:
        _print_wall(asked, tasks, results, estimator, where)
    if prices:
        _print_money(asked, total, device, prices)


def print_time_here(
    estimator: Estimator,
    results: Mapping[Run, Any],
    pending: Sequence[Population],
    execution: Execution,
    compiled: frozenset[Model],
) -> None:
    """One population after another on all devices of this machine, as `run` trains them: it starts once, and compiles
    once the shapes that are not `compiled` yet."""
    from scaling.training.sharding import make_mesh

    shapes = {population.jobs[0].runs[0].model for population in pending}
    once = START_SECONDS + len(shapes - compiled) * estimator.overheads.compile
    here = estimator.with_overheads(start=0.0, compiled=shapes)
    total = Estimate(once, once / 2, once * 2, "")
    for population in pending:
        one = here.estimate(
            Task(population), results.__contains__, make_mesh(execution, population.members).size
        )
        if one is None:
            print(
                "time on this machine: not known before a run is done or --calibrate has measured, as no probe of "
                "matrix products tells how fast a linear model is"
            )
            return
        total = total + one
    span = f"{duration(total.low)} to {duration(total.high)}"
    print(f"time on this machine: about {duration(total.seconds)} left ({span}), from {total.source}")


def _check_at_hand(asked: Planning, tasks: Sequence[Task]) -> None:
    at_hand = asked.costing.devices_at_hand
    most = max((devices_of(asked.launch.for_task(task)) for task in tasks), default=0)
    if at_hand and most > at_hand:
        raise UserError(f"--devices-at-hand {at_hand} is less than the {most} devices of one job; give more")


def _print_wall(
    asked: Planning, tasks: Sequence[Task], results: Mapping[Run, Any], estimator: Estimator, where: str
) -> None:
    at_hand = asked.costing.devices_at_hand
    takes = {devices_of(asked.launch.for_task(task)) for task in tasks}
    least, most = min(takes), max(takes)
    bounds = [_wall(asked, tasks, results, estimator, bound) for bound in ("seconds", "low", "high")]
    if None in bounds:
        print(f"time on {at_hand} devices at once: unknown")
        return
    likely, low, high = (duration(seconds or 0.0) for seconds in bounds)
    places = at_hand // most
    each = f" of {most} devices each" if most > 1 else ""
    said = (
        f"on {places} place{'s' if places > 1 else ''}{each}"
        if least == most
        else f"of {least} to {most} devices"
    )
    print(
        f"time on {at_hand} devices at once: about {likely} ({low} to {high}) on {where}, {len(tasks)} jobs {said}"
    )


def _wall(
    asked: Planning,
    tasks: Sequence[Task],
    results: Mapping[Run, Any],
    estimator: Estimator,
    bound: str = "seconds",
) -> float | None:
    """Seconds by the clock on the devices at hand, by one of an estimate's bounds; None where a task's are unknown."""
    takes = {task.task_id: devices_of(asked.launch.for_task(task)) for task in tasks}
    took = {}
    for task in tasks:
        one = estimator.estimate(task, results.__contains__, takes[task.task_id])
        if one is None:
            return None
        took[task.task_id] = float(getattr(one, bound))
    return wall_seconds(
        tasks,
        lambda task: took[task.task_id],
        asked.costing.devices_at_hand,
        lambda task: takes[task.task_id],
    )


def price_for(asked: Planning, device: str | None, prices: tuple[Price, ...]) -> Price:
    """What an hour of the device costs; raises UserError where the table has no price of it, or there is no device."""
    if device is None:
        raise UserError("--prices needs to know the device; give --device with one of its names")
    return price_of(device, prices, Path(asked.costing.prices))


def _print_money(
    asked: Planning, total: Estimate | None, device: str | None, prices: tuple[Price, ...]
) -> None:
    path, price = asked.costing.prices, price_for(asked, device, prices)
    at = f"{price.an_hour:g} {price.currency} a device-hour ({path}{': ' + price.note if price.note else ''})"
    if total is None:
        print(f"money: unknown, at {at}")
        return
    cost = total * (price.an_hour / 3600)
    low, likely, high = map(amount, (cost.low, cost.seconds, cost.high))
    print(f"money: about {likely} {price.currency} left ({low} to {high}), at {at}")


def _tasks_apart(asked: Planning, results: Mapping[Run, Any]) -> tuple[Task, ...]:
    """The jobs that are left as a cluster would train them, branches apart where there are places for more of them."""
    from scaling.launching.filling import members_asked, members_of_accelerators

    each = devices_of(asked.launch)

    def members(job: Job) -> int:
        if (told := members_asked(asked.execution)) is not None:
            return told
        own = asked.launch.for_model(job.runs[0].model)
        if own.hosts > 1 or own.slice:
            return 1
        accelerated = own.accelerated or asked.costing.device not in ("", "cpu")
        return members_of_accelerators(job, devices_of(own)) if accelerated else 1

    made = populations(asked.plan.jobs, members, asked.folder.begun_populations(), results.__contains__)
    places = asked.costing.devices_at_hand // each
    apart = asked.launch.branches == "apart" or (asked.launch.branches == "auto" and places > len(made))
    return tasks_of(made, apart, results.__contains__)


def devices_of(launch: Launch) -> int:
    """Devices of a job: the accelerators of its hosts, or one CPU device for each core."""
    return launch.devices if launch.accelerated else max(1, launch.hosts * math.ceil(launch.cpus))


def _sizes(asked: Planning, tasks: Sequence[Task]) -> str:
    """What jobs hold, where that is more than a device."""
    takes = {devices_of(asked.launch.for_task(task)) for task in tasks}
    if takes == {1}:
        return ""
    return (
        f", jobs of {min(takes)} devices"
        if len(takes) == 1
        else f", jobs of {min(takes)} to {max(takes)} devices"
    )


def _cheaper_together(
    asked: Planning, tasks: Sequence[Task], results: Mapping[Run, Any], estimator: Estimator, apart: Estimate
) -> list[str]:
    """That branches set apart by themselves cost more than they need, where they do: each begins and compiles anew."""
    if asked.launch.branches != "auto" or not any(task.part == "branch" for task in tasks):
        return []
    together = tasks_of(dict.fromkeys(task.population for task in tasks), False, results.__contains__)
    found = estimator.study(
        together, results.__contains__, lambda task: devices_of(asked.launch.for_task(task))
    )
    if found is None or found.seconds > (1 - WORTH_SAYING) * apart.seconds:
        return []
    clock = _wall(asked, together, results, estimator)
    return [
        f"  so many places set branches apart, {len(tasks)} jobs that each start and compile; in {len(together)} jobs "
        f"(--branches together) it takes about {_hours(found)} and {duration(clock or 0.0)} by the clock"
    ]


def _from_scratch(asked: Planning, results: Mapping[Run, Any], estimator: Estimator) -> Estimate | None:
    """Device-seconds of every run left as a job of its own, from its first step."""
    alone = [Task(Population((Job((run,)),))) for run in asked.plan.study.runs if run not in results]
    return estimator.study(alone, devices=lambda task: devices_of(asked.launch.for_task(task)))


def _why_unknown(asked: Planning, device: str | None) -> str:
    if device is None:
        return "name the workers' device with --device, or finish a run there first"
    if any(run.model.kind == "linear" for run in asked.plan.study.runs):
        return "no peak tells how fast a linear model is; finish a run, or measure with --calibrate there"
    return "its peak is not known; finish a run, or measure with --calibrate there"


def _hours(estimate: Estimate | None) -> str:
    if estimate is None:
        return "unknown"
    hours = estimate * (1 / 3600)
    return f"{hours.seconds:.3g} ({hours.low:.3g} to {hours.high:.3g})"
