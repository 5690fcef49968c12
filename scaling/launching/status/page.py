"""A report as one HTML page that asks for nothing else and loads itself again; what comes from data is escaped."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from html import escape

from scaling.launching.status.active import Active
from scaling.launching.status.report import Report, attempt, elapsed, mfu, percent, speed
from scaling.launching.status.status import Failed
from scaling.launching.status.style import STYLE
from scaling.spec import count

ACTIVE, FAILED, RUNS = 200, 50, 1000
"""So many jobs and runs are on the page; the rest is counted."""


def page(report: Report, made: float, refresh: float) -> str:
    """The page, made at `made` (Unix seconds); it loads itself every `refresh` seconds, at 0 it is made once."""
    status = report.status
    again = f'<meta http-equiv="refresh" content="{max(1, round(refresh))}">\n' if refresh else ""
    parts = [_head(report, made, refresh), _tiles(report), _active(report), _failed(report)]
    parts += [_left_out(report), _fit(report), _runs(report)]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"{again}<title>{percent(status.totals.share)} of {_text(status.name)}</title>\n"
        f'<link rel="icon" href="data:,">\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n'
        + "\n".join(part for part in parts if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def _head(report: Report, made: float, refresh: float) -> str:
    status = report.status
    stamp = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(made))
    often = f"; it loads what was made last every {refresh:.0f} s" if refresh else ""
    if not refresh and not status.over:
        often = "; made once, it does not follow the study, as it does with --watch"
    said = [
        f"<h1>{_text(status.question or status.name)}</h1>",
        f'<p class="soft">Study {_text(status.name)}, spec ',
    ]
    said += [f"<code>{status.spec_sha256[:12]}</code>, in <code>{_text(status.path)}</code>. "]
    said += [f"Made {stamp}{often}.</p>", _bar(status.totals.share, "FLOPs done")]
    said += [f"<p><strong>{_text(report.progress)}</strong> are done. {_text(report.finished)}.</p>"]
    return "\n".join([*said, *(f'<p class="note">{_text(note)}</p>' for note in status.notes)])


def _tiles(report: Report) -> str:
    tiles = [("Jobs", report.jobs), ("So far", report.spent), ("Left", report.left), ("Cost", report.cost)]
    shown = [f"<div><dt>{name}</dt><dd>{_text(said)}</dd></div>" for name, said in tiles if said]
    below = [f"<p>Driver: {_text(report.status.driver)}.</p>"]
    if report.tensorboard:
        below.append(f"<p>Curves: <code>{_text(report.tensorboard)}</code></p>")
    return f'<dl class="tiles">\n{_lines(shown)}\n</dl>\n{_lines(below)}'


def _active(report: Report) -> str:
    jobs = report.status.active
    if not jobs:
        return ""
    driven = bool(report.status.jobs)
    names = ["Where", "Phase", "Done", "Steps", "Tokens/s", "MFU"]
    names += ["Attempt", "Time", "Alive?"] if driven else []
    title = "Running" if driven else "Begun and not finished"
    rows = [_job(job, names, driven) for job in jobs[:ACTIVE]]
    rest = f'<p class="soft">and {len(jobs) - ACTIVE} more</p>' if len(jobs) > ACTIVE else ""
    return f"<h2>{title}</h2>\n{_table(['Job', *names], rows, 'jobs')}\n{rest}"


def _job(job: Active, names: Sequence[str], driven: bool) -> str:
    done = f"{_bar(job.share, 'steps done')}{percent(job.share)}"
    texts = [
        _text(job.host),
        _text(job.phase),
        done,
        f"{job.steps_done} of {job.steps}",
        speed(job),
        mfu(job),
    ]
    texts += [attempt(job), elapsed(job), _text(job.life)] if driven else []
    numbers = {"Steps", "Tokens/s", "MFU", "Attempt", "Time"}
    cells = [
        f'<td{_class(name, numbers)} data-label="{name}">{text}</td>'
        for name, text in zip(names, texts, strict=True)
    ]
    return f"<tr><th>{_text(job.name)}</th>{''.join(cells)}</tr>"


def _class(name: str, numbers: set[str]) -> str:
    kind = "number" if name in numbers else {"Alive?": "words", "Where": "label"}.get(name, "")
    return f' class="{kind}"' if kind else ""


def _failed(report: Report) -> str:
    jobs = report.status.failed
    if not jobs:
        return ""
    rest = f'<p class="soft">and {len(jobs) - FAILED} more</p>' if len(jobs) > FAILED else ""
    return f"<h2>Failed</h2>\n{_lines(map(_failure, jobs[:FAILED]))}\n{rest}"


def _failure(job: Failed) -> str:
    times = f"{job.attempts} attempt{'s' if job.attempts != 1 else ''}"
    log = f"<pre>{_text(chr(10).join(job.log))}</pre>\n" if job.log else ""
    return (
        f'<h3>{_text(job.name)}</h3>\n<p><span class="bad">{_text(job.reason)}</span> ({times})</p>\n'
        f'{log}<p class="soft">Its log: <code>{_text(job.log_file)}</code></p>'
    )


def _left_out(report: Report) -> str:
    reasons = report.status.left_out
    if not reasons:
        return ""
    said = (f"<p>{n} job{'s' if n > 1 else ''}: {_text(reason)}</p>" for reason, n in reasons.items())
    return f"<h2>Left out</h2>\n{_lines(said)}"


def _fit(report: Report) -> str:
    if not report.fit:
        return ""
    return f"<h2>Early fit</h2>\n{_lines(f'<p>{_text(_sentence(said))}</p>' for said in report.fit)}"


def _runs(report: Report) -> str:
    runs = report.status.lines
    rows = [
        f'<tr><th>{_text(run.name)}</th><td class="number">{count(run.tokens)}</td><td>{_text(run.state)}</td></tr>'
        for run in runs[:RUNS]
    ]
    rest = f'<p class="soft">and {len(runs) - RUNS} more</p>' if len(runs) > RUNS else ""
    whole = _table(["Run", "D (tokens)", "State"], rows, "")
    opened = " open" if len(runs) <= 50 else ""
    return f"<h2>Runs</h2>\n<details{opened}><summary>A line a run</summary>\n{whole}\n{rest}</details>"


def _table(names: Sequence[str], rows: Iterable[str], kind: str) -> str:
    numbers = {"Steps", "Tokens/s", "MFU", "Attempt", "Time", "D (tokens)"}
    head = "".join(f"<th{_class(name, numbers)}>{name}</th>" for name in names)
    return (
        f'<div class="scroll {kind}" tabindex="0"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{_lines(rows)}\n</tbody></table></div>"
    )


def _bar(share: float, label: str) -> str:
    now = f'aria-valuenow="{100 * share:.0f}" aria-valuemin="0" aria-valuemax="100"'
    return (
        f'<span class="bar" role="progressbar" aria-label="{label}" {now}>'
        f'<span style="width:{100 * share:.1f}%"></span></span>'
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lines(parts: Iterable[str]) -> str:
    return "\n".join(parts)


def _text(text: str) -> str:
    return escape(text, quote=True)
