"""The verb `specify`: fits a table by every defensible set of choices and writes specification.json, .csv and figures.

What is heavy is imported inside, as in `analysis.verbs`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from analysis.options import IN_N_AND_D

if TYPE_CHECKING:
    from analysis.choices.specification_curve import Curve


def specify(
    table: Annotated[Path, tyro.conf.Positional],
    where: str = "",
    columns: tuple[str, ...] = (),
    at: float | None = None,
    laws: tuple[str, ...] = IN_N_AND_D,
    replicates: int = 200,
    clusters: str = "auto",
    seed: int = 0,
    level: float = 0.9,
    workers: int = 0,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Fit a table by every defensible set of choices and say how far these move the answer: the specification curve.

    Args:
        table: a .csv or .parquet file with a row a run and columns N, D, L, or a study folder with a table.csv
        where: use only rows for which this expression over columns is true, e.g. "N > 1e6 and not dropped"
        columns: names of our columns in the table, e.g. N=params D=tokens L=loss
        at: compute, in FLOPs, at which the loss is told; without it 10 times the largest run
        laws: laws in N and D; the first is the default's
        replicates: refits of every specification's bootstrap
        clusters: what the bootstrap resamples: "auto" (trunks where there are any, else rows), "pairs", or a column
        seed: seed of the resampling
        level: level of all intervals
        workers: processes that share the work; 0 is as many as there are processors
        out: folder for specification.json, specification.csv and the figures specification.png and .svg; without it
            the study's, or one beside a bare table
        json: print specification.json instead of the text
    """
    from analysis.choices.specification import specifications
    from analysis.choices.specification_curve import curve
    from analysis.choices.specification_record import as_dict, text
    from analysis.evidence import Progress
    from analysis.solver.workers import cores
    from analysis.source import open_source
    from analysis.verbs import renames
    from analysis.written import dumped

    source = open_source(table, renames(columns))
    plan = specifications(source.table, laws=laws, where=where or None, clusters=clusters)
    found = curve(
        plan,
        at=at,
        replicates=replicates,
        level=level,
        seed=seed,
        workers=workers or cores(),
        say=Progress(),
    )
    content = as_dict(found) | {"table": source.table_path.name, "table_sha256": source.table_sha256}
    folder = out or source.home
    _write(folder, content, found)
    print(
        dumped(content)
        if json
        else f"{text(found)}\n\nwrote {folder / 'specification.json'}, .csv, .png, .svg"
    )


def _write(folder: Path, content: dict[str, Any], found: Curve) -> None:
    from analysis.choices.decomposition import decompose
    from analysis.choices.specification_plots import draw_curve
    from analysis.choices.spread import spread
    from analysis.written import write_answer

    told = spread(found.table, "E", found.level)
    figure = draw_curve(found.table, told, decompose(found.table, "E"), "E (nats per token)")
    write_answer(folder, "specification", content, figure, found.table.to_csv(index=False))
