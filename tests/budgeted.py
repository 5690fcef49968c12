"""IsoFLOP designs of a known law, for tests of the three classical approaches."""

import numpy as np
import pandas as pd

from analysis.frontier import Cost, Frontier
from analysis.laws import Hoffmann

SYMMETRIC = Hoffmann(E=1.7, A=400.0, alpha=0.34, B=1200.0, beta=0.34)


def isoflop_runs(law=SYMMETRIC, *, computes, sizes, reach, centre=1.0, noise=0.0, seed=0) -> pd.DataFrame:
    """Runs at each compute: `sizes` models from 1/reach to reach times the best one (times centre), C = 6 N D."""
    computes = np.asarray(computes, dtype=float)
    C = np.repeat(computes, sizes)
    around = np.tile(np.geomspace(1 / reach, reach, sizes), len(computes))
    N = Frontier(law, Cost()).N_opt(C) * centre * around
    D = C / 6 / N
    factor = np.exp(noise * np.random.default_rng(seed).standard_normal(len(N)))
    return pd.DataFrame({"N": N, "D": D, "C": C, "L": law(N=N, D=D) * factor})
