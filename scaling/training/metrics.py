"""The log of a trunk or branch: `metrics.jsonl`, one JSON object a logged step."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from scaling.errors import UserError


class MetricsLog:
    """Appends records to a file, each step once.

    A resumed run repeats the steps since its last checkpoint and gets the same numbers: those already in the file are
    not written again, and a line that was left half-written is cut off, with all after it.
    """

    def __init__(self, path: Path) -> None:
        """Open `path`, mend its end, and find the last step logged."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.last_step = -1
        whole = 0
        if path.exists():
            for line in path.read_bytes().splitlines(keepends=True):
                record = _record(line)
                if record is None:
                    break
                self.last_step = record["step"]
                whole += len(line)
            with path.open("r+b") as file:
                file.truncate(whole)
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, step: int, **values: Any) -> None:
        """Append one record unless its step is in the file."""
        if step > self.last_step:
            try:
                self._file.write(json.dumps({"step": step, **values}) + "\n")
            except OSError as error:
                raise UserError(
                    f"cannot write {self._file.name} ({error.strerror}); mend that and run the same command again"
                ) from None
            self.last_step = step


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a log in order; none where there is no file."""
    if not path.exists():
        return []
    records = map(_record, path.read_bytes().splitlines(keepends=True))
    return list(itertools.takewhile(lambda record: record is not None, records))  # type: ignore[arg-type]


def _record(line: bytes) -> dict[str, Any] | None:
    """The record of a whole line, None for one that a killed process or a lost page left damaged."""
    try:
        record = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return record if isinstance(record, dict) and "step" in record else None
