"""How a study stands: known totals, clocks that disagree, damaged files, ten thousand runs, and the verb itself."""

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bucket import Bucket, served
from fabricated import LOG, NOW, STARTED, STATES, driven, driver, finish, measured, planned
from rich.console import Console

from scaling.errors import UserError
from scaling.folder import StudyFolder
from scaling.launching.journal import read_beat, read_jobs, write_beat, write_driver
from scaling.launching.status import study_files
from scaling.launching.status import verb as status_verb
from scaling.launching.status.report import Report
from scaling.launching.status.status import status_of
from scaling.launching.status.study_files import StudyReader, last_record, tail
from scaling.launching.status.text import rendered
from scaling.launching.status.verb import Silence, wanted
from scaling.storage import put_whole


def status(folder, now=NOW, silence=None):
    return status_of(StudyReader(folder).read(), now, silence)


def text(found, everything=False, lines=True, terminal=False, **more):
    console = Console(file=io.StringIO(), width=160, force_terminal=terminal, highlight=False)
    console.print(rendered(Report(found, **more), everything, lines, plain=not terminal))
    return console.file.getvalue()


def verb(*words):
    return [sys.executable, "-m", "scaling", "status", *map(str, words)]


def call(*words):
    return subprocess.run(verb(*words), capture_output=True, text=True, check=False)


def log(folder, run, step, trunk=False, **values):
    path = (folder.trunk(run) if trunk else folder.run(run)) / "metrics.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"step": 0}) + "\n" + json.dumps({"step": step, **values}) + "\n")


def test_an_untrained_study_has_all_its_flops_left_and_no_known_time(tmp_path):
    folder, made = planned(tmp_path)
    totals = status(folder).totals
    assert totals.flops == totals.flops_left == pytest.approx(made.flops, rel=1e-12)
    assert (totals.device_seconds, totals.device_seconds_left, totals.seconds_left) == (0.0, None, None)
    assert "left: not known before some training is recorded" in text(status(folder))


def test_flops_left_are_those_of_steps_that_no_result_and_no_log_has(tmp_path):
    folder, made = planned(tmp_path)
    first, second, third = made.jobs[0].runs
    finish(folder, first, measured(first))
    log(folder, second, second.decay_start + 7)
    log(folder, first, second.decay_start + 3, trunk=True)
    step = made.jobs[0].flops / made.jobs[0].steps
    done = second.decay_start + 3 + first.decay_steps + 7
    assert status(folder).totals.flops_left == pytest.approx(made.flops - done * step, rel=1e-12)
    states = {line.name: line.state for line in status(folder).lines}
    assert states[first.name].startswith("L = ")
    assert states[second.name] == f"decay branch at step {second.decay_start + 7} of {second.steps}"
    assert states[third.name] == f"trunk at step {second.decay_start + 3} of {third.steps}"
    assert states[made.jobs[1].runs[0].name] == "waiting"


def test_time_left_is_at_the_pace_of_what_was_trained(tmp_path):
    """A trunk of one size took 0.5 s a step on each of 2 devices: the other sizes take as long a FLOP."""
    folder, made = planned(tmp_path)
    job = made.jobs[0]
    for run in job.runs:
        finish(folder, run, measured(run, devices=2) | {"trunk_device_seconds": 0.5 * run.decay_start})
    totals = status(folder).totals
    assert totals.device_seconds == pytest.approx(0.5 * job.steps)
    left = 0.5 * job.steps * (made.flops - job.flops) / job.flops
    assert totals.device_seconds_left == pytest.approx(left)
    assert totals.seconds_left == pytest.approx(left / 2)


def test_a_run_that_diverged_is_done_but_sets_no_pace(tmp_path):
    folder, made = planned(tmp_path)
    done, lost = made.jobs[0], made.jobs[1]
    for run in done.runs:
        finish(folder, run, measured(run) | {"trunk_device_seconds": 0.5 * run.decay_start})
    before = status(folder).totals
    for run in lost.runs:
        finish(folder, run, diverged={"step": 3, "part": "trunk"})
    after = status(folder).totals
    assert after.flops_left == pytest.approx(before.flops_left - lost.flops)
    pace = [each.device_seconds_left / each.flops_left for each in (before, after)]
    assert pace[0] == pytest.approx(pace[1])
    assert status(folder).diverged == 3


def test_a_finished_study_has_nothing_left(tmp_path):
    folder, made = planned(tmp_path)
    for run in made.study.runs:
        finish(folder, run, measured(run))
    found = status(folder)
    assert (found.totals.flops_left, found.totals.seconds_left, found.over) == (0.0, 0.0, True)
    said = text(found)
    assert "24 of 24 runs are finished; spec " in said
    assert "100 % of" in said and "left: nothing" in said


def test_a_study_trained_without_a_driver_shows_what_was_logged_and_claims_no_life(tmp_path):
    folder, made = planned(tmp_path)
    run, other = made.jobs[0].runs[1], made.jobs[1].runs[-1]
    log(folder, run, run.decay_start + 7, tokens_per_second=5_000.0, mfu=0.25)
    log(folder, other, 30, trunk=True, device_seconds=60.0)
    branch, trunk = status(folder).active
    assert (branch.name, branch.phase) == (run.name, "decay branch")
    assert (branch.steps_done, branch.steps, branch.tokens_per_second) == (7, run.decay_steps, 5_000.0)
    assert (trunk.phase, trunk.steps_done, trunk.steps) == ("trunk", 30, other.decay_start)
    said = text(status(folder))
    assert "driver: none has launched jobs here; whether `run` is at work is not known" in said
    assert "alive?" not in said and "begun" in said
    assert status(folder).totals.device_seconds == 60.0


def test_jobs_are_counted_by_state_and_attempts_paid_for(tmp_path):
    folder, _ = driven(tmp_path)
    found = status(folder)
    assert found.jobs == {state: STATES.count(state) for state in STATES}
    assert (found.done, found.diverged, found.runs) == (5, 1, 24)
    ended = 2 * 600 + 2 * 300 + 3 * 50
    running = 2 * (NOW - 3 - STARTED - 400)
    assert found.totals.device_seconds == pytest.approx(ended + running)
    more = dataclasses.replace(driver(), device_seconds=99_999.0)  # of attempts whose files were deleted
    write_driver(folder, more)
    assert status(folder).totals.device_seconds == 99_999.0
    assert found.totals.devices == 2
    assert found.left_out == {"--max-device-hours 2 would be passed": 1}
    assert found.device == "NVIDIA H100"


def test_a_running_job_says_where_how_far_how_fast_and_how_often_it_was_lost(tmp_path):
    folder, made = driven(tmp_path)
    job = next(job for job in status(folder).active if "ago" in job.life)
    assert (job.host, job.phase, job.steps_done, job.steps) == ("gpu-3", "training", 100, made.jobs[2].steps)
    assert (job.tokens_per_second, job.mfu, job.attempt, job.lost) == (125_000.0, 0.312, 2, 1)
    assert job.seconds == NOW - 3 - (STARTED + 400)
    said = text(status(folder))
    for words in ("gpu-3", "training", "125K", "31.2 %", "2 (lost 1)", f"100/{job.steps}", "53 min"):
        assert words in said


def test_the_beat_of_an_attempt_before_this_one_is_not_taken_for_its_own(tmp_path):
    folder, _ = driven(tmp_path)
    task = next(name for name, job in read_jobs(folder).items() if job.state == "running")
    write_beat(folder, task, dataclasses.replace(read_beat(folder, task), attempt=1))
    starting = [job for job in status(folder).active if job.phase == "starting"]
    assert [(job.steps_done, job.life) for job in starting] == [(0, "no beat yet")]


def test_a_failed_job_says_why_and_shows_the_end_of_its_log_without_control_characters(tmp_path):
    folder, _ = driven(tmp_path)
    (failed,) = status(folder).failed
    assert failed.reason == "RuntimeError: out of <memory>"
    assert failed.log[-2:] == ("Traceback <script>alert(1)</script>", "last")
    assert len(failed.log) == 15
    said = text(status(folder), terminal=False)
    assert "failed: " in said and "3 attempts: RuntimeError: out of <memory>" in said and "| last" in said
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", said)


@pytest.mark.parametrize(
    "raw",
    [
        "\x1b]0;title\x07text",
        "\x1b[2J\x1b[1;31mtext",
        "\x1bctext",
        "te\x00x\x9bt",
        "\x1b]8;;http://x\x1b\\text",
    ],
)
def test_no_escape_sequence_of_a_log_reaches_the_terminal(tmp_path, raw):
    (tmp_path / "log").write_text(raw)
    assert tail(tmp_path / "log") == ("text",)


def test_a_long_log_is_read_from_its_end(tmp_path):
    (tmp_path / "log").write_text("x" * 5_000_000 + "\n" + LOG)
    began = time.process_time()
    assert tail(tmp_path / "log")[-1] == "last"
    assert time.process_time() - began < 0.2


def test_clocks_that_disagree_are_told_and_prove_nothing(tmp_path):
    folder, _ = driven(tmp_path)
    lives = sorted(job.life for job in status(folder).active)
    assert lives == [
        "beat 12 s ago by its clock",
        "beat 5.0 min ahead of this clock: they disagree",
    ]
    assert "running by its last word; beat 3 s ago by its clock" in status(folder).driver


def test_who_watches_tells_life_by_beats_that_grow_and_by_no_other_clock(tmp_path):
    folder, _ = driven(tmp_path)
    now = [0.0]
    silence = Silence(lambda: now[0])
    task = next(iter(StudyReader(folder).read().beats))
    assert silence.look(StudyReader(folder).read()) == {}, "one look tells nothing"
    now[0] = 5.0
    write_beat(folder, task, dataclasses.replace(read_beat(folder, task), count=38, time=-1e9))
    assert silence.look(StudyReader(folder).read()) == {task: 0.0}
    now[0] = 95.0
    found = silence.look(StudyReader(folder).read())
    assert found[task] == 90.0 and found["driver"] == 95.0
    lives = {job.life for job in status(folder, silence=found).active}
    assert lives == {f"no beat for {minutes} min: perhaps dead" for minutes in (1.5, 1.6)}
    dead = "no beat for 1.6 min: perhaps dead; the same `run` command continues"
    assert status(folder, silence=found).driver.endswith(dead)
    write_driver(folder, driver(count=101))
    now[0] = 96.0
    found = silence.look(StudyReader(folder).read())
    assert "running by its last word; beats" in status(folder, silence=found).driver


def test_damaged_job_files_are_left_out_with_a_note_and_claims_are_no_jobs(tmp_path):
    folder, _ = driven(tmp_path)
    jobs = folder.path / "jobs"
    (jobs / "a-whole.json").write_text('{"task_id": ')
    (jobs / "b-whole.json").write_text('{"task_id": "b-whole", "surprise": 1}')
    (jobs / "c-whole.json").write_text('{"task_id": "../../c", "attempts": []}')
    (jobs / "d-whole.claim.json").write_text('{"token": "x"}')
    (jobs / "e-whole.beat.json").write_text("[]")
    found = status(folder)
    assert sum(found.jobs.values()) == len(STATES)
    (note,) = found.notes
    assert note.startswith(
        "3 job files are damaged and left out here: jobs/a-whole.json, b-whole.json, c-whole.json"
    )
    beat = next((folder.path / "jobs").glob("*.beat.json"))
    beat.write_text('{"attempt": 2')
    (folder.path / "driver.json").write_text("{}")
    assert "none has launched jobs here" in status(folder).driver


def test_a_study_whose_plan_is_of_another_spec_is_planned_again(tmp_path):
    folder, _ = driven(tmp_path)
    whole = status(folder)
    lines = folder.plan_jsonl.read_text()
    for other in (lines.replace('"spec_sha256": "', '"spec_sha256": "0'), "", '{"run_id": 1}\n'):
        folder.plan_jsonl.write_text(other)
        assert status(folder) == whole


def test_the_last_whole_record_of_a_log_is_found(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert last_record(path) is None
    path.write_text('{"step": 10}\n{"step": 20}\n{"step": 3')
    assert last_record(path) == {"step": 20}


def test_a_study_that_may_not_be_read_is_a_sentence(tmp_path, monkeypatch):
    folder, _ = planned(tmp_path)

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(UserError, match=r"cannot read .*Permission denied.*"):
        status(folder)


@pytest.mark.parametrize("content", [None, "", "{", '{"name": "x"}', "[]"])
def test_a_folder_that_is_no_study_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "study.json").write_text(content)
    with pytest.raises(UserError):
        status(StudyFolder(tmp_path))


def test_what_cannot_be_asked_is_refused():
    for words in (["--watch", "0"], ["--watch", "-1"], ["--watch", "nan"]):
        with pytest.raises(UserError, match="give seconds above 0"):
            wanted(words)
    with pytest.raises(UserError, match="'--wach 3' is not understood"):
        wanted(["--wach", "3"])
    assert wanted(["--html", "--watch", "5"]).html == ""


def many(place, runs=10_000, done=9_900):
    """A study of ten thousand runs on a thousand trunks, almost done."""
    folder = StudyFolder(place / "many")
    folder.path.mkdir()
    (folder.path / "study.json").write_text('{"name":"many","question":"?","runs":[]}\n')
    sha256 = hashlib.sha256(b'{"name":"many","question":"?","runs":[]}').hexdigest()
    with (folder.path / "plan.jsonl").open("w") as plan:
        for n in range(runs):
            run = {
                "run_id": f"{n:012x}",
                "name": f"run-{n}",
                "trunk_id": f"{n // 10:012x}",
                "D": 1e5,
                "C": 1e9,
            }
            run |= {"steps": 100 * (n % 10 + 1), "decay_start": 80 * (n % 10 + 1), "spec_sha256": sha256}
            plan.write(json.dumps(run) + "\n")
    found = {"L": 3.0, "bpb": None, "device_seconds": 9.0, "devices": 1, "device": "cpu"}
    content = json.dumps({"status": "done", "diverged": None, "measured": found, "run": {"x": "y" * 1500}})
    for n in range(done):
        os.mkdir(folder.path / f"{n:012x}")
        (folder.path / f"{n:012x}" / "result.json").write_text(content)
    return folder


def test_ten_thousand_runs_are_told_within_five_seconds_and_looked_at_again_at_once(tmp_path):
    reader = StudyReader(many(tmp_path))
    spent = []
    for _ in range(2):
        began = time.process_time()
        found = status_of(reader.read(), NOW)
        said = text(found)
        spent.append(time.process_time() - began)
    assert (found.done, found.runs) == (9_900, 10_000)
    assert said.count("\n") < 40
    assert spent[0] < 5 and spent[1] < 1.5


def test_forty_lines_are_enough_unless_all_is_asked_for(tmp_path):
    folder, _ = driven(tmp_path)
    short, whole = (text(status(folder), everything, lines=False) for everything in (False, True))
    assert short.count("\n") < 40
    assert whole.count("w8-d1-lr0.003-s0-") == 3, "a line a run"
    assert "| line 39" in whole and "| line 30" not in short


def test_a_study_of_few_runs_has_a_line_for_each(tmp_path):
    said = text(status(driven(tmp_path)[0]))
    assert said.count("nats/token") == 5 and said.count("diverged at step") == 1


@pytest.mark.parametrize("width", [80, 110, 160])
def test_no_job_is_cut_in_a_narrow_terminal(tmp_path, width):
    found = status(driven(tmp_path)[0])
    active = tuple(dataclasses.replace(job, host="gpu-node-3.cluster.internal") for job in found.active)
    console = Console(
        file=io.StringIO(), width=width, force_terminal=True, highlight=False, color_system=None
    )
    console.print(rendered(Report(dataclasses.replace(found, active=active)), width=width))
    (line, _) = [line for line in console.file.getvalue().splitlines() if "gpu-node-3" in line]
    for words in (found.active[0].name, "training", "100/", "125K", "2 (lost 1)"):
        assert words in line
    assert "\u2026" not in line


def test_names_and_reasons_are_no_markup(tmp_path):
    folder, _ = driven(tmp_path)
    found = status(folder)
    (failed,) = found.failed
    failed = dataclasses.replace(failed, reason="[bold]x[/bold] [/]")
    said = text(dataclasses.replace(found, failed=(failed,)), terminal=True)
    assert "[bold]x[/bold] [/]" in said


def test_the_verb_prints_plain_text_and_writes_nothing(tmp_path):
    folder, _ = driven(tmp_path)
    before = sorted((path, path.stat().st_mtime_ns) for path in folder.path.rglob("*"))
    done = call(folder.path, "--no-fit")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout and "6 of 24 runs are finished, 1 of them diverged" in done.stdout
    assert "jobs: 2 running, 1 queued, 1 waiting, 2 done, 1 failed, 1 left out" in done.stdout
    assert sorted((path, path.stat().st_mtime_ns) for path in folder.path.rglob("*")) == before


def test_watching_shows_block_after_block_and_ends_with_the_driver(tmp_path):
    folder, _ = driven(tmp_path)
    command = verb(folder.path, "--watch", "0.2", "--no-fit", "--html")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("--- ")
        while not process.stdout.readline().startswith("--- "):
            pass
        write_driver(folder, driver("finished"))
        rest, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "process 321 on login: finished" in rest
    page = (folder.path / "status.html").read_text()
    assert "process 321 on login: finished" in page and 'http-equiv="refresh"' not in page


def test_ctrl_c_ends_watching_with_code_0(tmp_path):
    folder, _ = driven(tmp_path)
    command = verb(folder.path, "--watch", "30", "--no-fit")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background ignore it
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        signal.signal(signal.SIGINT, before)
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


def test_prices_say_what_was_and_will_be_paid(tmp_path):
    folder, _ = driven(tmp_path)
    (tmp_path / "prices.csv").write_text("device,price_per_device_hour,currency\nNVIDIA H100,3.6,EUR\n")
    done = call(folder.path, "--no-fit", "--prices", tmp_path / "prices.csv")
    totals = status(folder).totals
    spent, left = totals.device_seconds / 1000, totals.device_seconds_left / 1000
    said = f"cost: {spent:,.2f} EUR so far; {left:,.2f} EUR left; at 3.6 EUR an hour of NVIDIA H100"
    assert said in done.stdout, done.stdout + done.stderr
    (tmp_path / "prices.csv").write_text("device,price_per_device_hour,currency\ncpu,3.6,EUR\n")
    done = call(folder.path, "--no-fit", "--prices", tmp_path / "prices.csv")
    assert "prices.csv has no price of NVIDIA H100, only of cpu: add a row" in done.stdout
    done = call(folder.path, "--no-fit", "--prices", tmp_path / "nothing.csv")
    assert done.returncode == 2 and "cannot be read" in done.stderr


@contextlib.contextmanager
def in_a_bucket(folder, name, monkeypatch):
    """A served bucket and the copy of a study folder in it."""
    bucket = Bucket("bucket")
    with served(bucket) as environment:
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        copy = StudyFolder(f"gs://bucket/{name}/shown")
        for path in folder.path.rglob("*"):
            if path.is_file():
                put_whole(copy.path / str(path.relative_to(folder.path)), path.read_bytes())
        yield bucket, copy


def test_a_study_in_a_bucket_is_told_as_one_on_a_disk_is(tmp_path, monkeypatch):
    folder, made = driven(tmp_path)
    log(folder, made.jobs[2].runs[0], 20, trunk=True, device_seconds=5.0)
    with in_a_bucket(folder, tmp_path.name, monkeypatch) as (_, copy):
        here, there = status(folder), status(copy)
    place = {"path": str(copy.path)}
    failed = [
        dataclasses.replace(job, log_file=job.log_file.replace(here.path, place["path"]))
        for job in here.failed
    ]
    assert there == dataclasses.replace(here, failed=tuple(failed), **place)


WRITER = """
import sys
from scaling.folder import StudyFolder
from scaling.training.metrics import Logs
folder = StudyFolder(sys.argv[1])
logs = Logs(folder.path, ("tensorboard",))
runs = [run for run in folder.study().runs if run.model.width == int(sys.argv[2]) and run.seed == 0]
print("ready", flush=True); sys.stdin.readline()
for run, place, trunk in [(runs[0], folder.trunk(runs[0]), True), *((run, folder.run(run), False) for run in runs)]:
    with logs.of(run, place, trunk) as log:
        for step in range(10, 200, 10):
            log.write(step, loss=run.model.width + step / 16)
"""


def test_trunks_and_branches_of_several_workers_have_names_to_read_in_tensorboard(tmp_path):
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

    folder, made = planned(tmp_path)
    command = [sys.executable, "-c", WRITER, str(folder.path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen([*command, str(width)], **pipes) for width in (8, 16)]
    assert [worker.stdout.readline() for worker in workers] == ["ready\n"] * 2
    for worker in workers:
        worker.communicate("go\n")
        assert worker.returncode == 0
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder.path / "tensorboard"))
    multiplexer.Reload()
    ours = [job.runs for job in made.jobs if job.runs[0].model.width in (8, 16) and job.runs[0].seed == 0]
    names = {f"{runs[0].trunk_name}-trunk.{runs[0].trunk_id[-4:]}" for runs in ours}
    names |= {f"{run.name}.{run.run_id[-4:]}" for runs in ours for run in runs}
    assert set(multiplexer.Runs()) == names
    for runs in ours:
        for run in runs:
            told = multiplexer.Scalars(f"{run.name}.{run.run_id[-4:]}", "loss")
            assert [(at.step, at.value) for at in told] == [
                (step, run.model.width + step / 16) for step in range(10, 200, 10)
            ]
    assert f"curves: tensorboard --logdir {folder.path}/tensorboard" in text(status(folder))


def test_who_watches_reads_only_what_was_written_since(tmp_path, monkeypatch):
    folder, made = driven(tmp_path)
    for job in made.jobs[2:6]:
        log(folder, job.runs[0], 20, trunk=True)
    reader, asked = StudyReader(folder), []
    for name in ("read_job", "read_beat", "tail", "last_record"):
        read = getattr(study_files, name)
        monkeypatch.setattr(
            study_files, name, lambda *of, name=name, read=read: asked.append(name) or read(*of)
        )
    first = reader.read()
    assert {name: asked.count(name) for name in asked} == {
        "read_job": 8,
        "read_beat": 2,
        "tail": 1,
        "last_record": 4,
    }
    asked.clear()
    assert reader.read() == first and asked == []
    task = next(iter(first.beats))
    write_beat(folder, task, dataclasses.replace(read_beat(folder, task), count=38))
    log(folder, made.jobs[2].runs[0], 300, trunk=True)
    assert reader.read().beats[task].count == 38
    assert sorted(asked) == ["last_record", "read_beat"]


def test_who_watches_a_bucket_asks_only_for_what_may_have_changed(tmp_path, monkeypatch):
    """The jobs that are done, failed or wait are not asked about again, however many they are."""
    folder, made = driven(tmp_path)
    for job in made.jobs:
        log(folder, job.runs[0], 20, trunk=True)
    with in_a_bucket(folder, tmp_path.name, monkeypatch) as (bucket, copy):
        reader = StudyReader(copy)
        first = reader.read()
        reader.read()
        bucket.requests.clear()
        assert reader.read() == first
        asked = [path.rpartition("/")[2] for _, path in bucket.requests]
        assert len(asked) <= 2 + 2 + 2, asked  # spec and driver, two listings, and two trunks in training
        finished = made.jobs[2].runs[0]
        content = (folder.path / made.jobs[0].runs[0].run_id / "result.json").read_bytes()
        put_whole(copy.run(finished) / "result.json", content)
        assert len(reader.read().results) == len(first.results) + 1


def test_jobs_of_an_earlier_driver_are_not_shown_as_running_while_this_process_trains(tmp_path):
    folder, made = driven(tmp_path)
    run = made.jobs[2].runs[-1]
    log(folder, run, 30, trunk=True)
    write_driver(folder, dataclasses.replace(driver(), token="another", jobs=False, device_seconds=5_000.0))
    found = status(folder)
    assert found.jobs == {} and found.failed == () and found.left_out == {}
    assert [(job.phase, job.steps_done) for job in found.active] == [("trunk", 30)]
    assert found.totals.device_seconds == 5_000.0, "what it has spent holds what those before it spent"


def test_watching_ends_where_the_driver_is_gone(tmp_path, monkeypatch, capsys):
    folder, _ = driven(tmp_path)
    monkeypatch.setattr(status_verb, "GONE_SECONDS", 0.3)
    monkeypatch.setattr(status_verb, "SILENT_SECONDS", 0.1)
    assert status_verb.show(folder, status_verb.Wanted(watch=0.1, fit=False)) == 1
    said = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        "no beat of the driver, nor of a worker, for .*: nothing is watched any more", said[-1]
    )
