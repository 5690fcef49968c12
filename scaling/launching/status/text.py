"""A report as tables and lines for a terminal, or as plain text elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from scaling.launching.status.active import Active
from scaling.launching.status.report import Report, attempt, elapsed, mfu, percent, speed
from scaling.spec import count

RUN_LINES = 50
"""A study of at most so many runs has a line for each of them."""
ACTIVE, FAILED, LOG, REASONS = 12, 3, 5, 4
"""So many jobs, and lines of a log, are shown unless all are asked for."""
BAR = 30
COLUMNS = {"where": 0, "phase": 0, "done": 120, "steps": 0, "tokens/s": 0, "MFU": 90}
COLUMNS |= {"attempt": 0, "time": 100, "alive?": 110}
"""Columns of what runs, and the least width of a terminal that has room for each."""
WRAPPED = ("state", "alive?")
DRIVEN = ("attempt", "time", "alive?")
"""Those of which only a driver knows."""


def rendered(
    report: Report, everything: bool = False, lines: bool = True, plain: bool = True, width: int = 160
) -> Group:
    """All that is said: the runs first where `lines` allows, the answer last, where the eye is.

    `everything` leaves nothing out; `plain` keeps to ASCII in bars; of `width` columns there is room for.
    """
    status = report.status
    parts: list[Any] = []
    if everything or (lines and status.runs <= RUN_LINES):
        parts.append(_runs(report))
    parts += [*_head(report, plain), *_active(report, everything, width), *_failed(report, everything)]
    parts += [
        *_left_out(report, everything),
        *_money(report),
        *(Text(f"note: {note}") for note in status.notes),
    ]
    return Group(*parts, *early(report))


def early(report: Report) -> list[Text]:
    """The early fit, a line each."""
    sentences = report.fit
    return [Text(("early fit: " if not n else "  ") + sentence) for n, sentence in enumerate(sentences)]


def table(*columns: str, words: Sequence[str] = ("state",)) -> Table:
    """A table without lines; the first column and `words` are text, the others numbers."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        text = number == 0 or column in words
        made.add_column(
            column, justify="left" if text else "right", no_wrap=column not in WRAPPED, overflow="fold"
        )
    return made


def _runs(report: Report) -> Table:
    made = table("run", "D", "state")
    for run in report.status.lines:
        made.add_row(Text(run.name), count(run.tokens), Text(run.state))
    return made


def _head(report: Report, plain: bool) -> list[Text]:
    status = report.status
    said = [Text(f"study {status.name}: {status.question}" if status.question else f"study {status.name}")]
    said += [Text(f"{report.finished}; spec {status.spec_sha256[:12]}")]
    said += [Text(f"{bar(status.totals.share, plain)} {report.progress}")]
    said += [Text(f"driver: {status.driver}")]
    return said + ([Text(f"jobs: {report.jobs}")] if report.jobs else [])


def _active(report: Report, everything: bool, width: int) -> list[Any]:
    jobs = report.status.active
    if not jobs:
        return []
    shown = jobs if everything else jobs[:ACTIVE]
    driven = bool(report.status.jobs)
    columns = [name for name, least in COLUMNS.items() if width >= least and (driven or name not in DRIVEN)]
    made = table("running" if driven else "begun", *columns, words=("where", "phase", "alive?"))
    for job in shown:
        cells = _cells(job)
        made.add_row(Text(job.name), *(Text(cells[name]) for name in columns))
    rest = len(jobs) - len(shown)
    return [made, *([Text(f"and {rest} more (--all shows them)")] if rest else [])]


def _cells(job: Active) -> dict[str, str]:
    return {
        "where": job.host.split(".")[0],
        "phase": job.phase,
        "done": percent(job.share),
        "steps": f"{job.steps_done}/{job.steps}",
        "tokens/s": speed(job),
        "MFU": mfu(job),
        "attempt": attempt(job),
        "time": elapsed(job),
        "alive?": job.life,
    }


def _failed(report: Report, everything: bool) -> list[Text]:
    jobs = report.status.failed
    said = []
    for job in jobs if everything else jobs[:FAILED]:
        times = f"{job.attempts} attempt{'s' if job.attempts != 1 else ''}"
        said.append(Text(f"failed: {job.name}, {times}: {job.reason}", style="bold red"))
        said += [_whole(f"  | {line}") for line in (job.log if everything else job.log[-LOG:])]
        said.append(_whole(f"  its log: {job.log_file}"))
    rest = len(jobs) - (len(jobs) if everything else min(FAILED, len(jobs)))
    return said + ([Text(f"and {rest} more failed (--all shows them)")] if rest else [])


def _left_out(report: Report, everything: bool) -> list[Text]:
    reasons = list(report.status.left_out.items())
    shown = reasons if everything else reasons[:REASONS]
    return [Text(f"left out: {number} job{'s' if number > 1 else ''}: {reason}") for reason, number in shown]


def _money(report: Report) -> list[Text]:
    said = [f"so far: {report.spent}", f"left: {report.left}"]
    if report.cost:
        said.append(f"cost: {report.cost}")
    if report.tensorboard:
        said.append(f"curves: {report.tensorboard}")
    return list(map(_whole, said))


def bar(share: float, plain: bool) -> str:
    """A bar of BAR characters."""
    full = int(BAR * share)
    return f"[{'#' * full}{'.' * (BAR - full)}]" if plain else "█" * full + "░" * (BAR - full)


def _whole(line: str) -> Text:
    """A line that is not broken, so that it can be copied."""
    return Text(line, no_wrap=True, overflow="ignore")
