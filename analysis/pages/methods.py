"""The methods box: what the letters mean, from what, by what and how the page was made and can be made again."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Sequence
from importlib import metadata
from typing import TYPE_CHECKING

from analysis import notation
from analysis.far_cost import ONE
from analysis.intervals import coverage_words
from analysis.pages.answer import STATUSES
from analysis.pages.document import Download, Downloads, Facts, Heading, Listing, Paragraph, Part
from analysis.pages.parameters import equation
from analysis.pages.phrase import code, phrase, raised

if TYPE_CHECKING:
    import pandas as pd

    from analysis.fitting import Fit
    from analysis.pages.findings import Findings
    from analysis.source import Source

OBJECTIVES = {
    "log_huber": "the Huber loss of log residuals",
    "least_absolute": "absolute log residuals",
    "squared_log": "squared log residuals",
    "squared_raw": "squared residuals",
    "likelihood": "squared log residuals, each run counting by the noise between seeds",
}
MEANINGS = {"N": "N, parameters", "D": "D, training tokens", "C": "C, training compute", "L": "L, loss"}


def section(
    source: Source, found: Findings | None, commands: Sequence[str], files: Sequence[Download]
) -> list[Part]:
    """How it was analysed, what the letters mean, what it was made from and with, and how to make it again."""
    analysed: list[Part] = [Heading("Analysis"), Facts("Analysis", _analysis(found))] if found else []
    return [
        *analysed,
        Heading("Conventions"),
        conventions(source, found),
        Heading("Provenance"),
        Facts("Provenance", _provenance(source, found)),
        Paragraph("Made again by:"),
        Listing(commands),
        Heading("Data"),
        Paragraph(
            "Saved from the page itself, without a network, where a file is small enough for it to carry."
        ),
        Downloads(files),
    ]


def conventions(source: Source, found: Findings | None) -> Facts:
    """What the letters mean here."""
    from scaling.table import COLUMNS

    ours = source.folder is not None
    given = dict(found.fit.conventions) if found else {}
    pairs: list[tuple[str, object]] = []
    for name, title in MEANINGS.items():
        theirs = found.fit.renamed.get(name, name) if found else name
        meaning = COLUMNS[name] if ours else given.get(name, f"column {theirs} of the table, as it came")
        if name == "C" and not ours:
            meaning += ", FLOPs"
        if name == "L":
            meaning = COLUMNS["L"]
        pairs.append((title, meaning))
    if found is not None and found.forecast.track.cost:
        made = found.forecast.track.cost
        error = (
            f"off by at most {notation.percent(made.largest_error)}"
            if made.largest_error > 1e-9
            else "exactly"
        )
        power = raised(notation.plain(made.rho)) if abs(made.rho - 1) >= ONE else ""
        said = f" · D, {error} (fitted to the runs' own C; 6 N D has the factor 6 and the power 1)"
        pairs.append(("Cost of a run", phrase(f"C = {notation.plain(made.kappa)} · N", power, said)))
    return Facts("Conventions", pairs)


def _analysis(found: Findings) -> list[tuple[str, object]]:
    """The law, the objective, how intervals were made and how often they catch the truth, and which rows count."""
    fit, boot = found.fit, found.bootstrap
    statuses = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in boot.statuses.items())
    groups = f"whole groups of one {boot.method.split(':')[-1]}, since their runs share noise: {boot.units} of them"
    admitted = fit.identification["admissible"]["admitted"]
    return [
        ("Law", equation(fit.law)),
        ("Laws that the verdict asks", ", ".join(admitted)),
        ("Objective", phrase(*_objective(fit))),
        ("Status", f"{fit.status.replace('_', ' ')}. {STATUSES[fit.status]}".strip()),
        ("Restarts", f"{fit.restarts.reached} of {fit.restarts.tried} starts reached the best objective"),
        ("Intervals", f"percentiles of {boot.replicates} refits, each searched globally ({statuses})"),
        ("Resampled", "single runs" if boot.method == "pairs" else groups),
        ("Coverage", coverage_words.brief(fit.coverage)),
        (
            "Rows",
            f"{fit.rows} fitted, {len(fit.excluded)} left out"
            + (f" (kept: {fit.where})" if fit.where else ""),
        ),
        *_exclusions(fit),
    ]


def _objective(fit: Fit) -> list[object]:
    """What was minimised, at which delta, and for how many rows it is linear."""
    said = f"{OBJECTIVES.get(fit.objective.name, fit.objective.name)}, {fit.value:.4g} summed over rows"
    if fit.weighted_by:
        said += f", each weighted by {fit.weighted_by}"
    delta = getattr(fit.objective, "delta", None)
    if delta is None:
        return [said]
    whence = "1.345 times the noise of the residuals" if fit.delta_from_noise else "as asked"
    share = notation.percent(fit.linear_share)
    return [
        f"{said}; δ = {notation.plain(delta)} ({whence}), beyond which {share} of the rows lie and pull less"
    ]


def _exclusions(fit: Fit) -> list[tuple[str, object]]:
    """Why rows were left out, with how many of them."""
    reasons = Counter(row.reason for row in fit.excluded)
    told = "; ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    return [("Left out", told)] if told else []


def _provenance(source: Source, found: Findings | None) -> list[tuple[str, object]]:
    """From what and by what this page was made."""
    pairs: list[tuple[str, object]] = [("Table (SHA-256)", code(source.table_sha256))]
    if source.spec_sha256:
        pairs.append(("Spec of the study (SHA-256)", code(source.spec_sha256)))
    if "corpus_sha256" in source.table.columns:
        for name, digest in _corpora(source.table):
            pairs.append((f"Corpus {name} (SHA-256)", code(digest)))
    if source.versions:
        pairs.append(("Trained with", ", ".join(source.versions)))
    used = [
        f"{name} {metadata.version(name)}" for name in ("scaling", "numpy", "scipy", "pandas", "matplotlib")
    ]
    pairs.append(("Analysed with", ", ".join([f"Python {platform.python_version()}", *used])))
    if found is not None:
        pairs.append(("Seed of the bootstrap", str(found.bootstrap.seed)))
    return pairs


def _corpora(frame: pd.DataFrame) -> list[tuple[str, str]]:
    names = frame["corpus"] if "corpus" in frame.columns else frame["corpus_sha256"].map(lambda _: "")
    pairs = {(str(name), str(digest)) for name, digest in zip(names, frame["corpus_sha256"], strict=True)}
    return sorted(pair for pair in pairs if pair[1] not in ("nan", "<NA>", "None", ""))
