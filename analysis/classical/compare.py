"""The verb `compare`: the three classical approaches to the best split of compute, side by side.

What is heavy is imported inside, as in `analysis.verbs`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from analysis.options import Options


def compare(
    table: Annotated[Path, tyro.conf.Positional],
    law: str = "hoffmann",
    objective: str = "log_huber",
    delta: float | None = None,
    where: str = "",
    columns: tuple[str, ...] = (),
    at: float | None = None,
    budgets: float = 0.1,
    budget_column: str = "",
    runs: str = "auto",
    bins: int = 4,
    noise: float | None = None,
    replicates: int = 1000,
    clusters: str = "auto",
    seed: int = 0,
    level: float = 0.9,
    json: bool = False,
    out: Path | None = None,
) -> None:
    """Put the three classical approaches to the best split of compute side by side: envelope, IsoFLOP, fitted law.

    Args:
        table: a .csv or .parquet file with a row a run (or a row a point of its training curve) and columns N, D, L,
            or a study folder with a table.csv
        law: the law of approach 3, whose frontier must be a power of compute: hoffmann, tied or coupled
        objective: what its fit minimises: log_huber, least_absolute, squared_log or squared_raw
        delta: relative error at which log_huber turns from quadratic to linear; by default 1.345 times the noise
        where: use only rows for which this expression over columns is true, e.g. "N > 1e6 and not dropped"
        columns: names of our columns in the table, e.g. N=params D=tokens L=loss
        at: compute, in FLOPs, at which N_opt and D_opt are told; without it 10 times the largest run's
        budgets: rows are of one compute budget where their C lie within a factor of 1 plus this
        budget_column: column that names each row's budget; without it budgets are by C
        runs: column that names the run of a row, for training curves; "auto" is run_id where it repeats, else each row
            is a run
        bins: bins of the envelope in each decade of compute
        noise: standard deviation of a run's loss, in nats per token, that splines are redrawn with; without it that
            between neighbouring sizes of a budget
        replicates: refits of each bootstrap, and redrawings of the splines
        clusters: what the bootstraps resample: "auto" (trunks where they repeat, else runs where they do, else rows),
            "pairs", or a column
        seed: seed of the resampling
        level: level of all intervals
        json: print JSON in place of text
        out: folder for the figures isoflop, envelope and allocation, as png and svg; without it none is drawn
    """
    from analysis.classical.comparison import told
    from analysis.verbs import renames

    found = told(
        table,
        renames(columns),
        as_json=json,
        out=out,
        law=law,
        objective=Options(law=law, objective=objective, delta=delta).minimised(),
        where=where or None,
        at=at,
        tolerance=budgets,
        budget=budget_column or None,
        run=runs,
        bins=bins,
        noise=noise,
        replicates=replicates,
        clusters=clusters,
        seed=seed,
        level=level,
    )
    print(found)
