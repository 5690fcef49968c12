"""The figures of a comparison as files: isoflop, envelope and allocation, each as png and svg."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.classical import classic_plots as plots
from analysis.classical.comparison import ENVELOPE, PARABOLAS, SPLINES, Comparison
from analysis.classical.isoflop import Parabola, parabola
from analysis.errors import InputError
from analysis.frontier import Frontier
from analysis.pages.axes import STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PNG_DPI = 160
SIZE = (7.2, 4.8)
"""Inches of one panel."""

Draw = Callable[["Axes"], None]


def write(made: Comparison, folder: Path) -> list[Path]:
    """Write every figure that the comparison has into a folder, made where it is not; returns the paths.

    Raises InputError where the folder is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder} is a file; name a folder for the figures")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, panels in figures(made).items():
        for kind, content in _rendered(panels).items():
            path = folder / f"{name}.{kind}"
            temporary = path.with_name(f".{path.name}.tmp")
            temporary.write_bytes(content)
            temporary.replace(path)
            paths.append(path)
    return paths


def figures(made: Comparison) -> dict[str, Sequence[Draw]]:
    """The panels of each figure, by its name; no isoflop without parabolas and no envelope without one."""
    drawn: dict[str, Sequence[Draw]] = {}
    if PARABOLAS in made.found:
        used = {point.C for point in made.found[PARABOLAS].points}
        found = [parabola(budget) for budget in made.budgets if budget.C in used]
        curves = [curve for curve in found if isinstance(curve, Parabola)]
        drawn["isoflop"] = (lambda ax: plots.plot_isoflop(ax, made.frame, curves, made.found.get(SPLINES)),)
    if ENVELOPE in made.found:
        C = np.geomspace(float(made.frame["C"].min()), float(made.frame["C"].max()), 200)
        best = C, Frontier(made.fit.curve, made.cost).L_opt(C)
        drawn["envelope"] = (lambda ax: plots.plot_envelope(ax, made.frame, made.found[ENVELOPE], best),)
    largest = float(made.frame["C"].max())
    drawn["allocation"] = (
        lambda ax: plots.plot_lines(ax, made.found, largest, made.C, "N"),
        lambda ax: plots.plot_lines(ax, made.found, largest, made.C, "D"),
    )
    return drawn


def _rendered(panels: Sequence[Draw]) -> dict[str, bytes]:
    import matplotlib

    rendered = {}
    with matplotlib.rc_context(STYLE):
        canvas = _drawn(panels)
        formats: dict[str, dict[str, Any]] = {"png": {"dpi": PNG_DPI}, "svg": {"metadata": {"Date": None}}}
        for kind, options in formats.items():
            buffer = io.BytesIO()
            canvas.savefig(buffer, format=kind, **options)
            rendered[kind] = buffer.getvalue()
    return rendered


def _drawn(panels: Sequence[Draw]) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(SIZE[0], SIZE[1] * len(panels)), layout="constrained")
    FigureCanvasAgg(figure)
    for ax, draw in zip(figure.subplots(len(panels), 1, squeeze=False).ravel(), panels, strict=True):
        draw(ax)
    figure.canvas.draw()
    return figure
