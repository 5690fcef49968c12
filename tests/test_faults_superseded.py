"""A worker that froze until another took its task over writes nothing more when it wakes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from faults import freeze, half_written
from orders import Planned, variant

from scaling.folder import StudyFolder
from scaling.launching.engine import Ending
from scaling.launching.journal import read_beat
from scaling.launching.standing import checkpoint_steps

pytestmark = [pytest.mark.slow, pytest.mark.faults]

IMPATIENT = """
import sys
from scaling.launching.claim import Claim
from scaling.launching.working.worker import main
Claim.take.__defaults__ = (8.0, *Claim.take.__defaults__[1:])
main(*sys.argv[1:])
"""
"""A worker that counts another as dead after eight seconds instead of sixty."""


def impatient(planned, order):
    place = planned.folder.path.parent / f"order-{order.token[:8]}.json"
    place.write_text(order.to_json())
    command = [sys.executable, "-c", IMPATIENT, str(place), str(planned.ending_of(order))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return Ending(**json.loads(planned.ending_of(order).read_text()))


def written(folder):
    """All that is written but logs for people and claims, where each writes to a file of its own; and when it was."""
    return {
        str(path.relative_to(folder.path)): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in folder.path.rglob("*")
        if path.is_file() and path.suffix != ".log" and path.parent.parent.name != "claims"
    }


@pytest.mark.parametrize("saving", [False, True], ids=["in training", "in a save"])
def test_who_was_superseded_in_its_sleep_writes_nothing_when_it_wakes(calm, tmp_path, saving):
    study = variant(StudyFolder(calm.study).study(), budgets=(102400, 204800, 307200))
    made = Planned(study, tmp_path / "tiny", calm.data_folder)
    (task,) = made.tasks(apart=False)
    order = made.order(task, seconds=0.1)
    sleeper = made.start(order)
    freeze_it(made, task, sleeper, saving)
    steps = checkpoint_steps(made.folder.trunk(task.runs[0]))
    ending = impatient(made, made.order(task, attempt=2, seconds=0.1))
    assert ending.kind == "finished"
    before = written(made.folder)
    os.kill(sleeper.pid, signal.SIGCONT)
    said, _ = sleeper.communicate(timeout=60)
    assert sleeper.returncode == 0, said
    ending = Ending(**json.loads(made.ending_of(order).read_text()))
    assert (ending.kind, ending.reason) == ("lost", "another attempt at the same task has taken it over")
    came = {path for path, when in written(made.folder).items() if before.get(path) != when}
    assert all(saving and "/checkpoints/" in path for path in came), came  # the save in flight may end
    ours = calm.numbers(made.folder.path)
    assert len(ours) == 7 and ours.items() <= calm.numbers().items()
    log = made.log(task)
    assert log.index("--- attempt 2") < log.index("--- finished") < log.index("--- lost")
    lose_the_end(made, task, steps)
    ending = impatient(made, made.order(task, attempt=3, seconds=0.1))
    assert ending.kind == "finished"
    assert calm.numbers(made.folder.path) == ours


def lose_the_end(made, task, steps):
    """Take away results and checkpoints, but those of the trunk that the sleeper had saved or was saving."""
    for run in task.runs:
        shutil.rmtree(made.folder.run(run))
    trunk = made.folder.trunk(task.runs[0]) / "checkpoints"
    for step in checkpoint_steps(made.folder.trunk(task.runs[0])):
        if step > 319 or step in steps:
            shutil.rmtree(trunk / str(step))


def freeze_it(made, task, process, saving):
    """Stop a worker after its first checkpoints, in the midst of a save where that is wanted."""
    end = time.monotonic() + 120
    while True:
        assert process.poll() is None and time.monotonic() < end
        beat = read_beat(made.folder, task.task_id)
        steps = checkpoint_steps(made.folder.trunk(task.runs[0]))
        ready = beat and beat.phase == "training" and steps and steps[-1] > 100
        if ready and (not saving or half_written(made.folder.path)):
            freeze(process.pid)
            time.sleep(0.01)
            if not saving or half_written(made.folder.path):
                return
            os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.001)
