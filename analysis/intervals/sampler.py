"""Draws from a density by NUTS in JAX, with the diagnostics by which they are believed or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError

Array = NDArray[np.float64]
Potential = Callable[[dict[str, Any]], Any]

CHAINS = 4
RHAT, ESS, BFMI = 1.01, 400.0, 0.3
"""The gate: Vehtari et al. 2021 (Bayesian Analysis 16:667) ask for R-hat below 1.01 and 400 effective draws, Betancourt
2016 (arXiv 1604.00695) for an E-BFMI of at least 0.3 (by rule of thumb)."""


@dataclass(frozen=True)
class Diagnostics:
    """Whether the chains can be believed: largest R-hat and least effective sample size over the parameters, divergent
    steps after warm-up, and least E-BFMI over the chains."""

    rhat: float
    ess: float
    divergences: int
    bfmi: float

    @property
    def failure(self) -> str:
        """What is wrong, empty where nothing."""
        wrong = []
        if not self.rhat <= RHAT:
            wrong.append(f"R-hat is {self.rhat:.3f} (at most {RHAT})")
        if not self.ess >= ESS:
            wrong.append(f"there are {self.ess:.0f} effective draws (at least {ESS:.0f})")
        if self.divergences:
            wrong.append(f"{self.divergences} steps diverged (none may)")
        if not self.bfmi >= BFMI:
            wrong.append(f"E-BFMI is {self.bfmi:.2f} (at least {BFMI})")
        return ", ".join(wrong)


def sample(
    potential: Potential, start: dict[str, Array], draws: int, warmup: int, acceptance: float, seed: int
) -> tuple[dict[str, Array], Diagnostics]:
    """Draws of a density exp(-potential) by NUTS (Hoffman and Gelman 2014) from 4 chains that start about `start`, with
    a leading axis over the draws of all chains; float64 within, and JAX's settings as they were after."""
    try:
        import jax
        from numpyro.infer import MCMC, NUTS
    except ImportError:
        raise InputError(
            "the posterior needs numpyro; install it with pip install -e '.[bayes]' -c constraints.txt"
        ) from None
    rng = np.random.default_rng(seed)
    begun = {name: at + 0.1 * rng.standard_normal((CHAINS, *at.shape)) for name, at in start.items()}
    with jax.enable_x64(True):
        kernel = NUTS(potential_fn=potential, target_accept_prob=acceptance, dense_mass=True)
        chains = MCMC(
            kernel, num_warmup=warmup, num_samples=draws, num_chains=CHAINS, chain_method="vectorized",
            progress_bar=False,
        )  # fmt: skip
        chains.run(jax.random.key(seed), init_params=begun, extra_fields=("diverging", "energy"))
        by_chain = {name: np.asarray(x) for name, x in chains.get_samples(group_by_chain=True).items()}
        extra = {name: np.asarray(x) for name, x in chains.get_extra_fields(group_by_chain=True).items()}
    drawn = {name: x.reshape(-1, *x.shape[2:]) for name, x in by_chain.items()}
    return drawn, diagnose(by_chain, extra["energy"], extra["diverging"])


def diagnose(by_chain: dict[str, Array], energy: Array, diverging: Array) -> Diagnostics:
    """Diagnostics of draws [chains, draws, ...] with their energies and whether the step diverged [chains, draws]."""
    from numpyro.diagnostics import effective_sample_size, split_gelman_rubin

    steps = np.diff(energy, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return Diagnostics(
            rhat=float(max(np.max(split_gelman_rubin(x)) for x in by_chain.values())),
            ess=float(min(np.min(effective_sample_size(x)) for x in by_chain.values())),
            divergences=int(diverging.sum()),
            bfmi=float(((steps**2).mean(axis=1) / energy.var(axis=1)).min()),
        )
