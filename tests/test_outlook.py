"""`limit` with a scenario: what it prints, writes and draws, and what it refuses before anything is written."""

import json

import numpy as np
import pandas as pd
import pytest
from known import wide

from analysis import claims
from analysis.__main__ import main
from analysis.floor.admissible import combine
from analysis.forecast import Forecast, Track
from analysis.frontier import Cost, Frontier
from analysis.laws import Hoffmann
from analysis.pages import to_html, to_markdown
from analysis.pages.document import Document, Section
from analysis.pages.drawing import save_figure
from analysis.walls import outlook_report, wall_figures, words

FAST = ["--replicates", "20", "--coverage", "0", "--admit", "hoffmann"]
SCENARIO = {
    "stock": [1e12, 1e13],
    "growth": [3, 5],
    "until": [2032, 2036],
    "start": "2026-01-01",
    "horizon": 2040,
}


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A table, and the limit of it with everything that can be asked: its folder and limit.json."""
    folder = tmp_path_factory.mktemp("outlook")
    wide(0.003).to_csv(folder / "runs.csv", index=False)
    (folder / "scenario.json").write_text(json.dumps(SCENARIO))
    arguments = [
        "limit",
        str(folder / "runs.csv"),
        *FAST,
        "--below",
        "2",
        "1.8",
        "--out",
        str(folder / "out"),
    ]
    assert main([*arguments, "--scenario", str(folder / "scenario.json"), "--recipe", "2"]) == 0
    return folder, json.loads((folder / "out" / "limit.json").read_text())


def test_limit_json_has_what_was_promised(asked):
    _, content = asked
    promised = {
        "verdict",
        "reason",
        "E",
        "x",
        "largest_run",
        "losses",
        "distances",
        "distances_missing",
        "method",
    }
    promised |= {
        "left",
        "halving",
        "probabilities",
        "probabilities_of",
        "fan",
        "walls",
        "law",
        "table_sha256",
    }
    assert promised <= set(content)
    walls = content["walls"]
    assert walls["scenario"]["growth"] == [3.0, 5.0] and walls["scenario"]["recipe"] == 2.0
    assert walls["scenario"]["compute"] == content["largest_run"]["C"]
    assert {"compute", "data", "recipe", "floor", "dates", "calendar", "first"} <= set(walls)
    assert walls["floor"] == content["E"] and walls["caution"] == ""
    assert len(content["probabilities"]) == 6 and content["halving"]["N_opt_lo"] > 0


def test_a_fit_json_is_read_and_its_answer_fits_a_terminal(asked, capsys):
    folder, content = asked
    stored = folder / "out" / "fit.json"
    (folder / "out" / "runs.csv").write_bytes((folder / "runs.csv").read_bytes())
    assert main(["limit", str(stored), "--below", "2", "--stock", "1e12", "--start", "2026"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.replace(str(folder / "out" / "limit.json"), "").splitlines())) <= 80
    for said in ("are reducible", "half of what is reducible", "P(L < 2)", "Data wall", "No dates are told"):
        assert said in text.replace("\n", " ").replace("  ", " ")
    assert json.loads((folder / "out" / "limit.json").read_text())["halving"] == content["halving"]


def test_every_figure_is_drawn_in_both_shapes(asked, tmp_path):
    _, content = asked
    made = wall_figures.figures(content)
    assert [figure.name for figure in made] == ["fan", "loss_by_date"]
    for figure in made:
        assert figure.caption and all(svg.count("<path") > 20 for svg in save_figure(figure, tmp_path))
    assert [figure.name for figure in wall_figures.figures(content | {"walls": None})] == ["fan"]


def test_the_sections_are_written_as_html_and_as_markdown(asked):
    _, content = asked
    parts = [*outlook_report.claims(content), *outlook_report.walls(content)]
    page = Document("t", "a", "h", [], [Section("walls", "walls", "Which wall comes first", parts)])
    html, text = to_html.document(page), to_markdown.document(page)
    for told in ("Data wall", "Gain by 10 times text (nats)", "First comes the end of growth"):
        assert told in html and told in text
    assert outlook_report.walls(content | {"walls": None}) == []
    assert "nan" not in text.lower().split() and "None" not in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--below", "-1"], "--below 2 1.8"),
        (["--stock", "-3"], "stock is -3"),
        (["--growth", "1"], "multiple above 1"),
        (["--horizon", "2001"], "not after the start"),
        (["--until", "2030"], "give it too"),
        (["--scenario", "none.json"], "cannot read the scenario"),
        (["--growth", "1e20", "--start", "2026", "--horizon", "2060"], "nearer --horizon"),
        (["--compute", "1e300", "--growth", "4"], "smaller compute"),
        (["--recipe", "1e30", "--growth", "3", "--stock", "1e11"], "smaller compute"),
        (["--stock", "1e12", "--law", "power", "--x", "N"], "does not follow compute"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_nothing_is_written(asked, tmp_path, capsys, options, words):
    out = tmp_path / "out"
    assert main(["limit", str(asked[0] / "runs.csv"), *FAST, "--out", str(out), *options]) == 2
    told = capsys.readouterr().err.strip()
    assert told.startswith("error: ") and words in told and "\n" not in told
    assert not out.exists()


@pytest.mark.parametrize("section", ["intervals", "bootstrap"])
@pytest.mark.parametrize("change", ["empty", "missing"])
def test_a_fit_without_intervals_is_refused_with_the_command_that_makes_them(
    asked, tmp_path, capsys, section, change
):
    found = json.loads((asked[0] / "out" / "fit.json").read_text())
    found = found | {section: {}} if change == "empty" else {k: v for k, v in found.items() if k != section}
    path = tmp_path / "fit.json"
    path.write_text(json.dumps(found))
    assert main(["limit", str(path)]) == 2
    told = capsys.readouterr().err
    assert section in told and "python -m analysis fit runs.csv --out" in told
    assert [item.name for item in tmp_path.iterdir()] == ["fit.json"]


def test_a_share_of_draws_is_never_told_as_certain():
    assert words.chance(0.0) == "under 0.5\N{NO-BREAK SPACE}%"
    assert words.chance(1.0) == "over 99.5\N{NO-BREAK SPACE}%"
    assert words.chance(0.42) == "42\N{NO-BREAK SPACE}%"


@pytest.mark.slow
def test_the_interval_of_the_compute_that_halves_what_is_left_holds_the_truth_as_often_as_it_says():
    truth = Hoffmann(E=1.7, A=400.0, alpha=0.34, B=410.0, beta=0.28)
    N, D = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e7, 3e9, 6), np.geomspace(1e9, 3e11, 6)))
    largest = float((6 * N * D).max())
    halved = largest * 2 ** (1 / float(Frontier(truth, Cost()).L_exponent))
    studies, held = 20, 0
    for seed in range(studies):
        noise = np.exp(3e-3 * np.random.default_rng(seed).standard_normal(len(N)))
        table = pd.DataFrame({"N": N, "D": D, "C": 6 * N * D, "L": truth(N=N, D=D) * noise})
        combined = combine(table, laws=(), replicates=60, seed=seed)
        law = combined.first.boot.law
        made = Forecast(Track("C", Cost()), truth, law, law, 0.9, (0.05, 0.95), largest, combined)
        told = claims.halving(made)
        held += told["lo"] <= halved <= (told["hi"] or np.inf)
    # 90 % of 20 is 18; fewer than 15 would have a probability of 1 %
    assert held >= 15
