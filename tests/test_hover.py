"""Points of a figure tell their values where their marks are, and nothing that they tell is obeyed."""

import re

import matplotlib
import numpy as np
import pandas as pd
import pytest
from test_page import HOSTILE, read

from analysis.pages import axes, drawing, hover, run_words
from analysis.pages.figures import Figure
from analysis.pages.hover import tell


def drawn(*panels):
    return drawing.draw(Figure("f", "title", "caption.", panels), drawing.WIDE)


def svg_of(canvas):
    return drawing.rendered(canvas, "svg").decode()


def circles(svg):
    return [tuple(map(float, found)) for found in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)]


def scattered(ax, x=(1.0, 10.0, 1e3), y=(3.0, 2.0, 2.5), words=("a", "b", "c")):
    axes.log_axis(ax, "x", 0.5, 5e3, axes.compute)
    axes.log_axis(ax, "y", 1.9, 3.1, axes.loss)
    ax.scatter(x, y, color=axes.BLUE)
    tell(ax, x, y, words)
    ax.set_xlabel("x")


@pytest.mark.parametrize("panels", [(scattered,), (scattered, scattered)], ids=["one panel", "two panels"])
def test_spots_lie_over_the_marks_that_matplotlib_drew(panels):
    canvas = drawn(*panels)
    svg = svg_of(canvas)
    marks = re.findall(r'<use xlink:href="#\w+" x="([\d.]+)" y="([\d.]+)" style="fill: #0072b2', svg)
    assert len(marks) == 3 * len(panels)
    expected = sorted(tuple(map(float, mark)) for mark in marks)
    np.testing.assert_allclose(
        circles(hover.overlaid(svg, canvas)), expected, atol=0.06
    )  # a spot: one decimal


def test_spots_go_from_left_to_right():
    canvas = drawn(lambda ax: scattered(ax, words=("first", "second", "third")))
    svg = hover.overlaid(svg_of(canvas), canvas)
    assert re.findall(r"<title>(\w+)</title>", svg.partition('class="spots"')[2]) == [
        "first",
        "second",
        "third",
    ]


@pytest.mark.filterwarnings("error")
def test_points_beyond_the_axes_tell_nothing():
    x, y = [1.0, 1e9, 10.0, -3.0, np.nan], [3.0, 2.0, 100.0, 2.0, 2.0]

    def draw(ax):
        axes.log_axis(ax, "x", 0.5, 5e3, axes.compute)
        axes.log_axis(ax, "y", 1.9, 3.1, axes.loss)
        tell(ax, x, y, list("abcde"))

    canvas = drawn(draw)
    canvas.canvas.draw()
    assert [spot.words for spot in hover.spots(canvas)] == ["a"]


def test_what_points_tell_is_escaped():
    def draw(ax, words):
        ax.scatter([1], [1])
        tell(ax, [1], [1], [words])

    made = []
    for words in ("harmless", f"{HOSTILE}</title></svg><script>alert(1)</script>"):
        canvas = drawn(lambda ax, words=words: draw(ax, words))
        made.append(read(hover.overlaid(svg_of(canvas), canvas).partition("<svg")[2].join(("<svg", ""))))
    assert [tag for tag, _ in made[0].tags] == [tag for tag, _ in made[1].tags]
    assert HOSTILE in "".join(made[1].text)


def test_of_many_points_evenly_chosen_ones_tell_their_values_the_ends_among_them():
    count = 5 * hover.MOST_SPOTS

    def draw(ax):
        ax.set_xlim(-1, count)
        ax.set_ylim(0, 2)
        tell(ax, np.arange(count), np.ones(count), [str(place) for place in range(count)])

    canvas = drawn(draw)
    canvas.canvas.draw()
    told = sorted(int(spot.words) for spot in hover.spots(canvas))
    assert len(told) == hover.MOST_SPOTS and (told[0], told[-1]) == (0, count - 1)
    assert np.ptp(np.diff(told)) <= 1


def test_words_for_other_points_than_were_given_are_refused():
    with matplotlib.rc_context(axes.STYLE), pytest.raises(ValueError, match="2 points and words for 1"):
        hover.Told([1, 2], [1, 2], ["one"])


def test_a_run_tells_its_name_and_its_values_with_units():
    frame = pd.DataFrame({
        "name": ["w64", None], "run_id": ["abc", "def"], "N": [65_800.0, np.nan], "D": [2.1e6, 4.2e6],
        "C": [8.3e11, np.nan], "L": [2.3456, 2.0], "L_se": [0.012, np.nan],
    })  # fmt: skip
    assert run_words.values(frame) == [
        "w64\nN = 65.8K parameters\nD = 2.1M tokens\nC = 8.3 × 10¹¹ FLOPs\nL = 2.346 ± 0.012 nats per token",
        "def\nD = 4.2M tokens\nL = 2.000 nats per token",
    ]


def test_rows_without_names_are_called_by_their_number_in_the_file():
    frame = pd.DataFrame({"L": [3.0, 2.0, 1.0]})
    assert run_words.labels(frame[frame["L"] < 3]) == ["row 2", "row 3"]


def test_colours_of_text_are_read_on_white_and_dark_ones_stay():
    from matplotlib.colors import to_rgb

    assert axes.readable(axes.BLUE) == pytest.approx(to_rgb(axes.BLUE))
    for place in np.linspace(0, 1, 9):
        contrast = 1.05 / (axes._luminance(np.array(axes.readable(axes.shade(place))[:3])) + 0.05)
        assert contrast >= 4.5
