"""The log of a trunk or branch: `metrics.jsonl`, one JSON object a logged step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class MetricsLog:
    """Appends records to a file, each step once.

    A resumed run repeats the steps since its last checkpoint and gets the same numbers: those already in the file are
    not written again, and a line that a killed process left half-written is cut off.
    """

    def __init__(self, path: Path) -> None:
        """Open `path`, mend its end, and find the last step logged."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.last_step = -1
        whole = 0
        if path.exists():
            for line in path.read_bytes().splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    break
                self.last_step = json.loads(line)["step"]
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
            self._file.write(json.dumps({"step": step, **values}) + "\n")
            self.last_step = step


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a log in order; none where there is no file."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]
