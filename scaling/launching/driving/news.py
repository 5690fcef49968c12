"""What a driver tells: a line an event, and at the end what came of everything."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Protocol

from scaling.errors import UserError
from scaling.folder import StudyFolder
from scaling.launching.display import duration
from scaling.launching.driving.entry import Entry
from scaling.launching.driving.pending import Results
from scaling.launching.engine import Ending
from scaling.launching.journal import log_path
from scaling.launching.task import Task
from scaling.storage import read_whole

TAIL = 15
"""Lines of a failed job's log that are shown."""
MOST = 20
"""Failed jobs that the summary names."""


class Shown(Protocol):
    """Where lines go."""

    def say(self, message: str) -> None:
        """A line."""


class News:
    """Tells each event once."""

    def __init__(self, folder: StudyFolder, results: Results, shown: Shown) -> None:
        self.folder, self.results, self.say = folder, results, shown.say
        self.endings: Counter[str] = Counter()
        self._told = set(results.outcomes)

    def started(self, entry: Entry, attempt: int) -> None:
        """An order was given."""
        self.say(f"started   {entry.task.name}{f', attempt {attempt}' if attempt > 1 else ''}")

    def runs(self, task: Task) -> None:
        """What came of a task's runs whose results were read since."""
        for run in task.runs:
            if run not in self._told and run in self.results.outcomes:
                self._told.add(run)
                count = f"[{len(self._told)}/{len(self.results.runs)}]"
                self.say(f"{count} {run.name}  {self.results.outcomes[run]}")

    def ended(self, entry: Entry, ending: Ending, stopping: bool) -> None:
        """An attempt has ended, and what comes of that."""
        self.endings[ending.kind] += 1
        self.runs(entry.task)
        name, reason = entry.task.name, entry.reason or "no reason is known"
        if entry.state == "done":
            self.say(f"finished  {name} in {duration(ending.seconds)}")
        elif entry.state == "failed":
            self.say(f"failed    {name}, given up: {reason}")
            for line in self._log_tail(entry.task_id):
                self.say(f"          | {line}")
        else:
            again = "" if stopping else ", after a pause" if entry.pauses else ", at once"
            self.say(f"{ending.kind:<9} {name}: {reason}{again and f'; it is tried again{again}'}")

    def summary(self, entries: Iterable[Entry], spent: float) -> None:
        """What failed and where its log is, what was left out and why, what it cost."""
        entries = list(entries)
        for line in (*self._failures(entries), *self._left_out(entries)):
            self.say(line)
        told = ", ".join(f"{number} {kind}" for kind, number in sorted(self.endings.items()))
        self.say(
            f"{sum(self.endings.values())} attempts now ({told or 'none was needed'}), "
            f"{spent / 3600:.3g} device-hours spent on the study in all"
        )

    def _failures(self, entries: list[Entry]) -> Iterator[str]:
        failed = [entry for entry in entries if entry.state == "failed"]
        for entry in failed[:MOST]:
            log = log_path(self.folder, entry.task_id)
            where = f" (log: {log})" if log.exists() else ""
            yield f"failed: {entry.task.name}: {entry.reason}{where}"
        if len(failed) > MOST:
            yield f"failed: {len(failed) - MOST} more; `python -m scaling status {self.folder.path}` lists them"

    def _left_out(self, entries: list[Entry]) -> Iterator[str]:
        left = [entry for entry in entries if entry.state == "left_out"]
        for entry in left[:MOST]:
            yield f"left out: {entry.task.name}: {entry.reason}"
        if len(left) > MOST:
            yield f"left out: {len(left) - MOST} more; `python -m scaling status {self.folder.path}` lists them"

    def _log_tail(self, task_id: str) -> list[str]:
        with contextlib.suppress(UserError):  # its job's end is told without it
            text = (read_whole(log_path(self.folder, task_id)) or b"").decode(errors="replace")
            return text.splitlines()[-TAIL:]
        return []
