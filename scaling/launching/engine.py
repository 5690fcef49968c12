"""What a launching engine is: it takes orders, trains each in a process of its own, and says how each ended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

from scaling.launching.task import Part, Task

Kind = Literal["finished", "interrupted", "lost", "failed", "refused"]
"""How an attempt ended.

finished     all its runs have results, or the trunk its last checkpoint
interrupted  asked to stop (preemption, the driver's wish): it saved a checkpoint first
lost         its process, node or peers went away without a word
failed       an error of its own: may be tried again so many times
refused      an error that another attempt cannot mend: bad layout, too little memory, mixed versions
"""


@dataclass(frozen=True)
class Order:
    """All that a worker needs to know, as plain JSON: the study itself is read from the study's folder."""

    study: str
    """The study's folder, a path or a URL that the worker can open."""
    spec_sha256: str
    """Of the study.json that the worker must find there."""
    task_id: str
    trunk_ids: tuple[str, ...]
    part: Part
    budget: int
    attempt: int
    """1 for the first."""
    token: str
    """Unguessable name of this attempt: who holds the task's claim."""
    data_folder: str
    execution: dict[str, Any]
    """Fields of scaling.execution.Execution."""
    recording: dict[str, Any]
    """Fields of Recording: checkpoint_seconds, copies, profile."""
    launch: dict[str, Any]
    """Fields of scaling.launching.launch.Launch."""
    versions: dict[str, str] = field(default_factory=dict)
    """What the driver runs: packages, and a hash of this package's source; a worker with others refuses."""
    avoid: tuple[str, ...] = ()
    """Hosts that it is not given to while there are others that could ever hold it; names as in Ending.host."""

    def to_json(self) -> str:
        """As JSON text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Order:
        """The order in a JSON text."""
        values = json.loads(text)
        tuples = {name: tuple(values[name]) for name in ("trunk_ids", "avoid") if name in values}
        return cls(**values | tuples)


@dataclass(frozen=True)
class Ending:
    """How an attempt at a task ended."""

    kind: Kind
    reason: str = ""
    """One sentence for a person; empty when it finished."""
    seconds: float = 0.0
    """From the worker's start to its end, by one clock (the worker's, or the engine's where the worker was lost)."""
    devices: int = 0
    """Devices that it had; 0 where that is not known."""
    host: str = ""
    steps: int = 0
    """Steps newly saved or finished in this attempt; 0 where it got nowhere, or where its worker can no longer tell."""
    at_fault: Literal["task", "node"] = "task"
    """Of a refusal or failure: `node` where the task may well be trained on another host."""


class Engine(Protocol):
    """Trains orders somewhere. Made by its driver, closed at the end; `poll` is called from one thread."""

    def check(self, tasks: Sequence[Task]) -> None:
        """Raise UserError that names what exists where no node could ever hold one of the tasks."""

    def places(self) -> int:
        """Tasks that can be in training at once, as far as is known now."""

    def room(self) -> int:
        """How many more orders it wants now."""

    def submit(self, order: Order) -> None:
        """Take an order; its end is told by `poll`."""

    def poll(self, seconds: float) -> list[tuple[str, Ending]]:
        """Wait up to so many seconds for attempts to end: (task_id, ending) of each."""

    def stop(self, task_id: str) -> None:
        """Ask an attempt to save and end; `poll` tells when it has."""

    def kill(self, task_id: str) -> None:
        """End an attempt that did not when it was asked to; `poll` tells when it has."""

    def close(self) -> None:
        """Let go of everything that it started; attempts that still run are killed."""
