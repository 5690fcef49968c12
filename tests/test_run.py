"""`python -m scaling run` in real processes: trained once, resumed exactly, and nothing lost whatever happens."""

import dataclasses
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from scaling.accounting import parameters, training_flops
from scaling.execution import Execution
from scaling.folder import StudyFolder
from scaling.table import COLUMNS, read

QUICK = ("--checkpoint-seconds", "0.05")


def start(tiny, *knobs):
    command = tiny.command(*knobs)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(condition, process, seconds=120):
    """Wait until `condition` holds; False where the process ended first."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        if process.poll() is not None:
            return False
        time.sleep(0.005)
    raise AssertionError("nothing happened")


def checkpoints(tiny):
    return [p for p in tiny.study.glob("*/checkpoints/*") if p.name.isdigit()] if tiny.study.exists() else []


def test_every_run_has_its_row_with_the_counts_of_its_config(undisturbed):
    study = StudyFolder(undisturbed.study).study()
    table = read(undisturbed.study / "table.csv").set_index("run_id")
    assert set(table.index) == {run.run_id for run in study.runs}
    for run in study.runs:
        row = table.loc[run.run_id]
        assert (row["N"], row["D"]) == (parameters(run.model).N, run.tokens)
        assert row["C"] == training_flops(run.model, run.tokens)
        parts = [row[c] for c in table.columns if re.fullmatch("C_(attention.*|mlp|head|elementwise)", c)]
        np.testing.assert_allclose(sum(parts), row["C"], rtol=1e-12)  # float64 sums
        assert row["trunk_id"] == run.trunk_id
        assert row["bpb"] == pytest.approx(row["L"] * row["tokens_per_byte"] / np.log(2), rel=1e-12)
        assert 0 < row["L_se"] < row["L"] < np.log(257)


def test_every_column_of_the_table_is_in_the_schema(undisturbed):
    text = (undisturbed.study / "table.csv").read_text().splitlines()[0]
    assert set(text.split(",")) <= set(COLUMNS)


def test_what_the_rows_spent_adds_up_to_the_plan(undisturbed):
    from scaling.plan import make_plan

    plan = make_plan(StudyFolder(undisturbed.study).study())
    assert read(undisturbed.study / "table.csv")["C_spent"].sum() == pytest.approx(plan.flops, rel=1e-12)


@pytest.mark.parametrize("schedule", ["wsd", "cosine", "linear", "constant"])
def test_what_rows_spent_adds_up_to_the_job_under_every_schedule(schedule):
    from scaling.plan import Recipe, branches, make_plan
    from scaling.results import _previous, row
    from scaling.spec import Data, Model, Optim, Study

    recipe = Recipe(data=Data(context=32), optim=Optim(batch_tokens=256), schedule=schedule, warmup=0.5)
    runs = branches(Model(context=32, width=8, depth=1, heads=1), [10240, 20480, 30720], recipe)
    done = {"status": "done", "diverged": None, "measured": {}}
    before = _previous(runs)
    spent = [row(run, done, before[run])["C_spent"] for run in runs]
    assert sum(spent) == pytest.approx(make_plan(Study(name="s", runs=runs)).flops, rel=1e-12)


def test_a_run_does_not_go_on_in_another_precision(tiny):
    knobs = ("--widths", "8", "--budgets", "30720")
    process = start(tiny, *knobs, *QUICK)
    wait_for(lambda: len(checkpoints(tiny)) > 1, process)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    done = tiny.run(*knobs, "--precision", "bfloat16")
    assert done.returncode == 2
    assert "was begun in float32 and cannot go on in bfloat16: use --precision float32" in done.stderr


def test_more_tokens_lower_the_loss(undisturbed):
    table = read(undisturbed.study / "table.csv").sort_values(["N", "D"])
    for _, runs in table.groupby("N"):
        assert (np.diff(runs["L"]) < 0).all()


def test_a_second_run_trains_nothing(undisturbed):
    before = {path: path.stat().st_mtime_ns for path in undisturbed.study.glob("*/result.json")}
    done = undisturbed.run()
    assert done.returncode == 0
    assert "0 were trained now" in done.stdout
    assert before == {path: path.stat().st_mtime_ns for path in undisturbed.study.glob("*/result.json")}


def test_a_longer_budget_trains_the_new_run_alone(undisturbed, tmp_path):
    study = shutil.copytree(undisturbed.study, tmp_path / "runs" / "tiny")
    old = undisturbed.numbers(study)
    done = undisturbed.run("--budgets", "10240", "30720", "40960", out=tmp_path / "runs")
    assert "6 of 6 runs are finished; 2 were trained now" in done.stdout
    new = undisturbed.numbers(study)
    assert {key: value for key, value in new.items() if key in old and "trunk" not in key} == {
        key: value for key, value in old.items() if "trunk" not in key
    }
    for key, log in old.items():
        if "trunk" in key:
            assert new[key][: len(log)] == log


def test_a_budget_in_between_goes_back_to_the_trunk_and_equals_a_study_of_its_own(
    undisturbed, tiny, tmp_path
):
    """The trunk has moved on and kept no checkpoint there: it is trained again from the one before."""
    budgets = ("--budgets", "10240", "20480", "30720", "--widths", "8")
    alone = tiny.run(*budgets)
    study = shutil.copytree(undisturbed.study, tmp_path / "extended" / "tiny")
    extended = tiny.run(*budgets, out=tmp_path / "extended")
    assert "1 were trained now" in extended.stdout, alone.stdout + extended.stdout
    ours = tiny.numbers(study)
    assert {key: ours[key] for key in tiny.numbers()} == tiny.numbers()


def test_killed_at_random_moments_it_ends_bitwise_the_same(undisturbed, tiny):
    kill_until_done(undisturbed, tiny, kills=2, seed=0)


LONG = ("--widths", "8", "16", "--seeds", "2", "--budgets", "307200", "614400")
"""Two populations of two, or four trunks, of 1200 and 2400 steps."""


@pytest.mark.slow
@pytest.mark.parametrize("pack", ["2", "1"], ids=["populations", "alone"])
def test_fifty_kills_at_random_moments_end_bitwise_the_same(tmp_path, data_folder, pack):
    """SIGKILL, SIGTERM and SIGUSR1, at least a third of them while checkpoints are written: 50 in each of the two."""
    from conftest import Tiny

    calm, killed = (Tiny(tmp_path, data_folder) for _ in range(2))
    killed.out = tmp_path / "killed"
    killed.study = killed.out / "tiny"
    assert calm.run(*LONG, "--pack", pack).returncode == 0
    during_saves = kill_until_done(calm, killed, kills=50, seed=1, knobs=(*LONG, "--pack", pack))
    assert during_saves >= 16


def kill_until_done(undisturbed, tiny, kills, seed, knobs=()):
    """Signals at random moments of training and saving, each after some progress, then run to the end; the number of
    SIGKILLs that left a checkpoint half written."""
    chance = random.Random(seed)
    during_saves = 0
    for kill in range(kills):
        process = start(tiny, *knobs, *QUICK)
        before = newest(tiny)
        assert wait_for(lambda n=before: newest(tiny) != n, process), f"it ended before kill {kill}"
        time.sleep(chance.uniform(0, 0.3))
        if kill % 2:  # every second one in the midst of a save
            wait_for(lambda: half_written(tiny), process)
        number = (
            signal.SIGKILL if kill % 2 else chance.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1])
        )
        process.send_signal(number)
        output, _ = process.communicate()
        assert process.returncode == (75 if number != signal.SIGKILL else -signal.SIGKILL), output
        during_saves += number == signal.SIGKILL and half_written(tiny)
    done = tiny.run(*knobs, *QUICK)
    assert done.returncode == 0, done.stderr
    assert tiny.numbers() == undisturbed.numbers()
    return during_saves


def newest(tiny):
    """When the last checkpoint was finished."""
    return max((path.stat().st_mtime_ns for path in checkpoints(tiny)), default=0)


def half_written(tiny):
    return any(tiny.study.glob("*/checkpoints/*tmp*"))


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT], ids=["SIGTERM", "SIGUSR1", "Ctrl-C"]
)
def test_stopped_by_a_signal_it_saves_says_so_and_continues(undisturbed, tiny, number):
    process = start(tiny, *QUICK)
    wait_for(lambda: len(checkpoints(tiny)) > 0, process)
    process.send_signal(number)
    output, _ = process.communicate()
    assert process.returncode == 75, output
    assert "the same command continues" in output
    assert tiny.run().returncode == 0
    assert tiny.numbers() == undisturbed.numbers()


def test_a_damaged_last_checkpoint_is_said_and_the_one_before_is_used(undisturbed, tiny):
    process = start(tiny, *QUICK)
    wait_for(lambda: len(list(tiny.study.glob("trunk-*/checkpoints/[0-9]*"))) >= 2, process)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    folder = max(tiny.study.glob("trunk-*/checkpoints"), key=lambda p: p.stat().st_mtime)
    last = max((p for p in folder.iterdir() if p.name.isdigit()), key=lambda p: int(p.name))
    data = [p for p in (last / "state").rglob("*") if p.is_file() and "/d/" in str(p)]
    assert data
    for path in data:  # flip a byte in the middle of every array file
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
    done = tiny.run()
    assert done.returncode == 0, done.stderr
    assert f"the checkpoint of step {last.name}" in done.stdout
    assert "is damaged" in done.stdout
    assert tiny.numbers() == undisturbed.numbers()


def test_a_diverged_run_is_recorded_and_the_study_goes_on(tiny):
    done = tiny.run("--rates", "1e-2", "1e30", "--widths", "8", "--budgets", "2560", "5120", "7680")
    assert done.returncode == 0, done.stderr
    assert "6 of 6 runs are finished, 3 of them diverged" in done.stdout
    table = read(tiny.study / "table.csv")
    bad = table[table["lr"] == 1e30]
    assert set(bad["status"]) == {"diverged"}
    assert bad["L"].isna().all()
    assert table[table["lr"] == 1e-2]["L"].notna().all()
    again = tiny.run("--rates", "1e-2", "1e30", "--widths", "8", "--budgets", "2560", "5120", "7680")
    assert "0 were trained now" in again.stdout


def test_a_second_process_on_the_study_refuses_and_names_the_first(tiny):
    first = start(tiny, *QUICK)
    wait_for(lambda: (tiny.study / "plan.jsonl").exists(), first)
    second = tiny.run()
    assert second.returncode == 2
    assert f"is being run by process {first.pid}" in second.stderr
    first.kill()
    first.communicate()


def test_a_full_disk_is_said_and_nothing_is_lost(undisturbed, tiny, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk can be mounted by root alone")
    try:
        full = tiny.run(*QUICK, out=disk / "runs")
        assert full.returncode == 2, full.stdout + full.stderr
        assert re.search(r"error: .*(disk is full|No space left).*run the same command again", full.stderr), (
            full.stderr
        )
        assert "Traceback" not in full.stderr
        subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)
        done = tiny.run(out=disk / "runs")
        assert done.returncode == 0, done.stderr
        assert tiny.numbers(disk / "runs" / "tiny") == undisturbed.numbers()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_two_devices_train_the_same_model_as_one(undisturbed, tiny):
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    command = tiny.command("--widths", "8", "--budgets", "10240")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | flags)
    assert done.returncode == 0, done.stderr
    one = read(undisturbed.study / "table.csv").set_index("run_id")["L"]
    two = read(tiny.study / "table.csv").set_index("run_id")["L"]
    # float32 sums in another order, over forty steps
    np.testing.assert_allclose(two, one[two.index], rtol=2e-4)


def test_a_run_that_goes_on_with_another_number_of_devices_ends_equal_to_rounding(undisturbed, tiny):
    knobs = ("--widths", "8", "--budgets", "10240", "30720")
    process = start(tiny, *knobs, *QUICK)
    wait_for(lambda: len(checkpoints(tiny)) > 2, process)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 75
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    command = [*tiny.command(*knobs), "--data-devices", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | flags)
    assert done.returncode == 0, done.stderr
    one = read(undisturbed.study / "table.csv").set_index("run_id")["L"]
    two = read(tiny.study / "table.csv").set_index("run_id")["L"]
    np.testing.assert_allclose(two, one[two.index], rtol=2e-4)  # float32 sums in another order


def test_a_batch_that_does_not_divide_over_the_devices_is_refused(tiny):
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=3"}
    done = subprocess.run(tiny.command(), capture_output=True, text=True, check=False, env=os.environ | flags)
    assert done.returncode == 2
    assert "a batch of 8 rows does not divide over 3 devices" in done.stderr


def test_one_program_serves_every_rate_seed_and_budget_of_a_shape(tiny, monkeypatch):
    """Counted where it happens: the step's own cache of compiled programs."""
    from scaling.__main__ import main
    from scaling.training.program import _program, program_of

    _program.cache_clear()
    knobs = ["--rates", "1e-2", "2e-2", "--seeds", "2", "--widths", "8", "--budgets", "2560", "5120"]
    arguments = tiny.command(*knobs, "--pack", "1", "--data-devices", "1")[3:]
    assert main(arguments) == 0
    runs = StudyFolder(tiny.study).study().runs
    assert len(runs) == 8
    execution = Execution(pack=1, data_devices=1)
    assert len({id(program_of(run, execution)) for run in runs}) == 1
    program = program_of(runs[0], execution)
    assert program.step._cache_size() == 1  # type: ignore[attr-defined]
    assert program.evaluate._cache_size() == 1  # type: ignore[attr-defined]


def test_plan_trains_nothing_and_says_what_it_costs(tiny):
    done = tiny.run(verb="plan")
    assert done.returncode == 0, done.stderr
    assert "4 runs on 2 trunks" in done.stdout
    assert "time on this machine: about" in done.stdout
    assert "warning: no run is repeated with another seed" in done.stdout
    assert not tiny.study.exists()


def test_status_and_collect_tell_and_write_what_is_done(undisturbed, tmp_path):
    study = shutil.copytree(undisturbed.study, tmp_path / "tiny")
    table = (study / "table.csv").read_bytes()
    (study / "table.csv").unlink()
    for verb, said in (("status", "4 of 4 runs are finished"), ("collect", "4 rows")):
        done = subprocess.run(
            [sys.executable, "-m", "scaling", verb, str(study)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert said in done.stdout
    assert (study / "table.csv").read_bytes() == table


def test_a_study_as_json_is_the_same_study(undisturbed, tiny):
    json_spec = tiny.folder / "study.json"
    json_spec.write_bytes((undisturbed.study / "study.json").read_bytes())
    tiny.spec = json_spec
    tiny.study.parent.mkdir()
    shutil.copytree(undisturbed.study, tiny.study)
    done = tiny.run()
    assert "0 were trained now" in done.stdout, done.stderr


BAD_SPECS = [
    (None, [], "no spec at"),
    ("x = (", [], "line 1, does not run (SyntaxError"),
    ("x = 1 / 0", [], "line 1, does not run (ZeroDivisionError"),
    ("x = 1", [], "has no dataclass `Experiment`"),
    ("TINY", ["--budgets", "0"], "budget = 0.0 tokens cannot be"),
    ("TINY", ["--widths", "7"], "Model.width / Model.heads = 7 cannot be"),
    ("TINY", ["--checkpoint-seconds", "0"], "checkpoint_seconds = 0.0 cannot be"),
    ("TINY", ["--sizes", "8"], "--sizes"),
    ("TINY", ["--widths", "wide"], "wide"),
    ("VOCAB", [], "Model.vocab = 1000 cannot be: the tokenizer 'bytes' has 257 tokens"),
    ("CORPUS", [], "there is no corpus 'pyhton_stdlib': did you mean 'python_stdlib'"),
    ("FIELD", [], "unexpected keyword argument 'widht'"),
    ("TYPE", [], "Model.width = '8' cannot be: give a value of type int"),
    ("ROWS", [], "Model.context = 32 cannot be: it is longer than the rows"),
    ('{"name": "tiny", "runs": [], "extra": 1}', [], "no field 'extra'"),
]


def test_a_damaged_result_is_named_and_can_be_measured_again(undisturbed, tmp_path):
    study = shutil.copytree(undisturbed.study, tmp_path / "runs" / "tiny")
    result = sorted(study.glob("*/result.json"))[0]
    result.write_bytes(result.read_bytes()[:100])
    for verb in ("status", "collect"):
        command = [sys.executable, "-m", "scaling", verb, str(study)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert f"error: {result} is damaged; delete it" in done.stderr
    result.unlink()
    assert "1 were trained now" in undisturbed.run(out=tmp_path / "runs").stdout
    assert undisturbed.numbers(study) == undisturbed.numbers()


def test_a_table_of_another_spec_does_not_outlive_it(undisturbed, tmp_path):
    from scaling.plan import make_plan
    from scaling.results import collect

    folder = StudyFolder(shutil.copytree(undisturbed.study, tmp_path / "tiny"))
    runs = tuple(dataclasses.replace(run, seed=7) for run in folder.study().runs)
    plan = make_plan(dataclasses.replace(folder.study(), runs=runs))
    folder.write_study(plan.study, iter(plan.lines()))
    assert collect(plan.study, folder) == 0
    assert not folder.table_csv.exists()


def test_a_study_folder_as_spec_is_trained_where_it_lies(undisturbed, tmp_path):
    study = shutil.copytree(undisturbed.study, tmp_path / "elsewhere")
    command = [
        sys.executable,
        "-m",
        "scaling",
        "run",
        str(study),
        "--data-folder",
        str(undisturbed.data_folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "0 were trained now" in done.stdout, done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_loss_that_overflows_in_the_last_step_is_divergence(tiny):
    done = tiny.run("--rates", "1e38", "--widths", "8", "--budgets", "256")
    assert "1 of them diverged" in done.stdout, done.stderr
    assert read(tiny.study / "table.csv")["L"].isna().all()


@pytest.mark.parametrize(
    ("spec", "knobs", "said"),
    BAD_SPECS,
)
def test_a_bad_spec_ends_with_a_clear_error_before_anything_is_trained(tiny, spec, knobs, said):
    text = tiny.spec.read_text()
    changed = {
        "TINY": text,
        "VOCAB": text.replace("context=32, width", "vocab=1000, context=32, width"),
        "CORPUS": text.replace("Data(context=32", "Data(corpus='pyhton_stdlib', context=32"),
        "FIELD": text.replace("width=width", "widht=width"),
        "TYPE": text.replace("width=width", "width='8'"),
        "ROWS": text.replace("Data(context=32", "Data(context=16"),
    }
    if spec is None:
        tiny.spec.unlink()
    else:
        if spec.startswith("{"):
            tiny.spec = tiny.spec.with_suffix(".json")
        tiny.spec.write_text(changed.get(spec, spec))
    done = tiny.run(*knobs)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split()).replace("│ ", "").replace(" │", "") or said in done.stdout
    assert "Traceback" not in done.stderr
    assert not tiny.study.exists()


def test_help_lists_every_knob_with_its_meaning(tiny):
    done = tiny.run("--help")
    assert done.returncode == 0
    for word in (
        "--widths",
        "--budgets",
        "Training tokens",
        "--out",
        "--data-folder",
        "--checkpoint-seconds",
    ):
        assert word in done.stdout


def test_metrics_are_logged_every_ten_steps_in_order(undisturbed):
    for path in undisturbed.study.glob("*/metrics.jsonl"):
        steps = [json.loads(line)["step"] for line in path.read_text().splitlines()]
        assert steps == sorted(set(steps))
        assert all(step % 10 == 0 for step in steps)
        assert Path(path).stat().st_size > 0


def test_a_worker_that_a_dead_driver_left_behind_is_waited_for_by_name(undisturbed, tiny):
    from scaling.launching.claim import Claim

    run = next(run for run in StudyFolder(undisturbed.study).study().runs if run.model.width == 8)
    orphan = Claim(tiny.study / "claims" / f"trunk-{run.trunk_id}", "orphan")
    assert orphan.take()
    with orphan.beating(0.2):
        process = start(tiny, "--widths", "8", "--budgets", "10240", "30720")
        said = ""
        while "was at work on the same files" not in said:
            said += process.stdout.readline()
            assert process.poll() is None, said
        assert not checkpoints(tiny)
        orphan.release()
    rest, _ = process.communicate()
    assert process.returncode == 0, said + rest
    assert f"waits: process {os.getpid()} on" in said
    assert tiny.numbers().items() <= undisturbed.numbers().items()
    assert not orphan.held(0)


PATIENT = """
import sys, time
from scaling.launching.local import stop_on_signals
with stop_on_signals() as stop_wanted:
    print("ready", flush=True)
    while True:
        time.sleep(0.01)
"""


def test_a_signal_that_comes_twice_within_a_second_is_one_wish_and_a_later_one_ends_at_once():
    process = subprocess.Popen([sys.executable, "-c", PATIENT], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        for _ in range(2):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.1)
        assert process.poll() is None
        time.sleep(1.0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM
    finally:
        process.kill()
        process.communicate()
