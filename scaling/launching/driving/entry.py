"""A task in the scheduler's book, and the policy of when it is tried again."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from scaling.launching.engine import Ending
from scaling.launching.journal import State
from scaling.launching.task import Task


@dataclass(frozen=True)
class Policy:
    """When a task is tried again, and when nothing is begun any more."""

    crashes: int = 3
    """Times in a row that a task is tried again after errors of its own; steps that it saved forgive those before."""
    stalls: int = 5
    """Losses in a row without a step gained that count as one error of its own."""
    deadline: float = math.inf
    """Time from which on nothing is begun."""
    longest_pause: float = 60.0
    """Seconds before another try: 1, 2, 4 and so on up to this."""
    one_host: bool = False
    """Whether there is no other host that could do what one refused."""

    def counted(self, crashes: int, stalls: int, kind: str, steps: int) -> tuple[int, int]:
        """Crashes, and attempts without a gain, in a row: those before an attempt that ended so, and then with it."""
        crashes, stalls = (0, 0) if steps > 0 else (crashes, stalls + 1)
        stalled = kind == "lost" and stalls > 0 and stalls % self.stalls == 0
        return crashes + (kind == "failed" or stalled), stalls


@dataclass(eq=False)
class Entry:
    """A task and what has become of it."""

    task: Task
    task_id: str
    step_flops: float
    steps_left: float
    order: int
    behind: float = 0.0
    """FLOPs of the longest chain that waits for its end."""
    first_result: float = 0.0
    """FLOPs from its end to the first result: of a trunk, those of its cheapest branch."""
    blocked: bool = False
    """Whether its trunk has not come to where it leaves it."""
    state: State = "waiting"
    reason: str = ""
    attempts: int = 0
    crashes: int = 0
    """Errors of its own in a row, none of them after steps that it saved."""
    stalls: int = 0
    """Attempts in a row that gained nothing."""
    avoid: tuple[str, ...] = ()
    """Hosts at whose fault it was refused or failed."""
    refused_by: str = ""
    """The host that refused it so."""
    began: float = math.inf
    """When its worker was first heard of in this attempt."""
    devices: int = 1
    pauses: bool = False
    """Whether it waits for a time."""

    @property
    def flops(self) -> float:
        """Training FLOPs that are left of it."""
        return self.steps_left * self.step_flops

    def told(self, ending: Ending, steps_done: float) -> Ending:
        """An ending whose worker could not tell what it saved, by the steps of the task that its files have."""
        if ending.steps or ending.kind in ("finished", "refused"):
            return ending
        return replace(ending, steps=max(0, int(steps_done - (self.task.steps - self.steps_left))))
