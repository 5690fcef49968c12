"""What looks wrong in a table is refused or told, by row and with a remedy; nothing is left out in silence."""

import numpy as np
import pandas as pd
import pytest
from known import chinchilla_ratio, wide

from analysis import record
from analysis.errors import InputError
from analysis.fitting import fit
from analysis.laws import Annealing
from analysis.plausibility import below_floor
from scaling.table import loss_units, read

NOISE = 0.003


def named_runs() -> pd.DataFrame:
    return wide(NOISE).assign(run_id=[f"r{i}" for i in range(35)])


def test_identical_rows_are_kept_once_and_named():
    runs = wide(NOISE)
    found = fit(pd.concat([runs, runs.iloc[[3, 3, 5]]], ignore_index=True))
    assert found.params == fit(runs).params
    told = [(row.row, row.reason) for row in found.excluded]
    assert told == [
        ("row 36", "duplicate of row 4"), ("row 37", "duplicate of row 4"), ("row 38", "duplicate of row 6")
    ]  # fmt: skip


def test_rows_that_differ_in_any_column_are_no_duplicates():
    runs = pd.concat([wide(NOISE).assign(seed=0), wide(NOISE).assign(seed=1)], ignore_index=True)
    assert fit(runs).rows == 70


def test_missing_values_do_not_make_rows_different():
    runs = wide(NOISE).assign(lr=np.nan)
    assert fit(pd.concat([runs, runs.iloc[:1]], ignore_index=True)).rows == 35


def test_one_run_with_two_losses_is_refused():
    runs = named_runs()
    again = runs.iloc[[4]].assign(L=3.0)
    with pytest.raises(InputError, match=r"run_id r4 has rows of L = .* and 3 "):
        fit(pd.concat([runs, again], ignore_index=True))


def test_one_run_of_two_sizes_is_refused():
    runs = named_runs()
    runs.loc[30, "run_id"] = "r0"
    with pytest.raises(InputError, match=r"run_id r0 has rows of N = 100000 and 1e\+09"):
        fit(runs)


def test_several_rows_of_a_run_are_told():
    runs = named_runs()
    runs["run_id"] = [f"N{n:.0f}" for n in runs.N]
    (words,) = fit(runs).warnings
    assert words.startswith("7 runs have several rows (up to 5)")
    assert "--clusters run_id" in words


def with_value(column: str, value: float, rows=(2, 9, 11, 20)) -> pd.DataFrame:
    runs = named_runs()
    runs.loc[list(rows), column] = value
    return runs


@pytest.mark.parametrize(
    ("column", "value"), [("L", np.inf), ("L", -1.0), ("N", np.inf), ("N", np.nan), ("D", 0.0)]
)
def test_infinite_and_impossible_values_are_refused_by_row(column, value):
    with pytest.raises(InputError, match=f"{column} is {value} in r2, r9, r11 and 1 more rows"):
        fit(with_value(column, value))


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        (lambda: wide(NOISE).assign(N=lambda t: t.N / 1e6), "N is below 100 in row 1"),
        (lambda: wide(NOISE).assign(D=lambda t: t.D / 1e6), "D is less than a thousandth of N"),
        (lambda: wide(NOISE).assign(L=lambda t: np.exp(t.L)), "if it is perplexity"),
        (lambda: wide(NOISE).assign(C=lambda t: t.N * t.D / 1e9), "times 6 N D in row 1"),
        (lambda: wide(NOISE)[lambda t: t.N < 1e6], "N has two distinct values"),
        (lambda: chinchilla_ratio(NOISE), "D is 20 N in every run"),
        (
            lambda: wide(NOISE)[lambda t: t.N == 1e5].assign(L=lambda t: t.L + 0.01 * t.index),
            "N is 100000 in",
        ),
    ],
)
def test_what_looks_wrong_is_told_and_fitted(runs, words):
    table = runs().reset_index(drop=True)
    assert any(words in warning for warning in fit(table).warnings)


def test_table_that_looks_right_has_no_warning():
    assert fit(wide(NOISE)).warnings == ()


def test_loss_below_the_fitted_floor_is_named():
    runs = with_value("L", 0.9, rows=(20,))
    (words,) = fit(runs).warnings
    assert words.startswith("L is below the fitted floor of 1.")
    assert "in r20:" in words


def test_warnings_survive_json(tmp_path):
    found = fit(chinchilla_ratio(NOISE))
    record.write(found, tmp_path / "fit.json")
    assert record.read(tmp_path / "fit.json").warnings == found.warnings != ()


def test_law_without_its_columns_says_which_and_how():
    runs = wide(NOISE).rename(columns={"N": "params", "D": "tokens"})
    with pytest.raises(
        InputError, match=r"takes N, D, L, and the table has no column N, D; .*N=theirs D=theirs"
    ):
        fit(runs)


# Units.


def written(tmp_path, runs):
    path = tmp_path / "table.csv"
    runs.to_csv(path, index=False)
    return read(path)


@pytest.mark.parametrize("column", ["unit", "units", "loss_unit", "L_unit"])
def test_losses_in_bits_are_read_as_nats(tmp_path, column):
    runs = wide(NOISE)
    theirs = written(tmp_path, runs.assign(L=runs.L / np.log(2), **{column: "bits/token"}))
    found = fit(theirs)
    assert found.params["E"] == pytest.approx(fit(runs).params["E"], rel=1e-6)  # one rounding in the CSV
    assert found.conventions["L"] == f"nats per token, converted from bits, as column {column} says"


def test_mixed_units_are_refused_by_row(tmp_path):
    theirs = written(tmp_path, named_runs().assign(unit=["nats"] * 30 + ["bits"] * 5))
    with pytest.raises(InputError, match=r"2 units .*nats per token in r0.*bits per token in r30"):
        fit(theirs)
    assert fit(theirs, where="unit == 'nats'").rows == 30
    with pytest.raises(InputError, match=r"multiply it by 0\.693147"):
        fit(theirs, where="unit == 'bits'")


def test_perplexity_is_refused_and_bits_per_byte_are_said(tmp_path):
    with pytest.raises(InputError, match="take its logarithm"):
        fit(written(tmp_path, wide(NOISE).assign(unit="ppl")))
    found = fit(written(tmp_path, wide(NOISE).assign(unit="bits_per_byte")))
    assert found.conventions["L"].startswith("bits per byte (and so is the floor)")


def test_column_that_speaks_of_something_else_is_no_unit():
    assert loss_units(wide().assign(unit="GPU hours")) is None


def test_a_law_that_takes_a_term_away_may_go_below_its_floor():
    S1, S2 = np.geomspace(1e3, 1e5, 30), np.tile([0.0, 10.0, 20.0], 10)
    frame = pd.DataFrame({"S1": S1, "S2": S2})
    law = Annealing(E=2.0, A=10.0, alpha=0.5, B=0.05)
    frame["L"] = law(S1=S1, S2=S2)
    assert frame.L.min() < law.E
    assert below_floor(frame, law, "L") == []
