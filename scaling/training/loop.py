"""The loop: advance a state to a step, logging, saving, and stopping when asked or when the loss is no number."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax

from scaling.data.batches import batch
from scaling.data.rows import Rows
from scaling.training.checkpoint import Checkpoints
from scaling.training.metrics import MetricsLog
from scaling.training.program import Program
from scaling.training.sharding import place
from scaling.training.state import Metrics, State

LOG_EVERY = 10
"""Steps between two records of the log; the loss of a record is the mean over the steps since the one before."""


class Interrupted(Exception):
    """Training was asked to stop; a checkpoint has been written, and the same command continues."""


class Diverged(Exception):
    """The loss or the gradient of a step was not finite."""

    def __init__(self, step: int) -> None:
        super().__init__(f"loss or gradient was not finite at step {step}")
        self.step = step


@dataclass(frozen=True)
class Progress:
    """What a watcher is told after a step."""

    step: int
    loss: float
    tokens_per_second: float


@dataclass(frozen=True)
class Watch:
    """How the outside looks in: progress, the wish to stop, and how often to save unasked."""

    progress: Callable[[Progress], None] = lambda _: None
    stop_wanted: Callable[[], bool] = lambda: False
    checkpoint_seconds: float = 60.0


@dataclass
class Clock:
    """Device-seconds of training so far, earlier processes included, and the pace of this one."""

    devices: int
    device_seconds: float = 0.0
    _last: float = field(default_factory=time.perf_counter)
    _pace: float = 0.0

    def tick(self, tokens: int) -> float:
        """Count the time since the last tick, in which `tokens` were trained on; the smoothed tokens/s."""
        now = time.perf_counter()
        spent, self._last = now - self._last, now
        self.device_seconds += spent * self.devices
        pace = tokens / max(spent, 1e-9)
        self._pace = pace if self._pace == 0 else 0.9 * self._pace + 0.1 * pace
        return self._pace

    def skip(self) -> None:
        """Leave out the time since the last tick: saving is not training."""
        self._last = time.perf_counter()


@dataclass
class Trainer:
    """One trunk or branch on its way: everything but the state that a step is about."""

    program: Program
    rows: Rows
    seed: int
    batch_rows: int
    checkpoints: Checkpoints
    log: MetricsLog
    clock: Clock
    notes: dict[str, Any]
    """Kept with every checkpoint, the device-seconds and the losses not yet logged brought up to date."""
    watch: Watch
    _pending: tuple[int, Metrics] | None = None
    _losses: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self._losses = list(self.notes.get("losses", []))

    def advance(self, state: State, start: int, stop: int) -> State:
        """Train from step `start` to `stop`, saving there and every so many seconds.

        Metrics are fetched one step late, so that the device does not wait for the host. Raises Diverged, and
        Interrupted after a checkpoint when the watch wants to stop.
        """
        self.clock.skip()
        saved = time.monotonic()
        for done in range(start + 1, stop + 1):
            rows = batch(
                self.rows, self.seed, done - 1, self.batch_rows, jax.process_index(), jax.process_count()
            )
            state, metrics = self.program.step(state, place(rows, self.program.mesh))
            if done == start + 1:
                self.clock.skip()  # compiling is not training
            self._settle()
            self._pending = (done, metrics)
            if self.program.in_flight == 1:
                jax.block_until_ready(state)
                self._settle()
            wanted = self.watch.stop_wanted()
            if wanted or done == stop or time.monotonic() - saved > self.watch.checkpoint_seconds:
                self._settle()
                notes = self.notes | {"device_seconds": self.clock.device_seconds, "losses": self._losses}
                self.checkpoints.save(done, state, notes)
                self.clock.skip()
                saved = time.monotonic()
            if wanted and done < stop:
                raise Interrupted
        return state

    def _settle(self) -> None:
        """Wait for the step in flight and tell its numbers; raises Diverged where they are none."""
        if self._pending is None:
            return
        (step, metrics), self._pending = self._pending, None
        values: dict[str, Any] = {name: float(value) for name, value in jax.device_get(metrics).items()}
        tokens = self.batch_rows * self.rows.context
        pace = self.clock.tick(tokens)
        self.watch.progress(Progress(step, values["loss"], pace))
        if not (math.isfinite(values["loss"]) and math.isfinite(values["gradient_norm"])):
            raise Diverged(step)
        self._losses.append(values["loss"])
        if step % LOG_EVERY == 0:
            values["loss"] = math.fsum(self._losses) / len(self._losses)
            self._losses.clear()
            self.log.write(step, tokens=step * tokens, **values, tokens_per_second=round(pace, 1))
