"""The tuning gate: where the best rate lies in the range tried, its minimum, and which rows of a sweep are fitted."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from analysis import rows
from analysis.fitting import fit
from analysis.rates.parabola import optimum
from scaling.folder import StudyFolder
from scaling.plan import Recipe, product
from scaling.results import collect, diverged, done, sweep_id
from scaling.spec import Data, Model, Optim, Study
from scaling.table import TableError, read
from scaling.tuning import outdone, rate_ranges, sweeps

RATES = tuple(0.001 * 2.0**k for k in range(7))


def swept(best=0.008, rates=RATES, seeds=2, noise=0.0, bend=0.02, seed=0, **columns):
    """Runs of one size whose loss is 3 + bend ln(lr / best)^2, times log-normal noise."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        [
            {"N": 1e5, "D": 1e6, "width": 64.0, "lr": rate, "seed": s}
            | {"L": (3 + bend * np.log(rate / best) ** 2) * np.exp(noise * rng.standard_normal())}
            | columns
            for rate in rates
            for s in range(seeds)
        ]
    )


def losses(by_rate, **columns):
    """Runs with the given losses at each rate; infinite is diverged."""
    made = pd.DataFrame(
        [{"N": 1e5, "D": 1e6, "lr": r, "L": loss} | columns for r, some in by_rate.items() for loss in some]
    )
    lost = np.isinf(made["L"])
    return made.assign(L=made["L"].where(~lost), status=np.where(lost, "diverged", "done"))


INF = float("inf")


@pytest.mark.parametrize("best", [0.0045, 0.008, 0.011])
def test_the_minimum_of_a_parabola_without_noise_is_found_exactly(best):
    (one,) = sweeps(swept(best, seeds=1))
    found = optimum(one)
    assert found.rate == pytest.approx(best, rel=1e-9)  # rounding of a least-squares problem of condition 100
    assert found.loss == pytest.approx(3, rel=1e-12) and found.curvature == pytest.approx(0.02, rel=1e-9)
    assert one.range == "interior" and np.isnan(found.lo)  # nothing tells the noise


@pytest.mark.parametrize(("seeds", "noise"), [(2, 0.002), (3, 0.005)])
def test_the_interval_holds_the_optimum_as_often_as_it_says(seeds, noise):
    """500 sweeps: a share of 0.9 has a standard deviation of 0.013, and 3 of them are 0.04."""
    truth, inside, bounded = 0.0071, 0, 0
    for seed in range(500):
        (one,) = sweeps(swept(truth, seeds=seeds, noise=noise, seed=seed))
        found = optimum(one, level=0.9)
        if found is not None:
            bounded += 1
            inside += found.lo <= truth <= found.hi
    assert bounded > 400
    assert inside / bounded == pytest.approx(0.9, abs=0.04)


@pytest.mark.parametrize(
    ("by_rate", "told"),
    [
        ({1: [3.2], 2: [3.0], 4: [3.1]}, "interior"),
        ({1: [3.0], 2: [3.1], 4: [3.2]}, "low edge"),
        ({1: [3.2], 2: [3.1], 4: [3.0]}, "high edge"),
        ({1: [3.0], 2: [3.1]}, "low edge"),
        ({2: [3.0, 3.1]}, "untuned"),
        ({2: [INF]}, "untuned"),
        ({1: [3.2], 2: [3.1], 4: [3.0], 8: [INF]}, "interior"),  # what diverges was tried
        ({1: [3.2, 3.2], 2: [3.1, 3.1], 4: [2.9, INF]}, "interior"),  # one seed that diverges is enough
        ({1: [3.0], 2: [INF], 4: [INF]}, "low edge"),
        ({1: [INF], 2: [INF]}, ""),
        ({1: [3.0, 3.2], 2: [3.05, 3.15], 4: [3.2, 3.0]}, "flat"),
        ({1: [3.5, 3.6], 2: [3.0, 3.2], 4: [3.2, 3.0], 8: [INF, INF]}, "interior"),
        ({1: [3.00, 3.02], 2: [3.1, 3.11], 4: [3.2, 3.21]}, "low edge"),  # beyond its noise
        ({1: [3.0], 2: [3.0], 4: [3.0]}, "interior"),  # equal losses of unknown noise: the middle one
        ({1: [3.0, 3.0], 2: [3.0, 3.0], 4: [3.0, 3.0]}, "flat"),
    ],
)
def test_the_best_rate_lies_where_it_lies_in_the_range_tried(by_rate, told):
    table = losses(by_rate)
    assert set(rate_ranges(table)) == {told}
    assert rate_ranges(table.iloc[::-1]) == [told] * len(table)


@pytest.mark.parametrize("foreign", [{"L": INF, "status": "done"}, {"L": np.nan, "status": "diverged"}])
def test_an_infinite_loss_is_a_divergence_like_the_status(foreign):
    table = losses({1: [3.2], 2: [3.0]})
    assert set(rate_ranges(table)) == {"high edge"}
    more = pd.concat([table, table.iloc[:1].assign(lr=4.0, **foreign)], ignore_index=True)
    assert set(rate_ranges(more)) == {"interior"}


def test_a_run_that_is_not_finished_or_not_decayed_was_not_tried():
    table = losses({1: [3.2], 2: [3.0], 4: [3.3], 8: [3.4]}).assign(decayed=[True, True, True, False])
    table.loc[2, "status"] = "running"
    assert rate_ranges(table) == ["high edge", "high edge", "", ""]


def test_a_flat_curve_is_called_flat_and_a_bent_one_is_not():
    """At a level of 5 %: of 300 flat sweeps 15 +- 3.8 are called something else; 30 is 4 standard deviations off."""
    flat = [sweeps(swept(bend=0.0, noise=0.003, seed=s))[0].range for s in range(300)]
    bent = [sweeps(swept(bend=0.02, noise=0.003, seed=s))[0].range for s in range(300)]
    assert flat.count("flat") > 270
    assert bent == ["interior"] * 300


def test_unstable_high_rates_do_not_make_a_curve_flat():
    by_rate = {1: [3.4, 3.41], 2: [3.2, 3.21], 4: [3.1, 3.11], 8: [3.2, 3.21], 64: [3.2, 9.0]}
    assert set(rate_ranges(losses(by_rate))) == {"interior"}


def test_noise_is_borrowed_from_sizes_that_were_repeated():
    once = losses({1: [3.00], 2: [3.01], 4: [3.02]}).assign(N=2e5)
    assert set(rate_ranges(once)) == {"low edge"}
    twice = losses({1: [3.0, 3.2], 2: [3.1, 3.0], 4: [3.2, 3.1]})
    both = pd.concat([once, twice], ignore_index=True)
    assert rate_ranges(both)[:3] == ["flat"] * 3


def test_sizes_budgets_and_recipes_are_judged_apart():
    parts = [
        swept(0.008),
        swept(0.0001, D=2e6),
        swept(1.0, width=128.0, N=4e5),
        swept(0.0001, parametrization="mup"),
        swept(0.008, weight_decay=0.1),
    ]
    told = rate_ranges(pd.concat(parts, ignore_index=True))
    assert told[::14] == ["interior", "low edge", "high edge", "low edge", "interior"]
    assert len(set(told[:14])) == 1


def test_numbers_that_differ_by_rounding_are_one_size():
    table = losses({1: [3.2], 2: [3.0], 4: [3.1]}).assign(D=1e6 * np.array([1, 1 + 1e-9, 1 - 1e-9]))
    assert len(sweeps(table)) == 1


def test_a_change_of_units_of_the_rate_moves_the_optimum_alone():
    table = swept(noise=0.005)
    (one,), (other,) = sweeps(table), sweeps(table.assign(lr=1000 * table["lr"]))
    a, b = optimum(one), optimum(other)
    assert b.rate == pytest.approx(1000 * a.rate, rel=1e-9) and b.error == pytest.approx(a.error, rel=1e-9)
    assert other.range == one.range and b.loss == pytest.approx(a.loss, rel=1e-12)


@pytest.mark.parametrize(
    "by_rate",
    [
        {1: [3.0], 2: [3.1], 4: [3.2]},  # no rate below the best
        {1: [3.1], 2: [3.0], 4: [INF]},  # none measured above it
        {1: [3.0, 3.2], 2: [3.0, 3.18], 4: [3.2, 3.0]},  # does not bend by more than its noise
    ],
)
def test_there_is_no_parabola_without_a_bend_between_measured_rates(by_rate):
    (one,) = sweeps(losses(by_rate))
    assert optimum(one) is None


@pytest.mark.parametrize("bad", [0.0, -0.1, INF, "high"])
def test_a_rate_that_is_no_number_above_0_is_refused(bad):
    table = losses({1: [3.2], 2: [3.0], 4: [3.1]}).astype({"lr": object})
    table.loc[1, "lr"] = bad
    with pytest.raises(TableError, match=r"lr is .* in row 2; a learning rate is a number above 0"):
        sweeps(table)


def test_a_row_without_a_rate_and_a_table_without_the_column_are_in_no_sweep():
    table = losses({1: [3.2], 2: [3.0], 4: [3.1]})
    table.loc[0, "lr"] = np.nan
    assert rate_ranges(table) == ["", "low edge", "low edge"]
    assert sweeps(table.drop(columns="lr")) == [] and not outdone(table.drop(columns="lr")).any()


def law_table(rates=(1.0, 2.0, 4.0), factors=(1.05, 1.0, 1.1)):
    """A table of anyone's: sizes and budgets of a known law, each at three rates of which the second is best."""
    N, D = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e6, 1e8, 4), np.geomspace(1e8, 1e10, 4)))
    parts = [
        pd.DataFrame({"N": N, "D": D, "lr": rate, "L": factor * (1.7 + 400 / N**0.34 + 2000 / D**0.37)})
        for rate, factor in zip(rates, factors, strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


def test_the_law_is_fitted_to_the_best_rate_of_each_size_and_budget_alone():
    found = fit(law_table())
    assert found.params["E"] == pytest.approx(1.7, rel=1e-6)  # where the optimiser stops
    assert found.rows == 16
    assert {row.reason for row in found.excluded} == {rows.OUTDONE}
    assert {row.row for row in found.excluded} == {f"row {k}" for k in (*range(1, 17), *range(33, 49))}


def test_where_chooses_among_rates_and_one_rate_a_size_excludes_nothing():
    table = law_table()
    chosen = rows.select(table, {"N": "N", "D": "D"}, 5, "lr == 4")
    assert list(chosen.frame["lr"].unique()) == [4.0] and len(chosen.frame) == 16
    varied = table[table["lr"] == np.where(table["N"] > 1e7, 1.0, 4.0)]
    assert len(rows.select(varied, {"N": "N", "D": "D"}, 5).frame) == len(varied)


def test_seeds_of_the_best_rate_all_stay_though_one_of_another_rate_is_lower():
    table = losses({1: [3.0, 3.2], 2: [2.9, 3.5], 4: [3.3, 3.4]})
    assert outdone(table).tolist() == [False, False, True, True, True, True]


def a_study(rates):
    data = Data(corpus="markov", context=32, eval_tokens=64)
    runs = []
    for rate in rates:
        recipe = Recipe(data=data, optim=Optim(lr=rate, batch_tokens=64))
        runs += product([Model(width=16, heads=2, context=32)], [640, 1280], recipe)
    return Study(name="rates", runs=tuple(runs))


def test_collect_says_where_the_best_rate_lies_and_says_it_anew_when_more_rates_are_there(tmp_path):
    folder = StudyFolder(tmp_path)

    def finish(run, result):
        folder.run(run).mkdir(parents=True)
        (folder.run(run) / "result.json").write_text(result)

    measured = {(0.01, 640): 3.2, (0.02, 640): 3.1, (0.04, 640): 3.3, (0.01, 1280): 3.1, (0.02, 1280): 3.0}
    study = a_study((0.01, 0.02, 0.04))
    for run in study.runs[:4]:
        finish(run, json.dumps(done(run, None, L=measured[run.optim.lr, run.tokens])))
    assert collect(study, folder) == 4
    assert read(folder.table_csv)["rate_range"].tolist() == ["high edge"] * 4
    for run in study.runs[4:]:
        lost = run.tokens == 1280
        finish(
            run,
            json.dumps(diverged(run, None, 3, "trunk") if lost else done(run, None, L=measured[0.04, 640])),
        )
    assert collect(study, folder) == 6
    table = read(folder.table_csv)
    assert table["rate_range"].tolist() == ["interior"] * 6
    assert table["sweep_id"].nunique() == 2
    assert (
        table["parametrization"].tolist() == ["standard"] * 6 and table["optimizer"].tolist() == ["adamw"] * 6
    )


def test_runs_of_one_sweep_share_its_identity_and_no_others_do():
    first, second, third = a_study((0.01, 0.02)).runs[:3]
    assert sweep_id(first) == sweep_id(third) != sweep_id(second)  # second is a longer budget
    assert sweep_id(first) == sweep_id(dataclasses.replace(first, seed=3, data_seed=4))
    assert sweep_id(first) != sweep_id(dataclasses.replace(first, init_scale=0.5))
