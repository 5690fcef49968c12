"""A study of 10,000 runs: planned, estimated and collected in seconds, and linear in the number of runs."""

import time

import pytest

from benchmarks.scale import fabricate, plan_all, schedule, study
from scaling.folder import StudyFolder
from scaling.results import collect, results, row
from scaling.table import read

SLOW_MACHINE = 2.0
"""Seconds are those of this process's processor, so that a busy machine counts the same; its cores may still be slower
than those that the bounds were set on, and share their caches."""


def seconds(work):
    """Processor seconds that `work` takes."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


@pytest.fixture(scope="module")
def planned():
    return plan_all(400)


@pytest.fixture
def folder(planned, tmp_path):
    made = StudyFolder(tmp_path / "scale")
    fabricate(planned.study, made)
    return made


def test_ten_thousand_runs_are_planned_and_estimated_within_ten_seconds():
    kept = []
    took = seconds(lambda: kept.append(plan_all(10_000)))
    (plan,) = kept
    assert len(plan.study.runs) == 10_000
    assert took + seconds(lambda: schedule(plan)) < 10.0


def test_the_table_is_that_of_a_search_through_all_runs_for_the_one_before(planned, folder):
    """The definition of `previous`, quadratic, on a few hundred runs, with some left out."""
    for run in planned.study.runs[5::11]:
        (folder.run(run) / "result.json").unlink()
    found = results(planned.study.runs, folder)
    assert 300 < len(found) < 400
    expected = []
    for run in planned.study.runs:
        if run in found:
            trunk = [other for other in found if other.trunk_id == run.trunk_id]
            trunk.sort(key=lambda r: (r.decay_start, r.steps))
            place = trunk.index(run)
            expected.append(row(run, found[run], trunk[place - 1] if place else None))
    assert collect(planned.study, folder) == len(expected)
    table = read(folder.table_csv)
    assert table["C_spent"].tolist() == [one["C_spent"] for one in expected]
    assert table["run_id"].tolist() == [one["run_id"] for one in expected]


def test_each_result_is_read_once(planned, folder, monkeypatch):
    read_already = []
    once = StudyFolder.result

    def counted(self, run):
        read_already.append(run)
        return once(self, run)

    monkeypatch.setattr(StudyFolder, "result", counted)
    collect(planned.study, folder)
    assert len(read_already) == len(set(read_already)) == 400


def test_collecting_is_linear_in_runs(planned, folder, tmp_path):
    small = study(80)
    some = StudyFolder(tmp_path / "some")
    fabricate(small, some)
    collect(small, some)  # pandas and scipy are imported once
    few, many = seconds(lambda: collect(small, some)), seconds(lambda: collect(planned.study, folder))
    assert many < 5 * few * SLOW_MACHINE + 0.2  # five times as many; quadratic it would be 25


def test_ten_thousand_finished_runs_are_collected_within_thirty_seconds(tmp_path):
    plan = plan_all(10_000)
    folder = StudyFolder(tmp_path / "scale")
    fabricate(plan.study, folder)
    assert seconds(lambda: collect(plan.study, folder)) < 30.0
    assert len(read(folder.table_csv)) == 10_000
