"""Every law goes the whole way by the command line: fit, evidence, text, fit.json and back, a prediction, and, where it
has a floor of the loss, the limit."""

import json

import numpy as np
import pytest
from known import wide

from analysis import record
from analysis.__main__ import main
from analysis.evidence import no_floor
from analysis.laws import LAWS

# 20 refits and no measured coverage: what is tested is that every part runs, and how good it is elsewhere.
FAST = ["--replicates", "20", "--coverage", "0", "--admit", "hoffmann"]
POINT = [
    "--N",
    "2e9",
    "--D",
    "2e12",
    "--C",
    "2.4e22",
    "--also",
    "D_unique=1e12",
    "S1=2e5",
    "S2=20",
    "L=2.0",
    "w=0.1",
]
COLUMN_OF = {"covariate": "w", "loss_to_loss": "L"}
"""Column x of a law, where that is not C."""
TARGETS = {"error_exponential": "error", "error_sigmoid": "error", "loss_to_loss": "other"}
"""What a law is of, where that is any column."""
SLOW = ("saturating", "broken", "broken_twice", "farseer", "data_constrained", "covariate")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Runs with every column that a law takes: repeated data, areas under the learning rate, an error, a covariate."""
    rng = np.random.default_rng(1)
    runs = wide(0.003)
    runs["C"] = 6 * runs.N * runs.D
    runs["D_unique"] = runs.D / np.tile([1, 1, 2, 4, 8], 7)
    runs["S1"] = np.sqrt(runs.D) / 10
    runs["S2"] = np.tile([0.0, 1.0, 2.0, 5.0, 10.0], 7)
    runs["w"] = rng.uniform(-1, 1, len(runs))
    runs["error"] = 0.85 - 0.9 * np.exp(-0.4 * runs.L)
    runs["other"] = 0.3 + 1.1 * (runs.L - 0.4) ** 0.9  # the loss on another corpus
    path = tmp_path_factory.mktemp("laws") / "table.csv"
    runs.to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    "law", [pytest.param(law, marks=pytest.mark.slow if law in SLOW else ()) for law in LAWS]
)
def test_law_goes_the_whole_way(law, table, tmp_path, capsys):
    kind = LAWS[law]
    out = tmp_path / "fit.json"
    (tmp_path / "table.csv").write_bytes(table.read_bytes())
    asked = [
        "--law",
        law,
        "--x",
        COLUMN_OF.get(law, "C"),
        *(["--y", TARGETS[law]] if kind.target == "y" else []),
    ]
    assert main(["fit", str(tmp_path / "table.csv"), *asked, *FAST, "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.replace(str(out), "").splitlines())) <= 80
    assert "larger runs foretold from smaller ones" in text
    found = record.read(out)
    assert set(found.params) == set(kind.parameters()) == set(found.intervals)
    assert record.from_json(record.to_json(found)) == found
    tested = [cut for cut in found.holdout if not cut["skipped"]]
    assert tested
    assert all(cut["skill"] is not None for cut in tested)

    predicted = tmp_path / "prediction.json"
    assert main(["predict", str(out), *POINT, "--out", str(predicted)]) == 0
    (run,) = json.loads(predicted.read_text())["runs"]
    assert run["law"]["lo"] <= run["law"]["hi"]

    if no_floor(found):
        assert "floor: This law" in text and "floor E: " not in text
        assert main(["limit", str(out)]) == 2
        told = (
            "compute alone does not say"
            if kind.target == "L" and -1 in kind.signs
            else "has no floor of the loss"
        )
        assert told in capsys.readouterr().err
    elif set(kind.columns) != {"N", "D"} and len(kind.columns) > 1:
        assert "floor E: " in text
        assert main(["limit", str(out)]) == 2
        assert "compute alone does not say where it goes" in capsys.readouterr().err
    else:
        assert main(["limit", str(out)]) == 0
        content = json.loads((tmp_path / "limit.json").read_text())
        assert (content["E"]["value"] is None) == (content["verdict"] != "identified")
