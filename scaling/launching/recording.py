"""What is written while a study trains, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from scaling.training.metrics import Copy

EXIT_INTERRUPTED = 75
"""EX_TEMPFAIL of sysexits.h: try the same command again."""


@dataclass(frozen=True)
class Outcome:
    """What `run` did: runs finished in all and now, and whether it was stopped before the end."""

    finished: int
    trained: int
    diverged: int
    interrupted: bool


@dataclass(frozen=True)
class Recording:
    """What is written while a study trains, besides its results."""

    checkpoint_seconds: float = 60.0
    """A checkpoint is written that often."""
    copies: tuple[Copy, ...] = ()
    """Logs beside metrics.jsonl."""
    profile: int = 0
    """Steps that are traced."""
