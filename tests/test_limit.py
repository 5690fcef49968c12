"""What is said beyond the data: recovered where the truth is known, withheld where the runs do not earn it."""

import itertools
import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from analysis import claims, far_cost, limit, record
from analysis.errors import InputError
from analysis.evidence import with_evidence
from analysis.fitting import fit
from analysis.floor.combination import Candidate, Combination
from analysis.forecast import Forecast, Track, forecast
from analysis.frontier import Cost, Frontier
from analysis.laws import Coupled, Exponential, Hoffmann, Power, Shifted

TRUTH = Hoffmann(E=1.7, A=400.0, alpha=0.34, B=410.0, beta=0.28)
AT_BEST = Frontier(TRUTH, Cost())


def evidence(table, law="hoffmann"):
    found, boot, _ = with_evidence(table, fit(table, law), replicates=60, laws=())
    return record.from_json(record.to_json(found)), boot


def a_table(noise, sizes=(1e7, 3e9), budgets=(1e9, 3e11)):
    rng = np.random.default_rng(3)
    N, D = (grid.ravel() for grid in np.meshgrid(np.geomspace(*sizes, 6), np.geomspace(*budgets, 6)))
    L = TRUTH(N=N, D=D) * np.exp(noise * rng.standard_normal(len(N)))
    return pd.DataFrame({"N": N, "D": D, "C": 6 * N * D, "L": L})


@pytest.fixture(scope="module")
def wide():
    table = a_table(noise=1e-3)
    found, boot = evidence(table)
    return found, boot, forecast(table, found, boot)


@pytest.fixture(scope="module")
def narrow():
    table = a_table(noise=0.02, sizes=(1e7, 4e7), budgets=(1e9, 4e9))
    found, boot = evidence(table)
    return found, boot, forecast(table, found, boot)


def judged(found, verdict):
    return replace(found, identification=found.identification | {"verdict": verdict})


def test_the_loss_beyond_the_data_is_the_truths(wide):
    found, _, made = wide
    content = limit.limit(found, made)
    assert content["verdict"] == "identified"
    for claim in content["losses"]:
        truth = float(AT_BEST.L_opt(claim["C"]))
        assert claim["lo"] <= truth <= claim["hi"]
        assert claim["L"] == pytest.approx(
            truth, rel=0.01
        )  # ten times the noise: extrapolated up to 1000 times
    assert content["E"]["lo"] <= 1.7 <= content["E"]["hi"]


def test_a_distance_to_the_floor_is_reached_at_the_compute_given(wide):
    found, _, made = wide
    for distance in limit.limit(found, made)["distances"]:
        at_it = float(made.track.loss(made.best, np.array([distance["C"]]))[0])
        floor = found.params["E"]
        assert at_it == pytest.approx((1 + distance["share"]) * floor, rel=1e-9)  # rounding of a closed form
        assert distance["lo"] <= distance["C"] <= distance["hi"]
        assert distance["extrapolation"] == pytest.approx(distance["C"] / made.largest)


def certain(law=TRUTH, size=2):
    stacked = type(law)(*(np.full(size, value) for value in law.as_dict().values()))
    return Forecast(Track("C", Cost()), law, stacked, stacked, 0.9, (0.05, 0.95), 1e22)


def test_halving_what_is_left_takes_a_power_of_two_of_compute():
    told = claims.halving(certain())
    C = 1e22 * 2 ** (1 / float(AT_BEST.L_exponent))
    assert [told[name] for name in ("C", "lo", "hi")] == pytest.approx([C] * 3, rel=1e-9)
    assert told["extrapolation"] == pytest.approx(C / 1e22)
    assert [told[f"N_opt{end}"] for end in ("", "_lo", "_hi")] == pytest.approx([float(AT_BEST.N_opt(C))] * 3)
    assert [told[f"D_opt{end}"] for end in ("", "_lo", "_hi")] == pytest.approx([float(AT_BEST.D_opt(C))] * 3)


@pytest.mark.parametrize(
    "law", [Shifted(1.7, 400.0, 1e7, 0.34, 410.0, 1e9, 0.28), Coupled(1.5, 3.0, 0.5, 1e7, 0.25, 0.5)]
)
def test_half_of_what_is_left_is_left_at_the_compute_that_halves_it(law):
    frontier = Frontier(law, Cost())
    C = claims.halving(certain(law))["C"]
    left, then = (float(frontier.L_opt(at)) - law.E for at in (1e22, C))
    assert then / left == pytest.approx(
        0.5, rel=1e-4
    )  # a line in logarithms between points a hundredth of a decade apart


def test_an_exponential_in_one_column_is_halved_where_it_is():
    # 3 exp(-(x / 1e10)^0.5): half of what is left at (x / 1e10)^0.5 = 2 is left at 2 + ln 2
    law = Exponential(1.5, 3.0, 1e10, 0.5)
    made = replace(certain(law), track=Track("x"), largest=4e10)
    assert claims.halving(made)["x"] == pytest.approx(1e10 * (2 + math.log(2)) ** 2, rel=1e-4)  # as above


def test_what_is_left_is_the_loss_of_the_largest_run_above_the_floor(wide):
    found, _, made = wide
    content = limit.limit(found, made)
    truth = float(AT_BEST.L_opt(made.largest)) - TRUTH.E
    left = content["left"]
    assert left["nats"]["lo"] <= truth <= left["nats"]["hi"]
    assert left["nats"]["value"] == pytest.approx(
        truth, rel=0.05
    )  # E is known to 1 %, and the loss is 5 E / 4
    share = truth / (truth + TRUTH.E)
    assert left["share"]["lo"] <= share <= left["share"]["hi"]
    halving = content["halving"]
    assert halving["lo"] <= made.largest * 2 ** (1 / float(AT_BEST.L_exponent)) <= halving["hi"]
    assert halving["N_opt_lo"] <= halving["N_opt"] <= halving["N_opt_hi"]
    assert all(claim["D_opt_lo"] <= claim["D_opt"] <= claim["D_opt_hi"] for claim in content["distances"])


def test_without_a_floor_what_is_left_is_not_a_number(wide):
    found, _, made = wide
    content = limit.limit(judged(found, "not_identified"), made)
    assert content["halving"] is None and "cannot be said" in content["left"]["missing"]
    assert content["left"]["nats"] == content["left"]["share"] == {"value": None, "lo": None, "hi": None}


def test_a_floor_that_is_bounded_above_leaves_at_least_the_rest(wide):
    found, _, made = wide
    bounded = judged(found, "bounded_above_only")
    left = limit.limit(bounded, made)["left"]
    lowest = float(made.loss(np.array([made.largest]))[1][0])
    assert left["nats"] == {
        "value": None,
        "lo": pytest.approx(lowest - bounded.identification["hi"]),
        "hi": None,
    }
    assert left["nats"]["lo"] <= float(AT_BEST.L_opt(made.largest)) - TRUTH.E


def test_the_probability_of_a_loss_is_the_share_of_draws_below_it_and_grows_with_it(narrow):
    found, _, made = narrow
    at = [made.largest * 10, made.largest * 1000]
    below = [1.0, 2.0, 2.5, 3.0, 9.0]
    told = limit.limit(found, made, at, below=below)["probabilities"]
    assert [(one["C"], one["below"]) for one in told] == [(x, b) for x in at for b in below]
    for x, ones in zip(at, (told[:5], told[5:]), strict=True):
        losses = made.track.loss(made.replicates, np.array([x]))[:, 0]
        shares = [float((losses < b).mean()) for b in below]
        assert [one["probability"] for one in ones] == pytest.approx(shares)
        assert shares == sorted(shares) and shares[-1] == 1
        assert ones[0]["extrapolation"] == pytest.approx(x / made.largest)
    words = limit.limit(found, made, below=below)["probabilities_of"]
    assert "law hoffmann alone" in words and "noise of one new run is left out" in words


def test_half_of_all_admissible_draws_lie_below_the_middle_and_the_levels_share_between_the_ends():
    table = a_table(noise=1e-3)
    found, boot, combined = with_evidence(
        table, fit(table), replicates=30, laws=("hoffmann", "tied"), truths=0
    )
    made = forecast(table, found, boot, combined)
    x = made.largest * 100
    value, lo, hi = (float(end[0]) for end in made.loss(np.array([x])))
    one, middle, other = (claim["probability"] for claim in claims.probabilities(made, [x], [lo, value, hi]))
    # quantiles are draws, and the heaviest of 60 or more has a weight of 1/30
    assert [one, middle, other] == pytest.approx([0.05, 0.5, 0.95], abs=1 / 30 + 1e-9)
    assert "all admissible laws" in claims.probabilities_words(made, "hoffmann")
    fan = limit.limit(found, made, [x])["fan"]
    # the laws of the upper half are fitted to the runs from the middle of log C on
    middle_of_runs = math.sqrt(float(table["C"].min()) * made.largest)
    assert {c.part for c in combined.candidates} == {1.0, 0.5} and fan["at"][0] == pytest.approx(
        middle_of_runs
    )
    assert fan["whose"] == "all admissible laws together"
    assert fan["at"][-1] == pytest.approx(x) and fan["bands"][-1]["hi"][-1] == pytest.approx(hi)


@pytest.mark.parametrize("below", [0.0, -1.0, math.nan, math.inf])
def test_a_loss_that_cannot_be_is_refused(below):
    with pytest.raises(InputError, match="--below"):
        claims.probabilities(certain(), [1e23], [below])


def test_the_bands_of_the_fan_lie_in_each_other(narrow):
    found, _, made = narrow
    fan = limit.limit(found, made)["fan"]
    assert fan["at"][0] < fan["largest"] and fan["at"][-1] == pytest.approx(1000 * made.largest)
    assert [band["level"] for band in fan["bands"]] == [0.5, 0.8, 0.9]
    for inner, outer in itertools.pairwise(fan["bands"]):
        assert all(
            a <= b <= c <= d
            for a, b, c, d in zip(outer["lo"], inner["lo"], inner["hi"], outer["hi"], strict=True)
        )


def test_far_beyond_the_runs_a_loss_has_no_middle_unless_the_floor_is_identified(wide):
    found, _, made = wide
    at = [made.largest * 1e3, made.largest * 1e6]
    near, far = limit.limit(judged(found, "bounded_above_only"), made, at)["losses"]
    assert near["L"] is not None and far["L"] is None and 0 < far["lo"] < far["hi"]
    content = limit.limit(judged(found, "not_identified"), made, at)
    told = dict(zip(content["fan"]["at"], content["fan"]["L"], strict=True))
    assert all((loss is None) == (x > made.largest * 1.001e3) for x, loss in told.items())
    assert limit.limit(judged(found, "identified"), made, at)["losses"][1]["L"] is not None


def combined_of(laws, parts, error=0.0):
    boots = [SimpleNamespace(law=law) for law in laws]
    candidates = tuple(
        Candidate(type(law).__name__, part, None, boot, {}, error=error, weight=1 / len(laws))
        for law, part, boot in zip(laws, parts, boots, strict=True)
    )
    return Combination(candidates, 0.9, 0, 2.0, 2.1, tuple({c.law for c in candidates}))


def test_no_loss_is_moved_below_nothing_by_the_drift_of_its_law():
    # two parts of the runs a whole nat apart, 0.1 and 1.1: moved by a normal number of nats
    laws = [Power(*(np.full(200, value) for value in (E, 0.0, 0.3))) for E in (0.1, 1.1)]
    made = replace(certain(), track=Track("C"), combined=combined_of(laws, (1.0, 0.5)))
    value, lo, hi = (float(end[0]) for end in made.loss(np.array([1e25])))
    assert lo == 0 and lo < value < hi


def test_scales_that_are_never_reached_are_neither_blurred_nor_warned_of():
    given = [np.full(20, np.inf), np.full(20, np.inf)]
    laws = [Power(*(np.full(20, value) for value in (1.0, 1.0, 0.3)))] * 2
    combined = combined_of(laws, (1.0, 0.5), error=0.1)
    for noise in (True, False):
        values, weights = combined.blurred(given, noise)
        assert np.isinf(values).all() and weights.sum() == pytest.approx(1)


def test_every_interval_holds_its_value_and_widens_with_the_extrapolation(narrow):
    _, _, made = narrow
    x = made.largest * np.array([1.0, 10.0, 100.0, 1000.0])
    value, lo, hi = made.loss(x)
    assert (lo <= value).all() and (value <= hi).all()
    assert (np.diff(np.log(hi / lo)) > 0).all()


def test_the_interval_spans_the_fits_at_every_floor_that_the_profile_allows(narrow):
    found, _, made = narrow
    floors = np.asarray(made.floors.E)
    ends = (
        found.profile["lo"] or found.profile["values"][0],
        found.profile["hi"] or found.profile["values"][-1],
    )
    assert floors.min() == pytest.approx(ends[0], abs=1e-6)
    assert floors.max() == pytest.approx(ends[1], rel=1e-6)
    far = made.largest * np.array([1e3])
    spanned = made.track.loss(made.floors, far)
    _, lo, hi = made.loss(far)
    assert lo[0] <= spanned.min() and spanned.max() <= hi[0]


@pytest.mark.parametrize(
    ("verdict", "given"),
    [
        ("identified", {"value", "lo", "hi"}),
        ("bounded_above_only", {"hi"}),
        ("not_identified", set()),
    ],
)
def test_no_number_stands_for_a_floor_that_was_not_earned(wide, verdict, given):
    found, _, made = wide
    content = limit.limit(judged(found, verdict), made)
    assert {name for name in ("value", "lo", "hi") if content["E"][name] is not None} == given
    assert bool(content["distances"]) == (verdict == "identified")
    assert bool(content["distances_missing"]) == (verdict != "identified")
    assert content["reason"]


def test_claims_are_made_where_they_are_asked_for_and_say_how_far_they_reach(wide):
    found, _, made = wide
    claims = limit.limit(found, made, at=[1e22, made.largest])["losses"]
    assert [claim["C"] for claim in claims] == [1e22, made.largest]
    assert claims[0]["extrapolation"] == pytest.approx(1e22 / made.largest)
    assert all(
        claim[f"{name}_lo"] <= claim[name] <= claim[f"{name}_hi"]
        for claim in claims
        for name in ("N_opt", "D_opt")
    )
    assert claims[0]["N_opt"] * claims[0]["D_opt"] * 6 == pytest.approx(
        1e22, rel=1e-6
    )  # C = 6ND in this table


@pytest.mark.parametrize("at", [0.0, -1e20, math.nan, math.inf])
def test_a_compute_that_cannot_be_is_refused(wide, at):
    found, _, made = wide
    with pytest.raises(InputError, match="--at"):
        limit.limit(found, made, at=[at])


def test_a_law_of_one_column_is_followed_along_that_column():
    C = np.geomspace(1e18, 1e22, 14)
    truth = Power(E=1.5, A=3e3, alpha=0.17)
    table = pd.DataFrame({"C": C, "L": truth(x=C) * (1 + 1e-4 * np.cos(np.arange(14)))})
    found, boot = evidence(table, "power")
    made = forecast(table, found, boot)
    content = limit.limit(found, made, at=[1e24])
    assert content["x"] == "C" and set(content["losses"][0]) == {
        "C",
        "L",
        "lo",
        "hi",
        "level",
        "extrapolation",
    }
    assert content["losses"][0]["L"] == pytest.approx(
        float(truth(x=1e24)), rel=2e-3
    )  # noise of 1e-4, 100 times on


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        (Power(E=1.0, A=1e3, alpha=0.5), 1e10),  # 1e3 / x^0.5 = 0.01
        (Power(E=0.0, A=1e3, alpha=0.5), math.inf),  # a floor of 0 is never within a share of itself
        (Power(E=1.0, A=0.0, alpha=0.5), 0.0),  # nothing above the floor
    ],
)
def test_reach_has_a_closed_form(law, expected):
    stacked = Power(*(np.array([value, value]) for value in law.as_dict().values()))
    made = Forecast(Track("C"), law, stacked, stacked, 0.9, (0.05, 0.95), 1e12)
    assert made.reach(0.01) == pytest.approx(
        (expected,) * 3, rel=1e-6
    )  # the excess loses digits at 1e-3 of E


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "law", ["tied", pytest.param("coupled", marks=SLOW), pytest.param("shifted", marks=SLOW)]
)
def test_every_law_in_n_and_d_goes_the_whole_way_to_a_limit(law):
    # Hoffmann's truth: tied cannot be it, the others hold it
    table = a_table(noise=1e-3)
    found, boot = evidence(table, law)
    content = limit.limit(found, forecast(table, found, boot))
    assert [claim["extrapolation"] for claim in content["losses"]] == pytest.approx([10, 100, 1000])
    assert all(claim["lo"] <= claim["L"] <= claim["hi"] and claim["N_opt"] > 0 for claim in content["losses"])
    assert bool(found.frontier) == (law != "shifted")
    if law != "tied":
        assert content["verdict"] == "identified"
        assert content["E"]["lo"] <= TRUTH.E <= content["E"]["hi"]
        assert all(cut["coverage"] > 0.5 for cut in found.holdout)


def test_interpolated_reach_is_the_closed_one_where_shifts_vanish():
    laws = [TRUTH, Shifted(TRUTH.E, TRUTH.A, 0.0, TRUTH.alpha, TRUTH.B, 0.0, TRUTH.beta)]
    reaches = [
        Forecast(Track("C", Cost()), law, law, law, 0.9, (0.05, 0.95), 1e22)._reach(law, 0.01)[0]
        for law in laws
    ]
    assert reaches[1] == pytest.approx(
        reaches[0], rel=1e-6
    )  # a power is straight between the points in logarithms


def test_limit_json_is_whole_and_holds_no_infinity(wide, tmp_path):
    found, _, made = wide
    limit.write(limit.limit(found, made), tmp_path / "limit.json")
    text = (tmp_path / "limit.json").read_text()
    assert "Infinity" not in text and "NaN" not in text
    assert json.loads(text)["table_sha256"] == found.table_sha256
    assert [p.name for p in tmp_path.iterdir()] == ["limit.json"]


def test_no_split_is_given_where_the_runs_do_not_determine_one(wide):
    found, _, made = wide
    told = limit.limit(replace(found, frontier={"withheld": "the split of compute is not determined"}), made)
    ends = [f"{name}{end}" for name in ("N_opt", "D_opt") for end in ("", "_lo", "_hi")]
    assert all(claim[name] is None for claim in told["losses"] for name in ends)
    assert all(claim["L"] > 0 for claim in told["losses"])


def test_a_cost_formula_that_is_far_off_beyond_the_runs_is_told_of():
    cost = Cost(kappa=38.9, rho=0.847)
    assert far_cost.share(cost, 1e11) == pytest.approx(38.9 * 1e11**-0.153 / 6)
    said = far_cost.caution(cost, 1e11, 1e6)
    assert "C = 38.9 N^0.847 D" in said and "0.13 times 6 N D" in said and "too low" in said
    assert far_cost.caution(cost, 9e5, 1e6) == ""  # among the runs the formula is theirs
    assert far_cost.caution(Cost(6.0, 1.0), 1e11, 1e6) == ""
    assert far_cost.formula(Cost(6.0, 1.0 + 1e-9)) == "C = 6 N D"


def test_a_limit_tells_what_a_run_is_taken_to_cost(wide):
    found, _, made = wide
    exact = limit.limit(found, made)["cost"]
    assert exact["kappa"] == pytest.approx(6) and exact["caution"] == ""
    assert exact["largest_N"] == 3e9 < exact["N"] and exact["of_6ND"] == pytest.approx(1)
    tiny = limit.limit(found, replace(made, track=Track("C", Cost(600.0, 0.8))))["cost"]
    assert "times 6 N D" in tiny["caution"] and tiny["of_6ND"] < 1.5
