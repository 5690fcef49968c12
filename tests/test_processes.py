"""Workers as processes of this machine: each in its own place, none outlives its driver, and each end is told."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from orders import Planned, variant

from scaling.errors import UserError
from scaling.folder import StudyFolder
from scaling.launching.claim import _highest
from scaling.launching.engines import machine, processes
from scaling.launching.engines.machine import Accelerators, accelerators
from scaling.launching.engines.processes import ProcessEngine, jobs_that_fit, place_of
from scaling.launching.journal import read_beat
from scaling.launching.launch import Launch
from scaling.launching.standing import claim_paths, steps_done, steps_of

LONG = (307200, 614400)
"""Budgets of 1200 and 2400 steps."""
GPUS = Accelerators("GPUs", ("0", "1", "2", "3"))


@pytest.fixture
def engine():
    made = ProcessEngine(Launch(jobs_at_once=2))
    yield made
    made.close()


@pytest.fixture
def study(undisturbed):
    return StudyFolder(undisturbed.study).study()


@pytest.fixture
def long(study, undisturbed, tmp_path):
    return Planned(variant(study, budgets=LONG), tmp_path / "long" / "tiny", undisturbed.data_folder)


def endings(engine, number, seconds=120):
    """So many endings by task."""
    found, until = {}, time.monotonic() + seconds
    while len(found) < number:
        assert time.monotonic() < until
        found |= dict(engine.poll(1.0))
    return found


def training(made, task, engine, seconds=60):
    """Wait until a task is in training; its worker's process."""
    until = time.monotonic() + seconds
    while not ((beat := read_beat(made.folder, task.task_id)) and beat.phase == "training"):
        assert time.monotonic() < until and not engine.poll(0.02)
    return beat.pid


def alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False


def test_two_at_once_on_cores_of_their_own_end_bitwise_as_undisturbed(engine, study, undisturbed, tmp_path):
    made = Planned(study, tmp_path / "tiny", undisturbed.data_folder)
    assert engine.room() == engine.places() == 2
    for task in made.tasks(apart=False):
        engine.submit(made.order(task))
    assert engine.room() == 0
    found = endings(engine, 2)
    assert {ending.kind for ending in found.values()} == {"finished"}, found
    assert engine.room() == 2
    assert undisturbed.numbers(made.folder.path) == undisturbed.numbers()


def test_a_killed_worker_is_lost_and_the_next_goes_on_from_its_checkpoint_at_once(engine, long):
    task = long.tasks(apart=False)[0]
    engine.submit(long.order(task, seconds=0.05))
    pid = training(long, task, engine)
    while not steps_done(long.folder, task):
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    (ending,) = endings(engine, 1).values()
    assert (ending.kind, ending.reason) == ("lost", "its process was ended by SIGKILL")
    assert all(_highest(path)[1].released for path in claim_paths(long.folder, task))
    saved = steps_done(long.folder, task)
    engine.submit(long.order(task, attempt=2))
    (again,) = endings(engine, 1).values()
    assert (again.kind, again.steps) == ("finished", steps_of(task) - saved)


def test_a_worker_that_is_asked_to_stop_saves_and_says_so(engine, long):
    task = long.tasks(apart=False)[0]
    engine.submit(long.order(task))
    training(long, task, engine)
    for _ in range(3):  # asking again does not hurt
        engine.stop(task.task_id)
    (ending,) = endings(engine, 1).values()
    assert ending.kind == "interrupted" and ending.steps == steps_done(long.folder, task) > 0


def test_a_closed_engine_leaves_no_process_and_lets_go_of_the_task(long):
    engine = ProcessEngine(Launch())
    task = long.tasks(apart=False)[0]
    engine.submit(long.order(task))
    pid = training(long, task, engine)
    engine.close()
    assert not alive(pid)
    assert all(_highest(path)[1].released for path in claim_paths(long.folder, task))


DRIVER = """
import sys, time
from scaling.launching.engine import Order
from scaling.launching.launch import Launch
from scaling.launching.engines.processes import ProcessEngine
engine = ProcessEngine(Launch())
engine.submit(Order.from_json(open(sys.argv[1]).read()))
while True:
    engine.poll(1.0)
"""


def test_when_the_driver_is_killed_its_workers_save_and_end_within_seconds(engine, long, tmp_path):
    task = long.tasks(apart=False)[0]
    order = tmp_path / "order.json"
    order.write_text(long.order(task).to_json())
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(order)])
    pid = training(long, task, engine)
    driver.kill()
    driver.wait()
    until = time.monotonic() + 15
    while alive(pid):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert 0 < steps_done(long.folder, task) < steps_of(task)


@pytest.mark.parametrize(
    ("script", "kind", "reason"),
    [
        ("echo starting; echo no room here >&2; exit 3", "failed", "no room here"),
        ("exit 4", "failed", "its process ended with exit code 4 and said nothing"),
        ("kill -ILL $$", "lost", "its process was ended by SIGILL"),
        ("exit 137", "lost", "its process was ended by SIGKILL"),
    ],
)
def test_a_process_that_ends_without_a_word_is_told_apart_by_its_exit(
    engine, long, tmp_path, monkeypatch, script, kind, reason
):
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(processes.sys, "executable", str(program))
    engine.submit(long.order(long.tasks(False)[0]))
    (ending,) = endings(engine, 1).values()
    assert (ending.kind, ending.reason) == (kind, reason)


def test_a_worker_that_is_deaf_to_the_asking_is_killed(engine, long, tmp_path, monkeypatch):
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 0.05; done\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(processes.sys, "executable", str(program))
    order = long.order(long.tasks(False)[0])
    engine.submit(order)
    assert not engine.poll(0.5)
    engine.stop(order.task_id)
    assert not engine.poll(0.5)
    engine.kill(order.task_id)
    (ending,) = endings(engine, 1).values()
    assert (ending.kind, ending.reason) == ("lost", "its process was ended by SIGKILL")


def test_each_place_has_accelerators_of_its_own():
    launch = Launch(accelerators=2)
    shown = [place_of(place, launch, GPUS)["CUDA_VISIBLE_DEVICES"] for place in (0, 1)]
    assert shown == ["0,1", "2,3"]
    chips = Accelerators("TPU chips", ("0", "1", "2", "3"))
    assert place_of(3, Launch(accelerators=1), chips) | {processes.PARENT: ""} == {
        processes.PARENT: "",
        "TPU_VISIBLE_CHIPS": "3",
        "TPU_CHIPS_PER_PROCESS_BOUNDS": "1,1,1",
        "TPU_PROCESS_BOUNDS": "1,1,1",
    }


def test_places_on_cores_share_no_core_while_there_are_enough(monkeypatch):
    monkeypatch.setattr(processes, "cores", lambda: [0, 1, 4, 5, 6])
    shown = [place_of(place, Launch(cpus=2), GPUS)[processes.CORES] for place in (0, 1, 2)]
    assert shown == ["0,1", "4,5", "0,1"]


def test_as_many_jobs_fit_as_there_are_accelerators_for():
    none = Accelerators("accelerators", ())
    assert jobs_that_fit(Launch(accelerators=1), GPUS) == 4
    assert jobs_that_fit(Launch(accelerators=3), GPUS) == 1
    assert jobs_that_fit(Launch(accelerators=1, jobs_at_once=2), GPUS) == 2
    assert jobs_that_fit(Launch(), none) == 1
    assert jobs_that_fit(Launch(jobs_at_once=3), none) == 3


@pytest.mark.parametrize(
    ("launch", "said"),
    [
        (Launch(accelerators=5), "--accelerators 5 cannot be had: this machine has 4 GPUs"),
        (Launch(cpus=4096), "--cpus 4096 cannot be had: this process may use"),
        (Launch(memory_gib=1e6), "--memory-gib 1e+06 cannot be had: this machine has"),
    ],
)
def test_what_this_machine_has_not_is_refused_with_what_it_has(monkeypatch, launch, said):
    monkeypatch.setattr(processes, "accelerators", lambda: GPUS)
    engine = ProcessEngine(launch)
    with pytest.raises(UserError) as refusal:
        engine.check(())
    engine.close()
    assert str(refusal.value).startswith(said)


def test_accelerators_are_found_without_jax(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: H100 (UUID: GPU-a)'\necho 'GPU 1: H100 (UUID: GPU-b)'\n")
    program.chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(machine.shutil, "which", lambda _: str(program))
    assert accelerators(tmp_path) == Accelerators("GPUs", ("0", "1"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-b")
    assert accelerators(tmp_path) == Accelerators("GPUs", ("GPU-b",))
    program.write_text("#!/bin/sh\nexit 9\n")
    (tmp_path / "accel0").touch()
    (tmp_path / "accel1").touch()
    assert accelerators(tmp_path) == Accelerators("TPU chips", ("0", "1"))
    monkeypatch.setattr(machine.shutil, "which", lambda _: None)
    assert accelerators(tmp_path / "empty") == Accelerators("accelerators", ())
