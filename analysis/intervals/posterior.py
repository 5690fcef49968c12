"""The Bayesian posterior of a law's parameters, sampled by NUTS in JAX (numpyro, the optional extra `bayes`)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.fitting import Fit, vector
from analysis.intervals.interval import Percentiles, Uncertainty, check_level
from analysis.intervals.noise import Codes
from analysis.intervals.sampler import Diagnostics, sample
from analysis.intervals.traced import Traced, bare
from analysis.intervals.uncertainty import grouping, noise_sizes, scaled_residuals
from analysis.laws import LAWS
from analysis.solver.problem import Problem

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

TRIES = ((0.9, 1), (0.99, 3))
"""Target acceptance, and by what factor warm-up and draws are longer: the second where the first does not pass."""
SPREAD = 1.5
"""Standard deviation of the prior of the logarithm of the noise about that of the fit."""
TRUNKS = 2.0
"""Scale of the prior of the noise that trunks share, over the fit's noise."""
WITHIN = 1e-3
"""Share of its range by which an exponent starts away from either end."""


def posterior(
    table: pd.DataFrame,
    fit: Fit,
    *,
    draws: int = 1000,
    warmup: int = 500,
    clusters: str = "auto",
    seed: int = 0,
    level: float = 0.9,
) -> Uncertainty:
    """Draws from the posterior of the law's parameters given the fit's rows: 4 chains of `draws` after `warmup`.

    Noise of log losses (of losses, where the objective is raw): normal where the objective is least squares, Student's
    t where it is robust, of standard deviation (scale) sigma / sqrt(weight). Where runs share trunks (`clusters`, as in
    `bootstrap`), it is normal, and each trunk moves its runs by tau times a standard normal. Priors, on what the runs
    can see:

        term k, its amplitude times the geometric mean over rows of its basis, over the losses' geometric mean m:
            half-normal(1) (the floor E is such a term: E / m)
        exponents: uniform on the scale of their grid (mostly the logarithm) within their range
        log sigma: normal(log of the fit's noise, 1.5); tau: half-Cauchy(2 times the fit's noise)
        degrees of freedom of Student's t: gamma(2, 0.1) (Juarez and Steel 2010)

    Weights are taken for precisions: rows of weight 0 do not count. Computed in float64, whatever JAX is set to.
    Raises InputError where numpyro is missing, for a law whose equation JAX cannot follow, and where the chains fail
    the gate (R-hat <= 1.01, 400 effective draws, no divergence, E-BFMI >= 0.3) in a second, longer try too: draws that
    cannot be believed are not returned.
    """
    check_level(level)
    frame = fit.select(table).frame
    weights = fit.weights(frame)
    used = weights > 0
    problem = fit.problem(frame)
    groups, method = grouping(frame, clusters)
    column = method.partition(":")[2]
    model = Model(
        problem.part(np.flatnonzero(used)), weights[used], fit.noise,
        np.unique(groups[used], return_inverse=True)[1] if column else None,
    )  # fmt: skip
    found, diagnostics = _sampled(model, vector(problem, fit.params), draws, warmup, seed)
    return Uncertainty(
        drawn=LAWS[fit.law](**dict(zip(problem.names, found, strict=True))),
        columns=fit.columns,
        method=f"bayes:{column}" if column else "bayes",
        replicates=found.shape[1],
        statuses={"converged": found.shape[1]},
        seed=seed,
        level=level,
        units=int(groups.max()) + 1,
        residuals=scaled_residuals(problem, fit),
        sizes=noise_sizes(fit, frame),
        ends=Percentiles(),
        details={"diagnostics": asdict(diagnostics)},
    )


@dataclass(frozen=True)
class Model:
    """The posterior in unbounded coordinates: `terms` log(c_k m_k / m) [K], `places` logit of the shares of the
    exponents' ranges [M], `sigma` log noise, and where they are needed `nu`, log degrees of freedom, and `tau`, log
    noise of trunks over its prior's scale. What each trunk shares is integrated out."""

    problem: Problem
    weights: Array
    noise: float
    groups: Codes | None

    @property
    def robust(self) -> bool:
        """Whether the noise is Student's."""
        return bool(np.isfinite(self.problem.objective.delta)) and self.groups is None

    @property
    def middle(self) -> float:
        """Geometric mean of the losses, m (root mean square under a raw objective)."""
        target = self.problem.target
        return (
            float(np.sqrt(self.problem.unit))
            if self.problem.objective.raw
            else float(np.exp(np.log(target).mean()))
        )

    @property
    def spread(self) -> float:
        """Middle of the prior of sigma: the fit's noise, in units of each row's where weights are 1 / variance."""
        least = 1e-8 * (self.middle if self.problem.objective.raw else 1.0)
        return max(self.noise, least) * float(np.sqrt(np.exp(np.log(self.weights).mean())))

    def start(self, parameters: Array) -> dict[str, Array]:
        """Coordinates of the fit, [P] in the fitter's order."""
        terms = self.problem.terms
        theta = parameters[terms:, None]
        size = parameters[:terms] * np.exp(self.centers(theta)[:, 0]) / self.middle
        places = [
            e.place(at) for e, at in zip(self.problem.exponents.values(), parameters[terms:], strict=True)
        ]
        share = np.clip(np.array(places, dtype=np.float64), WITHIN, 1 - WITHIN)
        found = {
            "terms": np.log(np.maximum(size, WITHIN)),
            "places": np.log(share) - np.log1p(-share),
            "sigma": np.array(np.log(self.spread)),
        }
        if self.robust:
            found["nu"] = np.array(np.log(10.0))
        if self.groups is not None:
            found["tau"] = np.array(0.0)
        return found

    def centers(self, theta: Array) -> Array:
        """Mean over rows of log phi_k at exponents theta [M, r], as [K, r]; of the rows where phi_k is not 0."""
        log_basis = self.problem.log_basis(theta)
        present = np.isfinite(log_basis)
        return np.asarray(np.where(present, log_basis, 0.0).sum(axis=2) / np.maximum(present.sum(axis=2), 1))

    def parameters(self, drawn: dict[str, Array]) -> Array:
        """Draws of the coordinates as parameters [P, R] in the fitter's order."""
        share = 1 / (1 + np.exp(-drawn["places"].T))
        theta = np.array([e.at(s) for e, s in zip(self.problem.exponents.values(), share, strict=True)])
        amplitudes = np.exp(drawn["terms"].T - self.centers(theta)) * self.middle
        return np.concatenate([amplitudes, theta])

    def potential(self, at: dict[str, Any]) -> Any:
        """Minus the log posterior density of the coordinates but for a constant, for JAX."""
        import jax.numpy as jnp
        from jax.nn import log_sigmoid

        prior = (at["terms"] - 0.5 * jnp.exp(2 * at["terms"])).sum()
        prior += (log_sigmoid(at["places"]) + log_sigmoid(-at["places"])).sum()
        prior -= 0.5 * ((at["sigma"] - np.log(self.spread)) / SPREAD) ** 2
        if self.robust:
            prior += 2 * at["nu"] - 0.1 * jnp.exp(at["nu"])
        if self.groups is not None:
            prior += at["tau"] - jnp.log1p(jnp.exp(2 * at["tau"]))
        value = -(prior + self._log_likelihood(at))
        return jnp.where(jnp.isfinite(value), value, jnp.inf)

    def _log_likelihood(self, at: dict[str, Any]) -> Any:
        import jax.numpy as jnp
        from jax.scipy.special import gammaln

        precision = np.sqrt(self.weights) / jnp.exp(at["sigma"])
        scaled = self._residual(at) * precision
        if self.robust:
            nu = jnp.exp(at["nu"])
            density = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * jnp.log(nu)
            return (density - (nu + 1) / 2 * jnp.log1p(scaled**2 / nu) - at["sigma"]).sum()
        total = -(0.5 * scaled**2 + at["sigma"]).sum()
        if self.groups is None:
            return total
        # the normal of covariance diag(1 / precision^2) + variance within a trunk (Woodbury)
        variance = (TRUNKS * self.spread * jnp.exp(at["tau"])) ** 2
        empty = jnp.zeros(int(self.groups.max()) + 1)
        shared = empty.at[self.groups].add(scaled * precision)
        counted = 1 + variance * empty.at[self.groups].add(precision**2)
        return total + 0.5 * (variance * shared**2 / counted - jnp.log(counted)).sum()

    def _residual(self, at: dict[str, Any]) -> Any:
        import jax.numpy as jnp
        from jax.nn import sigmoid

        share = sigmoid(at["places"])
        theta = {
            name: Traced(_on_grid(e, share[m])) for m, (name, e) in enumerate(self.problem.exponents.items())
        }
        try:
            terms = self.problem.law.log_basis(theta, self.problem.columns)  # type: ignore[arg-type]
        except (TypeError, AttributeError) as error:
            raise InputError(
                f"the equation {self.problem.law.equation} cannot be followed by JAX ({error}); use a bootstrap"
            ) from None
        log_basis = jnp.stack([jnp.broadcast_to(bare(t), (self.problem.size,)) for t in terms])
        present = jnp.isfinite(log_basis)
        count = jnp.maximum(present.sum(axis=1), 1)
        safe = jnp.where(present, log_basis, 0.0)
        basis = jnp.where(present, jnp.exp(safe - (safe.sum(axis=1) / count)[:, None]), 0.0)
        predicted = (self.problem.law.sign() * jnp.exp(at["terms"])) @ basis * self.middle
        return self.problem.aim - (predicted if self.problem.objective.raw else jnp.log(predicted))


def _on_grid(exponent: Any, share: Any) -> Any:
    """`Exponent.at` of a traced share."""
    if exponent.linear:
        return exponent.lo + share * (exponent.hi - exponent.lo)
    return exponent.lo * (exponent.hi / exponent.lo) ** share


def _sampled(model: Model, best: Array, draws: int, warmup: int, seed: int) -> tuple[Array, Diagnostics]:
    """Draws [P, R] that pass the gate, with their diagnostics."""
    for acceptance, longer in TRIES:
        drawn, diagnostics = sample(
            model.potential, model.start(best), draws * longer, warmup * longer, acceptance, seed
        )
        if not diagnostics.failure:
            return model.parameters(drawn), diagnostics
    raise InputError(
        f"the chains cannot be believed after {warmup * longer} steps of warm-up: {diagnostics.failure}; use a "
        "law with fewer parameters, add runs, or look at the profile"
    )
