import numpy as np
import pytest
from known import VALUES

from analysis.laws import LAWS, Coupled, Hoffmann, Shifted, Tied

COLUMNS = {name: np.geomspace(1e6, 1e10, 5) * (1 + i) for i, name in enumerate(("N", "D", "x"))}


def example(law, shape=()):
    rng = np.random.default_rng(0)
    return law(*(rng.uniform(0.1, 0.9, shape) for _ in law.parameters()))


@pytest.mark.parametrize("known", VALUES, ids=lambda known: type(known.law).__name__)
def test_law_gives_the_known_value(known):
    # the value is printed to four decimals
    assert float(known.law(**known.columns)) == pytest.approx(known.loss, abs=5e-5)


def test_every_law_has_a_known_value():
    assert {type(known.law) for known in VALUES} == set(LAWS.values())


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_law_is_the_sum_of_its_amplitudes_times_its_basis(law):
    made = example(law)
    exponents = {name: np.asarray(getattr(made, name)) for name in law.exponents}
    terms = law.log_basis(exponents, {name: COLUMNS[name] for name in law.columns})
    total = sum(getattr(made, a) * np.exp(t) for a, t in zip(law.amplitudes, terms, strict=True))
    np.testing.assert_allclose(made(**COLUMNS), total, rtol=1e-12)  # rounding of x^-a against exp(-a log x)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_amplitudes_and_exponents_are_the_parameters(law):
    assert sorted((*law.amplitudes, *law.exponents)) == sorted(law.parameters())


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_leading_axis_of_the_parameters_leads_the_result(law):
    many = example(law, (3,))
    losses = many(**COLUMNS)
    assert losses.shape == (3, 5)
    one = law(**{name: values[1] for name, values in many.as_dict().items()})
    np.testing.assert_array_equal(losses[1], one(**COLUMNS))


@pytest.mark.parametrize(
    "law", [law for law in LAWS.values() if law.log_linear], ids=lambda law: law.__name__
)
def test_log_basis_of_a_log_linear_law_is_linear_in_its_exponents(law):
    columns = {name: COLUMNS[name] for name in law.columns}

    def at(value):
        return law.log_basis({name: np.asarray(value) for name in law.exponents}, columns)

    for zero, one, three in zip(at(0.0), at(1.0), at(3.0), strict=True):
        np.testing.assert_allclose(three, zero + 3 * (np.asarray(one) - zero), rtol=1e-14)


def test_other_columns_are_ignored():
    law = Hoffmann(1.0, 2.0, 0.3, 4.0, 0.5)
    assert law(N=1e9, D=1e10, L=3.0, C=1.0) == law(N=1e9, D=1e10)


def test_kaplans_own_law_is_the_coupled_one_without_a_floor():
    # arXiv 2001.08361, table 2: alpha_N 0.076, alpha_D 0.103, N_c 6.4e13, D_c 1.8e13 in equation 1.5
    alpha, beta, N_c, D_c = 0.076, 0.103, 6.4e13, 1.8e13
    law = Coupled(0.0, (N_c / 1e6) ** alpha, alpha, D_c * (1e6 / N_c) ** (alpha / beta), beta, beta)
    N, D = COLUMNS["N"], COLUMNS["D"]
    expected = ((N_c / N) ** (alpha / beta) + D_c / D) ** beta
    np.testing.assert_allclose(law(N=N, D=D), expected, rtol=1e-13)


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


def test_local_exponent_of_the_shifted_law_grows_to_its_exponent():
    law = Shifted(0.0, 1.0, 1e7, 0.5, 0.0, 1e7, 0.5)
    N = np.geomspace(1e5, 1e10, 6)
    slopes = -np.diff(np.log(law(N=N, D=1e9))) / np.log(10)
    assert (np.diff(slopes) > 0).all()
    assert slopes[0] < 0.05 < 0.49 < slopes[-1] < 0.5
