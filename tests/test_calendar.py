"""The calendar turned into loss: the law followed along the trend, the scenario's walls, and what is refused."""

import dataclasses
import json
import re

import numpy as np
import pandas as pd
import pytest
from known import TRUTH, wide

from analysis.__main__ import main
from analysis.errors import InputError
from analysis.frontier import Cost, Frontier
from analysis.trends import calendar, calendar_words, dates
from analysis.trends.models import Series, Window
from analysis.trends.trend import Sampling
from analysis.trends.versions import all_models


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted")
    wide(noise=0.002).to_csv(folder / "table.csv", index=False)
    options = [
        "--replicates",
        "40",
        "--admit",
        "hoffmann",
        "--coverage",
        "0",
        "--out",
        str(folder / "fit.json"),
    ]
    assert main(["fit", str(folder / "table.csv"), *options]) == 0
    return folder / "fit.json"


def trend(spread=0.0, count=40):
    """Compute of models from 10^18 FLOPs in 2018, 0.6 decades a year, of eight organisations."""
    years = np.linspace(2018, 2024.9, count)
    logs = 18 + 0.6 * (years - 2018) + spread * np.sin(17.0 * np.arange(count))
    groups = np.arange(count) % 8
    names = tuple(map(str, range(count)))
    made = Series("compute", names, tuple(map(str, groups)), years, logs, groups.astype(np.intp))
    return all_models(made, Window(), "OLS", Sampling(100))


@pytest.fixture(scope="module")
def law(fitted):
    return calendar.law(fitted)


def test_the_loss_of_a_year_is_that_of_the_laws_frontier_at_the_trends_compute(law):
    made = calendar.calendar(law, trend(), 2027.0)
    truth = Frontier(TRUTH, Cost()).L_opt(10 ** (18 + 0.6 * (made.years - 2018)))
    # The runs have 0.2 % of noise; the curve they give is good to less within and a little beyond them.
    near = made.reach < 10
    assert near.any() and np.allclose(made.loss[0][near], truth[near], rtol=0.01)
    assert (made.loss[1] <= made.loss[0]).all() and (made.loss[0] <= made.loss[2]).all()
    assert np.all(np.diff(made.loss[0]) < 0)
    assert made.years[-1] == 2027.0 and 2020.0 in made.years and made.beyond.sum() == 3


def test_an_unsure_trend_widens_the_loss(law):
    sure, unsure = (calendar.calendar(law, trend(spread), 2030.0) for spread in (0.0, 1.5))
    assert np.ptp(unsure.loss[1:, -1]) > np.ptp(sure.loss[1:, -1])
    assert np.ptp(np.log10(unsure.compute[1:, -1])) > 0.5 > np.ptp(np.log10(sure.compute[1:, -1]))


def test_the_reach_is_told_beside_each_year(law):
    made = calendar.calendar(law, trend(), 2027.0)
    assert np.allclose(made.reach, made.compute[0] / made.law.forecast.largest)
    assert "an extrapolation of" in calendar_words.words(made) and law.name == "hoffmann"


def test_a_small_stock_binds_before_a_large_one_and_the_loss_is_higher(law):
    from analysis.walls.scenario import scenario

    def under(stock):
        given = scenario({"stock": stock, "start": 2025.0, "horizon": 2040.0}, compute=1e22, today=2025.0)
        return calendar.walled(law, trend(), 2034.0, given, seed=0)

    small, large = under(1e10), under(1e12)
    first = {one.name: one for one in small.walls}["stock_passed"]
    later = {one.name: one for one in large.walls}["stock_passed"]
    assert first.value < later.value and first.probability >= later.probability
    assert small.loss[0, -1] > large.loss[0, -1]
    assert np.allclose(sum(small.binding.values()), 1.0)
    assert any("more tokens than the stock holds" in line for line in calendar_words.wall_words(small))


def test_the_verb_joins_a_fit_and_a_stock(fitted, tmp_path, capsys):
    table = tmp_path / "models.csv"
    source = trend(0.3).series
    pd.DataFrame(
        {
            "model": source.models,
            "organization": source.organizations,
            "date": [dates.date(year).isoformat() for year in source.years],
            "compute": 10.0**source.logs,
        }
    ).to_csv(table, index=False)
    before = {path.name: path.read_bytes() for path in fitted.parent.iterdir()}
    options = ["--fit", str(fitted), "--stock", "1e10", "--follow", "all", "--replicates", "60", "--horizon"]
    assert main(["trends", str(table), *options, "2028-01-01", "--out", str(tmp_path / "out")]) == 0
    assert "Loss by year" in capsys.readouterr().out
    content = json.loads((tmp_path / "out" / "trends.json").read_text())["calendar"]
    assert content["years"][-1]["date"] == "2028-01-01" and content["scenario"]["stock"] == 1e10
    assert set(content["walls"]) == {"stock_passed", "repetition_exhausted", "data_worth_most"}
    assert "loss_by_year" in (tmp_path / "out" / "report" / "report.md").read_text()
    assert before == {
        path.name: path.read_bytes() for path in fitted.parent.iterdir()
    }  # nothing is written there


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--stock", "1e10"], "name one with --fit"),
        (["--fit", "{table}"], "is neither a study folder nor a fit.json"),
    ],
)
def test_a_scenario_without_a_fit_and_a_fit_that_is_none_are_refused(tmp_path, capsys, options, words):
    table = tmp_path / "models.csv"
    source = trend(0.3).series
    day = [dates.date(year).isoformat() for year in source.years]
    pd.DataFrame({"date": day, "compute": 10.0**source.logs}).to_csv(table, index=False)
    options = [option.format(table=table) for option in options]
    out = ["--replicates", "50", "--follow", "all", "--out", str(tmp_path / "out")]
    assert main(["trends", str(table), *out, *options]) == 2
    assert words in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_fit_whose_table_changed_is_refused(fitted, tmp_path):
    (tmp_path / "fit.json").write_bytes(fitted.read_bytes())
    wide(noise=0.01).to_csv(tmp_path / "table.csv", index=False)
    with pytest.raises(InputError, match=r"another version of table\.csv"):
        calendar.law(tmp_path / "fit.json")
    with pytest.raises(InputError, match="no fit at"):
        calendar.law(tmp_path / "elsewhere")


def test_the_verdict_on_the_floor_comes_first_then_losses_with_their_reach(law):
    told = calendar_words.lead(calendar.calendar(law, trend(), 2027.0))
    assert told[0].startswith("The runs of ") and "floor" in told[0]
    assert re.search(r"on 2025-01-01 \(.* times the largest run\) and .* on 2027-01-01 \(", told[1])
    assert "and no forecast" not in told[1]
    far = calendar.calendar(law, trend(), 2045.0)
    assert far.reach[-1] > 1e6 and "more than a million times the largest run" in calendar_words.lead(far)[1]


def test_what_is_assumed_is_said_in_words(law):
    from analysis.walls.scenario import scenario

    asked = {"stock": [1e13, 1e14], "repetition": 15.387756, "start": 2025.0, "horizon": 2040.0}
    given = scenario(asked, compute=1e22, today=2025.0)
    said = calendar_words.assumed(given)
    assert "a stock of 10T to 100T unique tokens (90 %)" in said and "after 15.4 repeats" in said
    assert "recipes that stay as they are" in said
    better = dataclasses.replace(given, stock=None, recipe=(2.8,))
    assert "fresh text without end; recipes that are worth 2.8 times" in calendar_words.assumed(better)
    made = calendar.walled(law, trend(), 2034.0, given, seed=0)
    assert "under a stock of 10T to 100T" in calendar_words.words(made)
    assert calendar_words.lead(made)[-1].startswith(("The first wall under a stock", "By 2034-01-01 no wall"))


@pytest.mark.parametrize(
    ("ends", "probability", "said"),
    [
        (
            (2027.4, 2021.5, np.inf),
            0.83,
            "2027-05 [2021-07, after 2030-01-01], by 2030-01-01 with probability 0.83",
        ),
        (
            (np.inf, 2022.7, np.inf),
            0.38,
            "with probability 0.38 only, and not before 2022-09 (the interval's end)",
        ),
        ((np.inf, np.inf, np.inf), 0.001, "by 2030-01-01 with probability below 0.01 only"),
    ],
)
def test_a_wall_has_a_date_where_it_is_likely_and_a_probability_where_it_is_not(law, ends, probability, said):
    met = calendar.Wall("stock_passed", *ends, probability)
    made = dataclasses.replace(calendar.calendar(law, trend(), 2030.0), walls=(met,))
    assert calendar_words.wall_words(made)[0].endswith(said)
