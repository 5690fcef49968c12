import json

import numpy as np
import pandas as pd
import pytest

from analysis import annealing
from analysis.errors import InputError
from analysis.laws import Annealing

STEPS = np.arange(1, 2001)


def schedule(kind, peak=1e-3, warmup=100, total=2000):
    """Learning rates of steps 1, 2, ..."""
    rise = np.minimum(STEPS / warmup, 1)
    part = np.clip((STEPS - warmup) / (total - warmup), 0, 1)
    late = np.clip((STEPS - 0.8 * total) / (0.2 * total), 0, 1)
    fall = {"constant": 1 + 0 * part, "cosine": 0.5 + 0.5 * np.cos(np.pi * part), "late": 1 - 0.9 * late}
    return peak * rise * np.maximum(fall[kind], 0.01)


def curves(kinds=("constant", "cosine", "late"), every=1):
    parts = [pd.DataFrame({"run": kind, "step": STEPS, "lr": schedule(kind), "L": 1.0}) for kind in kinds]
    return pd.concat([part[every - 1 :: every] for part in parts], ignore_index=True)


def written_out(rates, decay):
    """The recursion as the paper states it, a step at a time."""
    momentum, S1, S2, found = 0.0, 0.0, 0.0, []
    before = rates[0]
    for rate in rates:
        momentum = decay * momentum + (before - rate)
        S1, S2, before = S1 + rate, S2 + momentum, rate
        found.append((S1, S2))
    return np.array(found).T


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["constant", "cosine", "late"])
def test_areas_are_the_recursion_step_by_step(kind, decay):
    table = annealing.areas(curves(), decay)
    found = table[table["run"] == kind]
    rates = schedule(kind)
    rates[: int(np.argmax(rates))] = rates.max()  # the warm-up counts as the peak
    S1, S2 = written_out(rates, decay)
    np.testing.assert_allclose(found["S1"], S1, rtol=1e-12)
    # sums of three runs are taken in one go
    np.testing.assert_allclose(found["S2"], S2, rtol=1e-9, atol=1e-12 * S2.max() + 1e-18)


def test_curves_logged_now_and_then_have_the_same_areas_where_rates_are_straight():
    whole = annealing.areas(curves(("late",)))
    thin = annealing.areas(curves(("late",), every=10))
    at = whole[whole["step"].isin(thin["step"])]
    for name in ("S1", "S2"):
        np.testing.assert_allclose(thin[name], at[name], rtol=1e-9, atol=1e-12)


def test_order_of_rows_does_not_matter_and_other_columns_stay():
    table = curves(every=50).assign(note="kept")
    shuffled = annealing.areas(table.sample(frac=1, random_state=0))
    pd.testing.assert_frame_equal(shuffled, annealing.areas(table))
    assert (shuffled["note"] == "kept").all()


@pytest.mark.parametrize("decay", [0.98, 0.998])
def test_law_and_memory_are_recovered_from_simulated_curves(decay):
    table = annealing.areas(curves(every=10), decay)
    truth = Annealing(2.0, 0.8, 0.4, 0.3 / table["S2"].max())
    noise = np.exp(1e-3 * np.random.default_rng(0).standard_normal(len(table)))
    table["L"] = truth(S1=table["S1"], S2=table["S2"]) * noise
    found = annealing.fit_curves(table.drop(columns=["S1", "S2"]), decays=(0.9, 0.98, 0.99, 0.998, 0.999))
    assert (found.decay, found.at_edge) == (decay, False)
    for name, value in truth.as_dict().items():
        # 600 rows of noise 1e-3: standard errors of E, alpha and B are below 0.5 %, of A below 1 %
        assert found.fit.params[name] == pytest.approx(value, rel=0.03), name


def test_shared_rows_make_areas_and_are_not_fitted():
    table = curves(every=10)
    table["shared"] = (table["run"] == "late") & (table["step"] <= 1600)
    found = annealing.fit_curves(table.assign(L=3 - 1e-4 * table["step"]), decays=(0.99,))
    assert found.fit.rows == (~table["shared"]).sum()


def test_curves_of_a_study_are_its_trunk_and_then_its_own(tmp_path):
    def log(folder, steps, rate):
        (tmp_path / folder).mkdir()
        lines = [json.dumps({"step": s, "tokens": s * 8, "loss": 3.0, "lr": rate}) + "\n" for s in steps]
        (tmp_path / folder / "metrics.jsonl").write_text("".join(lines) + '{"step": 99')

    log("trunk-t", [10, 20, 30, 40], 1e-3)
    log("r", [30, 40], 5e-4)
    table = annealing.read_study(tmp_path, pd.DataFrame({"run_id": ["r"], "trunk_id": ["t"], "N": [7.0]}))
    of_run = table[table["run"] == "r"]
    assert list(of_run["step"]) == [10, 20, 30, 40]
    assert list(of_run["shared"]) == [True, True, False, False]
    assert list(of_run["lr"]) == [1e-3, 1e-3, 5e-4, 5e-4]
    assert set(table["run"]) == {"trunk-t", "r"}


def test_folder_without_logs_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no metrics\.jsonl"):
        annealing.read_study(tmp_path, pd.DataFrame({"run_id": ["r"], "trunk_id": ["t"], "N": [7.0]}))


@pytest.mark.parametrize(
    ("change", "decay", "words"),
    [
        (lambda t: t.drop(columns="lr"), 0.9, "lr is missing"),
        (lambda t: t.assign(lr=-1.0), 0.9, "lr is -1"),
        (lambda t: t.assign(step=5), 0.9, "there twice"),
        (lambda t: t, 1.0, "decay is 1"),
    ],
)
def test_curves_that_mean_nothing_are_refused(change, decay, words):
    with pytest.raises(InputError, match=words):
        annealing.areas(change(curves(every=100)), decay)
