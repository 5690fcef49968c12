"""One study on two nodes of a real cluster: JAX on two hosts, and what happens when one of them goes away."""

import json
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import Tiny
from ray_cluster import QUIET, command_of, kill, loopback_cluster, wait_until

from scaling.launching.engine import Ending
from scaling.launching.engines.gang import verdict
from scaling.launching.working.peers import Peers, join, part
from scaling.training.disk import CheckpointError, raise_unless_damage

SECONDS = 170
"""A command takes no longer, on a machine that others use too."""


def test_a_job_of_one_host_meets_nobody():
    join("")
    part("")


def test_peers_travel_as_json():
    peers = Peers("10.0.0.1:4000", 4, 3)
    assert Peers(**json.loads(peers.to_json())) == peers


def test_a_checkpoint_is_not_called_damaged_because_a_peer_went_away(monkeypatch):
    gone = ValueError("UNKNOWN: Gloo AllGather failed: Read error: Connection reset by peer")
    raise_unless_damage(gone, 32, Path("x"))  # alone there is no peer
    monkeypatch.setattr("jax.process_count", lambda: 2)
    raise_unless_damage(ValueError("DATA_LOSS: a chunk is cut"), 32, Path("x"))
    with pytest.raises(
        CheckpointError, match=r"could not be read together with the other hosts.*left as it is"
    ):
        raise_unless_damage(gone, 32, Path("x"))


MEMORY = "JaxRuntimeError: RESOURCE_EXHAUSTED: Out of memory allocating 17179869184 bytes"
GONE = "JaxRuntimeError: UNKNOWN: Gloo AllReduce failed: Connection closed by peer [10.0.0.2]:4711"


@pytest.mark.parametrize(
    ("reasons", "said"),
    [
        ((GONE, MEMORY), f"host 1 (b): {MEMORY}; host 0 (a): {GONE}"),
        ((MEMORY, GONE), f"host 0 (a): {MEMORY}; host 1 (b): {GONE}"),
        ((GONE, GONE, MEMORY), f"host 2 (c): {MEMORY}; host 0 (a): {GONE}"),
        ((MEMORY, MEMORY), MEMORY),
        (("", MEMORY), MEMORY),
    ],
)
def test_an_error_of_a_hosts_own_is_told_before_those_of_its_peers(reasons, said):
    told = {rank: Ending("failed", reason, host="abc"[rank]) for rank, reason in enumerate(reasons)}
    assert verdict(told).reason == said


def test_a_host_that_died_is_told_with_the_error_that_another_had_of_its_own():
    ending = verdict(
        {0: Ending("lost", "its process died without a word"), 1: Ending("failed", MEMORY, host="b")}
    )
    assert (ending.kind, ending.reason) == (
        "lost",
        f"host 0: its process died without a word; host 1 (b): {MEMORY}",
    )


def test_hosts_that_saved_say_so_once():
    told = {rank: Ending("interrupted", "asked to stop, and saved a checkpoint") for rank in range(2)}
    assert verdict(told).reason == "asked to stop, and saved a checkpoint"


@pytest.fixture(scope="module")
def cluster():
    with loopback_cluster((1, 1)) as made:
        yield made


@pytest.fixture
def on_hosts(cluster, tmp_path, data_folder, monkeypatch):
    """The command that trains one size of the tiny study on both nodes together, and its tiny study."""
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    tiny = Tiny(tmp_path, data_folder)
    return tiny, ["--widths", "8", "--on", "ray", "--address", cluster.address, "--hosts", "2"]


def losses(study):
    found = {
        path.parent.name: json.loads(path.read_text())["measured"]["L"]
        for path in sorted(Path(study).glob("*/result.json"))
    }
    assert found
    return found


def attempts(study):
    (job,) = [p for p in (study / "jobs").glob("*-whole.json")]
    return [(attempt["ending"], attempt["devices"]) for attempt in json.loads(job.read_text())["attempts"]]


@pytest.mark.slow
@pytest.mark.faults
def test_two_nodes_train_a_study_as_one_process_does(on_hosts, undisturbed):
    """Up to float32 sums in another order over a hundred steps."""
    tiny, knobs = on_hosts
    done = tiny.run(*knobs)
    assert done.returncode == 0, done.stdout + done.stderr
    assert attempts(tiny.study) == [("finished", 2)]
    found, alone = losses(tiny.study), losses(undisturbed.study)
    np.testing.assert_allclose([found[run] for run in found], [alone[run] for run in found], rtol=1e-4)


@pytest.mark.slow
@pytest.mark.faults
def test_a_host_that_is_killed_takes_its_peer_with_it_and_the_next_try_goes_on(
    on_hosts, cluster, undisturbed
):
    tiny, knobs = on_hosts
    driver = subprocess.Popen(
        tiny.command(*knobs), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        # the first run has its result, so a checkpoint of the trunk lies behind it
        wait_until(lambda: list(tiny.study.glob("*/result.json")), SECONDS)
        before = hosts_of(cluster)
        assert set(before) == {0, 1}
        kill(before[1], signal.SIGKILL)
        wait_until(lambda: not set(before.values()) & set(cluster.worker_pids()), 30)
        printed, _ = driver.communicate(timeout=SECONDS)
    finally:
        driver.kill()
        driver.wait()
    assert driver.returncode == 0, printed
    assert [kind for kind, _ in attempts(tiny.study)] == ["lost", "finished"], printed
    found, alone = losses(tiny.study), losses(undisturbed.study)
    np.testing.assert_allclose([found[run] for run in found], [alone[run] for run in found], rtol=1e-4)
    (log,) = (tiny.study / "jobs").glob("*-whole.log")
    second = log.read_text().partition("--- attempt 2")[2]
    assert "trunk: step 0 to" not in second and "trunk: step " in second, log.read_text()
    wait_until(lambda: not hosts_of(cluster), 30)


def hosts_of(cluster):
    """The workers at work, by rank: Ray gives each the name of its task."""
    named = {pid: command_of(pid) for pid in cluster.worker_pids()}
    return {rank: pid for pid, name in named.items() for rank in range(2) if f"host {rank}" in name}
