"""Whether the best rate stays put: the trend is recovered, its verdict is earned, and the words are those of it."""

import numpy as np
import pandas as pd
import pytest
from test_tuning import RATES, losses, swept

from analysis.rates import rate_words
from analysis.rates.transfer import MOVES, STAYS, UNCLEAR, series

WIDTHS = (16, 32, 64, 128)


def ladder(power=0.0, noise=0.003, seed=0, widths=WIDTHS, best=0.008, rates=RATES, **columns):
    """A sweep at each width, whose best rate is best (width / 45)^power."""
    parts = [
        swept(
            best * (w / 45) ** power,
            noise=noise,
            seed=100 * seed + k,
            N=12.0 * w**2,
            width=w,
            rates=rates,
            **columns,
        )
        for k, w in enumerate(widths)
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("power", [-1.0, 0.0, 0.5])
def test_the_power_by_which_the_optimum_moves_is_recovered(power):
    (one,) = series(ladder(power, noise=1e-9))
    assert one.axis == "width" and one.name == ""
    assert one.trend.power == pytest.approx(power, abs=1e-6)  # noise of 1e-9
    assert one.trend.rate(45.0) == pytest.approx(0.008, rel=1e-6)


@pytest.mark.parametrize("power", [-0.8, 0.0])
def test_the_interval_of_the_power_holds_it_at_least_as_often_as_it_says(power):
    """It is the wider of two: 120 ladders, a share of 0.9 has a standard deviation of 0.027, and 3 of them are 0.08."""
    made = [series(ladder(power, seed=seed, rates=RATES))[0].trend for seed in range(120)]
    inside = np.mean([one.lo <= power <= one.hi for one in made])
    width = np.median([one.hi - one.lo for one in made])
    assert 0.82 < inside <= 1 and width < 0.6


def test_stays_put_and_moves_are_earned_and_noise_is_neither():
    assert series(ladder(0.0))[0].trend.verdict == STAYS
    assert series(ladder(-1.0))[0].trend.verdict == MOVES
    assert series(ladder(-0.05, noise=1e-5))[0].trend.verdict == STAYS  # by a factor of 1.1 over the widths
    verdicts = {series(ladder(-0.1, noise=0.006, seed=seed))[0].trend.verdict for seed in range(5)}
    assert UNCLEAR in verdicts


def test_a_size_whose_best_rate_is_at_an_edge_is_flagged_and_not_in_the_trend():
    (one,) = series(
        ladder(-1.0, best=0.007, rates=RATES[:4], noise=0.001)
    )  # optima .0197, .0098, .0049, .0025
    assert [sweep.range for sweep in one.sweeps] == ["high edge", "high edge", "interior", "interior"]
    assert one.trend.span == (64.0, 128.0)
    (said,) = rate_words.warnings([one])
    assert said.startswith(
        "At 2 of 4 sizes the best learning rate is the largest tried (width 16: 0.008; width 32: "
    )
    assert "over the 2 of 4 sizes whose best is inside" in rate_words.trend_words(one)


@pytest.mark.parametrize(
    ("by_rate", "said"),
    [
        (
            {1: [3.2], 2: [3.1]},
            "At N = 100K the best learning rate is the largest tried (2): a larger one may do better",
        ),
        (
            {1: [3.0], 2: [3.1]},
            "At N = 100K the best learning rate is the smallest tried (1): a smaller one may do",
        ),
    ],
)
def test_one_size_at_the_edge_is_named_with_its_rate(by_rate, said):
    (words,) = rate_words.warnings(series(losses(by_rate)))
    assert words.startswith(said)


@pytest.mark.parametrize(
    "by_rate",
    [
        {1: [3.2], 2: [3.0], 4: [3.1]},
        {1: [3.2], 2: [3.0], 4: [INF := float("inf")]},
        {2: [3.0]},
        {1: [3.0, 3.2], 2: [3.05, 3.15], 4: [3.2, 3.0]},
        {1: [INF], 2: [INF]},
    ],
)
def test_what_is_inside_flat_or_untuned_is_not_flagged_as_an_edge(by_rate):
    assert rate_words.warnings(series(losses(by_rate))) == []


def test_series_are_named_by_what_tells_them_apart():
    both = [ladder(-1.0, parametrization="standard"), ladder(0.0, parametrization="mup", base_width=64.0)]
    assert [one.name for one in series(pd.concat(both))] == ["mup", "standard"]
    budgets = pd.concat([ladder(D=1e6), ladder(D=2e6)])
    assert [one.name for one in series(budgets)] == ["D = 1M", "D = 2M"]
    decays = pd.concat([ladder(weight_decay=0.1), ladder(weight_decay=0.0)])
    assert {one.name for one in series(decays)} == {"weight decay 0", "weight decay 0.1"}


def test_architectures_are_series_of_their_own_whatever_their_sizes():
    linear = ladder(0.0).assign(architecture="linear", N=lambda t: 100 * t["N"], width=np.nan)
    both = pd.concat([ladder(-1.0, architecture="transformer"), linear], ignore_index=True)
    assert [(one.name, one.axis, len(one.sweeps)) for one in series(both)] == [
        ("transformer", "N", 4),
        ("linear", "N", 4),
    ]
    assert "Runs of architecture linear and transformer are fitted as one law" in rate_words.mixture(both)[0]
    assert rate_words.mixture(linear) == []


def test_budgets_that_grow_with_size_are_one_series():
    table = ladder()
    (one,) = series(table.assign(D=20 * table["N"]))
    assert len(one.sweeps) == 4 and one.trend is not None
    two = series(pd.concat([table.assign(D=20 * table["N"]), table.assign(D=80 * table["N"])]))
    assert [some.name for some in two] == ["D = 20 N", "D = 80 N"]


def test_size_is_width_or_depth_or_n_whichever_differs():
    (deep,) = series(pd.concat([swept(depth=d, N=1e5 * d) for d in (2.0, 4.0)]))
    assert deep.axis == "depth" and deep.sizes.tolist() == [2, 4]
    (plain,) = series(ladder().drop(columns="width"))
    assert plain.axis == "N" and plain.trend is not None
    assert series(ladder().drop(columns=["width", "N"])) == []
    assert series(ladder().drop(columns="lr")) == []


def test_where_restricts_the_sweeps():
    (one,) = series(ladder(), "width > 20")
    assert one.sizes.tolist() == [32, 64, 128]


def test_kinds_fitted_as_one_law_are_named():
    table = pd.concat([ladder(parametrization="standard"), ladder(parametrization="mup")])
    assert rate_words.mixture(table)[0].startswith(
        "Runs of parametrization mup and standard are fitted as one law"
    )
    assert rate_words.mixture(table[table["parametrization"] == "mup"]) == []
    apart = table[(table["parametrization"] == "mup") == (table["width"] > 40)]
    assert rate_words.mixture(apart) == [] and rate_words.mixture(table.drop(columns="parametrization")) == []
