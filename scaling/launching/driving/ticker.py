"""What a person sees while a driver launches jobs: lines of events, and how far all is; a live bar in a terminal."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from scaling.launching.display import PLAIN_SECONDS, duration
from scaling.spec import count


@dataclass(frozen=True)
class Standing:
    """How far a study is."""

    running: int
    queued: int
    finished: int
    runs: int
    flops_done: float
    flops: float
    """Of all that was to do when the driver began, and of that what is done."""
    tokens_per_second: float
    """Of all that runs."""
    phases: tuple[str, ...] = ()
    """Of each job that is heard of, what it is at."""

    def line(self, left: str) -> str:
        """In words."""
        waiting = f", {self.queued} queued" if self.queued else ""
        return (
            f"{self.running} running{waiting}, {self.finished} of {self.runs} runs finished, "
            f"{100 * self.share:.0f} % of the FLOPs, {self._pace}, {left}"
        )

    @property
    def _pace(self) -> str:
        """Tokens a second, or what jobs are at that train nothing yet."""
        if self.tokens_per_second or not self.phases:
            return f"{count(self.tokens_per_second)} tokens/s"
        told = Counter("beginning to train" if phase == "training" else phase for phase in self.phases)
        return ", ".join(f"{number} {phase}" for phase, number in told.items())

    @property
    def share(self) -> float:
        """Of the FLOPs that were to do, those that are done."""
        return min(1.0, self.flops_done / max(self.flops, 1.0))


@dataclass
class PlainTicker:
    """A line an event, and one every ten seconds."""

    clock: Callable[[], float]
    _began: float = field(init=False)
    _last: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self._last = self.clock()

    def __enter__(self) -> PlainTicker:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def say(self, message: str) -> None:
        """A line on standard output."""
        print(message, flush=True)

    def show(self, standing: Standing) -> None:
        """How far all of it is, when it is time."""
        now = self.clock()
        if now - self._last >= PLAIN_SECONDS:
            self._last = now
            self.say(standing.line(time_left(standing, now - self._began)))


class LiveTicker:
    """Lines of events above one bar that is weighted by FLOPs."""

    def __init__(self, clock: Callable[[], float]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self.clock, self._began = clock, clock()
        columns = (
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
        )
        self._bars = Progress(*columns, console=Console())
        self._bar = self._bars.add_task("", total=1.0)

    def __enter__(self) -> LiveTicker:
        self._bars.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._bars.stop()

    def say(self, message: str) -> None:
        """A line above the bar."""
        self._bars.console.print(message, markup=False, highlight=False)

    def show(self, standing: Standing) -> None:
        """Move the bar."""
        left = time_left(standing, self.clock() - self._began)
        self._bars.update(self._bar, completed=standing.share, description=standing.line(left))


def ticker(clock: Callable[[], float]) -> PlainTicker | LiveTicker:
    """A live bar where standard output is a terminal, plain lines elsewhere."""
    return LiveTicker(clock) if sys.stdout.isatty() else PlainTicker(clock)


def time_left(standing: Standing, elapsed: float) -> str:
    """In words, from the pace since the driver began."""
    if standing.share < 0.02 or elapsed < PLAIN_SECONDS:
        return "just begun"
    return f"about {duration(elapsed * (1 - standing.share) / standing.share)} left"
