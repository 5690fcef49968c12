"""The early fit: the law of the runs that are finished so far, by `python -m analysis fit` in a process of its own.

It is kept in the study's folder `early/`, apart from a fit.json that a person asked for, with the hash of the table
that it is of: while no run comes in, nothing is fitted again.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.errors import UserError
from scaling.folder import StudyFolder, write_whole
from scaling.launching.status.study_files import CONTROL
from scaling.storage import read_whole

PARAMETERS = 5
"""Of the law L(N, D) = E + A/N^alpha + B/D^beta."""
SETTINGS = 3
"""Different sizes, and different budgets, without which its exponents are not known."""
LIMIT_SECONDS = 60.0
"""Of a fit that somebody waits for."""
PATIENT_SECONDS = 180.0
"""Of a fit in the background."""
REFIT_SECONDS = 180.0
"""Who watches on gets a new fit at most that often."""
OPTIONS = ("--replicates", "200", "--coverage", "0", "--json")
"""Fewer refits than `fit` takes by itself, and no simulated tables: seconds in place of minutes."""


@dataclass(frozen=True)
class EarlyFit:
    """What the finished runs say, or why they say nothing yet."""

    rows: int
    """Runs that were fitted, or, where there is no fit, that could be."""
    law: str = ""
    """Empty where there is no fit."""
    verdict: str = ""
    """identified, bounded_above_only, not_identified or no_floor."""
    sentence: str = ""
    """The verdict in words, or why there is no fit."""
    floor: tuple[float, float, float] | None = None
    """E with the ends of its interval, by all admissible laws."""
    level: float = 0.0

    @property
    def headline(self) -> str:
        """In a line: the floor as far as it is known, or that there is no fit."""
        if not self.law:
            return "none yet"
        words = self.verdict.replace("_", " ")
        if self.floor is None:
            return f"{self.law}, floor {words}"
        value, low, high = self.floor
        if self.verdict == "identified":
            return f"{self.law}, floor {words}: E = {value:.3g}, {self.level:.0%} interval {low:.3g} to {high:.3g}"
        return f"{self.law}, floor {words}: {self.level:.0%} interval of E {low:.3g} to {high:.3g}"


@dataclass(frozen=True)
class Table:
    """A table.csv as it was read."""

    content: bytes

    @property
    def sha256(self) -> str:
        """Its hash, as fit.json has it."""
        return hashlib.sha256(self.content).hexdigest()

    def missing(self) -> tuple[int, str]:
        """Rows that count for a fit, and in words what these lack; empty where a fit may be tried."""
        found = {(row["N"], row["D"]) for row in self._done()}
        lacks = []
        if len(found) <= PARAMETERS:
            lacks.append(_more(PARAMETERS + 1 - len(found), "pair", "s of size and budget"))
        for place, what in ((0, "size"), (1, "budget")):
            if (known := len({pair[place] for pair in found})) < SETTINGS:
                lacks.append(_more(SETTINGS - known, what))
        words = f"a fit needs {PARAMETERS + 1} pairs of {SETTINGS} sizes and {SETTINGS} budgets"
        return len(found), f"{words}; the table lacks {' and '.join(lacks)}" if lacks else ""

    def _done(self) -> list[dict[str, str]]:
        rows = csv.DictReader(io.StringIO(self.content.decode(errors="replace")))
        kept = [row for row in rows if row.get("status") == "done" and row.get("L")]
        return [row for row in kept if row.get("decayed") != "False" and row.get("N") and row.get("D")]


class EarlyFitter:
    """Keeps the early fit of a study current without being waited for; used as a context manager."""

    def __init__(self, folder: StudyFolder) -> None:
        self.folder = folder
        self._last: EarlyFit | None = None
        self._of = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._table, self._place = Table(b""), contextlib.ExitStack()
        self._began, self._out = -REFIT_SECONDS, Path()

    def __enter__(self) -> EarlyFitter:
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go()

    @property
    def fitting(self) -> bool:
        """Whether a fit is being made."""
        return self._process is not None

    def look(self) -> EarlyFit | None:
        """The newest fit that there is; begins another where the table has changed. None before the first."""
        if self._process is not None and (
            self._process.poll() is not None or time.monotonic() - self._began > PATIENT_SECONDS
        ):
            self._finish(self._process.poll(), PATIENT_SECONDS)
        if self._process is None:
            self._begin(PATIENT_SECONDS)
        return self._last

    def wait(self) -> EarlyFit | None:
        """The fit that is being made, or else that of the present table, waited for at most LIMIT_SECONDS."""
        if self._process is None:
            self._began = -REFIT_SECONDS
            self._begin(LIMIT_SECONDS)
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(LIMIT_SECONDS)
            self._finish(self._process.poll(), LIMIT_SECONDS)
        return self._last

    def _begin(self, limit: float) -> None:
        table = _read_table(self.folder)
        if table is None:
            self._last = EarlyFit(0, sentence="there is no table yet: `run` writes it as runs finish")
            return
        if table.sha256 == self._of:
            return
        rows, missing = table.missing()
        if missing:
            self._last, self._of = EarlyFit(rows, sentence=missing), table.sha256
        elif (kept := _kept(self.folder, table, limit)) is not None:
            self._last, self._of = kept, table.sha256
        elif time.monotonic() - self._began >= REFIT_SECONDS:
            self._start(table)

    def _start(self, table: Table) -> None:
        """Begin a fit of a copy of the table, which stays as it is while runs come in."""
        self._place = contextlib.ExitStack()
        place = Path(self._place.enter_context(tempfile.TemporaryDirectory(prefix="early-fit-")))
        (place / "table.csv").write_bytes(table.content)
        polite = ["nice", "-n", "19"] if shutil.which("nice") else []  # training may need this machine
        command = [*polite, sys.executable, "-m", "analysis", "fit", str(place / "table.csv"), *OPTIONS]
        out, errors = (self._place.enter_context((place / name).open("wb")) for name in ("out", "errors"))
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors)
        self._table, self._began, self._out = table, time.monotonic(), place

    def _finish(self, code: int | None, limit: float) -> None:
        rows, _ = self._table.missing()
        if code is None:
            late = f"it took longer than {limit:.0f} s; `python -m analysis fit` has no such limit"
            told: dict[str, Any] = {"refused": late, "limit": limit}
        elif code == 0:
            told = json.loads((self._out / "out").read_bytes())
        else:
            told = {"refused": _reason((self._out / "errors").read_text(errors="replace"))}
        self._let_go()
        told |= {"table_sha256": self._table.sha256, "table": "table.csv"}
        self._last, self._of = early_fit_of(told, rows), self._table.sha256
        _keep(self.folder, told)

    def _let_go(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._process = None
        self._place.close()


def early_fit_of(told: Mapping[str, Any], rows: int) -> EarlyFit:
    """What a fit.json says, or why there is none; `rows` is the number that could be fitted."""
    if "refused" in told:
        return EarlyFit(rows, sentence=f"the fit was given up: {told['refused']}")
    found = told["identification"]
    ends = tuple(found.get(name) for name in ("E", "lo", "hi"))
    known = all(isinstance(end, (int, float)) for end in ends)
    level = next((each["level"] for each in told["intervals"].values()), 0.9)
    floor = (float(ends[0]), float(ends[1]), float(ends[2])) if known else None
    return EarlyFit(told["rows"], told["law"], found["verdict"], found["reason"], floor, level)


def _more(number: int, what: str, several: str = "s") -> str:
    return f"{number} more {what}{several if number > 1 or several != 's' else ''}"


def _read_table(folder: StudyFolder) -> Table | None:
    content = read_whole(folder.table_csv)
    return None if content is None else Table(content)


def _kept(folder: StudyFolder, table: Table, limit: float) -> EarlyFit | None:
    """The fit of this table that was kept, None where there is none, or one that had less time than `limit`."""
    rows, _ = table.missing()
    for name in ("fit.json", "refused.json"):
        try:
            told = json.loads(read_whole(folder.path / "early" / name) or b"{}")
            if told["table_sha256"] == table.sha256 and told.get("limit", limit) >= limit:
                return early_fit_of(told, rows)
        except (ValueError, KeyError, TypeError):
            continue
    return None


def _keep(folder: StudyFolder, told: dict[str, Any]) -> None:
    """Where nothing may be written it is not kept, and made again by the next who asks."""
    name = "refused.json" if "refused" in told else "fit.json"
    with contextlib.suppress(UserError, OSError):
        write_whole(folder.path / "early" / name, json.dumps(told, indent=1) + "\n")


def _reason(errors: str) -> str:
    """The last line that was printed, without control characters."""
    lines = [line for line in CONTROL.sub("", errors).splitlines() if line.strip()]
    if any("No module named analysis" in line for line in lines):
        return "the package `analysis` of this project is not importable here"
    return lines[-1].removeprefix("error: ")[:400] if lines else "it ended without a word"
