import numpy as np
import pytest
from known import simulated, wide

from analysis.fitting import fit
from analysis.holdout import rolling_origin


def test_rows_beyond_the_cut_are_predicted_from_those_below():
    runs = wide(0.002)
    C = 6 * runs.N * runs.D
    for cut in rolling_origin(runs, fit(runs), replicates=50):
        assert cut.cut == pytest.approx(C.max() / cut.factor)
        assert cut.fitted == (cut.cut >= C).sum()
        assert cut.held_out == (cut.cut < C).sum()


def test_law_that_holds_foretells_larger_runs_and_beats_the_naive_forecasts():
    runs = wide(0.002)
    for cut in rolling_origin(runs, fit(runs), replicates=100):
        assert cut.mean_error < 0.01  # noise of 0.002, and a factor of 30 beyond the runs
        assert abs(cut.bias) <= cut.mean_error <= cut.max_error
        assert min(cut.skill.values()) > 0.5
        assert set(cut.skill) == {"last value", "power of C", "power of N and D"}


def test_held_out_losses_do_not_move_their_own_prediction():
    runs = wide(0.002)
    C = 6 * runs.N * runs.D
    moved = runs.assign(L=np.where(C.max() / 3 < C, 2 * runs.L, runs.L))
    (cut,) = rolling_origin(moved, fit(runs), factors=[3.0], replicates=20)
    assert cut.bias == pytest.approx(-0.5, abs=0.01)
    assert cut.coverage == 0


def test_cut_with_too_few_rows_is_skipped_with_the_reason():
    N = np.geomspace(1e5, 1e9, 8)
    runs = simulated(N, 20 * N**1.1, 0.01)
    (cut,) = rolling_origin(runs, fit(runs), factors=[1e6])
    assert "rows at or below the cut; 6 are needed" in cut.skipped
    assert np.isnan(cut.mean_error)


def test_table_without_compute_is_skipped_with_the_reason():
    runs = wide(0.01).rename(columns={"N": "size"})
    cuts = rolling_origin(runs, fit(runs, "power", x="size"))
    assert all("neither C nor N and D" in cut.skipped for cut in cuts)


def test_law_of_one_column_is_held_out_by_compute_too():
    runs = wide(0.01)
    (cut,) = rolling_origin(runs, fit(runs, "power", x="D"), factors=[10.0], replicates=20)
    assert not cut.skipped
    assert set(cut.skill) == {"last value", "power of C", "power of D"}
