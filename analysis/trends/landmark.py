"""The project's own table of landmark models, and what its selection means for every number made of it."""

from __future__ import annotations

from pathlib import Path

SHIPPED = Path(__file__).parent.parent / "data" / "landmark_models.csv"

NOTE = (
    "These models were picked by hand and after the fact, where a count was published: the largest closed ones are "
    "missing from 2023 on, some small ones are in on purpose. No interval covers this choice of rows; other rows may "
    "give a rate outside it."
)


def note(table: Path) -> str:
    """What a reader has to know of the rows before any number; empty for a table of someone else.

    A copy of the table under another name is the same table.
    """
    from scaling.table import sha256

    return NOTE if table == SHIPPED or (table.is_file() and sha256(table) == sha256(SHIPPED)) else ""
