"""Tables: what is written is read back, and what is no table is refused by file, column and row."""

import math

import pandas as pd
import pytest

from scaling.plan import Recipe, branches
from scaling.results import row
from scaling.spec import Data, Model, Optim
from scaling.table import COLUMNS, TableError, read, sha256, write


def test_a_table_is_read_back_as_written_with_missing_as_missing(tmp_path):
    rows = [
        {"run_id": "000012", "N": 10, "D": 1e6, "L": 2.123456789012345, "status": "done", "mine": 7},
        {"run_id": "1e5", "N": 20, "D": 1e6, "status": "diverged"},
    ]
    write(rows, tmp_path / "table.csv")
    table = read(tmp_path / "table.csv")
    assert list(table["run_id"]) == ["000012", "1e5"]  # not numbers
    assert table["L"][0] == rows[0]["L"]
    assert math.isnan(table["L"][1])
    assert table["N"].dtype == "float64"
    assert table["mine"][0] == 7


def test_a_row_says_how_its_run_was_trained_in_columns_that_are_explained():
    recipe = Recipe(data=Data(context=32), optim=Optim(name="lion", batch_tokens=256), schedule="constant")
    (run,) = branches(Model(context=32, parametrization="mup", objective="masked"), [1e4], recipe, seed=3)
    found = row(run, {"diverged": None, "status": "done", "measured": {}}, None)
    assert set(found) <= set(COLUMNS)
    expected = {
        **{
            "optimizer": "lion",
            "weight_decay_kind": "decoupled",
            "parametrization": "mup",
            "objective": "masked",
        },
        **{
            "decay_shape": "none",
            "decay_to": 0.0,
            "decayed": False,
            "init_scale": 1.0,
            "seed": 3,
            "data_seed": 3,
        },
    }
    assert {name: found[name] for name in expected} == expected


def test_parquet_and_csv_give_the_same_table(tmp_path):
    frame = pd.DataFrame({"N": [1.0, 2.0], "D": [3.0, 4.0], "L": [5.0, float("nan")]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(read(tmp_path / "t.csv"), read(tmp_path / "t.parquet"))


def test_columns_are_renamed_and_a_namesake_gives_way(tmp_path):
    (tmp_path / "t.csv").write_text("params,tokens,loss,N\n1,2,3,99\n")
    table = read(tmp_path / "t.csv", {"N": "params", "D": "tokens", "L": "loss"})
    assert table[["N", "D", "L"]].iloc[0].tolist() == [1, 2, 3]


def test_the_hash_is_of_the_file(tmp_path):
    (tmp_path / "t.csv").write_text("N,D,L\n1,2,3\n")
    before = sha256(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("N,D,L\n1,2,3.1\n")
    assert sha256(tmp_path / "t.csv") != before


@pytest.mark.parametrize(
    ("text", "columns", "said"),
    [
        ("", {}, "is empty"),
        ("N,D,L\n", {}, "holds no rows"),
        ("N,D,L\n1,2,low\n", {}, r"row 1: L is 'low', not a number"),
        ("N,D,L\n1,2,3\n1,2,3,4,5\n", {}, "cannot be read as a table"),
        ("N,D,L,L\n1,2,3,4\n", {}, "several columns L; rename or drop all but one"),
        ("N;D;L\n1,5;2;3\n", {}, "separated by semicolons; the separator must be a comma"),
        ("a,b\n1,2\n", {"N": "params"}, r"no column 'params' \(asked for as N\); its columns are: a, b"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, text, columns, said):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(TableError, match=said):
        read(tmp_path / "t.csv", columns)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(TableError, match="no table at"):
        read(tmp_path / "none.csv")
    with pytest.raises(TableError, match="is a folder"):
        read(tmp_path)


def test_bytes_that_are_no_parquet_are_refused(tmp_path):
    (tmp_path / "t.parquet").write_bytes(b"not parquet")
    with pytest.raises(TableError, match="cannot be read as a table"):
        read(tmp_path / "t.parquet")


def test_a_parquet_file_with_two_columns_of_one_name_is_refused(tmp_path):
    import pyarrow
    import pyarrow.parquet

    columns = [pyarrow.array([1.0, 2.0])] * 4
    pyarrow.parquet.write_table(pyarrow.table(columns, names=["N", "D", "L", "L"]), tmp_path / "t.parquet")
    with pytest.raises(TableError, match=r"several columns L|cannot be read as a table .*L"):
        read(tmp_path / "t.parquet")
