"""The verb `trends`: growth of published models over time, from the project's own table or any other.

What is heavy is imported inside, as in `analysis.verbs`.
"""

from __future__ import annotations

import math
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from analysis.errors import InputError

if TYPE_CHECKING:
    from analysis.trends.calendar import Calendar
    from analysis.trends.study import Study
    from analysis.walls.scenario import Scenario


def trends(
    table: Annotated[Path | None, tyro.conf.Positional] = None,
    columns: tuple[str, ...] = (),
    where: str = "",
    since: str = "",
    until: str = "",
    windows: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    claim: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    top: int = 1,
    horizon: str = "",
    fit: Path | None = None,
    follow: str = "records",
    scenario: Path | None = None,
    stock: tuple[float, ...] = (),
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.9,
    today: str = "",
    out: Path = Path("runs/trends"),
    json: bool = False,
) -> None:
    """Say how fast parameters, training tokens and compute of published models grow, and hold claims to it.

    Args:
        table: a .csv or .parquet file with a row a model and columns model, organization, date, parameters, tokens,
            compute; without it the project's own table of landmark language models
        columns: names of our columns in the table, e.g. date=published parameters=params compute=flops
        where: use only rows for which this expression over columns is true, e.g. "organization != 'OpenAI'", or for
            dense models alone "active_parameters == parameters" (where empty, active_parameters are all parameters)
        since: use only models from this date on, e.g. 2018-01-01
        until: use only models up to this date
        windows: a further window in which all models are fitted, e.g. 2018-01-01..2022-07-01; may be given several
            times
        claim: a stated growth, e.g. "params doubling 3..6 months" or "compute growth 4..5 x a year"; may be given
            several times
        top: how many of the largest models at a date count as its records
        horizon: date to which the trends are carried on; without it two years after the last model
        fit: a study folder with a fit.json, or a fit.json: its law turns the trend of compute into a loss by year
        follow: whose compute that loss is for: "records" or "all"
        scenario: JSON file with what is assumed of text and recipes, as `limit` reads it; with --fit it tells when a
            wall binds, and the loss is that under it. Compute is the trend's
        stock: unique tokens there are to train on, one number or the two ends of a 90 % interval
        replicates: resamplings of the organisations
        seed: seed of the resampling
        level: level of all intervals
        today: date that no model may be later than; without it that of this machine
        out: folder for trends.json and report/
        json: print trends.json instead of the text
    """
    from analysis.trends import landmark, terminal
    from analysis.trends.trend_record import as_dict

    source = table or landmark.SHIPPED
    found = _found(
        source, columns, where, (since, until), windows, claim, top, (replicates, seed, level), today
    )
    end = _horizon(found, horizon)
    calendar = _calendar(found, fit, follow, end, (scenario, stock))
    note = landmark.note(source)
    content = {"note": note} | as_dict(found, end, calendar) | _provenance(source)
    page = _write(out, content, found, end, calendar, source)
    print(
        _dumped(content)
        if json
        else f"{terminal.text(found, end, calendar, note)}\n\nwrote {out / 'trends.json'}, {page}"
    )


def _found(
    source: Path, columns: tuple[str, ...], where: str, ends: tuple[str, str], windows: tuple[str, ...],
    claimed: tuple[str, ...], top: int, sampling: tuple[int, int, float], today: str,
) -> Study:  # fmt: skip
    import datetime

    from analysis.intervals.interval import check
    from analysis.trends import claims, dates, models
    from analysis.trends.study import Asked, study
    from analysis.trends.trend import Sampling
    from analysis.verbs import renames
    from scaling.table import read

    replicates, seed, level = sampling
    check(replicates, level)
    if level > 1 - 2 / replicates:
        raise InputError(
            f"--level is {level}, of which {replicates} replicates know no ends; give at most {1 - 2 / replicates:g}, "
            f"or --replicates {math.ceil(2 / (1 - level))}"
        )
    if seed < 0:
        raise InputError(f"--seed is {seed}; a seed is a whole number from 0 on")
    if top < 1:
        raise InputError(f"--top is {top}; it counts models, 1 for the records alone")
    asked = Asked(
        models.window(*ends),
        tuple(map(models.window_of, windows)),
        top,
        tuple(map(claims.parse, claimed)),
        Sampling(replicates, seed, level),
    )
    frame = read(source, models.columns_of(renames(columns)))
    day = dates.option(today, "today") if today else datetime.date.today()
    return study(models.select(frame, where or None, day), asked)


def _horizon(found: Study, horizon: str) -> float:
    """The end of what is foretold, as a year."""
    from analysis.trends import dates

    last = max(one.headline.last for one in found.quantities)
    if not horizon:
        return last + 2.0
    end = dates.year(dates.option(horizon, "horizon"))
    if not last <= end <= last + 100:
        raise InputError(
            f"--horizon is {horizon}; it must be after the last model, {dates.date(last)}, and within a century of it"
        )
    return end


def _calendar(
    found: Study, fit: Path | None, follow: str, end: float, walls: tuple[Path | None, tuple[float, ...]]
) -> Calendar | None:
    from analysis.trends.calendar import calendar, law, walled

    if follow not in ("records", "all"):
        raise InputError(
            f"--follow is {follow!r}; it is the compute of the records or of all models: records, all"
        )
    if fit is None:
        if any(walls):
            raise InputError("a scenario is put to a fitted law, and none is given; name one with --fit")
        return None
    compute = found.of("compute")
    if compute is None:
        raise InputError(
            "--fit turns compute into loss, and the table has no trend of compute; name it by --columns"
        )
    record = compute.record
    if follow == "records" and record is None:
        raise InputError("the records of compute give no trend to follow; use --follow all, or --top 5")
    trend = compute.headline if follow == "all" or record is None else record
    given = _scenario(walls, trend.last, float(10.0**trend.at_last), end)
    joined = law(fit)
    if given is None:
        return calendar(joined, trend, end)
    return walled(joined, trend, end, given, found.asked.sampling.seed)


def _scenario(
    walls: tuple[Path | None, tuple[float, ...]], start: float, compute: float, end: float
) -> Scenario | None:
    """The scenario of a file and a stock; its recipes better from the trend's last model on unless it says else."""
    from analysis.walls.scenario import read, scenario

    path, stock = walls
    given = (read(path) if path else {}) | ({"stock": list(stock)} if stock else {})
    if not given:
        return None
    return scenario({"start": start, "horizon": max(end, start + 1.0)} | given, compute=compute, today=start)


def _provenance(source: Path) -> dict[str, str]:
    from analysis.verbs import version
    from scaling.table import sha256

    return {"table": source.name, "table_sha256": sha256(source), "version": version()}


def _write(
    out: Path, content: dict[str, Any], found: Study, end: float, calendar: Calendar | None, source: Path
) -> Path:
    from analysis.pages.drawing import write_whole
    from analysis.trends.trend_report import write

    command = (
        "python -m analysis trends " + shlex.join(sys.argv[2:])
        if len(sys.argv) > 2
        else "python -m analysis trends"
    )
    record = f"{_dumped(content)}\n".encode()
    try:
        (out / "report" / "figures").mkdir(parents=True, exist_ok=True)
        page = write(found, end, calendar, record, out / "report", source.name, command, content["note"])
        write_whole(out / "trends.json", record)
    except OSError as error:
        raise InputError(
            f"cannot write in {out} ({error.strerror}); choose another folder with --out"
        ) from None
    return page


def _dumped(content: dict[str, Any]) -> str:
    import json

    return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)
