"""The same faults where jobs are processes of this machine."""

import os
import signal

import pytest
from faults import JOB, ONE, Launched, finished_as, freeze_in_a_save, kill, nothing_left, state_of

pytestmark = [pytest.mark.slow, pytest.mark.faults]

HERE = (*ONE, *JOB, "--jobs-at-once", "2")


@pytest.mark.parametrize("saving", [False, True], ids=["in training", "in a save"])
def test_a_killed_worker_is_tried_again_from_its_last_checkpoint(calm, tiny, saving):
    with Launched(tiny, *HERE) as launched:
        worker = launched.worker(beyond=100)
        if saving:
            freeze_in_a_save(launched, worker.pid)
        kill(worker.pid)
        saved = launched.saved()
        launched.ends(
            0, "lost +w8-d1-lr0.01-s0: its process was ended by SIGKILL; it is tried again, at once"
        )
        assert launched.endings() == [["lost", "finished"]]
        launched.goes_on(saved)
        finished_as(calm, launched, 3)
        nothing_left(launched)


def test_a_killed_driver_leaves_no_orphan_and_is_started_again(calm, tiny):
    with Launched(tiny, *HERE) as first:
        orphan = first.worker(beyond=100).pid
        first.kill()
        with Launched(tiny, *HERE) as second:
            second.until(lambda: state_of(orphan) == "", seconds=10)
            saved = second.saved()
            second.ends(0, "3 of 3 runs are finished")
            assert second.endings() == [["lost", "finished"]]
            second.goes_on(saved)
            finished_as(calm, second, 3)
            nothing_left(first)
            nothing_left(second)


def test_ctrl_c_lets_workers_save_and_the_same_command_continues(calm, tiny):
    with Launched(tiny, *HERE) as launched:
        launched.worker(beyond=100)
        os.killpg(launched.process.pid, signal.SIGINT)
        launched.ends(75, "the same command continues", "1 attempts now .1 interrupted.")
        saved = launched.saved()
        nothing_left(launched)
    with Launched(tiny, *HERE) as again:
        again.ends(0, "3 of 3 runs are finished")
        assert again.endings() == [["interrupted", "finished"]]
        again.goes_on(saved)
        finished_as(calm, again, 3)
        nothing_left(again)
