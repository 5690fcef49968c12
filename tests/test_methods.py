"""Every method of uncertainty is called alike and returns the same object."""

import pytest
from known import TRUTH
from test_resampling import seeded

from analysis.errors import InputError
from analysis.fitting import fit
from analysis.intervals.interval import Uncertainty
from analysis.intervals.methods import METHODS, uncertainty_by
from analysis.solver.objective import SquaredLog

QUICK = [name for name in METHODS if name != "bayes"]


@pytest.mark.parametrize("name", QUICK)
def test_every_method_returns_an_uncertainty_around_the_truth(name):
    runs = seeded(2, 0.003, seed=4)
    found = fit(runs, objective=SquaredLog())
    made = uncertainty_by(name, runs, found, replicates=100, level=0.99)
    assert isinstance(made, Uncertainty)
    assert made.method.startswith(name)
    assert set(made.intervals()) == set(found.params)
    for parameter, ends in made.intervals().items():
        assert ends.lo < getattr(TRUTH, parameter) < ends.hi, parameter
        assert ends.level == 0.99


@pytest.mark.parametrize(
    ("name", "clusters", "method"),
    [
        ("pairs", "auto", "pairs"),
        ("cluster", "auto", "cluster:trunk_id"),
        ("cluster", "seed", "cluster:seed"),
        ("residual", "auto", "residual:trunk_id"),
        ("residual", "pairs", "residual"),
        ("wild", "auto", "wild:trunk_id"),
        ("seed_noise", "auto", "seed_noise:trunk_id"),
    ],
)
def test_trunks_are_known_to_all_methods_but_pairs(name, clusters, method):
    runs = seeded(3, 0.003)
    made = uncertainty_by(name, runs, fit(runs, objective=SquaredLog()), replicates=4, clusters=clusters)
    assert made.method == method


def test_a_method_that_is_not_there_is_refused():
    runs = seeded(2, 0.003)
    with pytest.raises(InputError, match=r"'delta'; there are: pairs, cluster, residual"):
        uncertainty_by("delta", runs, fit(runs))
