"""Specifications: which there are, that each says what a fit of its own would, and what they say together."""

import json
import math
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest

from analysis import bootstrap, curve, fit, read, specifications
from analysis.choices.averaging import averages
from analysis.choices.choices import FACTORS, OBJECTIVES, Specification
from analysis.choices.decomposition import decompose
from analysis.choices.refits import Task, refit
from analysis.choices.specification_plots import draw_curve
from analysis.choices.specification_record import sorted_out, text
from analysis.choices.spread import spread
from analysis.errors import InputError
from analysis.fitting import solve_batch
from analysis.frontier import Frontier, cost
from analysis.intervals.uncertainty import resample
from analysis.solver.objective import LeastAbsolute, LogHuber, SquaredLog
from analysis.solver.problem import Problem
from tests.known import (
    CHINCHILLA_240,
    CHINCHILLA_245,
    TRUTH,
    chinchilla_ratio,
    needs_reference_data,
    reference,
    simulated,
    wide,
)

TWO = ("hoffmann", "tied")
PLAIN = ("log_huber noise", "log_huber 0.001", "squared_raw")


def of_ours(noise=0.01, seed=0):
    """A design with the columns of our own tables: head and embedding counted apart, C above 6 N D at small N."""
    table = wide(noise, seed)
    head, embedding = 0.2 * table["N"] ** 0.9, 0.5 * table["N"] ** 0.8
    compute = 6 * table["N"] * table["D"] * (1 + 30 / np.sqrt(table["N"]))
    return table.assign(N_head=head, N_total=table["N"] + embedding, C=compute)


@pytest.fixture(scope="module")
def ours():
    return curve(specifications(of_ours(), laws=TWO, objectives=PLAIN, scales=(1.0, 0.75)), replicates=40)


def row(found, **choices):
    table = found.table
    for name, value in choices.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_the_default_is_what_fit_says_to_the_last_digit(ours):
    found, alone = ours.default, fit(of_ours())
    assert (found["E"], found["objective_value"], found["status"], found["delta"], found["noise"]) == (
        alone.params["E"], alone.value, alone.status, alone.objective.delta, alone.noise,
    )  # fmt: skip


def test_the_interval_of_the_default_is_that_of_bootstrap(ours):
    table = of_ours()
    boot = bootstrap(table, fit(table), replicates=40)
    ends = boot.intervals()["E"]
    # both searches end within 1e-12 of the objective, which is 1e-6 of E
    assert (ours.default["E_lo"], ours.default["E_hi"]) == pytest.approx((ends.lo, ends.hi), rel=1e-5)
    alone = Frontier(boot.law, cost(fit(table).select(table))).L_opt(ours.at)
    assert ours.default["L_lo"] == pytest.approx(boot.interval(alone).lo, rel=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("law", ["tied", "coupled"])
def test_a_specification_is_a_fit_of_its_own_rows(law, objective):
    plan = specifications(of_ours(), laws=("hoffmann", law), scales=(1.0, 0.75), objectives=OBJECTIVES)
    one = Specification(law, objective, "without top 5% of L", 1.0, "N_total", "C")
    asked = None if one.from_noise else one.minimised(math.nan)
    alone = fit(plan.rows(one), law, objective=asked)
    problem = alone.problem(plan.rows(one))
    task = Task(law, problem.columns, problem.target, {objective: asked}, np.arange(problem.size), {}, 2, 0)
    found = refit(task)[objective]
    # two descents end within 1e-12 of a relative objective; least absolute's valley is flat to 1e-7
    assert found.value == pytest.approx(alone.value, rel=1e-7)
    assert found.status == alone.status
    E = dict(zip(problem.names, found.parameters, strict=True))["E"]
    assert alone.params["E"] == pytest.approx(E, abs=2e-4)


def test_specifications_are_the_product_less_those_named():
    for table in (of_ours(), wide(0.01), of_ours().iloc[:20], of_ours().drop(columns="C")):
        plan = specifications(table)
        total = math.prod(len(levels) for levels in plan.offered.values())
        assert len(plan.made) + sum(one.count for one in plan.left_out) == total
        assert len(set(plan.made)) == len(plan.made)
        assert all(one.reason and one.choice for one in plan.left_out)


def test_every_choice_of_a_full_table_is_made_and_no_two_are_the_same_rows():
    plan = specifications(of_ours().assign(dropped=np.arange(35) == 7), laws=TWO)
    made = {factor: {getattr(one, factor) for one in plan.made} for factor in FACTORS}
    assert made["N"] == {"N", "N_total", "N without head"} and made["C"] == {"C", "6 N D"}
    assert made["objective"] == set(OBJECTIVES) and made["scale"] == {1.0, 0.75, 0.5}
    assert {"all rows", "without top 2% of L", "without dropped"} <= made["exclusion"]
    for N, C in product(made["N"], made["C"]):
        rows = [mask.tobytes() for key, mask in plan.kept.items() if key[:2] == (N, C)]
        assert len(rows) == len(set(rows))


def test_conventions_are_what_the_columns_say():
    table = of_ours()
    plan = specifications(table, laws=TWO)
    without_head = plan.rows(Specification(N="N without head", C="6 N D"))
    assert np.array_equal(without_head["N"], table["N"] - table["N_head"])
    assert np.array_equal(without_head["C"], 6 * without_head["N"] * table["D"])
    assert np.array_equal(plan.rows(Specification(N="N_total"))["N"], table["N_total"])


def test_a_table_without_the_columns_says_so():
    plan = specifications(wide(0.01), laws=TWO)
    reasons = {one.choice: one.reason for one in plan.left_out}
    assert reasons["N is N_total"] == "the table has no column N_total"
    assert reasons["N is N without head"] == "the table has no column N_head"
    assert reasons["C is C"] == "the table has no column C"
    assert plan.default == Specification(C="6 N D")


def test_every_specification_of_the_true_law_gives_the_truth_without_noise():
    found = curve(specifications(wide(), laws=("hoffmann",)), replicates=4, at=1e22)
    assert len(found.table) >= 7 * 3
    # rounding of 1e-16 in losses, times a condition of up to 1e4 and a power of up to 1e5
    assert np.allclose(found.table["E"], TRUTH.E, rtol=1e-6)
    assert np.allclose(found.table["N_exponent"], 0.37 / 0.71, rtol=1e-6)
    C = Frontier(TRUTH, cost(fit(wide()).select(wide()))).L_opt(1e22)
    assert np.allclose(found.table["L"], C, rtol=1e-6)
    assert found.table["held_out_error"].max() < 1e-6
    assert np.allclose(found.E, TRUTH.E, rtol=1e-5)


def test_specifications_come_sorted_with_their_replicates(ours):
    E = ours.table["E"].to_numpy()
    assert (np.diff(E) >= 0).all()
    assert ours.E.shape == ours.L.shape == (len(E), 40)
    for i in range(0, len(E), 17):
        assert ours.table["E_lo"][i] <= np.median(ours.E[i]) <= ours.table["E_hi"][i]


def test_C_alone_moves_no_E_but_the_loss_at_a_compute(ours):
    same = {
        "law": "hoffmann",
        "objective": "log_huber 0.001",
        "exclusion": "all rows",
        "scale": 1.0,
        "N": "N",
    }
    exact, six = (row(ours, **same, C=C) for C in ("C", "6 N D"))
    assert exact["E"] == six["E"] and exact["L"] != six["L"]


def test_the_same_table_gives_the_same_curve_in_two_processes(ours):
    again = curve(ours.plan, replicates=40, workers=2)
    pd.testing.assert_frame_equal(again.table, ours.table)
    assert np.array_equal(again.E, ours.E) and np.array_equal(again.L, ours.L)


@pytest.mark.parametrize("law", ["hoffmann", "shifted"])
def test_replicates_are_as_low_as_those_of_a_search_of_each(law):
    table = wide(0.02, seed=3)
    asked = {"a": SquaredLog(), "b": LogHuber(0.01), "c": LogHuber(0.001)}
    columns = {name: table[name].to_numpy() for name in ("N", "D")}
    found = refit(Task(law, columns, table["L"].to_numpy(), asked, np.arange(35), {}, 60, 0))
    weights = resample(np.arange(35), 60, np.random.default_rng(0))
    kind = type(fit(table, law).curve)
    for label, objective in asked.items():
        problem = Problem(kind, columns, table["L"].to_numpy(), objective)
        ours = (weights * objective.rho(problem.residual(found[label].replicates))).sum(axis=1)
        best = solve_batch(problem, weights, max_steps=60).objective
        # a search of its own may find a lower minimum for a replicate now and then
        assert np.mean(ours > best * (1 + 1e-4)) <= 0.05


def test_a_replicate_of_least_absolute_deviations_ends_near_its_minimum():
    table = wide(0.02, seed=3)
    columns = {name: table[name].to_numpy() for name in ("N", "D")}
    found = refit(
        Task("hoffmann", columns, table["L"].to_numpy(), {"a": LeastAbsolute()}, np.arange(35), {}, 40, 0)
    )
    weights = resample(np.arange(35), 40, np.random.default_rng(0))
    problem = Problem(type(TRUTH), columns, table["L"].to_numpy(), LeastAbsolute())
    best = solve_batch(problem, weights)
    spread_of_E = best.parameters[0].std()
    # the chain stops at a delta of 1e-4, 1/200 of the noise: on 240 rows that moved 90 % of them by less than 0.03
    away = np.abs(found["a"].replicates[0] - best.parameters[0]) / spread_of_E
    assert np.quantile(away, 0.9) < 0.1


def test_a_floor_of_zero_is_kept_and_marked():
    truth = replace(TRUTH, E=0.0)
    N = np.repeat(np.geomspace(1e5, 1e9, 7), 5)
    table = simulated(N, N * np.tile([5, 20, 80, 320, 1280], 7), 0.05, seed=2, law=truth)
    found = curve(specifications(table, laws=TWO, objectives=PLAIN), replicates=10)
    at_zero = found.table[found.table["E"] == 0]
    assert len(at_zero) and (at_zero["mark"] == "E at 0").all()
    assert spread(found.table, "E", 0.9).marked == (found.table["mark"] != "").sum()
    assert len(found.table) == len(found.plan.made)


def test_a_default_whose_floor_is_zero_in_every_refit_has_no_ratio_and_says_so(ours):
    none = ours.table.assign(E=0.0, E_lo=0.0, E_hi=0.0)
    told = spread(none, "E", 0.9)
    assert math.isnan(told.ratio)
    assert "default's floor is 0 in every refit" in told.words("E")
    assert decompose(none, "E").interactions == 0


def additive(laws=("a", "b"), N=("x", "y", "z")):
    """A full factorial in which law moves the value by 6 and N by steps of 1: variances of 9 and 2/3."""
    rows = [(law, name, 6.0 * (law == "b") + N.index(name)) for law in laws for name in N for _ in range(4)]
    return pd.DataFrame(rows, columns=["law", "N", "E"]).assign(
        C="C", objective="o", exclusion="e", scale=1.0
    )


def test_shares_of_an_additive_table_are_the_variances_of_its_effects():
    found = decompose(additive(), "E")
    assert [part.factor for part in found.parts] == ["law", "N"]
    assert [part.share for part in found.parts] == pytest.approx([9 / (9 + 2 / 3), (2 / 3) / (9 + 2 / 3)])
    assert found.interactions == pytest.approx(0, abs=1e-12) and found.variance == pytest.approx(9 + 2 / 3)
    assert [part.move for part in found.parts] == [6.0, 2.0]


def test_what_no_main_effect_explains_is_called_interaction():
    table = additive(N=("x", "y"))
    table["E"] = np.where((table["law"] == "b") == (table["N"] == "y"), 1.0, -1.0)
    found = decompose(table, "E")
    assert found.interactions == pytest.approx(1) and sum(part.share for part in found.parts) < 1e-12


def test_shares_of_a_table_with_holes_still_sum_to_what_is_explained():
    found = decompose(additive().iloc[:19], "E")
    assert sum(part.share for part in found.parts) == pytest.approx(1)
    assert all(part.share > 0 for part in found.parts)


def test_an_average_counts_specifications_by_their_held_out_error(ours):
    table = ours.table.copy()
    chosen = (
        (table["law"] == "tied") & (table["objective"] == "squared_raw") & (table["exclusion"] == "all rows")
    )
    here = chosen & (table["scale"] == 1.0)
    table["held_out_error"] = np.where(here, 1e-7, 1.0)
    sharp = replace(ours, table=table)
    for one in averages(sharp):
        alone = row(
            sharp, law="tied", objective="squared_raw", exclusion="all rows", scale=1.0, N=one.N, C=one.C
        )
        replicates = ours.E[alone.name]
        assert one.by_law["tied"] == pytest.approx(1, abs=1e-6)
        # the blur of 1e-7 moves no quantile by more
        assert pytest.approx(np.quantile(replicates, 0.5, method="inverted_cdf"), abs=1e-5) == one.E
        assert one.E_lo == pytest.approx(np.quantile(replicates, 0.05, method="inverted_cdf"), abs=1e-5)


def test_no_average_mixes_conventions_and_each_holds_the_truth_of_its_own(ours):
    found = averages(ours)
    assert {(one.N, one.C) for one in found} == {(one.N, one.C) for one in ours.plan.made}
    assert sum(one.specifications for one in found) == len(ours.table)
    table_N = next(one for one in found if (one.N, one.C) == ("N", "C"))
    assert table_N.tested and table_N.E_lo < TRUTH.E < table_N.E_hi < ours.best


def test_the_figure_draws_every_specification_and_every_choice(ours):
    told, shares = spread(ours.table, "E", 0.9), decompose(ours.table, "E")
    upper, lower = draw_curve(ours.table, told, shares, "E (nats per token)").axes[:2]
    dots = np.concatenate([line.get_ydata() for line in upper.lines if line.get_marker() == "o"])
    assert np.array_equal(np.sort(dots), np.sort(ours.table["E"]))
    strokes = [line.get_xdata() for line in lower.lines if len(line.get_xdata()) > 2]
    drawn = np.concatenate([x[np.isfinite(x)] for x in strokes])[::2]
    varied = [name for name in FACTORS if ours.table[name].nunique() > 1]
    assert np.array_equal(np.sort(drawn), np.repeat(np.arange(len(ours.table)), len(varied)))
    diamond = next(line for line in upper.lines if line.get_marker() == "D")
    assert diamond.get_ydata() == ours.default["E"]


def test_an_interval_that_goes_on_beyond_the_axis_ends_in_an_arrow(ours):
    longest = int(np.argmin(ours.table["E_lo"]))
    table = ours.table.assign(
        E_lo=np.where(np.arange(len(ours.table)) == longest, -100.0, ours.table["E_lo"])
    )
    upper = draw_curve(table, spread(table, "E", 0.9), decompose(table, "E"), "E (nats per token)").axes[0]
    arrows = [line for line in upper.lines if line.get_marker() in ("v", "^")]
    low, high = upper.get_ylim()
    cut = (table["E_lo"] < low).sum() + (table["E_hi"] > high).sum()
    assert low > -100 and sum(len(line.get_xdata()) for line in arrows) == cut


def test_the_text_counts_what_is_fitted_and_why_the_rest_is_not(ours):
    told = text(ours)
    plan = ours.plan
    total = len(plan.made) + sum(one.count for one in plan.left_out)
    assert f"{len(plan.made)} of {total} combinations of the choices fitted" in told
    lines = sorted_out(plan.left_out)
    assert sum(int(line.split()[0]) for line in lines) == total - len(plan.made)
    assert "Interactions are" in told and max(map(len, told.splitlines())) <= 80


@pytest.mark.parametrize(("width", "words"), [(10.0, "Below 1"), (1e-6, "From 1 on")])
def test_the_ratio_says_what_to_conclude(ours, width, words):
    E = ours.default["E"]
    told = spread(ours.table.assign(E_lo=E - width, E_hi=E + width), "E", 0.9)
    assert words in told.words("E")


def test_the_spread_stands_beside_the_interval_in_words(ours):
    told = spread(ours.table, "E", 0.9)
    lo, hi = np.quantile(ours.table["E"], [0.05, 0.95])
    assert (told.lo, told.hi) == pytest.approx((lo, hi))
    assert told.ratio == pytest.approx((hi - lo) / (ours.default["E_hi"] - ours.default["E_lo"]))
    assert "(5-95\N{NO-BREAK SPACE}%)" in told.words(
        "E"
    ) and f"{len(ours.table)} specifications" in told.words("E")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"laws": ("power",)}, "no law of L in N and D"),
        ({"laws": ("hofman",)}, "no law is called"),
        ({"laws": ("hoffmann", "kaplan")}, "no floor E"),
        ({"laws": ()}, "at least one"),
        ({"objectives": ("log_huber a lot",)}, "no number"),
        ({"objectives": ("huber",)}, "no objective is called"),
        ({"objectives": ("squared_log 0.1",)}, "has no delta"),
        ({"objectives": ("log_huber -1",)}, "must be above 0"),
        ({"scales": (0.0,)}, "share of log C"),
    ],
)
def test_a_choice_that_there_is_not_is_refused(asked, words):
    with pytest.raises(InputError, match=words):
        specifications(wide(0.01), **asked)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"at": -1.0}, "FLOPs"),
        ({"replicates": 1}, "at least 2"),
        ({"level": 1.0}, "between"),
        ({"workers": 0}, "use 1"),
    ],
)
def test_a_curve_that_cannot_be_is_refused(ours, asked, words):
    with pytest.raises(InputError, match=words):
        curve(ours.plan, **asked)


def test_losses_of_two_targets_are_refused():
    for column, values in (
        ("tokens_per_byte", [0.25, 0.5]),
        ("objective", ["causal", "masked"]),
        ("corpus", ["a", "b"]),
    ):
        table = wide(0.01).assign(**{column: np.resize(values, 35)})
        with pytest.raises(InputError, match="--where"):
            specifications(table)


def test_too_few_rows_for_the_default_are_refused_with_the_reason():
    with pytest.raises(InputError, match="6 rows are left, and 7 are needed"):
        specifications(wide(0.01).iloc[::6])


@needs_reference_data
@pytest.mark.parametrize("known", [CHINCHILLA_240, CHINCHILLA_245], ids=lambda known: str(known.rows))
def test_the_published_fits_are_among_the_specifications_of_the_chinchilla_rows(known):
    plan = specifications(read(reference(known.file)), laws=("hoffmann",))
    found = curve(plan, replicates=2).table
    # the five highest losses of 245 are 2 %, and those that the authors left out
    exclusion = "all rows" if known.rows == 245 else "without top 2% of L"
    chosen = found[
        (found["exclusion"] == exclusion) & (found["scale"] == 1) & (found["objective"] == "log_huber 0.001")
    ]
    assert len(chosen) == 1 and chosen["rows"].item() == known.rows
    assert chosen["E"].item() == pytest.approx(known.params["E"], rel=known.tolerance)
    assert chosen["objective_value"].item() == pytest.approx(
        known.objective, rel=3e-6
    )  # printed to six digits


def test_the_verb_writes_a_record_that_reads_back(tmp_path, capsys):
    from analysis.choices.specification_record import read as read_record
    from analysis.choices.specify import specify

    wide(0.01).to_csv(tmp_path / "runs.csv", index=False)
    specify(tmp_path / "runs.csv", laws=TWO, replicates=4, workers=1, out=tmp_path / "out", json=True)
    printed = json.loads(capsys.readouterr().out)
    record = read_record(tmp_path / "out" / "specification.json")
    assert (
        len(record.table)
        == len(printed["specifications"])
        == len(pd.read_csv(tmp_path / "out/specification.csv"))
    )
    assert record.spreads["E"] == spread(record.table, "E", 0.9)
    assert (tmp_path / "out" / "specification.png").stat().st_size > 1e4
    assert "<svg" in (tmp_path / "out" / "specification.svg").read_text()


def test_a_report_shows_the_choices_of_its_own_table_only(tmp_path):
    from analysis.choices.specify import specify
    from analysis.options import Options
    from analysis.pages.report import write_report

    path = tmp_path / "runs.csv"
    wide(0.01).to_csv(path, index=False)
    specify(path, laws=("hoffmann",), replicates=4, workers=1)
    quick = Options(replicates=20, admit=("hoffmann",))
    page = write_report(path, quick, say=lambda text: None).read_text()
    assert "The analyst's choices" in page.replace("&#x27;", "'") and 'id="specification_curve"' in page
    assert "their interactions" in page and "the table has no column N_total" in page
    wide(0.01, seed=1).to_csv(path, index=False)
    page = write_report(path, quick, refit=True, say=lambda text: None).read_text()
    assert "specification.json is of another table" in page and 'id="specification_curve"' not in page


def test_any_law_with_a_floor_in_N_and_D_can_be_asked():
    found = curve(specifications(wide(0.01), laws=("overtrained",), objectives=PLAIN[:1]), replicates=4).table
    assert (found["law"] == "overtrained").all() and np.isfinite(found["L"]).all()


def test_a_file_that_is_no_record_is_refused(tmp_path):
    from analysis.choices.specification_record import read as read_record

    (tmp_path / "specification.json").write_text("{}")
    with pytest.raises(InputError, match="make it again"):
        read_record(tmp_path / "specification.json")


def test_one_ratio_of_tokens_to_parameters_is_told_apart_by_nothing_and_marked():
    found = curve(specifications(chinchilla_ratio(0.01), laws=("hoffmann",), objectives=PLAIN), replicates=4)
    assert (found.table["mark"] != "").all()
