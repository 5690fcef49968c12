"""What a person sees while text is prepared: live bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

PLAIN_SECONDS = 10.0


@contextlib.contextmanager
def shown() -> Iterator[Callable[[str, int, int], None]]:
    """A function progress(what, done, total) that shows itself on standard output while the block runs."""
    if not sys.stdout.isatty():
        yield PlainLines().progress
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(), transient=True) as bars:
        yield Bars(bars).progress


class PlainLines:
    """A line every ten seconds, and none where all of it takes less."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def progress(self, what: str, done: int, total: int) -> None:
        """So much of what is being done is done."""
        if time.monotonic() - self._last >= PLAIN_SECONDS:
            self._last = time.monotonic()
            print(f"{what}: {done} of {total}", flush=True)


class Bars:
    """A bar for everything that is done, the last ones in full view."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def progress(self, what: str, done: int, total: int) -> None:
        """So much of what is being done is done."""
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total)
        self._bars.update(self._tasks[what], completed=done, total=total)
