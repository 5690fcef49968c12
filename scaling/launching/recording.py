"""What is written while a study trains, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from scaling.training.metrics import Copy

EXIT_INTERRUPTED = 75
"""EX_TEMPFAIL of sysexits.h: try the same command again."""
EXIT_FAILED = 1
"""Jobs failed for good; the others were trained."""


@dataclass(frozen=True)
class Outcome:
    """What `run` did: runs finished in all and now, and whether it was stopped before the end."""

    finished: int
    trained: int
    diverged: int
    interrupted: bool
    """Stopped as asked."""
    failed: int = 0
    """Runs whose job was given up."""
    left_out: int = 0
    """Runs that were not begun because of --max-device-hours or --deadline-hours."""

    @property
    def exit_code(self) -> int:
        """0 where all is finished, 75 where the same command would go on, 1 where jobs failed for good."""
        if self.interrupted or self.left_out:
            return EXIT_INTERRUPTED
        return EXIT_FAILED if self.failed else 0

    def sentences(self) -> list[str]:
        """What is not finished and what to do about it; empty where all is."""
        said = []
        if self.failed:
            said.append(
                f"{self.failed} runs failed; the same command tries them again once their cause is mended"
            )
        if self.left_out:
            said.append(
                f"{self.left_out} runs were left out; the same command goes on, given more --max-device-hours or "
                "--deadline-hours"
            )
        if self.interrupted:
            said.append("stopped as asked; the same command continues from what is saved")
        return said


@dataclass(frozen=True)
class Recording:
    """What is written while a study trains, besides its results."""

    checkpoint_seconds: float = 60.0
    """A checkpoint is written that often."""
    copies: tuple[Copy, ...] = ()
    """Logs beside metrics.jsonl."""
    profile: int = 0
    """Steps that are traced."""
