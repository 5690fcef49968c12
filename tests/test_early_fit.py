"""The early fit: of enough runs only, kept by its table, waited for by nobody who watches, apart from a user's fit."""

import dataclasses
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from scaling.folder import StudyFolder
from scaling.launching.status import early_fit
from scaling.launching.status.early_fit import EarlyFit, EarlyFitter, Table, early_fit_of
from scaling.launching.status.report import Report
from scaling.launching.status.status import status_of
from scaling.launching.status.study_files import StudyFiles

E = 1.7


def table(sizes=8, budgets=8, noise=1e-3, **more):
    """Losses of E + 400 / N^0.5 + 2000 / D^0.5 with relative noise between runs, a trunk a size."""
    chance = np.random.default_rng(0)
    rows = []
    for n in np.geomspace(1e4, 1e8, sizes).round():
        for d in np.geomspace(1e6, 1e10, budgets).round():
            loss = (E + 400 / n**0.5 + 2000 / d**0.5) * np.exp(noise * chance.normal())
            rows.append(
                {"N": n, "D": d, "C": 6 * n * d, "L": loss, "trunk_id": f"t{n:.0f}", "status": "done"}
            )
    return pd.DataFrame(rows).assign(decayed=True, corpus="web", **more)


def folder_with(place, frame):
    folder = StudyFolder(place / "study")
    folder.path.mkdir(exist_ok=True)
    frame.to_csv(folder.table_csv, index=False)
    return folder


def text(frame):
    return Table(frame.to_csv(index=False).encode())


@pytest.fixture
def no_process(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("nothing is to be fitted")

    monkeypatch.setattr(subprocess, "Popen", refuse)


def test_a_study_without_a_table_has_no_fit(tmp_path, no_process):
    with EarlyFitter(StudyFolder(tmp_path)) as fitter:
        assert "there is no table yet" in fitter.look().sentence


@pytest.mark.parametrize(
    ("sizes", "budgets", "lacks"),
    [
        (1, 3, "the table lacks 3 more pairs of size and budget and 2 more sizes"),
        (3, 1, "the table lacks 3 more pairs of size and budget and 2 more budgets"),
        (2, 4, "the table lacks 1 more size"),
        (4, 2, "the table lacks 1 more budget"),
        (3, 3, ""),
    ],
)
def test_what_is_missing_for_a_fit_is_said(sizes, budgets, lacks):
    rows, missing = text(table(sizes, budgets)).missing()
    assert rows == sizes * budgets
    assert missing.endswith(lacks) and bool(missing) == bool(lacks)


def test_runs_that_diverged_or_did_not_decay_or_repeat_a_size_and_budget_do_not_count():
    frame = table(3, 3)
    assert text(pd.concat([frame, frame])).missing()[0] == 9
    assert text(frame.assign(decayed=False)).missing()[0] == 0
    assert text(frame.assign(status="diverged")).missing()[0] == 0
    assert text(frame.assign(L=np.nan)).missing()[0] == 0


def test_too_few_runs_start_no_process(tmp_path, no_process):
    with EarlyFitter(folder_with(tmp_path, table(2, 2))) as fitter:
        found = fitter.wait()
    assert (found.law, found.rows) == ("", 4)


def test_the_floor_that_the_runs_know_is_found_and_a_users_fit_is_left_alone(tmp_path, monkeypatch):
    from analysis import record

    monkeypatch.setattr(early_fit, "LIMIT_SECONDS", 300.0)  # on a busy machine
    folder = folder_with(tmp_path, table())
    (folder.path / "fit.json").write_text("mine")
    with EarlyFitter(folder) as fitter:
        assert fitter.look() is None and fitter.fitting, "who looks does not wait"
        found = fitter.wait()
    value, low, high = found.floor
    assert low < E < high and found.law == "hoffmann" and found.rows == 64
    assert found.verdict == "identified" and high - low < 0.3 and value == pytest.approx(E, rel=0.1)
    assert (folder.path / "fit.json").read_text() == "mine"
    kept = record.read(folder.path / "early" / "fit.json")
    assert (kept.rows, kept.table_sha256) == (64, Table(folder.table_csv.read_bytes()).sha256)
    monkeypatch.setattr(subprocess, "Popen", None)
    with EarlyFitter(folder) as another:
        assert another.look() == found, "another process takes what was kept"
    files = {path.name for path in folder.path.rglob("*")}
    assert files == {"table.csv", "fit.json", "early"}, "nothing else is written"


def stand_in(monkeypatch, code):
    """Another program in place of the fit."""
    real = subprocess.Popen
    started = []

    def start(command, **options):
        started.append(real([sys.executable, "-c", code], **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    return started


def test_a_refused_fit_is_told_in_its_own_words_and_not_tried_again(tmp_path, monkeypatch):
    started = stand_in(
        monkeypatch, "import sys; sys.exit('progress\\nerror: all rows \\x1b[31mshare one trunk_id')"
    )
    folder = folder_with(tmp_path, table(3, 3))
    for _ in range(2):
        with EarlyFitter(folder) as fitter:
            assert fitter.wait().sentence == "the fit was given up: all rows share one trunk_id"
    assert len(started) == 1


def test_a_fit_that_takes_too_long_is_ended(tmp_path, monkeypatch):
    (process,) = [stand_in(monkeypatch, "import time; time.sleep(60)")]
    monkeypatch.setattr(early_fit, "LIMIT_SECONDS", 0.3)
    with EarlyFitter(folder_with(tmp_path, table(3, 3))) as fitter:
        assert "took longer than 0 s" in fitter.wait().sentence
        assert process[0].poll() is not None


def test_a_fit_given_up_in_haste_is_tried_again_by_who_has_more_time(tmp_path, monkeypatch):
    started = stand_in(monkeypatch, "import time; time.sleep(60)")
    monkeypatch.setattr(early_fit, "LIMIT_SECONDS", 0.1)
    folder = folder_with(tmp_path, table(3, 3))
    for _ in range(2):
        with EarlyFitter(folder) as fitter:
            fitter.wait()
    assert len(started) == 1
    with EarlyFitter(folder) as fitter:
        fitter.look()
        assert len(started) == 2


def test_who_watches_never_waits_and_refits_only_so_often(tmp_path, monkeypatch):
    started = stand_in(monkeypatch, "import time; time.sleep(60)")
    folder = folder_with(tmp_path, table(3, 3))
    with EarlyFitter(folder) as fitter:
        began = time.monotonic()
        for _ in range(20):
            assert fitter.look() is None
        assert time.monotonic() - began < 2
        monkeypatch.setattr(early_fit, "PATIENT_SECONDS", 0.0)
        assert "took longer" in fitter.look().sentence
        folder_with(tmp_path, table(4, 4))
        fitter.look()
        assert len(started) == 1, "three minutes have not passed"
        monkeypatch.setattr(early_fit, "REFIT_SECONDS", 0.0)
        fitter.look()
        assert len(started) == 2
    assert all(process.poll() is not None for process in started), "none is left behind"


def test_where_nothing_can_be_written_the_fit_is_shown_all_the_same(tmp_path, monkeypatch):
    stand_in(monkeypatch, "import sys; sys.exit('error: no')")
    folder = folder_with(tmp_path, table(3, 3))
    (folder.path / "early").write_text("a file where a folder belongs")
    with EarlyFitter(folder) as fitter:
        assert fitter.wait().sentence == "the fit was given up: no"


def told(verdict, low=1.5, value=1.7, high=1.9):
    found = {"verdict": verdict, "reason": "Because.", "E": value, "lo": low, "hi": high}
    intervals = {"E": {"level": 0.9}}
    return {"law": "hoffmann", "rows": 12, "identification": found, "intervals": intervals}


def test_a_floor_is_named_only_where_it_is_identified():
    assert early_fit_of(told("identified"), 12).headline == (
        "hoffmann, floor identified: E = 1.7, 90% interval 1.5 to 1.9"
    )
    bounded = early_fit_of(told("bounded_above_only"), 12).headline
    assert bounded == "hoffmann, floor bounded above only: 90% interval of E 1.5 to 1.9"
    assert early_fit_of(told("not_identified", low=None), 12).headline == "hoffmann, floor not identified"


def test_the_report_warns_that_an_early_fit_moves():
    files = StudyFiles("runs/x", "x", "", "0" * 64, (), {})
    status = status_of(files, 0.0)
    status = dataclasses.replace(status, runs=40, done=12)
    said = Report(status, early_fit_of(told("identified"), 12)).fit
    assert said[-1] == "From 12 runs that count, of 40 in all. It is early, and will move as runs come in."
    none = Report(status, EarlyFit(2, sentence="a fit needs more")).fit
    assert none == ("none yet: a fit needs more.",)
