"""The page and the words of trends: what leads, what is refused, what a spreadsheet or a font cannot take."""

import datetime
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from analysis.__main__ import main
from analysis.errors import InputError
from analysis.trends import landmark, models

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
