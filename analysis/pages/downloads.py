"""The files of a report that a reader can save from the page itself: the table of runs, the fit, the limit."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.pages.document import Download
from analysis.pages.drawing import write_whole

if TYPE_CHECKING:
    from analysis.source import Source

MOST_BYTES = 1_000_000
"""Of a file that the page carries in itself; a larger one is linked beside it, so that the page stays small."""
RECORDS = (("fit.json", "the fit with its evidence"), ("limit.json", "what lies beyond the data"))


def files(source: Source, home: Path) -> list[Download]:
    """The table, byte for byte where it is CSV, and what was made of it in `home`; the page lies in home/report.

    A table from elsewhere is copied into the report as table.csv, so that the report's folder is whole.
    """
    made = [_table(source, home)]
    made += [
        _download(name, what, "application/json", (home / name).read_bytes(), f"../{name}")
        for name, what in RECORDS
        if (home / name).is_file()
    ]
    return made


def _table(source: Source, home: Path) -> Download:
    path, what = source.table_path, "the table of runs"
    if path.suffix == ".csv":
        content = path.read_bytes()
    else:
        content, what = (
            source.table.to_csv(index=False).encode(),
            f"the table of runs, {path.suffix[1:]} as CSV",
        )
    if path.suffix == ".csv" and path.resolve().parent == home.resolve():
        beside = f"../{path.name}"
    else:
        beside = "table.csv"
        write_whole(home / "report" / beside, content)
    return _download(f"{path.stem}.csv", what, "text/csv", content, beside)


def _download(name: str, what: str, kind: str, content: bytes, beside: str) -> Download:
    carried = content if len(content) <= MOST_BYTES else None
    digest = hashlib.sha256(content).hexdigest()
    return Download(name, what, kind, digest, len(content), beside, carried)
