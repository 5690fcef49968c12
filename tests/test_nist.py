"""The solver against NIST's certified answers (StRD, nonlinear regression): 26 of the 27 problems."""

import numpy as np
import pytest
from nist_problems import PROBLEMS, _rows

from analysis.solver import expansion, polish, solving

DIGITS = 6
"""Least of -log10 |b - c| / |c| over the parameters b and certified values c. Rounding of a sum of squares hides
steps of 1e-8 standard deviations, and of the hardest problems (Bennett5) those are a tenth of a parameter."""
# Its numerator in a column above 0 has other signs at NIST's starting values than at the answer.
FROM_STARTS = [known for known in PROBLEMS if known.name != "Thurber"]


def digits(found, certified):
    """Least number of digits that agree, at most the 11 that are certified."""
    off = np.abs(np.asarray(found) - certified) / np.abs(certified)
    return -np.log10(np.maximum(off.max(), 1e-11))


def residuals(problem, parameters):
    return problem.residual(np.asarray(parameters, dtype=float)[:, None])[0]


@pytest.mark.parametrize("known", PROBLEMS, ids=lambda known: known.name)
def test_law_and_data_are_those_of_the_certificate(known):
    left = residuals(known.problem, known.ours(known.certified))
    if (
        known.name == "Lanczos1"
    ):  # data of 14 digits leave residuals of 1e-13: the certified digits end above them
        assert left @ left < 1e-20
    else:
        assert left @ left == pytest.approx(known.sum_of_squares, rel=1e-9)  # 11 digits are certified


@pytest.mark.parametrize("which", [1, 2])
@pytest.mark.parametrize("known", FROM_STARTS, ids=lambda known: known.name)
def test_certified_values_are_reached_from_both_starts(known, which):
    problem, start = known.problem, np.array(known.ours(known.start(which)), dtype=float)
    assert (start >= problem.lower).all() and (start <= problem.upper).all()
    one = np.ones((1, problem.size))
    # 3000 steps: MGH17 comes in 1343 from its first start, past two exponentials that cancel each other; others in 120
    done = polish.polish(problem, start[:, None], one, held=tuple(known.held), max_steps=3000)
    assert done.converged[0]
    assert digits(known.theirs(done.parameters[:, 0]), known.certified) >= DIGITS


@pytest.mark.parametrize("known", PROBLEMS, ids=lambda known: known.name)
def test_certified_values_are_found_from_no_start(known):
    problem = known.problem
    if known.held:
        held = {name: np.array([value]) for name, value in known.held.items()}
        found = solving.solve_batch(problem, np.ones((1, problem.size)), held).parameters[:, 0]
    else:
        found, value, converged, _ = solving.solve(problem, np.ones(problem.size))
        assert converged
        if known.name != "Lanczos1":
            assert 2 * value == pytest.approx(known.sum_of_squares, rel=1e-9)
    assert digits(known.theirs(found), known.certified) >= DIGITS


@pytest.mark.parametrize("known", [k for k in PROBLEMS if not k.held], ids=lambda known: known.name)
def test_slopes_of_the_solver_give_the_certified_standard_deviations(known):
    problem, best = known.problem, np.array(known.ours(known.certified), dtype=float)[:, None]
    x = expansion.centred(problem, best, ())
    normal = expansion.expand(problem, x, np.ones((1, problem.size))).majorant[..., 0]  # J'J, of squares
    scale = np.sqrt(np.diag(normal))
    covariance = np.linalg.inv(normal / np.outer(scale, scale)) / np.outer(scale, scale)
    step = 1e-5 * np.sqrt(np.diag(covariance)) * np.linalg.norm(residuals(problem, best[:, 0]))
    step = np.maximum(step, 1e-6 * np.abs(x[:, 0]))  # Lanczos1: deviations of 1e-10
    moved = [
        [known.theirs(expansion.uncentred(problem, x + sign * s[:, None], ())[:, 0]) for s in np.diag(step)]
        for sign in (1, -1)
    ]
    T = (np.array(moved[0]) - np.array(moved[1])).T / (2 * step)
    variance = known.sum_of_squares / (problem.size - len(best))
    found = np.sqrt(variance * np.diag(T @ covariance @ T.T))
    # slopes by differences are good to 1e-9, times condition numbers of up to 1e4, squared in J'J
    np.testing.assert_allclose(found, known.standard_deviations, rtol=1e-4)


def test_every_problem_but_the_one_whose_terms_change_sign_is_here():
    names = {row["problem"] for row in _rows("residuals.csv")}
    assert names - {known.name for known in PROBLEMS} == {"ENSO"}
    assert len(names) == 27
