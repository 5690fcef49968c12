"""The arms of experiments/recipes.py differ in one thing each, and the kept tables tell them apart."""

import dataclasses
from pathlib import Path

import pytest

from scaling.experiment import load

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "experiments/results/recipes"
ARMS = ("base", "sgd", "linear", "masked")


@dataclasses.dataclass(frozen=True)
class Nothing:
    """No options."""


def runs(arm):
    return load(str(ROOT / "experiments/recipes.py"), ["--arm", arm], Nothing, "plan")[0].runs


@pytest.mark.parametrize(
    ("arm", "model", "optim"),
    [
        ("sgd", (), ("name",)),
        ("linear", ("kind", "order", "depth", "width", "heads"), ()),
        ("masked", ("objective",), ()),
    ],
)
def test_an_arm_changes_one_thing_of_the_base_and_its_rates(arm, model, optim):
    for base, other in zip(runs("base"), runs(arm), strict=True):
        same = dataclasses.replace(other, model=base.model, optim=base.optim)
        assert same == base  # data, seeds, budgets and schedule
        for part, allowed in (("model", (*model, "width")), ("optim", (*optim, "lr"))):
            a, b = (dataclasses.asdict(getattr(run, part)) for run in (base, other))
            assert {name for name in a if a[name] != b[name]} <= set(allowed)
