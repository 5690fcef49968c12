"""The verb `status`: shows how a study stands once, or again and again until its driver has ended."""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.errors import UserError
from scaling.folder import StudyFolder, write_whole
from scaling.launching.display import duration
from scaling.launching.status.active import SILENT_SECONDS
from scaling.launching.status.status import Status, status_of
from scaling.launching.status.study_files import StudyFiles, StudyReader
from scaling.storage import as_path

EXIT_GONE = 1
"""The driver that was watched gives no sign of life."""
PLAIN_WIDTH = 160
GONE_SECONDS = 600.0
"""A driver without a beat for so long is taken for gone by who watches; it may compile for minutes."""


@dataclass(frozen=True)
class Wanted:
    """What is asked of `status`. Raises UserError for a value that cannot be."""

    watch: float | None = None
    """Seconds between two looks; None looks once."""
    html: str | None = None
    """Where the page is written; empty for status.html in the study's folder, None for no page."""
    prices: str = ""
    """File of prices of devices."""
    everything: bool = False
    fit: bool = True

    def __post_init__(self) -> None:
        if self.watch is not None and not (math.isfinite(self.watch) and self.watch > 0):
            raise UserError(f"--watch {self.watch:g} cannot be: give seconds above 0, as --watch 10")


def wanted(words: Sequence[str]) -> Wanted:
    """The options of a command line."""
    parser = argparse.ArgumentParser(prog="python -m scaling status STUDY", description=__doc__)
    add = parser.add_argument
    add(
        "--watch",
        type=float,
        metavar="SECONDS",
        help="show it again that often, until the driver ends or is gone",
    )
    add("--html", nargs="?", const="", metavar="FILE", help="write it as a page too (STUDY/status.html)")
    add("--prices", default="", metavar="FILE", help="prices of devices: says what was and will be paid")
    add(
        "--all",
        action="store_true",
        dest="everything",
        help="leave nothing out: a line a run, all jobs and logs",
    )
    add("--no-fit", action="store_false", dest="fit", help="make no early fit of the runs that are finished")
    known, unknown = parser.parse_known_args(words)
    if unknown:
        raise UserError(
            f"{' '.join(unknown)!r} is not understood here; give the study folder, and --help tells the options"
        )
    return Wanted(**vars(known))


def show(folder: StudyFolder, wanted: Wanted) -> int:
    """Print how a study stands, as often as is wanted; the exit code."""
    with _early_fitter(folder, wanted) as fitter:
        shower = _Shower(folder, wanted, fitter)
        if wanted.watch is None:
            shower.once()
            return 0
        with contextlib.suppress(KeyboardInterrupt), _screen() as screen:
            while not shower.again(screen):
                if shower.gone:
                    print(f"{shower.gone}: nothing is watched any more")
                    return EXIT_GONE
                time.sleep(wanted.watch)
    return 0


class Silence:
    """How long beats have not grown, by this machine's clock: no clock of another is asked."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[tuple[Any, ...], float, bool]] = {}

    def look(self, files: StudyFiles) -> dict[str, float]:
        """Seconds of silence of each job that runs, and of the "driver"; not of those of whom nothing is known yet."""
        marks: dict[str, tuple[Any, ...]] = {
            task: (beat.attempt, beat.count) for task, beat in files.beats.items()
        }
        if files.driver is not None:
            marks["driver"] = (files.driver.token, files.driver.count)
        now, seen = self._clock(), {}
        for key, mark in marks.items():
            before = self._seen.get(key)
            grew = before is not None and before[0] != mark
            if before is None or grew:
                seen[key] = (mark, now, grew)
            else:
                seen[key] = before
        self._seen = seen
        return {
            key: now - since
            for key, (_, since, grew) in seen.items()
            if grew or now - since >= SILENT_SECONDS
        }


class _Shower:
    """Reads, prints and writes."""

    def __init__(self, folder: StudyFolder, wanted: Wanted, fitter: Any) -> None:
        self.folder, self.wanted, self.fitter = folder, wanted, fitter
        self.reader, self.silence = StudyReader(folder), Silence()
        self.prices = _prices(wanted.prices)
        self.gone = ""
        """What is known of a driver that is taken for gone, in words; empty while nothing is."""

    def once(self) -> None:
        """The status at once, then the early fit, which may take a while."""
        from scaling.launching.status.report import Report
        from scaling.launching.status.text import early, rendered

        status = status_of(self.reader.read(), time.time())
        console = _console()
        report = Report(status, bill=self._bill(status))
        console.print(
            rendered(report, self.wanted.everything, plain=not console.is_terminal, width=console.width)
        )
        if self.fitter is not None:
            sys.stdout.flush()
            said = "an early fit of the runs that are finished is being made (--no-fit leaves it out)"
            with console.status(said) if console.is_terminal else contextlib.nullcontext():
                report = Report(status, self.fitter.wait(), bill=report.bill)
            for line in early(report):
                console.print(line)
        self._write_page(report)

    def again(self, screen: Callable[[Any], None]) -> bool:
        """Show it as it is now; whether nothing more will come."""
        from scaling.launching.status.report import Report
        from scaling.launching.status.text import rendered

        files = self.reader.read()
        silence = self.silence.look(files)
        status = status_of(files, time.time(), silence)
        if min([GONE_SECONDS, *silence.values()]) >= GONE_SECONDS and "driver" in silence:
            self.gone = f"no beat of the driver, nor of a worker, for {duration(silence['driver'])}"
        early = None
        if self.fitter is not None:
            early = self.fitter.wait() if status.over else self.fitter.look()
        fitting = self.fitter is not None and self.fitter.fitting
        report = Report(status, early, fitting, self._bill(status))
        console = _console()
        plain = not console.is_terminal
        screen(rendered(report, self.wanted.everything, lines=False, plain=plain, width=console.width))
        self._write_page(report)
        return status.over

    def _bill(self, status: Status) -> Any:
        from scaling.launching.status.report import bill_of

        return bill_of(status, self.prices, self.wanted.prices) if self.prices else None

    def _write_page(self, report: Any) -> None:
        if self.wanted.html is None:
            return
        from scaling.launching.status.page import page

        refresh = 0.0 if report.status.over or not self.wanted.watch else max(1.0, self.wanted.watch)
        path = self.folder.path / "status.html" if not self.wanted.html else as_path(self.wanted.html)
        write_whole(path, page(report, time.time(), refresh))
        if self.wanted.watch is None:
            print(f"page: {path}")


def _prices(name: str) -> Any:
    """The prices of a file, none where none is named; raises UserError."""
    from scaling.launching.cost.prices import read_prices

    return read_prices(Path(name)) if name else ()


def _early_fitter(folder: StudyFolder, wanted: Wanted) -> Any:
    from scaling.launching.status.early_fit import EarlyFitter

    return EarlyFitter(folder) if wanted.fit else contextlib.nullcontext()


def _console() -> Any:
    """Of the terminal's width, or wide where nobody looks at a terminal."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)


@contextlib.contextmanager
def _screen() -> Any:
    """A function that shows something: in place in a terminal, block after block elsewhere."""
    console = _console()
    if not sys.stdout.isatty():

        def print_block(shown: Any) -> None:
            console.print(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')}", markup=False)
            console.print(shown)
            sys.stdout.flush()

        yield print_block
        return
    from rich.live import Live

    with Live(console=console, auto_refresh=False, vertical_overflow="ellipsis") as live:
        yield lambda shown: live.update(shown, refresh=True)
