import numpy as np
import pytest
from known import VALUES

from analysis.errors import InputError
from analysis.laws import (
    LAWS,
    Annealing,
    Broken,
    BrokenTwice,
    Coupled,
    Covariate,
    DataConstrained,
    ErrorSigmoid,
    Farseer,
    Hoffmann,
    Kaplan,
    OverTrained,
    Saturating,
    Shifted,
    Stretched,
    Tied,
)

COLUMNS = {name: np.geomspace(1e6, 1e10, 5) * (1 + i) for i, name in enumerate(("N", "D", "x"))}
each_law = pytest.mark.parametrize("known", VALUES, ids=lambda known: known.name)


def shapes(known):
    return {name: np.asarray(getattr(known.law, name)) for name in known.law.exponents}


def arguments(known):
    return {name: known.design[name] for name in known.law.columns}


@each_law
def test_law_gives_the_known_value(known):
    # the value is printed to four decimals
    assert float(known.law(**known.columns)) == pytest.approx(known.loss, abs=5e-5)


def test_every_law_has_a_known_value():
    assert {type(known.law) for known in VALUES} == set(LAWS.values())


@each_law
def test_law_is_the_sum_of_its_amplitudes_times_its_basis(known):
    law = known.law
    terms = law.log_basis(shapes(known), arguments(known))
    amplitudes = [getattr(law, name) for name in law.amplitudes]
    total = sum(s * c * np.exp(t) for s, c, t in zip(law.sign(), amplitudes, terms, strict=True))
    # rounding of x^-a against exp(-a log x)
    np.testing.assert_allclose(law(**known.design), total + np.zeros(len(known.table())), rtol=1e-12)


@each_law
def test_amplitudes_and_exponents_are_the_parameters(known):
    law = known.law
    assert sorted((*law.amplitudes, *law.exponents)) == sorted(law.parameters())
    assert law.floor is None or law.floor in law.amplitudes
    assert set(law.signed) <= set(law.columns)
    assert len(law.sign()) == len(law.amplitudes)


@each_law
def test_shape_of_the_known_law_is_sought(known):
    for name, exponent in known.law.ranges(arguments(known)).items():
        assert exponent.lo <= getattr(known.law, name) <= exponent.hi, name
        assert exponent.linear or exponent.lo > 0, name


@each_law
def test_leading_axis_of_the_parameters_leads_the_result(known):
    values = known.law.as_dict()
    many = type(known.law)(**{name: value * np.array([1.0, 1.01, 1.02]) for name, value in values.items()})
    losses = many(**known.design)
    assert losses.shape == (3, len(known.table()))
    one = type(known.law)(**{name: value[1] for name, value in many.as_dict().items()})
    np.testing.assert_array_equal(losses[1], one(**known.design))


@pytest.mark.parametrize(
    "known", [known for known in VALUES if known.law.log_linear], ids=lambda known: known.name
)
def test_log_basis_of_a_log_linear_law_is_its_exponents_times_something(known):
    def at(value):
        return known.law.log_basis(
            {name: np.asarray(value) for name in known.law.exponents}, arguments(known)
        )

    for zero, one, three in zip(at(0.0), at(1.0), at(3.0), strict=True):
        np.testing.assert_array_equal(zero, 0)
        np.testing.assert_allclose(three, 3 * np.asarray(one), rtol=1e-14)


def test_other_columns_are_ignored():
    law = Hoffmann(1.0, 2.0, 0.3, 4.0, 0.5)
    assert law(N=1e9, D=1e10, L=3.0, C=1.0) == law(N=1e9, D=1e10)


def test_kaplans_own_law_is_the_coupled_one_without_a_floor():
    # arXiv 2001.08361, table 2: alpha_N 0.076, alpha_D 0.103, N_c 6.4e13, D_c 1.8e13 in equation 1.5
    alpha, beta, N_c, D_c = 0.076, 0.103, 6.4e13, 1.8e13
    law = Kaplan.published(N_c, D_c, alpha, beta)
    N, D = COLUMNS["N"], COLUMNS["D"]
    expected = ((N_c / N) ** (alpha / beta) + D_c / D) ** beta
    np.testing.assert_allclose(law(N=N, D=D), expected, rtol=1e-13)
    np.testing.assert_allclose(Coupled(0.0, law.A, alpha, law.D0, beta, beta)(N=N, D=D), expected, rtol=1e-13)
    assert (float(law.N_c), float(law.D_c)) == (pytest.approx(N_c, rel=1e-11), pytest.approx(D_c, rel=1e-11))


def test_farseers_own_parameters_come_back():
    # signs and sizes recalled from arXiv 2506.10972 and not checked against it: constants of no published claim here
    paper = dict(a1=-0.124, b1=0.424, alpha=0.123, a2=88.01, b2=-6.287, beta=-0.1, a3=-0.021, b3=-0.091)
    law = Farseer.published(**paper, gamma=0.169)
    N, D = COLUMNS["N"], COLUMNS["D"]
    expected = np.exp(-0.021 * N**0.169 - 0.091) + np.exp(88.01 * N**-0.1 - 6.287) * D ** -np.exp(
        -0.124 * N**0.123 + 0.424
    )
    np.testing.assert_allclose(law(N=N, D=D), expected, rtol=1e-12)
    assert {name: float(value) for name, value in law.as_published().items()} == pytest.approx(
        paper | {"gamma": 0.169}, rel=1e-12
    )


def test_saturating_law_is_the_published_equation():
    e_inf, e_0, alpha, beta, c = 0.2, 3.0, 0.5, 40.0, -0.3
    law, x = Saturating.published(e_inf, e_0, alpha, beta, c), np.geomspace(1e-6, 1e12, 40)
    y = law(x=x)
    # y next to a bound leaves few digits of its distance from it
    np.testing.assert_allclose((y - e_inf) / (e_0 - y) ** alpha, beta * x**c, rtol=1e-7)
    assert float(law.beta) == pytest.approx(beta, rel=1e-13)


@pytest.mark.parametrize("a", [0.05, 0.5, 1.0, 1.7, 5.0])
def test_share_of_the_saturating_law_solves_its_equation_everywhere(a):
    logit = np.linspace(-300, 300, 601)  # of u, from which the x that belongs to it follows
    log_u, log_rest = -np.logaddexp(0, -logit), -np.logaddexp(0, logit)
    x = np.exp(-(log_u - a * log_rest) / 3)
    shapes = {"x0": np.array(1.0), "c": np.array(3.0), "a": np.array(a)}
    _zero, found = Saturating.log_basis(shapes, {"x": x})
    # x is rounded: an error of 1e-16 of log x, up to 500, in the logit
    np.testing.assert_allclose(found, log_u, rtol=1e-12 / min(a, 1))


def test_second_break_of_no_change_is_one_break():
    twice = BrokenTwice(0.5, 10.0, 0.2, 1e7, 0.3, 0.5, 100.0, 0.0, 1.0)
    np.testing.assert_allclose(twice(**COLUMNS), Broken(0.5, 10.0, 0.2, 1e7, 0.3, 0.5)(**COLUMNS), rtol=1e-15)
    assert float(twice.d2) == 1e9


def test_local_exponent_changes_at_a_break():
    law = Broken(0.0, 1.0, 0.2, 1e7, 0.3, 0.5)
    for x, slope in ((1e2, 0.2), (1e12, 0.5)):
        assert -np.log(law(x=x * 1.01) / law(x=x)) / np.log(1.01) == pytest.approx(slope, abs=1e-6)


def test_overtrained_law_is_the_authors_program_and_the_tied_law():
    a, b, eta, E = 166.21, 366.69, -0.272851, 1.836648
    law = OverTrained.coded(E, a, b, eta)
    N, D = COLUMNS["N"], COLUMNS["D"]
    expected = a * N**eta + b * 6 ** (eta / 2) * (D / N * N) ** eta + E
    np.testing.assert_allclose(law(N=N, D=D), expected, rtol=1e-13)
    np.testing.assert_allclose(Tied(E, a, -eta, b * 6 ** (eta / 2))(N=N, D=D), expected, rtol=1e-13)
    assert {name: float(value) for name, value in law.as_coded().items()} == pytest.approx(
        dict(E=E, a=a, b=b, e=eta), rel=1e-14
    )


def test_data_constrained_law_gives_the_published_losses():
    # Muennighoff et al. 2023: their unrounded fit, and the losses their program prints for two splits of one budget
    law = DataConstrained.published(0.6254804, 6.255414, 7.3049974, 0.3526596, 15.387756, 5.309743)
    for N, D, loss in ((6.34e9, 242e9, 2.2256440889984477), (8.67e9, 178e9, 2.2269634075087867)):
        assert float(law(N=N, D=D, D_unique=25e9)) == pytest.approx(loss, abs=1e-10)
    assert float(np.log(law.A)) == pytest.approx(6.255414, rel=1e-14)


def test_data_constrained_law_without_repeats_or_excess_is_tied():
    law = DataConstrained(1.5, 1e4, 1e9, 0.5, 3.0, 5.0)
    N, D = np.geomspace(1e6, 1e8, 4), np.geomspace(1e9, 1e12, 4)
    np.testing.assert_allclose(
        law(N=N, D=D, D_unique=D), Tied(1.5, float(law.A), 0.5, 1e4)(N=N, D=D), rtol=1e-13
    )
    np.testing.assert_array_equal(law(N=N, D=D, D_unique=10 * D), law(N=N, D=D, D_unique=D))


def test_worth_of_endless_repeats_is_that_of_so_many_fresh_tokens():
    law = DataConstrained(0.0, 1.0, 1e6, 0.5, 15.0, 5.0)
    fresh, endless = (1e9 * (1 + R) for R in (0, 15))
    assert float(law(N=1e5, D=1e20, D_unique=1e9)) == pytest.approx(
        (1e-3 / 1e5) ** 0.5 + endless**-0.5, rel=1e-14
    )
    assert float(law(N=1e20, D=1e9, D_unique=1e9)) == pytest.approx(
        (1e-3 / 6e6) ** 0.5 + fresh**-0.5, rel=1e-14
    )


def test_covariate_of_a_logarithm_is_a_power():
    z = np.array([0.5, 1.0, 2.0])
    law = Covariate(0.0, 1e4, 0.5, 0.0, 0.3, -0.7)
    np.testing.assert_allclose(law(N=1e8, D=1e9, x=np.log(z)), z**-0.7, rtol=1e-14)


def test_covariate_that_never_varies_is_refused():
    with pytest.raises(InputError, match=r"1\.0 in every row"):
        Covariate.ranges({"x": np.ones(4)})


def test_negative_annealing_area_is_refused():
    with pytest.raises(InputError, match=r"S2 is -1\.0"):
        Annealing.log_basis({"alpha": np.array(0.5)}, {"S1": np.ones(2), "S2": np.array([0.0, -1.0])})


@pytest.mark.parametrize("a", [0.6, -0.6])
def test_sigmoid_of_either_sign_is_the_published_one(a):
    L = np.linspace(0, 8, 9)
    expected = a / (1 + np.exp(-2 * (L - 4))) + 0.7
    np.testing.assert_allclose(ErrorSigmoid.published(a, 0.7, 2.0, 4.0)(L=L), expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("nested", "same"),
    [
        (Tied(1.7, 400.0, 0.34, 2000.0), Hoffmann(1.7, 400.0, 0.34, 2000.0, 0.34)),
        (
            Coupled(1.7, 400.0 / 1e6**0.34, 0.34, (2000.0 / 400.0 * 1e6**0.34) ** (1 / 0.37), 0.37, 1.0),
            Hoffmann(1.7, 400.0, 0.34, 2000.0, 0.37),
        ),
        (Shifted(1.7, 400.0, 0.0, 0.34, 2000.0, 0.0, 0.37), Hoffmann(1.7, 400.0, 0.34, 2000.0, 0.37)),
    ],
    ids=lambda law: type(law).__name__,
)
def test_hoffmanns_law_is_a_case_of_the_others(nested, same):
    np.testing.assert_allclose(nested(**COLUMNS), same(**COLUMNS), rtol=1e-13)


def test_coupled_terms_of_small_g_are_the_larger_of_the_two():
    law = Coupled(0.0, 1.0, 0.5, 1e8, 0.5, 0.01)
    assert float(law(N=1e8, D=1e9)) == pytest.approx(max(1e-2**0.5, 1e-1**0.5), rel=1e-9)


def test_local_exponent_of_the_stretched_law_grows_without_end():
    law = Stretched(0.0, 1.0, 1e7, 0.5, 0.0, 1e7, 0.5)
    for N in (1e5, 1e7, 1e9):
        slope = np.log(law(N=N * 1.0001, D=1e9) / law(N=N, D=1e9)) / np.log(1.0001)
        assert slope == pytest.approx(-0.5 * (N / 1e7) ** 0.5, rel=1e-3)  # a difference over 1e-4


def test_local_exponent_of_the_shifted_law_grows_to_its_exponent():
    law = Shifted(0.0, 1.0, 1e7, 0.5, 0.0, 1e7, 0.5)
    N = np.geomspace(1e5, 1e10, 6)
    slopes = -np.diff(np.log(law(N=N, D=1e9))) / np.log(10)
    assert (np.diff(slopes) > 0).all()
    assert slopes[0] < 0.05 < 0.49 < slopes[-1] < 0.5
