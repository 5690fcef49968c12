"""Where a job works and who watches: all that training is told besides what to train."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from scaling.data.rows import Rows
from scaling.execution import DEFAULT, Execution
from scaling.folder import StudyFolder
from scaling.spec import Run
from scaling.training.evaluation import HeldOut
from scaling.training.loop import Progress
from scaling.training.metrics import Logs
from scaling.training.profile import Trace


class Display(Protocol):
    """What a job tells whoever watches."""

    def begin(self, name: str, start: int, stop: int, flops_a_step: float) -> None:
        """A trunk or branch, or those of a population, goes from step `start` to `stop`."""

    def progress(self, progress: Progress) -> None:
        """Steps are done."""

    def finish(self, run: Run, result: dict[str, Any]) -> None:
        """A run is finished."""

    def say(self, message: str) -> None:
        """Something the user should know."""


@dataclass(frozen=True)
class Setting:
    """Where a job works and who watches."""

    folder: StudyFolder
    train: Rows
    held_out: HeldOut
    display: Display
    stop_wanted: Callable[[], bool]
    checkpoint_seconds: float
    logs: Logs
    execution: Execution = DEFAULT
    trace: Trace | None = None
    compile_seconds: float | None = None
    """What its programs took to compile."""
    before_writing: Callable[[], None] = lambda: None
    """Called before a checkpoint or a result is written; raises where another process has taken the work over."""
    claim_trunks: Callable[[], None] = lambda: None
    """Called before a branch's worker trains its trunk again; returns when nobody else may write there."""
    source: str = ""
    """A hash of this package's source, kept with what it begins."""
