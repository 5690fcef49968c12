"""The verb `serve`: the model that costs least to train and to serve. What is heavy is imported inside."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from analysis.options import Options

if TYPE_CHECKING:
    from analysis.serving.served import Study
    from analysis.source import Source

OTHER_LAWS = ("hoffmann", "tied", "coupled")
"""Laws in N and D with a floor and a closed form of the cheapest split."""
FEWER = 200
"""Refits of the bootstrap of each other law."""


def serve(
    study: Annotated[Path, tyro.conf.Positional],
    options: Annotated[Options, tyro.conf.arg(name="")],
    tokens: float,
    loss: float | None = None,
    C: float | None = None,
    inference_price: float = 1.0,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Say which model costs least to train and to serve so many tokens, and what the training-optimal one would cost.

    Args:
        study: a study folder, or a .csv or .parquet file with columns N, D, L
        options: how the table is fitted
        tokens: tokens that will be served over the model's life, in and out, e.g. 1e12
        loss: how good the model is to be, in nats per token (this or --C)
        C: or as good as the best model that so many FLOPs train
        inference_price: what a FLOP of inference costs in FLOPs of training, e.g. 2 where serving uses the machines
            half as well
        out: folder for serve.json and the figure serve.png and .svg; nothing is written without it
        json: print serve.json and nothing else
    """
    from analysis.serving import serve_plots, serve_words
    from analysis.serving.optimum import Serving
    from analysis.serving.served import Target, require_usable, served
    from analysis.source import open_source
    from analysis.verbs import renames
    from analysis.written import dumped, write_answer

    serving, target = Serving(tokens, inference_price), Target(loss, C)
    source = open_source(study, renames(options.columns))
    own = _fitted(source, options, options.replicates)
    require_usable(own, target)
    content = served(own, target, serving, _others(source, options)) | {
        "verdict": _verdict(source, own, options)
    }
    if out is not None:
        figure = serve_plots.draw(content) if content["sweep"] else None
        write_answer(out, "serve", content, figure)
    text = serve_words.text(content) + (f"\n\nwrote {out}" if out else "")
    print(dumped(content) if json else text)


def _fitted(source: Source, options: Options, replicates: int) -> Study:
    from analysis.intervals.uncertainty import bootstrap
    from analysis.pages.findings import fitted
    from analysis.serving.served import Study

    found = fitted(source, options)
    boot = bootstrap(
        source.table,
        found,
        replicates=replicates,
        clusters=options.clusters,
        seed=options.seed,
        level=options.level,
    )
    return Study(found, boot, found.select(source.table).frame)


def _verdict(source: Source, own: Study, options: Options) -> dict[str, Any]:
    """Whether the runs identify the floor, by all admissible laws, as `limit` says it."""
    from analysis.evidence import combination
    from analysis.floor.judgement import judge

    combined = combination(
        source.table,
        own.fit,
        laws=options.admit,
        clusters=options.clusters,
        seed=options.seed,
        level=options.level,
    )
    return judge(own.frame, combined).as_dict() | {"of": combined.words}


def _others(source: Source, options: Options) -> list[Study]:
    """The same rows under the other admitted laws that have a cheapest split; one that cannot be fitted is left out."""
    from dataclasses import replace

    from analysis.errors import InputError
    from analysis.floor.identify import undetermined

    found = []
    for law in OTHER_LAWS:
        if law == options.law or law not in options.admit:
            continue
        try:
            other = _fitted(source, replace(options, law=law), min(FEWER, options.replicates))
        except InputError:
            continue
        if not undetermined(other.fit, other.fit.problem(other.frame)):
            found.append(other)
    return found
