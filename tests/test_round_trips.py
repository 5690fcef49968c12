"""What a driver asks of a bucket, counted: one answer after another is what takes time where each takes 30 ms."""

import json
import threading
import time
from pathlib import Path

import fsspec
import pytest
from etils.epath import backend
from fake_engine import FakeEngine, VirtualTime
from test_storage import Memory

from scaling.errors import UserError
from scaling.execution import Execution
from scaling.folder import StudyFolder, write_whole
from scaling.launching import current_table
from scaling.launching.current_table import CurrentTable
from scaling.launching.driving.driver import launch_study
from scaling.launching.driving.ledger import Ledger
from scaling.launching.driving.pending import Results
from scaling.launching.driving.scheduler import Scheduler
from scaling.launching.driving.watch import Watch
from scaling.launching.journal import Attempt, Beat, Job, write_beat, write_job
from scaling.launching.launch import Launch
from scaling.launching.recording import Recording
from scaling.launching.task import tasks_of
from scaling.plan import Recipe, make_plan, product
from scaling.population import populations
from scaling.results import done
from scaling.spec import Data, Model, Optim, Study
from scaling.storage import READERS, admit

ALONE = Launch(on="ray", branches="apart", max_device_hours=100.0)


class Counted(Memory):
    """Counts what is asked by the thread that drives, and by those that read for it; answers after `wait` seconds."""

    serial, pooled, wait = 0, 0, 0.0

    @classmethod
    def asked(cls):
        if threading.current_thread() is threading.main_thread():
            cls.serial += 1
        else:
            cls.pooled += 1
        time.sleep(cls.wait)

    @classmethod
    def round_trips(cls):
        return cls.serial + cls.pooled / READERS

    def cat_file(self, *args, **options):
        self.asked()
        return super().cat_file(*args, **options)

    def pipe_file(self, *args, **options):
        self.asked()
        return super().pipe_file(*args, **options)

    def ls(self, *args, **options):
        self.asked()
        return super().ls(*args, **options)

    def info(self, *args, **options):
        self.asked()
        return super().info(*args, **options)


@pytest.fixture
def folder(tmp_path):
    """The folder of a study in a bucket that counts."""
    fsspec.register_implementation("az", Counted, clobber=True)
    admit("az")
    forget = (
        backend._FileSystemSpecBackend._get_filesystem.cache_clear
    )  # epath keeps what other tests registered
    forget()
    Memory.store.clear()
    yield StudyFolder(f"az://bucket/{tmp_path.name}/counted")
    Counted.wait = 0.0
    forget()


def a_plan(seeds=25):
    recipe = Recipe(data=Data(context=64), optim=Optim(batch_tokens=1024))
    model = Model(context=64, width=64, depth=1, heads=1)
    return make_plan(Study(name="counted", runs=product([model], [1e6, 2e6, 4e6, 8e6], recipe, range(seeds))))


def tasks(plan, apart=True):
    return tasks_of(populations(plan.jobs, lambda _: 1), apart)


class Ordered(Exception):
    """The first order was given."""


class Ready(FakeEngine):
    """Ends with the first order."""

    def submit(self, order):
        raise Ordered


def begun(folder, plan):
    """A study whose driver died in the middle: half the runs done, an attempt at everything, checkpoints."""
    for task in tasks(plan):
        job = Job(
            task.task_id,
            task.name,
            task.part,
            task.population.trunk_ids,
            (),
            task.steps,
            task.flops,
            "running",
        )
        write_job(folder, Job(**job.__dict__ | {"attempts": (Attempt(1, 0.0),)}))
        write_beat(folder, task.task_id, Beat(1, 3, 0.0, "host", 1, "training"))
    for job in plan.jobs:
        for run in job.runs[:2]:
            write_whole(
                folder.run(run) / "result.json",
                json.dumps(done(run, None, L=2.0, bpb=None, device_seconds=1.0)),
            )
        for run in job.runs:
            write_whole(folder.trunk(run) / "checkpoints" / str(run.decay_start) / "commit_success.txt", "")


@pytest.mark.parametrize("restarted", [False, True])
def test_a_driver_starts_in_a_fifth_of_a_round_trip_a_run(folder, restarted):
    plan, clock = a_plan(), VirtualTime()
    if restarted:
        begun(folder, plan)
    Counted.serial = Counted.pooled = 0
    with pytest.raises(Ordered):
        launch_study(
            plan, folder, Path("data"), Recording(), Execution(), ALONE, Ready(clock, places=64), clock
        )
    fixed = 20  # the study's own files, its lock and the first order
    assert Counted.round_trips() - fixed < 0.2 * len(plan.study.runs)


def watching(folder, plan, apart=True):
    """A watch of all trunks of a plan, under way as attempts of their own or with their branches."""
    results = Results(folder, plan.study.runs)
    ledger = Ledger(results.survey, ALONE)
    scheduler = Scheduler(tasks(plan, apart), spending=ledger.spending)
    watch = Watch(folder, scheduler, ledger, results)
    while (entry := scheduler.start(0.0)) is not None:
        ledger.begin(entry)
        write_beat(folder, entry.task_id, Beat(1, 1, 0.0, "host", 1, "training", message="a  done"))
    return watch


def test_a_look_holds_the_driver_up_for_a_second_at_most_however_slow_the_bucket_is(folder):
    watch = watching(folder, a_plan())
    Counted.wait = 1.5
    began = time.monotonic()
    watch.look(0.0)
    assert time.monotonic() - began < 1.4
    assert not watch.beats
    Counted.wait = 0.0
    until = time.monotonic() + 30
    while len(watch.beats) < 25:
        assert time.monotonic() < until
        watch.look(0.0)
        time.sleep(0.05)


def test_results_are_asked_for_where_a_beat_says_something_new_and_not_again(folder):
    plan = a_plan(seeds=2)
    watch = watching(folder, plan, apart=False)
    watch.look(0.0)
    Counted.pooled = 0
    watch.look(0.0)
    assert Counted.pooled == len(watch.scheduler.active) == 2, "their beats, and nothing else"
    run = plan.jobs[0].runs[0]
    write_whole(
        folder.run(run) / "result.json", json.dumps(done(run, None, L=2.0, bpb=None, device_seconds=1.0))
    )
    watch.look(0.0)
    assert not watch.results.outcomes
    for task_id in watch.scheduler.active:
        write_beat(folder, task_id, Beat(1, 2, 0.0, "host", 1, "training", message="b  done"))
    watch.look(0.0)
    assert list(watch.results.outcomes) == [run]


def test_an_answer_that_comes_after_its_attempt_has_ended_is_not_heard(folder):
    watch = watching(folder, a_plan(seeds=1))
    (task_id,) = watch.scheduler.active
    Counted.wait = 1.2
    watch.look(0.0)
    entry = watch.scheduler.active[task_id]
    Counted.wait = 0.0
    watch.ledger.begin(entry)
    time.sleep(1.0)
    watch.look(0.0)
    assert not watch.beats


def test_the_table_is_made_aside_where_it_takes_long_and_is_never_older_than_the_last(folder):
    plan, now = a_plan(seeds=1), [0.0]
    for run in plan.study.runs:
        write_whole(
            folder.run(run) / "result.json", json.dumps(done(run, None, L=2.0, bpb=None, device_seconds=1.0))
        )
    with CurrentTable(plan.study, folder, lambda: now[0]) as table:
        table.keep(4)
        assert not folder.table_csv.exists(), "it is not time yet"
        now[0], Counted.wait = 61.0, 0.7
        began = time.monotonic()
        table.keep(4)
        assert time.monotonic() - began < 1.6 and not folder.table_csv.exists()
    Counted.wait = 0.0
    assert len(folder.table_csv.read_text().splitlines()) >= 5


def test_a_table_that_cannot_be_written_is_told_to_whoever_keeps_it(folder, monkeypatch):
    def refuses(study, of):
        raise UserError("no space")

    monkeypatch.setattr(current_table, "collect", refuses)
    now = [0.0]
    table = CurrentTable(a_plan(seeds=1).study, folder, lambda: now[0])
    now[0] = 61.0
    with pytest.raises(UserError, match="no space"):
        table.keep(1)
    table.keep(1)  # not at once again
