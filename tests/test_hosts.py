"""Several hosts: each reads its slice, and together they see the batches, losses and updates of one."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_batches import made

from scaling.data.batches import batch, host_slice

ROOT = Path(__file__).parents[1]
COMPILED = tempfile.TemporaryDirectory()
"""Programs that one test compiles are ready for the next."""

HOST = """
import json, sys
import jax
import numpy as np
sys.path[:0] = ["tests"]
host, hosts, port, first, last = map(int, sys.argv[1:])
if hosts > 1:
    jax.distributed.initialize(f"127.0.0.1:{port}", hosts, host)
assert (jax.process_index(), jax.process_count()) == (host, hosts)
from test_batches import made
from scaling.data.batches import batch
from scaling.spec import Data, Model, Optim, Run
from scaling.training.program import program_of
from scaling.training.sharding import place

rows = made(101, context=16)
model = Model(vocab=128, context=16, width=8, depth=1, heads=1)
optim = Optim(batch_tokens=8 * 16)
run = Run(model=model, data=Data(context=16), optim=optim, steps=9, warmup_steps=1, decay_steps=1)
program = program_of(run)
whole = jax.jit(lambda x: x, out_shardings=jax.NamedSharding(program.mesh, jax.P()))
state = program.initial_state([run])
seen, losses = [], []
for step in range(first, last):
    mine = batch(rows, 3, step, 8, host, hosts)
    assert len(mine) == 8 // hosts
    placed = place(mine, program.mesh)
    assert placed.shape == (8, 17)
    seen.append(np.asarray(whole(placed)).tolist())
    state, metrics = program.step(state, placed)
    losses.append(float(metrics["loss"]))
held = program.held_out_losses(state.parameters, np.asarray(rows.tokens[:7], np.int32))
print(json.dumps([seen, losses, held.tolist()]))
"""


STUDY = """
import dataclasses, json, sys
from pathlib import Path
import jax
host, hosts, port, out, data_folder, lr, stop_after = *map(int, sys.argv[1:4]), *map(Path, sys.argv[4:6]), *sys.argv[6:]
if hosts > 1:
    jax.distributed.initialize(f"127.0.0.1:{port}", hosts, host)
from scaling.data.rows import prepare_rows
from scaling.execution import Execution
from scaling.folder import StudyFolder
from scaling.launching.display import PlainDisplay
from scaling.plan import make_plan
from scaling.population import Population
from scaling.spec import Data, Model, Optim, Run, Study
from scaling.training import loop, program
from scaling.training.evaluation import HeldOut
from scaling.training.hosts import is_writer
from scaling.training.job import Setting, train_population
from scaling.training.metrics import Logs

if hosts > 1:
    loop.FETCH_SECONDS = (0.0, 1e9)[host]  # as clocks that differ do
data = Data(corpus="markov:vocab=64", context=16, eval_tokens=1024)
model = Model(vocab=64, context=16, width=16, depth=2, heads=2)
optim = Optim(batch_tokens=128, lr=float(lr))
run = Run(model=model, data=data, optim=optim, steps=30, warmup_steps=4, decay_steps=10)
plan = make_plan(Study(name="s", runs=(run, dataclasses.replace(run, steps=40))))
splits = prepare_rows(data, data_folder)
execution = Execution(fsdp=hosts > 1)
held_out, display = HeldOut.of(splits["validation"], data.eval_tokens), PlainDisplay(plan, 0, 0.0)
folder = StudyFolder(out)
logs = Logs(out, writes=is_writer())
asked = []

def stop_wanted():
    asked.append(1)
    return 0 < int(stop_after) <= len(asked) and host == hosts - 1

steps = []
batch = program.Program.batch
program.Program.batch = lambda *given: steps.append(given[3]) or batch(*given)
watch = display, stop_wanted, 60.0, logs
try:
    train_population(Population(plan.jobs), Setting(folder, splits["train"], held_out, *watch, execution))
    end = "finished"
except loop.Interrupted:
    end = "interrupted"
print(json.dumps([jax.process_count(), end, len(steps)]))
"""


CHECKPOINTS = """
import json, sys
from pathlib import Path
from types import SimpleNamespace
import jax
import numpy as np
host, hosts, port, out = *map(int, sys.argv[1:4]), Path(sys.argv[4])
jax.distributed.initialize(f"127.0.0.1:{port}", hosts, host)
from scaling.training import checkpoint
from scaling.training.checkpoint import Checkpoints
from scaling.training.disk import CheckpointError
from scaling.training.program import Program

mesh = jax.make_mesh((hosts,), ("data",))

def state(value):
    sharding = jax.NamedSharding(mesh, jax.P("data"))
    return {"x": jax.make_array_from_callback((4,), sharding, lambda at: np.full(4, value, np.float32)[at])}

def value(found):
    return found and float(found[0]["x"].addressable_shards[0].data[0])

told, said = {}, []
with Checkpoints(out) as saved:
    for step in (1, 2):
        saved.save(step, state(step), {"who": "all"})

own = checkpoint.ocp.CheckpointManager.all_steps
looks = [0]

def late(manager):  # the last host lists what is new only after some looks
    looks[0] += 1
    return [1] if host == hosts - 1 and looks[0] < 4 else own(manager)

checkpoint.ocp.CheckpointManager.all_steps = late
for reads_only in (False, True):
    looks[0] = 0
    with Checkpoints(out, reads_only) as saved:
        told[f"late {reads_only}"] = [saved.steps(), value(saved.restore(2, state(0), said.append))]

checkpoint.STALE_SECONDS = 0.5
checkpoint.ocp.CheckpointManager.all_steps = lambda m: [1] if host == hosts - 1 else own(m)
try:
    Checkpoints(out)
except CheckpointError as error:
    told["blind"] = "must see the same checkpoints" in str(error)
checkpoint.ocp.CheckpointManager.all_steps = own

read = Checkpoints._read

def broken(self, step, like):
    if host == hosts - 1:
        raise broken.error
    return read(self, step, like)

Checkpoints._read = broken
with Checkpoints(out) as saved:
    broken.error = PermissionError("this host may not read it")
    try:
        saved.restore(2, state(0), said.append)
    except CheckpointError as error:
        told["refused"] = saved.steps()
    broken.error = ValueError("DATA_LOSS: a chunk is cut")
    told["damaged"] = [saved.restore(2, state(0), said.append), saved.steps()]
    Checkpoints._read = read
    told["before"] = value(saved.restore(1, state(0), said.append))
    saved.save(2, state(7), {})
    told["again"] = value(saved.restore(2, state(0), said.append))
    saved.prune([2])
    told["pruned"] = saved.steps()
told["said"] = len(said)

sharding = jax.NamedSharding(mesh, jax.P(None, "data"))
like = jax.make_array_from_callback((2, 4), sharding, lambda at: np.zeros((2, 4), np.float32)[at])
both = Program.together(SimpleNamespace(members=2), [state(1), state(2)], {"x": like})["x"]
told["together"] = [both.sharding == sharding, np.asarray(both.addressable_shards[0].data).tolist()]
jax.distributed.shutdown()
print(json.dumps(told))
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def on_hosts(hosts, first, last):
    """What each of so many processes saw at steps first .. last - 1: global batches, losses, held-out losses."""
    return told_by(HOST, hosts, first, last)


def told_by(script, hosts, *arguments):
    """What each of so many processes says in its last line, as JSON."""
    port = free_port()
    commands = [[sys.executable, "-c", script, *map(str, (h, hosts, port, *arguments))] for h in range(hosts)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    cache = {"JAX_COMPILATION_CACHE_DIR": COMPILED.name, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    options = {"cwd": ROOT, "text": True, "env": os.environ | cache}
    processes = [subprocess.Popen(command, **pipes, **options) for command in commands]
    outputs = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [0] * hosts, outputs
    return [json.loads(out.splitlines()[-1]) for out, _ in outputs]


@pytest.fixture(scope="module")
def alone():
    (seen,) = on_hosts(1, 0, 6)
    return seen


@pytest.fixture(scope="module")
def together():
    return on_hosts(2, 0, 6)


@settings(deadline=None)  # other processes share the cores
@given(hosts=st.integers(1, 5), a_host=st.integers(1, 4), step=st.integers(0, 1000))
def test_the_slices_of_the_hosts_are_the_batch(hosts, a_host, step):
    rows, size = made(50), hosts * a_host
    slices = [batch(rows, 1, step, size, host, hosts) for host in range(hosts)]
    np.testing.assert_array_equal(np.concatenate(slices), batch(rows, 1, step, size))


@pytest.mark.parametrize("arguments", [(8, 0, 3), (8, 2, 2), (8, -1, 2)])
def test_a_batch_that_does_not_divide_over_the_hosts_is_refused(arguments):
    with pytest.raises(ValueError, match=r"8 rows, host -?\d of \d: give a multiple of the hosts"):
        host_slice(*arguments)


def test_two_processes_assemble_the_global_batches_of_one(alone, together):
    expected = [batch(made(101), 3, step, 8).tolist() for step in range(6)]
    assert [seen for seen, _, _ in (alone, *together)] == [expected] * 3


def test_two_processes_compute_the_losses_of_one(alone, together):
    """Up to float32 sums in another order."""
    assert together[0] == together[1]
    np.testing.assert_allclose(together[0][1], alone[1], rtol=1e-5)
    np.testing.assert_allclose(together[0][2], alone[2], rtol=1e-5)


def test_a_run_that_goes_on_with_two_processes_sees_the_batches_it_would_have_seen(alone):
    before, after = on_hosts(1, 0, 2), on_hosts(2, 2, 6)
    assert before[0][0] + after[0][0] == before[0][0] + after[1][0] == alone[0]


def test_two_processes_that_share_the_state_of_a_study_end_as_one_process_does(tmp_path, data_folder):
    """Trunk, checkpoints, branches, measurement and logs, every matrix and moment split over both (FSDP).

    Up to float32 sums in another order over forty steps.
    """
    found = []
    for hosts in (1, 2):
        folder = tmp_path / str(hosts)
        told = told_by(STUDY, hosts, folder, data_folder, 1e-3, 0)
        assert [one[:2] for one in told] == [[hosts, "finished"]] * hosts
        results = [json.loads(path.read_text()) for path in sorted(folder.glob("*/result.json"))]
        texts = [path.read_text() for path in sorted(folder.glob("*/metrics.jsonl"))]
        logs = [json.loads(line) for text in texts for line in text.splitlines()]
        found.append([*(result["measured"]["L"] for result in results), *(log["loss"] for log in logs)])
    assert (
        len(found[0]) == 2 + 3 + 1 + 1
    )  # two runs; a record every ten steps of the trunk and of two branches
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4)


def fates(folder):
    """What each run's result says of it, measured numbers left out."""
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("*/result.json"))]
    return [(result["status"], result["diverged"], result["run_id"]) for result in results]


def test_two_processes_leave_a_run_that_diverges_at_the_same_step(tmp_path, data_folder):
    """One hears of its losses at once, the other late; what they record is what one process records."""
    found = []
    for hosts in (1, 2):
        told = told_by(STUDY, hosts, tmp_path / str(hosts), data_folder, 1e30, 0)
        assert [end for _, end, _ in told] == ["finished"] * hosts
        assert len({steps for _, _, steps in told}) == 1, told
        found.append(fates(tmp_path / str(hosts)))
    assert found[0] == found[1]
    assert [status for status, _, _ in found[0]] == ["diverged"] * 2


def test_two_processes_of_which_one_is_asked_to_stop_save_the_same_step_and_go_on_from_there(
    tmp_path, data_folder
):
    first = told_by(STUDY, 2, tmp_path, data_folder, 1e-3, 2)
    assert [end for _, end, _ in first] == ["interrupted"] * 2
    (steps,) = {steps for _, _, steps in first}
    (trunk,) = tmp_path.glob("trunk-*/checkpoints")
    assert [path.name for path in trunk.iterdir()] == [str(steps)]
    second = told_by(STUDY, 2, tmp_path, data_folder, 1e-3, 0)
    whole = 30 + 10 + 10  # the trunk, and two branches of ten steps
    assert [(end, steps) for _, end, steps in second] == [("finished", whole - steps)] * 2
    assert not list(tmp_path.glob("*/damaged-*"))


def test_the_host_that_writes_says_which_checkpoints_there_are_and_all_say_whether_one_is_sound(tmp_path):
    """The other lists them late, or never, or cannot read its part; nothing is set aside twice. Members whose
    arrays are split over the hosts are put together into a population."""
    folder = tmp_path / "checkpoints"
    first, second = told_by(CHECKPOINTS, 2, folder)
    assert first == second
    assert first == {
        "late False": [[1, 2], 2.0],
        "late True": [[1, 2], 2.0],
        "blind": True,
        "refused": [1, 2],
        "damaged": [None, [1]],
        "before": 1.0,
        "again": 7.0,
        "pruned": [2],
        "said": 1,
        "together": [True, [[1.0, 1.0], [2.0, 2.0]]],
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoints", "damaged-checkpoints-2"]
