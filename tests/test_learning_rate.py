"""The learning-rate experiment is the comparison that it says, and its kept results say what the lab book says."""

import sys
from importlib.util import module_from_spec, spec_from_file_location

import numpy as np
import pytest

from analysis.rates.transfer import MOVES, series
from scaling.table import read


@pytest.fixture(scope="module")
def study():
    spec = spec_from_file_location("learning_rate", "experiments/learning_rate.py")
    module = module_from_spec(spec)
    sys.modules["learning_rate"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module.Experiment().study()


@pytest.fixture(scope="module")
def kept():
    return read("experiments/results/learning_rate/table.csv")


def test_every_size_is_tried_at_the_same_rates_with_heads_of_one_width_under_both(study):
    cells = {}
    for run in study.runs:
        cells.setdefault((run.model.parametrization, run.model.width), set()).add((run.optim.lr, run.seed))
    assert len(cells) == 2 * 4 and len({frozenset(tried) for tried in cells.values()}) == 1
    assert len({run.model.head_dim for run in study.runs}) == 1
    assert len({(run.steps, run.warmup_steps, run.decay_steps) for run in study.runs}) == 1


def test_the_kept_table_is_of_this_study(study, kept):
    assert set(kept["name"]) == {run.name for run in study.runs} and len(kept) == len(study.runs)


def test_both_parametrisations_are_the_same_at_the_base_width(kept):
    """One program's rounding against another's: the factors are all 1."""
    at_base = kept[kept["width"] == 32].pivot_table(
        index=["lr", "seed"], columns="parametrization", values="L"
    )
    np.testing.assert_allclose(at_base["mup"], at_base["standard"], rtol=1e-4)


def test_no_best_rate_is_at_an_end_of_the_range_and_the_standard_one_moves(kept):
    assert set(kept["rate_range"]) == {"interior"}
    mup, standard = series(kept)
    assert (mup.name, standard.name) == ("mup", "standard")
    assert standard.trend.verdict == MOVES and standard.trend.lo < -1 < standard.trend.hi
    assert standard.trend.hi < mup.trend.power
