"""What a recipe is worth: known multiples of compute come back, what differs is named, the rest is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.__main__ import main
from analysis.errors import InputError
from analysis.frontier import Cost, Frontier
from analysis.laws import Coupled, Hoffmann, Power, Shifted
from analysis.options import Options
from analysis.recipes import equivalent, tuned
from analysis.recipes.comparable import comparison
from analysis.recipes.compared import compared
from analysis.recipes.convention import conventions
from analysis.recipes.gain_words import text
from analysis.recipes.hypotheses import AMPLITUDES, EXPONENTS, FLOOR, FREE, SAME, Pool, compare
from analysis.recipes.measured import measured
from analysis.recipes.pooled import CANDIDATE, pooled
from analysis.recipes.recipe import recipe, require_apart
from analysis.recipes.verdict import STEADY, Difference, Steadiness, _kind, require_draws
from analysis.recipes.verdict_words import verdict
from analysis.source import Source

BASE = Hoffmann(E=1.7, A=400.0, alpha=0.34, B=410.0, beta=0.28)
FAST = Options(replicates=100)


def better(g, E=1.7, steeper=0.0):
    """A law whose loss at N and D is the base's at sqrt(g) N and sqrt(g) D: worth g times the compute."""
    return Hoffmann(E=E, A=400.0 * g**-0.17, alpha=0.34 + steeper, B=410.0 * g**-0.14, beta=0.28)


def runs(law, noise=3e-3, seed=0, trunks=False, **columns):
    rng = np.random.default_rng(seed)
    N, D = (
        x.ravel() for x in np.meshgrid(np.geomspace(1e7, 3e9, 6), np.geomspace(1e9, 3e11, 5), indexing="ij")
    )
    error = rng.standard_normal(len(N))
    table = pd.DataFrame({"N": N, "D": D, "C": 6 * N * D}).assign(**columns)
    if trunks:
        table["trunk_id"] = [f"{seed}-{i}" for i in np.repeat(range(6), 5)]
        error = (error + np.repeat(rng.standard_normal(6), 5)) / np.sqrt(2)
    return table.assign(L=law(N=N, D=D) * np.exp(noise * error))


def along_compute(law, noise=3e-3, seed=0):
    """A ladder of one run at each compute."""
    rng = np.random.default_rng(seed)
    C = np.geomspace(1e15, 1e21, 16)
    return pd.DataFrame({"C": C, "L": law(x=C) * np.exp(noise * rng.standard_normal(16))})


def side(table, name, options=FAST, seed=0):
    return recipe(Source(Path(f"{name}.csv"), table, f"sha of {name}", name=name), options, "", name, seed)


def both(base, candidate, options=FAST):
    return side(base, "base", options), side(candidate, "candidate", options, seed=1)


def content_of(base, candidate, options=FAST, **settings):
    sides = both(base, candidate, options)
    made = compared(*sides, comparison(*sides), **({"replicates": 29} | settings))
    json.dumps(made, allow_nan=False)
    return made


@pytest.fixture(scope="module")
def twice():
    return content_of(runs(BASE, seed=1), runs(better(2.0), seed=2))


@pytest.mark.parametrize(
    ("law", "other", "tolerance"),
    [
        (BASE, better(2.5), 1e-9),  # rounding of powers
        (
            Coupled(E=1.7, A=3.0, alpha=0.3, D0=1e8, beta=0.4, g=0.7),
            Coupled(E=1.7, A=3.0 * 2.5**-0.15, alpha=0.3, D0=1e8 * 2.5**-0.125, beta=0.4, g=0.7),
            1e-9,
        ),
        # of a table of 181 computes in 30 decades, joined by straight lines in logarithms
        (Shifted(E=1.7, A=400.0, alpha=0.34, N0=0.0, B=410.0, beta=0.28, D0=0.0), better(2.5), 2e-3),
    ],
    ids=["hoffmann", "coupled", "shifted"],
)
def test_a_pure_multiplier_of_compute_is_the_gain_at_every_scale(law, other, tolerance):
    base, candidate = both(runs(BASE), runs(better(2.5)))
    C = np.geomspace(1e17, 1e25, 9)
    loss = Frontier(other, Cost()).L_opt(C)
    straight = not isinstance(law, Shifted)
    made = equivalent.compute_for(_as_law(base, straight), law, loss[None])[0] / C
    assert made == pytest.approx(2.5, rel=tolerance)
    assert candidate.track.cost.kappa == pytest.approx(6)  # of a mean of logarithms


def _as_law(side, straight):
    class Known:
        track, span = side.track, side.span

    Known.straight = straight
    return Known


def test_a_loss_below_the_bases_floor_needs_endless_compute_and_its_draws_are_counted():
    base, candidate = both(runs(better(1.0, E=2.4)), runs(BASE, seed=3))
    made = equivalent.gains(base, candidate, np.array([1e18, 1e23]))
    assert np.isfinite(made.needed[0])
    assert np.isinf(made.needed[1])
    assert made.never.tolist() == [0.0, 1.0]


def test_a_base_that_ends_at_a_high_floor_is_told_in_words():
    made = content_of(runs(better(1.0, E=2.4), seed=1), runs(BASE, seed=3))
    told = text(made)
    assert made["verdict"]["kind"] in ("floors", "exponents and floors")
    assert "The floors differ" in told or "The exponents and the floors differ" in told
    last = made["points"][-1]
    assert last["endless"]
    assert last["gain"] == {"value": None, "lo": None, "hi": None}
    at = Frontier(BASE, Cost()).L_opt
    assert at(made["passing"]["lo"]) > 2.4 > at(made["passing"]["hi"])
    assert "below the base's fitted floor, and no compute makes up for it" in told
    assert "endless" in told
    assert "100\N{NO-BREAK SPACE}%" in told


def test_a_gain_that_is_endless_in_a_part_of_the_draws_says_in_how_many():
    base = side(runs(better(1.0, E=2.0), noise=0.02, seed=4), "base")
    candidate = side(runs(better(1.0), noise=0.02, seed=5), "candidate")
    E = np.asarray(base.draws.as_dict()["E"])
    target = float(np.quantile(E, 0.7))
    C = np.geomspace(1e18, 1e27, 2000)
    at = float(C[np.argmin(np.abs(candidate.track.loss(candidate.law, C) - target))])
    made = compared(base, candidate, comparison(base, candidate), at=[at], replicates=19)
    point = made["points"][0]
    assert 0.02 < point["never"] < 0.98
    assert point["gain"]["hi"] is None
    assert point["gain"]["lo"] is not None
    assert "at least" in text(made)


def test_only_the_amplitudes_of_a_pure_multiplier_differ(twice):
    found = twice["verdict"]
    assert found["kind"] == "amplitudes"
    difference = found["exponent_differences"]["one_floor"]["L_exponent"]
    assert difference["lo"] < 0.01
    assert difference["hi"] > -0.01
    assert "Only the amplitudes differ" in text(twice)
    headline = twice["headline"]["gain"]
    assert headline["lo"] < 2 < headline["hi"]
    assert twice["headline"]["inside"]


def test_steeper_laws_differ_in_their_exponents():
    made = content_of(runs(BASE, noise=1e-3, seed=1), runs(better(1.0, steeper=0.04), noise=1e-3, seed=2))
    assert made["verdict"]["kind"] == "exponents"
    assert made["verdict"]["exponent_differences"]["one_floor"]["L_exponent"]["lo"] > 0
    gains = [point["gain"]["value"] for point in made["points"]]
    assert gains == sorted(gains)


def test_two_draws_of_one_law_show_no_difference():
    made = content_of(runs(BASE, seed=1), runs(BASE, seed=2))
    assert made["verdict"]["kind"] == "no difference"
    assert made["headline"]["gain"]["lo"] < 1 < made["headline"]["gain"]["hi"]


def test_noisy_short_ladders_cannot_tell():
    law = Power(E=1.7, A=40.0, alpha=0.1)
    small = [along_compute(law, 0.02, seed).head(8) for seed in (1, 2)]
    made = content_of(*small, options=Options(replicates=60, law="power"))
    assert made["verdict"]["kind"] == "cannot tell"
    assert "cannot tell whether the exponents differ" in text(made)


def test_a_law_in_compute_alone_gives_its_multiplier():
    law = Power(E=1.7, A=40.0, alpha=0.1)
    tables = along_compute(law, 1e-3, 1), along_compute(Power(E=1.7, A=40.0 * 3**-0.1, alpha=0.1), 1e-3, 2)
    made = content_of(*tables, options=Options(law="power", replicates=100))
    assert made["headline"]["gain"]["lo"] < 3 < made["headline"]["gain"]["hi"]
    assert made["verdict"]["law_tested"] == "power"
    assert made["verdict"]["kind"] == "amplitudes"


def test_a_law_that_shares_everything_is_the_law_itself_and_wider_ones_fit_no_worse():
    pool = Pool(*both(runs(BASE, seed=1), runs(better(1.3), seed=2)))
    values = {name: np.array([value]) for name, value in BASE.as_dict().items()}
    columns = {"N": np.array([1e8, 1e9]), "D": np.array([1e10, 1e11]), CANDIDATE: np.array([0.0, 1.0])}
    columns = {name: column[None] for name, column in columns.items()}
    terms = pooled(Hoffmann, pool.hypotheses[SAME]).log_basis(
        {k: v[:, None] for k, v in values.items()}, columns
    )
    alone = Hoffmann.log_basis({k: v[:, None] for k, v in values.items()}, columns)
    for own, other in zip(terms, alone, strict=True):
        assert np.broadcast_to(own, (1, 2)) == pytest.approx(np.broadcast_to(other, (1, 2)))
    least = {name: float(pool.objective(shared)[0]) for name, shared in pool.hypotheses.items()}
    for narrow, wide in ((SAME, AMPLITUDES), (AMPLITUDES, EXPONENTS), (AMPLITUDES, FLOOR), (EXPONENTS, FREE)):
        assert least[narrow] >= least[wide] * (1 - 1e-6)  # where the polish stops


def test_the_ratio_between_envelopes_is_the_multiplier_on_noise_free_runs():
    """Of one run at each compute, so that the envelope is the curve: joined by straight lines, 1 % off."""
    law, other = Power(E=1.7, A=40.0, alpha=0.1), Power(E=1.7, A=40.0 * 2**-0.1, alpha=0.1)
    options = Options(law="power", replicates=20)
    found = measured(*both(along_compute(law, 1e-5), along_compute(other, 1e-5, 1), options))
    assert found.ratio == pytest.approx(2.0, rel=0.02)
    assert all(set(entry) == {"loss", "ratio"} for entry in found.as_list())


def test_the_ratio_without_a_law_has_no_interval_and_says_why(twice):
    assert "no interval:\nresampling is known to fail for the best of few runs" in text(twice)


def test_recipes_whose_losses_do_not_meet_are_not_compared_without_a_law():
    tables = runs(BASE), runs(better(1.0, E=0.5), seed=1)
    worse = tables[0][tables[0]["L"] > 3.2].head(20), tables[1][tables[1]["L"] < 1.9]
    assert measured(*(_Frame(table) for table in worse)) is None


class _Frame:
    def __init__(self, frame):
        self.frame = frame


SIZES = [
    ("same", BASE, SAME, AMPLITUDES),
    ("multiplier", better(2.0), AMPLITUDES, FREE),
    ("multiplier", better(2.0), FLOOR, FREE),
]


def rejected(law, null, alternative, tables, trunks=False, draws=39):
    """How often p is at most 0.1."""
    count = 0
    for seed in range(tables):
        made = [runs(one, seed=2 * seed + k, trunks=trunks) for k, one in enumerate((BASE, law))]
        count += compare(Pool(*both(*made, Options(replicates=2))), null, alternative, draws, seed).p <= 0.1
    return count


def test_a_true_hypothesis_is_seldom_rejected():
    """Of two ladders along compute, one worth 2 times the other: in 12 tables 1 is expected, 5 or more happen once in
    200 times."""
    laws = Power(E=1.7, A=40.0, alpha=0.1), Power(E=1.7, A=40.0 * 2**-0.1, alpha=0.1)
    options, count = Options(law="power", replicates=2), 0
    for seed in range(12):
        made = [along_compute(law, seed=2 * seed + k) for k, law in enumerate(laws)]
        count += compare(Pool(*both(*made, options)), AMPLITUDES, FREE, 19, seed).p <= 0.1
    assert count <= 4


@pytest.mark.slow
@pytest.mark.parametrize("trunks", [False, True], ids=["rows", "trunks"])
@pytest.mark.parametrize(
    ("name", "law", "null", "alternative"), SIZES, ids=["same", "amplitudes", "exponents"]
)
def test_a_true_hypothesis_is_rejected_no_more_often_than_the_level_says(
    name, law, null, alternative, trunks
):
    """10 of 100 are expected with a standard error of 3. With six trunks a side the test is timid: of equal exponents
    it rejected 1, so that "cannot tell" is said more often there than need be (lab book, 2026-11-27)."""
    timid = trunks and null == FLOOR
    assert (0 if timid else 2) <= rejected(law, null, alternative, 100, trunks) <= 19


def held(tables, g=2.0):
    C, count = np.array([1e18, 1e20, 2e21, 1e23]), np.zeros(4)
    for seed in range(tables):
        sides = both(runs(BASE, seed=2 * seed), runs(better(g), seed=2 * seed + 1), Options(replicates=60))
        lo, hi = equivalent.ends(equivalent.gains(*sides, C).draws / C, *sides)
        count += (lo <= g) & (g <= hi)
    return count


def test_intervals_of_the_gain_hold_the_known_one():
    """Of 90 %, inside the runs and beyond them, in 8 tables; 5 or fewer happen once in 25 times at one compute."""
    assert (held(8) >= 6).all()


@pytest.mark.slow
def test_intervals_of_the_gain_hold_the_known_one_as_often_as_they_say():
    """90 of 100 are expected with a standard error of 3."""
    count = held(100)
    assert (count >= 82).all(), count
    assert (count[:3] <= 98).all(), count


@pytest.fixture(scope="module")
def fits():
    """Both sides, whose rows are then told to be of other kinds."""
    return both(runs(BASE), runs(BASE, seed=1), Options(replicates=2))


def told_of(fits, here, there):
    """The sides with columns of their own, in the rows fitted and in the tables."""
    return [
        replace(
            one,
            frame=one.frame.assign(**columns),
            source=replace(one.source, table=one.source.table.assign(**columns)),
        )
        for one, columns in zip(fits, (here, there), strict=True)
    ]


@pytest.mark.parametrize(
    ("here", "there", "words"),
    [
        ({"corpus": "a"}, {"corpus": "b"}, "corpus differs (a and b)"),
        ({"corpus_sha256": "1" * 64}, {"corpus_sha256": "2" * 64}, "hash of the corpus"),
        ({"vocab": 257.0}, {"vocab": 4096.0}, "vocabulary differs (257 and 4096)"),
        ({"tokens_per_byte": 0.25}, {"tokens_per_byte": 0.3}, "tokens per byte"),
        ({"objective": "causal"}, {"objective": "masked"}, "different quantities"),
        ({}, {"objective": "masked"}, "different quantities"),
        ({"unit": "nats"}, {"unit": "bits per byte"}, "other units"),
    ],
)
def test_losses_that_are_not_one_quantity_are_not_compared(fits, here, there, words):
    of = comparison(*told_of(fits, here, there))
    assert words in "; ".join(of.against)
    assert not of.comparable


def test_a_reason_makes_other_corpora_comparable_and_never_other_objectives(fits):
    sides = told_of(fits, {"corpus": "a"}, {"corpus": "b"})
    assert comparison(*sides, consent="one held-out text").comparable
    sides = told_of(fits, {}, {"objective": "masked"})
    assert not comparison(*sides, consent="one held-out text").comparable


def test_what_the_tables_do_not_say_is_told_and_the_same_text_split_otherwise_is_the_same(fits):
    told = {"corpus": "a", "vocab": 257.0, "tokens_per_byte": 1.00001, "context": 64.0}
    other = told | {"tokens_per_byte": 1.00005, "context": 128.0}
    of = comparison(*told_of(fits, told, other))
    assert of.comparable
    assert "hash of the corpus's documents: taken to be the same" in of.caveats[0]
    assert "contexts differ (64 and 128 tokens)" in of.caveats[1]


def test_six_n_d_on_one_side_and_a_count_on_the_other_are_not_compared(fits):
    """A count of 1.3 times 6 N D would be read as a gain of 1.3."""
    counted = {"C": 1.3 * fits[0].frame["C"], "C_6ND": fits[0].frame["C"]}
    for order in (({"C_6ND": counted["C_6ND"]}, counted), (counted, {"C_6ND": counted["C_6ND"]})):
        of = comparison(*told_of(fits, *order))
        assert not of.comparable
        assert "is 6 N D, the" in of.against[0]
        assert "1.3 to 1.3 times 6 N D; --columns C=C_6ND" in of.against[0]
    near = {"C": 1.04 * fits[0].frame["C"]}
    assert conventions(*told_of(fits, {}, near)) == ("", "")


def test_other_costs_at_the_same_size_are_told_with_both(fits):
    N, C = fits[0].frame["N"], fits[0].frame["C"]
    alike, dear = {"C": C * 2 * (N / 1e7) ** -0.1}, {"C": C * 3 * (N / 1e7) ** -0.1}
    assert conventions(*told_of(fits, alike, alike)) == ("", "")
    against, caveat = conventions(*told_of(fits, alike, dear))
    assert not against
    assert (
        "a run of the base costs 0.67× one of the candidate (C over 6 N D is 2 against 3 at N = 10M)"
        in caveat
    )
    apart = {"C": dear["C"], "N": N * 1e4}
    assert "no size lies within both" in conventions(*told_of(fits, alike, apart))[1]


def test_costs_and_rates_tried_are_told(twice):
    told = text(twice)
    assert "base: a run costs 6 N^1 D FLOPs; candidate: a run costs 6 N^1 D FLOPs" in told
    assert "the tables do not both name their learning rates" in told


def test_a_recipe_tuned_less_is_told_and_an_edge_of_its_sweep_too(fits):
    assert "neither table holds a sweep" in tuned.told(*told_of(fits, {"lr": 0.1}, {"lr": 0.1}))[-1]
    made = told_of(fits, {"lr": 0.1}, {"lr": 0.1})[0]
    table = pd.concat(
        [made.source.table.assign(lr=rate, L=made.source.table["L"] + rate) for rate in (0.1, 0.2)]
    )
    swept = replace(made, source=replace(made.source, table=table.reset_index(drop=True)))
    told = tuned.told(swept, told_of(fits, {}, {"lr": 0.1})[1])
    assert told[-1] == "rates tried at a size, at most: 2 in the base against 1 in the candidate"
    assert any(one.startswith("base: At ") and "the smallest tried" in one for one in told)


@pytest.mark.parametrize(("tests", "level", "needed"), [(9, 0.9, 10), (19, 0.95, 20), (99, 0.99, 100)])
def test_tests_too_few_to_reject_anything_are_refused_with_the_number_needed(tests, level, needed):
    with pytest.raises(InputError, match=f"use at least {needed},"):
        require_draws(tests, level)
    require_draws(needed, level)


PULL = Difference(-0.03, -0.05, -0.01, 0.11, Steadiness(0.53, 0.35, 0.81))


def test_an_interval_beside_0_never_goes_unmentioned_where_no_test_rejects():
    p = {SAME: 0.5, AMPLITUDES: 0.5, EXPONENTS: 0.5, FLOOR: 0.5}
    assert _kind(p, PULL, 2.0, 0.1) == "cannot tell"
    steady = replace(PULL, a_decade=Steadiness(0.9, 0.85, 0.95))
    for difference in (PULL, steady):
        told = verdict(_found(p, difference, 2.0), 0.9)
        assert (
            "The interval alone is without 0, and the test does not reject equal exponents (p = 0.500)"
            in told
        )
        assert "this rule: the tests below reject a hypothesis where p is less than 0.1" in told


def test_a_p_beside_the_rule_says_that_another_seed_may_turn_it():
    told = verdict(_found({FLOOR: 0.085}, PULL, 2.0), 0.9)
    assert told.startswith("The exponents differ (")
    assert "(here p = 0.085)" in told
    assert "0.085 may fall on either side with another seed" in told
    assert "another seed" not in verdict(_found({FLOOR: 0.01}, PULL, 2.0), 0.9)


def _found(p, difference, decades):
    told = {"L_exponent": difference.as_dict()}
    return {
        "kind": _kind(p, difference, decades, 0.1),
        "tests": [{"null": null, "p": value} for null, value in p.items()],
        "replicates": 199,
        "rejected_below": 0.1,
        "exponent_differences": {"one_floor": told if SAME in p else {}, "own_floors": told},
        "steady_within": STEADY,
        "decades": decades,
    }


def test_exponents_are_alike_only_where_the_gain_stays_within_half_again_over_the_runs():
    """1.1 a decade is 1.21 over two and 1.61 over five."""
    p = {SAME: 0.01, AMPLITUDES: 0.5, EXPONENTS: 0.5, FLOOR: 0.5}
    near = Difference(0.0, -0.01, 0.01, 0.11, Steadiness(1.0, 1 / 1.1, 1.1))
    assert near.a_decade.over(2) == pytest.approx(1.21)
    assert _kind(p, near, 2.0, 0.1) == "amplitudes"
    assert "the gain is steady to between ×0.91 and ×1.10 a decade" in verdict(_found(p, near, 2.0), 0.9)
    assert _kind(p, near, 5.0, 0.1) == "cannot tell"
    assert "That the recipes differ does show (one law for both: p = 0.010)" in verdict(
        _found(p, near, 5.0), 0.9
    )
    assert "more than 1.5× over the 5 decades" in verdict(_found(p, near, 5.0), 0.9)


def test_the_gains_change_a_decade_is_that_of_the_two_laws():
    """Powers of compute 0.1 and 0.11 that are exact: C^(0.1 / 0.11 - 1), to the digits of the fit."""
    laws = Power(E=1.7, A=40.0, alpha=0.11), Power(E=1.7, A=40.0, alpha=0.1)
    made = content_of(
        *(along_compute(law, 1e-6, k) for k, law in enumerate(laws)),
        options=Options(law="power", replicates=20),
        replicates=19,
    )
    difference = made["verdict"]["exponent_differences"]["one_floor"]["L_exponent"]
    assert difference["a_decade"]["value"] == pytest.approx(10 ** (0.1 / 0.11 - 1), rel=1e-3)
    assert made["verdict"]["decades"] == pytest.approx(6)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gain")
    made = {
        "sgd": runs(
            BASE, seed=1, optimizer="sgd", corpus="web", vocab=64, corpus_sha256="ab", objective="causal"
        ),
        "adamw": runs(better(2.0), 3e-3, 2, optimizer="adamw", corpus="web", vocab=64, corpus_sha256="ab"),
        "masked": runs(
            better(2.0, E=1.2), 3e-3, 3, optimizer="adamw", corpus="web", vocab=64, objective="masked"
        ),
        "few": runs(BASE).iloc[::6].head(5),
    }
    made["both"] = pd.concat([made["sgd"], made["adamw"]])
    for name, table in made.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    return folder


def gain(folder, base, candidate, *options):
    paths = [str(folder / f"{name}.csv") for name in (base, candidate)]
    return main(["gain", *paths, "--replicates", "60", "--tests", "19", "--admit", "hoffmann", *options])


def test_the_verb_splits_one_table_by_conditions_and_leads_with_the_gain(tables, capsys, tmp_path):
    split = ("--where-base", "optimizer == 'sgd'", "--where-candidate", "optimizer == 'adamw'")
    assert gain(tables, "both", "both", *split, "--out", str(tmp_path / "out")) == 0
    told = capsys.readouterr().out
    assert told.startswith("At ")
    assert "the candidate is worth" in told.splitlines()[0]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["gain.json", "gain.png", "gain.svg"]
    content = json.loads((tmp_path / "out" / "gain.json").read_text())
    assert content["base"]["where"] == "optimizer == 'sgd'"
    assert content["base"]["runs"] == content["candidate"]["runs"] == 30


def test_a_masked_objective_gets_both_laws_and_no_gain(tables, capsys, tmp_path):
    assert gain(tables, "sgd", "masked", "--out", str(tmp_path / "out")) == 0
    told = capsys.readouterr().out
    assert told.startswith("No compute-equivalent gain is told: the objectives differ (causal and masked)")
    assert "exponent" in told
    content = json.loads((tmp_path / "out" / "gain.json").read_text())
    assert "headline" not in content
    assert content["verdict"]["kind"] in ("same exponents", "exponents", "cannot tell")
    assert not (tmp_path / "out" / "gain.png").exists()


@pytest.mark.parametrize(
    ("base", "candidate", "options", "words"),
    [
        ("sgd", "sgd", (), "the same runs"),
        (
            "both",
            "both",
            ("--where-base", "N > 1", "--where-candidate", "optimizer == 'sgd'"),
            "in both base and",
        ),
        ("sgd", "few", (), "the candidate has 5 runs, and hoffmann needs 7"),
        ("sgd", "adamw", ("--law", "kaplan"), "has no floor"),
        ("sgd", "adamw", ("--law", "power", "--x", "D"), "compared by the loss in N and D"),
        ("sgd", "adamw", ("--at", "-1"), "a gain is asked for at -1.0 FLOPs"),
        ("sgd", "adamw", ("--tests", "3"), "below 0.1; use at least 10"),
        ("sgd", "adamw", ("--level", "0.95"), "tests is 19, whose least p is 0.05"),
        ("sgd", "adamw", ("--where-base", "N >"), "not an expression"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(tables, capsys, tmp_path, base, candidate, options, words):
    assert gain(tables, base, candidate, *options, "--out", str(tmp_path / "out")) == 2
    told = capsys.readouterr()
    assert words in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""
    assert not (tmp_path / "out").exists()


def test_runs_of_both_sides_are_refused_by_their_ids():
    ids = {"run_id": [f"r{i}" for i in range(30)]}
    with pytest.raises(InputError, match=r"30 runs are in both|the same runs"):
        require_apart(*both(runs(BASE, **ids), runs(BASE, seed=1, **ids), Options(replicates=2)))
