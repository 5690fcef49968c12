"""A study whose large models train on two hosts and the others on one, on a real Ray cluster; and what `plan` says."""

import re

import pytest

from scaling.accounting import parameters
from scaling.folder import StudyFolder
from scaling.launching.journal import read_jobs
from scaling.spec import Model


def N(width):
    return parameters(Model(context=32, width=width, depth=1, heads=1)).N


@pytest.mark.slow
@pytest.mark.faults  # it starts a cluster
def test_large_models_train_on_two_hosts_and_small_ones_beside_them_on_one(tiny):
    from ray_cluster import loopback_cluster

    with loopback_cluster((1, 2)) as cluster:
        where = ("--on", "ray", "--address", cluster.address, "--branches", "together")
        done = tiny.run(*where, "--larger", f"{N(16)}=0x2")
        assert done.returncode == 0, done.stderr
        assert "4 of 4 runs are finished" in done.stdout
    jobs = {job.name: job for job in read_jobs(StudyFolder(tiny.study)).values()}
    devices = {name: [attempt.devices for attempt in job.attempts] for name, job in jobs.items()}
    assert len(devices) == 2
    assert all(found == ([2] if name.startswith("w16") else [1]) for name, found in devices.items()), devices


@pytest.mark.parametrize(("larger", "times"), [((), 1), (("--larger", f"{N(8)}=4"), 4)])
def test_plan_counts_the_devices_of_each_size(tiny, larger, times):
    ray = ("--on", "ray", "--accelerators", "1", "--device", "NVIDIA H100 80GB HBM3")
    done = tiny.run(*ray, "--devices-at-hand", "8", "--pack", "1", *larger, verb="plan")
    assert done.returncode == 0, done.stderr
    said = re.search(r"device-hours: about (\S+) .*\n(?:.*\n)*?time on 8 devices at once: .*", done.stdout)
    alone = tiny.run(*ray, "--devices-at-hand", "8", "--pack", "1", verb="plan").stdout
    one = re.search(r"device-hours: about (\S+) ", alone)
    assert float(said[1]) == pytest.approx(
        times * float(one[1]), rel=0.02
    )  # tiny models: nearly all is overhead


def test_plan_refuses_a_job_that_is_larger_than_what_is_at_hand(tiny):
    ray = ("--on", "ray", "--accelerators", "1", "--device", "NVIDIA H100 80GB HBM3")
    done = tiny.run(*ray, "--devices-at-hand", "8", "--larger", f"{N(16)}=8x2", verb="plan")
    assert (
        done.returncode == 2 and "--devices-at-hand 8 is less than the 16 devices of one job" in done.stderr
    )
