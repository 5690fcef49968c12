"""The fit of a table: the one that a fit.json holds where it is of the same table and options, else made and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from analysis import fitting, record, rows
from analysis.errors import InputError
from analysis.evidence import Progress, combination, no_floor, with_evidence
from analysis.fitting import Fit
from analysis.floor.admissible import admitted
from analysis.floor.combination import Combination
from analysis.intervals.coverage import default_truths
from analysis.intervals.uncertainty import Bootstrap, bootstrap, grouping
from analysis.options import Options
from analysis.source import Source
from analysis.verbs import renames, version

if TYPE_CHECKING:
    import pandas as pd

Say = Callable[[str], None]


def stored_or_made(
    source: Source, options: Options, stored: Path, *, refit: bool = False, say: Say = print
) -> tuple[Fit, Bootstrap, Combination | None]:
    """The fit of the source with its evidence, its bootstrap, and it combined with the other admissible laws: from
    `stored` (fit.json) where that is of this table and these options, else made and written there.

    Raises InputError where `stored` is of another table, unless `refit`: a table that was edited after its fit must not
    pass for the fitted one.
    """
    if stored.is_file() and not refit:
        fit = record.read(stored)
        _require_same_table(fit, source, stored)
        if _is_of(fit, source, options):
            say(f"using {stored.name}: it is of this table and these options")
            return fit, *again(source, fit, options)
        say(f"{stored.name} is of this table and other options: fitting again")
    fit, boot, combined = _fit(source, options, say)
    record.write(fit, stored)
    return fit, boot, combined


def kept_or_made(
    source: Source, options: Options, home: Path, *, refit: bool = False, say: Say = print
) -> tuple[Fit, Bootstrap, Combination | None, Path]:
    """As `stored_or_made`, with the file that holds the fit, and never over one of another fit, to which predictions
    may refer: beside a fit.json of other options a new one is fit-HASH.json, by the first 8 digits of its SHA-256."""
    stored = home / "fit.json"
    if not stored.is_file():
        return *stored_or_made(source, options, stored, say=say), stored
    for path in (stored, *sorted(home.glob("fit-*.json"))):
        fit = record.read(path)
        if not refit and fit.table_sha256 == source.table_sha256 and _is_of(fit, source, options):
            return fit, *again(source, fit, options), path
    if not refit:
        _require_same_table(record.read(stored), source, stored)
    fit, boot, combined = _fit(source, options, say)
    digest = hashlib.sha256(record.as_text(fit).encode()).hexdigest()
    path = home / f"fit-{digest[:8]}.json"
    record.write(fit, path)
    say(f"{stored} is of other options or another table and is kept: predictions may refer to it")
    return fit, boot, combined, path


def again(source: Source, fit: Fit, options: Options) -> tuple[Bootstrap, Combination | None]:
    """The bootstrap and the combination that a stored fit was made with, which fit.json does not hold."""
    boot = _bootstrap(source, fit, options)
    if no_floor(fit):
        return boot, None
    return boot, combination(
        source.table,
        fit,
        laws=options.admit,
        clusters=options.clusters,
        seed=options.seed,
        level=options.level,
    )


def fitted(source: Source, options: Options) -> Fit:
    """The law fitted to the source, naming file, hash and version, without evidence."""
    found = fitting.fit(
        source.table,
        options.law,
        objective=options.minimised(),
        weights=options.weights or None,
        where=options.where or None,
        x=options.x,
        y=options.y,
    )
    renamed = renames(options.columns)
    theirs = {
        ours: f"column {name} of the table" for ours, name in renamed.items() if ours in found.conventions
    }
    return replace(
        found,
        conventions=found.conventions | theirs,
        table=source.table_path.name,
        renamed=renamed,
        table_sha256=source.table_sha256,
        version=version(),
    )


def too_few(source: Source, options: Options) -> str:
    """Why the table cannot be fitted, where it has fewer rows left than the law has parameters; else empty.

    Raises InputError for options or values that are wrong in any number of rows, as `rows.select` does.
    """
    chosen, parameters = _chosen(source, options), len(rows.law_named(options.law).parameters())
    if len(chosen.frame) >= parameters:
        return ""
    total = len(source.table)
    return f"{len(chosen.frame)} of {total} rows can be fitted, and the law {options.law} has {parameters} parameters"


def _chosen(source: Source, options: Options) -> rows.Rows:
    law = rows.law_named(options.law)
    columns, target = rows.law_columns(law, options.x), rows.law_target(law, options.y)
    rows.require_own_columns(law, columns, target)
    signed = rows.signed_columns(law, columns)
    return rows.select(
        source.table, columns, 0, options.where or None, target, signed, options.weights or None
    )


def _is_of(fit: Fit, source: Source, options: Options) -> bool:
    """Whether a stored fit is what these options would make of the source."""
    law = rows.law_named(options.law)
    sections = [(fit.tuning, {"warnings", "sweeps", "trends"})]
    if not no_floor(fit):
        judged = {"verdict", "lo", "hi", "falls", "trades", "alone", "admissible"}
        sections += [(fit.profile, {"lo", "hi", "values"}), (fit.identification, judged)]
    if any(not keys <= section.keys() for section, keys in sections) or not fit.holdout:
        return False
    frame = _chosen(source, options).frame
    asked = (
        options.law, options.where or None, options.weights or None, (options.objective, options.delta),
        options.replicates, options.seed,
        {options.level}, rows.law_columns(law, options.x), rows.law_target(law, options.y),
        grouping(frame, options.clusters)[1], len(frame), version(),
        () if no_floor(fit) else admitted(options.law, options.admit), _truths(frame, options), options.intervals,
    )  # fmt: skip
    stored = (
        fit.law, fit.where, fit.weighted_by, fit.objective_asked, fit.bootstrap.get("replicates"),
        fit.bootstrap.get("seed"), {interval["level"] for interval in fit.intervals.values()}, fit.columns,
        fit.target, fit.bootstrap.get("method"), fit.rows, fit.version,
        tuple(fit.identification.get("admissible", {}).get("admitted", ())), fit.coverage.get("truths", 0),
        tuple(fit.others),
    )  # fmt: skip
    return asked == stored and all(
        name in frame and (lo, hi) == (frame[name].min(), frame[name].max())
        for name, (lo, hi) in fit.data_span.items()
    )


def _truths(frame: pd.DataFrame, options: Options) -> int:
    """Simulated tables that coverage is measured on."""
    if options.coverage is not None:
        return options.coverage
    return default_truths(rows.law_named(options.law), len(frame), options.replicates)


def _fit(source: Source, options: Options, say: Say) -> tuple[Fit, Bootstrap, Combination | None]:
    say(f"fitting the law {options.law} to {source.table_path.name}")
    made, boot, combined = with_evidence(
        source.table,
        fitted(source, options),
        replicates=options.replicates,
        clusters=options.clusters,
        seed=options.seed,
        level=options.level,
        laws=options.admit,
        truths=options.coverage,
        methods=options.intervals,
        say=Progress(say=say),
    )
    return record.from_json(record.to_json(made)), boot, combined


def _bootstrap(source: Source, fit: Fit, options: Options) -> Bootstrap:
    return bootstrap(
        source.table,
        fit,
        replicates=options.replicates,
        clusters=options.clusters,
        seed=options.seed,
        level=options.level,
    )


def _require_same_table(fit: Fit, source: Source, stored: Path) -> None:
    if fit.table_sha256 != source.table_sha256:
        raise InputError(
            f"{stored} was fitted to a table with SHA-256 {fit.table_sha256}, but {source.table_path} now has "
            f"{source.table_sha256}: the table was changed after its fit; restore it, or fit again with --refit"
        )
