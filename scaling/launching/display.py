"""What a person sees while a study trains: live bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from scaling.plan import Plan
from scaling.spec import Run, count
from scaling.training.loop import Progress as Step

PLAIN_SECONDS = 10.0


class PlainDisplay:
    """A line when a trunk or branch begins, one every ten seconds, and one when a run is finished."""

    def __init__(self, plan: Plan, finished: int, flops_left: float) -> None:
        self.total, self.finished = len(plan.study.runs), finished
        self.flops_left, self.flops_done = flops_left, 0.0
        self.started = self._last = time.monotonic()
        self._name, self._step, self._stop, self._flops_a_step = "", 0, 0, 0.0

    def __enter__(self) -> PlainDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begin(self, name: str, start: int, stop: int, flops_a_step: float) -> None:
        """A trunk or branch goes from step `start` to `stop`."""
        self._name, self._step, self._stop = name, start, stop
        self._flops_a_step = flops_a_step

    def progress(self, progress: Step) -> None:
        """Steps are done."""
        self.flops_done += (progress.step - self._step) * self._flops_a_step
        self._step = progress.step
        if time.monotonic() - self._last > PLAIN_SECONDS:
            self._last = time.monotonic()
            self.say(
                f"{self._name}  step {progress.step}/{self._stop}  loss {progress.loss:.3f}  "
                f"{count(progress.tokens_per_second)} tokens/s  study {self._left()}"
            )

    def finish(self, run: Run, result: dict[str, Any]) -> None:
        """A run is finished."""
        self.finished += 1
        self.say(f"[{self.finished}/{self.total}] {run.name}  {outcome(result)}  study {self._left()}")

    def say(self, message: str) -> None:
        """A line on standard output."""
        print(message, flush=True)

    def _left(self) -> str:
        elapsed = time.monotonic() - self.started
        share = self.flops_done / max(self.flops_left, 1.0)
        if share < 0.05 or elapsed < PLAIN_SECONDS:  # still mostly making programs and opening files
            return "just begun"
        return f"about {duration((self.flops_left - self.flops_done) * elapsed / self.flops_done)} left"


class RichDisplay:
    """A bar for the study, weighted by FLOPs, and one for the trunk or branch in training."""

    def __init__(self, plan: Plan, finished: int, flops_left: float) -> None:
        self.total, self.finished, self.flops_left = len(plan.study.runs), finished, flops_left
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            _Pace(),
            TimeElapsedColumn(),
            _Left(),
            console=Console(),
        )
        self._study = self.bars.add_task(self._title(), total=flops_left, pace="")
        self._part: TaskID | None = None
        self._step, self._flops_a_step = 0, 0.0

    def __enter__(self) -> RichDisplay:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.bars.stop()

    def begin(self, name: str, start: int, stop: int, flops_a_step: float) -> None:
        """A new bar for a trunk or branch that goes from step `start` to `stop`."""
        if self._part is not None:
            self.bars.remove_task(self._part)
        self._part = self.bars.add_task(f"  {name}", total=stop, completed=start, pace="compiling")
        self._step, self._flops_a_step = start, flops_a_step

    def progress(self, progress: Step) -> None:
        """Move both bars."""
        assert self._part is not None
        pace = f"loss {progress.loss:.3f}  {count(progress.tokens_per_second)} tokens/s"
        self.bars.update(self._part, completed=progress.step, pace=pace)
        self.bars.advance(self._study, (progress.step - self._step) * self._flops_a_step)
        self._step = progress.step

    def finish(self, run: Run, result: dict[str, Any]) -> None:
        """Print the run's outcome above the bars."""
        self.finished += 1
        self.bars.update(self._study, description=self._title())
        self.say(f"{run.name}  {outcome(result)}")

    def say(self, message: str) -> None:
        """A line above the bars."""
        self.bars.console.print(message, markup=False, highlight=False)

    def _title(self) -> str:
        return f"study: {self.finished}/{self.total} runs"


class _Pace(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(str(task.fields.get("pace", "")), style="cyan")


class _Left(ProgressColumn):
    def render(self, task: Task) -> Text:
        left = task.time_remaining
        return Text(f"{duration(left)} left" if left is not None and not task.finished else "")


def display(plan: Plan, finished: int, flops_left: float) -> PlainDisplay | RichDisplay:
    """Live bars where standard output is a terminal, plain lines elsewhere."""
    kind = RichDisplay if sys.stdout.isatty() else PlainDisplay
    return kind(plan, finished, flops_left)


def outcome(result: dict[str, Any]) -> str:
    """What came of a run, in words."""
    if result["status"] == "diverged":
        at = result["diverged"]
        return f"diverged at step {at['step']} of its {at['part']}"
    measured = result["measured"]
    if measured["bpb"] is None:
        return f"L = {measured['L']:.4f} nats/token"
    return f"L = {measured['L']:.4f} nats/token  {measured['bpb']:.4f} bits/byte"


def duration(seconds: float) -> str:
    """Seconds in words: 45 s, 3 min, 2.5 h, 4 days."""
    seconds = max(0.0, seconds)
    for size, unit in ((86_400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}" if seconds < 10 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
