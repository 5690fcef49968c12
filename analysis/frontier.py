"""The compute-optimal frontier of a law in N and D: the split of a budget C that gives the least loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.laws import Hoffmann
from analysis.rows import Rows

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Cost:
    """What a run costs, C = kappa N^rho D: kappa 6 and rho 1 is 6 N D."""

    kappa: float = 6.0
    rho: float = 1.0
    largest_error: float = 0.0
    """Largest relative error of this formula over the rows it was fitted to."""

    def tokens(self, C: ArrayLike, N: ArrayLike) -> Array:
        """Tokens that a budget C buys at size N."""
        return np.asarray(
            np.asarray(C, dtype=np.float64) / (self.kappa * np.asarray(N, dtype=np.float64) ** self.rho)
        )


@dataclass(frozen=True)
class Frontier:
    """N_opt, D_opt and L_opt at compute C; a law with a leading axis [R] gives results [R, *C.shape].

    Minimising A / N^alpha + B / D^beta at C = kappa N^rho D:

        N_opt^(alpha + rho beta) = alpha A / (rho beta B) (C / kappa)^beta

    (Hoffmann et al. 2022, equation 4, is kappa = 6 and rho = 1). Where A or B is 0 the optimum is at N = 0 or D = 0
    and N_opt is 0 or infinite.
    """

    law: Hoffmann
    cost: Cost

    @property
    def N_exponent(self) -> Array:
        """a in N_opt ~ C^a, beta / (alpha + rho beta)."""
        alpha, beta = np.asarray(self.law.alpha), np.asarray(self.law.beta)
        return np.asarray(beta / (alpha + self.cost.rho * beta))

    @property
    def D_exponent(self) -> Array:
        """b in D_opt ~ C^b, alpha / (alpha + rho beta)."""
        return np.asarray(1 - self.cost.rho * self.N_exponent)

    @property
    def L_exponent(self) -> Array:
        """c in L_opt - E ~ C^-c, alpha beta / (alpha + rho beta)."""
        return np.asarray(np.asarray(self.law.alpha) * self.N_exponent)

    def N_opt(self, C: ArrayLike) -> Array:
        """Parameters of the best model at compute C."""
        C = np.asarray(C, dtype=np.float64)
        _E, A, alpha, B, beta = self._parameters(C.ndim)
        rho = self.cost.rho
        with np.errstate(divide="ignore"):
            log = np.log(alpha * A) - np.log(rho * beta * B) + beta * np.log(C / self.cost.kappa)
            return np.asarray(np.exp(log / (alpha + rho * beta)))

    def D_opt(self, C: ArrayLike) -> Array:
        """Tokens of the best model at compute C."""
        with np.errstate(divide="ignore"):
            return self.cost.tokens(C, self.N_opt(C))

    def L_opt(self, C: ArrayLike) -> Array:
        """Least loss at compute C, nats per token."""
        C = np.asarray(C, dtype=np.float64)
        E, A, alpha, B, beta = self._parameters(C.ndim)
        N, D = self.N_opt(C), self.D_opt(C)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(E + np.where(A > 0, A / N**alpha, 0.0) + np.where(B > 0, B / D**beta, 0.0))

    def _parameters(self, axes: int) -> list[Array]:
        """The law's parameters with trailing axes, so that they broadcast against C."""
        values = [np.asarray(value, dtype=np.float64) for value in self.law.as_dict().values()]
        return [value.reshape(value.shape + (1,) * axes) for value in values]

    def as_dict(self) -> dict[str, Any]:
        """The `frontier` entry of fit.json."""
        cost = self.cost
        return {
            "kappa": cost.kappa,
            "rho": cost.rho,
            "largest_error_of_C": cost.largest_error,
            "N_exponent": float(self.N_exponent),
            "D_exponent": float(self.D_exponent),
            "L_exponent": float(self.L_exponent),
        }


def cost(rows: Rows) -> Cost:
    """kappa and rho by least squares of log(C / D) on log N over the rows' own C.

    Exact counts are not 6 N D for small models (attention over the context, the head), so the power of N is fitted;
    rho is 1 where all rows have one N.
    """
    N, D, C = (np.asarray(rows.frame[name], dtype=np.float64) for name in ("N", "D", "C"))
    x, y = np.log(N), np.log(C / D)
    spread = float(np.var(x))
    rho = float(np.mean((x - x.mean()) * (y - y.mean())) / spread) if spread > 1e-12 else 1.0
    kappa = float(np.exp(y.mean() - rho * x.mean()))
    return Cost(kappa, rho, float(np.abs(kappa * N**rho * D / C - 1).max()))
