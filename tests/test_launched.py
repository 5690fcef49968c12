"""`run --jobs-at-once` in real processes: stopped, killed, refused and begun again, it ends as if nothing had been."""

import os
import signal
import subprocess
import time

import pytest

from scaling.folder import StudyFolder
from scaling.launching.journal import read_beat, read_driver, read_jobs

LONG = ("--budgets", "51200", "307200", "--checkpoint-seconds", "0.5")
AT_ONCE = ("--jobs-at-once", "2", "--branches", "apart")


def start(tiny, *knobs):
    command = tiny.command(*LONG, *AT_ONCE, *knobs)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def training(tiny):
    """Whether a worker of the present driver has trained a step."""
    folder = StudyFolder(tiny.study)
    for task_id, job in read_jobs(folder).items():
        beat = read_beat(folder, task_id)
        running = job.attempts and not job.attempts[-1].ending
        if running and beat and beat.attempt == job.attempts[-1].number and beat.step > beat.start:
            return beat.pid
    return 0


def wait_for_training(tiny, process):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        if pid := training(tiny):
            return pid
        time.sleep(0.02)
    raise AssertionError("no worker trained")


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_a_driver_that_is_stopped_and_another_that_is_killed_lose_nothing(tiny, tmp_path):
    undisturbed = tiny.run(*LONG, "--pack", "1", out=tmp_path / "undisturbed")
    assert undisturbed.returncode == 0, undisturbed.stderr

    stopped = start(tiny)
    worker = wait_for_training(tiny, stopped)
    stopped.send_signal(signal.SIGTERM)
    told, _ = stopped.communicate(timeout=60)
    assert stopped.returncode == 75, told
    assert "stopping as asked" in told and "the same command continues from there" in told
    assert not alive(worker)
    assert read_driver(StudyFolder(tiny.study)).state == "interrupted"

    killed = start(tiny)
    worker = wait_for_training(tiny, killed)
    second = tiny.run(*LONG, *AT_ONCE)
    assert second.returncode == 2 and "is being run by process" in second.stderr
    killed.kill()
    killed.communicate(timeout=60)
    until = time.monotonic() + 20
    while alive(worker) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(worker)

    last = tiny.run(*LONG, *AT_ONCE)
    assert last.returncode == 0, last.stdout + last.stderr
    assert "4 of 4 runs are finished" in last.stdout
    assert tiny.numbers() == tiny.numbers(tmp_path / "undisturbed" / "tiny")
    endings = [a.ending for job in read_jobs(StudyFolder(tiny.study)).values() for a in job.attempts]
    assert {"finished", "interrupted", "lost"} == set(endings)


def test_a_cap_stops_training_in_this_process_at_a_checkpoint_and_says_what_is_left_out(tiny):
    done = tiny.run(
        "--budgets", "10240", "4096000", "--max-device-hours", "0.005", "--checkpoint-seconds", "1"
    )
    assert done.returncode == 75, done.stdout + done.stderr
    assert "left out: w8-d1-lr0.01-s0: " in done.stdout
    assert "given more --max-device-hours" in done.stdout
    driver = read_driver(StudyFolder(tiny.study))
    assert driver.state == "interrupted"
    again = tiny.run("--budgets", "10240", "4096000", "--max-device-hours", "0.005")
    assert again.returncode == 75
    assert "would pass --max-device-hours = 0.005" in again.stdout
    assert "; 0 were trained now" in again.stdout
