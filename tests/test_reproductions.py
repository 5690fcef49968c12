"""Published results, refitted from the reference data."""

import numpy as np
import pytest
from known import needs_reference_data, reference

from analysis.fitting import fit
from analysis.laws import OverTrained
from analysis.solver.objective import SquaredRaw
from scaling import table

pytestmark = needs_reference_data


@pytest.fixture(scope="module")
def gadre():
    """Gadre et al. 2024's runs on RedPajama: N is all parameters, the loss is that on C4's validation split, and the
    error is the mean over 17 tasks."""
    runs = table.read(reference("overtrained.csv"))
    runs = runs[runs["dataset"] == "rpj"]
    return runs.assign(N=runs["N_total"], L=runs["loss_c4_val"], error=runs["err_avg_subset"])


LONGEST = "N < 2e7 and chinchilla_multiplier == 16"
FIVE = f"N < 1e9 and chinchilla_multiplier == 1 or {LONGEST}"
SIX = f"N < 2e9 and chinchilla_multiplier == 1 or {LONGEST}"


def held_out(runs, model, multiplier):
    (row,) = runs[(runs["model"] == model) & (runs["chinchilla_multiplier"] == multiplier)].to_dict("records")
    return row


def test_gadres_law_of_the_loss_follows_from_five_small_runs(gadre):
    found = fit(gadre, "overtrained", objective=SquaredRaw(), where=FIVE)
    assert found.rows == 5
    coded = {name: float(value) for name, value in found.curve.as_coded().items()}
    # printed to so many digits
    assert coded == {
        "a": pytest.approx(166.21, abs=0.005),
        "b": pytest.approx(366.69, abs=0.005),
        "e": pytest.approx(-0.272851, abs=5e-7),
        "E": pytest.approx(1.836648, abs=5e-7),
    }


def test_gadres_law_of_the_error_follows_from_six_runs(gadre):
    found = fit(gadre, "error_exponential", objective=SquaredRaw(), where=SIX, y="error")
    assert found.rows == 6
    assert found.params == {
        "epsilon": pytest.approx(0.856992, abs=5e-7),
        "k": pytest.approx(2.20649, abs=5e-6),
        "gamma": pytest.approx(0.714591, abs=5e-7),
    }


@pytest.mark.parametrize(
    ("model", "multiplier", "of_loss", "of_error"),
    [("open_lm_1b", 32, 0.7103, 3.6365), ("open_lm_7b", 1, 0.7320, 0.0464)],
)
def test_gadres_held_out_errors_are_reached(gadre, model, multiplier, of_loss, of_error):
    loss = fit(gadre, "overtrained", objective=SquaredRaw(), where=FIVE).curve
    error = fit(gadre, "error_exponential", objective=SquaredRaw(), where=SIX, y="error").curve
    row = held_out(gadre, model, multiplier)
    L = loss(N=row["N"], D=row["D"])
    assert isinstance(loss, OverTrained)
    # percent, printed to four decimals
    assert 100 * abs(L / row["L"] - 1) == pytest.approx(of_loss, abs=5e-5)
    assert 100 * np.abs(error(L=L) / row["error"] - 1) == pytest.approx(of_error, abs=5e-5)
