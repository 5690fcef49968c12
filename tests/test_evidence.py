"""What a fit is accompanied by, for laws with and without a floor of the loss."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from known import wide

from analysis import record
from analysis.evidence import no_floor, with_evidence
from analysis.fitting import fit
from analysis.laws import LAWS, Annealing, Exponent, Law
from analysis.laws.law import POWER_OF_A_COLUMN
from analysis.summary import summary


@dataclass(frozen=True)
class PurePower(Law):
    """A / x^alpha."""

    A: float
    alpha: float

    equation = "A / x^alpha"
    columns = ("x",)
    amplitudes = ("A",)
    exponents: ClassVar = {"alpha": POWER_OF_A_COLUMN}
    floor = None
    log_linear = True

    def __call__(self, **columns):
        (A, alpha), (x,) = self._outer(columns["x"])
        return A / x**alpha

    @staticmethod
    def log_basis(exponents, columns):
        return (-exponents["alpha"] * np.log(columns["x"]),)


@dataclass(frozen=True)
class Linked(Law):
    """E + A exp(slope L), an error of the loss."""

    E: float
    A: float
    slope: float

    equation = "E + A exp(slope L)"
    columns = ("L",)
    amplitudes = ("E", "A")
    exponents: ClassVar = {"slope": Exponent(lo=0.01, hi=3.0, count=14)}
    target = "y"

    def __call__(self, **columns):
        (E, A, slope), (L,) = self._outer(columns["L"])
        return E + A * np.exp(slope * L)

    @staticmethod
    def log_basis(exponents, columns):
        return 0.0, exponents["slope"] * columns["L"]


@pytest.fixture(autouse=True)
def _two_more_laws(monkeypatch):
    monkeypatch.setitem(LAWS, "pure_power", PurePower)
    monkeypatch.setitem(LAWS, "linked", Linked)


def small_evidence(runs, found):
    return with_evidence(runs, found, replicates=20)


@pytest.mark.parametrize("x", ["C", "D"])
def test_law_without_a_floor_goes_through_without_a_verdict(x):
    runs = wide(0.01)
    found, boot, combined = small_evidence(runs, fit(runs, "pure_power", x=x))
    assert combined is None
    assert found.identification == {"verdict": "no_floor", "reason": "This law has no floor."}
    assert not found.profile
    assert set(found.intervals) == {"A", "alpha"} == set(boot.law.as_dict())
    assert any(not cut["skipped"] for cut in found.holdout)
    assert "This law has no floor." in summary(found)


def test_law_of_another_target_says_nothing_of_a_floor_of_the_loss():
    runs = wide(0.01)
    runs["error"] = 0.1 + 0.05 * np.exp(0.4 * runs.L)
    found, _, combined = small_evidence(runs, fit(runs, "linked", y="error"))
    assert combined is None
    assert "of error and not of the loss L" in found.identification["reason"]
    assert "linked: error = " in summary(found)
    # exact rows: what larger runs are is foretold exactly
    assert all(cut["mean_error"] < 1e-6 for cut in found.holdout if not cut["skipped"])


def test_fit_without_a_floor_is_read_as_it_was_written(tmp_path):
    runs = wide(0.01)
    found, *_ = small_evidence(runs, fit(runs, "pure_power"))
    record.write(found, tmp_path / "fit.json")
    assert record.read(tmp_path / "fit.json").identification == found.identification


def test_law_with_a_floor_of_the_loss_gets_a_verdict():
    runs = wide(0.01)
    assert no_floor(fit(runs)) == ""
    assert no_floor(fit(runs, "power")) == ""


def test_a_law_that_takes_a_term_away_gets_no_verdict():
    S1, S2 = np.geomspace(1e3, 1e5, 30), np.tile([0.0, 10.0, 20.0], 10)
    losses = Annealing(E=2.0, A=10.0, alpha=0.5, B=0.05)(S1=S1, S2=S2)
    runs = pd.DataFrame({"S1": S1, "S2": S2, "L": losses})
    assert "not bounded by the losses seen" in no_floor(fit(runs, "annealing"))


def collinear():
    N = np.geomspace(1e7, 1e9, 12)
    noise = np.random.default_rng(0).standard_normal(12)
    losses = (1.7 + 400 / N**0.34 + 400 / (20 * N) ** 0.28) * np.exp(0.003 * noise)
    return pd.DataFrame({"N": N, "D": 20 * N, "L": losses})


def one_size():
    D = np.geomspace(1e8, 1e11, 14)
    noise = np.random.default_rng(0).standard_normal(14)
    losses = (1.7 + 400 / 1e8**0.34 + 400 / D**0.28) * np.exp(0.003 * noise)
    return pd.DataFrame({"N": 1e8, "D": D, "L": losses})


@pytest.mark.parametrize(
    ("runs", "why"),
    [(collinear, "alpha and beta cannot be told apart"), (one_size, "the term with A is the same")],
)
def test_a_design_that_does_not_split_the_loss_has_no_frontier_and_says_why(runs, why):
    table = runs()
    found, *_ = with_evidence(table, fit(table), replicates=20, laws=(), truths=0)
    assert why in found.frontier["withheld"]
    text = " ".join(summary(found).split())
    assert "no compute-optimal frontier: the split of compute is not determined by these runs" in text
    assert "this law does not fit" not in text
    assert text.count("AN EQUALLY GOOD FIT is") <= 2
    outside = [n for n, v in found.params.items() if not ends_hold(found.intervals[n], v)]
    assert outside and f"{', '.join(outside)}: the value is outside its interval" in text


def ends_hold(interval, value):
    return interval["lo"] <= value * (1 + 1e-9) and value <= interval["hi"] * (1 + 1e-9)


def test_a_design_that_splits_the_loss_has_a_frontier():
    runs = wide(0.003)
    found, *_ = with_evidence(runs, fit(runs), replicates=20, laws=(), truths=0)
    assert "withheld" not in found.frontier and "N_exponent" in found.frontier
