"""Approach 2: a parabola of the loss in log N at each compute budget, and a line through their minima.

Hoffmann et al. 2022 (arXiv 2203.15556, section 3.2). A curve of one budget is no parabola except near its minimum, so
the answer is biased where the law's exponents differ, by more the wider the sizes and the less centred they are (Czech
et al. 2026, arXiv 2603.22339): `allocation.bias` says by how much at the table's own N, D and C. It stands beside a
fitted law and never in its place.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.classical.allocation import VALID_SHARE, Allocation, Line, Point, Refused, expanded, fitted_line
from analysis.classical.budgets import LEAST_SIZES, Budget
from analysis.errors import InputError
from analysis.frontier import Cost
from analysis.intervals.uncertainty import grouping

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

OFF_CENTRE = 0.5
"""How far from the middle of the sizes towards their end a minimum may lie before a reader is told."""


@dataclass(frozen=True)
class Parabola:
    """L = c0 + c1 x + c2 x^2 of a budget by least squares, x = log N less its mean over the rows."""

    budget: Budget
    coefficients: Array
    """(c0, c1, c2)."""

    @property
    def design(self) -> Array:
        """(1, x, x^2) of every row, [n, 3]."""
        return np.vander(self.budget.x, 3, increasing=True)

    @property
    def inverse(self) -> Array:
        """What turns losses into coefficients, [3, n]."""
        return np.asarray(np.linalg.pinv(self.design))

    @property
    def x_opt(self) -> float:
        """Where the slope is 0: -c1 / (2 c2)."""
        return float(-self.coefficients[1] / (2 * self.coefficients[2]))

    @property
    def N_opt(self) -> float:
        """Size at the minimum."""
        return float(np.exp(self.x_opt + np.log(self.budget.N).mean()))

    def loss(self, N: Array) -> Array:
        """The parabola at sizes N, nats per token."""
        x = np.log(N) - np.log(self.budget.N).mean()
        return np.vander(np.atleast_1d(x), 3, increasing=True) @ self.coefficients

    @property
    def L_opt(self) -> float:
        """Loss at the minimum."""
        return float(self.loss(np.array([self.N_opt]))[0])

    @property
    def off_centre(self) -> float:
        """Where the minimum lies: 0 in the middle of the sizes in log N, 1 at either end."""
        x = self.budget.x
        return float(abs(self.x_opt - (x[0] + x[-1]) / 2) / ((x[-1] - x[0]) / 2))

    @property
    def residuals(self) -> Array:
        """Losses less the parabola, each over sqrt(1 - its leverage): of the noise's own spread, [n]."""
        leverage = np.einsum("nk,kn->n", self.design, self.inverse)
        return np.asarray(
            (self.budget.L - self.design @ self.coefficients) / np.sqrt(np.maximum(1 - leverage, 1e-6))
        )

    @property
    def gradient(self) -> Array:
        """d log N_opt / d L of every row, [n]."""
        _, c1, c2 = self.coefficients
        return np.asarray(np.array([0.0, -1 / (2 * c2), c1 / (2 * c2**2)]) @ self.inverse)

    @property
    def weight(self) -> float:
        """1 / Var(log N_opt) for noise of variance 1 in the losses, by the delta method."""
        return float(1 / np.square(self.gradient).sum())


def parabola(budget: Budget) -> Parabola | Refused:
    """The parabola of a budget, or why it has none: too few sizes, opening downwards, no minimum between its sizes."""
    rows = len(budget.N)
    few = budget.few()
    if few:
        return Refused(budget.C, rows, few)
    design = np.vander(budget.x, 3, increasing=True)
    found = Parabola(budget, np.linalg.pinv(design) @ budget.L)
    if not found.coefficients[2] > 0:
        return Refused(budget.C, rows, "a parabola that opens downwards")
    if not budget.x[0] < found.x_opt < budget.x[-1]:
        end = "smallest" if found.x_opt <= budget.x[0] else "largest"
        return Refused(budget.C, rows, f"the minimum beyond the {end} size")
    return found


def isoflop(
    frame: pd.DataFrame,
    cost: Cost,
    budgets: list[Budget],
    *,
    replicates: int = 1000,
    clusters: str = "auto",
    seed: int = 0,
    level: float = 0.9,
) -> Allocation:
    """N_opt ~ C^a by weighted least squares of the parabolas' log N_opt on log C, and D_opt as C buys tokens at N_opt.

    Weights are 1 / Var(log N_opt) for one noise in all budgets. The intervals are of a wild cluster bootstrap
    (Wu 1986; Cameron, Gelbach and Miller 2008): the sizes stay, each residual, divided by sqrt(1 - its leverage), keeps
    or turns its sign with the others of its run. Raises InputError where no line can be drawn.
    """
    tried = [parabola(budget) for budget in budgets]
    kept = [found for found in tried if isinstance(found, Parabola)]
    refused = [found for found in tried if isinstance(found, Refused)]
    groups, how = grouping(frame, clusters)
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1.0, 1.0], size=(replicates, int(groups.max(initial=0)) + 1))
    optima = [_replicated(found, signs[:, groups[found.budget.place]]) for found in kept]
    steady = [bool(not replicates or np.isfinite(x).mean() >= VALID_SHARE) for x in optima]
    for found, good, x in zip(kept, steady, optima, strict=True):
        if not good:
            share = f"a minimum between its sizes in {np.isfinite(x).mean():.0%} of the replicates"
            refused.append(Refused(found.budget.C, len(found.budget.N), share))
    kept = [found for found, good in zip(kept, steady, strict=True) if good]
    optima = [x for x, good in zip(optima, steady, strict=True) if good]
    require_budgets(len(kept), refused, "parabola")
    N = _line(kept, np.stack(optima, axis=1))
    places = np.concatenate([found.budget.place for found in kept])
    independent = len(np.unique(groups[places]))
    freedom = _freedom(kept) if how == "pairs" else min(_freedom(kept), independent - 1)
    return Allocation(
        approach="IsoFLOP parabolas",
        N=N,
        D=N.paid(cost),
        points=tuple(point(found.budget.C, found.N_opt, cost, found.L_opt) for found in kept),
        refused=tuple(sorted(refused, key=lambda item: item.C)),
        rows=len(places),
        method=f"wild bootstrap, {how}",
        level=level,
        probabilities=expanded(level, freedom),
        seed=seed,
        used=f"{len(kept)} of {len(budgets)} budgets, {len(places)} rows",
        warnings=_warnings(kept, N),
        places=places,
    )


def require_budgets(kept: int, refused: list[Refused], curve: str) -> None:
    """Raise InputError, naming why budgets were refused, unless two are left."""
    if kept >= 2:
        return
    counts = Counter(item.reason for item in refused)
    reasons = "; ".join(f"{count} with {reason}" for reason, count in counts.items())
    raise InputError(
        f"{kept} of {kept + len(refused)} compute budgets {'has' if kept == 1 else 'have'} a {curve} with a minimum, "
        f"and a line needs 2{f' ({reasons})' if reasons else ''}; widen the tolerance of budgets, or add runs of "
        f"{LEAST_SIZES} sizes at one compute"
    )


def point(C: float, N: float, cost: Cost, L: float) -> Point:
    """The optimum of a budget with the tokens that C buys."""
    return Point(C, N, float(cost.tokens(C, N)), L)


def _line(kept: list[Parabola], optima: Array) -> Line:
    C = np.array([found.budget.C for found in kept])
    N = np.array([found.N_opt for found in kept])
    weights = np.array([found.weight for found in kept])
    return fitted_line(C, N, weights, optima, np.isfinite(optima).astype(float))


def _freedom(kept: list[Parabola]) -> float:
    """Degrees of freedom of the slope's variance as the residuals tell it: (tr A)^2 / tr(A^2) of its quadratic form A
    in the noise (Satterthwaite 1946; Bell and McCaffrey 2002)."""
    x, w = np.log([found.budget.C for found in kept]), np.array([found.weight for found in kept])
    shares = w * (x - (w * x).sum() / w.sum())
    once = twice = 0.0
    for share, found in zip(shares, kept, strict=True):
        left = np.eye(len(found.budget.N)) - found.design @ found.inverse
        form = left @ np.diag((share * found.gradient) ** 2 / np.maximum(np.diag(left), 1e-6)) @ left
        once, twice = once + float(np.trace(form)), twice + float((form**2).sum())
    return once**2 / twice


def _replicated(found: Parabola, signs: Array) -> Array:
    """log N_opt of each replicate, [R]; NaN where it opens downwards or has no minimum between the sizes."""
    design, inverse, x = found.design, found.inverse, found.budget.x
    losses = design @ found.coefficients + signs * found.residuals
    _, c1, c2 = inverse @ losses.T
    with np.errstate(divide="ignore", invalid="ignore"):
        place = -c1 / (2 * c2)
    good = (c2 > 0) & (x[0] < place) & (place < x[-1])
    return np.asarray(np.where(good, place + np.log(found.budget.N).mean(), np.nan))


def _warnings(kept: list[Parabola], N: Line) -> tuple[str, ...]:
    said = []
    if len(kept) == 2:
        said.append("two budgets: the line goes through both, and nothing checks that it is one")
    off = [found for found in kept if found.off_centre > OFF_CENTRE]
    if off:
        computes = ", ".join(f"{found.budget.C:.3g}" for found in off)
        said.append(
            f"the minimum is nearer to an end of the sizes than to their middle at C = {computes}: parabolas of such "
            "budgets are biased most"
        )
    return tuple(said)
