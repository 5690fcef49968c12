"""A scenario says what is assumed in numbers that can be, or is refused in a sentence; its draws are what it says."""

import calendar
import datetime
import json

import numpy as np
import pytest

from analysis.errors import InputError
from analysis.walls import calendar_date
from analysis.walls.asked import Asked
from analysis.walls.sample import sample
from analysis.walls.scenario import REPEATS, Scenario, read, scenario

NOW = 2026.0
WHOLE = {"stock": 3e14, "growth": 4, "budget": 1e28, "start": 2026, "horizon": 2040}


def made(**changes):
    return scenario(WHOLE | changes, compute=1e24, today=NOW)


def test_a_number_is_certain_and_two_are_a_range():
    found = made(growth=[3, 5])
    assert found.stock == (3e14,) and found.growth == (3.0, 5.0)
    assert found.compute == (1e24,) and found.repetition == REPEATS
    assert found.as_dict()["growth"] == [3.0, 5.0] and found.as_dict()["stock"] == 3e14
    assert scenario({}, compute=1e24, today=NOW) == Scenario(compute=(1e24,), start=NOW, horizon=NOW + 20)


@pytest.mark.parametrize(
    ("given", "year"),
    [
        (2026.5, 2026.5),
        ("2026.5", 2026.5),
        ("2026-01-01", 2026.0),
        ("2026-07", 2026 + 181 / 365),
        (2031, 2031.0),
    ],
)
def test_a_date_is_a_year_or_a_day(given, year):
    assert calendar_date.parse("start", given) == pytest.approx(year, abs=1e-12)


@pytest.mark.parametrize("year", [2027, 2028])
@pytest.mark.parametrize("month", range(1, 13))
def test_the_first_and_the_last_day_of_every_month_are_told_by_that_month(year, month):
    for day in (1, calendar.monthrange(year, month)[1]):
        date = calendar_date.year_of(datetime.date(year, month, day))
        assert calendar_date.month(date) == f"{calendar.month_abbr[month]} {year}"


def test_a_date_that_is_all_but_the_next_year_is_told_as_that():
    assert calendar_date.month(2028 - 1e-9) == "Jan 2028"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stok": 1e14}, "no 'stok'"),
        ({"stock": -1e14}, "stock is -1e.14.*above 0"),
        ({"stock": 0}, "above 0"),
        ({"stock": "much"}, "which is no number"),
        ({"stock": True}, "which is no number"),
        ({"stock": [1e13, 1e14, 1e15]}, "has 3 numbers"),
        ({"stock": [1e14, 1e13]}, "lower end first"),
        ({"stock": float("nan")}, "stock is nan"),
        ({"repetition": -1}, "0 or more"),
        ({"repetition": [0, 3]}, "begins above 0"),
        ({"growth": 1}, "multiple above 1"),
        ({"growth": 0.5}, "multiple above 1"),
        ({"recipe": 0.9}, "1 or more"),
        ({"recipe_on_data": 1.5}, "share from 0 to 1"),
        ({"budget": 1e23}, "larger budget"),
        ({"until": 2025}, "not after the start"),
        ({"until": [2035, 2030]}, "earlier date first"),
        ({"horizon": 2020}, "not after the start"),
        ({"horizon": "soon"}, "is no date"),
        ({"start": 3000}, "is no date"),
        ({"start": {"year": 2026}}, "is no date"),
        ({"growth": None, "until": 2030}, "give it too"),
        ({"growth": 1e20, "budget": None, "horizon": 2060}, "10\\^704 FLOPs.*nearer --horizon"),
        ({"compute": 1e300, "budget": None}, "10\\^308 FLOPs.*smaller compute"),
        ({"recipe": 1e30}, "10\\^448 FLOPs.*smaller compute, budget, growth or recipe"),
        ({"growth": None, "budget": 1e61}, "10\\^61 FLOPs"),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(changes, words):
    with pytest.raises(InputError, match=words):
        made(**changes)


def test_a_horizon_that_nobody_gave_ends_where_dates_do():
    assert scenario({"start": 2490}, compute=1e24, today=NOW).horizon == calendar_date.LAST
    with pytest.raises(InputError, match=r"start is 2500.*earlier --start") as refused:
        scenario({"start": 2500}, compute=1e24, today=NOW)
    assert "horizon" not in str(refused.value)


def test_a_horizon_in_the_past_is_refused():
    with pytest.raises(InputError, match="not after the start"):
        scenario({"horizon": 2024}, compute=1e24, today=NOW)


@pytest.mark.parametrize(("text", "words"), [("{", "is not JSON"), ("[1]", "is no JSON object")])
def test_a_file_that_is_no_scenario_is_refused(tmp_path, text, words):
    path = tmp_path / "scenario.json"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read(path)
    with pytest.raises(InputError, match="cannot read the scenario"):
        read(tmp_path / "none.json")


def test_options_go_before_the_file(tmp_path):
    path = tmp_path / "scenario.json"
    path.write_text(json.dumps(WHOLE))
    found = Asked(scenario=path, growth=(2.0, 3.0), horizon="2035-01-01").made(1e24)
    assert found.growth == (2.0, 3.0) and found.stock == (3e14,) and found.horizon == 2035.0
    assert Asked(below=(2.0,)).made(1e24) is None


def test_a_scenario_starts_today_unless_it_says_when():
    assert Asked(growth=(4.0,)).made(1e24, today=datetime.date(2027, 1, 1)).start == 2027.0


def test_options_are_told_as_a_command_line_has_them():
    asked = Asked(below=(2.0,), stock=(1e13, 5e13), recipe_on_data=(0.5,), start="2026-01-01")
    assert asked.words() == "--below 2 --stock 1e+13 5e+13 --recipe-on-data 0.5 --start 2026-01-01"


def test_a_scenario_is_refused_before_the_fit_where_the_law_does_not_follow_compute():
    with pytest.raises(InputError, match="does not follow compute"):
        Asked(growth=(4.0,)).check("power", "N")
    Asked(growth=(4.0,)).check("power", "C")
    Asked().check("power", "N")


def test_draws_have_the_ends_of_the_range_as_their_90_per_cent_interval():
    drawn = sample(made(stock=[1e13, 1e14], recipe_on_data=[0, 1], until=[2030, 2032]), 1000, seed=0)
    # a hypercube of 1000 puts one draw in each thousandth, so quantiles are a thousandth off at most
    assert np.log10(np.quantile(drawn.stock, [0.05, 0.5, 0.95])) == pytest.approx([13, 13.5, 14], abs=0.005)
    assert np.quantile(drawn.recipe_on_data, [0.0, 0.5, 1.0]) == pytest.approx([0, 0.5, 1], abs=0.002)
    assert np.quantile(drawn.until, [0.0, 1.0]) == pytest.approx([2030, 2032], abs=0.004)
    assert (drawn.growth == 4).all() and (drawn.compute == 1e24).all()
    assert abs(np.corrcoef(np.log(drawn.stock), drawn.until)[0, 1]) < 0.1  # 3 standard errors


@pytest.mark.parametrize(
    ("changes", "name", "least"),
    [
        ({"growth": [1.05, 2]}, "growth", 1.0),
        ({"recipe": [1, 3]}, "recipe", 1.0),
        ({"budget": [1e10, 1e30]}, "budget", 1e24),
    ],
)
def test_no_draw_lies_below_what_can_be_and_the_interval_is_what_was_said(changes, name, least):
    drawn = sample(made(**changes), 1000, seed=0)
    values = getattr(drawn, name)
    assert values.min() == least
    lo, hi = changes[name]
    # a hypercube of 1000 is a thousandth of the probability off, at most 0.05 of a logarithm at these widths
    ends = np.log(np.quantile(values, [0.05, 0.95]))
    assert ends == pytest.approx(np.log([max(lo, least), hi]), abs=0.3 if name == "budget" else 0.01)
    assert (np.diff(drawn.compute_at(np.linspace(2026, 2040, 5))) >= 0).all()
    assert (np.diff(drawn.recipe_at(np.linspace(2026, 2040, 5))) >= 0).all()


def test_the_same_seed_gives_the_same_draws():
    ranged = made(stock=[1e13, 1e14])
    one, same, other = (sample(ranged, 50, seed).stock for seed in (0, 0, 1))
    assert (one == same).all() and (one != other).any()


def test_compute_grows_until_the_first_of_its_end_and_its_budget():
    dates = np.array([2026.0, 2028.0, 2030.0, 2039.0])
    spent = sample(made(), 3, 0)  # 4^t = 1e4 at t = 6.64
    assert spent.ends == pytest.approx([2026 + np.log(1e4) / np.log(4)] * 3)
    assert spent.compute_at(dates)[0] == pytest.approx([1e24, 16e24, 256e24, 1e28])
    ended = sample(made(until=2028), 3, 0)
    assert ended.compute_at(dates)[0] == pytest.approx([1e24, 16e24, 16e24, 16e24])
    assert np.isinf(sample(made(budget=None), 3, 0).ends).all()
    assert (sample(made(recipe=2), 3, 0).recipe_at(dates)[0] == [1, 4, 16, 2.0**13]).all()
