import numpy as np
import pandas as pd
import pytest
import scipy.optimize
from known import CHINCHILLA_240, TRUTH, needs_reference_data, reference, wide

from analysis.errors import InputError
from analysis.fitting import fit
from analysis.frontier import Cost, Frontier, cost
from analysis.intervals.uncertainty import bootstrap
from analysis.laws import (
    LAWS,
    Coupled,
    Covariate,
    DataConstrained,
    Farseer,
    Hoffmann,
    Kaplan,
    OverTrained,
    Shifted,
    Stretched,
    Tied,
)
from scaling import table

COSTS = [Cost(), Cost(kappa=30.0, rho=0.9), Cost(kappa=2.0, rho=1.1)]


@pytest.mark.parametrize("C", [1e15, 1e20, 1e26])
@pytest.mark.parametrize("price", COSTS)
def test_frontier_closed_form_equals_numeric_minimum(price, C):
    def loss(log_N):
        return float(TRUTH(N=np.exp(log_N), D=price.tokens(C, np.exp(log_N)))) - TRUTH.E

    best = scipy.optimize.minimize_scalar(loss, bounds=(1, 60), method="bounded", options={"xatol": 1e-10})
    frontier = Frontier(TRUTH, price)
    # at a minimum the loss is flat, so its place is known to the square root of the precision of the loss
    assert np.log(frontier.N_opt(C)) == pytest.approx(best.x, abs=1e-6)
    assert frontier.L_opt(C) - TRUTH.E == pytest.approx(best.fun, rel=1e-11)


OTHERS = [
    Tied(1.7, 400.0, 0.34, 2000.0),
    Coupled(1.0, 2.0, 0.34, 3e7, 0.37, 0.6),
    Coupled(1.0, 2.0, 0.34, 3e7, 0.27, 2.5),
    Kaplan.published(8.8e13, 5.4e13, 0.076, 0.095),
    OverTrained.coded(1.836648, 166.21, 366.69, -0.272851),
    Covariate(1.7, 400.0, 0.34, 2000.0, 0.37, -0.5),
    Shifted(1.7, 4000.0, 3e6, 0.5, 2000.0, 1e8, 0.4),
    Stretched(1.7, 4.0, 1e8, 0.3, 3.0, 1e10, 0.3),
    DataConstrained.published(0.6254804, 6.255414, 7.3049974, 0.3526596, 15.387756, 5.309743),
    Farseer.published(-0.124, 0.424, 0.123, 88.01, -6.287, -0.1, -0.021, -0.091, 0.169),
]
CLOSED = [TRUTH, *OTHERS[:6]]
GIVEN = {DataConstrained: {"D_unique": 1e10}, Covariate: {"x": 1.5}}


@pytest.mark.parametrize("C", [1e19, 1e22, 1e26])
@pytest.mark.parametrize("price", COSTS)
@pytest.mark.parametrize("law", OTHERS, ids=lambda law: type(law).__name__)
def test_frontier_of_every_law_in_n_and_d_is_its_numeric_minimum(law, price, C):
    floor, given = getattr(law, "E", 0.0), GIVEN.get(type(law), {})
    C = C**0.2 * 1e16 if isinstance(law, Farseer) else C  # above about 1e23 it has no valley

    def loss(log_N):
        return float(law(N=np.exp(log_N), D=price.tokens(C, np.exp(log_N)), **given)) - floor

    # a scan first: repeated data make a second valley, and the loss of Farseer ends below its valley
    sizes = np.linspace(1, 60, 237)
    losses = np.array([loss(size) for size in sizes])
    inner = (losses[1:-1] <= losses[:-2]) & (losses[1:-1] <= losses[2:])
    start = sizes[1 + np.argmin(np.where(inner, losses[1:-1], np.inf))]
    best = scipy.optimize.minimize_scalar(
        loss, bounds=(start - 0.25, start + 0.25), method="bounded", options={"xatol": 1e-10}
    )
    # the floor is 1 and the rest of the order of 1e-3 at 1e26: eleven digits of it are left
    assert Frontier(law, price, given).L_opt(C) - floor == pytest.approx(best.fun, rel=1e-9)


def test_every_law_in_n_and_d_has_a_frontier():
    assert {type(law) for law in [TRUTH, *OTHERS]} == {
        law for law in LAWS.values() if {"N", "D"} <= set(law.columns)
    }


def test_frontier_without_what_the_law_takes_is_refused():
    with pytest.raises(InputError, match="takes D_unique beside N and D"):
        Frontier(OTHERS[-2], Cost()).L_opt(1e20)


def test_best_split_of_fresh_data_is_that_of_the_tied_law():
    law = OTHERS[-2]
    tied = Tied(law.E, float(law.A), law.alpha, law.B)
    C = np.geomspace(1e18, 1e22, 3)
    found = Frontier(law, Cost(), {"D_unique": 1e30}).L_opt(C)
    np.testing.assert_allclose(found, Frontier(tied, Cost()).L_opt(C), rtol=1e-12)


def test_searched_frontier_is_the_closed_one_where_shifts_vanish():
    C = np.geomspace(1e15, 1e25, 5)
    values = {name: np.array([value, value]) for name, value in TRUTH.as_dict().items()}
    searched = Frontier(Shifted(**values, N0=np.zeros(2), D0=np.zeros(2)), Cost())
    assert not searched.closed
    closed = np.broadcast_to(Frontier(TRUTH, Cost()).L_opt(C), (2, 5))
    np.testing.assert_allclose(searched.L_opt(C), closed, rtol=1e-14)
    np.testing.assert_allclose(searched.N_opt(C)[0], Frontier(TRUTH, Cost()).N_opt(C), rtol=1e-6)


def test_frontier_exponents_are_refused_where_the_frontier_is_no_power():
    with pytest.raises(InputError, match="no power of C"):
        _ = Frontier(OTHERS[-1], Cost()).N_exponent


@pytest.mark.parametrize("price", COSTS)
def test_frontier_spends_the_budget(price):
    C = np.geomspace(1e15, 1e25, 5)
    frontier = Frontier(TRUTH, price)
    np.testing.assert_allclose(
        price.kappa * frontier.N_opt(C) ** price.rho * frontier.D_opt(C), C, rtol=1e-12
    )


@pytest.mark.parametrize("price", COSTS)
@pytest.mark.parametrize("law", CLOSED, ids=lambda law: type(law).__name__)
def test_exponents_are_the_slopes_of_the_frontier(law, price):
    frontier, C = Frontier(law, price, GIVEN.get(type(law), {})), np.array([1e18, 1e22])
    for values, slope in (
        (frontier.N_opt(C), frontier.N_exponent),
        (frontier.D_opt(C), frontier.D_exponent),
        (frontier.L_opt(C) - getattr(law, "E", 0.0), -frontier.L_exponent),
    ):
        assert np.diff(np.log(values))[0] / np.log(1e4) == pytest.approx(float(slope), rel=1e-9)


def test_hoffmanns_own_law_gives_the_published_exponent():
    # arXiv 2203.15556, table 2, approach 3: a = 0.46 and b = 0.54, from unrounded logarithms of field data
    law = Hoffmann(np.exp(0.5267228), np.exp(6.0073404), 0.33917084, np.exp(6.0179186), 0.2849083)
    frontier = Frontier(law, Cost())
    assert float(frontier.N_exponent) == pytest.approx(0.46, abs=0.005)
    assert float(frontier.D_exponent) == pytest.approx(0.54, abs=0.005)


def test_bootstrap_has_a_frontier_a_replicate():
    runs = wide(0.01)
    law = bootstrap(runs, fit(runs), replicates=10).law
    C = np.geomspace(1e15, 1e20, 3)
    many = Frontier(law, Cost()).L_opt(C)
    assert many.shape == (10, 3)
    one = Hoffmann(**{name: values[4] for name, values in law.as_dict().items()})
    np.testing.assert_allclose(many[4], Frontier(one, Cost()).L_opt(C), rtol=1e-14)


@pytest.mark.parametrize(("A", "B", "N"), [(0.0, 2000.0, 0.0), (400.0, 0.0, np.inf)])
def test_absent_term_puts_the_optimum_at_the_end(A, B, N):
    frontier = Frontier(Hoffmann(1.7, A, 0.34, B, 0.37), Cost())
    assert frontier.N_opt(1e20) == N
    assert frontier.L_opt(1e20) == 1.7


@pytest.mark.filterwarnings("error")
def test_law_without_either_term_has_no_best_split_and_warns_of_nothing():
    assert np.isnan(Frontier(Hoffmann(1.7, 0.0, 0.3, 0.0, 0.3), Cost()).N_opt(1e20))


def test_cost_is_read_from_the_rows():
    runs = wide()
    runs = runs.assign(C=9.0 * runs.N**0.97 * runs.D)
    found = cost(fit(runs).select(runs))
    assert (found.kappa, found.rho) == (pytest.approx(9.0), pytest.approx(0.97))
    assert found.largest_error < 1e-10  # an exact power, up to rounding in logarithms of 50


def test_error_of_the_cost_formula_is_stated():
    runs = wide()
    runs = runs.assign(C=6 * runs.N * runs.D * np.where(np.arange(35) == 3, 1.1, 1.0))
    assert 0.08 < cost(fit(runs).select(runs)).largest_error < 0.11


def test_cost_of_one_size_has_rho_one():
    runs = pd.DataFrame({"x": np.arange(1.0, 7.0), "N": 1e6, "D": np.arange(1.0, 7.0), "L": 2.0}).assign(
        C=4e6
    )
    runs["C"] = 8e6 * runs.D
    assert cost(fit(runs.assign(L=2 + 1 / runs.x), "power", x="x").select(runs)).rho == 1.0


@needs_reference_data
def test_published_rows_cost_six_n_d():
    runs = table.read(reference(CHINCHILLA_240.file))
    found = cost(fit(runs, where=CHINCHILLA_240.where).select(runs))
    assert (found.kappa, found.rho) == (pytest.approx(6), pytest.approx(1))
