"""Workers: each task ends bitwise as it would in one process, and every end says what it was."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import time

import pytest
from orders import Planned, variant

from scaling.folder import StudyFolder
from scaling.launching.claim import Claim
from scaling.launching.driving.ledger import Ledger
from scaling.launching.engine import Ending
from scaling.launching.journal import Attempt, Beat, Job, read_beat, write_beat, write_job
from scaling.launching.launch import Launch
from scaling.launching.local import stop_on_signals
from scaling.launching.standing import claim_paths, has_trunk, is_finished, may_begin, steps_done, steps_of
from scaling.launching.working.worker import work


@pytest.fixture
def study(undisturbed):
    return StudyFolder(undisturbed.study).study()


@pytest.fixture
def planned(study, undisturbed, tmp_path):
    return Planned(study, tmp_path / "tiny", undisturbed.data_folder)


def here(order) -> Ending:
    """The ending of a worker in this process."""
    return Ending(**json.loads(work(order.to_json())))


@pytest.fixture(scope="module")
def apart(undisturbed, tmp_path_factory):
    """A trunk and its branches of the tiny study trained by workers, and their endings by task."""
    study = variant(StudyFolder(undisturbed.study).study())
    made = Planned(study, tmp_path_factory.mktemp("apart") / "tiny", undisturbed.data_folder)
    endings = {task: made.work(made.order(task)) for task in made.tasks(apart=True)}
    return made, endings


def test_trunks_and_branches_apart_end_bitwise_as_in_one_process(apart, undisturbed):
    made, endings = apart
    assert {ending.kind for ending in endings.values()} == {"finished"}
    assert {task.part for task in endings} == {"trunk", "branch"}
    ours = undisturbed.numbers(made.folder.path)
    assert len(ours) == 2 + 2 + 1  # results, logs of runs and of the trunk
    assert ours.items() <= undisturbed.numbers().items()


def test_an_attempt_tells_the_steps_that_it_saved(apart):
    made, endings = apart
    for task, ending in endings.items():
        assert ending.steps == steps_of(task) == steps_done(made.folder, task)
        assert is_finished(made.folder, task)
        assert ending.seconds > 0 and ending.devices == 1 and ending.host


def test_the_last_beat_says_what_was_done(apart):
    made, endings = apart
    for task in endings:
        beat = read_beat(made.folder, task.task_id)
        assert (beat.phase, beat.step, beat.steps_done) == ("ended", beat.stop, steps_of(task))
        assert 0 < beat.seconds <= endings[task].seconds
        assert beat.count > 2 and beat.loss > 0 and beat.tokens_per_second > 0 and beat.device == "cpu"


def test_branches_carry_the_seconds_of_their_trunk(apart):
    made, endings = apart
    for task in endings:
        for run in task.runs:
            measured = made.folder.result(run)["measured"]
            assert measured["trunk_device_seconds"] > 0 and measured["device_seconds"] > 0


def test_what_is_done_is_not_trained_again(apart):
    made, endings = apart
    for task in list(endings)[:2]:
        ending = here(made.order(task, attempt=2))
        assert (ending.kind, ending.steps) == ("finished", 0)
        assert made.log(task).count("--- attempt") == 2


def test_whole_populations_of_two_end_bitwise_as_trunks_and_branches_of_two(study, undisturbed, tmp_path):
    both = variant(study, rates=(1e-2, 2e-2))
    one, other = (Planned(both, tmp_path / name / "tiny", undisturbed.data_folder, 2) for name in ("a", "b"))
    for made, split in ((one, False), (other, True)):
        for task in made.tasks(split):
            assert here(made.order(task)).kind == "finished"
    assert len(one.populations) == 1
    assert undisturbed.numbers(one.folder.path) == undisturbed.numbers(other.folder.path)
    assert len(undisturbed.numbers(one.folder.path)) == 4 + 4 + 2  # results, logs of runs and of trunks


def test_a_branch_before_its_trunk_fails_and_says_so(planned):
    branch = planned.tasks(apart=True)[1]
    assert not may_begin(planned.folder, branch)
    ending = here(planned.order(branch))
    assert ending.kind == "failed"
    assert "has no sound checkpoint of step 32, where this branch begins" in ending.reason
    assert not list(planned.folder.path.glob("trunk-*"))


def test_a_branch_leaves_alone_what_the_trunk_is_saving(apart, undisturbed, tmp_path):
    made, endings = apart
    copy = shutil.copytree(made.folder.path, tmp_path / "tiny")
    branch = next(task for task in endings if task.part == "branch")
    shutil.rmtree(copy / branch.runs[0].run_id)
    trunk = copy / f"trunk-{branch.runs[0].trunk_id}" / "checkpoints"
    unfinished = trunk / "64.orbax-checkpoint-tmp-0"
    unfinished.mkdir()
    (unfinished / "half").write_text("written by the trunk's worker")
    before = sorted(path for path in trunk.rglob("*"))
    again = Planned(made.plan.study, copy, undisturbed.data_folder)
    assert here(again.order(branch)).kind == "finished"
    assert sorted(path for path in trunk.rglob("*")) == before
    assert undisturbed.numbers(copy) == undisturbed.numbers(made.folder.path)


def a_branch_again(apart, undisturbed, tmp_path):
    """A copy of what `apart` trained, without one branch, which begins in the trunk."""
    made, endings = apart
    copy = shutil.copytree(made.folder.path, tmp_path / "tiny")
    branch = next(task for task in endings if task.part == "branch")
    shutil.rmtree(copy / branch.runs[0].run_id)
    trunk = copy / f"trunk-{branch.runs[0].trunk_id}" / "checkpoints" / str(branch.leaves)
    return Planned(made.plan.study, copy, undisturbed.data_folder), branch, trunk


def test_a_damaged_checkpoint_where_a_branch_begins_is_set_aside_and_trained_again(
    apart, undisturbed, tmp_path
):
    again, branch, step = a_branch_again(apart, undisturbed, tmp_path)
    for path in [path for path in (step / "state").rglob("*") if path.is_file() and "/d/" in str(path)]:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
    ending = here(again.order(branch))
    assert ending.kind == "finished", ending
    assert f"is trained to step {branch.leaves} again here" in again.log(branch)
    assert list(step.parent.parent.glob("damaged-*")) and has_trunk(again.folder, branch.runs)
    assert undisturbed.numbers(again.folder.path) == undisturbed.numbers(apart[0].folder.path)


def test_going_on_with_another_source_than_a_trunk_was_begun_with_is_said(apart, undisturbed, tmp_path):
    again, branch, step = a_branch_again(apart, undisturbed, tmp_path)
    (notes,) = [
        path for path in (step / "notes").rglob("*") if path.is_file() and "source" in path.read_text()
    ]
    values = json.loads(notes.read_text())
    notes.write_text(json.dumps(values | {"source": "0123456789ab", "device": "TPU v9"}))
    assert here(again.order(branch)).kind == "finished"
    assert "was begun with another source of this package (its hash), 0123456789ab" in again.log(branch)
    assert "was begun with another kind of device, TPU v9, and goes on with cpu" in again.log(branch)


def test_tasks_that_write_the_same_files_have_a_claim_in_common_however_they_are_packed(
    study, undisturbed, tmp_path
):
    both = variant(study, rates=(1e-2, 2e-2))
    alone, packed = (
        Planned(both, tmp_path / name, undisturbed.data_folder, n) for name, n in (("a", 1), ("a", 2))
    )
    (together,) = packed.tasks(apart=False)
    paths = set(claim_paths(packed.folder, together)[1:])
    for made in (alone, packed):
        for task in (*made.tasks(apart=False), *made.tasks(apart=True)):
            own, *written = claim_paths(made.folder, task)
            assert own not in written and written == sorted(written)
            assert set(written) <= paths and written
    trunks = [set(claim_paths(alone.folder, task)) for task in alone.tasks(apart=False)]
    assert not trunks[0] & trunks[1]


def test_a_worker_waits_for_one_of_another_packing_and_says_for_whom(study, undisturbed, tmp_path):
    both = variant(study, rates=(1e-2, 2e-2))
    planned = Planned(both, tmp_path / "tiny", undisturbed.data_folder, 2)
    (task,) = planned.tasks(apart=False)
    alone = Planned(both, tmp_path / "tiny", undisturbed.data_folder).tasks(apart=False)[0]
    own_path, *written = claim_paths(planned.folder, alone)
    own = Claim(own_path, "other")
    assert own.take() and all(Claim(path, "other", first=own).take() for path in written)
    order = planned.order(task)
    with own.beating(0.2):
        process = planned.start(order)
        wait_for(
            lambda: (beat := read_beat(planned.folder, task.task_id)) and beat.phase == "waiting", process
        )
        beat = read_beat(planned.folder, task.task_id)
        assert f"waits: process {os.getpid()} on" in beat.message and beat.attempt == 1 and beat.seconds > 0
        process.send_signal(signal.SIGTERM)
        process.communicate()
    ending = Ending(**json.loads(planned.ending_of(order).read_text()))
    assert (ending.kind, ending.reason) == ("interrupted", "asked to stop before it began")
    assert "waits: process" in planned.log(task)
    assert not list(planned.folder.path.glob("*/checkpoints"))
    assert own.held(0)


def test_no_signal_ends_a_worker_in_a_save_however_many_come():
    with stop_on_signals(ends=False) as stop_wanted:
        assert not stop_wanted()
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        assert stop_wanted()


def test_a_dead_driver_pays_for_an_attempt_what_its_worker_said_it_took(planned):
    task = planned.tasks(False)[0]
    job = Job(
        task.task_id, task.name, task.part, (), (), 1, 1.0, "running", attempts=(Attempt(1, 0.0, devices=4),)
    )
    write_job(planned.folder, job)
    write_beat(planned.folder, task.task_id, Beat(1, 9999, 0.0, "a", 1, "training", devices=4, seconds=42.0))
    assert Ledger(planned.folder, Launch()).spending.spent == 42.0 * 4


def test_a_trunk_that_diverges_ends_and_so_do_the_branches_that_never_begin(study, undisturbed, tmp_path):
    bad = variant(study, rates=(1e30,), budgets=(2560, 5120, 7680))
    one, other = (Planned(bad, tmp_path / name / "tiny", undisturbed.data_folder) for name in ("a", "b"))
    assert here(one.order(one.tasks(False)[0])).kind == "finished"
    trunk, *branches = other.tasks(apart=True)
    assert here(other.order(trunk)).kind == "finished"
    assert is_finished(other.folder, trunk) and not has_trunk(other.folder, branches[-1].runs)
    for branch in other.tasks(apart=True):
        assert here(other.order(branch)).kind == "finished"
    whole, parts = (undisturbed.numbers(made.folder.path) for made in (one, other))
    # in one process the log of the first branch that never begins is opened, and stays empty
    assert {name: number for name, number in whole.items() if number} == {
        name: number for name, number in parts.items() if number
    }
    assert {result["status"] for result in map(other.folder.result, bad.runs)} == {"diverged"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"versions": {"jax": "0.1.2"}}, "the driver has 0.1.2, this worker 0."),
        (
            {"versions": {"source": "abc"}},
            "differ in the source of this package (its hash): the driver has abc",
        ),
        ({"spec_sha256": "0" * 64}, "the study was changed since the order was given"),
        ({"trunk_ids": ("../../etc",)}, "names trunks that the study tiny does not have"),
        ({"trunk_ids": ()}, "names trunks that the study tiny does not have"),
        ({"task_id": "../../escape"}, "is for no task of the study tiny"),
        ({"part": "branch", "budget": 9}, "is for no task of the study tiny"),
        ({"part": "everything"}, "is for no task of the study tiny"),
        ({"execution": {"data_devices": 64}}, "larger than the"),
        ({"execution": {"microbatches": 3}}, "3 microbatches"),
    ],
)
def test_an_order_that_cannot_be_followed_here_is_refused_with_a_reason(planned, tmp_path, changes, said):
    ending = here(planned.order(planned.tasks(False)[0], **changes))
    assert (ending.kind, ending.steps) == ("refused", 0)
    assert said in ending.reason
    assert not list(planned.folder.path.glob("*/checkpoints")) and not list(tmp_path.glob("*escape*"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"study": "x", "evil": 1}', '{"trunk_ids": 3}'])
def test_what_is_no_order_is_refused_and_raises_nothing(text):
    ending = Ending(**json.loads(work(text)))
    assert ending.kind == "refused"
    assert "is no order" in ending.reason


def test_a_folder_that_is_no_study_is_refused(planned, tmp_path):
    ending = here(planned.order(planned.tasks(False)[0], study=str(tmp_path / "elsewhere")))
    assert ending.kind == "refused" and "is no study folder" in ending.reason
    assert not (tmp_path / "elsewhere").exists()


def test_an_error_of_its_own_is_a_failure_with_its_traceback_in_the_log_and_no_secret(planned, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("no such\nluck")

    monkeypatch.setenv("WANDB_API_KEY", "very-secret")
    monkeypatch.setattr("scaling.training.job.train_part", broken)
    task = planned.tasks(False)[0]
    ending = here(planned.order(task))
    assert (ending.kind, ending.reason) == ("failed", "ZeroDivisionError: no such luck")
    log = planned.log(task)
    assert "Traceback" in log and "in broken" in log and log.endswith("--- failed: " + ending.reason + "\n")
    assert "very-secret" not in log
    assert read_beat(planned.folder, task.task_id).phase == "ended"


def test_memory_that_runs_out_is_a_failure(planned, monkeypatch):
    def broken(*_):
        raise MemoryError

    monkeypatch.setattr("scaling.training.job.train_part", broken)
    ending = here(planned.order(planned.tasks(False)[0]))
    assert (ending.kind, ending.reason) == ("failed", "MemoryError")


def test_who_is_superseded_stops_and_writes_neither_checkpoint_nor_result(planned, monkeypatch):
    from scaling.launching.claim import Claim

    monkeypatch.setattr(Claim, "held", lambda *_, **__: False)
    monkeypatch.setattr(Claim, "take", lambda *_, **__: True)
    ending = here(planned.order(planned.tasks(False)[0]))
    assert (ending.kind, ending.reason) == ("lost", "another attempt at the same task has taken it over")
    assert not list(planned.folder.path.glob("*/result.json"))
    assert not [path for path in planned.folder.path.glob("*/checkpoints/*") if path.name.isdigit()]


def test_only_one_of_two_workers_on_a_task_trains_it(planned, undisturbed):
    task = planned.tasks(False)[0]
    orders = [planned.order(task, attempt) for attempt in (1, 2)]
    processes = [planned.start(order) for order in orders]
    for process in processes:
        process.communicate()
    endings = [Ending(**json.loads(planned.ending_of(order).read_text())) for order in orders]
    assert [ending.kind for ending in endings] == ["finished", "finished"]
    assert sorted(ending.steps for ending in endings) == [0, steps_of(task)]
    ours = undisturbed.numbers(planned.folder.path)
    assert ours.items() <= undisturbed.numbers().items()


LONG = (307200, 614400)
"""Budgets of 1200 and 2400 steps."""


@pytest.fixture(scope="module")
def long_numbers(undisturbed, tmp_path_factory):
    study = variant(StudyFolder(undisturbed.study).study(), budgets=LONG)
    made = Planned(study, tmp_path_factory.mktemp("long") / "tiny", undisturbed.data_folder)
    assert here(made.order(made.tasks(False)[0])).kind == "finished"
    return undisturbed.numbers(made.folder.path)


def wait_for(condition, process, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_and_the_next_attempt_goes_on_to_the_same_numbers(
    study, undisturbed, tmp_path, number, long_numbers
):
    made = Planned(variant(study, budgets=LONG), tmp_path / "tiny", undisturbed.data_folder)
    task = made.tasks(False)[0]
    order = made.order(task)
    process = made.start(order)
    wait_for(lambda: (beat := read_beat(made.folder, task.task_id)) and beat.phase == "training", process)
    process.send_signal(number)
    process.communicate()
    ending = Ending(**json.loads(made.ending_of(order).read_text()))
    assert ending.kind == "interrupted" and "saved a checkpoint" in ending.reason
    assert 0 < ending.steps == steps_done(made.folder, task) < steps_of(task)
    again = here(made.order(task, attempt=2))
    assert (again.kind, again.steps) == ("finished", steps_of(task) - ending.steps)
    log = made.log(task)
    assert log.index("--- attempt 1 on") < log.index("--- interrupted") < log.index("--- attempt 2 on")
    assert undisturbed.numbers(made.folder.path) == long_numbers


def test_a_full_disk_is_a_failure_and_nothing_is_lost(study, undisturbed, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk can be mounted by root alone")
    try:
        made = Planned(study, disk / "tiny", undisturbed.data_folder)
        task = made.tasks(False)[0]
        order = dataclasses.replace(made.order(task, seconds=0.05))
        ending_file = tmp_path / "ending.json"
        made.ending_of = lambda _: ending_file
        (tmp_path / "order.json").write_text(order.to_json())
        ending = made.work(order)
        assert ending.kind == "failed", ending
        assert "run the same command again" in ending.reason
        subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)
        for left in made.tasks(False):
            assert here(made.order(left, attempt=2)).kind == "finished"
        assert undisturbed.numbers(made.folder.path) == undisturbed.numbers()
    finally:
        subprocess.run(["umount", str(disk)], check=True)
