"""Figures draw on the axes given and nothing else; axes read well; curves are the logs, smoothed."""

import itertools
import json
import math

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_transfer import ladder

from analysis import notation
from analysis.errors import InputError
from analysis.pages import axes, plots, prediction_plots
from analysis.pages.curves import read_curves, read_log
from analysis.pages.hover import spots
from analysis.pages.predictions import Band, Predictions
from analysis.rates import rate_plots
from analysis.rates.transfer import series
from analysis.walls import wall_figures


@pytest.fixture
def ax():
    with matplotlib.rc_context(axes.STYLE):
        figure, ax = plt.subplots(figsize=(6, 4))
        yield ax
        plt.close(figure)


def a_table(sizes=(1e4, 3e4, 1e5), budgets=(2.5e5, 1e6, 4e6)):
    rows = [
        {"N": n, "D": d, "C": 6 * n * d, "L": 1.5 + 40 / n**0.4 + 60 / d**0.4} for n in sizes for d in budgets
    ]
    return pd.DataFrame(rows)


def a_band(lo=1e9, hi=1e15, value=lambda x: 1.5 + 300 * x**-0.25):
    x = np.geomspace(lo, hi, 50)
    return Band(x, value(x), 0.9 * value(x), 1.1 * value(x), 0.9)


def made_predictions(held=3):
    table = a_table()
    observed = table["L"].to_numpy()
    held_out = np.arange(len(table)) >= len(table) - held
    return Predictions(
        table["C"].to_numpy(),
        observed,
        observed * 1.01,
        observed * 0.97,
        observed * 1.04,
        held_out,
        3e11,
        0.9,
    )


def a_fan(largest=2.4e12):
    x = np.geomspace(1e11, 1e3 * largest, 20)
    value = 1.5 + 300 * x**-0.25
    bands = [
        {"level": level, "lo": (value / (1 + level / 20)).tolist(), "hi": (value * (1 + level / 20)).tolist()}
        for level in (0.5, 0.8, 0.9)
    ]
    return {"x": "C", "largest": largest, "at": x.tolist(), "L": value.tolist(), "bands": bands}


FLOOR = {"value": 1.5, "lo": 1.4, "hi": 1.6}
RATES = series(ladder(-0.5))
DRAWN = {
    "compute": lambda ax: plots.plot_compute(ax, a_table(), [], a_band()),
    "compute, many sizes": lambda ax: plots.plot_compute(ax, a_table(np.geomspace(1e4, 1e6, 20)), [], None),
    "compute, rows left out": lambda ax: plots.plot_compute(ax, a_table(), [], None, a_table((2e4,))),
    "budgets": lambda ax: plots.plot_budgets(
        ax, a_table(), [(2.5e5, a_band(1e4, 1e5)), (1e6, a_band(1e4, 1e5))]
    ),
    "budgets, no law of N and D": lambda ax: plots.plot_budgets(ax, a_table(), []),
    "predictions": lambda ax: prediction_plots.plot_predictions(ax, made_predictions()),
    "predictions, none held out": lambda ax: prediction_plots.plot_predictions(ax, made_predictions(0)),
    "errors": lambda ax: prediction_plots.plot_errors(ax, made_predictions()),
    "profile": lambda ax: plots.plot_profile(ax, [0, 1, 2, 3], [2, 0.5, 0, 5], 0.7, 2.2, words="identified"),
    "profile beside all laws": lambda ax: plots.plot_profile(
        ax, [0, 1, 2, 3], [2, 0.5, 0, 5], 0.7, 2.2, words="", together=(0.4, 3.6)
    ),
    "profile without a lower end": lambda ax: plots.plot_profile(
        ax, [0, 1, 2], [0.1, 0, 9], math.nan, 1.1, words=""
    ),
    "loss by rate": lambda ax: rate_plots.plot_loss_by_rate(ax, RATES[0], *rate_plots.loss_limits(RATES)),
    "best rate": lambda ax: rate_plots.plot_best_rate(ax, RATES),
    "fan": lambda ax: wall_figures.plot_fan(ax, a_fan(), FLOOR, a_table()),
}


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_a_plot_draws_on_its_axes_names_both_and_leaves_no_other_figure(ax, draw):
    before = plt.get_fignums()
    assert draw(ax) is None
    ax.figure.canvas.draw()
    assert plt.get_fignums() == before
    assert ax.get_xlabel() and ax.get_ylabel()
    assert "(" in ax.get_xlabel(), "an axis states its unit"
    assert ax.has_data()


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_ticks_of_an_axis_do_not_touch_each_other(ax, draw):
    draw(ax)
    ax.figure.canvas.draw()
    for labels, side in ((ax.get_xticklabels(), 0), (ax.get_yticklabels(), 1)):
        inside = [label.get_window_extent() for label in labels if label.get_text() and label.get_visible()]
        edges = sorted((box.min[side], box.max[side]) for box in inside)
        assert all(a[1] < b[0] for a, b in itertools.pairwise(edges))


def test_every_fitted_line_has_its_interval(ax):
    plots.plot_budgets(ax, a_table(), [(2.5e5, a_band(1e4, 1e5)), (1e6, a_band(1e4, 1e5))])
    shaded = [c for c in ax.collections if type(c).__name__ == "FillBetweenPolyCollection"]
    assert len(shaded) == 2


def test_the_interval_of_all_laws_lies_whole_on_the_axis_of_one_law(ax):
    plots.plot_profile(ax, [0, 1, 2, 3], [9, 2, 0, 9], 1.7, 2.2, words="", together=(0.4, 3.6))
    assert ax.get_xlim()[0] < 0.4 and ax.get_xlim()[1] > 3.6
    assert "all admissible laws" in [text.get_text() for text in ax.texts]


def test_a_fan_is_shaded_and_labelled_by_how_far_it_reaches(ax):
    wall_figures.plot_fan(ax, a_fan(), None, a_table())
    words = [text.get_text() for text in ax.texts]
    assert words[-4:] == ["largest run", "10×", "100×", "1,000×"]
    assert len(ax.patches) == 1


@pytest.mark.parametrize(
    ("floor", "words"),
    [
        (FLOOR, {"floor E"}),
        ({"value": None, "lo": None, "hi": 1.55}, {"floor lies below 1.55"}),
        ({"value": None, "lo": None, "hi": None}, set()),
        (None, set()),
    ],
)
def test_a_floor_is_drawn_as_far_as_it_is_known(ax, floor, words):
    wall_figures.plot_fan(ax, a_fan(), floor, a_table())
    assert {text.get_text() for text in ax.texts if "floor" in text.get_text()} == words


def test_every_run_is_a_dot_of_the_fan_that_tells_its_values(ax):
    table = a_table()
    wall_figures.plot_fan(ax, a_fan(), FLOOR, table)
    ax.figure.canvas.draw()
    told = [spot.words for spot in spots(ax.figure)]
    assert len(told) == len(table) and all("L " in words or "L =" in words for words in told)


@given(st.floats(1e-3, 1e25), st.floats(1.02, 1e12), st.integers(3, 9), st.booleans())
def test_log_ticks_are_few_ordered_and_inside(lo, ratio, most, spacious):
    ticks = axes.log_ticks(lo, lo * ratio, most, spacious)
    assert 2 <= len(ticks) <= max(most, 3)
    assert ticks == sorted(ticks)
    assert lo * (1 - 1e-6) <= ticks[0] and ticks[-1] <= lo * ratio * (1 + 1e-6)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=12), st.floats(0.1, 10))
def test_labels_moved_apart_keep_their_order_their_gap_and_their_mean(places, gap):
    wanted = np.sort(places)
    moved = axes.apart(wanted, gap)
    assert (np.diff(moved) >= gap - 1e-9).all()
    assert moved.mean() == pytest.approx(wanted.mean(), abs=1e-9)  # rounding of a sum of a dozen numbers
    if (np.diff(wanted) >= gap).all():
        np.testing.assert_allclose(moved, wanted, atol=1e-9)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (notation.count(4194304), "4.19M"),
        (notation.count(999_999), "1M"),
        (notation.count(67e9), "67B"),
        (notation.count(117), "117"),
        (notation.power(1858045022208), "1.86 × 10¹²"),
        (notation.power(1e19), "10¹⁹"),
        (notation.plain(0.01234), "0.0123"),
        (notation.plain(2143.86), "2,140"),
        (notation.plain(3.2e-7), "3.2 × 10⁻⁷"),
        (notation.percent(0.0231), "2.3\N{NO-BREAK SPACE}%"),
        (notation.change(-0.0231), "−2.3\N{NO-BREAK SPACE}%"),
        (notation.times(1000), "1,000×"),
        (notation.interval(1.7691, 1.8712), "1.77 to 1.87"),
        (notation.estimate(1.81723, 1.7691, 1.8712), "1.82"),
        (notation.duration(309), "5.2 min"),
        (notation.count(math.nan), "–"),
    ],
)
def test_numbers_are_written_for_people(written, expected):
    assert written == expected


def log(folder, name, losses, first=10):
    (folder / name).mkdir()
    lines = [
        json.dumps({"step": s, "tokens": s * 100, "loss": v}) + "\n" for s, v in enumerate(losses, first)
    ]
    (folder / name / "metrics.jsonl").write_text("".join(lines))


def test_a_branch_begins_on_its_trunk_and_compute_is_tokens_times_flops_per_token(tmp_path):
    log(tmp_path, "trunk-t", [4.0] * 20)
    log(tmp_path, "r", [3.0] * 5, first=20)
    table = pd.DataFrame({"run_id": ["r"], "trunk_id": ["t"], "N": [7.0], "C": [2400.0 * 50], "D": [2400.0]})
    trunk, branch = read_curves(tmp_path, table)
    assert trunk.is_trunk and not branch.is_trunk
    assert branch.loss[0] == pytest.approx(4.0) and branch.loss[-1] == pytest.approx(3.0)
    assert trunk.compute[-1] == pytest.approx(29 * 100 * 50)


def test_smoothing_keeps_a_power_law_and_its_ends(tmp_path):
    log(tmp_path, "trunk-t", [5 * s**-0.3 for s in range(10, 400)])
    table = pd.DataFrame({"run_id": ["r"], "trunk_id": ["t"], "N": [7.0], "C": [1.0], "D": [1.0]})
    (trunk,) = read_curves(tmp_path, table)
    np.testing.assert_allclose(
        trunk.loss, 5 * (trunk.compute / 100) ** -0.3, rtol=1e-9
    )  # a line in log-log: rounding


def test_a_log_without_its_last_line_break_loses_that_line_alone(tmp_path):
    log(tmp_path, "a", [3.0, 2.0, math.nan])
    path = tmp_path / "a" / "metrics.jsonl"
    path.write_text(path.read_text() + '{"step": 13, "tok')
    tokens, loss = read_log(path)
    assert tokens.tolist() == [1000.0, 1100.0] and loss.tolist() == [3.0, 2.0]


def test_a_broken_log_is_refused_by_its_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "tokens": 100, "loss": 2.0}\nnonsense\n')
    with pytest.raises(InputError, match="line 2"):
        read_log(path)
