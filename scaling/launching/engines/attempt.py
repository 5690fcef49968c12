"""An attempt at a task on a Ray cluster: what runs it, how its hosts have ended, and when it is killed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from scaling.errors import UserError
from scaling.folder import StudyFolder
from scaling.launching.engine import Ending, Order
from scaling.launching.engines.gang import Gang
from scaling.launching.engines.resources import Demand
from scaling.launching.journal import Beat, read_beat

PATIENCE = 5
"""Times the grace that an attempt has which beats: beats tell that its process lives, not that it saves."""
BEATS_SECONDS = 15.0
"""Within that time a worker that lives is heard of: it beats every five seconds."""


def last_beat(folder: StudyFolder, task_id: str) -> Beat | None:
    """What the task's worker last said; None where it has said nothing or the storage does not answer."""
    try:
        return read_beat(folder, task_id)
    except UserError:
        return None


@dataclass
class Attempt:
    """A try at a task that has not ended. Times are seconds of time.monotonic."""

    order: Order
    demand: Demand
    """Of a slice that it has not got yet, that of no slice in particular."""
    gang: Gang | None
    """None while it waits for a slice."""
    slice: str
    beat: Beat | None
    """What the task's worker last said, at first that of an earlier attempt."""
    ordered: float
    looked: float
    """When it was last seen not to have begun."""
    begun: bool = False
    endings: dict[int, Ending] = field(default_factory=dict)
    """By rank, those that have ended."""
    kill_at: float | None = None
    patient_until: float = 0.0
    """While it beats it is not killed before that."""
    killed: tuple[int, ...] = ()
    """Ranks that this engine killed."""
    why: str = ""
    """Why it was killed, where that is more than that it did not end."""

    @property
    def over(self) -> bool:
        """Whether all its hosts have ended."""
        return len(self.endings) == (len(self.gang.ranks) if self.gang else 1)

    @property
    def alive(self) -> tuple[int, ...]:
        """Ranks that have not ended."""
        ranks = len(self.gang.ranks) if self.gang else 0
        return tuple(rank for rank in range(ranks) if rank not in self.endings)

    def end_within(self, grace: float, patience: float) -> None:
        """Kill it after `grace` seconds, or `patience` where it beats."""
        now = time.monotonic()
        until = now + patience
        self.patient_until = until if self.kill_at is None else min(until, self.patient_until)
        self.kill_at = min(now + grace, self.kill_at or now + grace)

    def kill_when_due(self, now: float, folder: StudyFolder) -> None:
        """Kill what did not end when asked to and no longer beats."""
        if self.kill_at is None or now <= self.kill_at or self.killed or self.gang is None:
            return
        if now < self.patient_until:
            beat = last_beat(folder, self.order.task_id)
            if beat is not None and beat != self.beat:
                self.begun, self.beat, self.kill_at = True, beat, now + BEATS_SECONDS
                return
        self.killed = self.alive
        self.gang.cancel(force=True, ranks=self.killed)
