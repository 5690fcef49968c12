"""A report says where the best learning rates lie, flags those at an edge beside the verdict, and draws the sweeps."""

import json
import re
from collections import Counter
from dataclasses import replace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from test_page import read
from test_transfer import ladder
from test_tuning import RATES

from analysis import record, rows
from analysis.options import Options
from analysis.pages import axes, report
from analysis.pages.findings import find
from analysis.pages.report import write_limit, write_report
from analysis.rates import rate_plots, rate_report
from analysis.rates.transfer import series
from analysis.source import open_source
from analysis.summary import summary

OPTIONS = Options(replicates=20, admit=("hoffmann",), columns=("N=params", "D=tokens", "L=loss"))
HOSTILE = "<img src=x onerror=alert(1)>"


def theirs(path, best=(4e-3, 3e-3, 2e-3, 1.5e-3), rates=(5e-4, 1e-3, 2e-3, 4e-3, 8e-3), **columns):
    """A sweep of another codebase: parameters, tokens, losses of a known law, and the rate of each run."""
    made = []
    for n, optimum in zip(np.geomspace(1e6, 3e7, len(best)), best, strict=True):
        for d in np.geomspace(2e7, 2e9, 4):
            for rate in rates:
                loss = (1.7 + 400 / n**0.34 + 900 / d**0.37) * np.exp(0.01 * np.log(rate / optimum) ** 2)
                made.append({"params": n, "tokens": d, "loss": loss, "lr": rate} | columns)
    pd.DataFrame(made).to_csv(path, index=False)
    return path


def quiet(_):
    pass


@pytest.fixture
def undrawn(monkeypatch):
    monkeypatch.setattr(report, "save_figure", lambda figure, folder: ("<svg></svg>", "<svg></svg>"))


@pytest.fixture(scope="module")
def at_the_edge(tmp_path_factory):
    """The largest model's best rate is the smallest tried."""
    path = theirs(tmp_path_factory.mktemp("edge") / "theirs.csv", best=(4e-3, 2e-3, 1e-3, 1e-4))
    page = write_report(path, OPTIONS, say=quiet)
    return page, page.read_text()


def test_a_best_rate_at_the_edge_is_flagged_beside_the_verdict(at_the_edge):
    page, text = at_the_edge
    flags = re.findall(r'<p class="note flag">(.*?)</p>', text)
    assert flags[0].startswith(
        "At 4 of 16 sizes and recipes the best learning rate is the smallest tried (N = 30M (D = "
    )
    assert text.index(flags[0]) < text.index('class="tiles"')
    home = page.parent.parent
    assert json.loads((home / "limit.json").read_text())["tuning_warnings"][0].startswith("At 4 of 16")
    fit = record.read(home / "fit.json")
    assert f"WARNING: {flags[0]}"[:60] in " ".join(summary(fit).split())
    assert Counter(one["range"] for one in fit.tuning["sweeps"]) == {"interior": 12, "low edge": 4}


def test_runs_of_other_rates_are_out_of_the_fit_with_their_reason(at_the_edge):
    page, text = at_the_edge
    fit = record.read(page.parent.parent / "fit.json")
    assert fit.rows == 16 and len(fit.excluded) == 64
    assert {row.reason for row in fit.excluded} == {rows.OUTDONE}
    assert (
        "16 runs are analysed, those of the best learning rate of each size and budget (64 of other rates are"
        in text
    )
    assert text.count(f"no: {rows.OUTDONE}") == 2 * 64  # shown, and what the column is sorted by


def test_the_sweeps_are_drawn_and_listed(at_the_edge):
    page, text = at_the_edge
    drawn = {path.stem for path in (page.parent / "figures").glob("*.svg")}
    assert {"loss_by_rate", "loss_by_rate_2", "best_rate"} <= drawn
    listed = re.search(r'aria-label="Learning rates by size".*?</table>', text, re.DOTALL)[0]
    assert listed.count("<tr>") == 1 + 16 and listed.count("<strong>the smallest tried</strong>") == 4
    kept = pd.read_csv(page.parent / "rates.csv", keep_default_na=False)
    assert len(kept) == 16 and Counter(kept["range"]) == {"interior": 12, "low edge": 4}
    assert set(kept.loc[kept["range"] == "low edge", "optimum"]) == {""}
    assert "a ring is a best rate at an end of the range tried" in text
    assert "an arrow is a best rate at an end of the range tried" in text


def test_a_sweep_whose_best_rates_are_inside_has_no_flag_and_says_how_they_move(tmp_path, undrawn):
    path = theirs(tmp_path / "theirs.csv")
    text = write_report(path, OPTIONS, say=quiet).read_text()
    assert 'class="note flag"' not in text
    said = re.findall(r"<p>(With D = [^<]*best learning rate[^<]*)</p>", text)
    assert said[0].startswith("With D = 20M, the best learning rate moves: it goes as N to the power −0.")
    found, _ = write_limit(path, OPTIONS, say=quiet)
    assert found.limit["tuning_warnings"] == []
    trends = found.fit.tuning["trends"]
    assert [trend["verdict"] for trend in trends] == ["moves"] * 4
    slope = np.polyfit(np.log(np.geomspace(1e6, 3e7, 4)), np.log([4e-3, 3e-3, 2e-3, 1.5e-3]), 1)[0]
    assert all(trend["lo"] < slope < trend["hi"] for trend in trends)


def test_one_rate_a_size_is_said_to_show_nothing_and_no_rate_says_nothing(tmp_path, undrawn):
    path = theirs(tmp_path / "once.csv", rates=(2e-3,))
    text = write_report(path, OPTIONS, say=quiet).read_text()
    assert "Every size was trained at one learning rate: nothing here shows that it is near the best" in text
    pd.read_csv(path).drop(columns="lr").to_csv(tmp_path / "none.csv", index=False)
    text = write_report(tmp_path / "none.csv", OPTIONS, say=quiet).read_text()
    assert "learning rate" not in text.lower()


def test_a_table_too_small_to_fit_is_flagged_all_the_same(tmp_path):
    path = theirs(tmp_path / "few.csv", best=(1e-1,))
    page = write_report(path, OPTIONS, say=quiet)
    text = page.read_text()
    assert "There is no answer yet" in text and 'class="note flag">At 4 of 4 sizes and recipes' in text
    assert (page.parent / "figures" / "loss_by_rate.svg").is_file()


def test_where_decides_which_sweeps_are_judged(tmp_path, undrawn):
    path = theirs(tmp_path / "theirs.csv", best=(4e-3, 2e-3, 1e-3, 1e-4))
    text = write_report(path, replace(OPTIONS, where="N < 2e7"), say=quiet).read_text()
    assert 'class="note flag"' not in text


def test_a_fit_of_an_earlier_version_without_rates_is_read_and_made_again(at_the_edge, tmp_path):
    page, _ = at_the_edge
    old = json.loads((page.parent.parent / "fit.json").read_text())
    del old["tuning"]
    (tmp_path / "fit.json").write_text(json.dumps(old))
    assert record.read(tmp_path / "fit.json").tuning == {}
    said = []
    source = open_source(
        page.parent.parent.parent / "theirs.csv", {"N": "params", "D": "tokens", "L": "loss"}
    )
    fit, *_ = find(source, OPTIONS, tmp_path / "fit.json", say=said.append)
    assert fit.tuning["warnings"] and "fit.json is of this table and other options: fitting again" in said


def test_hostile_names_of_series_are_shown_and_not_obeyed(tmp_path, undrawn):
    first = pd.read_csv(theirs(tmp_path / "a.csv", optimizer="adamw"))
    both = pd.concat([first, pd.read_csv(theirs(tmp_path / "b.csv", optimizer=HOSTILE))])
    both.to_csv(tmp_path / "both.csv", index=False)
    reader = read(write_report(tmp_path / "both.csv", OPTIONS, say=quiet).read_text())
    assert not any(tag == "img" for tag, _ in reader.tags) and HOSTILE in "".join(reader.text)


def many():
    """Every kind of sweep: inside, at both edges, flat, with divergence, one rate, sizes beyond naming."""
    table = ladder(-0.5, widths=(16, 24, 32, 48, 64, 96, 128, 192, 256, 512))
    table.loc[table["width"].eq(48) & table["lr"].gt(0.03), ["L", "status"]] = [np.nan, "diverged"]
    table.loc[table["width"].eq(24), "L"] = 3.0
    table.loc[table["width"].eq(64) & table["lr"].gt(0.03), "L"] = 99.0
    table["status"] = table["status"].fillna("done")
    return table[~(table["width"].eq(96) & table["lr"].ne(RATES[2]))]


@pytest.mark.parametrize("table", [many(), many().query("width < 40"), many().query("width == 96")])
def test_every_kind_of_sweep_is_drawn_on_the_axes_given(table):
    found = series(table)
    with matplotlib.rc_context(axes.STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4))
        rate_plots.plot_loss_by_rate(left, found[0], *rate_plots.loss_limits(found))
        rate_plots.plot_best_rate(right, found)
        figure.canvas.draw()
        assert plt.get_fignums() == [figure.number] and left.has_data()
        low, high = left.get_ylim()
        measured = [one.losses.min() for one in found[0].sweeps]
        assert low < min(measured) and max(measured) < high < 10  # a loss of 99 does not flatten the rest
        plt.close(figure)


def test_two_rates_are_no_curve():
    assert rate_report.figures(series(ladder(rates=RATES[:2]))) == []
    assert rate_report.figures([]) == []


def test_a_sweep_of_one_budget_leads_with_whether_the_rate_stays_put(tmp_path, undrawn):
    table = pd.read_csv(theirs(tmp_path / "theirs.csv"))
    table[table["tokens"] == table["tokens"].min()].to_csv(tmp_path / "one.csv", index=False)
    text = write_report(tmp_path / "one.csv", replace(OPTIONS, law="power", x="N"), say=quiet).read_text()
    (lead,) = re.findall(r'class="answer \w+">\s*<p class="lead">(.*?)</p>', text)
    assert lead.startswith("The best learning rate moves: it goes as N to the power")
