"""How often the floor's interval by all admissible laws, the verdict's, catches the truth on the user's own design.

It costs seconds a table, so no verb asks for it: `floor_coverage` is for a notebook, a test or a benchmark.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.floor.admissible import combine
from analysis.floor.judgement import judge
from analysis.intervals.calibration import share_interval
from analysis.intervals.coverage import simulated_tables
from analysis.options import IN_N_AND_D

if TYPE_CHECKING:
    import pandas as pd

    from analysis.fitting import Fit
    from analysis.intervals.uncertainty import Uncertainty


@dataclass(frozen=True)
class FloorCaught:
    """Simulated tables whose true floor lay in the interval, and what was said of them."""

    caught: int
    of: int
    verdicts: dict[str, int]
    """How often each verdict was given."""
    false_claims: int
    """Tables of which a floor was said to be identified and the truth lay outside."""
    level: float

    @property
    def share(self) -> tuple[float, float]:
        """The 95 % interval of the share caught."""
        return share_interval(self.caught, self.of)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return vars(self) | {"lo": self.share[0], "hi": self.share[1]}


def floor_coverage(
    table: pd.DataFrame,
    fit: Fit,
    boot: Uncertainty,
    *,
    truths: int,
    laws: Sequence[str] = IN_N_AND_D,
    replicates: int = 200,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> FloorCaught:
    """Simulate the fit's own table `truths` times (as `coverage` does), combine all admissible laws on each, and count.

    The truths are of one law, the fit's, which is among those admitted: of other truths this says nothing.
    """
    caught, false, verdicts = 0, 0, Counter[str]()
    for done, (truth, frame) in enumerate(
        simulated_tables(table, fit, boot, truths=truths, seed=seed), start=1
    ):
        combined = combine(
            frame, law=fit.law, laws=laws, objective=fit.objective, weights=fit.weighted_by,
            clusters=boot.clusters, replicates=replicates, seed=seed, level=boot.level,
        )  # fmt: skip
        found = judge(frame, combined)
        inside = found.lo <= float(truth.as_dict()["E"]) <= found.hi
        caught += inside
        verdicts[found.verdict] += 1
        false += found.verdict == "identified" and not inside
        if progress:
            progress(done, truths)
    return FloorCaught(caught, truths, dict(verdicts), false, boot.level)
