"""A study's files: the same on a disk, in fsspec's memory, and in a bucket that answers on 127.0.0.1."""

import errno
import fcntl
import json
import os
import re
import threading
import time
from pathlib import Path

import fsspec
import pytest
from etils import epath
from fsspec.implementations.memory import MemoryFileSystem

from scaling import storage
from scaling.__main__ import Options
from scaling.errors import UserError
from scaling.folder import StudyFolder, check_writable, write_whole
from scaling.launching import journal
from scaling.launching.claim import Claim, release
from scaling.launching.lock import locked
from scaling.plan import Recipe, make_plan, product
from scaling.results import collect, done
from scaling.spec import Data, Model, Optim, SpecError, Study
from scaling.storage import admit, as_path, create_whole, is_local, put_whole, read_end, read_whole, stamps
from scaling.training.event_files import EventFiles, last_step
from scaling.training.metrics import Logs, MetricsLog, read

PLACES = ("disk", "memory", "bucket")


class Memory(MemoryFileSystem):
    """fsspec's file system in memory, under a scheme that epath knows."""

    protocol = ("az",)
    store = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path):
        return "/" + os.fspath(path).removeprefix("az://").strip("/")


@pytest.fixture(params=PLACES)
def place(request, tmp_path):
    """A folder where studies may lie."""
    if request.param == "disk":
        return as_path(tmp_path / "runs")
    if request.param == "bucket":
        request.getfixturevalue("bucket")
        return as_path(f"gs://bucket/{tmp_path.name}")
    fsspec.register_implementation("az", Memory, clobber=True)
    admit("az")
    Memory.store.clear()
    return as_path(f"az://bucket/{tmp_path.name}")


def a_study(*rates):
    data = Data(corpus="markov", context=32, eval_tokens=64)
    runs = []
    for rate in rates or (0.01,):
        recipe = Recipe(data=data, optim=Optim(lr=rate, batch_tokens=64))
        runs += product([Model(width=16, heads=2, context=32)], [640, 1280], recipe)
    return Study(name="rates", runs=tuple(runs))


def finish(folder, study, losses):
    for run, loss in zip(study.runs, losses, strict=True):
        write_whole(folder.run(run) / "result.json", json.dumps(done(run, None, L=loss)))


def test_a_file_is_written_whole_read_back_and_replaced(place):
    path = place / "a" / "b.json"
    assert read_whole(path) is None
    for content in ("first", "the second, longer", "ü", ""):
        write_whole(path, content)
        assert read_whole(path) == content.encode() == path.read_bytes()
    put_whole(path, bytes(range(256)) * 40)
    assert read_whole(path) == bytes(range(256)) * 40
    assert [found.name for found in (place / "a").iterdir()] == ["b.json"]
    assert [found.name for found in place.glob("*/b.json")] == ["b.json"]


def test_a_file_is_created_once(place):
    assert create_whole(place / "a" / "b", "first")
    assert not create_whole(place / "a" / "b", "second")
    assert read_whole(place / "a" / "b") == b"first"


@pytest.mark.parametrize("place", ["disk", "bucket"], indirect=True)
def test_of_many_that_create_a_file_one_succeeds(place):
    made, start = [], threading.Barrier(8)

    def create(number):
        start.wait()
        if create_whole(place / "a" / "b", f"number {number}"):
            made.append(f"number {number}")

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [content.encode() for content in made] == [read_whole(place / "a" / "b")]


def test_what_was_put_by_another_is_seen_at_once(place):
    """Listings and files are not remembered: others write too."""
    for number in range(3):
        write_whole(place / "jobs" / f"{number}.json", str(number))
        assert sorted(path.name for path in (place / "jobs").glob("*.json")) == [
            f"{each}.json" for each in range(number + 1)
        ]
    write_whole(place / "jobs" / "0.json", "something longer")
    assert read_whole(place / "jobs" / "0.json") == b"something longer"
    assert (place / "jobs" / "0.json").read_text() == "something longer"
    (place / "jobs" / "0.json").unlink()
    assert not (place / "jobs" / "0.json").exists()
    (place / "jobs" / "0.json").unlink(missing_ok=True)


def test_a_study_is_read_back_as_it_was_written(place):
    folder, study = StudyFolder(place / "rates"), a_study()
    with pytest.raises(SpecError, match="is no study folder"):
        folder.study()
    folder.write_study(study, iter(make_plan(study).lines()))
    assert StudyFolder(str(place / "rates")).study() == study
    assert len(read_whole(folder.plan_jsonl).splitlines()) == 2


def test_results_are_found_and_damaged_ones_named(place):
    folder, study = StudyFolder(place / "rates"), a_study()
    assert folder.result(study.runs[0]) is None
    finish(folder, study, (3.0, 2.5))
    assert [folder.result(run)["measured"]["L"] for run in study.runs] == [3.0, 2.5]
    write_whole(folder.run(study.runs[0]) / "result.json", "{")
    with pytest.raises(UserError, match="is damaged; delete it"):
        folder.result(study.runs[0])


def test_the_table_is_the_same_everywhere(place, tmp_path):
    study = a_study(0.01, 0.02)
    for folder in (StudyFolder(place / "rates"), StudyFolder(tmp_path / "local" / "rates")):
        assert collect(study, folder) == 0
        finish(folder, study, (3.0, 2.5, 3.1, 2.4))
        assert collect(study, folder) == 4
    assert read_whole(place / "rates" / "table.csv") == read_whole(tmp_path / "local" / "rates" / "table.csv")


def test_populations_that_were_begun_are_remembered(place):
    folder = StudyFolder(place / "rates")
    assert folder.begun_populations() == []
    folder.begin_population("b", ["one", "two"])
    folder.begin_population("b", ["others"])
    folder.begin_population("a", ["three"])
    folder.begin_population(None, ["four"])
    assert folder.begun_populations() == [["three"], ["one", "two"]]


def test_job_files_are_read_back_and_are_not_taken_for_others(place):
    folder = StudyFolder(place / "rates")
    job = journal.Job(
        "ab-trunk", "w8", "trunk", ("t",), ("r",), 10, 1.0, "running", attempts=(journal.Attempt(1, 2.0),)
    )
    beat = journal.Beat(1, 7, 0.0, "host", 3, "training")
    driver = journal.Driver("token", 1, 0.0, 0.0, "host", 3, "running", {})
    assert journal.read_jobs(folder) == {} and journal.read_beat(folder, "ab-trunk") is None
    assert journal.read_driver(folder) is None
    journal.write_job(folder, job)
    journal.write_beat(folder, "ab-trunk", beat)
    journal.write_driver(folder, driver)
    assert Claim(folder.path / "jobs" / "ab-trunk.claim.json", "token").take()
    assert journal.read_jobs(folder) == {"ab-trunk": job}
    assert (journal.read_beat(folder, "ab-trunk"), journal.read_driver(folder)) == (beat, driver)


def test_a_claim_is_taken_superseded_and_released(place):
    first, second = Claim(place / "a.claim", "first"), Claim(place / "a.claim", "second")
    assert first.take() and first.held(0)
    with first.beating(0.05):
        assert not second.take(patience=9, stop_wanted=lambda: second.rival_lives)
        assert second.rival.token == "first"
    assert second.take(patience=0.4)
    assert second.held(0) and not first.held(0)
    third = Claim(place / "a.claim", "third")
    release(place / "a.claim", "second")
    assert third.take(patience=60) and not second.held(0)
    third.release()
    assert Claim(place / "a.claim", "fourth").take(patience=60)


def test_a_study_is_held_by_one_process_and_goes_to_the_next_when_it_is_left(place):
    refused = pytest.raises(UserError, match=f"is being run by process {os.getpid()} on ")
    with locked(place / "rates", beat_seconds=0.1) as held:
        with refused, locked(place / "rates"):
            raise AssertionError("two hold it")
        assert held()
    start = time.monotonic()
    with locked(place / "rates", patience=30.0) as held:
        assert held()
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("place", ["memory", "bucket"], indirect=True)
def test_a_study_is_taken_over_from_one_that_gives_no_sign_of_life(place, capsys):
    dead = Claim(place / "rates" / ".lock", "dead")
    dead.take()
    with locked(place / "rates", patience=0.5) as held:
        assert held() and not dead.held(0)
    assert (
        f"process {os.getpid()} on {os.uname().nodename} was at work on this study" in capsys.readouterr().out
    )


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_disk_that_knows_no_locks_is_held_by_a_claim(tmp_path, monkeypatch, number):
    def unsupported(file, how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with locked(tmp_path / "rates", beat_seconds=0.1) as held:
        assert held()
        with pytest.raises(UserError, match="is being run by process"), locked(tmp_path / "rates"):
            raise AssertionError("two hold it")
    with locked(tmp_path / "rates") as held:
        assert held()


def test_a_disk_that_will_not_lock_is_one_sentence(tmp_path, monkeypatch):
    def fails(file, how):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", fails)
    with (
        pytest.raises(UserError, match=r"cannot lock .* \(Input/output error\); .* --out"),
        locked(tmp_path / "rates"),
    ):
        raise AssertionError("held")


def write_steps(log, steps):
    for step in steps:
        log.write(step, loss=step / 16)


def test_a_log_is_continued_with_each_step_once(place):
    path = place / "trunk-0123" / "metrics.jsonl"
    with MetricsLog(path) as log:
        write_steps(log, (10, 20, 30))
    with MetricsLog(path) as log:
        assert log.last_step == 30
        write_steps(log, (20, 30, 40))
    assert [record["step"] for record in read(path)] == [10, 20, 30, 40]


def test_a_log_holds_what_came_before_the_last_checkpoint_when_its_writer_is_killed(place):
    path = place / "trunk-0123" / "metrics.jsonl"
    log = MetricsLog(path)
    write_steps(log, (10, 20))
    log.flush()  # as before a checkpoint
    write_steps(log, (30,))  # and the process is gone
    assert [record["step"] for record in read(path)][:2] == [10, 20]
    with MetricsLog(path) as resumed:
        write_steps(resumed, (30, 40))
    assert [record["step"] for record in read(path)] == [10, 20, 30, 40]
    log.close()


@pytest.mark.parametrize("place", ["memory", "bucket"], indirect=True)
def test_a_writer_that_fails_does_not_put_its_log_over_that_of_its_successor(place):
    """As one that was frozen, was taken for dead, wakes, and finds that another has gone on."""
    path = place / "trunk-0123" / "metrics.jsonl"
    logs = Logs(place, ("tensorboard",))
    with pytest.raises(UserError), logs.open(path, "t") as old:
        write_steps(old, (10, 20))
        with logs.open(path, "t") as new:
            write_steps(new, (10, 20, 30))
        raise UserError("another process took over")
    assert [record["step"] for record in read(path)] == [10, 20, 30]
    assert last_step(place / "tensorboard" / "t.0123") == 30


def test_the_damaged_end_of_a_log_is_cut_off(place):
    path = place / "trunk-0123" / "metrics.jsonl"
    put_whole(path, b'{"step": 10}\n{"step": 20}\n{"st')
    with MetricsLog(path) as log:
        assert log.last_step == 20
        log.write(30)
    assert read_whole(path) == b'{"step": 10}\n{"step": 20}\n{"step": 30}\n'


def test_event_files_hold_every_step_once(place, tmp_path):
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    path = place / "trunk-0123456789ab" / "metrics.jsonl"
    logs = Logs(place, ("tensorboard",))
    for steps in ((10, 20), (20, 30, 40)):
        with logs.open(path, "w8 trunk") as log:
            write_steps(log, steps)
    folder = place / "tensorboard" / "w8-trunk.89ab"
    assert last_step(folder) == 40
    found = []
    for number, file in enumerate(sorted(folder.iterdir())):
        (tmp_path / str(number)).write_bytes(read_whole(file))
        events = EventFileLoader(str(tmp_path / str(number))).Load()
        found += [event.step for event in events if event.HasField("summary")]
    assert found == [10, 20, 30, 40]


def test_event_files_of_a_killed_writer_are_filled_up(place):
    path = place / "trunk-0123456789ab" / "metrics.jsonl"
    lost = Logs(place, ("tensorboard",)).open(path, "t")
    write_steps(lost, (10,))
    lost.flush()
    write_steps(lost, (20,))
    with Logs(place, ("tensorboard",)).open(path, "t") as log:
        write_steps(log, (20, 30))
    assert last_step(place / "tensorboard" / "t.89ab") == 30
    if is_local(place):  # the killed one's files are closed by the system
        lost.close()
    assert EventFiles(place / "tensorboard" / "t.89ab").last_step == 30


def test_a_profile_lies_in_the_study(place):
    import jax
    import jax.numpy as jnp

    from scaling.training.profile import Trace

    with Trace(place / "profile", steps=1, skip=1) as trace:
        step = trace.watch(jax.jit(lambda x: x @ x))
        for _ in range(3):
            step(jnp.ones((4, 4)))
        assert len(trace.files) == 1
        assert read_whole(trace.files[0])[:2] == b"\x1f\x8b"


def test_a_folder_that_can_be_written_is_no_error(place):
    check_writable(place / "new")
    assert not list((place / "new").iterdir()) if (place / "new").exists() else True


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "/etc/x",
        "a/b",
        "a\\b",
        "x" * 81,
        "a\nb",
        "a\x00b",
        "-rf",
        ".lock",
        "gs://b",
        "ü",
        "a b",
    ],
)
def test_a_study_cannot_leave_its_folder_by_its_name(name):
    with pytest.raises(SpecError, match=r"Study\.name"):
        Study(name=name, runs=a_study().runs)


def test_folders_of_runs_and_trunks_are_children_of_the_study(place):
    folder = StudyFolder(place / "rates")
    for run in a_study().runs:
        for path in (folder.run(run), folder.trunk(run)):
            assert path.parent == folder.path and re.fullmatch(r"(trunk-)?[0-9a-f]{12}", path.name)


def test_a_folder_named_as_a_pattern_is_no_pattern(tmp_path):
    folder = StudyFolder(tmp_path / "[a]*" / "rates")
    folder.begin_population("a", ["one"])
    assert folder.begun_populations() == [["one"]]


def test_a_url_is_the_same_path_however_it_was_given():
    assert (
        os.fspath(as_path(epath.Path("gs://bucket/a")))
        == os.fspath(as_path("gs://bucket/a/"))
        == "gs://bucket/a"
    )


@pytest.mark.parametrize(
    "url", ["s3://bucket/runs", "az://bucket/runs", "hf://bucket/runs", "https://a.b/runs"]
)
def test_a_scheme_that_was_not_tried_is_refused_with_what_works(url, monkeypatch):
    monkeypatch.setattr(storage, "SCHEMES", ["gs"])
    with pytest.raises(UserError, match=r"a folder of this machine .* or gs://BUCKET/FOLDER$") as refused:
        as_path(url)
    assert "\n" not in str(refused.value) and url in str(refused.value)


@pytest.mark.parametrize("write", [create_whole, write_whole])
def test_a_file_that_a_full_disk_cuts_off_is_not_left_behind(tmp_path, monkeypatch, write):
    def full(number):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(UserError, match="No space left on device"):
            write(tmp_path / "a.claim" / "000001.json", "content")
    assert list((tmp_path / "a.claim").iterdir()) == []
    assert Claim(tmp_path / "a.claim", "token").take(patience=60)


def test_a_holder_keeps_its_claim_when_a_taker_finds_the_disk_full(tmp_path, monkeypatch):
    first = Claim(tmp_path / "a.claim", "first")
    assert first.take()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda number: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        with pytest.raises(UserError):
            Claim(tmp_path / "a.claim", "second").take(patience=0.0)
    assert first.held(0)


def test_two_machines_whose_processes_have_one_number_write_different_temporary_files(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "getpid", lambda: 7)
    monkeypatch.setattr(os, "fsync", lambda number: seen.extend(p.name for p in tmp_path.iterdir()))
    for _ in range(2):
        write_whole(tmp_path / "a", "x")
        (tmp_path / "a").unlink()
    assert len(set(seen)) == 2 and all(os.uname().nodename[:4] in name for name in seen)


def test_a_bucket_that_does_not_answer_is_spoken_of_once(monkeypatch, capsys):
    monkeypatch.setattr(storage, "SILENT_SECONDS", 0.05)
    for _ in range(2):
        with storage._answering(as_path("gs://bucket/a")):
            time.sleep(0.2)
    assert capsys.readouterr().err.count("no answer for 0 s about gs://bucket/a") == 1


@pytest.mark.parametrize("url", ["gs://bucket/data", "s3://bucket/data"])
def test_a_bucket_as_data_folder_is_refused(url):
    """As a pathlib.Path it has lost a slash, and would be a folder named `gs:` here."""
    with pytest.raises(UserError, match=f"--data-folder {url} cannot be: .* memory-mapped"):
        Options(data_folder=Path(url))


def test_the_end_of_a_file_is_read_without_the_rest(place):
    path = place / "a" / "log"
    assert read_end(path, 4) == b""
    for content in (b"", b"abc", b"abcd", b"x" * 100_000 + b"abcd"):
        put_whole(path, content)
        assert read_end(path, 4) == content[-4:]


def test_a_stamp_is_another_once_the_file_was_written_anew(place):
    assert stamps(place / "jobs") == {}
    write_whole(place / "jobs" / "a.json", "1")
    write_whole(place / "jobs" / "b.json", "1")
    write_whole(place / "jobs" / "c.claim" / "000001.json", "1")
    first, again = stamps(place / "jobs"), stamps(place / "jobs")
    assert list(first) == ["a.json", "b.json", "c.claim"]
    assert [first[name] == again[name] for name in ("a.json", "b.json")] == [True, True]
    write_whole(place / "jobs" / "a.json", "2")
    then = stamps(place / "jobs")
    assert then["a.json"] != first["a.json"] and then["b.json"] == first["b.json"]
