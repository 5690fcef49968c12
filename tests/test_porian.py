"""Porian et al. 2024 (arXiv 2406.19146): fifteen exponents of N_opt ~ C^a with their 95 % intervals."""

import functools

import numpy as np
import pandas as pd
import pytest
from budgeted import isoflop_runs
from known import needs_reference_data, reference

from analysis.classical.akima import Spline, noise_between, spline, splines
from analysis.classical.allocation import Refused, line
from analysis.classical.budgets import by_column, by_compute
from analysis.errors import InputError
from analysis.frontier import Cost

# Their public code (formll/resolving-scaling-law-discrepancies) adds noise of one level to every loss: its thresholds
# in the loss, between which the level was to rise, are compared with log losses, which never reach them.
NOISE = {"rw": 0.002, "owt2": 0.01}
KEYS = ["source_file", "label"]
LABELS = {
    "summary_df": (
        "Reproducing Kaplan et al.", "Counting last layer FLOPs", "Correcting warmup", "Cosine decay",
        "Optimizer tuning (no decay)",
    ),
    "summary_df_owt2": (
        "Reproducing Kaplan et al.", "Counting last layer FLOPs", "Correcting warmup", "Cosine decay",
        "Optimizer tuning (no decay)",
    ),
    "summary_df_att": (
        "att: Counting last layer and attention FLOPs", "att: Correcting warmup", "att: Cosine decay",
        "att: Optimizer tuning (no decay)",
    ),
    "summary_df_kaplan_tuned_hparams": ("Kaplan Adjusted",),
}  # fmt: skip
FIFTEEN = [(source, label) for source, labels in LABELS.items() for label in labels]


class TheirStream:
    """Their random numbers: NumPy's legacy generator at seed 42, each budget drawn once for N and once more for D."""

    def __init__(self):
        self.state = np.random.RandomState(42)

    def standard_normal(self, shape):
        drawn = self.state.normal(0, 1, shape)
        self.state.normal(0, 1, shape)
        return drawn


@functools.cache
def tables():
    fits = pd.read_csv(reference("porian_published_fits.csv"))
    published = fits[fits["which"] == "bs_median_weighted"].set_index(KEYS)
    return (
        pd.read_csv(reference("porian_isoflop.csv")),
        pd.read_csv(reference("porian_optimal_pairs.csv")),
        published,
    )


@functools.cache
def redrawn():
    """The splines of every experiment from the raw losses and their stream, which goes on within a file."""
    found = {}
    for source, labels in LABELS.items():
        stream = TheirStream()
        for label in labels:
            rows = tables()[0].query("source_file == @source and label == @label").reset_index(drop=True)
            noise = NOISE[rows["dataset"].iloc[0]]
            tried = [spline(budget, noise, 1000, stream) for budget in by_column(rows, "C")]
            found[source, label] = [item for item in tried if isinstance(item, Spline)]
    return found


@needs_reference_data
@pytest.mark.parametrize("key", FIFTEEN, ids="/".join)
def test_published_optima_give_the_published_exponent(key):
    pairs = tables()[1].set_index(KEYS).sort_index().loc[key].dropna()
    C, N, error = (pairs[name].to_numpy() for name in ("flops", "n_star", "n_star_logstd"))
    # the same weighted least squares: the digits of a double
    assert float(line(np.log(C), np.log(N), error**-2.0)[1]) == pytest.approx(
        tables()[2].loc[key, "n_exponent"], abs=1e-12
    )


@needs_reference_data
@pytest.mark.parametrize("key", FIFTEEN, ids="/".join)
def test_raw_losses_with_their_random_numbers_give_the_published_exponent_and_interval(key):
    found, published = redrawn()[key], tables()[2].loc[key]
    x, weights = np.log([item.C for item in found]), np.array([item.error for item in found]) ** -2.0
    exponent = line(x, np.log([item.N_opt for item in found]), weights)[1]
    assert float(exponent) == pytest.approx(published["n_exponent"], abs=1e-12)
    # they drop redrawings without a minimum, so that the i-th of two budgets need not be one drawing, and take as many
    # as the experiment's shortest list of N, D and D/N has
    kept = [item.optima[np.isfinite(item.optima)][: int(published["n_boot"])] for item in found]
    replicated = line(x, np.stack(kept, axis=1), weights)[1]
    ends = published[["n_exponent_ci95_lo", "n_exponent_ci95_hi"]].to_list()
    assert np.quantile(replicated, [0.025, 0.975]).tolist() == pytest.approx(ends, abs=1e-12)


@needs_reference_data
@pytest.mark.parametrize("key", FIFTEEN, ids="/".join)
def test_raw_losses_with_other_random_numbers_agree_within_a_tenth_of_the_interval(key):
    rows = tables()[0].query("source_file == @key[0] and label == @key[1]").reset_index(drop=True)
    found = splines(Cost(), by_column(rows, "C"), noise=NOISE[rows["dataset"].iloc[0]], level=0.95)
    published = tables()[2].loc[key]
    lo, hi = published["n_exponent_ci95_lo"], published["n_exponent_ci95_hi"]
    # medians of 1000 redrawings move by a few hundredths of an interval's width, its ends by a tenth
    assert found.a[0] == pytest.approx(published["n_exponent"], abs=0.1 * (hi - lo))
    assert (found.a[1].lo, found.a[1].hi) == pytest.approx((lo, hi), abs=0.1 * (hi - lo))


def test_splines_of_dense_sizes_find_the_symmetric_optimum():
    frame = isoflop_runs(computes=np.geomspace(1e17, 1e20, 4), sizes=41, reach=10)
    found = splines(Cost(), by_compute(frame), noise=0.0, replicates=2)
    # a grid of 25 points a gap of log(100) / 40 is 0.0046 wide, over four budgets a decade apart
    assert found.a[0] == pytest.approx(0.5, abs=0.001)


@pytest.mark.parametrize("noise", [0.002, 0.01])
def test_noise_between_neighbours_is_that_of_the_runs(noise):
    frame = isoflop_runs(computes=np.geomspace(1e17, 1e20, 10), sizes=21, reach=6)
    frame["L"] += noise * np.random.default_rng(0).standard_normal(len(frame))
    # 180 windows of four rows, and a median: 12 per cent
    assert noise_between(by_compute(frame)) == pytest.approx(noise, rel=0.2)


def test_noise_between_neighbours_of_a_parabola_is_none():
    frame = isoflop_runs(computes=[1e18], sizes=9, reach=6)
    frame["L"] = 2 + 0.1 * np.log(frame["N"] / 3e7) ** 2
    assert noise_between(by_compute(frame)) == pytest.approx(0, abs=1e-12)
    assert np.isnan(noise_between(by_compute(frame[:3])))


def test_spline_whose_least_is_at_an_end_is_refused():
    frame = isoflop_runs(computes=[1e18], sizes=7, reach=4)
    frame["L"] = np.linspace(3, 2, 7)
    found = spline(by_compute(frame)[0], 0.001, 100, np.random.default_rng(0))
    assert isinstance(found, Refused)
    assert "in 0% of 100 redrawings" in found.reason


@pytest.mark.parametrize("noise", [-0.1, float("nan"), float("inf")])
def test_noise_must_be_a_standard_deviation(noise):
    frame = isoflop_runs(computes=[1e18, 1e19], sizes=7, reach=4)
    with pytest.raises(InputError, match="standard deviation"):
        splines(Cost(), by_compute(frame), noise=noise)


def test_splines_of_one_budget_are_no_line():
    frame = isoflop_runs(computes=[1e18], sizes=7, reach=4)
    with pytest.raises(InputError, match="1 of 1 compute budgets has a spline with a minimum"):
        splines(Cost(), by_compute(frame), noise=0.001)
