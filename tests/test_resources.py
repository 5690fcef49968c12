"""What jobs ask of nodes, which slices are whole, and addresses that are no cluster: without any Ray running."""

import socket
import subprocess
import sys
import threading
import time
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.errors import UserError
from scaling.launching.engine import Ending
from scaling.launching.engines.autoscaling import makes_nodes
from scaling.launching.engines.connecting import connect
from scaling.launching.engines.gang import verdict
from scaling.launching.engines.resources import demand_of, demand_of_slice, inventory, places, refusal
from scaling.launching.engines.slices import CORES_A_CHIP, chips_of, intact_slices
from scaling.launching.launch import Launch

GIB = 2.0**30


def node(labels=(), **resources):
    return {"Resources": {"memory": 8 * GIB, **resources}, "Labels": dict(labels)}


def host(name, number, chips=4.0, kind="v4-16"):
    labels = {"ray.io/tpu-slice-name": name, "ray.io/tpu-worker-id": str(number), "ray.io/tpu-pod-type": kind}
    return node(labels, CPU=8.0, TPU=chips)


@given(cpus=st.lists(st.integers(0, 5), max_size=5), hosts=st.integers(1, 4), each=st.integers(1, 3))
def test_places_are_the_most_jobs_that_a_search_can_place_on_different_nodes(cpus, hosts, each):
    demand = demand_of(Launch(on="ray", hosts=hosts, cpus=each), ())
    free = [count // each for count in cpus]
    jobs = 0
    while True:  # the fullest nodes first is the best choice for jobs on different nodes
        free.sort(reverse=True)
        if len(free) < hosts or free[hosts - 1] == 0:
            break
        free[:hosts] = [count - 1 for count in free[:hosts]]
        jobs += 1
    assert places(demand, [node(CPU=float(count)) for count in cpus]) == jobs


@pytest.mark.parametrize(
    ("launch", "asked"),
    [
        ({"cpus": 64}, "one node with 64 CPU"),
        ({"accelerators": 8}, "one node with 1 CPU, 8 GPU"),
        ({"accelerators": 1, "accelerator_type": "H100"}, "one node with 1 CPU, 1 GPU, accelerator H100"),
        ({"memory_gib": 20}, "one node with 1 CPU, 20.0 GiB of memory"),
        ({"hosts": 3}, "3 different nodes with 1 CPU each"),
    ],
)
def test_what_no_node_has_is_refused_with_what_exists(launch, asked):
    nodes = [node(CPU=4.0), node(CPU=4.0, GPU=2.0, **{"accelerator_type:A100": 1.0})]
    demand = demand_of(Launch(on="ray", **launch), nodes)
    assert places(demand, nodes) == 0
    assert str(refusal(str(demand), nodes)) == (
        f"a job asks for {asked}, and the cluster can never give it that: it has 1 node of 4 CPU, 8.0 GiB of memory, "
        "1 node of 4 CPU, 2 GPU, accelerator A100, 8.0 GiB of memory; ask for less, or add nodes that have it"
    )


def test_equal_nodes_are_said_once_and_no_node_is_said():
    assert inventory([node(CPU=2.0)] * 300) == "300 nodes of 2 CPU, 8.0 GiB of memory"
    assert inventory([]) == "no node"


def test_nodes_are_said_in_an_order_that_is_not_ray_s():
    small, large = node(CPU=1.0), node(CPU=2.0)
    assert (
        inventory([small, large]) == inventory([large, small]) and "2 CPU" in inventory([small, large])[:15]
    )


def test_accelerators_are_tpu_chips_where_the_type_or_the_nodes_say_so():
    launch = Launch(on="ray", accelerators=4)
    assert demand_of(launch, [node(CPU=1.0, TPU=4.0)]).bundles[0]["TPU"] == 4
    assert demand_of(launch, [node(TPU=4.0), node(GPU=1.0)]).bundles[0]["GPU"] == 4
    typed = Launch(on="ray", accelerators=4, accelerator_type="TPU-V6E")
    assert demand_of(typed, [node(GPU=1.0)]).bundles[0] == {
        "CPU": 1.0,
        "TPU": 4.0,
        "accelerator_type:TPU-V6E": 0.001,
    }


def test_a_slice_is_whole_when_all_its_hosts_are_up_and_rank_is_the_number_of_the_host():
    nodes = [host("b", 1), host("a", 0), host("b", 0), host("other", 0, kind="v4-8"), node(CPU=4.0)]
    (whole,) = intact_slices(nodes, "v4-16")
    assert (whole.name, whole.chips) == ("b", (4.0, 4.0))
    demand = demand_of_slice(Launch(on="ray", slice="v4-16"), whole)
    assert demand.bundles == ({"CPU": 1.0, "TPU": 4.0, "TPU-v4-16-head": 1.0}, {"CPU": 1.0, "TPU": 4.0})
    assert [wanted["ray.io/tpu-worker-id"] for wanted in demand.selectors] == ["0", "1"]
    assert len(intact_slices([*nodes, host("a", 1)], "v4-16")) == 2


def test_slice_sizes_are_those_of_the_installed_ray():
    from ray._private.accelerators import tpu

    assert set(CORES_A_CHIP) == set(tpu.VALID_TPU_TYPES)
    for generation, cores in product(CORES_A_CHIP, (8, 16, 256)):
        kind = f"{generation}-{cores}"
        assert chips_of(kind) == tpu.get_total_chips_from_accelerator_type(kind)


@pytest.mark.parametrize("kind", ["v9-8", "v4", "v4-0", "../x", "v4-8-head"])
def test_what_is_no_slice_is_refused(kind):
    with pytest.raises(UserError, match=r"--slice .* cannot be: give a generation of v2, v3"):
        chips_of(kind)


@pytest.mark.parametrize(
    ("kinds", "together"),
    [
        (["finished", "lost"], "finished"),
        (["failed", "lost"], "lost"),
        (["interrupted", "failed"], "failed"),
        (["failed", "refused"], "refused"),
        (["interrupted", "finished"], "interrupted"),
    ],
)
def test_the_ending_of_several_hosts_is_that_which_explains_the_others(kinds, together):
    assert verdict(dict(enumerate(map(Ending, kinds)))).kind == together


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (f"127.0.0.1:{closed_port()}", r"no Ray cluster answers at 127.0.0.1:\d+ \(Connection refused\): start one"),
        ("no-such-host.invalid:6379", r"no Ray cluster answers at no-such-host.invalid:6379 \("),
        ("ray://127.0.0.1:10001", r"is an address of Ray's client.*give HOST:PORT of the cluster's head"),
        ("127.0.0.1", r"--address 127.0.0.1 cannot be: give HOST:PORT"),
        ("127.0.0.1:99999", r"--address 127.0.0.1:99999 cannot be"),
    ],
    ids=["closed port", "no such host", "client", "no port", "no such port"],
)  # fmt: skip
def test_an_address_that_is_no_cluster_is_refused_in_one_sentence_at_once(address, said):
    began = time.monotonic()
    with pytest.raises(UserError, match=said) as refused:
        connect(address)
    assert "\n" not in str(refused.value) and time.monotonic() - began < 15


def test_without_ray_the_package_to_install_is_named():
    said = subprocess.run(
        [sys.executable, "-c", "import sys; sys.modules['ray'] = None\n"
         "from scaling.launching.engines.connecting import connect\nconnect('')"],
        capture_output=True, text=True, check=False,
    ).stderr  # fmt: skip
    assert "--on ray needs the package ray: pip install 'scaling[ray]'" in said


@pytest.mark.parametrize("says", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_an_address_where_something_else_answers_is_refused_in_one_sentence(says, monkeypatch):
    monkeypatch.setattr("scaling.launching.engines.connecting.PROBE_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            taken, _ = server.accept()
            taken.sendall(says)
            time.sleep(1.0)
            taken.close()

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(
            UserError, match=r"what answers at 127.0.0.1:\d+ is no Ray cluster: give HOST:PORT of its"
        ):
            connect(f"127.0.0.1:{server.getsockname()[1]}")


@pytest.mark.parametrize(
    ("labels", "report", "grows"),
    [
        ({}, None, False),
        ({}, b"no JSON", False),
        ({}, b'{"autoscaler_report": null}', False),
        ({}, b'{"autoscaler_report": {"active_nodes": {"node_9d60f5": 1}}}', False),
        ({}, b'{"autoscaler_report": {"active_nodes": {"tpu_worker": 1}}}', True),
        ({"ray.io/node-group": "workers"}, None, True),
    ],
)
def test_a_cluster_that_makes_nodes_is_told_by_their_groups_or_its_report(labels, report, grows):
    assert makes_nodes([node(labels, CPU=1.0)], report) is grows
