"""Predictions are sealed before the run and held to it after: nothing can be changed, forgotten or counted twice."""

import hashlib
import json
import re

import numpy as np
import pandas as pd
import pytest
from known import TRUTH, wide

from analysis import record
from analysis.__main__ import main
from analysis.registered import registration, verification
from analysis.registered.foretold import predicted
from analysis.registered.registration import seal
from scaling.table import TableError

NOISE = 0.003
FAST = ["--replicates", "60", "--admit", "hoffmann"]


def ladder() -> pd.DataFrame:
    return wide(NOISE).assign(run_id=[f"r{i}" for i in range(35)])


def larger(loss: float | None = None, **columns) -> pd.DataFrame:
    """The runs fitted, and one of 30 times the compute that came in after them."""
    N, D = 4e9, 9.6e12
    run = {"N": N, "D": D, "L": float(TRUTH(N=N, D=D)) if loss is None else loss, "run_id": "big"} | columns
    return pd.concat([ladder(), pd.DataFrame([run])], ignore_index=True)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A table, its fit, and two runs predicted from it."""
    folder = tmp_path_factory.mktemp("study")
    ladder().to_csv(folder / "table.csv", index=False)
    points = pd.DataFrame({"N": [4e9, 8e9], "D": [9.6e12, 9.6e12], "run_id": ["big", "bigger"]})
    points.to_csv(folder / "points.csv", index=False)
    command = ["predict", str(folder / "table.csv"), "--points", str(folder / "points.csv")]
    assert main([*command, *FAST, "--out", str(folder / "prediction.json")]) == 0
    return folder


@pytest.fixture
def came_in(tmp_path):
    def write(table: pd.DataFrame):
        path = tmp_path / "new.csv"
        table.to_csv(path, index=False)
        return path

    return write


def test_prediction_says_what_the_fit_says(study):
    content = registration.read(study / "prediction.json")
    fit = record.read(study / "table-report/fit.json")
    run = content["runs"][0]
    assert run["value"] == fit.curve(N=4e9, D=9.6e12)
    assert content["fit"]["params"] == fit.params
    assert content["fit"]["table_sha256"] == fit.table_sha256
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", content["date"])
    assert run["run"]["lo"] < run["law"]["lo"] < run["value"] < run["law"]["hi"] < run["run"]["hi"]
    assert set(run["baselines"]) == {"last value", "power of C", "power of N and D"}
    assert run["baselines"]["last value"] == ladder().L.min()


def test_prediction_says_that_its_run_interval_is_not_widened(study):
    content = registration.read(study / "prediction.json")
    assert "not widened" in content["methods"]["run"]
    said = predicted(content)
    assert "not widened by what the law missed" in " ".join(said.split())
    assert max(map(len, said.splitlines())) <= 80


def test_extrapolation_is_counted_from_the_largest_run(study):
    run = registration.read(study / "prediction.json")["runs"][0]
    assert run["extrapolation"] == pytest.approx({"N": 4.0, "D": 7.5, "C": 30.0}, rel=1e-12)


def test_run_that_follows_the_law_is_inside_and_beats_the_naive_forecasts(study, came_in):
    found = verification.verify(study / "prediction.json", came_in(larger()))
    (outcome,) = found.outcomes
    assert (outcome.prediction, outcome.row, outcome.seen, outcome.moved) == ("big", "big", False, 1.0)
    assert all(outcome.inside.values())
    assert found.held
    assert abs(outcome.error) < min(map(abs, outcome.naive_errors.values()))
    assert outcome.error == pytest.approx(outcome.value / outcome.observed - 1)
    assert found.awaited == ("bigger is not in",)


def test_z_is_the_normal_quantile_at_the_end_of_the_interval(study, came_in):
    end = registration.read(study / "prediction.json")["runs"][0]["all_laws"]["hi"]
    (outcome,) = verification.verify(study / "prediction.json", came_in(larger(end))).outcomes
    assert outcome.z == pytest.approx(1.6449, abs=1e-4)  # 95 % of the normal


@pytest.mark.parametrize(("factor", "code"), [(1.0, 0), (1.5, 1)])
def test_strict_fails_where_a_run_is_outside(study, came_in, factor, code):
    path = came_in(larger(factor * float(TRUTH(N=4e9, D=9.6e12))))
    assert main(["verify", str(study / "prediction.json"), str(path), "--strict"]) == code
    assert main(["verify", str(study / "prediction.json"), str(path)]) == 0


def test_any_change_of_a_registered_file_is_refused(study, came_in, tmp_path, capsys):
    content = json.loads((study / "prediction.json").read_text())
    for change in (
        lambda c: c["runs"][0].update(value=2.0),
        lambda c: c.update(date="2020-01-01T00:00:00+00:00"),
        lambda c: c["rows_fitted"].pop(),
        lambda c: c["fit"]["params"].update(E=1.0),
    ):
        changed = json.loads(json.dumps(content))
        change(changed)
        path = tmp_path / "changed.json"
        path.write_text(json.dumps(changed))
        assert main(["verify", str(path), str(came_in(larger()))]) == 2
        assert "was changed after it was registered" in capsys.readouterr().err


def test_file_resealed_after_a_change_is_refused_by_the_published_hash(study, came_in, tmp_path, capsys):
    content = json.loads((study / "prediction.json").read_text())
    published = content["sha256"]
    content["runs"][0]["value"] = 2.0
    path = tmp_path / "resealed.json"
    path.write_text(json.dumps(content | {"sha256": seal(content)}))
    assert main(["verify", str(path), str(came_in(larger())), "--sha256", published]) == 2
    assert published in capsys.readouterr().err


def test_registered_file_is_never_written_over(study, capsys):
    before = (study / "prediction.json").read_bytes()
    command = ["predict", str(study / "table.csv"), "--N", "1e10", "--D", "1e12", *FAST]
    assert main([*command, "--out", str(study / "prediction.json")]) == 2
    assert "is there already" in capsys.readouterr().err
    assert (study / "prediction.json").read_bytes() == before


def test_run_that_was_fitted_is_no_test(study, came_in, tmp_path, capsys):
    runs = ladder()
    out = tmp_path / "p.json"
    assert main(["predict", str(study / "table-report/fit.json"), "--name", "r34",
                 "--N", "1e9", "--D", "1.28e12", "--out", str(out)]) == 0  # fmt: skip
    found = verification.verify(out, came_in(runs))
    assert [outcome.seen for outcome in found.outcomes] == [True]
    assert not found.held
    renamed = runs.assign(run_id="x" + runs.run_id)  # the same numbers under another name
    assert [o.seen for o in verification.verify(out, came_in(renamed)).outcomes] == [True]
    assert main(["verify", str(out), str(came_in(runs))]) == 0
    assert "WAS AMONG THE FITTED ROWS" in capsys.readouterr().out


def test_run_is_found_by_its_columns_and_its_prediction_moved_to_them(study, came_in):
    table = larger(N=4e9 * 1.015, run_id="otherwise")
    (outcome,) = verification.verify(study / "prediction.json", came_in(table)).outcomes
    params = record.read(study / "table-report/fit.json").curve
    assert outcome.row == "otherwise"
    assert outcome.value == pytest.approx(float(params(N=4.06e9, D=9.6e12)), rel=1e-12)
    assert outcome.moved < 1


def test_run_of_other_columns_is_not_taken_for_the_predicted_one(study, came_in, capsys):
    path = came_in(larger(N=4e9 * 1.03, run_id="otherwise"))
    assert main(["verify", str(study / "prediction.json"), str(path)]) == 2
    assert "big is not in" in capsys.readouterr().err


def test_run_that_no_fit_would_use_is_told_with_its_reason(study, came_in, capsys):
    path = came_in(larger(status="diverged"))
    assert main(["verify", str(study / "prediction.json"), str(path)]) == 2
    assert "not usable (status diverged)" in capsys.readouterr().err


def test_seeds_of_a_run_count_one_by_one(study, came_in):
    table = pd.concat([larger(), larger(2.0).tail(1)], ignore_index=True).assign(run_id=None)
    outcomes = verification.verify(study / "prediction.json", came_in(table)).outcomes
    assert [outcome.row for outcome in outcomes] == ["row 36", "row 37"]


def test_best_split_of_a_compute_is_the_frontiers(study, tmp_path):
    fit = study / "table-report/fit.json"
    out = tmp_path / "p.json"
    assert main(["predict", str(fit), "--C", "1e24", "--out", str(out)]) == 0
    (run,) = registration.read(out)["runs"]
    columns = run["columns"]
    assert 6 * columns["N"] * columns["D"] == pytest.approx(1e24)
    curve = record.read(fit).curve
    for shift in (0.9, 1.1):  # any other split of the same compute loses more
        assert curve(N=columns["N"] * shift, D=columns["D"] / shift) > run["value"]


def test_json_is_one_document_on_stdout(study, came_in, capsys):
    assert main(["verify", str(study / "prediction.json"), str(came_in(larger())), "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["verified"]
    assert (one["tests"], one["inside"], one["judged_by"]) == (1, 1, "all_laws")


def test_several_predictions_have_a_hit_rate_in_eighty_columns(study, came_in, tmp_path, capsys):
    first, second, path = str(study / "prediction.json"), str(tmp_path / "p.json"), str(came_in(larger()))
    fit = str(study / "table-report/fit.json")
    assert main(["predict", fit, "--N", "4e9", "--D", "9.6e12", "--out", second]) == 0
    assert main(["verify", first, second, path]) == 0
    out = capsys.readouterr().out
    assert "2 of 2 runs inside their 90" in out
    assert max(map(len, out.replace(str(study), "").replace(str(tmp_path), "").splitlines())) <= 80
    assert main(["verify", first, first, path]) == 2
    assert "named twice" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no run is named"),
        (["--N", "1e9"], "takes column D"),
        (["--N", "-1", "--D", "1e9"], "--N is -1.0"),
        (["--N", "1e9", "2e9", "3e9", "--D", "1e9", "2e9"], "--D has 2 values and another has 3"),
        (["--N", "1e9", "--D", "nan"], "--D is nan"),
        (["--N", "1e9", "--D", "1e9", "--also", "M"], "COLUMN=NUMBER"),
        (["--N", "1e9", "--D", "1e9", "--name", "a", "b"], "2 names for 1 runs"),
        (["--N", "1e9", "--points", "p.csv"], "name runs twice"),
    ],
)  # fmt: skip
def test_runs_that_cannot_be_are_refused(study, tmp_path, capsys, arguments, words):
    out = tmp_path / "p.json"
    assert main(["predict", str(study / "table-report/fit.json"), *arguments, "--out", str(out)]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert words in error
    assert not out.exists()


def test_digests_tell_rows_apart_by_any_number():
    runs = wide(NOISE)
    columns = {"N": "N", "D": "D"}
    found = registration.digests(runs, columns, "L")
    assert len(set(found)) == 35
    moved = runs.assign(L=np.nextafter(runs.L, 3))
    assert not set(found) & set(registration.digests(moved, columns, "L"))


def test_predicting_by_other_options_leaves_the_fit_of_an_earlier_prediction(tmp_path, capsys):
    table = tmp_path / "table.csv"
    ladder().to_csv(table, index=False)
    points = tmp_path / "points.csv"
    pd.DataFrame({"N": [4e9], "D": [9.6e12]}).to_csv(points, index=False)
    command = ["predict", str(table), "--points", str(points), *FAST, "--coverage", "0"]
    for law, out in (("hoffmann", "a"), ("tied", "b"), ("tied", "c")):
        assert main([*command, "--law", law, "--out", str(tmp_path / f"{out}.json")]) == 0
    stored = {path.name: path for path in (tmp_path / "table-report").glob("fit*.json")}
    other = next(name for name in stored if name != "fit.json")
    assert len(stored) == 2  # the second prediction by the tied law takes up the fit of the first
    hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in stored.items()}
    assert other == f"fit-{hashes[other][:8]}.json"
    said = [registration.read(tmp_path / f"{name}.json")["fit"]["fit_sha256"] for name in "abc"]
    assert said == [hashes["fit.json"], hashes[other], hashes[other]]
    assert str(stored[other]) in capsys.readouterr().err


def test_a_later_table_may_go_by_our_names_where_the_fitted_one_did_not(tmp_path, came_in):
    theirs = {"N": "params", "D": "tokens", "L": "loss"}
    table = tmp_path / "table.csv"
    ladder().rename(columns=theirs).to_csv(table, index=False)
    out = tmp_path / "prediction.json"
    renames = [f"{ours}={name}" for ours, name in theirs.items()]
    command = ["predict", str(table), "--columns", *renames, "--N", "4e9", "--D", "9.6e12", "--coverage", "0"]
    assert main([*command, *FAST, "--out", str(out)]) == 0
    expected = verification.verify(out, came_in(larger().rename(columns=theirs))).outcomes
    assert verification.verify(out, came_in(larger())).outcomes == expected
    assert verification.verify(out, came_in(larger().rename(columns={"L": "loss"}))).outcomes == expected
    with pytest.raises(TableError, match="no column 'loss'"):
        verification.verify(out, came_in(larger().drop(columns="L")))
