import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from analysis.__main__ import main
from analysis.errors import InputError
from analysis.floor.identify import VERDICTS
from analysis.known import benchmark, ladders
from analysis.known.benchmark import Settings
from analysis.known.extrapolation import METHODS, Extrapolation, Foretold, methods_named
from analysis.known.scoreboard import conclusion, scoreboard
from analysis.known.scores import interval_score, scores
from analysis.laws import Coupled, Hoffmann
from scaling.table import TableError

POWERS = Hoffmann(0.0, 60.0, 0.4, 200.0, 0.42)
ENDLESS = Hoffmann(0.0, 20.0, 0.2, 30.0, 0.2)


def faster(N, D):
    """An excess whose local exponent grows with N and D, as near the floor of a finite-state language."""
    return 1.2 * np.exp(-((N / 3e4) ** 0.35)) + 0.9 * np.exp(-((D / 4e5) ** 0.3))


def ladder(name="pcfg", entropy=1.2, excess=POWERS, noise=0.004, seed=0):
    """Thirty runs, ten trunks of three branches; the noise is shared within a trunk and is of the excess alone."""
    N = np.repeat(np.geomspace(1e4, 6e6, 10), 3)
    D = N * np.tile([10, 40, 160], 10)
    rng = np.random.default_rng(seed)
    shock = noise * (np.repeat(rng.standard_normal(10), 3) + 0.6 * rng.standard_normal(30))
    above = excess(N=N, D=D) * np.exp(2 * shock)
    return pd.DataFrame({
        "trunk_id": [f"{name}-{n:.0f}" for n in N], "corpus": name, "entropy": entropy, "excess": above,
        "N": N, "D": D, "C": 6 * N * D, "L": entropy + above + 0.01 * rng.standard_normal(30),
    })  # fmt: skip


def says(lo, hi, verdict="identified", E=1.0, loss=2.0):
    """A method that always says the same."""

    def method(frame, *, level, seed, replicates):
        def predict(points):
            value = np.full(len(points), loss)
            return Foretold(value, value - 0.1, value + 0.1)

        return Extrapolation(E, lo, hi, verdict, "it was told to", predict)

    return method


def silent(frame, *, level, seed, replicates):
    raise InputError("it has nothing to say")


def run(table, methods, **settings):
    settings = Settings(**{"replicates": 40, **settings})
    return benchmark.run(ladders.languages(table), methods, settings, lambda text: None)


@pytest.mark.parametrize(("truth", "score"), [(1.5, 1.0), (1.0, 1.0), (0.9, 3.0), (2.2, 5.0)])
def test_interval_score_is_the_width_and_twenty_times_the_miss(truth, score):
    assert interval_score(1.0, 2.0, truth, 0.9) == pytest.approx(score)


def limit(method, truth, lo, hi, verdict, answered=True):
    width, score = hi - lo, float(interval_score(lo, hi, truth, 0.9))
    return {
        "method": method, "truth": truth, "answered": answered, "lo": lo, "hi": hi, "verdict": verdict,
        "hit": lo <= truth <= hi, "width": width, "score": score,
    }  # fmt: skip


@pytest.fixture
def by_hand():
    nan = float("nan")
    limits = pd.DataFrame([
        limit("wide", 1.0, 0.5, 1.5, "identified"),  # score 1
        limit("wide", 1.0, 0.9, 1.3, "bounded_above_only"),  # score 0.4
        limit("wide", 0.0, 0.0, 0.6, "not_identified"),  # score 0.6
        limit("bold", 1.0, 1.1, 1.2, "identified"),  # score 0.1 + 20 * 0.1
        limit("bold", 1.0, nan, nan, "", answered=False),
        limit("bold", 0.0, 0.2, 0.3, "identified"),  # score 0.1 + 20 * 0.2
    ])  # fmt: skip
    forecasts = pd.DataFrame(
        [
            ("wide", 3.0, 4, True, 3, 0.1), ("wide", 3.0, 1, True, 1, 0.6), ("wide", 10.0, 2, True, 1, 0.2),
            ("bold", 3.0, 4, True, 0, 0.3), ("bold", 3.0, 1, False, 0, nan), ("bold", 10.0, 2, False, 0, nan),
        ],
        columns=["method", "horizon", "runs", "answered", "inside", "error"],
    )  # fmt: skip
    return scores(limits, forecasts, 0.9).set_index("method")


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (
            "wide",
            {
                "cells": 3, "answers": 3, "no_answers": 0, "hits": 3, "coverage": 1.0, "coverage_of_all": 1.0,
                "mean_interval_score": 2 / 3, "median_width": 0.6, "relative_width": 1.0, "not_identified": 1 / 3,
                "claims": 1, "confident_wrong": 0, "bounds": 1, "wrong_bounds": 0,
                "endless_cells": 1, "endless_claims": 0, "reaches": True,
                "runs_3x": 5, "coverage_3x": 0.8, "error_3x": 0.2, "coverage_10x": 0.5, "error_10x": 0.2,
            },
        ),
        (
            "bold",
            {
                "cells": 3, "answers": 2, "no_answers": 1, "hits": 0, "coverage": 0.0, "coverage_of_all": 0.0,
                "mean_interval_score": 3.1, "median_width": 0.1, "relative_width": 1 / 6, "not_identified": 0.0,
                "claims": 2, "confident_wrong": 2, "endless_cells": 1, "endless_claims": 1, "reaches": False,
                "runs_3x": 4, "runs_without_answer_3x": 1, "coverage_3x": 0.0, "error_3x": 0.3,
                "runs_10x": 0, "runs_without_answer_10x": 2,
            },
        ),
    ],
)  # fmt: skip
def test_scores_are_those_counted_by_hand(by_hand, method, expected):
    for name, value in expected.items():
        assert by_hand.loc[method, name] == pytest.approx(value), name
    assert np.isnan(by_hand.loc["bold", "coverage_10x"])


def test_conclusion_names_who_reaches_the_level_and_who_was_wrong(by_hand):
    words = " ".join(conclusion(by_hand.reset_index(), 0.9).split())
    assert (
        "1 of 2 methods holds the truth in at least 88 % of the answers: wide; the narrowest is wide" in words
    )
    assert "Limits claimed that were wrong: bold 2 of 2" in words
    assert "a loss that falls for ever was claimed by bold" in words
    assert "Without an answer: bold 1 of 3" in words
    none = by_hand.loc[["bold"]].reset_index().assign(reaches=False, confident_wrong=0, endless_claims=0)
    words = " ".join(conclusion(none, 0.9).split())
    assert "None of 1 methods holds the truth in 88 % of its answers; the nearest, with 0 %: bold" in words
    assert "No method claimed a wrong limit" in words


def test_method_without_an_answer_is_a_row_and_a_miss_of_all():
    limits, forecasts = run(ladder(), {"silent": silent, "sure": says(1.0, 1.3)}, factors=(1.0, 3.0))
    assert limits["answered"].tolist() == [False, True, False, True]
    assert limits["reason"][0] == "it has nothing to say"
    found = scores(limits, forecasts, 0.9).set_index("method")
    assert (found.loc["silent", "no_answers"], found.loc["silent", "coverage_of_all"]) == (2, 0.0)
    assert np.isnan(found.loc["silent", "coverage"])
    assert found.loc["sure", "coverage"] == 1.0
    text = scoreboard(found.reset_index(), 0.9)
    assert max(map(len, text.splitlines())) <= 80


def test_every_method_sees_the_runs_up_to_the_cut_and_never_the_truth():
    seen = []

    def spy(frame, **options):
        seen.append(frame)
        return says(0.0, 1.0)(frame, **options)

    limits, _ = run(ladder(), {"spy": spy}, factors=(1.0, 10.0))
    assert all(set(frame.columns) <= {"trunk_id", "N", "D", "C", "L"} for frame in seen)
    largest = ladder()["C"].max()
    assert (
        [len(frame) for frame in seen] == [30, (ladder()["C"] <= largest / 10).sum()] == list(limits["runs"])
    )


def test_bound_below_the_truth_is_counted_and_said():
    limits, forecasts = run(ladder(), {"low": says(0.0, 1.1, "bounded_above_only")}, factors=(1.0,))
    found = scores(limits, forecasts, 0.9)
    assert (found["bounds"][0], found["wrong_bounds"][0], found["confident_wrong"][0]) == (1, 1, 0)
    assert "that the truth lies above: low 1 of 1" in " ".join(conclusion(found, 0.9).split())


def test_forecasts_reach_no_further_than_the_ladder():
    _, forecasts = run(ladder(), {"sure": says(1.0, 1.3)}, factors=(1.0, 3.0, 30.0))
    assert list(zip(forecasts["factor"], forecasts["horizon"], strict=True)) == [
        (3.0, 3.0), (30.0, 3.0), (30.0, 10.0), (30.0, 30.0)
    ]  # fmt: skip
    compute, cut = ladder()["C"], ladder()["C"].max() / 30
    assert forecasts["runs"].tolist()[1:] == [
        ((compute > cut) & (compute <= cut * horizon * 1.000001)).sum() for horizon in (3, 10, 30)
    ]


def test_forecast_is_scored_against_the_held_out_runs():
    runs = ladder().assign(excess=1.0)  # every loss is 2.2
    _, forecasts = run(runs, {"near": says(1, 1, loss=2.15), "far": says(1, 1, loss=4.4)}, factors=(3.0,))
    assert forecasts["coverage"].tolist() == [1.0, 0.0]
    assert forecasts["error"].tolist() == [pytest.approx(0.05 / 2.2), pytest.approx(1.0)]


def test_open_upper_end_is_scored_as_the_best_loss_seen():
    limits, _ = run(ladder(), {"open": says(1.0, np.inf, "not_identified")}, factors=(1.0,))
    best = 1.2 + ladder()["excess"].min()
    assert limits["width"][0] == pytest.approx(best - 1.0) == pytest.approx(limits["score"][0])
    assert limits["hi"][0] == np.inf


def test_loss_is_entropy_plus_excess_where_the_excess_is_known():
    runs = ladder()
    runs.loc[3, "excess"] = np.nan
    language = ladders.languages(runs)[0]
    assert language.exact == 29
    assert language.runs["L"][0] == pytest.approx(1.2 + runs["excess"][0])
    assert language.runs["L"][3] == runs["L"][3]
    plain = ladders.languages(runs.drop(columns="excess"))[0]
    assert (plain.exact, plain.runs["L"].tolist()) == (0, runs["L"].tolist())


def test_rows_of_a_language_are_gathered_over_tables():
    halves = ladder()
    both = pd.concat([halves.iloc[::2], ladder("hmm"), halves.iloc[1::2]], ignore_index=True)
    found = ladders.languages(both)
    assert [(language.name, len(language.runs)) for language in found] == [("pcfg", 30), ("hmm", 30)]


def test_hoffmanns_law_finds_the_limit_of_its_own_truth():
    limits, forecasts = run(ladder(), methods_named(("hoffmann, trunks",)), factors=(1.0, 10.0))
    assert limits["hit"].all()
    assert (limits["verdict"] == "identified").all()
    assert (forecasts["error"] < 0.01).all()


def test_hoffmanns_law_claims_too_low_a_limit_where_loss_falls_faster_than_a_power():
    runs = ladder("markov", 1.6, faster)
    limits, _ = run(runs, methods_named(("hoffmann, pairs", "shifted")), factors=(1.0, 10.0))
    standard = limits[limits["method"] == "hoffmann, pairs"]
    assert (standard["hi"] < 1.6).all()
    assert (standard["verdict"] == "identified").all()
    errors = (limits["E"] - 1.6).abs().to_numpy().reshape(2, 2)
    assert (errors[:, 1] < errors[:, 0]).all()  # a law whose exponent grows comes nearer


@pytest.mark.parametrize("name", METHODS)
def test_every_method_answers_with_an_interval_a_verdict_and_forecasts(name):
    runs = ladders.languages(ladder(excess=Coupled(0.0, 1.2, 0.35, 3e7, 0.4, 0.6)))[0].runs
    found = METHODS[name](runs[runs["C"] < 1e14], level=0.9, seed=0, replicates=40)
    assert 0 <= found.lo <= found.hi
    assert found.verdict in VERDICTS
    assert found.reason
    made = found.predict(runs[runs["C"] >= 1e14])
    assert made.value.shape == made.lo.shape == ((runs["C"] >= 1e14).sum(),)
    assert (made.lo < made.hi).all()


def test_no_law_claims_a_limit_of_a_loss_that_falls_for_ever_as_a_power():
    runs = ladder("facts", 0.0, ENDLESS)
    limits, forecasts = run(runs, methods_named(("hoffmann, trunks", "coupled")), factors=(1.0,))
    assert limits["hit"].all()
    assert scores(limits, forecasts, 0.9)["endless_claims"].tolist() == [0, 0]


def test_too_few_runs_at_a_truncation_are_no_answer():
    limits, _ = run(ladder(), methods_named(("coupled",)), factors=(1.0, 1e6))
    assert limits["answered"].tolist() == [True, False]
    assert "7 are needed for 6 parameters" in limits["reason"][1]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "runs.csv"
    pd.concat([ladder(), ladder("facts", 0.0, ENDLESS)]).to_csv(path, index=False)
    return path


def test_command_line_writes_tables_scores_and_figure_and_says_how_far_it_is(table, tmp_path):
    out = tmp_path / "known"
    options = ["--methods", "hoffmann, pairs", "tied", "--factors", "1", "3", "--replicates", "20"]
    command = [sys.executable, "-m", "analysis", "known", str(table), *options, "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.replace(str(out), "").splitlines())) <= 80
    assert "of 2 methods" in done.stdout
    names = {path.name for path in out.iterdir()}
    assert names == {
        "limits.csv", "forecasts.csv", "scores.csv", "known.json", "limits.png", "limits.svg"
    }  # fmt: skip
    assert len(pd.read_csv(out / "limits.csv")) == 2 * 2 * 2
    content = json.loads((out / "known.json").read_text())
    assert content["tables"][0]["sha256"]
    assert [language["truth"] for language in content["languages"]] == [1.2, 0.0]
    assert content["scores"][0]["cells"] == 4
    again = tmp_path / "again"
    assert main(["known", str(table), *options, "--out", str(again)]) == 0
    for name in names:
        assert (again / name).read_bytes() == (out / name).read_bytes(), name


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop(columns="entropy"), "no column entropy"),
        (lambda t: t.drop(columns="corpus"), "no column corpus"),
        (lambda t: t.assign(entropy=np.where(t.index < 3, 1.3, t.entropy)), "entropies from 1.2 to 1.3"),
        (lambda t: t.assign(entropy=np.where(t.index < 3, np.nan, t.entropy)), "3 of 30 rows .* no entropy"),
        (lambda t: t.assign(entropy=-1.0), "entropy of -1"),
        (lambda t: t.assign(corpus=np.where(t.index < 3, None, t.corpus)), "3 rows have no corpus"),
        (lambda t: t.iloc[:5], "language pcfg: 5 of 5 rows are left .* needs 8"),
        (lambda t: t.assign(status="diverged"), "language pcfg: 0 of 30 rows are left"),
        (lambda t: t.assign(N=-t.N), "language pcfg: N is -"),
        (lambda t: t.assign(excess="much"), "excess is 'much', not a number"),
    ],
)
def test_tables_that_cannot_be_scored_are_refused(tmp_path, capsys, change, words):
    change(ladder()).to_csv(tmp_path / "t.csv", index=False)
    assert main(["known", str(tmp_path / "t.csv"), "--out", str(tmp_path / "out")]) == 2
    with pytest.raises((InputError, TableError), match=words):
        ladders.languages(ladders.read_tables([tmp_path / "t.csv"])[0])
    assert capsys.readouterr().err.startswith("error: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--methods", "guess"], "no method is called 'guess'"),
        (["--factors", "0.5"], "factors"),
        (["--factors", "3", "3"], "name each once"),
        (["--level", "90"], "level is 90"),
        (["--where", "corpus == 'none'"], "no rows are left"),
    ],
)
def test_options_that_mean_nothing_are_refused(table, tmp_path, capsys, options, words):
    assert main(["known", str(table), *options, "--out", str(tmp_path / "out")]) == 2
    assert words in capsys.readouterr().err


def test_table_given_twice_is_refused(table, capsys):
    assert main(["known", str(table), str(table)]) == 2
    assert "given twice" in capsys.readouterr().err


def test_figure_shows_hits_misses_claims_and_silence():
    from matplotlib.figure import Figure

    from analysis.known.interval_plots import plot_limits

    methods = {
        "hit": says(1.1, 1.3), "miss": says(0.9, 1.0), "open": says(0.0, np.inf, "not_identified"),
        "silent": silent,
    }  # fmt: skip
    limits, _ = run(ladder(), methods, factors=(1.0, 3.0))
    ax = Figure().add_subplot()
    plot_limits(ax, limits, 1.2)
    markers = [line.get_marker() for line in ax.get_lines()]
    assert (markers.count("X"), markers.count("_")) == (2, 2)
    assert markers.count("^") == 2  # the open one
    low, high = ax.get_ylim()
    assert low < 0.9 < 1.3 < high
