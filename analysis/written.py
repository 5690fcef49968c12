"""An answer in files: NAME.json, a table as NAME.csv, a figure as NAME.png and .svg, each whole or not at all."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_answer(
    folder: Path, name: str, content: Mapping[str, Any], figure: Figure | None, csv: str = ""
) -> None:
    """Write the files; raises InputError where the folder cannot be written in."""
    files = {"json": f"{dumped(content)}\n".encode()} | ({"csv": csv.encode()} if csv else {})
    if figure is not None:
        files |= {
            kind: rendered(figure, kind, **options)
            for kind, options in (("png", {"dpi": 160}), ("svg", {"metadata": {"Date": None}}))
        }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for kind, data in files.items():
            path = folder / f"{name}.{kind}"
            temporary = path.with_name(f".{path.name}.tmp")
            temporary.write_bytes(data)
            temporary.replace(path)
    except OSError as error:
        raise InputError(
            f"cannot write in {folder} ({error.strerror}); choose another folder with --out"
        ) from None


def rendered(figure: Figure, kind: str, **options: Any) -> bytes:
    """A figure as the bytes of a file."""
    import matplotlib

    from analysis.pages.axes import STYLE

    with matplotlib.rc_context(STYLE):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, **options)
    return buffer.getvalue()


def dumped(content: Mapping[str, Any]) -> str:
    """As JSON; numbers that are not finite must have been made null before."""
    return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)
