"""The posterior: the same object as of every method, believed only through its gate, in float64 that it leaves."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from known import TRUTH, chinchilla_ratio, wide

from analysis.errors import InputError
from analysis.fitting import fit, vector
from analysis.intervals import posterior as module
from analysis.intervals.posterior import Model, posterior
from analysis.intervals.resampling import residual_bootstrap
from analysis.intervals.sampler import Diagnostics, diagnose, sample
from analysis.intervals.traced import Traced, bare
from analysis.laws import LAWS
from analysis.solver.objective import LogHuber, SquaredLog, SquaredRaw


@pytest.fixture(scope="module")
def sampled():
    runs = wide(0.01)
    found = fit(runs, objective=SquaredLog())
    return runs, found, posterior(runs, found, seed=1)


def test_posterior_of_a_design_that_spans_is_where_truth_and_residual_bootstrap_are(sampled):
    runs, found, made = sampled
    boot = residual_bootstrap(runs, found, replicates=2000)
    for name, ends in made.intervals().items():
        other = boot.intervals()[name]
        width = other.hi - other.lo
        assert ends.lo == pytest.approx(other.lo, abs=0.1 * width), name
        assert ends.hi == pytest.approx(other.hi, abs=0.1 * width), name
    wide_ends = made.intervals(0.99)
    assert all(wide_ends[name].lo < value < wide_ends[name].hi for name, value in TRUTH.as_dict().items())


def test_posterior_passes_its_gate_and_says_by_how_much(sampled):
    shown = Diagnostics(**sampled[2].as_dict()["details"]["diagnostics"])
    assert shown.failure == ""
    assert shown.rhat <= 1.01 and shown.ess >= 400 and shown.divergences == 0 and shown.bfmi > 0.3


def test_jax_is_left_as_it_was(sampled):
    assert not jax.config.jax_enable_x64
    assert jnp.ones(1).dtype == jnp.float32
    assert sampled[2].law.E.dtype == np.float64


def test_draws_of_a_density_that_is_known_have_its_moments():
    covariance = np.array([[4.0, 1.2], [1.2, 1.0]])
    precision = np.linalg.inv(covariance)
    drawn, diagnostics = sample(
        lambda at: 0.5 * at["x"] @ precision @ at["x"], {"x": np.zeros(2)}, 2000, 500, 0.8, 0
    )
    assert not diagnostics.failure
    # some 3000 effective draws: a variance to 2.6 %, three of these
    np.testing.assert_allclose(np.cov(drawn["x"].T), covariance, rtol=0.08, atol=0.1)


FOLLOWED = [name for name in LAWS if name != "saturating"]  # solved by steps that end when the values say so


@pytest.mark.parametrize("name", FOLLOWED)
def test_every_law_but_one_is_followed_by_jax_to_the_last_digits(name):
    law = LAWS[name]
    columns = {c: np.geomspace(1e6, 1e9, 5) * (1 + i) for i, c in enumerate(law.columns)}
    exponents = {key: float(e.at(0.4)) for key, e in law.ranges(columns).items()}

    def terms(values):
        traced = {key: Traced(value) for key, value in zip(exponents, values, strict=True)}
        return [jnp.broadcast_to(bare(term), (5,)) for term in law.log_basis(traced, columns)]

    with jax.enable_x64(True):
        ours = jax.jit(terms)(jnp.array(list(exponents.values())))
    theirs = law.log_basis({key: np.asarray(value) for key, value in exponents.items()}, columns)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, np.broadcast_to(other, (5,)), rtol=1e-12)


@pytest.mark.parametrize("objective", [SquaredLog(), SquaredRaw(), LogHuber(0.01)], ids=str)
def test_coordinates_are_the_law_they_stand_for(objective):
    runs = wide(0.01)
    found = fit(runs, "coupled", objective=objective)
    problem = found.problem(runs)
    model = Model(problem, np.ones(35), found.noise, None)
    moved = {key: x + 0.05 for key, x in model.start(vector(problem, found.params)).items()}
    parameters = model.parameters({key: x[None] for key, x in moved.items()})
    with jax.enable_x64(True):
        at = {key: jnp.asarray(x) for key, x in moved.items()}
        residual = np.asarray(model._residual(at))
        slope = jax.grad(model.potential)(at)
    np.testing.assert_allclose(residual, problem.residual(parameters)[0], rtol=1e-7, atol=1e-12)
    assert all(np.isfinite(x).all() for x in slope.values())


def test_the_law_that_jax_cannot_follow_is_refused():
    runs = wide(0.01).assign(C=lambda t: 6 * t.N * t.D)
    found = fit(runs, "saturating", y="L")
    with pytest.raises(InputError, match="cannot be followed by JAX"):
        posterior(runs, found, clusters="pairs")


def test_trunks_are_integrated_out_to_the_density_of_their_normal():
    runs = wide(0.01)
    found = fit(runs, objective=SquaredLog())
    problem, weights = found.problem(runs), np.linspace(0.5, 2, 35)
    groups = np.repeat(np.arange(7), 5)
    model = Model(problem, weights, found.noise, groups)
    at = model.start(vector(problem, found.params)) | {"tau": np.array(0.3)}
    with jax.enable_x64(True):
        ours = float(model._log_likelihood({key: jnp.asarray(x) for key, x in at.items()}))
        residual = np.asarray(model._residual({key: jnp.asarray(x) for key, x in at.items()}))
    sigma, tau = np.exp(at["sigma"]), module.TRUNKS * model.spread * np.exp(0.3)
    covariance = np.diag(sigma**2 / weights) + tau**2 * (groups[:, None] == groups)
    theirs = -0.5 * (residual @ np.linalg.solve(covariance, residual) + np.linalg.slogdet(covariance)[1])
    constant = 0.5 * np.log(weights).sum()  # the same for every draw, and left out
    assert ours + constant == pytest.approx(theirs, rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("objective", [SquaredRaw(), LogHuber(0.005)], ids=str)
def test_raw_and_robust_objectives_have_a_posterior(objective):
    runs = wide(0.005)
    found = fit(runs, objective=objective)
    made = posterior(runs, found, draws=500, warmup=300)
    ends = made.intervals(0.99)["E"]
    assert ends.lo < TRUTH.E < ends.hi


@pytest.mark.slow
def test_trunks_widen_the_posterior():
    runs = wide(0.003).assign(trunk_id=lambda t: t.N.rank(method="dense").astype(int).astype(str))
    shared = 0.01 * np.random.default_rng(2).standard_normal(7)
    runs = runs.assign(L=runs.L * np.exp(np.repeat(shared, 5)))
    found = fit(runs, objective=SquaredLog())
    widths = []
    for clusters in ("trunk_id", "pairs"):
        ends = posterior(runs, found, clusters=clusters).intervals()["E"]
        widths.append(ends.hi - ends.lo)
    assert widths[0] > 1.5 * widths[1]


def test_chains_that_disagree_are_refused(monkeypatch):
    def stuck(*arguments):
        drawn = np.random.default_rng(0).standard_normal((4, 500)) + np.arange(4)[:, None]
        return {}, diagnose({"x": drawn}, drawn, np.zeros((4, 500), dtype=bool))

    monkeypatch.setattr(module, "sample", stuck)
    runs = wide(0.01)
    with pytest.raises(InputError, match=r"cannot be believed.*R-hat is 1\.[0-9]+ \(at most 1\.01\)"):
        posterior(runs, fit(runs))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rhat": 1.02}, "R-hat is 1.020"),
        ({"rhat": float("nan")}, "R-hat is nan"),
        ({"ess": 399.0}, "399 effective draws"),
        ({"divergences": 1}, "1 steps diverged"),
        ({"bfmi": 0.1}, "E-BFMI is 0.10"),
    ],
)
def test_each_diagnostic_stops_the_draws(change, words):
    good = {"rhat": 1.001, "ess": 900.0, "divergences": 0, "bfmi": 0.9}
    assert Diagnostics(**good).failure == ""
    assert words in Diagnostics(**(good | change)).failure


def test_the_extra_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "numpyro.infer", None)
    runs = wide(0.01)
    with pytest.raises(InputError, match=r"pip install -e '\.\[bayes\]' -c constraints\.txt"):
        posterior(runs, fit(runs))


def test_an_equation_that_jax_cannot_follow_is_refused():
    with pytest.raises(TypeError, match="has no values"):
        np.asarray(Traced(jnp.ones(2)))
    with pytest.raises(TypeError, match="cannot follow"):
        np.add.reduce(Traced(jnp.ones(2)))


def test_numpy_of_a_traced_array_is_jax_numpy():
    x = Traced(jnp.array([1.0, 4.0]))
    found = bare(
        np.where(np.array([True, False]), np.sqrt(x + np.array([3.0, 5.0])), 2 - x[1] ** np.float32(0.5))
    )
    np.testing.assert_allclose(found, [2.0, 0.0])


@pytest.mark.slow
def test_a_design_that_determines_nothing_is_refused_or_wide():
    """With D = 20 N in every run the exponents can be exchanged: two modes, between which chains do not agree."""
    runs = chinchilla_ratio(0.01)
    found = fit(runs, objective=SquaredLog())
    try:
        made = posterior(runs, found)
    except InputError as error:
        assert "cannot be believed" in str(error)
    else:
        ends = made.intervals()
        assert ends["alpha"].hi - ends["alpha"].lo > 0.05
