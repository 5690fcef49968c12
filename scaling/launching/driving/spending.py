"""Device-seconds: what a study has spent, what a task will take, and how much of a cap is left. Pure; no clock."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field


@dataclass
class Spending:
    """Device-seconds spent, and the pace of ended attempts by the size of what they trained.

    The pace is FLOPs of kept steps over all device-seconds of the attempts, start and compilation included. A size that
    none has trained yet takes the pace of the nearest, by the logarithm of its FLOPs a step.
    """

    cap: float = math.inf
    spent: float = 0.0
    _kept: dict[float, float] = field(default_factory=lambda: defaultdict(float))
    _took: dict[float, float] = field(default_factory=lambda: defaultdict(float))
    supposed: dict[float, float] = field(default_factory=dict)
    """FLOPs a device-second by size, until an attempt tells."""

    @property
    def capped(self) -> bool:
        """Whether there is a limit at all."""
        return math.isfinite(self.cap)

    def pay(self, size: float, device_seconds: float, flops: float) -> None:
        """An attempt has ended that kept so many FLOPs of steps of `size` FLOPs each."""
        self.spent += device_seconds
        if flops > 0 and device_seconds > 0:
            self._kept[size] += flops
            self._took[size] += device_seconds

    def suppose(self, size: float, flops_a_device_second: float) -> None:
        """A pace that is believed until an attempt at that size has ended."""
        if flops_a_device_second > 0:
            self.supposed[size] = flops_a_device_second

    def pace(self, size: float) -> float | None:
        """FLOPs a device-second of steps of that size; None where nothing is known of any."""
        known = self._kept.keys() or self.supposed.keys()
        if size in self.supposed and size not in self._kept:
            return self.supposed[size]
        if not known:
            return None
        near = min(known, key=lambda other: (abs(math.log(other / size)), other))
        return self._kept[near] / self._took[near] if near in self._kept else self.supposed[near]

    def estimate(self, size: float, flops: float) -> float | None:
        """Device-seconds of so many FLOPs in steps of `size` FLOPs; None where nothing is known."""
        pace = self.pace(size)
        return None if pace is None else flops / pace
