"""Disks that fill up or turn read-only, and a job that always crashes: said, and nothing is lost."""

import contextlib
import os
import subprocess

import pytest
from faults import JOB, KNOBS, ONE, Launched, finished_as, nothing_left, on_ray

pytestmark = [pytest.mark.slow, pytest.mark.faults]


@contextlib.contextmanager
def mounted(folder, *options):
    """Mount on a folder while the block runs; skips the test where this user may not."""
    folder.mkdir(exist_ok=True)
    command = ["mount", *options, str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("root alone can mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_said_and_with_space_the_same_command_finishes(calm, tiny, two_nodes):
    command = (*ONE, *JOB, *on_ray(two_nodes))
    with mounted(tiny.out, "-t", "tmpfs", "-o", "size=400k", "tmpfs"):
        with Launched(tiny, *command) as launched:
            launched.ends(2, "error: .*(disk is full|No space left)", "run the same command again")
            saved = launched.saved()
            nothing_left(launched, two_nodes)
        subprocess.run(["mount", "-o", "remount,size=100m", str(tiny.out)], check=True)
        with Launched(tiny, *command) as again:
            again.ends(0, "3 of 3 runs are finished")
            again.goes_on(saved, attempt=len(again.stretches()))
            finished_as(calm, again, 3)
            nothing_left(again, two_nodes)


def test_a_study_that_turns_read_only_is_said_and_goes_on_when_that_is_mended(calm, tiny, two_nodes):
    command = (*ONE, *JOB, *on_ray(two_nodes))
    with Launched(tiny, *command) as launched:
        launched.worker(beyond=100)
        with mounted(tiny.study, "-o", "bind,ro", str(tiny.study)):
            launched.ends(2, "error: .*Read-only file system", "run the same command again")
            saved = launched.saved()
    nothing_left(launched, two_nodes)
    with Launched(tiny, *command) as again:
        again.ends(0, "3 of 3 runs are finished")
        again.goes_on(saved, attempt=len(again.stretches()))
        finished_as(calm, again, 3)
        nothing_left(again, two_nodes)


def test_a_job_that_always_crashes_is_given_up_after_so_many_attempts_and_the_others_finish(
    calm, tiny, two_nodes
):
    (study,) = [calm.study]
    trunk = next(path.name for path in study.glob("trunk-*"))
    tiny.study.mkdir(parents=True)
    (tiny.study / trunk).write_text("a file where its trunk's folder should be\n")
    with Launched(tiny, *KNOBS, *JOB, *on_ray(two_nodes), "--crashes", "1") as launched:
        printed = launched.ends(
            1, "3 of 6 runs are finished; 3 were trained now", "3 runs failed", "given up"
        )
        assert sorted(launched.endings()) == [["failed", "failed"], ["finished"]]
        assert "          | --- failed: " in printed  # the tail of its log
        finished_as(calm, launched, 3)
        nothing_left(launched, two_nodes)
    (tiny.study / trunk).unlink()
    with Launched(tiny, *KNOBS, *JOB, *on_ray(two_nodes)) as again:
        again.ends(0, "6 of 6 runs are finished; 3 were trained now")
        finished_as(calm, again, 6)
