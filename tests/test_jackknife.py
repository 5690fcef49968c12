"""The jackknife over scales, and the wild bootstrap of trunks."""

import numpy as np
import pandas as pd
import pytest
from known import TRUTH, chinchilla_ratio, wide

from analysis.errors import InputError
from analysis.fitting import fit
from analysis.intervals.interval import Jackknifed
from analysis.intervals.jackknife import influence, jackknife, scales
from analysis.intervals.uncertainty import predict
from analysis.intervals.wild import unbent, wild_bootstrap
from analysis.solver.objective import SquaredLog


def test_a_draw_of_the_jackknife_is_the_fit_without_a_scale():
    runs = wide(0.01)
    found = fit(runs, objective=SquaredLog())
    draws = jackknife(runs, found).law.as_dict()
    for place, size in enumerate(np.unique(runs.N)):
        alone = fit(runs[size != runs.N], objective=SquaredLog())
        for name, values in draws.items():
            assert values[0] == pytest.approx(found.params[name], rel=1e-6)
            assert values[1 + place] == pytest.approx(alone.params[name], rel=1e-6), name


def test_standard_error_of_a_mean_is_the_textbooks():
    values = np.random.default_rng(0).standard_normal(9)
    without = (values.sum() - values) / 8
    drawn = np.append(values.mean(), without)
    assert Jackknifed().standard_error(drawn) == pytest.approx(values.std(ddof=1) / 3)
    lo, hi = Jackknifed()(drawn, 0.9)
    assert (hi - lo) / 2 == pytest.approx(1.859548 * values.std(ddof=1) / 3)  # Student, 8 degrees, 95 %


def test_the_scale_whose_runs_are_wrong_is_named():
    runs = wide(0.0005)
    size = runs.N.max()
    runs.loc[size == runs.N, "L"] *= 1.02
    found = fit(runs, objective=SquaredLog())
    made = jackknife(runs, found)
    told = influence(runs, found, made)
    assert max(told, key=lambda one: abs(one.moves["E"])).lo == size
    assert f"{size:.4g}" in made.note
    assert sum(one.rows for one in told) == 35


@pytest.mark.parametrize(("by", "count"), [("N", 7), ("D", 12), ("C", 12)])
def test_scales_of_sizes_are_values_and_of_many_budgets_bins(by, count):
    runs = wide().assign(C=lambda t: 6 * t.N * t.D * np.geomspace(1, 1.4, 35))
    assert scales(runs, by).max() + 1 == count
    values = runs[by].to_numpy()
    order = np.argsort(values)
    assert (np.diff(scales(runs, by)[order]) >= 0).all()


def test_values_that_differ_by_rounding_are_one_scale():
    frame = pd.DataFrame({"N": [1e6, 1.001e6, 2e6, 1.999e6, 4e6]})
    assert scales(frame, "N").tolist() == [0, 0, 1, 1, 2]


def test_a_jackknife_gives_a_law_an_interval_and_no_new_run():
    runs = wide(0.01)
    found = fit(runs)
    made = jackknife(runs, found)
    law = predict(made, found, {"N": [1e10], "D": [1e12]}, noise=False)
    assert law.law_lo < law.value < law.law_hi
    with pytest.raises(InputError, match="not of a new run"):
        predict(made, found, {"N": [1e10], "D": [1e12]})
    with pytest.raises(InputError, match="no percentiles"):
        made.tails(0.9)


@pytest.mark.parametrize(
    ("table", "by", "words"),
    [
        (wide(0.01).query("N < 1e7"), "N", "3 scales|N has"),
        (chinchilla_ratio(0.01), "budget", "no column 'budget'"),
        (wide(0.01).assign(step=0.0), "step", "not above 0"),
    ],
)
def test_what_has_no_scales_to_leave_out_is_refused(table, by, words):
    with pytest.raises(InputError, match=words):
        jackknife(table, fit(table), by=by)


def test_a_cluster_that_the_fit_bent_towards_is_freed():
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((12, 3)))[0]
    groups, noise = np.repeat(np.arange(4), 3), np.random.default_rng(1).standard_normal(12)
    residual = noise - basis @ (basis.T @ noise)
    found = unbent(residual, basis, groups)
    for group in range(4):  # the residual of each group from the least squares of the others
        rest, own = groups != group, groups == group
        coefficients = np.linalg.lstsq(basis[rest], noise[rest], rcond=None)[0]
        np.testing.assert_allclose(found[own], noise[own] - basis[own] @ coefficients, rtol=1e-9)


def test_the_wild_bootstrap_moves_trunks_whole():
    runs = wide(0.01).assign(trunk_id=lambda t: t.N.astype(int).astype(str))
    found = fit(runs, objective=SquaredLog())
    made = wild_bootstrap(runs, found, replicates=200)
    assert (made.method, made.units) == ("wild:trunk_id", 7)
    ends = made.intervals()["E"]
    assert ends.lo < TRUTH.E < ends.hi


def test_two_trunks_are_too_few():
    runs = wide(0.01).assign(trunk_id=lambda t: np.where(t.N < 1e7, "a", "b"))
    with pytest.raises(InputError, match="2 groups of one trunk_id"):
        wild_bootstrap(runs, fit(runs))
