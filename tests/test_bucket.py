"""A study in a bucket, by gcsfs and TensorStore: what is refused, what survives, and a study from end to end."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from bucket import Refused, fetch, refuse
from test_storage import a_study

from scaling.errors import UserError
from scaling.folder import StudyFolder, check_writable, write_whole
from scaling.launching.claim import release
from scaling.launching.lock import locked
from scaling.launching.standing import checkpoint_steps
from scaling.storage import as_path
from scaling.table import TableError
from scaling.table import write as write_table
from scaling.training.metrics import MetricsLog, check_copies

HOLDER = """
import sys, time
from scaling.launching.lock import locked, while_held
from scaling.storage import as_path
place = as_path(sys.argv[1])
with locked(place, beat_seconds=0.1) as held:
    print("held", flush=True)
    stop_wanted = while_held(lambda: False, held, place)
    while not stop_wanted():
        time.sleep(0.05)
"""


def test_a_frozen_driver_of_a_bucket_is_superseded_and_stops_when_it_wakes(bucket, tmp_path):
    place = f"gs://bucket/{tmp_path.name}/rates"
    first = subprocess.Popen(
        [sys.executable, "-c", HOLDER, place], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert first.stdout.readline() == "held\n"
        with (
            pytest.raises(UserError, match=f"is being run by process {first.pid} on "),
            locked(as_path(place)),
        ):
            raise AssertionError("two hold it")
        first.send_signal(signal.SIGSTOP)
        with locked(as_path(place), patience=1.0) as held:
            first.send_signal(signal.SIGCONT)
            _, errors = first.communicate(timeout=30)
            assert f"another process took over the study {place}" in errors
            assert held()
    finally:
        first.kill()
        first.wait()


def test_checkpoints_come_back_and_damaged_ones_are_set_aside(bucket, tmp_path):
    """TensorStore reaches the bucket itself, so this needs one that answers it."""
    import jax.numpy as jnp

    from scaling.training.checkpoint import Checkpoints

    state, folder, said = {"a": jnp.arange(3.0)}, as_path(f"gs://bucket/{tmp_path.name}/run"), []
    with Checkpoints(folder / "checkpoints") as saved:
        for step in (3, 7, 5):
            saved.save(step, {"a": state["a"] * step}, {"at": step})
        assert saved.steps() == [3, 5, 7]
        saved.prune((5, 7))
    before = dict(bucket.objects)
    with Checkpoints(folder / "checkpoints", reads_only=True) as read_only:
        assert read_only.steps() == [5, 7]
        found, notes = read_only.restore(5, state, said.append)
        assert found["a"].tolist() == [0.0, 5.0, 10.0] and notes == {"at": 5}
    assert bucket.objects == before and not said
    for key in [key for key in bucket.objects if f"{tmp_path.name}/run/checkpoints/7/state" in key[1]]:
        bucket.objects[key] = (b"nothing", bucket.objects[key][1])
    with Checkpoints(folder / "checkpoints") as saved:
        assert saved.restore(7, state, said.append) is None
        assert saved.steps() == [5]
        assert saved.restore(5, state, said.append)[1] == {"at": 5}
        saved.save(7, state, {"at": 7})
        assert saved.steps() == [5, 7]
    assert len(said) == 1 and "the checkpoint of step 7" in said[0] and "is damaged" in said[0]
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoints", "damaged-checkpoints-7"]


def test_a_checkpoint_that_was_cut_off_is_never_read(bucket, tmp_path):
    import jax.numpy as jnp

    from scaling.training.checkpoint import Checkpoints

    state, folder = {"a": jnp.arange(3.0)}, as_path(f"gs://bucket/{tmp_path.name}/run/checkpoints")

    def dies(method, path):
        if (
            path.endswith("/o")
            and method == "POST"
            and bucket.names(f"bucket/{tmp_path.name}/run/checkpoints/7/state")
        ):
            raise Refused(403, "no permission any more")

    with Checkpoints(folder) as saved:
        saved.save(3, state, {})
        bucket.fail = dies
        try:
            with pytest.raises(
                UserError, match=r"writing the checkpoint of step 7 .*the checkpoint of step 3 is intact"
            ):
                saved.save(7, state, {})
        finally:
            bucket.fail = lambda method, path: None
    assert bucket.names(f"bucket/{tmp_path.name}/run/checkpoints/7/state")
    assert checkpoint_steps(folder.parent) == [3]
    with Checkpoints(folder) as saved:
        assert saved.steps() == [3]
        saved.save(7, state, {"at": 7})
        assert checkpoint_steps(folder.parent) == [3, 7]
        assert saved.restore(7, state, print)[1] == {"at": 7}


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (
            "gs://forbidden/runs",
            r"cannot write to gs://forbidden/runs \(.*does not have storage.objects.create access.*--out",
        ),
        ("gs://missing/runs", r"cannot write to gs://missing/runs \(there is no such bucket.*--out"),
        ("gss://bucket/runs", r"gss://bucket/runs cannot be opened: gss:// is none of gs://"),
        ("gs://", r"names no bucket; write gs://BUCKET/FOLDER"),
        ("gs:///runs", r"names no bucket; write gs://BUCKET/FOLDER"),
        ("gs:/bucket/runs", r"gs:/bucket/runs has one slash too few: write gs://BUCKET/FOLDER"),
        ("/proc/none/runs", r"cannot write to /proc/none/runs"),
    ],
)
def test_a_place_that_cannot_be_written_is_one_sentence(bucket, where, said):
    with pytest.raises(UserError, match=said) as refused:
        check_writable(where)
    assert "\n" not in str(refused.value)


def test_a_bucket_whose_kind_may_not_be_asked_for_is_refused_before_anything_is_trained(bucket, monkeypatch):
    """Orbax asks for it: the role Storage Object Admin alone is not enough."""
    monkeypatch.setattr(bucket, "fail", refuse(403, "GET", "/storage/v1/b/bucket"))
    with pytest.raises(UserError, match=r"storage\.buckets\.get"):
        check_writable("gs://bucket/runs")


def test_a_bucket_that_fails_for_a_moment_costs_nothing(bucket, monkeypatch, tmp_path):
    import jax.numpy as jnp

    from scaling.training.checkpoint import Checkpoints

    folder = as_path(f"gs://bucket/{tmp_path.name}/run")
    monkeypatch.setattr(bucket, "fail", refuse(503, "POST", ".*", times=2))
    write_whole(folder / "result.json", "{}")
    assert next(bucket.fail.left, None) is None
    monkeypatch.setattr(bucket, "fail", refuse(503, "POST", ".*/o", times=2))
    with Checkpoints(folder / "checkpoints") as saved:
        saved.save(3, {"a": jnp.arange(3.0)}, {})
        assert saved.steps() == [3]
    assert next(bucket.fail.left, None) is None


@pytest.mark.parametrize("call", ["result", "study", "write", "locked", "log", "table"])
def test_a_bucket_that_refuses_is_one_sentence_whatever_is_done(bucket, call):
    folder, study = StudyFolder("gs://forbidden/runs/rates"), a_study()
    calls = {
        "result": lambda: folder.result(study.runs[0]),
        "study": folder.study,
        "write": lambda: folder.write_study(study, iter(())),
        "locked": lambda: folder.locked().__enter__(),
        "log": lambda: MetricsLog(folder.path / "a" / "metrics.jsonl"),
        "table": lambda: write_table([{"N": 1}], folder.table_csv),
    }
    with pytest.raises(UserError, match=r"cannot (read|write) gs://forbidden/.*storage.objects") as refused:
        calls[call]()
    assert "\n" not in str(refused.value) and "http" not in str(refused.value)
    assert call != "table" or isinstance(refused.value, TableError)


def ask(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


def test_a_client_that_is_not_installed_is_named():
    code = "import sys; sys.modules['gcsfs'] = None\nfrom scaling.__main__ import main\nsys.exit(main(['status', 'gs://b/x']))"
    done = ask(code)
    assert done.returncode == 2
    assert (
        done.stderr
        == "error: cannot read gs://b/x/study.json (the package gcsfs is not installed: pip install gcsfs); "
        "mend that and run the same command again\n"
    )


def test_wandb_is_refused_in_a_bucket():
    with pytest.raises(UserError, match="gs://bucket/runs is a bucket: use --log tensorboard"):
        check_copies(("wandb",), "gs://bucket/runs")


def scaling(*words):
    command = [sys.executable, "-m", "scaling", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.faults
def test_a_study_in_a_bucket_that_was_killed_goes_on_in_workers_and_ends_as_one_on_a_disk(tiny, bucket):
    """With the clients that a real bucket is reached by: gcsfs and TensorStore."""
    knobs, study = ("--widths", "8"), f"bucket/{tiny.folder.name}/tiny"
    local = tiny.run(*knobs)
    assert local.returncode == 0, local.stderr
    command = tiny.command(*knobs, "--log", "tensorboard", out=f"gs://bucket/{tiny.folder.name}")
    process = subprocess.Popen([*command, "--checkpoint-seconds", "0.05"], stdout=subprocess.PIPE)
    deadline, commit = time.monotonic() + 120, re.compile(r".*/trunk-\w+/checkpoints/\d+/commit_success.txt")
    while not any(map(commit.fullmatch, bucket.names(study))):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not any(name.endswith("result.json") for name in bucket.names(study))
    release(f"gs://{study}/.lock")  # else it is waited for whether that process lives
    done = scaling(*command[3:], "--jobs-at-once", "2", "--branches", "apart")
    assert done.returncode == 0, done.stderr
    assert f"fetch: gcloud storage cp gs://{study}/table.csv tiny.csv" in done.stdout
    copy = fetch(bucket, study, tiny.folder / "copy")
    assert tiny.numbers(copy) == tiny.numbers()
    assert len(list(copy.glob("tensorboard/*/events*"))) >= 3
    assert len(list(copy.glob("jobs/*-branch-*.log"))) == 2
    status = scaling("status", f"gs://{study}")
    assert "2 of 2 runs" in status.stdout, status.stdout + status.stderr
    again = scaling("run", f"gs://{study}", "--data-folder", tiny.data_folder)
    assert "0 were trained now" in again.stdout, again.stderr
