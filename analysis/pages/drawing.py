"""Figures drawn and kept: each in a wide and a narrow shape, as SVG for the page and as files beside it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.pages import hover
from analysis.pages.axes import STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

    from analysis.pages.figures import Figure

WIDE, NARROW = "wide", "narrow"
SIZES = {(WIDE, 1): (8.4, 4.8), (WIDE, 2): (9.2, 4.6), (NARROW, 1): (4.2, 4.2), (NARROW, 2): (4.2, 7.8)}
"""Inches of a figure, by shape and number of panels: text of 9 to 10 points is read on screens and on phones."""
PNG_DPI = 160


def save_figure(figure: Figure, folder: Path) -> tuple[str, str]:
    """Draw a figure, save it as PNG and SVG in the folder, and return its SVG in the wide and the narrow shape."""
    return keep(figure.name, draw(figure, WIDE), draw(figure, NARROW), folder)


def draw(figure: Figure, shape: str) -> Canvas:
    """A figure's panels side by side (wide) or one below the other (narrow)."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    count = len(figure.panels)
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=SIZES[shape, count], layout="constrained")
        FigureCanvasAgg(canvas)
        grid = canvas.subplots(*((1, count) if shape == WIDE else (count, 1)), squeeze=False)
        for ax, panel in zip(grid.ravel(), figure.panels, strict=True):
            panel(ax)
    return canvas


def keep(name: str, wide: Canvas, narrow: Canvas, folder: Path) -> tuple[str, str]:
    """Save the wide shape as NAME.png and NAME.svg in the folder; the SVG of both shapes."""
    svgs = [_svg(canvas).encode() for canvas in (wide, narrow)]
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / f"{name}.svg", svgs[0])
    write_whole(folder / f"{name}.png", rendered(wide, "png", dpi=PNG_DPI))
    return svgs[0].decode(), svgs[1].decode()


def _svg(canvas: Canvas) -> str:
    """A drawn figure whose points tell their values."""
    return hover.overlaid(rendered(canvas, "svg", metadata={"Date": None}).decode(), canvas)


def rendered(canvas: Canvas, kind: str, **options: Any) -> bytes:
    """A drawn figure as the bytes of a file."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        buffer = io.BytesIO()
        canvas.savefig(buffer, format=kind, **options)
    return buffer.getvalue()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that no reader ever sees half of it."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)
