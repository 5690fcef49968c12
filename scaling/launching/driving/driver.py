"""A study as jobs on an engine: what is done is read from files, what is left is launched, watched and tried again.

The driver needs no accelerator and never asks JAX for one. It may die at any moment: the next call goes on from the
files, and workers that a dead driver left behind lose their claims to the new ones.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from scaling.execution import Execution
from scaling.folder import StudyFolder
from scaling.launching.driving.desk import Desk
from scaling.launching.driving.ledger import Ledger
from scaling.launching.driving.news import News
from scaling.launching.driving.ordering import Orders
from scaling.launching.driving.pending import Results, pending_tasks
from scaling.launching.driving.ticker import LiveTicker, PlainTicker, ticker
from scaling.launching.driving.under_way import Driving
from scaling.launching.engine import Engine
from scaling.launching.launch import Launch
from scaling.launching.lock import while_held
from scaling.launching.recording import EXIT_INTERRUPTED, Outcome, Recording
from scaling.plan import Plan
from scaling.results import collect

Clock = Callable[[], float]

WRITE_SECONDS = 0.2
"""Spent on files of waiting jobs between two looks at the engine."""


def launch_study(
    plan: Plan,
    folder: StudyFolder,
    data_folder: Path,
    recording: Recording,
    execution: Execution,
    launch: Launch,
    engine: Engine,
    clock: Clock = time.monotonic,
) -> Outcome:
    """Train what is not done on an engine, which is closed at the end, and write the table.

    Raises UserError where another driver holds the study, no node could hold a job, or files cannot be written. A
    storage that fails is borne for some minutes; then all is stopped as by a signal.
    """
    from scaling.launching.local import fill_copies, stop_on_signals

    with contextlib.closing(engine), folder.locked() as held:
        folder.write_study(plan.study, iter(plan.lines()))
        results = Results(folder, plan.study.runs)
        tasks = pending_tasks(plan, results, execution, launch, engine.places())
        engine.check(tasks)
        orders = Orders(folder, plan.study.spec_sha256, data_folder, recording, execution, launch)
        ledger = Ledger(results.survey, launch)  # which knows what was there, and asks for nothing twice
        ledger.settle(tasks, results.outcomes)
        ledger.suppose(tasks, results.outcomes)
        with (
            stop_on_signals(engine.close) as stop_wanted,
            ticker(clock) as shown,
            Desk(plan.study, folder, launch, ledger, clock) as desk,
        ):
            news = News(folder, results, shown)
            if tasks:
                news.say(f"jobs to train: {len(tasks)}; places for them: {engine.places()}")
            driving = Driving(tasks, orders, engine, clock, ledger, results, news)
            holds = while_held(lambda: False, held, folder.path)
            driving.drive(
                lambda: stop_wanted() or holds(),  # in this order: a signal is heard while the storage fails
                lambda: _keep_current(driving, desk, shown),
            )
            outcome = driving.outcome()
            code = outcome.exit_code
            desk.ending = "interrupted" if code == EXIT_INTERRUPTED else "failed" if code else "finished"
        with driving.outage.borne() if driving.outage.over else contextlib.nullcontext():
            fill_copies(plan, folder, recording)
            collect(plan.study, folder)
        return outcome


def _keep_current(driving: Driving, desk: Desk, shown: PlainTicker | LiveTicker) -> None:
    """Write files and the table, and show how far it is, each when it is time."""
    borne, clock = driving.outage.borne, driving.clock
    with borne():
        desk.beat(driving.scheduler.spent(clock()), driving.stopping)
    with borne():
        driving.ledger.write_some(WRITE_SECONDS)
    with borne():
        desk.table(driving.results)
    shown.show(driving.watch.standing())
