"""The benchmark in miniature, for real: models trained on a language of known entropy, and its limit extrapolated."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from scaling.data.languages import language
from scaling.table import read

LANGUAGE = "markov:vocab=64,zipf=1"
MINIATURE = [
    *("--languages", LANGUAGE, "--sizes", "8", "12", "16", "24"),
    *("--budgets", "16e3", "32e3", "64e3", "128e3", "--eval-tokens", "32768"),
]


@pytest.fixture(scope="module")
def miniature(tmp_path_factory):
    folder = tmp_path_factory.mktemp("miniature")
    places = ["--out", str(folder / "runs"), "--data-folder", str(folder / "data")]
    command = [sys.executable, "-m", "scaling", "run", "experiments/known_entropy.py", *MINIATURE, *places]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "known_entropy"


def test_every_run_says_how_far_it_is_above_the_truth(miniature):
    table = read(miniature / "table.csv")
    assert len(table) == 4 * 4 * 2 and (table["status"] == "done").all()
    assert table["entropy"].to_numpy() == pytest.approx(language(LANGUAGE).entropy(32), rel=1e-12)
    noise = 5 * np.hypot(table["L_se"], table["excess_se"])
    assert (np.abs(table["L"] - table["entropy"] - table["excess"]) < noise).all()
    assert (table["excess"] > 0).all()


def test_the_excess_falls_with_size_and_tokens_and_two_seeds_agree(miniature):
    table = read(miniature / "table.csv")
    by_cell = table.pivot_table(index="width", columns="D", values="excess")
    assert (np.diff(by_cell.to_numpy(), axis=1) < 0).all()
    assert by_cell.iloc[-1, -1] < by_cell.iloc[0, -1]
    spread = table.groupby(["width", "D"])["excess"].std() / table.groupby(["width", "D"])["excess"].mean()
    assert spread.median() < 0.1


def test_the_printed_limit_holds_the_truth(miniature, tmp_path):
    """At the whole ladder, by the project's own method."""
    command = [
        sys.executable,
        "-m",
        "analysis",
        "known",
        str(miniature),
        "--factors",
        "1",
        "--out",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    limits = pd.read_csv(tmp_path / "limits.csv").set_index("method")
    ours, least = limits.loc["admissible"], read(miniature / "table.csv")["L"].min()
    assert ours["lo"] <= language(LANGUAGE).entropy(32) <= ours["hi"]
    assert ours["lo"] > 0.5 * least  # an interval that says something
    assert (tmp_path / "limits.png").is_file()


@pytest.fixture(scope="module")
def sweep():
    """Runs of every language and width at rates a factor of two apart, 400K tokens, one seed."""
    return read("experiments/results/known_entropy/rates.csv")


def test_the_best_rate_is_inside_the_tried_range_at_every_size_of_every_language(sweep):
    for _, runs in sweep.groupby(["corpus", "width"]):
        best = runs["lr"][runs["excess"].idxmin()]
        assert runs["lr"].min() < best < runs["lr"].max()


def test_the_tuned_rates_are_the_lines_through_the_optima_of_the_sweep(sweep):
    """The vertex of the parabola through the best rate and its neighbours, then a line in the logarithm of width."""
    experiment = load_experiment()
    for name, runs in sweep.groupby("corpus"):
        optima = {width: vertex(cell.sort_values("lr")) for width, cell in runs.groupby("width")}
        exponent, at_32 = np.polyfit(np.log(32 / np.array(list(optima))), np.log(list(optima.values())), 1)
        assert experiment.RATES[name] == (
            pytest.approx(np.exp(at_32), abs=6e-5),
            pytest.approx(exponent, abs=6e-3),
        )


def vertex(cell):
    place = int(cell["excess"].to_numpy().argmin())
    near = cell.iloc[place - 1 : place + 2]
    x, y = np.log(near["lr"].to_numpy()), np.log(near["excess"].to_numpy())
    a, b, _ = np.polyfit(x, y, 2)
    return float(np.exp(np.clip(-b / (2 * a), x[0], x[-1])))


def load_experiment():
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("known_entropy", "experiments/known_entropy.py")
    module = module_from_spec(spec)
    sys.modules["known_entropy"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
