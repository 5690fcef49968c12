"""The arms of experiments/recipes.py differ in one thing each, and the kept tables tell them apart."""

import dataclasses
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

from scaling.table import read

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "experiments/results/recipes"


def module():
    spec = spec_from_file_location("recipes", ROOT / "experiments/recipes.py")
    found = module_from_spec(spec)
    sys.modules["recipes"] = found  # dataclasses look their module up
    spec.loader.exec_module(found)
    return found


RECIPES = module()


def runs(arm):
    return RECIPES.Experiment(arm=arm).study().runs


def vertex(sweep):
    """The rate of least loss."""
    x, y = np.log(sweep["lr"].to_numpy()), sweep["L"].to_numpy()
    place = int(y.argmin())
    assert 0 < place < len(y) - 1
    a, b, _ = np.polyfit(x[place - 1 : place + 2], y[place - 1 : place + 2], 2)
    return float(np.exp(-b / (2 * a)))


@pytest.mark.parametrize(
    ("arm", "model", "optim"),
    [
        ("sgd", (), ("name",)),
        ("linear", ("kind", "order", "depth", "width", "heads"), ("beta2",)),
        ("masked", ("objective",), ()),
    ],
)
def test_an_arm_changes_one_thing_of_the_base_and_its_rates(arm, model, optim):
    for base, other in zip(runs("base"), runs(arm), strict=False):  # the linear model has a size fewer
        same = dataclasses.replace(other, model=base.model, optim=base.optim)
        assert same == base  # data, seeds, budgets and schedule
        for part, allowed in (("model", (*model, "width")), ("optim", (*optim, "lr"))):
            a, b = (dataclasses.asdict(getattr(run, part)) for run in (base, other))
            assert {name for name in a if a[name] != b[name]} <= set(allowed)


@pytest.mark.parametrize(
    ("arm", "told"),
    [
        ("base", ("transformer", "adamw", "causal")),
        ("sgd", ("transformer", "sgd", "causal")),
        ("linear", ("linear", "adamw", "causal")),
        ("masked", ("transformer", "adamw", "masked")),
    ],
)
def test_the_kept_table_of_an_arm_is_of_its_study_and_tells_it_from_the_others(arm, told):
    kept = read(KEPT / arm / "table.csv")
    assert set(kept["name"]) == {run.name for run in runs(arm)} and len(kept) == len(runs(arm))
    for column, value in zip(("architecture", "optimizer", "objective"), told, strict=True):
        assert set(kept[column]) == {value}
    assert (kept["status"] == "done").all()


def test_the_rates_are_lines_through_the_best_of_the_kept_sweeps_none_of_which_is_at_an_end():
    """The minimum of a parabola in ln rate through the best rate and its neighbours, then a line in ln size."""
    kept = read(KEPT / "rates.csv")
    assert set(kept["arm"]) == set(RECIPES.RATES)
    for arm, table in kept.groupby("arm"):
        size = table["order"] if arm == "linear" else table["width"]
        found = {value: vertex(table[size == value].sort_values("lr")) for value in size.unique()}
        reference = 1 if arm == "linear" else 32
        power, at = np.polyfit(np.log(reference / np.array(list(found))), np.log(list(found.values())), 1)
        # the file gives rates in two or three figures
        assert RECIPES.RATES[arm] == pytest.approx((np.exp(at), power), rel=0.03, abs=0.03)
