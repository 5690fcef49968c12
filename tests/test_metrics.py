"""The log and its copies: each step once, whatever kills the writer, read back with the libraries' own readers."""

import json
import random
import signal
import struct
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from scaling.errors import UserError
from scaling.training.event_files import PREFIX, EventFiles, last_step
from scaling.training.metrics import Logs, MetricsLog, check_copies, read

STEPS = range(10, 2001, 10)


def values(step):
    """What the writer under test logs: exact in float32, so that event files return it bitwise."""
    return {"loss": step / 16, "gradient_norm/attention": step / 32}


WRITER = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from scaling.training.metrics import Logs
from test_metrics import STEPS, values

checkpoint = int(sys.argv[2])
study = Path(sys.argv[1])
with Logs(study, ({copy!r},)).open(study / "trunk-0123456789ab" / "metrics.jsonl", "w8 trunk") as log:
    print("open", flush=True)
    for step in STEPS:
        if step > checkpoint:
            log.write(step, **values(step))
            time.sleep(0.002)
"""


def writer(study, checkpoint, copy):
    code = WRITER.format(tests=str(Path(__file__).parent), copy=copy)
    command = [sys.executable, "-c", code, str(study), str(checkpoint)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kill_until_done(study, copy, kills):
    """Kill the writer at random moments; each starts again from a checkpoint before the last step logged."""
    chance, killed = random.Random(0), 0
    for _ in range(kills):
        logged = read(study / "trunk-0123456789ab" / "metrics.jsonl")
        process = writer(study, chance.randrange(logged[-1]["step"] + 1) if logged else 0, copy)
        process.stdout.readline()
        time.sleep(chance.uniform(0, 0.3))
        process.kill()
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
    assert killed > kills / 2, "the writer ended before it could be killed"
    process = writer(study, 0, copy)
    _, errors = process.communicate()
    assert process.returncode == 0, errors


def events(folder):
    """Every scalar in the event files of a folder, (step, tag, value) in order, checksums checked by TensorBoard."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    found = []
    for path in sorted(folder.iterdir()):
        for event in LegacyEventFileLoader(str(path)).Load():
            found += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
    return found


def expected(steps=STEPS):
    return [(step, name, value) for step in steps for name, value in values(step).items()]


def test_a_log_holds_each_step_once_and_leaves_missing_values_out(tmp_path):
    with MetricsLog(tmp_path / "a" / "metrics.jsonl") as log:
        log.write(10, loss=1.5, mfu=None)
        log.write(10, loss=9.0)
        log.write(20, loss=1.25, mfu=0.5)
    with MetricsLog(tmp_path / "a" / "metrics.jsonl") as log:
        assert log.last_step == 20
        log.write(20, loss=9.0)
    records = [{"step": 10, "loss": 1.5}, {"step": 20, "loss": 1.25, "mfu": 0.5}]
    assert read(tmp_path / "a" / "metrics.jsonl") == records


def test_a_half_written_line_is_cut_off_with_all_after_it(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 10}\n{"step": 2\n{"step": 30}\n')
    with MetricsLog(path) as log:
        assert log.last_step == 10
        log.write(20, loss=1.0)
    assert [record["step"] for record in read(path)] == [10, 20]


def test_records_that_a_superseded_process_added_late_are_left_out(tmp_path):
    """Those of its successor stay, before and after."""
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": step}) + "\n" for step in (10, 20, 30, 20, 30, 40)) + '{"st')
    assert [record["step"] for record in read(path)] == [10, 20, 30, 40]
    with MetricsLog(path) as log:
        log.write(40, loss=1.0)
        log.write(50, loss=1.0)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [10, 20, 30, 40, 50]


def test_no_copy_is_made_unless_asked_for(tmp_path):
    with Logs(tmp_path).open(tmp_path / "abcd" / "metrics.jsonl", "w8") as log:
        log.write(10, loss=1.0)
    assert [path.name for path in tmp_path.iterdir()] == ["abcd"]


def test_a_host_that_does_not_write_leaves_no_file(tmp_path):
    logs = Logs(tmp_path, ("tensorboard",), writes=False)
    with logs.open(tmp_path / "abcd" / "metrics.jsonl", "w8") as log:
        log.write(10, loss=1.0)
    assert list(tmp_path.iterdir()) == []


def test_a_run_in_tensorboard_has_the_name_that_a_person_reads(tmp_path):
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

    logs = Logs(tmp_path, ("tensorboard",))
    for folder, name in (("trunk-0123456789ab", "w8 trunk"), ("ba9876543210", "w8-400K")):
        with logs.open(tmp_path / folder / "metrics.jsonl", name) as log:
            log.write(10, tokens=4096, loss=2.5, note="words are no scalars", flag=True)
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(tmp_path / "tensorboard"))
    multiplexer.Reload()
    tags = {run: sorted(found["scalars"]) for run, found in multiplexer.Runs().items()}
    assert tags == {"w8-trunk.89ab": ["loss", "tokens"], "w8-400K.3210": ["loss", "tokens"]}


def test_event_files_of_a_writer_killed_at_random_hold_every_step_once(tmp_path):
    kill_until_done(tmp_path, "tensorboard", kills=4)
    assert events(tmp_path / "tensorboard" / "w8-trunk.89ab") == expected()
    assert len(list((tmp_path / "tensorboard" / "w8-trunk.89ab").iterdir())) > 1


def test_an_event_file_cut_off_anywhere_is_continued_with_what_it_lacks(tmp_path):
    path = tmp_path / "trunk-0123456789ab" / "metrics.jsonl"
    logs, folder = Logs(tmp_path, ("tensorboard",)), tmp_path / "tensorboard" / "t.89ab"
    with logs.open(path, "t") as log:
        for step in STEPS[:3]:
            log.write(step, **values(step))
    (whole,) = folder.iterdir()
    content = whole.read_bytes()
    for cut in range(len(content)):
        for old in folder.iterdir():
            old.unlink()
        whole.write_bytes(content[:cut])
        with logs.open(path, "t") as log:
            log.write(STEPS[2], **values(STEPS[2]))
        assert events(folder) == expected(STEPS[:3]), cut


def test_a_copy_asked_for_later_gets_the_whole_log(tmp_path):
    path = tmp_path / "trunk-0123456789ab" / "metrics.jsonl"
    with Logs(tmp_path).open(path, "t") as log:
        for step in STEPS[:5]:
            log.write(step, **values(step))
    with Logs(tmp_path, ("tensorboard",)).open(path, "t"):
        pass
    assert events(tmp_path / "tensorboard" / "t.89ab") == expected(STEPS[:5])


def test_a_log_that_was_lost_puts_no_step_twice_into_its_copy(tmp_path):
    path = tmp_path / "trunk-0123456789ab" / "metrics.jsonl"
    logs = Logs(tmp_path, ("tensorboard",))
    for steps in (STEPS[:5], STEPS[:7]):
        path.unlink(missing_ok=True)
        with logs.open(path, "t") as log:
            for step in steps:
                log.write(step, **values(step))
    assert events(tmp_path / "tensorboard" / "t.89ab") == expected(STEPS[:7])


def test_two_runs_of_one_name_are_two_in_tensorboard(tmp_path):
    logs = Logs(tmp_path, ("tensorboard",))
    for folder in ("aaaa00000000", "aaaa00000001"):
        with logs.open(tmp_path / folder / "metrics.jsonl", "w8-400K") as log:
            log.write(10, loss=1.0)
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2


def test_many_logs_are_open_at_once(tmp_path):
    logs = Logs(tmp_path, ("tensorboard",))
    names = [f"{number:012x}" for number in range(200)]
    opened = [logs.open(tmp_path / name / "metrics.jsonl", "member") for name in names]
    for log in opened:
        log.write(10, **values(10))
    for log in opened:
        with log:
            pass
    assert all(events(tmp_path / "tensorboard" / f"member.{name[-4:]}") == expected([10]) for name in names)


def test_steps_after_nothing_whole_are_unknown(tmp_path):
    assert last_step(tmp_path / "nothing") == -1
    (tmp_path / f"{PREFIX}0000000010").write_bytes(struct.pack("<Q", 99) + b"torn")
    assert last_step(tmp_path) == -1


def test_a_full_disk_is_an_error_with_its_remedy(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write event files in .*mend that"):
        EventFiles(tmp_path / "file" / "t").write(10, {"loss": 1.0})


@pytest.mark.parametrize("copy", ["tensorboard", "wandb"])
def test_a_missing_library_is_named_with_the_command_that_installs_it(copy, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, copy, raising=False)
    (tmp_path / copy).mkdir()  # a folder of that name, such as W&B makes, is no library
    with pytest.raises(UserError, match=f"--log {copy} needs .*pip install '{copy}>="):
        check_copies((copy,))


class FakeWandb(types.ModuleType):
    """Stands for the library where it is not installed: remembers what it was asked."""

    def __init__(self):
        super().__init__("wandb")
        self.asked, self.logged, self.finished = [], [], 0
        self.Settings, self.dir = dict, "nowhere"

    def init(self, **asked):
        self.asked.append(asked)
        return self

    def log(self, scalars, step):
        self.logged.append((step, scalars))

    def finish(self):
        self.finished += 1


def test_wandb_is_offline_unless_told_and_gets_names_group_and_config(tmp_path, monkeypatch):
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setattr("scaling.training.weights_and_biases.PATIENCE", 0.0)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    path = tmp_path / "trunk-0123456789ab" / "metrics.jsonl"
    with Logs(tmp_path, ("wandb",)).open(path, "w8 trunk", "w8", {"lr": 0.01}) as log:
        assert fake.asked == [], "nothing is started before there is something to log"
        log.write(10, loss=1.5)
        log.write(10, loss=9.0)
    (asked,) = fake.asked
    assert (asked["mode"], asked["project"], asked["name"]) == ("offline", tmp_path.name, "w8-trunk.89ab")
    assert (asked["group"], asked["config"], asked["resume"]) == ("w8", {"lr": 0.01}, None)
    assert asked["id"].startswith("trunk-0123456789ab-")
    assert (fake.logged, fake.finished) == ([(10, {"loss": 1.5})], 1)


def wandb_history(study):
    """Every step and loss in W&B's files, in the order of their start, read by W&B's own protocol buffers."""
    from wandb.proto.wandb_internal_pb2 import Record

    from scaling.training.weights_and_biases import _contents

    found = []
    for path in sorted(study.glob("wandb/*run-*/*.wandb")):
        for content in _contents(path.read_bytes()):
            record = Record.FromString(content)
            if record.HasField("history"):
                items = {item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
                found.append((items["_step"], items["loss"]))
    return found


def test_wandb_files_of_a_writer_killed_at_random_hold_every_step_once(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    kill_until_done(tmp_path, "wandb", kills=2)
    assert wandb_history(tmp_path) == [(step, values(step)["loss"]) for step in STEPS]
    files = [path.name for path in tmp_path.glob("wandb/*run-*/*.wandb")]
    assert len(files) > 1
    assert len(set(files)) == 1, "all belong to one W&B run, whose id is in the name"


def test_a_wandb_run_opened_again_at_once_is_continued(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    for step in STEPS[:3]:  # within one second, by which W&B names its folders
        with Logs(tmp_path, ("wandb",)).open(tmp_path / "aaaa00000000" / "metrics.jsonl", "w8") as log:
            log.write(step, **values(step))
    assert sorted(wandb_history(tmp_path)) == [(step, values(step)["loss"]) for step in STEPS[:3]]


def test_wandb_online_without_a_login_is_refused_before_training(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    code = "from scaling.training.metrics import check_copies; check_copies(('wandb',))"
    environment = {"PATH": "", "HOME": str(tmp_path), "WANDB_MODE": "online"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL, check=False
    )
    assert "UserError: WANDB_MODE is online and nobody is logged in" in done.stderr
