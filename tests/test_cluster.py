"""Orders on a real Ray cluster on loopback: how each attempt ends, whatever befalls its process, node or driver."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
import types

import pytest
from ray_cluster import (
    MARK,
    QUIET,
    LoopbackCluster,
    all_pids,
    environment_of,
    kill,
    loopback_cluster,
    wait_until,
)

from scaling.errors import UserError
from scaling.folder import StudyFolder
from scaling.launching.engine import Order
from scaling.launching.engines.cluster import RayEngine
from scaling.launching.engines.gang import begin
from scaling.launching.engines.resources import demand_of
from scaling.launching.journal import Beat, write_beat
from scaling.launching.launch import Launch

pytestmark = [pytest.mark.slow, pytest.mark.faults]  # they start clusters


def stub(order, peers):
    """Work that does what the order's `recording` says."""
    import os
    import signal
    import time

    says = json.loads(order)["recording"]
    if peers:
        peers = json.loads(peers)
        says |= says.get("ranks", {}).get(str(peers["rank"]), {})
        if "join" in says:
            from scaling.launching.working.peers import join

            join(json.dumps(peers))
            import jax

            assert (jax.process_count(), jax.process_index()) == (peers["processes"], peers["rank"])
    if "pid_file" in says:
        with open(says["pid_file"], "w") as file:
            file.write(str(os.getpid()))
    if "raise" in says:
        raise ValueError(says["raise"])
    if "exit" in says:
        os._exit(says["exit"])
    stopped = []
    signal.signal(signal.SIGINT, lambda *_: stopped.append(1))
    end = time.monotonic() + says.get("seconds", 0)
    while time.monotonic() < end and not (stopped and not says.get("deaf")):
        time.sleep(0.02)
    return json.dumps({"kind": "interrupted" if stopped else "finished", "steps": os.getpid()})


def order(task_id, **says):
    return Order(
        study="/nowhere", spec_sha256="", task_id=task_id, trunk_ids=(), part="whole", budget=-1, attempt=1,
        token="", data_folder="", execution={}, recording=says, launch={},
    )  # fmt: skip


@pytest.fixture(scope="module")
def cluster():
    with loopback_cluster((2, 1)) as made:
        yield made


@pytest.fixture
def engine(cluster, tmp_path):
    made = RayEngine(Launch(on="ray", address=cluster.address), tmp_path, stub, grace=1.0)
    yield made
    made.close()


def endings(engine, count, seconds=30):
    found, end = {}, time.monotonic() + seconds
    while len(found) < count:
        assert time.monotonic() < end, found
        found |= dict(engine.poll(0.5))
    return found


def test_each_order_ends_as_its_worker_says_in_a_process_of_its_own(engine):
    assert (engine.places(), engine.room()) == (3, 3)
    for number in range(4):
        engine.submit(order(f"t{number}"))
    found = endings(engine, 4)
    assert {ending.kind for ending in found.values()} == {"finished"}
    assert len({ending.steps for ending in found.values()} | {os.getpid()}) == 5
    assert engine.room() == 3


def test_an_exception_is_a_failure_and_a_process_that_dies_is_lost(engine, tmp_path):
    engine.submit(order("raises", **{"raise": "bad\nlayout"}))
    engine.submit(order("exits", exit=3))
    engine.submit(order("killed", seconds=60, pid_file=str(tmp_path / "pid")))
    wait_until((tmp_path / "pid").exists, 20)
    time.sleep(0.1)
    os.kill(int((tmp_path / "pid").read_text()), 9)
    found = endings(engine, 3)
    assert (found["raises"].kind, found["raises"].reason) == ("failed", "ValueError: bad")
    assert {found[name].kind for name in ("exits", "killed")} == {"lost"}
    assert "died without a word" in found["killed"].reason


def test_a_node_that_lacks_a_module_is_no_matter_for_another_try(cluster, tmp_path, monkeypatch):
    module = types.ModuleType("only_here")
    exec("def work(order, peers):\n    return ''", module.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", module)
    engine = RayEngine(Launch(on="ray", address=cluster.address), tmp_path, module.work)
    try:
        engine.submit(order("x"))
        ending = endings(engine, 1)["x"]
    finally:
        engine.close()
    assert ending.kind == "refused" and ending.reason.startswith("a node lacks the module only_here: install")


def test_an_attempt_that_is_asked_to_stop_says_how_it_ended_and_a_deaf_one_is_killed(engine, tmp_path):
    for name in ("hears", "deaf"):
        engine.submit(order(name, seconds=60, deaf=name == "deaf", pid_file=str(tmp_path / name)))
        wait_until((tmp_path / name).exists, 20)
    time.sleep(0.3)
    engine.stop("hears"), engine.stop("deaf")
    found = endings(engine, 2)
    assert found["hears"].kind == "interrupted" and found["hears"].steps > 0
    assert found["deaf"].kind == "lost" and "killed" in found["deaf"].reason


def test_a_queued_order_that_is_stopped_never_begins(engine, tmp_path):
    for number in range(5):
        engine.submit(order(f"q{number}", seconds=2, pid_file=str(tmp_path / f"q{number}")))
    engine.stop("q4")
    found = endings(engine, 5)
    assert found["q4"].kind == "interrupted" and not (tmp_path / "q4").exists()


@pytest.mark.parametrize(
    ("launch", "said"),
    [
        ({"accelerators": 1}, "a job asks for one node with 1 CPU, 1 GPU, and the cluster can never"),
        ({"hosts": 3}, "a job asks for 3 different nodes with 1 CPU each, and the cluster can never"),
        ({"slice": "v4-16"}, "a job asks for a TPU slice v4-16, and the cluster can never"),
    ],
)
def test_what_no_node_has_is_refused_and_not_waited_for(cluster, tmp_path, launch, said):
    engine = RayEngine(Launch(on="ray", address=cluster.address, **launch), tmp_path, stub)
    try:
        with pytest.raises(UserError, match=f"{said} give it that: it has 1 node of 2 CPU.* 1 node of 1 CPU"):
            engine.check(())
    finally:
        engine.close()


def test_that_nothing_begins_is_said_after_a_minute_with_what_the_cluster_has(engine, monkeypatch, capsys):
    monkeypatch.setattr("scaling.launching.engines.cluster.SILENT_SECONDS", 0.0)
    engine.submit(order("waits", seconds=3))
    assert endings(engine, 1)["waits"].kind == "finished"
    said = capsys.readouterr().err
    assert (
        "no job has begun for" in said
        and "1 wait, each for one node with 1 CPU; the cluster has 1 node" in said
    )
    assert engine.complaint() == ""


def test_seconds_and_host_of_a_lost_attempt_are_those_of_its_beats(engine, tmp_path):
    folder = StudyFolder(tmp_path)
    old = Beat(attempt=1, count=9, time=0.0, host="old", pid=1, phase="ended")
    write_beat(folder, "beats", old)
    engine.submit(order("beats", seconds=60, pid_file=str(tmp_path / "pid")))
    wait_until((tmp_path / "pid").exists, 30)
    assert engine.poll(0.1) == []
    write_beat(folder, "beats", dataclasses.replace(old, count=1, host="new", devices=4))
    time.sleep(0.2)
    kill(int((tmp_path / "pid").read_text()))
    lost = endings(engine, 1)["beats"]
    assert (lost.kind, lost.host, lost.devices) == ("lost", "new", 4) and 0 < lost.seconds < 60


@pytest.fixture
def pairs(cluster, tmp_path):
    made = RayEngine(Launch(on="ray", address=cluster.address, hosts=2), tmp_path, stub, grace=1.0)
    yield made
    made.close()


def test_two_hosts_meet_and_end_together(pairs, tmp_path):
    assert pairs.places() == 1
    files = {str(rank): {"pid_file": str(tmp_path / str(rank))} for rank in range(2)}
    pairs.submit(order("pair", join=True, ranks=files))
    assert endings(pairs, 1, 60)["pair"].kind == "finished"
    assert (tmp_path / "0").read_text() != (tmp_path / "1").read_text()


@pytest.mark.parametrize(
    ("rank_0", "rank_1", "kind"),
    [
        ({"seconds": 60}, {"exit": 9}, "lost"),
        ({"raise": "a peer closed the connection"}, {"exit": 9}, "lost"),
        ({"seconds": 60, "deaf": True}, {"raise": "bad"}, "failed"),
        ({"exit": 9}, {"seconds": 60, "deaf": True}, "lost"),
    ],
)
def test_hosts_whose_peer_goes_away_are_ended_and_their_nodes_given_back(pairs, rank_0, rank_1, kind):
    pairs.submit(order("pair", ranks={"0": rank_0, "1": rank_1}))
    found = endings(pairs, 1)
    assert found["pair"].kind == kind and "it did not end when asked to" not in found["pair"].reason
    pairs.submit(order("again"))
    assert endings(pairs, 1)["again"].kind == "finished"


def test_jobs_of_different_sizes_are_trained_side_by_side_and_large_ones_begin_when_there_is_room(
    engine, tmp_path
):
    files = {str(rank): {"pid_file": str(tmp_path / f"pair{rank}")} for rank in range(2)}
    pair = dataclasses.replace(order("pair", seconds=1, ranks=files), launch={"hosts": 2})
    two = dataclasses.replace(order("two"), launch={"cpus": 2.0})
    engine.submit(pair)
    assert engine.room() == 1
    engine.submit(two), engine.submit(order("small"))
    found = endings(engine, 3, 60)
    assert {ending.kind for ending in found.values()} == {"finished"}
    assert (tmp_path / "pair0").read_text() != (tmp_path / "pair1").read_text()


def test_a_slice_that_goes_before_its_order_comes_is_waited_for_and_a_stop_ends_that(engine, monkeypatch):
    engine.submit(dataclasses.replace(order("sliced"), launch={"slice": "v4-16"}))
    engine.submit(order("plain"))
    assert endings(engine, 1).keys() == {"plain"} and "sliced" in engine.attempts
    monkeypatch.setattr("scaling.launching.engines.cluster.SILENT_SECONDS", 0.0)
    assert "no job has begun" in engine.complaint()
    engine.attempts["plain"] = dataclasses.replace(engine.attempts["sliced"], begun=True)
    said = "jobs that no node that is up could hold: 1, one of them asks for a TPU slice v4-16; the cluster has 1 node"
    assert said in engine.complaint()
    del engine.attempts["plain"]
    engine.stop("sliced")
    ending = endings(engine, 1)["sliced"]
    assert (ending.kind, ending.reason) == ("interrupted", "asked to stop before it began")


def test_a_host_that_an_order_avoids_is_not_avoided_where_there_is_no_other(engine):
    named = {node["NodeManagerHostname"] for node in engine.nodes()}
    engine.submit(dataclasses.replace(order("x"), avoid=tuple(named)))
    assert endings(engine, 1)["x"].kind == "finished"


def test_an_order_is_begun_on_nodes_that_it_does_not_avoid_while_there_are_some(engine):
    first, second = (node["NodeID"] for node in engine.nodes())
    for avoided, expected in (((first,), {second}), ((second,), {first}), ((first, second), {first, second})):
        demand = dataclasses.replace(demand_of(Launch(on="ray"), ()), avoid=avoided)
        (ref,) = begin(where, "", "x", demand).ranks
        assert ray_get(ref) in expected


def where(order, peers):
    """Work that says on which node it is."""
    import ray

    return ray.get_runtime_context().get_node_id()


def ray_get(ref):
    import ray

    return ray.get(ref, timeout=30)


def test_that_all_nodes_are_gone_is_said(engine, monkeypatch, capsys):
    monkeypatch.setattr("scaling.launching.engines.cluster.SILENT_SECONDS", 0.2)
    monkeypatch.setattr(engine, "_nodes", ())
    monkeypatch.setattr(engine, "_looked", time.monotonic() + 60)
    for _ in range(4):
        engine.poll(0.2)
    said = capsys.readouterr().err
    assert (
        "warning: no job can begin, for 0 s now: all wait, each for one node with 1 CPU; the cluster has no node"
        in said
    )
    assert (engine.places(), engine.room()) == (0, 0)


DRIVER = """
import sys
from scaling.errors import UserError
from scaling.launching.engines.cluster import RayEngine
from scaling.launching.launch import Launch
from test_cluster import order, stub

folder = sys.argv[2]
engine = RayEngine(Launch(on="ray", address=sys.argv[1]), folder, stub, grace=1.0)
for name in ("a", "b"):
    engine.submit(order(name, seconds=300, pid_file=f"{folder}/{name}"))
try:
    while True:
        for task_id, ending in engine.poll(1.0):
            print(task_id, ending.kind, ending.reason, flush=True)
except UserError as error:
    sys.exit(str(error))
finally:
    engine.close()
"""


@contextlib.contextmanager
def driver(cluster, folder):
    """A driver whose two orders are at work, one on each node."""
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, cluster.address, str(folder)],
        env={**os.environ, **QUIET, "PYTHONPATH": cluster.python_path},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_until(lambda: (folder / "a").exists() and (folder / "b").exists(), 90)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_what_befalls_drivers_and_nodes(tmp_path):
    """A driver that is killed takes its workers with it; a node that goes away is told of; and so is a cluster that
    does, in a sentence and with an exit code."""
    with loopback_cluster((1, 1)) as cluster:
        (tmp_path / "1").mkdir(), (tmp_path / "2").mkdir()
        with driver(cluster, tmp_path / "1") as killed:
            workers = {int((tmp_path / "1" / name).read_text()) for name in "ab"}
            assert workers <= set(cluster.worker_pids())
            killed.kill()
            wait_until(lambda: not workers & set(cluster.worker_pids()), 20)
        with driver(cluster, tmp_path / "2") as bereft:
            cluster.kill_node(1)
            told = next(line for line in bereft.stdout if " lost " in line)
            assert told.endswith(" lost its node 127.0.0.1 died or was taken away\n")
            cluster.kill_node(0)
            out, error = bereft.communicate(timeout=90)
        assert bereft.returncode == 1, (out, error)
        said = [line for line in error.splitlines() if "the Ray cluster at" in line]
        assert (
            len(said) == 1 and f"{cluster.address} has gone" in said[0] and "run the same command" in said[0]
        )
        assert "Traceback" not in error


ALONE = """
import sys
from ray_cluster import MARK, all_pids, environment_of, listening
from scaling.launching.engines.cluster import RayEngine
from scaling.launching.launch import Launch

engine = RayEngine(Launch(on="ray"), sys.argv[1])
mine = [pid for pid in all_pids() if f"{MARK}=alone" in environment_of(pid)]
print(engine.places(), *sorted(listening(mine)))
engine.close()
"""


def test_ray_that_is_started_here_listens_on_loopback_alone_and_is_gone_afterwards(tmp_path):
    environment = {**os.environ, "PYTHONPATH": LoopbackCluster.python_path, MARK: "alone"}
    for name in (*QUIET, "RAY_ADDRESS"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said, found = done.stdout.splitlines()
    assert said.startswith("started Ray on this machine alone, bound to 127.0.0.1")
    places, *addresses = found.split()
    assert int(places) >= 1 and addresses and set(addresses) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    wait_until(lambda: not [pid for pid in all_pids() if f"{MARK}=alone" in environment_of(pid)], 20)
