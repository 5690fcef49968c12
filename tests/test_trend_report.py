"""The page and the words of trends: what leads, what is refused, what a spreadsheet or a font cannot take."""

import datetime
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from analysis.__main__ import main
from analysis.errors import InputError
from analysis.trends import cautions, claim_words, claims, dates, landmark, models, words
from analysis.trends.study import Asked, study
from analysis.trends.trend import Sampling

TODAY = datetime.date(2026, 11, 1)


def published(count=24, organizations=6):
    """Models of two quantities, from mid 2017 on."""
    rng = np.random.default_rng(0)
    days = pd.date_range("2017-06-01", "2024-06-01", periods=count)
    years = np.linspace(0, 7, count)
    return pd.DataFrame(
        {
            "model": [f"M{i}" for i in range(count)],
            "organization": [f"O{i % organizations}" for i in range(count)],
            "date": days.strftime("%Y-%m-%d"),
            "parameters": 10 ** (8 + 0.4 * years + rng.normal(0, 0.3, count)),
            "compute": 10 ** (18 + 0.7 * years + rng.normal(0, 0.5, count)),
        }
    )


def run(folder, table, *options):
    """The exit status of the verb on a table, with few replicates."""
    table.to_csv(folder / "t.csv", index=False)
    return main(
        ["trends", str(folder / "t.csv"), "--replicates", "60", "--out", str(folder / "out"), *options]
    )


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("parameters", 1e308, r"parameters of M3 \(row 4\) is 1e\+308, and counts from 1 to 1e\+40 are read"),
        ("parameters", 0.35, "is 0.35, and counts from 1 to .* not in billions"),
        ("compute", 1e-300, "compute of M3"),
        ("date", "1949-12-31", "is 1949-12-31, before 1950"),
    ],
)
def test_values_that_no_model_has_are_refused_with_their_row(column, value, words):
    table = published().astype({column: object})
    table.loc[3, column] = value
    with pytest.raises(InputError, match=words):
        models.select(table, None, TODAY)


def test_a_level_whose_ends_the_replicates_do_not_know_is_refused_with_their_number(tmp_path, capsys):
    assert run(tmp_path, published(), "--level", "0.999") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "--replicates 2000" in said and not (tmp_path / "out").exists()


def test_names_that_the_font_lacks_are_left_out_of_figures_and_kept_in_the_table(tmp_path):
    table = published().assign(model=[f"模型 {i}" for i in range(24)])
    table.loc[5, "model"] = "two\nlines"
    assert run(tmp_path, table) == 0  # a missing letter is a warning, and here an error
    assert "模型 7" in (tmp_path / "out" / "report" / "report.md").read_text()


def test_a_company_is_one_organisation_under_all_its_names_and_is_shown_as_the_table_writes_it():
    names = [
        "Google Brain",
        "DeepMind",
        "Google and TTI Chicago",
        "Saudi Data and AI Authority",
        "Facebook AI",
    ]
    table = published(count=25).assign(organization=[*names] * 5)
    made = models.select(table, None, TODAY).series["parameters"]
    assert set(made.organizations) == {"Google", "Saudi Data", "Meta"} and made.units == 3
    assert [made.made_by(i) for i in range(5)] == names
    picked = made.among(np.arange(25) == 3)
    assert picked.made_by(0) == "Saudi Data and AI Authority" and picked.organizations == ("Saudi Data",)


def test_the_download_holds_no_formula(tmp_path):
    table = published()
    table.loc[3, ["model", "organization"]] = ["=HYPERLINK(1)", "@cmd|calc"]
    table.loc[4, "model"] = "-2+3"
    assert run(tmp_path, table) == 0
    kept = pd.read_csv(tmp_path / "out" / "report" / "models.csv")
    assert [*kept["model"][3:5], kept["organization"][3]] == ["'=HYPERLINK(1)", "'-2+3", "'@cmd|calc"]


def test_dense_models_can_be_chosen():
    table = published().assign(active_parameters=np.nan)
    table.loc[[3, 9], "active_parameters"] = 1e7
    made = models.select(table, "active_parameters == parameters", TODAY).series["parameters"]
    assert len(made) == 22 and not {"M3", "M9"} & set(made.models)
    assert len(models.select(table, "active_parameters != parameters", TODAY).series["parameters"]) == 2


def test_what_the_choice_of_rows_means_comes_before_any_number_of_the_projects_own_table(tmp_path, capsys):
    copy = tmp_path / "mine.csv"
    shutil.copy(landmark.SHIPPED, copy)
    assert main(["trends", str(copy), "--replicates", "60", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith(landmark.NOTE)
    content = json.loads((tmp_path / "trends.json").read_text())
    assert next(iter(content.items())) == ("note", landmark.NOTE)
    for name in ("report/index.html", "report/report.md"):
        page = (tmp_path / name).read_text()
        assert 0 < page.find("picked by hand and after the fact") < page.find("doub")
    assert landmark.note(tmp_path / "trends.json") == ""


def bent(fall=0.8):
    """Models of many organisations whose parameters grow by 0.8 decades a year until 2021, and then fall."""
    table = published(count=80, organizations=16)
    years = np.array([dates.year(dates.parse(day)) for day in table["date"]])
    noise = np.random.default_rng(1).normal(0, 0.15, 80)
    logs = 8 + 0.8 * (years - 2017) - (0.8 + fall) * np.maximum(0, years - 2021) + noise
    return table.assign(parameters=10**logs)


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bent")
    assert run(folder, bent(), "--claim", "params doubling 3..6 months") == 0
    return (folder / "out" / "report" / "report.md").read_text().replace("\\", "")


def test_where_a_trend_breaks_the_answer_gives_the_rate_of_each_stretch_and_how_fast_it_falls(broken):
    top = broken[: broken.index("## Figures")]
    assert "Parameters have no one rate from 2017-06 to 2024-06: they double in" in top
    assert "but one rate does not describe these years" in top
    # It falls by 0.8 decades a year, 6.3 times; its interval at 60 replicates is a few tenths wide.
    assert float(re.search(r"then fall by ([\d.]+)x a year", top)[1]) == pytest.approx(6.3, rel=0.25)
    assert "Parameters since 20" in top and "falls" in top[top.index("Parameters since 20") :]


def test_a_trend_that_breaks_is_foretold_by_its_last_stretch_first(broken):
    assert re.search(r"the line since 202\d-\d\d is at .*The line through all years, which does not", broken)


@pytest.mark.parametrize(
    ("doubling", "growth", "said"),
    [
        ((6.0, 5.0, 7.6), (4.0, 3.0, 5.3), "6.0 months [5.0, 7.6]"),
        ((23.4, 10.0, 768.0), (1.43, 1.01, 2.3), "1.9 years [0.8, 64.0]"),
        ((np.inf, np.inf, np.inf), (0.4, 0.25, 0.5), "falls 2.5x a year [2, 4]"),
        ((np.inf, 40.0, np.inf), (0.9, 0.6, 1.2), "no sure growth, 0.9x a year [0.6, 1.2]"),
    ],
)
def test_a_rate_has_an_interval_whether_it_grows_or_falls(doubling, growth, said):
    assert words.rate(doubling, growth) == said


def quantity(table, name="parameters", replicates=100):
    return study(models.select(table, None, TODAY), Asked(sampling=Sampling(replicates))).of(name)


def test_a_record_that_was_not_beaten_is_said_to_stand_in_this_table():
    table = published(count=40)
    table.loc[20, "parameters"] = 1e15
    assert re.search(
        r"none in this table was set in the 3\.\d years from", words.record_line(quantity(table))
    )


def test_two_organisations_get_no_verdict_and_are_told_why():
    table = published(organizations=2)
    asked = Asked(claims=(claims.parse("params doubling 1..90 months"),), sampling=Sampling(100))
    made = study(models.select(table, None, TODAY), asked)
    assert "is undecided" in claim_words.claim_line(made.judged[0])
    assert "only 2 organisations" in " ".join(cautions.cautions(made))
    assert "no verdict is given on claims" in " ".join(cautions.cautions(made))


def test_only_the_first_caption_explains_the_marks(broken):
    assert broken.count("Each dot is a model") == 1 and "as in figure 1." in broken


@pytest.mark.parametrize(
    ("claim", "told"),
    [
        ("compute growth 8..9 x a year", r"gives [\d.]+x a year \[[\d., ]+\], slower than claimed\."),
        ("params doubling 20..30 months", r"gives [\d.]+ months \[[\d., ]+\], faster than claimed\."),
        ("compute growth 3..9 x a year", r"gives [\d.]+x a year \[[\d., ]+\]\. "),
    ],
)
def test_a_claim_is_answered_in_its_own_unit_and_a_trend_beside_it_on_its_side(tmp_path, capsys, claim, told):
    """The truth is 5 times a year for compute and a doubling in 9 months for parameters."""
    assert run(tmp_path, published(), "--claim", claim) == 0
    assert re.search(told, capsys.readouterr().out)
