"""The scores of methods as text for a terminal of 80 columns, with a conclusion in plain sentences."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING

from analysis import notation
from analysis.columns import aligned
from analysis.known.scores import TOLERANCE

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 80


def scoreboard(scores: pd.DataFrame, level: float) -> str:
    """The table of limits, the table of forecasts and the conclusion."""
    parts = [_limits(scores, level), _forecasts(scores, level), conclusion(scores, level)]
    return "\n\n".join(part for part in parts if part)


def conclusion(scores: pd.DataFrame, level: float) -> str:
    """Which methods reach the level, which of them is the narrowest, and who claimed a limit that was wrong."""
    asked = _percent(level - TOLERANCE)
    reach = scores[scores["reaches"]]
    if reach.empty:
        said = [f"None of {len(scores)} methods holds the truth in {asked} of its answers"]
        nearest = scores[scores["coverage"] == scores["coverage"].max()]
        if len(nearest):
            share = _percent(nearest["coverage"].iloc[0])
            said[0] += f"; the nearest, with {share}: {_listed(nearest['method'])}"
    else:
        narrowest = reach.sort_values("median_width").iloc[0]
        narrow, width = narrowest["method"], _width(narrowest["median_width"])
        said = [
            f"{len(reach)} of {len(scores)} methods {'hold' if len(reach) > 1 else 'holds'} the truth in at "
            f"least {asked} of the answers: {_listed(reach['method'])}; the narrowest is {narrow} ({width} nats in the "
            "median)"
        ]
    wrong = scores[scores["confident_wrong"] > 0]
    told = [f"{row.method} {row.confident_wrong} of {row.claims}" for row in wrong.itertuples()]
    said.append(
        f"Limits claimed that were wrong: {'; '.join(told)}" if told else "No method claimed a wrong limit"
    )
    bounds = scores[scores["wrong_bounds"] > 0]
    if len(bounds):
        counts = [f"{row.method} {row.wrong_bounds} of {row.bounds}" for row in bounds.itertuples()]
        said.append(f"Upper bounds (bounded_above_only) that the truth lies above: {'; '.join(counts)}")
    if scores["endless_cells"].max() > 0:
        fooled = scores[scores["endless_claims"] > 0]["method"]
        said.append(
            f"A limit above 0 of a loss that falls for ever was claimed by {_listed(fooled)}"
            if len(fooled)
            else "No method claimed a limit above 0 of a loss that falls for ever"
        )
    silent = scores[scores["no_answers"] > 0]
    if len(silent):
        counts = [f"{row.method} {row.no_answers} of {row.cells}" for row in silent.itertuples()]
        said.append(f"Without an answer: {'; '.join(counts)}")
    return textwrap.fill(". ".join(said) + ".", WIDTH, break_long_words=False)


def _limits(scores: pd.DataFrame, level: float) -> str:
    head = ("limit", "hits", "cover", "of all", "score", "width", "ratio", "not id.", "wrong")
    rows = [
        (
            row["method"],
            f"{row['hits']}/{row['answers']}",
            _percent(row["coverage"]),
            _percent(row["coverage_of_all"]),
            _width(row["mean_interval_score"]),
            _width(row["median_width"]),
            _ratio(row["relative_width"]),
            _percent(row["not_identified"]),
            f"{row['confident_wrong']}/{row['claims']}",
        )
        for _, row in scores.iterrows()
    ]
    note = (
        f"cover: share of the answers whose {_percent(level)} interval holds the truth; of all: no answer counts as a "
        "miss; score: mean interval score, nats, lower is better; width: median, nats; ratio: to the narrowest that "
        f"covers {_percent(level - TOLERANCE)}; not id.: share of verdicts; wrong: of the limits claimed"
    )
    return f"{aligned(head, rows, indent='')}\n{_wrapped(note)}"


def _forecasts(scores: pd.DataFrame, level: float) -> str:
    horizons = [match[1] for column in scores.columns if (match := re.fullmatch(r"coverage_(.+x)", column))]
    if not horizons:
        return ""
    head = ["forecast", *(word for name in horizons for word in (f"{name} in", "error"))]
    rows = [
        [row["method"]]
        + [
            cell
            for name in horizons
            for cell in (_percent(row[f"coverage_{name}"]), notation.percent(row[f"error_{name}"]))
        ]
        for _, row in scores.iterrows()
    ]
    note = (
        f"in: held-out runs inside their {_percent(level)} interval, of those up to so many times the largest compute "
        "seen; error: mean absolute relative error"
    )
    return f"{aligned(head, rows, indent='')}\n{_wrapped(note)}"


def _wrapped(note: str) -> str:
    return textwrap.fill(note, WIDTH, initial_indent="  ", subsequent_indent="  ")


def _percent(share: float) -> str:
    """In three figures: 7 of 8 is 87.5 %, which does not reach 88 %."""
    return f"{100 * share:.3g}\N{NO-BREAK SPACE}%" if math.isfinite(share) else notation.MISSING


def _width(nats: float) -> str:
    return f"{nats:.3f}" if math.isfinite(nats) and nats < 1000 else notation.plain(nats)


def _ratio(ratio: float) -> str:
    return notation.plain(ratio, 2) if math.isfinite(ratio) else notation.MISSING


def _listed(names: Iterable[str]) -> str:
    return "; ".join(names)
