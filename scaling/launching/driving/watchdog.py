"""Attempts that live and get nowhere: a collective that waits for ever, a device that is stuck. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from scaling.launching.journal import Beat

SLOWLY = 4.0
"""Times that what takes no steps may last as long: preparing, compiling, measuring, waiting for another process."""
GRACE_SECONDS = 120.0
"""One that was asked to stop for that is killed after that long."""


@dataclass
class Watchdog:
    """Judges attempts by what their workers say; time is an argument, in seconds of any one clock."""

    minutes: float
    """Without a step in training after which an attempt is stuck; 0 for never."""
    stuck: dict[str, str] = field(default_factory=dict)
    """Those that were found to be, by their task, and the reason."""
    _seen: dict[str, tuple[object, float]] = field(default_factory=dict)
    """What each said last, and since when."""
    _kill_at: dict[str, float] = field(default_factory=dict)

    def heard(self, task_id: str, beat: Beat, now: float) -> str:
        """The reason to stop an attempt, told once; empty where it gets on."""
        said = (beat.phase, beat.what, beat.step, beat.steps_done, beat.message)
        before, since = self._seen.get(task_id, (None, now))
        if said != before:
            self._seen[task_id] = said, now
            return ""
        minutes = self.minutes * (1.0 if beat.phase == "training" else SLOWLY)
        if not minutes or task_id in self.stuck or now - since < minutes * 60:
            return ""
        where = f"at step {beat.step} of {beat.what}" if beat.phase == "training" else f"while {beat.phase}"
        self.stuck[task_id] = f"it got no further for {minutes:g} minutes {where} (--stuck-minutes)"
        self._kill_at[task_id] = now + GRACE_SECONDS
        return self.stuck[task_id]

    def overdue(self, now: float) -> Iterator[str]:
        """Those that were asked to stop and have not, each once."""
        for task_id in [one for one, at in self._kill_at.items() if now >= at]:
            del self._kill_at[task_id]
            yield task_id

    def forget(self, task_id: str) -> None:
        """An attempt has ended."""
        self.stuck.pop(task_id, None)
        self._seen.pop(task_id, None)
        self._kill_at.pop(task_id, None)
