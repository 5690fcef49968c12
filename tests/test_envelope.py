"""Approach 1: the lower envelope by runs, on tables and on training curves, and what it refuses."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from budgeted import SYMMETRIC, isoflop_runs

from analysis.classical.envelope import envelope
from analysis.errors import InputError
from analysis.frontier import Cost, Frontier


def curves(sizes=31, points=40, lo=1e16, hi=1e20, seed=None, noise=0.0):
    """Training curves at a constant ratio of loss to its law: each size's loss on the way, C from lo to hi."""
    rng = np.random.default_rng(seed)
    rows = []
    for number, N in enumerate(np.geomspace(*Frontier(SYMMETRIC, Cost()).N_opt([lo / 4, hi * 4]), sizes)):
        C = np.geomspace(lo, hi, points)
        D = C / 6 / N
        L = SYMMETRIC(N=np.full(points, N), D=D) * np.exp(noise * rng.standard_normal())
        rows.append(pd.DataFrame({"run_id": f"run{number}", "N": N, "D": D, "C": C, "L": L}))
    return pd.concat(rows, ignore_index=True)


def test_symmetric_law_is_recovered_from_a_table_of_dense_sizes():
    frame = isoflop_runs(computes=np.geomspace(1e17, 1e20, 13), sizes=61, reach=10)
    found = envelope(frame, replicates=0)
    # the best size is one of those trained, here the true one; its neighbours are 8 per cent away
    assert found.a[0] == pytest.approx(0.5, abs=1e-6)
    assert float(found.N.at(1e21)) == pytest.approx(float(Frontier(SYMMETRIC, Cost()).N_opt(1e21)), rel=1e-3)
    assert len(found.points) == 13


def test_symmetric_law_is_recovered_from_training_curves():
    found = envelope(curves(), replicates=0)
    gap = np.log(curves()["N"].unique())[1] - np.log(curves()["N"].unique())[0]
    # N_opt is known to half a gap of the sizes at 17 computes over four decades
    assert found.a[0] == pytest.approx(0.5, abs=gap / np.log(1e4))
    assert found.a[0] + found.b[0] == pytest.approx(1, abs=1e-9)  # C = 6 N D holds at every point of a curve


def test_curves_are_read_at_the_middle_of_the_bins():
    found = envelope(curves(points=400), bins=2, replicates=0)
    C = np.array([point.C for point in found.points])
    np.testing.assert_allclose(np.diff(np.log10(C)), 0.5, rtol=1e-9)
    for point in found.points:
        # between two of 400 points a curve is straight to 1e-5
        loss, spent = point.L, 6 * point.N * point.D
        assert loss == pytest.approx(float(SYMMETRIC(N=point.N, D=point.D)), rel=1e-5)
        assert spent == pytest.approx(point.C, rel=1e-9)


def test_curves_are_not_extrapolated():
    frame = curves()
    short = frame["run_id"] == "run15"
    frame = frame[~short | (frame["C"] < 1e17)].reset_index(drop=True)
    found = envelope(frame, replicates=0)
    size = frame.loc[frame["run_id"] == "run15", "N"].iloc[0]
    assert all(point.C < 1e17 for point in found.points if np.isclose(point.N, size))


def test_edges_are_named_and_not_used():
    frame = isoflop_runs(computes=np.geomspace(1e17, 1e20, 4), sizes=9, reach=6)
    low, high = frame["C"] == frame["C"].min(), frame["C"] == frame["C"].max()
    best = Frontier(SYMMETRIC, Cost()).N_opt(frame["C"])
    kept = ~(low & (frame["N"] < 0.99 * best)) & ~(high & (frame["N"] > 1.01 * best))
    more = isoflop_runs(computes=[3e18], sizes=9, reach=6)
    found = envelope(pd.concat([frame[kept], more], ignore_index=True), replicates=0)
    assert [item.reason.split(" of")[0] for item in found.refused] == ["the smallest", "the largest"]
    assert all("an edge" in item.reason for item in found.refused)
    assert len(found.points) == 3


def test_optimum_always_at_an_edge_is_refused():
    frame = isoflop_runs(computes=np.geomspace(1e17, 1e20, 4), sizes=9, reach=6, centre=10)
    with pytest.raises(InputError, match="4 bins have their smallest or largest size as the best"):
        envelope(frame)


def test_two_winning_sizes_are_too_few():
    frame = curves(sizes=4)
    with pytest.raises(InputError, match=r"2 sizes win .* needs 3 winners"):
        envelope(frame, replicates=0)


def test_a_run_has_one_size():
    frame = curves()
    frame.loc[3, "N"] *= 2
    with pytest.raises(InputError, match="a run has one size"):
        envelope(frame)


def test_bins_must_be_whole():
    with pytest.raises(InputError, match="bins is 0"):
        envelope(curves(), bins=0)


def test_whole_runs_are_resampled():
    frame = curves(seed=0, noise=0.003)
    found = envelope(frame, replicates=200)
    assert found.method == "resampling 31 runs or clusters of runs"
    assert found.a[1].lo < found.a[1].hi
    again = envelope(frame, replicates=200)
    np.testing.assert_array_equal(found.N.slopes, again.N.slopes)
    other = envelope(frame, replicates=200, seed=1)
    assert not np.array_equal(found.N.slopes, other.N.slopes)


def test_replicate_of_every_run_is_the_estimate():
    """A replicate in which no run is missing is the envelope itself: of three runs at each compute, many are."""
    from analysis.classical import envelope as module

    frame = curves(sizes=12)
    runs = module._runs(frame, "auto", 4, "auto")
    found = module._lines(runs, module._winners(runs, np.ones((1, 12), dtype=bool)))
    plain = envelope(frame, replicates=0)
    assert found[1][0, 0] == plain.N.slope
    without = np.ones((1, 12), dtype=bool)
    without[0, 5] = False
    left_out = envelope(frame[frame["run_id"] != "run5"].reset_index(drop=True), replicates=0)
    assert module._lines(runs, module._winners(runs, without))[1][0, 0] == pytest.approx(
        left_out.N.slope, rel=1e-12
    )


def test_change_of_units_moves_only_the_coefficients():
    frame = curves(seed=0, noise=0.003)
    plain = envelope(frame, replicates=0)
    moved = envelope(
        frame.assign(N=frame["N"] / 1e6, C=frame["C"] * 1e-15, L=frame["L"] / np.log(2)), replicates=0
    )
    assert moved.N.slope == pytest.approx(plain.N.slope, rel=1e-9)
    assert float(moved.N.at(1e6)) == pytest.approx(float(plain.N.at(1e21)) / 1e6, rel=1e-8)


@pytest.mark.parametrize(("answers", "given"), [(49, False), (50, True)])
def test_interval_is_given_where_half_the_replicates_have_an_answer(answers, given):
    found = envelope(curves(), replicates=100)
    slopes = np.where(np.arange(100) < answers, found.N.slope + 1e-3 * np.arange(100), np.nan)
    fewer = replace(found, N=replace(found.N, slopes=slopes))
    assert np.isfinite(fewer.a[1].lo) == np.isfinite(fewer.a[1].hi) == given
    words = "the intervals are of the others" if given else "no interval is given, which needs 50% of them"
    assert fewer.told() == (f"{100 - answers} of 100 replicates have no answer; {words}",)
