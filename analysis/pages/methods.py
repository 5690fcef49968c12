"""The methods box: what the letters mean, from what, by what and how the page was made and can be made again."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib import metadata
from typing import TYPE_CHECKING

from analysis import notation
from analysis.pages.document import Facts, Listing, Paragraph, Part
from analysis.pages.phrase import code, phrase, raised

if TYPE_CHECKING:
    import pandas as pd

    from analysis.pages.findings import Findings
    from analysis.source import Source

MEANINGS = {"N": "N, parameters", "D": "D, training tokens", "C": "C, training compute", "L": "L, loss"}


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
        power = raised(notation.plain(made.rho))
        said = f" · D, {error} (fitted to the runs' own C; 6 N D has the factor 6 and the power 1)"
        pairs.append(("Cost of a run", phrase(f"C = {notation.plain(made.kappa)} · N", power, said)))
    return Facts("Conventions", pairs)


def provenance(source: Source, found: Findings | None, commands: Sequence[str]) -> list[Part]:
    """From what, by what and how this page was made."""
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
    return [Facts("Provenance", pairs), Paragraph("Made again by:"), Listing(commands)]


def _corpora(frame: pd.DataFrame) -> list[tuple[str, str]]:
    names = frame["corpus"] if "corpus" in frame.columns else frame["corpus_sha256"].map(lambda _: "")
    pairs = {(str(name), str(digest)) for name, digest in zip(names, frame["corpus_sha256"], strict=True)}
    return sorted(pair for pair in pairs if pair[1] not in ("nan", "<NA>", "None", ""))
