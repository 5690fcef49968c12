"""The verbs of `python -m analysis`: arguments are options of the command line; what is heavy is imported inside."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import tyro

from analysis.errors import InputError
from analysis.options import Options
from analysis.registered.future import Future
from analysis.walls.asked import Asked


def fit(
    table: Annotated[Path, tyro.conf.Positional],
    options: Annotated[Options, tyro.conf.arg(name="")],
    out: Path | None = None,
    explain: bool = False,
    json: bool = False,
) -> None:
    """Fit a law to a table of runs and say how sure it is.

    Args:
        table: a .csv or .parquet file with a row a run and columns N, D, L, or a study folder with a table.csv
        options: how the table is fitted
        out: where to write fit.json; nothing is written without it (`limit` and `report` write it by themselves)
        explain: say below the answer what its terms mean
        json: print fit.json and nothing else
    """
    from dataclasses import replace

    from analysis import record
    from analysis.evidence import Progress, with_evidence
    from analysis.glossary import explained
    from analysis.pages.findings import fitted
    from analysis.source import open_source
    from analysis.summary import summary

    if out is not None:
        record.check_target(out)
    source = open_source(table, renames(options.columns))
    found, *_ = with_evidence(
        source.table,
        replace(fitted(source, options), table=str(source.table_path)),
        replicates=options.replicates,
        clusters=options.clusters,
        seed=options.seed,
        level=options.level,
        laws=options.admit,
        truths=options.coverage,
        methods=options.intervals,
        say=Progress(),
    )
    if out is not None:
        record.write(found, out)
    text = summary(found)
    text += f"\n\nterms\n{explained(text)}" if explain else "\n\n--explain tells what the terms mean"
    _answer(record.to_json(found) if json else text, out)


def report(
    study: Annotated[Path, tyro.conf.Positional],
    options: Annotated[Options, tyro.conf.arg(name="")],
    asked: Annotated[Asked, tyro.conf.arg(name="")],
    at: tuple[float, ...] = (),
    refit: bool = False,
    out: Path | None = None,
) -> None:
    """Write a page that says what was asked, what was found and how sure it is: report/index.html, with its figures.

    Args:
        study: a study folder, or a .csv or .parquet file with columns N, D, L
        options: how the table is fitted
        asked: what else is asked of what lies beyond the data
        at: compute, in FLOPs, at which the expected loss is told; without it 10, 100 and 1000 times the largest run
        refit: fit again although fit.json is of another table
        out: folder for fit.json, limit.json and report/; without it the study's, or one beside a bare table
    """
    from analysis.pages.report import write_report

    page = write_report(study, options, out=out, at=at, refit=refit, asked=asked, say=_say)
    print(f"report: {page}")


def limit(
    study: Annotated[Path, tyro.conf.Positional],
    options: Annotated[Options, tyro.conf.arg(name="")],
    asked: Annotated[Asked, tyro.conf.arg(name="")],
    at: tuple[float, ...] = (),
    refit: bool = False,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Say what lies beyond the data: the floor if the runs identify one, and the loss at more compute.

    Args:
        study: a study folder, its fit.json, or a .csv or .parquet file with columns N, D, L
        options: how the table is fitted; with a fit.json, as that was
        asked: what else is asked of what lies beyond the data
        at: compute, in FLOPs, at which the expected loss is told; without it 10, 100 and 1000 times the largest run
        refit: fit again although fit.json is of another table
        out: folder for fit.json and limit.json; without it the study's, or one beside a bare table
        json: print limit.json and nothing else
    """
    from analysis.pages.answer import beyond
    from analysis.pages.report import write_limit

    found, path = write_limit(study, options, out=out, at=at, refit=refit, asked=asked, say=_say)
    _answer(found.limit if json else beyond(found), path)


def predict(
    study: Annotated[Path, tyro.conf.Positional],
    options: Annotated[Options, tyro.conf.arg(name="")],
    future: Annotated[Future, tyro.conf.arg(name="")],
    refit: bool = False,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Register what the fit says of runs that are yet to be made, with intervals, date and hash, for `verify`.

    Args:
        study: a fit.json with its table beside it, a study folder, or a .csv or .parquet file with columns N, D, L
        options: how the table is fitted; with a fit.json, as that was
        future: the runs
        refit: fit again although the stored fit.json is of another table
        out: the file that is written, never over another; without it prediction-NAME.json beside fit.json. The fit of a
            bare table is kept beside the file, in TABLE-report/
        json: print the file's content and nothing else
    """
    from analysis.registered.foretold import predicted
    from analysis.registered.registration import write_prediction

    content, path = write_prediction(study, options, future, out=out, refit=refit, say=_say)
    _answer(content if json else predicted(content), path)


def verify(
    files: Annotated[tuple[Path, ...], tyro.conf.Positional],
    where: str = "",
    columns: tuple[str, ...] = (),
    within: float = 0.02,
    sha256: str = "",
    strict: bool = False,
    json: bool = False,
) -> int:
    """Hold registered predictions to the runs that have come in.

    Args:
        files: one or more files that `predict` wrote, then the table or study folder with the runs
        where: expression over columns that is true of the predicted run alone, e.g. "name == '1B run'"; without it a
            run is found by its run_id or name, or by its columns
        columns: names of our columns in the table, e.g. N=params; without it those of the fit
        within: share by which each of the law's columns of a run may differ from the prediction's
        sha256: hash that was published; the (one) prediction must have it
        strict: exit with code 1 unless every run is inside its interval
        json: print one JSON document and nothing else
    """
    from analysis.record import jsonable
    from analysis.registered import verification
    from analysis.registered.foretold import verified

    if len(files) < 2 or (sha256 and len(files) > 2):
        raise InputError(
            f"verify takes prediction files, one where --sha256 is given, and then the table; not {len(files)} files"
        )
    *predictions, table = files
    found = [
        verification.verify(path, table, where=where, columns=renames(columns), within=within, sha256=sha256)
        for path in predictions
    ]
    if len({one.content["sha256"] for one in found}) < len(found):
        raise InputError("a prediction is named twice, and its runs would count twice; name each file once")
    _answer({"verified": jsonable([one.as_dict() for one in found])} if json else verified(found))
    return 1 if strict and not all(one.held for one in found) else 0


def known(
    tables: Annotated[tuple[Path, ...], tyro.conf.Positional],
    factors: tuple[float, ...] = (1.0, 3.0, 10.0, 30.0),
    methods: tuple[str, ...] = (),
    where: str = "",
    replicates: int = 300,
    seed: int = 0,
    level: float = 0.9,
    out: Path = Path("runs/known"),
) -> None:
    """Score ways to extrapolate on languages whose true limit is known: who finds it, from how little of the ladder.

    Args:
        tables: study folders, or .csv or .parquet files with a row a run and columns N, D, L, C, corpus (the
            language), entropy (its true limit in nats per token for a model of this context, 0 if the loss falls for
            ever) and, where it is known, excess (exact nats per token above it: then L is entropy + excess)
        factors: only runs with C at most C_max / factor are seen; the others are foretold
        methods: names of the methods to score, e.g. "hoffmann, pairs" coupled; without it all of them
        where: use only rows for which this expression over columns is true, e.g. "corpus != 'web'"
        replicates: refits of each bootstrap
        seed: seed of the resampling
        level: level of all intervals
        out: folder for limits.csv, forecasts.csv, scores.csv, known.json and the figure limits.png and .svg
    """
    from analysis.evidence import Progress
    from analysis.known.benchmark import Settings
    from analysis.known.known import write_known

    settings = Settings(factors, replicates, level, seed)
    print(write_known(tables, settings, methods, where, out, Progress()))


def _say(text: str) -> None:
    """A line of progress, apart from what the verb prints as its result."""
    print(text, file=sys.stderr, flush=True)


def _answer(answer: str | dict[str, Any], written: Path | None = None) -> None:
    """The verb's result on stdout: text and what was written, or one JSON document and nothing else."""
    if isinstance(answer, str):
        print(answer + (f"\n\nwrote {written}" if written else ""))
    else:
        print(dumps(answer, indent=1, allow_nan=False))


def renames(pairs: tuple[str, ...]) -> dict[str, str]:
    """{"N": "params"} from ("N=params",) or ("N=params,D=tokens",); raises InputError for anything else."""
    found = {}
    for pair in (part for item in pairs for part in item.split(",") if part):
        ours, equals, theirs = pair.partition("=")
        if not (ours and equals and theirs):
            raise InputError(f"--columns {pair!r} is not of the form OURS=THEIRS, e.g. N=params")
        found[ours] = theirs
    return found


def version() -> str:
    """Version of this software; empty where it runs uninstalled."""
    from importlib import metadata

    try:
        return metadata.version("scaling")
    except metadata.PackageNotFoundError:
        return ""
