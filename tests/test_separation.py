"""Designs in which N and D grow in step are told by how much their exponents are confounded, and what would help."""

import numpy as np
import pandas as pd
import pytest
from known import TRUTH, chinchilla_ratio, simulated, wide

from analysis.evidence import with_evidence
from analysis.fitting import fit, solve_batch
from analysis.floor.separation import separations
from analysis.intervals.profile import profile

NOISE = 0.003


@pytest.fixture(scope="module")
def told():
    runs = chinchilla_ratio(NOISE)
    (found,) = separations(runs, fit(runs))
    return runs, found


def test_design_that_spans_confounds_nothing():
    runs = wide(NOISE)
    assert separations(runs, fit(runs)) == ()


def test_fixed_ratio_is_told_with_its_correlation_and_condition(told):
    _, found = told
    assert (found.first, found.second) == ("alpha", "beta")
    assert found.correlation == pytest.approx(1.0, abs=1e-9)
    # without one of the two terms the rest is a law of one power, which seven sizes over four decades determine
    assert found.condition_without < 30 < found.condition_number


def test_exponents_at_both_ends_fit_as_well(told):
    runs, found = told
    best = fit(runs)
    problem = best.problem(runs)
    held = {name: np.array([found.low[name], found.high[name]]) for name in ("alpha", "beta")}
    batch = solve_batch(problem, np.ones((2, len(runs))), held)
    # the rise that a 90 % interval allows, chi-squared / 2 in units of the noise, is 1.35; calibrated ones are larger
    assert (batch.objective - best.value < 5 * best.noise**2).all()
    assert found.low["alpha"] < TRUTH.alpha < found.high["alpha"]
    assert found.high["alpha"] / found.low["alpha"] > 10


def test_the_runs_that_are_advised_separate_them(told):
    runs, found = told
    assert found.advice is not None
    advised = pd.DataFrame(found.advice.runs)
    assert ((runs.N * runs.D).max() * (1 + 1e-9) >= (advised.N * advised.D)).all()
    more = pd.concat([runs, simulated(advised.N, advised.D, NOISE, seed=5)], ignore_index=True)
    assert separations(more, fit(more)) == ()
    curve = profile(more, fit(more), "alpha")
    lo, hi = (edge if np.isfinite(edge) else end for edge, end in ((curve.lo, 0.02), (curve.hi, 2.0)))
    assert lo < TRUTH.alpha < hi
    assert np.log(hi / lo) < np.log(found.high["alpha"] / found.low["alpha"]) / found.advice.factor * 2


def test_law_of_one_exponent_confounds_nothing():
    runs = chinchilla_ratio(NOISE)
    assert separations(runs, fit(runs, "tied")) == ()


def test_confounding_is_in_fit_json_with_its_words():
    runs = chinchilla_ratio(NOISE)
    found, *_ = with_evidence(runs, fit(runs), replicates=20, laws=("hoffmann",))
    (pair,) = found.identification["confounded"]
    assert {"first", "second", "correlation", "condition_number", "low", "high", "advice"} <= set(pair)
    assert "Two more runs, at N = " in pair["words"]
