"""Derivatives that are written out are those that differences find."""

import numpy as np
import pytest

from analysis.laws.derivatives import DERIVATIVES
from analysis.solver.objective import SquaredLog
from analysis.solver.problem import Problem
from analysis.solver.shapes import differenced
from tests.known import wide


@pytest.mark.parametrize("law", DERIVATIVES, ids=lambda law: law.__name__)
def test_written_derivatives_are_those_of_differences(law):
    table = wide(0.1)
    columns = {name: table[name].to_numpy() for name in ("N", "D")}
    problem = Problem(law, columns, table["L"].to_numpy(), SquaredLog())
    share = np.random.default_rng(0).uniform(0.05, 0.95, (len(law.exponents), 12))
    theta = np.array([e.at(s) for e, s in zip(problem.exponents.values(), share, strict=True)])
    inside = problem.inside(theta)
    exact = problem.shapes(inside)
    steps = 10 * problem._steps(inside)  # 1e-4 of a logarithm, or of the parameter
    found = differenced(problem._terms_inside, inside, steps, problem.couplings, problem.size)
    assert exact.slopes.keys() == found.slopes.keys() and exact.bends.keys() == found.bends.keys()
    assert np.array_equal(exact.log, found.log)
    for one, other in ((exact.slopes, found.slopes), (exact.bends, found.bends)):
        for key, value in one.items():
            # per 1e-4 of a parameter or of its logarithm; rounding of log phi over the square of the step
            unit = np.prod([steps[m] / 1e-4 for m in key[1:]], axis=0)[:, None]
            rounding = 1e-7 * np.abs(found.log[key[0]]).max()
            assert np.allclose(value * unit, other[key] * unit, rtol=1e-5, atol=rounding), key
