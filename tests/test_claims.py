"""Claims of growth: the grammar, the rule, and verdicts where the truth is known."""

import numpy as np
import pytest

from analysis.errors import InputError
from analysis.trends.claims import CONTRADICTED, SUPPORTED, UNDECIDED, judge, parse, verdict
from analysis.trends.models import Series, Window
from analysis.trends.trend import Sampling
from analysis.trends.versions import all_models


def grown(slope, noise, count=120, organizations=30, quantity="parameters"):
    """The trend of models that grow by `slope` decades a year, with scatter."""
    rng = np.random.default_rng(5)
    years = np.sort(rng.uniform(2018, 2025, count))
    logs = 9 + slope * (years - 2018) + rng.normal(0, noise, count)
    group = rng.integers(0, organizations, count)
    _, groups = np.unique(group, return_inverse=True)
    names = tuple(map(str, range(count)))
    made = Series(quantity, names, tuple(map(str, group)), years, logs, groups.astype(np.intp))
    return all_models(made, Window(), "OLS", Sampling(400))


@pytest.mark.parametrize(
    ("text", "quantity", "months"),
    [
        ("params doubling 3..6 months", "parameters", (3, 6)),
        ("parameters doubling every 3 to 6 months", "parameters", (3, 6)),
        ("Data doubling 1..2 years", "tokens", (12, 24)),
        ("compute growth 4..16 x a year", "compute", (3, 6)),
        ("flops  growth 4..16 per year", "compute", (3, 6)),
    ],
)
def test_the_grammar_gives_quantity_and_range(text, quantity, months):
    claim = parse(text)
    assert claim.quantity == quantity
    assert np.allclose(claim.months, months)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("params doubling 6 months", "names one value, which no trend has exactly; give a range"),
        ("params doubling 6..3 months", "no range from a smaller to a larger"),
        ("params doubling 0..3 months", "no range from a smaller to a larger"),
        ("layers doubling 3..6 months", "'layers', which is no quantity"),
        ("params double quickly", "is not understood; write QUANTITY doubling LO..HI months"),
        ("", "is not understood"),
    ],
)
def test_what_is_no_claim_is_told_the_grammar_with_an_example(text, words):
    with pytest.raises(InputError, match=words) as refused:
        parse(text)
    assert "params doubling 3..6 months" in str(refused.value)


def test_the_rule_holds_at_its_bounds():
    assert [verdict(p) for p in (0.95, 0.949, 0.5, 0.051, 0.05, 0.0)] == [
        SUPPORTED, UNDECIDED, UNDECIDED, UNDECIDED, CONTRADICTED, CONTRADICTED,
    ]  # fmt: skip


def test_a_true_claim_is_supported_a_false_one_contradicted_and_a_close_one_undecided():
    trend = grown(slope=12 * np.log10(2) / 4.5, noise=0.3)  # doubles in 4.5 months
    said = [
        judge(parse(f"params doubling {span} months"), [trend]).headline.verdict
        for span in ("3..6", "8..12", f"{trend.doubling[0]:.3f}..9")
    ]
    assert said == [SUPPORTED, CONTRADICTED, UNDECIDED]


def test_the_probability_is_about_that_of_the_interval():
    """The ends of the 90 % interval hold 0.9; the widened percentiles of 400 replicates are steps of 0.0025."""
    trend = grown(slope=0.6, noise=0.8)
    assert trend.probability(*trend.slopes) == pytest.approx(0.9, abs=0.01)


def test_what_shrinks_does_not_double_in_any_time():
    trend = grown(slope=-0.6, noise=0.1)
    assert trend.doubling[0] == np.inf
    assert judge(parse("params doubling 1..1000 years"), [trend]).headline.verdict == CONTRADICTED


def test_disagreement_between_versions_is_kept():
    fast, slow = grown(slope=0.8, noise=0.1), grown(slope=0.2, noise=0.1)
    judged = judge(parse("params doubling 3..6 months"), [fast, slow])
    assert judged.headline.verdict == SUPPORTED
    assert [one.verdict for one in judged.dissenting] == [CONTRADICTED]
