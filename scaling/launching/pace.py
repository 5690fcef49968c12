"""How long training will take on this machine: from the runs it has done, or from a short probe."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from scaling.accounting import training_flops
from scaling.folder import StudyFolder
from scaling.spec import Run

PROBE_SIZE = 512
SHARE_OF_PROBE = 0.25
"""Of the speed of a plain matrix product, what a small model's training reaches on a CPU (0.2 to 0.4, by width)."""
COMPILE_SECONDS = 8.0
"""For one shape of model: its initialisation, step and evaluation."""


@dataclass(frozen=True)
class Pace:
    """FLOPs a second of training, and what that figure rests on."""

    flops_per_second: float
    source: str

    def seconds(self, flops: float, shapes: int) -> float:
        """Seconds for so many training FLOPs of so many shapes of model."""
        return flops / self.flops_per_second + shapes * COMPILE_SECONDS


def measured_pace(folder: StudyFolder, runs: Iterable[Run]) -> Pace | None:
    """The pace of the study's finished runs, None while there are none."""
    flops = seconds = 0.0
    finished = 0
    for run in runs:
        result = folder.result(run)
        if result and result["status"] == "done":
            flops += training_flops(run.model, run.decay_steps * run.optim.batch_tokens)
            seconds += result["measured"]["device_seconds"] / result["measured"].get("devices", 1)
            finished += 1
    return Pace(flops / seconds, f"the {finished} runs done here") if seconds else None


def probed_pace() -> Pace:
    """A guess from half a second of matrix products on one device: right within a factor of about two on a CPU."""
    import jax
    import jax.numpy as jnp

    square = jnp.ones((PROBE_SIZE, PROBE_SIZE))
    multiply = jax.jit(lambda x: x @ x / PROBE_SIZE)
    multiply(square).block_until_ready()
    best, started = float("inf"), time.perf_counter()
    while time.perf_counter() - started < 0.5:
        before = time.perf_counter()
        multiply(square).block_until_ready()
        best = min(best, time.perf_counter() - before)
    speed = (
        SHARE_OF_PROBE
        * 2
        * PROBE_SIZE**3
        / best
        * (1 if jax.default_backend() == "cpu" else jax.device_count())
    )
    return Pace(speed, "a probe of matrix products, within a factor of about two")
