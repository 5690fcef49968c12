"""The model that costs least to train and to serve: the published example, the conditions of an optimum, refusals."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis.__main__ import main
from analysis.errors import InputError
from analysis.fitting import fit
from analysis.frontier import Cost, Frontier
from analysis.intervals.uncertainty import bootstrap
from analysis.laws import Coupled, Hoffmann, OverTrained, Shifted, Tied
from analysis.serving.optimum import Serving, cheapest
from analysis.serving.serve_words import text
from analysis.serving.served import Target, _over

# Constants with which Sardana et al. 2024 (arXiv 2401.00448) write the law of Hoffmann et al. 2022.
SARDANA = Hoffmann(E=1.69, A=406.4, alpha=0.336, B=410.7, beta=0.283)
LAWS = [
    SARDANA,
    Tied(E=1.7, A=300.0, alpha=0.3, B=500.0),
    Coupled(E=1.7, A=3.0, alpha=0.3, D0=1e8, beta=0.4, g=0.7),
    OverTrained(E=1.7, a=150.0, b=300.0, eta=0.15),
]
COSTS = [Cost(), Cost(kappa=39.0, rho=0.85)]


def test_a_7b_saves_17_percent_of_a_13b_that_serves_two_trillion_tokens():
    """Figure 1 of the paper: 1.7e22 FLOPs, 17 %; printed in two figures."""
    D = (0.283 * 410.7 / (0.336 * 406.4) * 13e9**0.336) ** (1 / 0.283)
    loss = float(SARDANA(N=13e9, D=D))
    by_life, by_training = (
        cheapest(SARDANA, Cost(), loss, by, Serving(2e12)) for by in (Serving(2e12), Serving(0.0))
    )
    assert float(by_training.N) == pytest.approx(13e9, rel=1e-9)  # rounding of powers
    assert float(by_life.N) == pytest.approx(7e9, rel=0.01)
    saved = float(by_training.total - by_life.total)
    assert saved == pytest.approx(1.7e22, rel=0.01)
    assert saved / float(by_training.total) == pytest.approx(0.17, abs=0.005)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
@pytest.mark.parametrize("cost", COSTS, ids=["6ND", "counted"])
def test_the_gradients_of_cost_and_loss_are_parallel_and_the_loss_is_the_target(law, cost):
    """The KKT condition to 1e-8, in slopes by N and D in logarithms; central differences leave 1e-9."""
    serving = Serving(3e11, price=2.0)
    made = cheapest(law, cost, 2.2, serving)
    assert float(law(N=made.N, D=made.D)) == pytest.approx(2.2, abs=1e-10)

    def slopes(value, h=1e-5):
        return np.array([value(h, 0) - value(-h, 0), value(0, h) - value(0, -h)]) / (2 * h)

    def total(n, d):
        N, D = made.N * np.exp(n), made.D * np.exp(d)
        return float(cost.kappa * N**cost.rho * (D + serving.trained) / made.total)

    of_cost, of_loss = (
        slopes(total),
        slopes(lambda n, d: float(law(N=made.N * np.exp(n), D=made.D * np.exp(d)))),
    )
    across = of_cost[0] * of_loss[1] - of_cost[1] * of_loss[0]
    assert abs(across) / np.linalg.norm(of_cost) / np.linalg.norm(of_loss) < 1e-8


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_with_next_to_nothing_to_serve_it_is_the_training_optimal_model(law):
    cost = COSTS[1]
    at = Frontier(law, cost)
    for tokens, tolerance in ((0.0, 1e-9), (1.0, 1e-6)):  # rounding; a token in 1e9 of those trained on
        made = cheapest(law, cost, at.L_opt(1e21), Serving(tokens))
        assert float(made.N) == pytest.approx(float(at.N_opt(1e21)), rel=tolerance)
        assert float(made.D) == pytest.approx(float(at.D_opt(1e21)), rel=tolerance)
        assert float(made.training) == pytest.approx(1e21, rel=tolerance)


def test_more_tokens_served_make_the_model_smaller_and_its_training_longer():
    made = [cheapest(SARDANA, Cost(), 2.1, Serving(tokens)) for tokens in np.geomspace(1e8, 1e16, 60)]
    assert (np.diff([float(one.N) for one in made]) < 0).all()
    assert (np.diff([float(one.D) for one in made]) > 0).all()
    dearer = cheapest(SARDANA, Cost(), 2.1, Serving(1e12, price=3.0))
    assert float(dearer.N) < float(cheapest(SARDANA, Cost(), 2.1, Serving(1e12)).N)


def test_draws_that_cannot_reach_the_loss_have_no_split():
    many = Hoffmann(
        *(
            np.array(values)
            for values in ([1.7, 2.5, 1.7], [400.0] * 3, [0.3] * 3, [400, 400, 0.0], [0.3] * 3)
        )
    )
    assert np.isfinite(cheapest(many, Cost(), 2.2, Serving(1e12)).N).tolist() == [True, False, False]


def test_a_law_without_a_closed_split_is_refused():
    law = Shifted(E=1.7, A=400.0, alpha=0.3, N0=1e5, B=400.0, beta=0.3, D0=1e6)
    with pytest.raises(InputError, match="hoffmann, tied or coupled"):
        cheapest(law, Cost(), 2.2, Serving(1e12))


@pytest.mark.parametrize(("tokens", "price"), [(-1.0, 1.0), (np.nan, 1.0), (1e12, 0.0), (np.inf, 1.0)])
def test_impossible_tokens_and_prices_are_refused(tokens, price):
    with pytest.raises(InputError, match="must be finite"):
        Serving(tokens, price)


@pytest.mark.parametrize(("loss", "C"), [(None, None), (2.0, 1e20), (-1.0, None), (None, 0.0)])
def test_a_target_is_one_loss_or_one_compute_above_0(loss, C):
    with pytest.raises(InputError, match="--loss"):
        Target(loss, C)


def a_table(seed):
    rng = np.random.default_rng(seed)
    N, D = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e7, 3e9, 6), np.geomspace(1e9, 3e11, 6)))
    L = SARDANA(N=N, D=D) * np.exp(2e-3 * rng.standard_normal(len(N)))
    return pd.DataFrame({"N": N, "D": D, "L": L})


@pytest.mark.slow
def test_intervals_of_90_percent_hold_the_cheapest_model_in_about_90_percent_of_simulated_tables():
    """Of 100, of which 4.7 % either way are one and a half standard errors."""
    truth, held = cheapest(SARDANA, Cost(), 2.2, Serving(1e12)), np.zeros(3)
    for seed in range(100):
        table = a_table(seed)
        boot = bootstrap(table, fit(table, "hoffmann"), replicates=200, seed=seed)
        made = cheapest(boot.law, Cost(), 2.2, Serving(1e12))
        for i, name in enumerate(("N", "D", "total")):
            interval = boot.interval(getattr(made, name))
            held[i] += interval.lo < float(getattr(truth, name)) < interval.hi
    assert (held >= 83).all(), held


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("serving") / "table.csv"
    a_table(5).to_csv(path, index=False)
    return path


def serve(table, *options):
    return main(["serve", str(table), "--replicates", "60", "--tokens", "1e12", *options])


THREE = ("--admit", "hoffmann", "tied", "coupled")


def test_the_verb_leads_with_the_model_and_its_intervals_hold_the_truth(table, capsys, tmp_path):
    """At a level of 99 %, which a lone table misses once in a hundred times."""
    assert serve(table, "--loss", "2.2", "--level", "0.99", *THREE, "--out", str(tmp_path / "out")) == 0
    told = capsys.readouterr().out
    assert told.startswith("To reach a loss of 2.2 and serve 1T tokens costs least with N = ")
    first, verdict = told.splitlines()[:2]
    assert "intervals of hoffmann alone; with those of hoffmann, tied and coupled together N is " in first
    assert verdict.startswith("Verdict on the floor: identified. By all admissible laws the floor lies ")
    assert "(in every run)" in told  # C is 6 N D here, and rounding is no error
    content = json.loads((tmp_path / "out" / "serve.json").read_text())
    truth = cheapest(SARDANA, Cost(), 2.2, Serving(1e12))
    for name in ("N", "D", "total"):
        entry = content["cheapest"][name]
        assert entry["lo"] < float(getattr(truth, name)) < entry["hi"]
    assert {law["law"] for law in content["by_law"]} == {"tied", "coupled"}
    for name in ("N", "D"):
        entries = [content["cheapest"][name], *(law["cheapest"][name] for law in content["by_law"])]
        assert content["over_laws"][name]["lo"] == min(entry["lo"] for entry in entries)
        assert content["over_laws"][name]["hi"] == max(entry["hi"] for entry in entries)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "serve.json",
        "serve.png",
        "serve.svg",
    ]


def test_a_quality_by_compute_is_that_of_the_best_model_it_trains(table, capsys):
    assert serve(table, "--C", "1e21", "--json", "--admit", "hoffmann") == 0
    content = json.loads(capsys.readouterr().out)
    training = content["training_optimal"]["training"]
    assert [training[end] for end in ("value", "lo", "hi")] == pytest.approx([1e21] * 3, rel=1e-9)  # rounding
    assert content["target"]["loss"]["lo"] < content["target"]["loss"]["hi"]


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """Losses 1 % off, whose floor is known to 0.1 or so."""
    path, table = tmp_path_factory.mktemp("noisy") / "table.csv", a_table(5)
    table["L"] *= np.exp(0.01 * np.random.default_rng(3).standard_normal(len(table)))
    table.to_csv(path, index=False)
    return path


def test_draws_that_never_reach_the_loss_end_the_interval_at_never(noisy, capsys, tmp_path):
    options = ("--loss", "1.75", "--admit", "hoffmann")
    assert serve(noisy, *options, "--out", str(tmp_path)) == 0
    told = capsys.readouterr().out
    assert "to never) parameters" in told.splitlines()[0]
    assert "no other law was asked" in told.splitlines()[0]
    content = json.loads((tmp_path / "serve.json").read_text())
    assert 0.05 < content["beyond_reach"] < 0.5
    assert content["without_split"] == 0.0
    for model in ("cheapest", "training_optimal"):
        for entry in content[model].values():
            assert entry["hi"] is None
            assert entry["lo"] <= entry["value"]
    assert content["saving"]["lo"] == 0.0
    assert content["saving"]["lo"] <= content["saving"]["value"] <= content["saving"]["hi"]


def test_a_cost_formula_that_is_far_from_6nd_at_the_model_named_is_told(noisy, capsys, tmp_path):
    table = pd.read_csv(noisy)
    table.assign(C=39.0 * table["N"] ** 0.85 * table["D"]).to_csv(tmp_path / "t.csv", index=False)
    assert serve(tmp_path / "t.csv", "--loss", "1.8", "--admit", "hoffmann") == 0
    assert "By the cost formula of these runs, C = 39 N^0.85 D, a run of " in capsys.readouterr().out
    assert serve(noisy, "--loss", "1.8", "--admit", "hoffmann") == 0
    assert "By the cost formula" not in capsys.readouterr().out  # 6 N D it is


def test_shares_of_draws_are_counts_of_draws(noisy, capsys):
    assert serve(noisy, "--loss", "1.75", "--admit", "hoffmann", "--json") == 0
    content = json.loads(capsys.readouterr().out)
    draws = 60 * content["beyond_reach"]
    assert draws == pytest.approx(round(draws), abs=1e-9)  # rounding
    assert "a term of the law is absent" not in text(content)


def test_the_span_over_laws_is_endless_where_one_laws_interval_is():
    def entry(lo, hi):
        return {"value": lo, "lo": lo, "hi": hi}

    laws = [
        {"law": name, "cheapest": {"N": N, "D": entry(5.0, 6.0)}, "saving": entry(0.0, 0.1)}
        for name, N in (("one", entry(1.0, 2.0)), ("other", entry(0.5, None)), ("third", entry(None, None)))
    ]
    assert _over(laws)["N"] == {"lo": 0.5, "hi": None}
    assert _over(laws[:1])["N"] == {"lo": 1.0, "hi": 2.0}


def test_a_loss_that_most_draws_cannot_reach_is_refused(table, capsys, monkeypatch):
    monkeypatch.setattr("analysis.serving.served.MOST", -1.0)
    assert serve(table, "--loss", "2.2") == 2
    assert "no model can be named" in capsys.readouterr().err


def test_runs_that_identify_no_floor_say_so(tmp_path, capsys):
    """Losses of a law without one; at this seed its fit's E is 0."""
    rng = np.random.default_rng(2)
    N, D = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e7, 3e9, 6), np.geomspace(1e9, 3e11, 6)))
    L = Hoffmann(0.0, 20.0, 0.1, 30.0, 0.15)(N=N, D=D) * np.exp(0.01 * rng.standard_normal(36))
    pd.DataFrame({"N": N, "D": D, "L": L}).to_csv(tmp_path / "t.csv", index=False)
    assert serve(tmp_path / "t.csv", "--C", "1e21", "--admit", "hoffmann") == 0
    told = capsys.readouterr().out
    assert "identify no floor (E rests at 0)" in told


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--loss", "1.5"), "below the fitted floor"),
        (("--loss", "9"), "no better than any run's"),
        (("--loss", "2.2", "--law", "kaplan"), "has no floor"),
        (("--loss", "2.2", "--law", "power"), "no law of the loss in N and D"),
        (("--loss", "2.2", "--law", "shifted"), "hoffmann, tied or coupled"),
    ],
)
def test_what_cannot_be_answered_is_one_sentence_and_nothing_is_written(
    table, capsys, tmp_path, options, words
):
    assert serve(table, *options, "--out", str(tmp_path / "out")) == 2
    told = capsys.readouterr()
    assert words in told.err
    assert told.out == ""
    assert not (tmp_path / "out").exists()
