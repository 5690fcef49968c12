"""The cluster files go through the installed Ray's own code, the Slurm script runs, and the guides' commands parse."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import textwrap
import time
import tomllib
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

import scaling.__main__ as program
from scaling.errors import UserError
from scaling.experiment import load
from scaling.launching.engines.connecting import connect
from scaling.launching.engines.resources import demand_of, places

REPOSITORY = Path(__file__).parents[1]
LAUNCHING = REPOSITORY / "scaling" / "launching"
CLUSTERS = LAUNCHING / "clusters"
GUIDES = sorted(LAUNCHING.glob("*.md"))
WITHOUT_CLOUD = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def tpu_vm():
    return yaml.safe_load((CLUSTERS / "tpu_vm.yaml").read_text())


def kuberay():
    return yaml.safe_load((CLUSTERS / "kuberay.yaml").read_text())


def hosts_and_chips(slice_name):
    """Hosts of a TPU slice, and chips of each, as the installed Ray counts them."""
    from ray._private.accelerators import tpu

    chips = tpu.get_total_chips_from_accelerator_type(slice_name)
    each = tpu.get_num_tpu_visible_chips_per_host(slice_name)
    return chips // each, each


def node_types_of_kuberay():
    from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

    return _derive_autoscaling_config_from_ray_cr(kuberay())["available_node_types"]


def commands(guide):
    """The command lines of a guide's code blocks, continued lines joined."""
    blocks = re.findall(r"```bash\n(.*?)```", guide.read_text(), re.DOTALL)
    return [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]


def calls(guide):
    """(verb, spec, words) of what a guide gives to `python -m scaling`, itself or by the Slurm script."""
    found = []
    for line in commands(guide):
        match = re.search(r"(?:python -m scaling|slurm\.sh) ((?:plan|run|status|collect) .*)$", line)
        if match:
            words = shlex.split(match[1].rstrip("'").split(" #")[0])
            found.append((words[0], words[1], words[2:]))
    return found


CALLS = [(guide.name, *call) for guide in GUIDES for call in calls(guide)]


@WITHOUT_CLOUD
def test_the_file_of_tpu_vms_is_what_ray_up_takes():
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(tpu_vm())
    validate_config(prepared)
    assert prepared["available_node_types"]["head"]["max_workers"] == 0


@WITHOUT_CLOUD
def test_ray_refuses_the_file_of_tpu_vms_with_a_misspelt_word():
    import jsonschema
    from ray.autoscaler._private.util import prepare_config, validate_config

    wrong = tpu_vm() | {"head_node_typ": "head"}
    with pytest.raises(jsonschema.ValidationError, match="head_node_typ"):
        validate_config(prepare_config(wrong))


def test_each_host_of_a_tpu_slice_is_said_to_have_the_chips_that_ray_counts():
    from ray._private.accelerators import TPUAcceleratorManager

    slices = {name: node for name, node in tpu_vm()["available_node_types"].items() if name != "head"}
    counted = {}
    for name, node in slices.items():
        kind = node["node_config"]["acceleratorType"]
        assert TPUAcceleratorManager.is_valid_tpu_accelerator_type(kind)
        counted[name] = hosts_and_chips(kind)
        assert node["resources"]["TPU"] == counted[name][1]
        assert set(node["node_config"]) >= {"runtimeVersion", "schedulingConfig", "serviceAccounts"}
    assert min(counted.values())[0] == 1 and max(counted.values())[0] > 1  # single-host and multi-host


def test_no_slice_waits_to_be_scaled_up_and_none_exceeds_the_whole():
    types = tpu_vm()["available_node_types"].values()
    assert all(node["min_workers"] == node["max_workers"] for node in types)
    assert sum(node["max_workers"] for node in types) == tpu_vm()["max_workers"]


def test_ray_up_asks_at_first_for_one_small_slice_alone():
    slices = {name: node for name, node in tpu_vm()["available_node_types"].items() if name != "head"}
    assert [name for name, node in slices.items() for _ in range(node["min_workers"])] == ["v6e_8"]


def test_no_job_is_trained_on_a_head():
    assert tpu_vm()["available_node_types"]["head"]["resources"] == {"CPU": 0}
    assert node_types_of_kuberay()["headgroup"]["resources"]["CPU"] == 0


@pytest.mark.parametrize("name", ["tpu_vm.yaml", "slurm.sh", "kuberay.yaml", "Dockerfile"])
def test_every_dashboard_is_bound_to_loopback_or_left_out_and_nothing_is_told_to_ray_s_makers(name):
    text = (CLUSTERS / name).read_text()
    assert "0.0.0.0" not in text
    if "ray start --head" in text or "dashboard-host" in text:
        assert re.search(r"dashboard-host(=|: \")127\.0\.0\.1|include-dashboard=false", text)
        assert re.search(r"RAY_USAGE_STATS_ENABLED(=|, value: \")0", text)


def test_ray_derives_the_nodes_of_the_kubernetes_file_with_their_accelerators():
    types = node_types_of_kuberay()
    assert types["gpu"]["resources"] == {"CPU": 32, "GPU": 8, "memory": 256 * 2**30}
    assert types["v6e-16"]["resources"]["TPU-v6e-16-head"] == 1
    assert types["gpu"]["min_workers"] == types["gpu"]["max_workers"] == 2


def test_the_kubernetes_file_has_as_many_hosts_a_slice_as_the_slice_has():
    (group,) = (g for g in kuberay()["spec"]["workerGroupSpecs"] if "numOfHosts" in g)
    asked = group["template"]["spec"]["containers"][0]["resources"]["limits"]["google.com/tpu"]
    assert (group["numOfHosts"], int(asked)) == hosts_and_chips(group["groupName"])


def test_the_kubernetes_file_has_what_kuberay_requires_and_the_ray_of_the_constraints():
    spec = kuberay()["spec"]
    assert (kuberay()["apiVersion"], kuberay()["kind"]) == ("ray.io/v1", "RayCluster")
    pinned = re.search(r"^ray==(\S+)$", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned and spec["rayVersion"] == pinned[1]
    assert spec["authOptions"] == {"mode": "token"}
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    containers = [container for group in groups for container in group["template"]["spec"]["containers"]]
    assert all({"name", "image", "resources"} <= set(container) for container in containers)
    assert {container["image"] for container in containers} == {"IMAGE"}
    assert all(c["resources"]["requests"] == c["resources"]["limits"] for c in containers)
    for group in spec["workerGroupSpecs"]:
        assert group["minReplicas"] == group["replicas"] == group["maxReplicas"]


def test_auto_with_a_head_that_died_is_refused_at_once_as_its_address_would_be(monkeypatch):
    import ray._private.services as of_ray

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
        monkeypatch.setattr(of_ray, "find_gcs_addresses", set)
        monkeypatch.setattr(of_ray, "find_bootstrap_address", lambda _: address)
        began = time.monotonic()
        with pytest.raises(UserError, match=f"--address auto found {address}.*: no Ray cluster answers"):
            connect("auto")
        assert time.monotonic() - began < 10
    monkeypatch.setattr(of_ray, "find_bootstrap_address", lambda _: None)
    with pytest.raises(UserError, match="--address auto finds no Ray cluster of this machine"):
        connect("auto")


@pytest.mark.parametrize("name", ["tpu_vm.yaml", "kuberay.yaml"])
def test_every_word_in_capitals_is_explained_at_the_head_of_its_file(name):
    text = (CLUSTERS / name).read_text()
    words = {"PROJECT", "REGION", "ZONE", "REPOSITORY", "COMMIT", "SERVICE_ACCOUNT", "IMAGE", "CLAIM"}
    head = "\n".join(line for line in text.splitlines()[:15] if line.startswith("#"))
    for word in words:
        assert (word in head) == bool(re.search(rf"^[^#]*\b{word}\b", text, re.MULTILINE)), word


def test_an_image_has_every_tracked_folder_of_the_repository_and_nothing_else_of_a_checkout():
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    taken = {line.removeprefix("!/") for line in lines if line.startswith("!")}
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    tops = {name.split("/")[0] for name in tracked.splitlines() if not name.startswith((".", "gs:"))}
    assert "*" in lines and taken == tops


def test_the_slurm_script_is_bash():
    assert subprocess.run(["bash", "-n", CLUSTERS / "slurm.sh"], check=False).returncode == 0
    assert os.access(CLUSTERS / "slurm.sh", os.X_OK)


STANDINS = {
    "srun": """
        count=1 node=0
        while [[ $1 == --* ]]; do
          [[ $1 == --ntasks=* ]] && count=${1#*=}
          [[ $1 == --exclude=* ]] && node=1
          shift
        done
        export STANDIN_NODE=$node
        tasks=()
        trap 'kill "${tasks[@]}" 2>/dev/null; wait' TERM
        for ((i = 0; i < count; i++)); do "$@" & tasks+=($!); done
        wait
        """,
    "scontrol": """
        if [[ $1 == show ]]; then printf 'first\\nsecond\\n'; else echo "$@" >> "$STANDIN_RECORD"; fi
        """,
    "hostname": 'echo "127.0.0.$((STANDIN_NODE + 2))"',  # Ray rewrites 127.0.0.1, and no other of 127.0.0.0/8
}
"""Slurm's programs for one machine: two nodes, each on a loopback address of its own."""

BUDGETS = ("--budgets", "30720", "200000")
"""Long enough that the warning finds the tiny study in training."""


class Slurm:
    """Turns of one Slurm job on two nodes that are this machine."""

    def __init__(self, folder: Path, tiny) -> None:
        self.folder, self.tiny, self.job = folder, tiny, str(os.getpid())
        (folder / "bin").mkdir()
        for name, text in STANDINS.items():
            (folder / "bin" / name).write_text("#!/usr/bin/env bash\n" + textwrap.dedent(text))
            (folder / "bin" / name).chmod(0o755)

    @contextmanager
    def turn(self):
        """The Slurm script as a process, and what it prints into."""
        environment = os.environ | {
            "PATH": f"{self.folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "SLURM_JOB_ID": self.job,
            "SLURM_JOB_NUM_NODES": "2",
            "SLURM_JOB_NODELIST": "n[1-2]",
            "SLURM_CPUS_PER_TASK": "1",
            "STANDIN_RECORD": str(self.folder / "record"),
            "SCALING_PRIVATE": str(self.folder),
            "SCALING_OBJECT_STORE": str(80 * 2**20),
        }
        for name in ("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "RAY_ADDRESS"):
            environment.pop(name, None)
        words = [*self.tiny.command(*BUDGETS)[3:], "--on", "ray", "--address", "auto"]
        printed = self.folder / "printed"
        with printed.open("w") as output:
            process = subprocess.Popen(
                ["bash", CLUSTERS / "slurm.sh", *words],
                env=environment,
                cwd=REPOSITORY,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield process, printed
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)

    def left(self) -> list[str]:
        """What the job left behind: processes of Ray, its temporary folder, its token."""
        named = subprocess.run(
            ["pgrep", "-f", f"/tmp/ray-{self.job}/"], capture_output=True, text=True, check=False
        )
        folders = [Path(f"/tmp/ray-{self.job}"), *self.folder.glob(".scaling-*")]
        return named.stdout.split() + [str(path) for path in folders if path.exists()]


@pytest.mark.slow
def test_a_study_in_the_slurm_script_is_warned_and_saves_and_ends_in_the_next_turn_as_if_undisturbed(
    tmp_path, tiny
):
    job, results = Slurm(tmp_path, tiny), tiny.study.glob("*/result.json")
    with job.turn() as (process, printed):
        until = time.monotonic() + 400
        while "[1/4]" not in printed.read_text():
            assert process.poll() is None and time.monotonic() < until, printed.read_text()
            time.sleep(0.2)
        (token,) = tmp_path.glob(".scaling-*/token")
        assert token.stat().st_mode & 0o777 == 0o600 and token.parent.stat().st_mode & 0o777 == 0o700
        process.send_signal(signal.SIGUSR1)
        assert process.wait(120) == 75, printed.read_text()
        assert "Ray on 2 nodes at 127.0.0.2:" in printed.read_text()
    assert 1 <= len(list(results)) < 4 and job.left() == []
    assert (tmp_path / "record").read_text() == f"requeue {job.job}\n"
    with job.turn() as (process, printed):
        assert process.wait(400) == 0, printed.read_text()
    assert (tmp_path / "record").read_text() == f"requeue {job.job}\n", "what is done is not queued again"
    assert job.left() == []
    assert tiny.run(*BUDGETS, out=tmp_path / "undisturbed").returncode == 0
    assert tiny.numbers() == tiny.numbers(tmp_path / "undisturbed" / "tiny")


def test_the_slurm_script_refuses_to_run_outside_an_allocation():
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_")}
    ended = subprocess.run(
        ["bash", CLUSTERS / "slurm.sh"], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode != 0 and "this script is for sbatch" in ended.stderr


class Parsed(Exception):
    """The command line was understood."""


@pytest.mark.parametrize(("guide", "verb", "spec", "words"), CALLS)
def test_every_command_of_the_guides_is_understood_by_the_program(
    guide, verb, spec, words, tmp_path, monkeypatch, capsys
):
    def understood(spec, knobs, options, verb):
        load(spec, knobs, options, verb)
        raise Parsed

    monkeypatch.setattr(program, "load", understood)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").symlink_to(REPOSITORY / "experiments")
    here = [re.sub(r"gs://BUCKET|SHARED|^/shared", str(tmp_path), word) for word in (spec, *words)]
    try:
        assert program.main([verb, *here]) == 2  # there is no such study, which is not about the options
        assert "not understood" not in capsys.readouterr().err
    except Parsed:
        assert verb in ("plan", "run")


def nodes_of(guide):
    """The nodes that a guide's cluster file makes, as ray.nodes() would tell them."""
    if guide == "gpu_cluster.md":
        gpu = node_types_of_kuberay()["gpu"]
        return [{"Resources": gpu["resources"] | {"accelerator_type:H100": 1}}] * gpu["min_workers"]
    nodes = []
    for node in tpu_vm()["available_node_types"].values():
        if kind := node["node_config"].get("acceleratorType"):
            has = node["resources"] | {f"accelerator_type:TPU-{kind.split('-')[0].upper()}": 1}
            hosts = [{"Resources": has} for _ in range(hosts_and_chips(kind)[0])]
            hosts[0] = {"Resources": has | {f"TPU-{kind}-head": 1}}
            nodes += hosts * max(1, node["min_workers"])  # or what it can be set to
    return nodes


@pytest.mark.parametrize(("guide", "verb", "spec", "words"), [call for call in CALLS if "ray" in call[3]])
def test_the_nodes_of_the_cluster_files_have_what_the_guides_ask_for(guide, verb, spec, words):
    kind = program.PlanOptions if verb == "plan" else program.Options
    _, options = load(str(REPOSITORY / spec), words, kind, verb)
    nodes = nodes_of(guide)
    assert places(demand_of(options.launch, nodes), nodes) >= 1


def test_the_guides_cover_every_way_to_launch():
    assert {guide.name for guide in GUIDES} >= {"tpu_vm.md", "gpu_cluster.md"}
    for name in ("tpu_vm.md", "gpu_cluster.md"):
        verbs = [call[1] for call in CALLS if call[0] == name]
        assert {"plan", "run", "status", "collect"} == set(verbs)


def test_every_slice_in_the_guides_is_asked_for_with_the_chips_that_its_hosts_have():
    asked = [dict(pairwise(words)) for _, _, _, words in CALLS if "--slice" in words]
    assert asked
    for options in asked:
        assert int(options["--accelerators"]) == hosts_and_chips(options["--slice"])[1]


def test_every_type_of_accelerator_in_the_guides_is_one_of_ray_s_names():
    from ray.util import accelerators

    names = {getattr(accelerators, name) for name in dir(accelerators) if name.isupper()}
    text = " ".join(guide.read_text() for guide in GUIDES)
    asked = set(re.findall(r"--accelerator-type ([\w-]+)", text))
    assert asked and asked <= names


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_every_link_and_every_named_file_of_the_guides_is_there(guide):
    text = guide.read_text()
    for target in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        linked = guide if not path else (guide.parent / path)
        assert linked.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}, (
                target
            )
    for named in re.findall(
        r"(?:scaling|tests|experiments)/[\w/.]+\.(?:py|md|yaml|sh)\b|\bconstraints\.txt", text
    ):
        assert (REPOSITORY / named).exists(), named


@pytest.mark.parametrize("path", [*GUIDES, *sorted(CLUSTERS.iterdir())], ids=lambda path: path.name)
def test_guides_and_cluster_files_name_only_extras_that_exist_and_no_registry_nor_machine(path):
    text = path.read_text()
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for listed in re.findall(r"-e ['\"]\.\[([\w,]+)", text):
        assert set(listed.strip(",").split(",")) <= set(extras), listed
    assert not re.search(r"py[-_.]?pi|index[-_]url|/(home|work|Users)/", text)
