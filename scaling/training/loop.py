"""The loop: advance a population to a step, logging, saving, and stopping when asked or when no loss is a number."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from scaling.data.rows import Rows
from scaling.training.checkpoint import PopulationCheckpoints
from scaling.training.hosts import Agreement
from scaling.training.metrics import MetricsLog
from scaling.training.program import Program
from scaling.training.state import Metrics, State

LOG_EVERY = 10
"""Steps between two records of the log; the loss of a record is the mean over the steps since the one before."""

FETCH_SECONDS = 0.2
"""Metrics are fetched from the device that often, or every LOG_EVERY steps: a fetch makes the host wait."""


class Interrupted(Exception):
    """Training was asked to stop; a checkpoint has been written, and the same command continues."""


@dataclass(frozen=True)
class Progress:
    """What a watcher is told after steps: the mean loss of the members that have one."""

    step: int
    loss: float
    tokens_per_second: float
    mfu: float | None = None
    """Of the devices that a member has; None where no peak is known."""


@dataclass(frozen=True)
class Watch:
    """How the outside looks in: progress, the wish to stop, and how often to save unasked."""

    progress: Callable[[Progress], None] = lambda _: None
    stop_wanted: Callable[[], bool] = lambda: False
    checkpoint_seconds: float = 60.0
    before_saving: Callable[[], None] = lambda: None
    """Raises where another process has taken the work over."""


@dataclass
class Clock:
    """Device-seconds of training of each member since the clock was made, and the pace."""

    devices: float
    """Devices a member: those of the mesh over the members that they train."""
    device_seconds: float = 0.0
    _last: float = field(default_factory=time.perf_counter)
    _pace: float = 0.0

    def tick(self, tokens: int) -> float:
        """Count the time since the last tick, in which `tokens` were trained on; the smoothed tokens/s."""
        now = time.perf_counter()
        spent, self._last = now - self._last, now
        self.device_seconds += spent * self.devices
        pace = tokens / max(spent, 1e-9)
        self._pace = pace if self._pace == 0 else 0.8 * self._pace + 0.2 * pace
        return self._pace

    def skip(self) -> None:
        """Leave out the time since the last tick: saving is not training."""
        self._last = time.perf_counter()


@dataclass
class Member:
    """One model of a population on its way: everything but its state."""

    log: MetricsLog
    seed: int
    """Of the order of its data."""
    notes: dict[str, Any]
    """Kept with every checkpoint; the device-seconds, the fate and the losses not yet logged are brought up to date."""
    diverged: int | None = None
    """The step at which its loss or gradient was no number; it is carried along, and nothing more is said of it."""
    losses: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, log: MetricsLog, seed: int, notes: dict[str, Any]) -> Member:
        """A member as its notes left it."""
        return cls(log, seed, notes, notes.get("diverged"), list(notes.get("losses", [])))

    def hear(
        self, step: int, values: dict[str, float], tokens: int, since: float, speed: dict[str, float | None]
    ) -> None:
        """Take in the numbers of a step, and log them when it is time."""
        if self.diverged is not None:
            return
        if not (math.isfinite(values["loss"]) and math.isfinite(values["gradient_norm"])):
            self.diverged = step
            return
        self.losses.append(values["loss"])
        if step % LOG_EVERY == 0:
            values = values | {"loss": math.fsum(self.losses) / len(self.losses)}
            self.losses.clear()
            self.log.write(
                step,
                tokens=step * tokens,
                **values,
                **speed,
                device_seconds=round(self.device_seconds(since), 3),
            )

    def device_seconds(self, since: float) -> float:
        """Device-seconds on its trunk or branch in all, with those `since` its notes were read."""
        return self.notes["device_seconds"] + since

    def noted(self, since: float) -> dict[str, Any]:
        """Notes for a checkpoint, so many device-seconds since its notes were read."""
        return self.notes | {
            "device_seconds": self.device_seconds(since),
            "losses": self.losses,
            "diverged": self.diverged,
        }


@dataclass
class Trainer:
    """A population on the way along its trunks or branches: everything but the state that a step is about."""

    program: Program
    rows: Rows
    members: Sequence[Member]
    batch_rows: int
    checkpoints: PopulationCheckpoints
    clock: Clock
    watch: Watch
    utilisation: Callable[[float], float | None] = lambda _: None
    """MFU of a member at so many tokens a second, None where no peak is known."""
    _pending: list[tuple[int, Metrics]] = field(default_factory=list)

    @property
    def lost(self) -> bool:
        """Whether every member has diverged."""
        return all(member.diverged is not None for member in self.members)

    def advance(self, state: State, start: int, stop: int) -> State:
        """Train from step `start` to `stop`, saving there and every so many seconds.

        Ends early, unsaved, where every member has diverged. Metrics are fetched some steps late, so that the device
        does not wait for the host; several hosts, whose clocks differ, all look at the same steps. Raises Interrupted
        after a checkpoint when the watch wants to stop.
        """
        self.clock.skip()
        saved = fetched = time.monotonic()
        seeds = [member.seed for member in self.members]
        agreement = Agreement()
        for done in range(start + 1, stop + 1):
            batch = self.program.batch(self.rows, seeds, done - 1, self.batch_rows)
            state, metrics = self.program.step(state, batch)
            if self.program.waits:
                jax.block_until_ready((state, metrics))
            if not self.program.called:
                jax.block_until_ready(metrics)
                self.clock.skip()  # making the program is not training
                self.program.called.append(True)
            self._pending.append((done, metrics))
            now = time.monotonic()
            if len(self._pending) > LOG_EVERY or now - fetched > FETCH_SECONDS:
                self._settle(in_flight=1)
                fetched = now
            wanted = due = False
            together = agreement.is_due(done)
            if together:
                due = now - saved > self.watch.checkpoint_seconds
                wanted, due = agreement.any_host(done, self.watch.stop_wanted(), due)
            saves = wanted or due or done == stop
            if saves or (together and agreement.hosts > 1):
                self._settle(in_flight=0)  # all hosts have then heard of the same steps
            if self.lost and (saves or together):
                return state
            if saves:
                self._save(done, state)
                saved = time.monotonic()
            if wanted and done < stop:
                raise Interrupted
        return state

    def _settle(self, in_flight: int) -> None:
        """Wait for all steps but the last `in_flight` and tell their numbers."""
        ready = self._pending[: len(self._pending) - in_flight]
        if not ready:
            return
        del self._pending[: len(ready)]
        tokens = self.batch_rows * self.rows.context
        fetched = jax.device_get([(step, _needed(step, values)) for step, values in ready])
        found = [(step, {name: np.atleast_1d(v) for name, v in values.items()}) for step, values in fetched]
        pace = self.clock.tick(tokens * len(self.members) * len(ready))
        each = pace / len(self.members)
        speed = {"tokens_per_second": round(each, 1), "mfu": self.utilisation(each)}
        losses = [loss for loss in found[-1][1]["loss"] if math.isfinite(loss)]
        mean = float(np.mean(losses)) if losses else math.nan
        # before anything is written: who watches may know that another process has taken over, and raise
        self.watch.progress(Progress(found[-1][0], mean, pace, speed["mfu"]))
        for step, values in found:
            for number, member in enumerate(self.members):
                mine = {name: float(value[number]) for name, value in values.items()}
                member.hear(step, mine, tokens, self.clock.device_seconds, speed)

    def _save(self, step: int, state: State) -> None:
        self.watch.before_saving()
        notes = [member.noted(self.clock.device_seconds) for member in self.members]
        for member in self.members:  # or a kill after the checkpoint would leave a gap in the log
            member.log.flush()
        self.checkpoints.save(step, self.program.apart(state), notes)
        self.clock.skip()


def _needed(step: int, metrics: Metrics) -> Metrics:
    """What is fetched of a step: norms by group only where they are logged, since each array costs the host time."""
    return {k: v for k, v in metrics.items() if step % LOG_EVERY == 0 or k in ("loss", "gradient_norm")}
