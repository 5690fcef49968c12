"""--explain says what the printed terms mean, and only those."""

from analysis.glossary import WIDTH, explained


def flat(text):
    return " ".join(explained(text).split())


def test_the_columns_of_coverage_and_both_noises_are_explained():
    said = flat("coverage on this design: 300 simulated tables, noise 0.003 a run\nat level\n0.980 x1.40")
    assert "x1.40 after it" in said and "`a run` is what is drawn for every run" in said
    assert "which bad runs do not raise" in said


def test_which_interval_to_quote_is_said_by_the_parameters():
    assert "intervals to quote are those of this table" in flat("parameters\n   value   90% interval")


def test_a_verdict_of_one_law_is_explained_as_such():
    said = flat("floor E: identified. 90% by this law alone: 1 to 2")
    assert "this law alone: no other law was admitted" in said and "all admissible laws" not in said


def test_explanations_fit_the_terminal():
    assert max(map(len, explained("at level simulated tables parameters noise").splitlines())) <= WIDTH
