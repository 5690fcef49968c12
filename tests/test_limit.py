"""What is said beyond the data: recovered where the truth is known, withheld where the runs do not earn it."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis import limit, record
from analysis.errors import InputError
from analysis.evidence import with_evidence
from analysis.fitting import fit
from analysis.frontier import Cost, Frontier
from analysis.laws import Hoffmann, Power, Shifted
from analysis.limit import Forecast, Track, forecast

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
    assert all(claim["N_opt"] is None and claim["D_opt"] is None for claim in told["losses"])
    assert all(claim["L"] > 0 for claim in told["losses"])
