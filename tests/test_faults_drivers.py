"""Drivers and nodes that die, are stopped or ask for what is not there, on a Ray cluster."""

import os
import shutil
import signal
import socket
from pathlib import Path

import pytest
from faults import JOB, KNOBS, ONE, Launched, finished_as, freeze, kill, nothing_left, on_ray, state_of

pytestmark = [pytest.mark.slow, pytest.mark.faults]


def test_a_node_that_goes_away_is_replaced_by_another(calm, tiny, two_nodes):
    with Launched(tiny, *KNOBS, *JOB, *on_ray(two_nodes)) as launched:
        node = max(number for number in range(9) if two_nodes.pids(number))
        pids = two_nodes.pids(node)
        pid = launched.worker(beyond=100, among=lambda pid: pid in two_nodes.pids(node)).pid
        two_nodes.kill_node(node)
        launched.until(lambda: {state_of(each) for each in (pid, *pids)} <= {"", "Z"}, seconds=10)
        saved = launched.saved()
        two_nodes.add_node()  # for the tests to come
        launched.ends(0, "lost .*: its node 127.0.0.1 died or was taken away", "6 of 6 runs are finished")
        assert sorted(launched.endings()) == [["finished"], ["lost", "finished"]]
        launched.goes_on(saved)
        finished_as(calm, launched, 6)
        nothing_left(launched, two_nodes)


def test_a_killed_driver_is_started_again_and_adopts_what_was_saved(calm, tiny, two_nodes):
    with Launched(tiny, *ONE, *JOB, *on_ray(two_nodes)) as first:
        orphan = first.worker(beyond=100).pid
        first.kill()
        with Launched(tiny, *ONE, *JOB, *on_ray(two_nodes)) as second:
            second.until(lambda: state_of(orphan) == "", seconds=30)
            saved = second.saved()
            assert len(second.stretches()) == 1  # nobody has begun in its place before it was gone
            second.ends(0, "3 of 3 runs are finished")
            assert second.endings() == [["lost", "finished"]]
            second.goes_on(saved)
            finished_as(calm, second, 3)
            nothing_left(first, two_nodes)
            nothing_left(second, two_nodes)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_driver_that_is_stopped_lets_its_workers_save_and_continues(calm, tiny, two_nodes, number):
    with Launched(tiny, *ONE, *JOB, *on_ray(two_nodes)) as launched:
        pid = launched.worker(beyond=100).pid
        freeze(pid)  # or it would be done before the second driver has looked
        second = tiny.run(*ONE, *JOB, *on_ray(two_nodes))
        assert second.returncode == 2, second.stdout
        assert f"is being run by process {launched.process.pid} on {socket.gethostname()}" in second.stderr
        os.kill(pid, signal.SIGCONT)
        os.killpg(launched.process.pid, number)
        launched.ends(75, "the same command continues", "1 attempts now .1 interrupted.")
        saved = launched.saved()
        nothing_left(launched, two_nodes)
    with Launched(tiny, *ONE, *JOB, *on_ray(two_nodes)) as again:
        again.ends(0, "3 of 3 runs are finished")
        assert again.endings() == [["interrupted", "finished"]]
        again.goes_on(saved)
        assert again.stretches()[0][-1][0] == again.stretches()[1][0][0]
        finished_as(calm, again, 3)
        nothing_left(again, two_nodes)


def test_an_address_that_does_not_answer_is_said(tiny):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    with Launched(tiny, *ONE, "--on", "ray", "--address", address) as launched:
        launched.ends(2, f"error: no Ray cluster answers at {address} .Connection refused.: start one there")
        assert not list(tiny.study.glob("*/checkpoints"))


def test_what_no_node_has_is_refused_with_what_exists(tiny, two_nodes):
    with Launched(tiny, *ONE, *on_ray(two_nodes), "--accelerators", "8") as launched:
        launched.ends(
            2,
            "error: a job asks for one node with 1 CPU, 8 GPU, and the cluster can never",
            "it has .*of 1 CPU",
        )
        nothing_left(launched, two_nodes)


def test_a_package_that_was_changed_under_a_running_study_is_refused_until_the_driver_has_it_too(
    calm, tiny, two_nodes
):
    copy = tiny.folder / "checkout"
    shutil.copytree(Path(__file__).parent.parent / "scaling", copy / "scaling")
    there = {"cwd": copy, "env": {"PYTHONPATH": str(copy)}}
    with Launched(tiny, *ONE, *JOB, *on_ray(two_nodes), **there) as launched:
        pid = launched.worker(beyond=100).pid
        with (copy / "scaling" / "record.py").open("a") as file:
            file.write("# another commit\n")
        kill(pid)
        saved = launched.saved()
        launched.ends(1, "driver and worker differ in the source of this package", "3 runs failed")
        assert launched.endings() == [["lost", "refused", "refused"]]  # another host might have had it
        nothing_left(launched, two_nodes)
    with Launched(tiny, *ONE, *JOB, *on_ray(two_nodes), **there) as again:
        again.ends(0, "3 of 3 runs are finished")
        again.goes_on(saved, attempt=len(again.stretches()))
        finished_as(calm, again, 3)
