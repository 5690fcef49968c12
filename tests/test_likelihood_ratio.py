"""Profiles as what every method of uncertainty returns, and of the law's value at a point."""

import numpy as np
import pytest
from known import TRUTH, narrow, wide

from analysis.errors import InputError
from analysis.fitting import fit
from analysis.intervals.profile import profile, profile_at, profiles
from analysis.intervals.resampling import residual_bootstrap
from analysis.intervals.uncertainty import predict
from analysis.solver.objective import LogHuber, SquaredLog

POINT = {"N": 1e10, "D": 1e13}


def test_profiles_are_those_of_each_parameter():
    runs = wide(0.01)
    found = fit(runs, objective=SquaredLog())
    made = profiles(runs, found)
    assert list(made.intervals()) == list(found.params)
    alone = profile(runs, found, "alpha")
    assert (made.given["alpha"].lo, made.given["alpha"].hi) == (alone.lo, alone.hi)


@pytest.mark.parametrize("objective", [None, SquaredLog(), LogHuber(1e-3)], ids=str)
def test_profile_of_a_loss_beyond_the_runs_is_the_interval_of_its_bootstrap(objective):
    runs = wide(0.01)
    found = fit(runs, objective=objective)
    curve = profile_at(runs, found, POINT)
    boot = predict(residual_bootstrap(runs, found, replicates=1000), found, POINT, noise=False)
    assert curve.lo < TRUTH(N=1e10, D=1e13) < curve.hi
    assert curve.best == pytest.approx(found.value, rel=1e-3)
    if objective is None or not np.isfinite(objective.delta):  # at 0.1 of the noise the two differ by a fifth
        width = float(boot.law_hi[0] - boot.law_lo[0])
        assert curve.lo == pytest.approx(boot.law_lo[0], abs=0.1 * width)
        assert curve.hi == pytest.approx(boot.law_hi[0], abs=0.1 * width)


def test_profile_of_the_loss_at_endless_scale_is_that_of_the_floor():
    runs = wide(0.01)
    found = fit(runs, objective=SquaredLog())
    floor, far = profile(runs, found, "E"), profile_at(runs, found, {"N": 1e60, "D": 1e60})
    assert far.lo == pytest.approx(floor.lo, rel=1e-3)  # steps of the two scans differ
    assert far.hi == pytest.approx(floor.hi, rel=1e-3)


def test_a_profile_has_intervals_and_nothing_else():
    runs = wide(0.01)
    found = fit(runs, objective=SquaredLog())
    made = profiles(runs, found, ("E",), (POINT,))
    assert list(made.intervals()) == ["E", "L at N 1e+10, D 1e+13"]
    assert made.standard_errors() == {}
    for asked in (lambda: made.law, lambda: made.tails(0.9), lambda: predict(made, found, POINT)):
        with pytest.raises(InputError, match=r"no (draws|percentiles)"):
            asked()
    with pytest.raises(InputError, match=r"of level 0\.9 alone"):
        made.intervals(0.5)


def test_a_side_that_the_rows_do_not_bound_is_said():
    runs = narrow(0.05)
    made = profiles(runs, fit(runs), ("alpha",))
    ends = made.intervals()["alpha"]
    assert np.isnan(ends.lo) or np.isnan(ends.hi)
    assert "do not bound alpha" in made.note


def test_a_parameter_that_is_not_there_is_refused():
    runs = wide(0.01)
    with pytest.raises(InputError, match="no parameter 'g'"):
        profiles(runs, fit(runs), ("g",))
