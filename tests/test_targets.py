"""One design fitted to many sets of losses at once: each is the fit of its own table."""

import numpy as np
import pytest
from known import simulated, wide

from analysis.errors import InputError
from analysis.fitting import fit, solve_batch
from analysis.laws import Shifted
from analysis.solver.objective import LogHuber, SquaredLog, SquaredRaw


@pytest.mark.parametrize("objective", [LogHuber(1e-3), LogHuber(0.02), SquaredLog(), SquaredRaw()], ids=str)
def test_replicate_of_a_target_is_the_fit_of_its_table(objective):
    runs = wide(0.02, seed=100)
    tables = [wide(0.02, seed) for seed in range(10)]
    problem = fit(runs, objective=objective).problem(runs)
    batch = solve_batch(problem, np.ones((10, 35)), targets=np.stack([t.L for t in tables]))
    alone = [fit(table, objective=objective).value for table in tables]
    np.testing.assert_allclose(batch.objective, alone, rtol=1e-9)  # steps end at a decrement of 1e-12


def test_targets_are_fitted_where_the_scan_is_scattered_over_a_law_of_many_shapes():
    law = Shifted(1.5, 5000.0, 2e7, 0.5, 400.0, 1e9, 0.25)
    N, D = wide()[["N", "D"]].to_numpy().T
    tables = [simulated(N, D, 0.001, seed, law) for seed in range(4)]
    problem = fit(tables[0], "shifted", objective=SquaredLog()).problem(tables[0])
    batch = solve_batch(problem, np.ones((3, 35)), targets=np.stack([t.L for t in tables[1:]]))
    alone = [fit(table, "shifted", objective=SquaredLog()).value for table in tables[1:]]
    np.testing.assert_allclose(batch.objective, alone, rtol=1e-4)  # seven parameters in a flat valley


def test_weights_and_held_parameters_go_with_targets():
    runs, other = wide(0.01), wide(0.01, seed=1)
    weights = np.random.default_rng(0).integers(0, 3, 35).astype(float)
    problem, its = (fit(t, objective=SquaredLog()).problem(t) for t in (runs, other))
    held = {"E": np.array([1.65])}
    found = solve_batch(problem, weights[None], held, targets=its.target[None])
    assert found.objective == pytest.approx(solve_batch(its, weights[None], held).objective, rel=1e-9)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_a_target_that_has_no_logarithm_is_refused(bad):
    runs = wide(0.01)
    with pytest.raises(InputError, match="not finite or not above 0"):
        solve_batch(fit(runs).problem(runs), np.ones((1, 35)), targets=np.full((1, 35), bad))
