import numpy as np
import pytest
from known import needs_reference_data, reference, simulated, wide

from analysis.errors import InputError
from analysis.fitting import fit
from analysis.intervals.chain import chain
from analysis.intervals.uncertainty import bootstrap
from analysis.laws import ErrorExponential, LossToLoss
from analysis.solver.objective import LogHuber, SquaredRaw
from scaling import table

ERROR = ErrorExponential(0.9, 2.0, 0.6)
HUBER = LogHuber(0.02)


def runs_with_errors(noise=0.01, seed=0):
    runs = wide(noise, seed)
    factor = np.exp(0.01 * np.random.default_rng(seed + 1000).standard_normal(len(runs)))
    return runs.assign(error=ERROR(L=runs["L"]) * factor)


def chained(runs, seed=0, replicates=100, law="tied"):
    first = fit(runs, law, objective=HUBER)
    second = fit(runs, "error_exponential", objective=HUBER, y="error")
    return chain(runs, first, runs, second, replicates=replicates, seed=seed)


def test_chained_value_is_the_error_of_the_loss():
    runs = runs_with_errors()
    found = chained(runs, replicates=10)
    L = found.first.curve(N=1e10, D=1e12)
    assert float(found(N=1e10, D=1e12)) == pytest.approx(float(found.second.curve(L=L)), rel=1e-14)


def test_interval_holds_the_value_and_a_run_lies_in_a_wider_one():
    found = chained(runs_with_errors())
    point = {"N": 1e10, "D": 1e12}
    of_curve, of_run = found.interval(**point), found.run_interval(**point)
    assert of_curve.lo < float(found(**point)) < of_curve.hi
    assert of_run.hi - of_run.lo > of_curve.hi - of_curve.lo


def test_replicates_of_one_table_are_the_same_rows_for_both_laws():
    runs = runs_with_errors()
    found = chained(runs, replicates=20)
    # enough distinct rows are left in every draw, so these are the draws of either law's own bootstrap
    for fitted, drawn in ((found.first, found.first_drawn), (found.second, found.second_drawn)):
        alone = bootstrap(runs, fitted, replicates=20, clusters="pairs", seed=0).law
        for name, values in alone.as_dict().items():
            np.testing.assert_allclose(drawn.as_dict()[name], values, rtol=1e-6)
    apart = chain(runs, found.first, runs.assign(other=1), found.second, replicates=20, seed=0)
    assert not np.allclose(apart.second_drawn.k, found.second_drawn.k)


def test_steeper_second_law_makes_the_interval_wider():
    runs = runs_with_errors(0.02)
    point = {"N": 1e9, "D": 1e12}
    widths = []
    for slope in (0.5, 2.0):
        law = LossToLoss(0.5, slope, 0.0, 1.0)
        both = runs.assign(other=law(x=runs["L"]))
        second = fit(both, "loss_to_loss", objective=HUBER, x="L", y="other")
        first = fit(both, "tied", objective=HUBER)
        found = chain(both, first, both, second, replicates=60).interval(**point)
        widths.append(found.hi - found.lo)
    assert widths[1] == pytest.approx(4 * widths[0], rel=0.05)  # the second fit adds next to nothing


@pytest.mark.slow
def test_interval_of_the_chain_covers_as_it_claims():
    point, hits = {"N": 1e10, "D": 1e12}, 0
    truth = float(ERROR(L=float(simulated([1e10], [1e12])["L"].iloc[0])))
    for seed in range(60):
        found = chained(runs_with_errors(0.01, seed), seed=seed, replicates=100, law="hoffmann")
        interval = found.interval(level=0.9, **point)
        hits += interval.lo <= truth <= interval.hi
    # of 60 trials at 0.9, 47 or fewer are under one in a hundred
    assert hits > 47


def test_laws_that_do_not_meet_are_refused():
    runs = runs_with_errors().assign(other=1.0)
    first = fit(runs.rename(columns={"L": "loss"}).assign(L=runs["L"]), "tied", objective=HUBER)
    second = fit(runs, "power", objective=HUBER, x="N")
    with pytest.raises(InputError, match="power takes N and tied gives L"):
        chain(runs, first, runs, second)


@needs_reference_data
def test_gadres_chain_has_an_interval():
    runs = table.read(reference("overtrained.csv"))
    runs = runs[runs["dataset"] == "rpj"]
    runs = runs.assign(N=runs["N_total"], L=runs["loss_c4_val"], error=runs["err_avg_subset"])
    where = "N < 1e9"
    first = fit(runs, "overtrained", objective=SquaredRaw(), where=where)
    second = fit(runs, "error_exponential", objective=SquaredRaw(), where=where, y="error")
    found = chain(runs, first, runs, second, replicates=100)
    (row,) = runs[runs["run"] == "rpj-open_lm_7b-1.0"].to_dict("records")
    interval = found.run_interval(level=0.95, N=row["N"], D=row["D"])
    assert interval.lo < row["error"] < interval.hi
