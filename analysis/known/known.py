"""The benchmark of extrapolation on languages whose limit is known: runs it, and writes tables, scores and figure."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.errors import InputError
from analysis.known import benchmark, interval_plots, ladders
from analysis.known.benchmark import Settings
from analysis.known.extrapolation import methods_named
from analysis.known.ladders import Language
from analysis.known.scoreboard import conclusion, scoreboard
from analysis.known.scores import scores
from analysis.pages.axes import STYLE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

COLUMNS = 2
PANEL, KEY = (5.4, 3.3), 2.4
"""Inches of a panel, and of the key's width."""
PNG_DPI = 160


def write_known(
    paths: Sequence[Path], settings: Settings, methods: tuple[str, ...], where: str, out: Path,
    say: Callable[[str], None],
) -> str:  # fmt: skip
    """Run the benchmark, write limits.csv, forecasts.csv, scores.csv, known.json and limits.png and .svg into `out`.

    Returns what is printed. Raises InputError for tables that cannot be used and a folder that cannot be written.
    """
    chosen = methods_named(methods)
    table, sources = ladders.read_tables(paths, where)
    found = ladders.languages(table)
    try:
        out.mkdir(parents=True, exist_ok=True)
        limits, forecasts = benchmark.run(found, chosen, settings, say)
        scored = scores(limits, forecasts, settings.level)
        for name, frame in (("limits", limits), ("forecasts", forecasts), ("scores", scored)):
            _write(out / f"{name}.csv", frame.to_csv(index=False).encode())
        content = _content(settings, where, sources, found, scored)
        text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)
        _write(out / "known.json", f"{text}\n".encode())
        say("drawing limits.png")
        _save_figure(found, limits, out)
    except OSError as error:
        raise InputError(
            f"cannot write in {out} ({error.strerror}); choose another folder with --out"
        ) from None
    files = "limits.png, limits.csv, forecasts.csv, scores.csv, known.json"
    return f"{_heading(found, settings)}\n\n{scoreboard(scored, settings.level)}\n\nwrote {out}: {files}"


def _heading(found: Sequence[Language], settings: Settings) -> str:
    lines = [f"{language.name}: {len(language.runs)} runs, limit {language.truth:.6g}" for language in found]
    shares = ", ".join(f"C_max/{factor:g}" for factor in settings.factors)
    return "\n".join([*lines, f"seen: {shares}; {settings.replicates} replicates, seed {settings.seed}"])


def _content(
    settings: Settings,
    where: str,
    sources: list[dict[str, str]],
    found: Sequence[Language],
    scored: pd.DataFrame,
) -> dict[str, Any]:
    from analysis.verbs import version

    return {
        "settings": {**vars(settings), "factors": list(settings.factors), "where": where},
        "tables": sources,
        "languages": [
            {"name": item.name, "truth": item.truth, "runs": len(item.runs), "exact": item.exact}
            for item in found
        ],
        "scores": [
            {name: _jsonable(value) for name, value in row.items()} for row in scored.to_dict("records")
        ],
        "conclusion": " ".join(conclusion(scored, settings.level).split()),
        "version": version(),
    }


def _jsonable(value: Any) -> Any:
    """A JSON value; what is not known (NaN, infinite) is null."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _save_figure(found: Sequence[Language], limits: pd.DataFrame, out: Path) -> None:
    import matplotlib

    canvas = _draw(found, limits)
    with matplotlib.rc_context(STYLE):
        for kind, options in (("png", {"dpi": PNG_DPI}), ("svg", {"metadata": {"Date": None}})):
            buffer = io.BytesIO()
            canvas.savefig(buffer, format=kind, **options)
            _write(out / f"limits.{kind}", buffer.getvalue())


def _draw(found: Sequence[Language], limits: pd.DataFrame) -> Figure:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(found))
    rows = -(-len(found) // columns)
    with matplotlib.rc_context(STYLE):
        size = (columns * PANEL[0] + KEY, max(rows, 1) * PANEL[1] + 0.3)
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.add_gridspec(rows, columns + 1, width_ratios=[*[PANEL[0]] * columns, KEY])
        for i, language in enumerate(found):
            ax = figure.add_subplot(grid[i // columns, i % columns])
            interval_plots.plot_limits(ax, limits[limits["language"] == language.name], language.truth)
            ax.set_title(
                f"{language.name}: {len(language.runs)} runs, limit {language.truth:.4g}", loc="left"
            )
        interval_plots.plot_key(figure.add_subplot(grid[:, columns]), list(dict.fromkeys(limits["method"])))
        figure.canvas.draw()
    return figure


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)
