"""Workers that die, freeze or are sent away, on a Ray cluster: the study ends bitwise as if nothing had happened."""

import os
import signal
import time

import pytest
from faults import JOB, ONE, Launched, finished_as, freeze, freeze_in_a_save, kill, nothing_left, on_ray

pytestmark = [pytest.mark.slow, pytest.mark.faults]


def test_a_worker_killed_in_training_is_tried_again_from_its_last_checkpoint(calm, tiny, two_nodes):
    with Launched(tiny, *ONE, *JOB, *on_ray(two_nodes)) as launched:
        kill(launched.worker(beyond=100).pid)
        saved = launched.saved()
        said = r"lost +w8-d1-lr0.01-s0: its process died without a word; it is tried again, at once"
        launched.ends(0, said, "2 attempts now .1 finished, 1 lost.", "3 of 3 runs are finished")
        assert launched.endings() == [["lost", "finished"]]
        launched.goes_on(saved)
        finished_as(calm, launched, 3)
        nothing_left(launched, two_nodes)


def test_a_worker_killed_in_a_save_is_tried_again_from_the_checkpoint_before(calm, tiny, two_nodes):
    with Launched(tiny, *ONE, *JOB, *on_ray(two_nodes)) as launched:
        worker = launched.worker(beyond=100)
        freeze_in_a_save(launched, worker.pid)
        kill(worker.pid)
        saved = launched.saved()
        launched.ends(0, "2 attempts now .1 finished, 1 lost.")
        assert launched.endings() == [["lost", "finished"]]
        launched.goes_on(saved)
        finished_as(calm, launched, 3)
        nothing_left(launched, two_nodes)


def test_a_preempted_worker_saves_at_once_and_loses_nothing(calm, tiny, two_nodes):
    knobs = (*ONE[:-1], "600")  # no checkpoint but those that must be
    with Launched(tiny, *knobs, *JOB, *on_ray(two_nodes)) as launched:
        kill(launched.worker().pid, signal.SIGTERM)
        said = (
            r"interrupted w8-d1-lr0.01-s0: asked to stop, and saved a checkpoint; it is tried again, at once"
        )
        launched.until(lambda: "interrupted" in launched.printed)
        saved = launched.saved()
        launched.ends(0, said, "2 attempts now .1 finished, 1 interrupted.")
        assert launched.endings() == [["interrupted", "finished"]]
        launched.goes_on(saved)
        first, second = launched.stretches()
        folder = first[-1][0]
        assert second[0][0] == folder and first[-1][1] < second[0][1] < second[0][2]
        finished_as(calm, launched, 3)
        nothing_left(launched, two_nodes)


def test_a_worker_that_stands_still_for_a_while_goes_on_in_the_same_attempt(calm, tiny, two_nodes):
    with Launched(tiny, *ONE, *JOB, *on_ray(two_nodes)) as launched:
        pid = launched.worker(beyond=100).pid
        freeze(pid)
        time.sleep(8)  # longer than between two beats
        assert launched.process.poll() is None
        os.kill(pid, signal.SIGCONT)
        launched.ends(0, "1 attempts now .1 finished.")
        assert launched.endings() == [["finished"]]
        finished_as(calm, launched, 3)
        nothing_left(launched, two_nodes)


def test_a_trunk_killed_between_two_branch_points_goes_on_and_its_branches_are_trained_once(
    calm, tiny, two_nodes
):
    with Launched(tiny, *ONE, *on_ray(two_nodes), "--branches", "apart") as launched:
        kill(launched.worker("trunk", beyond=320).pid)  # the first branch leaves at step 320
        saved = launched.saved()
        launched.ends(0, "3 of 3 runs are finished")
        assert launched.endings("trunk") == [["lost", "finished"]]
        assert launched.endings("branch") == [["finished"]] * 3
        launched.goes_on(saved, part="trunk")
        finished_as(calm, launched, 3)
        nothing_left(launched, two_nodes)
