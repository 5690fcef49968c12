"""The figure of growth a year: every version with its value and interval, falls beside growth."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from analysis.pages import axes
from analysis.trends.growth_plot import Bar, factor, plot_growth


def drawn(bars, claimed=None):
    figure = Figure(figsize=(8, 5))
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    plot_growth(ax, bars, claimed or {})
    figure.draw_without_rendering()
    return ax


BARS = [
    Bar("Parameters", "all models, OLS", 1.8, 1.5, 2.1, "#000000"),
    Bar("Parameters", "2021 to 2023", 0.3, 0.2, 0.6, "#000000"),
    Bar("Tokens", "2023 to 2024", 10.0, 6.0, 1e9, "#000000"),
    Bar("Tokens", "records, OLS", 0.9, 1e-12, 1.4, "#000000"),
]


def test_every_row_has_its_value_and_its_interval_within_the_axis():
    ax = drawn(BARS)
    lo, hi = ax.get_xlim()
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    spans = [line for line in ax.lines if line.get_marker() == "None" and len(set(line.get_ydata())) == 1]
    assert [float(dot.get_xdata()[0]) for dot in dots] == [bar.value for bar in BARS]
    assert len(spans) == len(BARS) and all(lo < bar.value < hi for bar in BARS)
    for bar, span in zip(BARS, spans, strict=True):
        assert list(span.get_xdata()) == [max(bar.lo, lo), min(bar.hi, hi)]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == [bar.label for bar in BARS]


def test_an_interval_beyond_the_axis_ends_in_an_arrow_and_one_within_does_not():
    arrows = [line.get_marker() for line in drawn(BARS).lines if line.get_marker() in "<>"]
    assert sorted(arrows) == ["<", ">"]
    assert not [line for line in drawn(BARS[:2]).lines if line.get_marker() in ("<", ">")]


def test_the_line_of_no_growth_is_on_the_axis_even_where_all_grow():
    lo, hi = drawn(BARS[:1]).get_xlim()
    assert lo < 1 < hi


def test_the_upper_scale_tells_doubling_times_at_their_growth():
    ax = drawn(BARS)
    above = next(other for other in ax.get_figure().axes if other is not ax)
    for place, label in zip(above.get_xticks(), above.get_xticklabels(), strict=True):
        assert place == pytest.approx(2 ** (12 / float(label.get_text())))
    assert above.get_xlim() == ax.get_xlim() and factor(12) == 2


def test_a_claimed_range_far_away_does_not_squeeze_the_rest():
    lo, hi = drawn(BARS[:1], {"Parameters": (1.2, 1e12)}).get_xlim()
    assert np.log10(hi / lo) < 2


def test_falls_alone_are_drawn_without_an_upper_scale():
    falling = [Bar("Parameters", "all models, OLS", 0.3, 0.25, 0.35, "#000000")]
    ax = drawn(falling)
    assert len(ax.get_figure().axes) == 1


@pytest.mark.parametrize("values", [(1e-308, 1e308), (1e-320, 1.0), (1e300, 1e308), (1.0, 1.0)])
def test_an_axis_holds_any_finite_values_with_ticks_of_finite_numbers(values):
    lo, hi = axes.padded(values, 0.05, 0.06)
    assert 0 < lo < hi < np.inf
    ticks = axes.log_ticks(lo, hi)
    assert len(ticks) >= 2 and all(lo <= tick * (1 + 1e-9) and tick < np.inf for tick in ticks)
