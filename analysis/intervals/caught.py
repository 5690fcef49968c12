"""What was counted of intervals on simulated tables: how many truths they caught, and the calibrated ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from analysis.intervals.calibration import share_interval
from analysis.intervals.interval import Interval


@dataclass(frozen=True)
class Caught:
    """How often the intervals of one quantity caught its truth, and what calibrates them."""

    plain: Interval
    """The interval of the fit's own bootstrap."""
    caught: int
    """Truths inside the plain interval of their simulated table."""
    of: int
    calibrated: Interval | None
    """The interval that catches the level asked for; None where no member of the family does."""
    level: float
    """The nominal level at which the plain interval is the calibrated one; of a stretched one the level of what was
    stretched; NaN where there is none."""
    stretch: float
    """By what factor its ends are further from the median than those of that level; 1 for most. Of a profile, by what
    factor the objective may rise more than its threshold."""
    held_out: int
    """Truths caught by the interval that was calibrated on the other half of the truths."""

    @property
    def share(self) -> tuple[float, float]:
        """The 95 % interval of the share caught."""
        return share_interval(self.caught, self.of)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        lo, hi = self.share
        return {
            "nominal": self.plain.level,
            "caught": self.caught,
            "of": self.of,
            "lo": lo,
            "hi": hi,
            "plain": self.plain.as_dict(),
            "calibrated_level": self.level,
            "stretch": self.stretch,
            "interval": self.calibrated.as_dict() if self.calibrated else None,
            "held_out": self.held_out,
        }


@dataclass(frozen=True)
class Coverage:
    """The coverage of a law's bootstrap intervals on its own design, by quantity."""

    quantities: dict[str, Caught]
    truths: int
    refits: int
    seed: int
    level: float
    method: str
    shared: float
    """Standard deviation of the noise that the rows of a cluster share."""
    own: float
    """Standard deviation of each row's own noise."""
    profile: Caught | None = None
    """Of the floor by its profile; None where there is none."""

    def as_dict(self) -> dict[str, Any]:
        """The `coverage` entry of fit.json."""
        plain = ("truths", "refits", "seed", "level", "method", "shared", "own")
        return {name: getattr(self, name) for name in plain} | {
            "profile": self.profile.as_dict() if self.profile else None,
            "quantities": {name: found.as_dict() for name, found in self.quantities.items()},
        }
