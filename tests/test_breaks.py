"""Breaks of a trend: which one model makes, what the last segment foretells, falls with their intervals."""

import dataclasses

import numpy as np
import pytest

from analysis.trends.breaks import breaks, broken_line, checked
from analysis.trends.fragility import weakest
from analysis.trends.models import Series
from analysis.trends.trend import Sampling

SAMPLING = Sampling(199)


def series(years, logs, group):
    _, groups = np.unique(group, return_inverse=True)
    names = tuple(f"M{i}" for i in range(len(years)))
    return Series("compute", names, tuple(f"O{g}" for g in group), years, logs, groups.astype(np.intp))


def bent(rng, *hinges, slope=0.6, count=90, organizations=25, noise=0.3):
    """Models about a line with hinges (date, change of slope), in decades a year."""
    years = np.sort(rng.uniform(2018, 2025, count))
    logs = 8 + slope * (years - 2018) + rng.normal(0, noise, count)
    for date, change in hinges:
        logs = logs + change * np.maximum(0, years - date)
    return series(years, logs, rng.integers(0, organizations, count))


def test_a_break_that_one_model_makes_is_fragile_and_not_told_of_as_found():
    """A weak bend, made significant by one model 0.7 decades low; the seed is one of those at which it is."""
    made = bent(np.random.default_rng(1), (2020.5, -0.15), count=70, organizations=70)
    low = np.where(np.arange(70) == 0, 0.7, 0.0)
    found = breaks(dataclasses.replace(made, logs=made.logs - low), SAMPLING)
    assert found.first.significant and found.first.fragile_reason.startswith("without the model M0 p = 0.1")
    assert found.found is None and found.doubtful is found.first


def test_a_break_that_one_organisation_makes_is_fragile():
    rng = np.random.default_rng(9)
    made = bent(rng, (2021.5, -0.2))
    theirs = (made.years > 2022.5) & (rng.random(90) < 0.25)
    logs = made.logs - np.where(theirs, 0.3 * (made.years - 2022.5), 0.0)
    found = breaks(series(made.years, logs, np.where(theirs, 99, np.arange(90) % 25)), SAMPLING)
    assert found.first.significant and "without the models of O99" in found.first.fragile_reason
    assert found.found is None


def test_a_break_that_many_organisations_make_is_not_fragile():
    found = [
        breaks(bent(np.random.default_rng(seed), (2021.5, -0.6)), Sampling(99, seed)) for seed in range(8)
    ]
    assert all(one.found is not None and not one.first.fragile for one in found)
    assert all(one.doubtful is None for one in found)


@pytest.mark.parametrize(("p", "fragile"), [(0.03, True), (0.011, True), (0.01, False)])
def test_a_break_at_the_edge_must_be_more_certain(p, fragile):
    made = bent(np.random.default_rng(0), (2021.5, -0.6))
    inner = breaks(made, SAMPLING).first
    edge = dataclasses.replace(inner, p=p, side=min(one.models for one in inner.segments))
    assert checked(made, edge, (), SAMPLING).fragile == fragile
    assert not checked(made, dataclasses.replace(inner, p=p), (), SAMPLING).fragile


def test_a_fall_has_its_rate_and_interval_and_an_infinite_doubling_time():
    found = breaks(bent(np.random.default_rng(0), (2021.5, -1.0)), SAMPLING).found
    rise, fall = found.segments
    assert not rise.falls and fall.falls and fall.doubling[0] == np.inf
    value, lo, hi = fall.growth
    assert lo < value < hi < 1 and lo < 10**-0.4 < hi


def test_the_last_segment_carried_on_is_the_broken_line_and_holds_the_truth():
    inside, at = [], np.array([2025.0, 2027.0])
    for seed in range(12):
        made = bent(np.random.default_rng(seed), (2021.5, -0.9))
        first = breaks(made, Sampling(99, seed)).first
        value, lo, hi = first.tail.at(at)
        assert np.allclose(value, broken_line(made, first, at), atol=1e-9)  # two ways to one line
        assert (lo < value).all() and (value < hi).all()
        truth = 8 + 0.6 * (at - 2018) - 0.9 * (at - 2021.5)
        inside.append((lo <= truth) & (truth <= hi))
        below, above = first.tail.new_model(at)
        assert (below < lo).all() and (above > hi).all()
    assert np.mean(inside) >= 0.7  # 0.9 claimed; of 24 that come in pairs the share varies by about 0.08


def test_two_breaks_have_their_p_against_one_and_against_none():
    made = breaks(bent(np.random.default_rng(0), (2020.3, -1.2), (2022.7, 1.2), count=150), SAMPLING)
    assert made.found is made.second and not made.second.fragile
    assert made.second.p <= 0.01 and made.two_against_none <= 0.01


def test_a_straight_line_has_no_two_breaks_either():
    p = [breaks(bent(np.random.default_rng(s)), Sampling(99, s)).two_against_none for s in range(12)]
    assert np.mean(np.array(p) < 0.05) <= 0.25  # 0.05 claimed; of 12 one or two by chance


def test_two_breaks_that_cancel_are_seen_by_the_test_against_none():
    """A step up of the slope and down again, about which one line bends hardly anywhere."""
    made = breaks(
        bent(np.random.default_rng(3), (2020.5, 1.0), (2022.5, -1.0), slope=0.2, count=150), SAMPLING
    )
    assert made.two_against_none <= 0.01


@pytest.mark.parametrize("seed", [0, 1])
def test_leaving_one_out_is_the_same_again(seed):
    made = bent(np.random.default_rng(seed), (2021.5, -0.6))
    dates = breaks(made, SAMPLING).first.dates
    assert weakest(made, (), dates, SAMPLING) == weakest(made, (), dates, SAMPLING)
