from dataclasses import replace

import numpy as np
import pytest
from known import (
    CHINCHILLA_240,
    INTERVALS_95,
    STANDARD_ERRORS,
    TRUTH,
    narrow,
    needs_reference_data,
    reference,
    simulated,
    wide,
)
from scipy.special import ndtri

from analysis.errors import InputError
from analysis.fitting import fit
from analysis.intervals.uncertainty import bootstrap, grouping, predict, resample
from analysis.solver.objective import Likelihood, LogHuber
from scaling import table


def in_trunks(runs, trunks=7):
    return runs.assign(trunk_id=[f"t{i}" for i in np.arange(len(runs)) * trunks // len(runs)])


@needs_reference_data
def test_published_bootstrap_is_reached():
    runs = table.read(reference(CHINCHILLA_240.file))
    boot = bootstrap(runs, fit(runs, objective=LogHuber(1e-3), where=CHINCHILLA_240.where), replicates=1500)
    assert boot.statuses == {"converged": 1500}
    errors, intervals = boot.standard_errors(), boot.intervals(0.95)
    for name, published in STANDARD_ERRORS.items():
        # amplitudes have long tails, in which a standard error over thousands of draws still moves by a seventh
        assert errors[name] == pytest.approx(published, rel=0.2 if name in "AB" else 0.08), name
    for name, (lo, hi) in INTERVALS_95.items():
        # a 2.5 % quantile of 1500 draws moves by a fifth of a standard error, theirs of 4000 by an eighth
        assert intervals[name].lo == pytest.approx(lo, abs=0.3 * STANDARD_ERRORS[name]), name
        assert intervals[name].hi == pytest.approx(hi, abs=0.35 * STANDARD_ERRORS[name]), name


@pytest.mark.parametrize("replicate", [0, 7])
def test_replicate_is_the_fit_of_its_resampled_rows(replicate):
    runs = wide(0.01)
    whole = fit(runs)
    boot = bootstrap(runs, whole, replicates=8, seed=3)
    drawn = resample(np.arange(35), 8, np.random.default_rng(3))
    alone = fit(runs.assign(w=drawn[replicate]), objective=whole.objective, weights="w")
    for name, values in boot.law.as_dict().items():
        assert values[replicate] == pytest.approx(
            alone.params[name], rel=1e-4
        )  # decrement of 1e-12, B of condition 30


def test_same_seed_gives_the_same_replicates_and_another_others():
    runs = wide(0.01)
    found = fit(runs)
    one, same, other = (bootstrap(runs, found, replicates=20, seed=s).law.E for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).all()


def test_number_of_replicates_does_not_change_the_first_ones():
    runs = wide(0.01)
    few, many = (bootstrap(runs, fit(runs), replicates=n).law.E for n in (20, 40))
    np.testing.assert_allclose(few, many[:20], rtol=1e-6)  # blocks differ, and with them the order of sums


@pytest.mark.parametrize(
    ("change", "clusters", "method", "units"),
    [
        (lambda t: t, "auto", "pairs", 35),
        (in_trunks, "auto", "cluster:trunk_id", 7),
        (lambda t: in_trunks(t, 35), "auto", "pairs", 35),
        (in_trunks, "pairs", "pairs", 35),
        (lambda t: t.assign(size=t.N.astype(int)), "size", "cluster:size", 7),
    ],
)
def test_trunks_are_resampled_whole_where_there_are_any(change, clusters, method, units):
    groups, found = grouping(change(wide()), clusters)
    assert (found, groups.max() + 1) == (method, units)


def test_rows_without_a_trunk_are_clusters_of_their_own():
    runs = in_trunks(wide())
    runs.loc[[0, 1], "trunk_id"] = None
    groups, _ = grouping(runs)
    assert groups.max() + 1 == 9
    assert groups[0] != groups[1]


def test_rows_of_a_cluster_are_drawn_together_and_as_many_clusters_as_there_are():
    groups = np.repeat(np.arange(7), 5)
    drawn = resample(groups, 100, np.random.default_rng(0))
    assert (drawn.reshape(100, 7, 5).std(axis=2) == 0).all()
    assert (drawn.sum(axis=1) == 35).all()


@pytest.mark.parametrize(("trunks", "few"), [(7, True), (8, False)])
def test_few_clusters_are_said(trunks, few):
    runs = in_trunks(wide(0.01), trunks)
    boot = bootstrap(runs, fit(runs), replicates=20)
    assert boot.few_clusters == few
    assert bool(boot.note) == few


def test_replicates_that_did_not_converge_are_counted_and_kept():
    runs = narrow(0.05)
    boot = bootstrap(runs, fit(runs), replicates=60)
    assert sum(boot.statuses.values()) == 60 == len(boot.law.E)
    assert boot.statuses.get("converged", 0) < 60


def test_interval_of_a_new_run_is_wider_than_that_of_the_law():
    runs = wide(0.01)
    found = fit(runs)
    made = predict(bootstrap(runs, found, replicates=200), found, {"N": [1e8, 1e10], "D": [1e10, 1e12]})
    assert (made.lo < made.law_lo).all()
    assert (made.law_lo < made.value).all()
    assert (made.value < made.law_hi).all()
    assert (made.law_hi < made.hi).all()


def nine_runs():
    N = np.repeat(np.geomspace(1e7, 1e9, 3), 3)
    return simulated(N, N * np.tile([5.0, 30.0, 200.0], 3), 0.005)


def test_interval_of_a_new_run_never_ends_inside_that_of_the_law():
    found = fit(nine_runs())
    boot = bootstrap(nine_runs(), found, replicates=60)
    made = predict(boot, found, {"N": np.geomspace(1e6, 1e12, 60), "D": np.geomspace(1e9, 1e14, 60)})
    assert (made.lo <= made.law_lo).all()
    assert (made.law_hi <= made.hi).all()


def test_noise_of_a_new_run_is_not_expanded_again():
    found = fit(nine_runs())
    boot = bootstrap(nine_runs(), found, replicates=20)
    same = {name: np.full(2000, value) for name, value in found.params.items()}
    normal = 0.01 * ndtri((np.arange(400) + 0.5) / 400)
    certain = replace(
        boot, drawn=type(found.curve)(**same), residuals=normal
    )  # of the law nothing is left open
    made = predict(certain, found, {"N": [1e8], "D": [1e10]}, level=0.9)
    np.testing.assert_allclose(np.log(made.hi / made.value), 0.01 * ndtri(0.95), rtol=1e-4)
    np.testing.assert_allclose(np.log(made.value / made.lo), 0.01 * ndtri(0.95), rtol=1e-4)


def test_noise_of_a_new_run_is_that_of_its_scale_under_the_likelihood():
    rng = np.random.default_rng(0)
    N = np.repeat(np.geomspace(1e6, 1e9, 12), 6)
    runs = simulated(N, 20 * N, 0.0)
    runs = runs.assign(C=6 * runs.N * runs.D, seed=np.tile(np.arange(6), 12))
    noise = 0.02 * (runs.C / runs.C.min()) ** -0.4
    runs = runs.assign(L=runs.L * np.exp(noise * rng.standard_normal(len(runs))))
    found = fit(runs, "power", objective=Likelihood())
    made = predict(bootstrap(runs, found, replicates=40), found, {"C": runs.C.to_numpy()[[0, -1]]})
    # the noise falls 250-fold over the runs, its slope known within a sixth; one pool gave both ends the same
    ratio = np.log(made.hi / made.lo)
    assert ratio[0] > 20 * ratio[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [({"replicates": 1}, "replicates is 1"), ({"level": 1.0}, "level is 1.0"), ({"clusters": "x"}, "'x'")],
)
def test_options_that_mean_nothing_are_refused(options, words):
    runs = wide(0.01)
    with pytest.raises(InputError, match=words):
        bootstrap(runs, fit(runs), **options)


def test_percentiles_are_expanded_for_what_few_rows_do_not_show():
    runs = wide(0.01)
    boot = bootstrap(runs, fit(runs), replicates=20)
    # 35 rows and 5 parameters: normal cdf of sqrt(35 / 30) times -1.6973, Student's 5 % quantile of 30 degrees
    assert boot.tails(0.9) == pytest.approx((0.03338, 0.96662), abs=1e-5)


def test_one_cluster_is_refused():
    runs = wide(0.01).assign(trunk_id="t")
    with pytest.raises(InputError, match="share one trunk_id"):
        bootstrap(runs, fit(runs))


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.001, 0.01])
def test_bootstrap_intervals_cover_the_truth_as_often_as_they_claim(noise):
    N, D = wide()[["N", "D"]].to_numpy().T
    inside_and_beyond = {"N": [1e7, 1e10], "D": [1e9, 1e13]}
    covered = []
    for seed in range(150):
        runs = simulated(N, D, noise, seed)
        found = fit(runs)
        boot = bootstrap(runs, found, replicates=200, seed=seed)
        made = predict(boot, found, inside_and_beyond)
        truth = TRUTH(**inside_and_beyond)
        new = truth * np.exp(noise * np.random.default_rng(10**6 + seed).standard_normal(2))
        floor = boot.intervals()["E"]
        law = (made.law_lo <= truth) & (truth <= made.law_hi)
        covered.append([floor.lo <= TRUTH.E <= floor.hi, *law, *((made.lo <= new) & (new <= made.hi))])
    # 90 % claimed: 150 studies give 90 +- 2.4, and 84 is two and a half of these below
    assert (np.mean(covered, axis=0) >= 0.84).all()
