"""A task in the scheduler's book, and the policy of when it is tried again."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scaling.launching.journal import State
from scaling.launching.task import Task


@dataclass(frozen=True)
class Policy:
    """When a task is tried again, and when nothing is begun any more."""

    crashes: int = 3
    """Times that a task is tried again after errors of its own."""
    stalls: int = 5
    """Losses in a row without a step gained that count as one error of its own."""
    deadline: float = math.inf
    """Time from which on nothing is begun."""
    longest_pause: float = 60.0
    """Seconds before another try: 1, 2, 4 and so on up to this."""


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
    stalls: int = 0
    """Attempts in a row that gained nothing."""
    began: float = math.inf
    """When its worker was first heard of in this attempt."""
    devices: int = 1
    pauses: bool = False
    """Whether it waits for a time."""

    @property
    def flops(self) -> float:
        """Training FLOPs that are left of it."""
        return self.steps_left * self.step_flops
