"""Walls where they are known: Hoffmann's law in closed form, dates that are logarithms, draws that count as weighed."""

import json
from dataclasses import replace

import numpy as np
import pytest

from analysis.errors import InputError
from analysis.floor.combination import Candidate, Combination
from analysis.forecast import Forecast, Track
from analysis.frontier import Cost, Frontier, Paired
from analysis.laws import Coupled, Hoffmann, Power, Shifted, Stretched
from analysis.walls import date_words, outlook_report, words
from analysis.walls.crossing import crossing
from analysis.walls.sample import sample
from analysis.walls.scenario import scenario
from analysis.walls.stocked import Stocked, worth
from analysis.walls.timeline import first_time, follow, when
from analysis.walls.walls import walls

TRUTH = Hoffmann(E=1.7, A=400.0, alpha=0.34, B=410.0, beta=0.28)
AT_BEST = Frontier(TRUTH, Cost())
SIX_N_D = Cost()
LAWS_OF_BOTH = [
    TRUTH,
    Coupled(1.5, 3.0, 0.5, 1e7, 0.25, 0.5),
    Shifted(1.7, 400.0, 1e6, 0.34, 410.0, 1e9, 0.28),
    Stretched(1.5, 3.0, 2e10, 0.3, 4.0, 1e12, 0.25),
]
START, HORIZON = 2026.0, 2046.0
SURE = {
    "stock": 1e14,
    "repetition": 15.387756,
    "growth": 4,
    "compute": 1e23,
    "start": START,
    "horizon": HORIZON,
}


def draws_of(law, size=3):
    return type(law)(*(np.full(size, value) for value in law.as_dict().values()))


def sure(law=TRUTH, size=3, largest=1e22, cost=SIX_N_D):
    """A forecast by a law that is certain."""
    return Forecast(Track("C", cost), law, draws_of(law, size), draws_of(law, 1), 0.9, (0.05, 0.95), largest)


def unsure(size=400, spread=0.1, seed=0):
    """A forecast by draws of a law whose exponents are not certain."""
    rng = np.random.default_rng(seed)
    law = Hoffmann(
        1.7 + 0.05 * rng.standard_normal(size), np.full(size, 400.0), 0.34 * np.exp(spread * rng.standard_normal(size)),
        np.full(size, 410.0), 0.28 * np.exp(spread * rng.standard_normal(size)),
    )  # fmt: skip
    return replace(sure(), replicates=law)


def assumed(**changes):
    return scenario(SURE | changes, compute=1e22, today=START)


def passing(stock, law=TRUTH):
    """Compute at which the best split of Hoffmann's law asks for so many tokens."""
    frontier = Frontier(law, Cost())
    return 1e23 * (stock / float(frontier.D_opt(1e23))) ** (1 / float(frontier.D_exponent))


def test_tokens_are_worth_what_the_data_constrained_law_says():
    # the first repeat at R = 1 / ln 2 is worth (1 - e^-ln 2) / ln 2 of a fresh pass
    U, R = np.array(1e9), np.array(1 / np.log(2))
    assert worth(np.array(2e9), U, R) == pytest.approx(1e9 * (1 + 0.5 / np.log(2)))
    assert worth(np.array(5e8), U, R) == 5e8
    assert worth(np.array(1e30), U, R) == pytest.approx(1e9 * (1 + 1 / np.log(2)))
    assert worth(np.array(3e9), U, np.array(0.0)) == pytest.approx(1e9)  # no repeat is worth anything


def test_the_data_wall_is_the_floor_and_the_data_term_of_all_that_the_stock_is_worth():
    found = walls(sure(), assumed())["data"]
    expected = 1.7 + 410 / (1e14 * 16.387756) ** 0.28
    assert found["loss"] == pytest.approx(dict.fromkeys(("value", "lo", "hi"), expected), rel=1e-12)
    assert found["worth"]["value"] == pytest.approx(1e14 * 16.387756)


@pytest.mark.parametrize("law", LAWS_OF_BOTH, ids=lambda law: type(law).__name__)
def test_no_compute_passes_the_data_wall_and_endless_compute_comes_to_it(law):
    limited = Stocked(draws_of(law), Cost(), np.full(3, 1e12), np.full(3, 4.0))
    C = np.tile(
        np.geomspace(1e20, 1e36, 30), (3, 1)
    )  # below, the best split of `Shifted` may be the search's end
    losses = limited.split(C)[1]
    assert (losses >= limited.wall[:, None] - 1e-12).all()
    assert (np.diff(losses) <= 1e-12).all()
    assert losses[:, -1] == pytest.approx(limited.wall, abs=2e-4)  # A / N^alpha of the N that 1e36 buys


@pytest.mark.parametrize("law", LAWS_OF_BOTH, ids=lambda law: type(law).__name__)
def test_the_best_split_under_a_stock_is_the_least_of_all_splits(law):
    limited = Stocked(draws_of(law, 1), Cost(), np.array([1e11]), np.array([4.0]))
    C = np.array([[1e25]])
    tokens, loss = limited.split(C)
    tried = np.geomspace(1e9, 1e15, 20001)
    losses = Paired(draws_of(law, 1), Cost()).loss(
        (1e25 / (6 * tried))[None], worth(tried, np.array(1e11), np.array(4.0))[None]
    )
    assert loss[0, 0] == pytest.approx(losses.min(), rel=1e-7)  # the grid's steps, at a flat minimum
    assert tokens[0, 0] == pytest.approx(tried[losses.argmin()], rel=2e-3)  # steps of 7e-4
    assert tokens[0, 0] > 1e11


def test_a_stock_that_is_not_passed_changes_nothing():
    limited = Stocked(draws_of(TRUTH), Cost(), np.full(3, 1e30), np.full(3, 4.0))
    C = np.tile(np.geomspace(1e18, 1e26, 9), (3, 1))
    tokens, loss = limited.split(C)
    assert tokens == pytest.approx(np.tile(AT_BEST.D_opt(C[0]), (3, 1)), rel=1e-12)
    assert loss == pytest.approx(np.tile(AT_BEST.L_opt(C[0]), (3, 1)), rel=1e-12)


def test_draws_each_at_their_own_compute_are_the_frontiers_of_each():
    law = Hoffmann(
        np.array([1.7, 1.5]), np.full(2, 400.0), np.full(2, 0.34), np.full(2, 410.0), np.full(2, 0.28)
    )
    C = np.array([[1e20, 1e21], [1e22, 1e23]])
    rows = [
        Frontier(Hoffmann(E, 400.0, 0.34, 410.0, 0.28), Cost()).L_opt(c)
        for E, c in zip((1.7, 1.5), C, strict=True)
    ]
    assert Paired(law, Cost()).L_opt(C) == pytest.approx(np.stack(rows), rel=1e-14)


def test_the_stock_is_passed_where_the_frontier_reaches_it_and_on_that_date():
    found = walls(sure(), assumed())
    C = passing(1e14)
    assert found["data"]["at"]["stock_passed"]["value"] == pytest.approx(
        C, rel=1e-9
    )  # halved to 1e-11 decades
    assert found["data"]["extrapolation"]["stock_passed"] == pytest.approx(C / 1e22, rel=1e-9)
    date = START + np.log(C / 1e23) / np.log(4)
    told = found["dates"]["stock_passed"]
    # compute and D_opt are powers, so the straight line between dates is exact
    assert [told[name] for name in ("value", "lo", "hi")] == pytest.approx([date] * 3, abs=1e-8)
    assert told["never"] == 0 and told["already"] == 0


def test_the_worth_of_repeats_is_a_range_unless_it_is_held():
    given = {name: value for name, value in SURE.items() if name != "repetition"}
    found = walls(sure(size=400), scenario(given, compute=1e22, today=START))
    # 12 to 37 is log-normal about 21.07; the ends of 400 draws of a hypercube are off by a draw
    expected = [1e14 * (1 + R) for R in (np.sqrt(12 * 37), 12, 37)]
    assert list(found["data"]["worth"].values()) == pytest.approx(expected, rel=0.01)
    assert found["data"]["loss"]["lo"] < found["data"]["loss"]["value"] < found["data"]["loss"]["hi"]
    assert "after 12 to 37 (median 21.1)" in words.scenario(found)
    held = walls(sure(), assumed())
    assert held["data"]["worth"]["lo"] == held["data"]["worth"]["hi"]


def test_repetition_is_exhausted_where_its_first_order_condition_says():
    found = walls(sure(), assumed())["data"]["at"]["repetition_exhausted"]
    # alpha A N^-alpha = beta B D'^-beta (D dD'/dD / D') at D = U (1 + R): dD'/dD = 1/e, D' = U (1 + R (1 - 1/e))
    R, U = 15.387756, 1e14
    D, fresh = U * (1 + R), U * (1 + R * (1 - np.exp(-1)))
    steep = 0.28 * 410 * fresh**-0.28 * D * np.exp(-1) / fresh
    N = (steep / (0.34 * 400)) ** (-1 / 0.34)
    assert found["value"] == pytest.approx(6 * N * D, rel=1e-5)  # of golden sections at a flat minimum


@pytest.mark.parametrize(
    ("holds", "found"),
    [
        (lambda C: C > 3e18, 3e18),  # at the runs already, and begins between the smallest and the largest
        (lambda C: C > 3e25, 3e25),
        (lambda C: C > 3e10, 1e15),  # at the smallest run already
        (lambda C: C < 0, np.inf),
        (lambda C: (C < 1e16) | (C > 3e18), 3e18),  # held far below the runs too, and ceased
        (lambda C: (C > 3e25) & (C < 1e40), 3e25),  # ceases far beyond them
    ],
)
def test_what_begins_nearest_to_the_runs_is_found(holds, found):
    around = tuple(np.full(2, C) for C in (1e15, 1e20, 1e50))
    assert crossing(around, holds) == pytest.approx([found] * 2, rel=1e-9)  # halved to 1e-11 decades


def test_text_that_is_short_today_is_sought_from_today():
    C = np.array([1e20, 1e22])
    assert crossing((C, C, 1e30 * C), lambda at: at >= 5e21) == pytest.approx([5e21, 1e22], rel=1e-9)


@pytest.mark.parametrize("law", LAWS_OF_BOTH, ids=lambda law: type(law).__name__)
def test_no_end_of_a_compute_lies_below_the_smallest_run(law):
    # the loss of `Shifted` is finite at N = 0: its best split of little compute is the end of the search, all tokens
    found = walls(sure(law, 1, largest=1e19), assumed(stock=1e9, compute=1e19, growth=None), smallest=1e15)
    for at in found["data"]["at"].values():
        assert all(at[name] >= 1e15 for name in ("value", "lo", "hi"))
    plain = Stocked(draws_of(law, 1), Cost(), np.array([1e9]), np.array([15.387756]))
    C = found["data"]["at"]["stock_passed"]["value"]
    below, above = plain.asked_for(np.array([[0.99 * C, 1.01 * C]]))[0]
    assert above > 1e9
    assert below <= 1e9 or pytest.approx(1e15) == C  # the smallest run asks for more: no less is looked at


def test_a_stock_that_the_smallest_run_passes_is_told_as_that():
    found = walls(sure(), assumed(stock=1e5), smallest=1e19)
    at = found["data"]["at"]["stock_passed"]
    assert [at[name] for name in ("value", "lo", "hi")] == [1e19] * 3
    told = " ".join(words.of_resources(found | {"caution": "", "floor": None}))
    assert "more than the stock from C = the smallest run or less on" in told


def test_a_split_at_the_end_of_its_search_asks_for_no_tokens():
    law = draws_of(Shifted(1.7, 400.0, 1e9, 0.34, 410.0, 1e3, 0.28), 1)
    limited = Stocked(law, Cost(), np.array([1e9]), np.array([15.0]))
    C = np.array([[1e12, 1e22]])
    assert limited.fresh(C)[0, 0] > 1e9  # models of next to no parameters
    assert limited.asked_for(C)[0] == pytest.approx([0.0, limited.fresh(C)[0, 1]])


def test_growth_ends_at_the_budget_on_the_date_of_its_logarithm():
    found = walls(sure(), assumed(budget=1e27))
    date = START + np.log(1e4) / np.log(4)
    assert found["dates"]["growth_ends"]["value"] == pytest.approx(date)
    assert found["compute"]["C"]["value"] == pytest.approx(1e27)
    assert found["compute"]["loss"]["value"] == pytest.approx(float(AT_BEST.L_opt(1e27)), rel=1e-12)
    assert found["compute"]["extrapolation"] == pytest.approx(1e5)
    assert found["compute"]["by"] == "the end of growth"


def test_a_budget_below_the_compute_of_the_start_ends_growth_there():
    found = walls(sure(size=200), assumed(budget=[1e10, 1e30], growth=None))
    assert found["compute"]["C"]["lo"] == 1e23
    grown = walls(sure(size=200), assumed(budget=[1e10, 1e30]))["dates"]["growth_ends"]
    # log-normal about 1e20 with 10 decades at 1.645 standard deviations: 1e23 is 0.49 of one
    assert grown["already"] == pytest.approx(0.689, abs=0.005)


@pytest.mark.parametrize(
    "changes",
    [
        {"growth": [2, 10], "recipe": [1, 40], "horizon": 2040, "stock": 1e11},
        {"growth": 10, "horizon": 2060, "stock": 1e-3},
        {"compute": 1e-200, "stock": 1e300},
        {"growth": 1 + 1e-12},
        {"budget": 1e59, "growth": None, "stock": 1e11, "recipe": 1.001},
    ],
)
@pytest.mark.parametrize(
    "law",
    [unsure(5).replicates, pytest.param(draws_of(LAWS_OF_BOTH[2], 5), marks=pytest.mark.slow)],
    ids=["Hoffmann", "Shifted"],
)
def test_a_scenario_at_the_edge_of_what_may_be_asked_is_told_without_an_infinity(changes, law):
    found = walls(replace(sure(size=5), replicates=law), assumed(**changes))
    json.dumps(found, allow_nan=False)
    said = [*words.of_resources(found | {"caution": "", "floor": None}), *date_words.of_dates(found)]
    assert not any("nan" in line.split() or "None" in line for line in said)


def test_without_uncertainty_the_calendar_is_the_closed_form():
    found = walls(sure(), assumed(stock=1e30))
    for entry in found["calendar"]:
        C = 1e23 * 4 ** (entry["date"] - START)
        assert entry["C"]["value"] == pytest.approx(C)
        expected = [float(AT_BEST.L_opt(C))] * 3
        assert [entry["loss"][name] for name in ("value", "lo", "hi")] == pytest.approx(expected, rel=1e-12)
        gain = float(AT_BEST.L_opt(C) - AT_BEST.L_opt(10 * C))
        assert entry["gains"]["compute"]["value"] == pytest.approx(gain, rel=1e-9)
        assert entry["gains"]["recipe"]["value"] == pytest.approx(gain, rel=1e-9)
        assert entry["gains"]["data"]["value"] == 0


def test_a_recipe_worth_ten_times_the_compute_gains_what_ten_times_the_compute_does():
    found = walls(sure(), assumed(stock=1e30, budget=1e27))["recipe"]
    for told in found["gains"]:
        for name, C in (("start", 1e23), ("wall", 1e27)):
            gain = float(AT_BEST.L_opt(C) - AT_BEST.L_opt(told["factor"] * C))
            assert told[name]["value"] == pytest.approx(gain, rel=1e-9)
    assert found["stock_worth"]["value"] == 1  # text that is not short is worth no compute


@pytest.mark.parametrize(
    ("worth", "told"),
    [
        (
            (None, None, None, 1.0),
            "no compute makes up for it at the compute wall, in over 99.5\N{NO-BREAK SPACE}% of",
        ),
        (
            (None, 1.3, None, 0.97),
            "no compute makes up for it at the compute wall, in 97\N{NO-BREAK SPACE}% of the",
        ),
        ((None, 1.3, None, 0.97), "1.3× the compute does"),
        (
            (12.0, 1.3, None, 0.2),
            "12× the compute at the compute wall (at least 1.3×; no compute makes up for it, in 20",
        ),
        ((12.0, 1.3, 40.0, 0.0), "is worth 12× the compute at the compute wall (1.3× to 40×)."),
        ((1.0, 1.0, 1.0, 0.0), "is worth 1× the compute at the compute wall."),
    ],
)
def test_text_that_no_compute_makes_up_for_is_said_to_be_that(worth, told):
    found = walls(sure(), assumed())
    recipe = found["recipe"] | {"stock_worth": dict(zip(("value", "lo", "hi", "never"), worth, strict=True))}
    said = words.of_resources(found | {"recipe": recipe, "caution": "", "floor": None})
    assert any(told in line for line in said)
    assert not any("never" in line for line in said)


def test_the_share_of_draws_in_which_no_compute_makes_up_for_text_is_counted():
    # a stock that is short by decades in some draws and plenty in others
    given = assumed(stock=[1e10, 1e14], budget=1e26, growth=None)
    found = walls(sure(size=200), given)["recipe"]["stock_worth"]
    drawn = sample(given, 200, 0)
    limited = Stocked(draws_of(TRUTH, 200), Cost(), drawn.stock, drawn.repetition)
    beyond = limited.times(10).split(np.full((200, 1), 1e26))[1][:, 0] < limited.wall
    assert found["lo"] == 1 and 0.1 < beyond.mean() < 0.9
    assert found["never"] == pytest.approx(
        beyond.mean(), abs=0.0051
    )  # a draw that 1e30 times the compute leaves short
    assert walls(sure(), assumed(stock=1e30))["recipe"]["stock_worth"]["never"] == 0


def test_recipes_that_better_by_the_year_are_compute_that_grows_faster():
    # growth of 2 with recipes of 2 a year is growth of 4, where text is plenty
    plain = walls(sure(), assumed(stock=1e30))["calendar"]
    bettered = walls(sure(), assumed(stock=1e30, growth=2, recipe=2))["calendar"]
    assert [e["loss"]["value"] for e in bettered] == pytest.approx(
        [e["loss"]["value"] for e in plain], rel=1e-9
    )


def test_a_recipe_that_makes_tokens_go_further_puts_off_the_end_of_the_stock():
    dates = [
        walls(sure(), assumed(recipe=3, recipe_on_data=share))["dates"]["stock_passed"]["value"]
        for share in (0.0, 0.3)
    ]
    # D_opt(C r^t) = U r^(s t): t (b log 4 + b log 3 - s log 3) = b log(C_U / C)
    b, log = float(AT_BEST.D_exponent), np.log(passing(1e14) / 1e23)
    closed = [START + b * log / (b * np.log(12) - share * np.log(3)) for share in (0.0, 0.3)]
    assert dates == pytest.approx(closed, abs=1e-8)


@pytest.mark.parametrize(
    ("recipe", "share", "told"),
    [
        (1, 0.5, "recipes of today,"),
        (
            3,
            0,
            "recipes better by 3 times the compute a year (all of it saves compute and none of it tokens)",
        ),
        (3, 0.3, "tokens go further by 30\N{NO-BREAK SPACE}% of that"),
        ([2, 4], [0, 1], "tokens go further by 0\N{NO-BREAK SPACE}% to 100\N{NO-BREAK SPACE}% of that"),
    ],
)
def test_what_recipes_do_for_tokens_is_told_wherever_they_better(recipe, share, told):
    said = words.scenario(walls(sure(), assumed(recipe=recipe, recipe_on_data=share)))
    assert told in said and ("tokens go further" in said) == (recipe != 1 and share != 0)


def test_compute_is_worth_most_until_text_is():
    found = walls(sure(), assumed(horizon=2060, stock=1e12))
    first = found["dates"]["data_worth_most"]["value"]
    for entry in found["calendar"]:
        most = max(entry["binding"], key=entry["binding"].get)
        assert sum(entry["binding"].values()) == pytest.approx(1)
        if most != "none":
            assert most == ("compute" if entry["date"] < first else "data")
        gains = {name: entry["gains"][name]["value"] for name in ("compute", "data")}
        assert (gains["data"] > gains["compute"]) == (entry["date"] > first)
    assert found["calendar"][0]["binding"]["compute"] == 1
    assert found["dates"]["stock_passed"]["value"] < first
    assert "from" in date_words.worth_most(found)


def test_text_is_worth_more_from_the_date_on_at_which_it_binds_and_never_where_it_is_worth_nothing():
    # so little is owed to data that ten times the text never lowers the loss by a thousandth
    law = replace(TRUTH, B=0.5)
    made, given = sure(law, largest=1e20), assumed(stock=1e9, compute=1e20, horizon=2080)
    found = walls(made, given)
    assert found["dates"]["data_worth_most"]["never"] == 1 and found["first"]["data"] == 0
    assert all(entry["binding"]["data"] == 0 for entry in found["calendar"])
    assert (
        found["calendar"][-1]["gains"]["data"]["value"] > found["calendar"][-1]["gains"]["compute"]["value"]
    )
    dates = np.linspace(START, 2080, 2001)
    for law in (replace(TRUTH, B=B) for B in (5.0, 20.0, 410.0)):
        line = when(sure(law, largest=1e20), given, dates, 1e20 * 4 ** (dates - START))
        first, binds = line.events["data_worth_most"][0], line.binding["data"] > 0.5
        # the event is found between two dates, the binding at them
        assert dates[binds][0] == pytest.approx(first, abs=dates[1] - dates[0])


def test_which_wall_comes_first_is_told_by_shares_of_draws():
    told = walls(sure(size=200), assumed(horizon=2080, stock=1e12, until=[2026.5, 2036.5]))
    text = walls(sure(), assumed(horizon=2080, stock=1e12))["dates"]["data_worth_most"]["value"]
    first = told["first"]
    # growth that ends before text is worth most keeps it from ever being: its end is uniform over ten years; dates
    # are 1.35 years apart, and the line between two misses by less than half of that where growth ends between them
    assert first["compute"] == pytest.approx((text - 2026.5) / 10, abs=0.065)
    assert first["compute"] + first["data"] == pytest.approx(1) and first["neither"] == 0
    assert first["date"]["hi"] == pytest.approx(text, abs=0.65)
    assert f"{words.chance(first['data'])}, and neither" in date_words.first(told)


def test_a_wall_that_never_comes_is_told_as_never():
    told = walls(sure(), assumed(stock=1e30))["dates"]["stock_passed"]
    assert told == {"value": None, "lo": None, "hi": None, "never": 1.0, "already": 0.0}
    assert walls(sure(), assumed(stock=1e10))["dates"]["stock_passed"]["already"] == 1


def test_the_monte_carlo_is_the_same_for_the_same_seed_and_holds_no_infinity():
    ranged = assumed(stock=[1e13, 1e15], growth=[3, 5], budget=[1e26, 1e29], recipe=[1.5, 3])
    one, same, other = (walls(unsure(100), ranged, seed=seed) for seed in (0, 0, 1))
    text = json.dumps(one, allow_nan=False)
    assert text == json.dumps(same) and text != json.dumps(other)
    assert set(one) == set(
        walls(sure(), assumed(growth=None, stock=None))
    )  # keys are the same in every scenario


def test_a_range_of_growth_is_a_range_of_dates():
    found = walls(sure(size=400), assumed(growth=[2, 8]))["dates"]["stock_passed"]
    log = np.log(passing(1e14) / 1e23)
    # from the fastest to the slowest; next to its 5 % end a draw in 400 is 1.5 % of the logarithm of growth, 0.18 years
    expected = [START + log / np.log(g) for g in (4, 8, 2)]
    assert [found[name] for name in ("value", "lo", "hi")] == pytest.approx(expected, abs=0.2)


def test_uncertain_laws_make_the_date_uncertain():
    told = walls(unsure(), assumed())["dates"]["stock_passed"]
    assert told["lo"] < told["value"] < (told["hi"] or HORIZON)


def test_when_takes_compute_from_elsewhere():
    dates = np.linspace(START, HORIZON, 11)
    paths = np.array([[1e23], [1e24]]) * 4.0 ** (dates - START)
    line = when(sure(size=10), assumed(), dates, paths, seed=3)
    assert line.compute.shape == (10, 11) and line.weights.sum() == pytest.approx(1)
    assert sorted(line.compute[:, 0]) == pytest.approx([1e23] * 5 + [1e24] * 5)  # each path as often
    expected = np.unique(START + np.log(passing(1e14) / line.compute[:, 0]) / np.log(4))
    assert np.unique(line.events["stock_passed"].round(6)) == pytest.approx(
        np.unique(expected.round(6)), abs=1e-6
    )
    again = when(sure(size=10), assumed(), dates, paths, seed=3)
    assert (again.loss == line.loss).all()


def test_admissible_laws_count_by_their_weights():
    class Boot:
        """What of a bootstrap is used here."""

        def __init__(self, law):
            self.law = law

    pair = (TRUTH, replace(TRUTH, B=820.0))
    candidates = tuple(
        Candidate(f"law {rank}", 1.0, None, Boot(draws_of(law, 5)), {}, error=0.0, weight=weight)
        for rank, (law, weight) in enumerate(zip(pair, (0.8, 0.2), strict=True))
    )
    combined = Combination(candidates, 0.9, 0, 2.0, 2.1, ("law 0", "law 1"))
    made = replace(sure(), combined=combined)
    between = START + np.log(np.sqrt(passing(1e14) * passing(1e14, pair[1])) / 1e23) / np.log(4)
    drawn = sample(assumed(), 5, 0)
    dates = np.linspace(START, HORIZON, 41)
    line = follow(made, drawn, dates, drawn.compute_at(dates))
    # more is owed to data by the second law, so its best split asks for more and passes the stock earlier
    assert line.weights @ (line.events["stock_passed"] < between) == pytest.approx(0.2)


def test_a_law_of_compute_alone_has_a_compute_wall_and_says_why_no_other():
    law = Power(1.7, 1000.0, 0.15)
    made = sure(law, cost=None)
    found = walls(made, assumed(budget=1e26))
    assert found["data"] is None and "law in N and D" in found["data_missing"]
    assert found["compute"]["loss"]["value"] == pytest.approx(float(law(x=1e26)))
    assert set(found["calendar"][0]["gains"]) == {"compute", "recipe"}
    assert set(found["dates"]) == {"growth_ends"}
    assert any(
        "law in N and D" in sentence
        for sentence in words.of_resources(found | {"caution": "", "floor": None})
    )


def test_only_a_law_that_knows_of_text_speaks_of_endless_text():
    both = [(sure(), True), (sure(Power(1.7, 1000.0, 0.15), cost=None), False)]
    for made, endless in both:
        said = words.of_resources(walls(made, assumed(budget=1e26)) | {"caution": "", "floor": None})[0]
        assert ("endless text" in said) == endless and ("law of compute alone" in said) != endless


def test_what_the_scenario_holds_fixed_is_said_to_be_so_in_place_of_an_interval():
    found = walls(unsure(100), assumed(budget=1e29, horizon=2060)) | {"caution": "", "floor": None}
    said = [*words.of_resources(found), *date_words.of_dates(found)]
    assert "C = 10²⁹ (fixed by the scenario)" in said[0]
    assert any(line.startswith("Growth of compute ends: Dec 2035 (fixed by the scenario)") for line in said)
    assert any(
        "1,640T fresh tokens" in line or "fixed by the scenario) fresh tokens" in line for line in said
    )
    cells = str(outlook_report.walls({"walls": found}))
    assert "10²⁹ (10²⁹ to 10²⁹)" not in cells and "Dec 2035 to Dec 2035" not in cells
    ranged = walls(unsure(100), assumed(budget=[1e28, 1e30], horizon=2060)) | {"caution": "", "floor": None}
    assert "fixed" not in words.of_resources(ranged)[0]


@pytest.mark.parametrize(
    ("lo", "hi", "told"),
    [
        (2030.0, 2031.5, "Jan 2030 to Jul 2031"),
        (2030.01, 2030.04, "all of the interval in that month"),
        (2030.0, 2030.0, "fixed by the scenario"),
        (START, START, "the start"),
        (2030.0, None, "Jan 2030 to after the horizon"),
        (None, None, "all of the interval"),
    ],
)
def test_the_interval_of_a_date_is_told_in_words(lo, hi, told):
    assert date_words.date_ends({"lo": lo, "hi": hi}, START) == told


def test_a_fit_that_follows_another_column_is_refused():
    made = replace(sure(Power(1.7, 1000.0, 0.15), cost=None), track=Track("D"))
    with pytest.raises(InputError, match="follows D and not compute"):
        walls(made, assumed())


def test_without_a_stock_or_growth_it_says_what_is_missing():
    found = walls(sure(), assumed(stock=None, growth=None))
    assert found["data"] is None and "--stock" in found["data_missing"]
    assert found["dates"] == {} and found["calendar"] == [] and found["dates_missing"]
    assert found["compute"]["C"]["value"] == 1e23 and "does not grow" in found["compute"]["by"]
    assert "No dates are told" in date_words.of_dates(found)[0]


def test_repeats_are_told_by_their_worth_and_not_at_all_where_text_is_not_repeated():
    said = {"caution": "", "floor": None}
    for repetition, told in ((15.387756, True), (0, False)):
        found = walls(sure(), assumed(repetition=repetition)) | said
        lines = [*words.of_resources(found), *date_words.of_dates(found)]
        assert any("one more repeat is worth 1/e" in line for line in lines) == told
        assert any("text that is repeated is worth nothing" in line for line in lines) != told
        assert ("repetition_exhausted" in date_words.dates(found)) == told
        shown = "".join(map(str, outlook_report.walls({"walls": found})))
        assert ("one more repeat is worth 1/e" in shown) == told


def test_a_stock_smaller_than_what_was_used_is_told():
    found = walls(sure(), assumed(stock=1e10)) | {"tokens_used": 1e12, "caution": "", "floor": None}
    told = " ".join(words.of_resources(found) + date_words.of_dates(found))
    assert "trained on 1T tokens already" in told and "so at the start already" in told


def test_laws_without_a_term_give_losses_all_the_same():
    law = Hoffmann(
        np.full(2, 1.7), np.array([400.0, 0.0]), np.full(2, 0.34), np.array([0.0, 410.0]), np.full(2, 0.28)
    )
    limited = Stocked(law, Cost(), np.full(2, 1e12), np.full(2, 4.0))
    tokens, loss = limited.split(np.full((2, 1), 1e24))
    assert loss[0, 0] == pytest.approx(1.7)  # nothing is owed to data: all compute into N
    assert loss[1, 0] == pytest.approx(1.7 + 410 / 5e12**0.28, rel=1e-6)  # all of it into repeats
    assert np.isfinite(tokens).all()


@pytest.mark.parametrize(
    ("signal", "date"),
    [
        ([-1, 1, 3], 0.5),
        ([1, -1, 1], 0.0),
        ([-1, -1, -1], np.inf),
        ([-np.inf, 2, 3], 1.0),
        ([-3, -1, 1], 1.5),
    ],
)
def test_the_first_time_above_zero_lies_on_the_line_between_dates(signal, date):
    assert first_time(np.array([0.0, 1.0, 2.0]), np.array([signal], dtype=float)) == [date]
