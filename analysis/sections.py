"""The tables of a report: trust, floor, fit, outlook, runs, cost, conventions, provenance."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis import notation
from analysis.answer import STATUSES, VERDICTS
from analysis.answer import value as claimed
from analysis.laws import LAWS
from analysis.notation import MISSING
from analysis.page import Cell, Column, Html, element, facts, joined, number, table

if TYPE_CHECKING:
    import pandas as pd

    from analysis.findings import Findings
    from analysis.source import Source

GREEK = {"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "kappa": "κ"}
ROLES = {"E": "the floor: loss that neither parameters, tokens nor compute remove"}
MEANINGS = {
    "N": "N, parameters",
    "D": "D, training tokens",
    "C": "C, training compute",
    "L": "L, loss",
}


def section(identity: str, title: str, *parts: object) -> Html:
    """A part of the page under a heading that can be linked to."""
    return element("section", element("h2", title, id=identity), *parts)


def trust(cuts: Sequence[Mapping[str, Any]]) -> Html:
    """Rolling origin: what each fit of smaller runs said of the larger ones."""
    columns = [
        Column("Predicted how far"), Column("Runs fitted"), Column("Runs predicted"), Column("Mean error"),
        Column("Worst error"), Column("Bias"), Column("Inside interval"), Column("Error against the best naive forecast", "words"),
    ]  # fmt: skip
    rows = [_cut(cut) if not cut["skipped"] else _skipped(cut) for cut in cuts]
    note = (
        "Each row fits the law to the runs up to a share of the largest compute and predicts those beyond. Errors are "
        "relative; a bias above 0 means that the predictions were too pessimistic. Naive forecasts: the best loss seen so "
        "far, and straight lines in logarithmic axes."
    )
    return joined([element("p", note), table("Predictions of larger runs", columns, rows)])


def floor(found: Findings) -> Html:
    """The verdict on E and its evidence."""
    verdict, fit = found.verdict, found.fit
    scan, percentile = verdict["profile"], verdict["bootstrap"]
    trades = {k: v for k, v in verdict["trades"].items() if v is not None and math.isfinite(v)}
    strongest = max(trades, key=lambda name: abs(trades[name]), default=None)
    pairs: list[tuple[str, object]] = [
        ("Verdict", element("strong", VERDICTS[verdict["verdict"]])),
        ("Why", verdict["reason"]),
        ("Range by the profile", f"{_ends(scan)} ({notation.percent(scan['level'])}, {scan['method']})"),
        ("Range by the bootstrap", f"{_ends(percentile)} ({notation.percent(percentile['level'])}, {percentile['method']})"),
        ("Best loss measured", f"{notation.fixed(float(found.fitted['L'].min()), 3)} nats per token"),
        ("Condition number", f"{_condition(fit.condition_number)} (above 30 parameters trade against each other)"),
    ]  # fmt: skip
    if strongest:
        said = f"{symbol(strongest)} (rank correlation over the replicates {trades[strongest]:+.2f})"
        pairs.append(("E trades against", Html(said)))
    falls = ", ".join(f"{name} {notation.times(fall)}" for name, fall in verdict["falls"].items())
    pairs.append(("Fall of each term over the runs", f"{falls} (below 2× a floor cannot be read off)"))
    return facts("Verdict on the floor and its evidence", pairs)


def law(found: Findings) -> Html:
    """The law, how it was fitted, and its parameters with intervals."""
    fit, boot = found.fit, found.bootstrap
    statuses = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in boot.statuses.items())
    clusters = (
        f"whole {boot.method.split(':')[1]} groups ({boot.units})"
        if boot.method != "pairs"
        else "single runs"
    )
    pairs: list[tuple[str, object]] = [
        ("Law", equation(fit.law)),
        ("Objective", f"Huber loss of log residuals with δ = {notation.plain(fit.objective.delta)}, summed: {fit.value:.4g}"),
        ("Beyond δ", f"{notation.percent(fit.linear_share)} of the rows, where the loss is linear and outliers pull less"),
        ("Status", f"{fit.status.replace('_', ' ')}. {STATUSES[fit.status]}"),
        ("Restarts", f"{fit.restarts.reached} of {fit.restarts.tried} starts reached the best objective"),
        ("Rows", f"{fit.rows} fitted, {len(fit.excluded)} left out" + (f" (kept: {fit.where})" if fit.where else "")),
        ("Intervals", f"percentiles of {boot.replicates} bootstrap refits of {clusters}, each searched globally ({statuses})"),
    ]  # fmt: skip
    columns = [
        Column("Parameter", ""),
        Column("Value"),
        Column("Interval"),
        Column("Level"),
        Column("What it is", "words"),
    ]
    rows = [_parameter(found, name) for name in fit.params]
    return joined([table("Parameters", columns, rows), facts("How the law was fitted", pairs)])


def outlook(found: Findings) -> Html:
    """Losses at more compute and, where there is a floor, the compute needed to come near it."""
    limit, x = found.limit, found.forecast.track.x
    split = bool(found.forecast.track.cost)
    columns = [
        Column("Beyond the largest run"),
        Column(_unit(x)),
        Column("Loss expected"),
        Column("Interval"),
    ]
    columns += [Column("N at its best"), Column("D at its best")] if split else []
    rows = []
    for claim in limit["losses"]:
        row: list[Cell | str] = [
            number(claim["extrapolation"], notation.times(claim["extrapolation"])),
            number(claim[x], notation.power(claim[x]) if x == "C" else notation.count(claim[x])),
            number(claim["L"], claimed(claim)),
            notation.interval(claim["lo"], claim["hi"]),
        ]
        row += [_optional(claim.get(name), notation.count) for name in ("N_opt", "D_opt")] if split else []
        rows.append(row)
    parts: list[Html] = [table("Loss expected beyond the data", columns, rows)]
    if limit["distances"]:
        parts.append(_distances(limit, x))
    else:
        parts.append(
            element("p", f"{limit['distances_missing'][0].upper()}{limit['distances_missing'][1:]}.")
        )
    note = f"Intervals: {found.forecast.method}, {notation.percent(found.forecast.level)}."
    return joined([*parts, element("p", note)])


def runs(
    source: Source, fitted: pd.DataFrame | None, excluded: Mapping[str, str], expected: np.ndarray | None
) -> Html:
    """Every row of the table, those that were not fitted with their reason; sortable."""
    import pandas as pd

    frame, kept = source.table, set() if fitted is None else set(fitted.index)
    predicted = {} if fitted is None or expected is None else dict(zip(fitted.index, expected, strict=True))
    shown = [c for c in ("N", "D", "C", "L", "bpb") if c in frame.columns and not frame[c].isna().all()]
    names = {"N": "N", "D": "D", "C": "C (FLOPs)", "L": "L (nats per token)", "bpb": "Bits per byte"}
    columns = [Column("Run", ""), *(Column(names[c]) for c in shown)]
    columns += [Column("Off the law")] if predicted else []
    columns += [Column("In the fit", "words")]
    forms = {"N": notation.count, "D": notation.count, "C": notation.power}
    rows, classes = [], []
    for place, (index, row) in enumerate(frame.iterrows(), start=1):
        label = next(
            (str(row[c]) for c in ("name", "run_id") if c in frame.columns and pd.notna(row[c])),
            f"row {place}",
        )
        cells: list[Cell | str] = [Cell(label, label)]
        for c in shown:
            figure = float(row[c]) if pd.notna(row[c]) else math.nan
            written = forms[c](figure) if c in forms else notation.fixed(figure, 3)
            if c == "L" and "L_se" in frame.columns and pd.notna(row["L_se"]):
                written += f" ± {notation.plain(float(row['L_se']), 2)}"
            cells.append(number(figure, written))
        if predicted:
            off = float(row["L"]) / predicted[index] - 1 if index in predicted else math.nan
            cells.append(number(off, f"{100 * off:+.1f} %"))
        reason = "" if index in kept else _reason(source, excluded, row, place)
        cells.append(Cell(reason or "yes", reason or "yes"))
        rows.append(cells)
        classes.append("out" if reason else None)
    return table("Runs", columns, rows, sortable=True, classes=("runs",), row_classes=classes)


def cost(source: Source) -> Html:
    """What the runs cost, as spent and as if each were trained from scratch."""
    frame = source.table
    pairs: list[tuple[str, object]] = []
    scratch = float(frame["C"].sum()) if "C" in frame.columns else math.nan
    if "C_spent" in frame.columns and frame["C_spent"].notna().all():
        spent = float(frame["C_spent"].sum())
        share = f" ({notation.percent(spent / scratch)} of from scratch: runs of one size share a trunk)"
        pairs.append(
            ("Compute spent", f"{notation.power(spent)} FLOPs{share if spent < 0.999 * scratch else ''}")
        )
    if math.isfinite(scratch):
        pairs.append(("Compute, every run from scratch", f"{notation.power(scratch)} FLOPs"))
    if "device_seconds" in frame.columns and frame["device_seconds"].notna().any():
        seconds = float(frame["device_seconds"].sum())
        if {"trunk_device_seconds", "trunk_id"} <= set(frame.columns):
            seconds += float(frame.groupby("trunk_id")["trunk_device_seconds"].max().sum())
        pairs.append(("Device time", f"{notation.duration(seconds)} of training, times devices"))
    else:
        pairs.append(("Device time", "not recorded in the table"))
    return facts("Cost", pairs)


def conventions(source: Source, found: Findings | None) -> Html:
    """What the letters mean here."""
    from scaling.table import COLUMNS

    ours = source.folder is not None
    said = dict(found.fit.conventions) if found else {}
    pairs: list[tuple[str, object]] = []
    for name, title in MEANINGS.items():
        meaning = COLUMNS[name] if ours else said.get(name, f"column {name} of the table, as it came")
        if name == "C" and not ours:
            meaning += ", FLOPs"
        if name == "L":
            meaning = COLUMNS["L"]
        pairs.append((title, meaning))
    if found is not None and found.forecast.track.cost:
        made = found.forecast.track.cost
        error = notation.percent(made.largest_error) if made.largest_error > 1e-9 else "0 %"
        formula = (
            f"C = {notation.plain(made.kappa)} · N^{notation.plain(made.rho)} · D, off by at most {error}"
        )
        pairs.append(
            (
                "Cost of a run on the frontier",
                f"{formula} (fitted to the runs' own C; 6 N D would be C = 6 · N · D)",
            )
        )
    return facts("Conventions", pairs)


def provenance(source: Source, found: Findings | None, commands: Sequence[str]) -> Html:
    """From what, by what and how this page was made."""
    pairs: list[tuple[str, object]] = [("Table (SHA-256)", element("code", source.table_sha256))]
    if source.spec_sha256:
        pairs.append(("Spec of the study (SHA-256)", element("code", source.spec_sha256)))
    if "corpus_sha256" in source.table.columns:
        for name, digest in _corpora(source.table):
            pairs.append((f"Corpus {name} (SHA-256)", element("code", digest)))
    if source.versions:
        pairs.append(("Trained with", ", ".join(source.versions)))
    used = [
        f"{name} {metadata.version(name)}" for name in ("scaling", "numpy", "scipy", "pandas", "matplotlib")
    ]
    pairs.append(("Analysed with", ", ".join([f"Python {platform.python_version()}", *used])))
    if found is not None:
        pairs.append(("Seed of the bootstrap", str(found.bootstrap.seed)))
    made = element("pre", element("code", "\n".join(commands)))
    return joined([facts("Provenance", pairs), element("p", "Made again by:"), made])


def equation(name: str) -> Html:
    """The law's equation, with Greek letters and raised exponents."""
    return joined(["L =", *(_raised(word) for word in LAWS[name].equation.split(" "))], " ")


def symbol(name: str) -> str:
    """A parameter's letter."""
    return GREEK.get(name, name)


def _raised(word: str) -> Html:
    base, caret, power = word.partition("^")
    inside = power.rstrip(",.)")
    return (
        joined([base, element("sup", symbol(inside)), power[len(inside) :]], "")
        if caret
        else joined([symbol(base)])
    )


def _cut(cut: Mapping[str, Any]) -> list[Cell | str]:
    skills = {
        name: skill
        for name, skill in (cut["skill"] or {}).items()
        if skill is not None and math.isfinite(skill)
    }
    rival = min(skills, key=lambda name: skills[name], default=None)
    compared = f"{notation.times(1 - skills[rival])} that of “{rival}”" if rival else MISSING
    return [
        number(cut["factor"], f"{notation.times(cut['factor'])} the compute"),
        number(cut["fitted"], str(cut["fitted"])),
        number(cut["held_out"], str(cut["held_out"])),
        number(cut["mean_error"], notation.percent(cut["mean_error"])),
        number(cut["max_error"], notation.percent(cut["max_error"])),
        number(cut["bias"], f"{100 * cut['bias']:+.1f} %"),
        number(cut["coverage"], f"{round(cut['coverage'] * cut['held_out'])} of {cut['held_out']}"),
        compared,
    ]


def _skipped(cut: Mapping[str, Any]) -> list[Cell | str]:
    return [
        f"{notation.times(cut['factor'])} the compute", str(cut["fitted"]), str(cut["held_out"]),
        *[MISSING] * 4, f"not tried: {cut['skipped']}",
    ]  # fmt: skip


def _parameter(found: Findings, name: str) -> list[Cell | str]:
    fit, kind = found.fit, LAWS[found.fit.law]
    ends = fit.intervals.get(name)
    value = fit.params[name]
    shown = notation.estimate(value, ends["lo"], ends["hi"]) if ends else notation.plain(value)
    role = ROLES.get(name, "exponent" if name in kind.exponents else "amplitude")
    if name == "E" and found.verdict["verdict"] != "identified":
        role = f"only what this fit ended at, not a limit: {VERDICTS[found.verdict['verdict']]}"
    interval = notation.interval(ends["lo"], ends["hi"]) if ends else MISSING
    return [symbol(name), shown, interval, notation.percent(ends["level"]) if ends else MISSING, role]


def _distances(limit: Mapping[str, Any], x: str) -> Html:
    columns = [
        Column("Within this share of the floor"),
        Column(_unit(x)),
        Column("Interval"),
        Column("Beyond the largest run"),
    ]
    form = notation.power if x == "C" else notation.count
    rows = []
    for distance in limit["distances"]:
        ends = [form(distance[end]) if distance[end] is not None else "never" for end in ("lo", "hi")]
        reach = distance["extrapolation"]
        rows.append(
            [
                number(distance["share"], notation.percent(distance["share"])),
                _optional(distance[x], form),
                f"{ends[0]} to {ends[1]}",
                _optional(reach, notation.times),
            ]
        )
    return table("What it takes to come near the floor", columns, rows)


def _reason(source: Source, excluded: Mapping[str, str], row: Any, place: int) -> str:
    identity = str(row["run_id"]) if "run_id" in row.index else ""
    reason = excluded.get(identity) or excluded.get(f"row {place}") or "not fitted"
    told = source.diverged.get(identity)
    return f"no: {told or reason}"


def _corpora(frame: pd.DataFrame) -> list[tuple[str, str]]:
    names = frame["corpus"] if "corpus" in frame.columns else frame["corpus_sha256"].map(lambda _: "")
    pairs = {(str(name), str(digest)) for name, digest in zip(names, frame["corpus_sha256"], strict=True)}
    return sorted(pair for pair in pairs if pair[1] not in ("nan", "<NA>", "None", ""))


def _ends(ends: Mapping[str, Any]) -> str:
    lo, hi = ends["lo"], ends["hi"]
    bounded = [v is not None and math.isfinite(v) for v in (lo, hi)]
    if all(bounded):
        return notation.interval(lo, hi)
    if bounded[1]:
        return f"at most {notation.plain(hi)}; no lower end"
    return f"at least {notation.plain(lo)}; no upper end" if bounded[0] else "no end on either side"


def _condition(number_: float | None) -> str:
    return (
        notation.plain(number_)
        if number_ is not None and math.isfinite(number_)
        else "infinite: a parameter has no effect"
    )


def _optional(value: float | None, form: Any) -> Cell:
    return Cell("never" if value is None else form(value), None if value is None else float(value))


def _unit(x: str) -> str:
    return {"C": "C (FLOPs)", "N": "N (parameters)", "D": "D (tokens)"}.get(x, x)
