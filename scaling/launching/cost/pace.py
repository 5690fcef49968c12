"""How fast a device trains models of a shape: as measured, between two that were measured, or as guessed from its peak.

Rates are training FLOPs a second of one device, of all members together where several are trained at once. A rate is of
a kind of device: none is used for another kind. Nothing here imports JAX but the probe.
"""

from __future__ import annotations

import bisect
import functools
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from scaling.accounting import parameters, training_flops
from scaling.devices import peak_of
from scaling.spec import Model, Run

PROBE_SIZE = 512
PROBE_SECONDS = 0.5
SHARE_OF_PROBE = 0.25
"""Of the speed of a plain matrix product, what a small model's training reaches on a CPU (0.2 to 0.4, by width)."""
FAR = 10.0
"""Beyond so many times the parameters of the largest or smallest shape measured, a rate is said to be extrapolated."""

MEASURED, BETWEEN, BEYOND, GUESSED = 1.3, 1.6, 2.0, 4.0
"""Factors within which a rate is taken to hold: measured on this shape; between two shapes measured; beyond them, up to
FAR; and farther. They are judgements, not measured coverage. The first is widened to the spread between runs of a shape
where that is more."""

UTILISATION = ((1e5, 0.0003, 0.02), (1e6, 0.002, 0.08), (1e7, 0.02, 0.25), (1e8, 0.2, 0.5), (1e9, 0.3, 0.55))
"""Parameters, and the least and most share of an accelerator's bf16 peak that training reaches at that size, straight
between them in the logarithm and constant beyond: published figures from 124M on are 0.32 to 0.52; smaller models wait
for memory and for the launch of kernels, and how much depends on the batch, so that their range is wide."""


@dataclass(frozen=True)
class Rate:
    """FLOPs a second of one device, the factor within which that is taken to hold, and what it rests on."""

    flops_per_second: float
    factor: float
    source: str


@dataclass(frozen=True)
class Knot:
    """What was measured on one shape of model."""

    flops: float
    device_seconds: float
    compile_seconds: float | None = None
    factor: float = MEASURED
    source: str = ""

    @property
    def flops_per_second(self) -> float:
        """Of one device."""
        return self.flops / self.device_seconds


def rate_of(model: Model, knots: Mapping[Model, Knot]) -> Rate | None:
    """The rate of a shape from those of the shapes measured: its own, or straight between its neighbours in log rate
    against log parameters; beyond them the nearest one's. None where nothing was measured.

    A linear model tells nothing of a transformer, nor the other way round.
    """
    if model in knots:
        knot = knots[model]
        return Rate(knot.flops_per_second, knot.factor, knot.source)
    alike = sorted(
        (math.log(size(other)), math.log(knot.flops_per_second), knot.source)
        for other, knot in knots.items()
        if other.kind == model.kind
    )
    if not alike:
        return None
    x, place = math.log(size(model)), bisect.bisect_left(alike, (math.log(size(model)),))
    if 0 < place < len(alike):
        (x0, y0, said), (x1, y1, _) = alike[place - 1], alike[place]
        share = (x - x0) / (x1 - x0) if x1 > x0 else 0.5
        return Rate(math.exp(y0 + share * (y1 - y0)), BETWEEN, f"{said}, between their shapes")
    x0, y0, said = alike[min(place, len(alike) - 1)]
    times = math.exp(abs(x - x0))
    if times <= FAR:
        return Rate(math.exp(y0), BEYOND, f"{said}, beyond their shapes")
    larger = "larger" if x > x0 else "smaller"
    return Rate(
        math.exp(y0), GUESSED, f"{said}, extrapolated to shapes up to {_magnitude(times)} times {larger}"
    )


def knots_of(results: Mapping[Run, Mapping[str, Any]], device: str | None = None) -> dict[Model, Knot]:
    """What finished runs tell of each shape, on one kind of device; None takes any."""
    flops: dict[Model, list[tuple[float, float]]] = {}
    compiled: dict[Model, list[float]] = {}
    for run, result in results.items():
        if (found := timed(run, result, device)) is not None:
            flops.setdefault(run.model, []).append(found)
            if (took := result["measured"].get("compile_seconds")) is not None:
                compiled.setdefault(run.model, []).append(took)
    said = f"the {sum(map(len, flops.values()))} runs done here"
    made = {}
    for model, parts in flops.items():
        took = compiled.get(model)
        typical = sum(took) / len(took) if took else None
        made[model] = Knot(sum(f for f, _ in parts), sum(s for _, s in parts), typical, _factor(parts), said)
    return made


def timed(run: Run, result: Mapping[str, Any], device: str | None = None) -> tuple[float, float] | None:
    """Training FLOPs and device-seconds of a finished run; None where it did not end, tells no time, or had another
    kind of device."""
    measured = result["measured"]
    if result["status"] != "done" or not (measured.get("device_seconds") or 0) > 0:
        return None
    if device is not None and not same_kind(measured.get("device") or "", device):
        return None
    seconds, trunk = measured["device_seconds"], measured.get("trunk_device_seconds")
    steps = run.steps if trunk is not None else run.decay_steps
    return training_flops(run.model, steps * run.optim.batch_tokens), seconds + (trunk or 0.0)


def assumed(model: Model, device: str) -> Rate | None:
    """A rate from a device's peak and the utilisation that models of this size reach; None for a device of no known
    peak, and for a linear model, whose work is no matrix product."""
    peak = peak_of(device)
    if peak is None or model.kind == "linear":
        return None
    low, high = utilisation(size(model))
    return Rate(
        peak.half * math.sqrt(low * high),
        math.sqrt(high / low),
        f"{device}'s peak of {peak.half / 1e12:.3g} TFLOP/s (bf16) and the utilisation that models of such sizes are "
        "known to reach",
    )


def utilisation(parameters: float) -> tuple[float, float]:
    """The least and most share of an accelerator's peak that training of so many parameters reaches."""
    x = math.log(min(max(parameters, UTILISATION[0][0]), UTILISATION[-1][0]))
    place = max(1, bisect.bisect_left([math.log(n) for n, _, _ in UTILISATION], x))
    (n0, *below), (n1, *above) = UTILISATION[place - 1], UTILISATION[place]
    share = (x - math.log(n0)) / (math.log(n1) - math.log(n0))
    low, high = (
        math.exp((1 - share) * math.log(a) + share * math.log(b)) for a, b in zip(below, above, strict=True)
    )
    return low, high


def probed() -> Rate:
    """A guess from half a second of matrix products on one of this machine's devices: right within a factor of about
    two on a CPU, and too high for small models on an accelerator."""
    import jax
    import jax.numpy as jnp

    square = jnp.ones((PROBE_SIZE, PROBE_SIZE))
    multiply = jax.jit(lambda x: x @ x / PROBE_SIZE)
    multiply(square).block_until_ready()
    best, started = float("inf"), time.perf_counter()
    while time.perf_counter() - started < PROBE_SECONDS:
        before = time.perf_counter()
        multiply(square).block_until_ready()
        best = min(best, time.perf_counter() - before)
    shared = jax.device_count() if jax.default_backend() == "cpu" else 1  # one product takes all cores
    return Rate(SHARE_OF_PROBE * 2 * PROBE_SIZE**3 / best / shared, 2.0, "a probe of matrix products")


def same_kind(one: str, other: str) -> bool:
    """Whether two names are of one kind of device: `TPU v5e` is `TPU v5 lite`."""
    return one == other or (peak_of(one) is not None and peak_of(one) == peak_of(other))


@functools.lru_cache(maxsize=4096)
def size(model: Model) -> int:
    """All parameters of a model."""
    return parameters(model).total


def _factor(parts: Iterable[tuple[float, float]]) -> float:
    """MEASURED, or twice the standard deviation of the logarithm of the runs' rates where that is more."""
    logs = [math.log(flops / seconds) for flops, seconds in parts]
    if len(logs) < 2:
        return MEASURED
    mean = sum(logs) / len(logs)
    spread = math.sqrt(sum((x - mean) ** 2 for x in logs) / (len(logs) - 1))
    return max(MEASURED, math.exp(2 * spread))


def _magnitude(times: float) -> str:
    return f"{10 ** math.ceil(math.log10(times)):.0f}"
