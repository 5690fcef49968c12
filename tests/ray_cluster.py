"""A Ray cluster of several nodes on this machine's loopback, in processes that are gone afterwards.

The nodes are started by a process of their own, so that the test and every driver that it starts join by the address.
Every process of the cluster carries a mark in its environment, by which it is found whoever its parent is.
"""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
MARK = "SCALING_TEST_CLUSTER"
QUIET = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
os.environ.update(QUIET)  # before anything imports ray: it would replace 127.0.0.1 by the machine's address

HEAD = """
import json, os, sys
mark, cpus, rest = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
from ray.cluster_utils import Cluster
common = dict(node_ip_address="127.0.0.1", object_store_memory=80 * 2**20) | rest
cluster, nodes = None, {}
def add(cores):
    global cluster
    os.environ[mark] = os.environ["RAY_TEST_TOKEN"] + "-" + str(len(nodes))
    if cluster is None:
        cluster = Cluster(initialize_head=True, head_node_args=common | dict(num_cpus=cores, include_dashboard=False))
        node = cluster.head_node
    else:
        node = cluster.add_node(num_cpus=cores, **common)
    nodes[len(nodes)] = node
    print("ANSWER", json.dumps([cluster.address, node.unique_id]), flush=True)
for cores in cpus:
    add(cores)
for line in sys.stdin:
    add(json.loads(line))
cluster.shutdown()
"""


class LoopbackCluster:
    """Nodes with so many CPUs each; number 0 is the head, which holds the cluster's state."""

    python_path = f"{HERE.parent}{os.pathsep}{HERE}"
    """What workers import, and what drivers of the tests must."""

    def __init__(self, cpus=(1, 1), **node_arguments):
        self.token = secrets.token_hex(8)
        environment = {**os.environ, **QUIET, "RAY_TEST_TOKEN": self.token, MARK: f"{self.token}-maker"}
        environment["PYTHONPATH"] = self.python_path
        command = [sys.executable, "-c", HEAD, MARK, json.dumps(list(cpus)), json.dumps(node_arguments)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.maker = subprocess.Popen(
            command, text=True, env=environment, start_new_session=True, **pipes, cwd="/"
        )
        answers = [self._answer() for _ in cpus]
        self.address = answers[0][0]

    def _answer(self):
        for line in self.maker.stdout:
            if line.startswith("ANSWER "):
                return json.loads(line.removeprefix("ANSWER "))
        raise RuntimeError("the test's cluster did not start")

    def add_node(self, cpus=1):
        """One more node; returns when it is up."""
        self.maker.stdin.write(f"{cpus}\n")
        self.maker.stdin.flush()
        self._answer()

    def pids(self, node=None):
        """Living processes of a node, or of the whole cluster."""
        sought = f"{MARK}={self.token}-" + ("" if node is None else str(node))
        return [pid for pid in all_pids() if any(_is(entry, sought, node) for entry in environment_of(pid))]

    def worker_pids(self, node=None):
        """Processes of a node, or of all, that run a task of Ray or are ready to."""
        return [pid for pid in self.pids(node) if command_of(pid).startswith("ray::")]

    def kill_node(self, node):
        """A machine that goes away: all processes of the node at once, by SIGKILL."""
        for _ in range(3):  # what a process started while the others were killed
            for pid in self.pids(node):
                kill(pid)
        wait_until(lambda: not self.pids(node), 10)

    def close(self):
        """End the cluster; raises where one of its processes survives."""
        with contextlib.suppress(OSError):
            self.maker.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.maker.wait(20)
        for pid in self.pids():
            kill(pid)
        self.maker.wait(5)
        self.maker.stdout.close()
        wait_until(lambda: not self.pids(), 10)


@contextlib.contextmanager
def loopback_cluster(cpus=(1, 1), **node_arguments):
    """A cluster while the block runs; afterwards no process of it is left, and no zombie of this process's."""
    cluster = LoopbackCluster(cpus, **node_arguments)
    try:
        yield cluster
    finally:
        cluster.close()
    assert zombies() == []


def _is(entry, sought, node):
    return entry.startswith(sought) if node is None else entry == sought


def all_pids():
    """Processes that this user may look into."""
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def environment_of(pid):
    """As it was when the process began; empty for one that is gone, a zombie or another user's."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def command_of(pid):
    """The command line, empty for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def zombies(parents=()):
    """Dead children of this process, or of the given ones, that nobody has waited for."""
    parents = parents or [os.getpid()]
    found = []
    for pid in all_pids():
        with contextlib.suppress(OSError, IndexError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if fields[0] == "Z" and int(fields[1]) in parents:
                found.append(pid)
    return found


def listening(pids):
    """Addresses on which processes take TCP connections."""
    sockets = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for entry in os.scandir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    sockets.add(os.readlink(entry.path).removeprefix("socket:[").rstrip("]"))
    found = set()
    for table, words, family in (("tcp", 1, socket.AF_INET), ("tcp6", 4, socket.AF_INET6)):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                raw = bytes.fromhex(
                    fields[1].partition(":")[0]
                )  # each word of 4 bytes in the machine's order
                packed = b"".join(raw[4 * word : 4 * word + 4][::-1] for word in range(words))
                found.add(socket.inet_ntop(family, packed))
    return found


def kill(pid, number=signal.SIGKILL):
    """Send a signal to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def wait_until(holds, seconds, every=0.05):
    """Return when it holds; raises AssertionError after so many seconds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"did not come about within {seconds} s"
        time.sleep(every)
