"""The driver on an engine in virtual time: order, retries, cap, deadline, signals, and a driver that comes after."""

import json
import os
import signal
from pathlib import Path

import pytest
from fake_engine import FakeEngine, VirtualTime

from scaling.errors import UserError
from scaling.execution import Execution
from scaling.folder import StudyFolder
from scaling.launching.driving.driver import launch_study
from scaling.launching.driving.hosts import Hosts
from scaling.launching.driving.ticker import Standing, ticker
from scaling.launching.engine import Ending
from scaling.launching.journal import read_driver, read_jobs
from scaling.launching.launch import Launch
from scaling.launching.places import in_this_process
from scaling.launching.recording import Recording
from scaling.plan import Recipe, make_plan, product
from scaling.spec import Data, Model, Optim, Study
from scaling.table import read


def study(widths=(8, 16), budgets=(25600, 76800), seeds=1):
    recipe = Recipe(data=Data(context=32), optim=Optim(batch_tokens=256))
    models = [Model(context=32, width=width, depth=1, heads=1) for width in widths]
    return Study(name="fake", question="?", runs=product(models, budgets, recipe, range(seeds)))


class Launched:
    """A study in a folder of its own, launched as often as the test likes."""

    def __init__(self, path, spec=None):
        self.plan = make_plan(spec or study())
        self.folder = StudyFolder(path / "fake")
        self.clock = VirtualTime()

    def __call__(self, launch=None, execution=None, **engine):
        self.engine = FakeEngine(self.clock, **engine)
        launch = launch or Launch(branches="together")
        return launch_study(
            self.plan,
            self.folder,
            Path("data"),
            Recording(),
            execution or Execution(),
            launch,
            self.engine,
            self.clock,
        )

    def jobs(self):
        return {job.name: job for job in self.jobs_by_id().values()}

    def jobs_by_id(self):
        return read_jobs(self.folder)


@pytest.fixture
def launched(tmp_path):
    return Launched(tmp_path)


def names(engine):
    return [task.name for _, task, _ in engine.orders]


def test_every_job_is_trained_once_and_the_table_has_every_run(launched, capsys):
    outcome = launched()
    assert (outcome.finished, outcome.trained, outcome.exit_code) == (4, 4, 0)
    assert len(read(launched.folder.table_csv)) == 4
    assert [len(names(launched.engine)), launched.engine.closed] == [2, True]
    assert {job.state for job in launched.jobs().values()} == {"done"}
    assert read_driver(launched.folder).state == "finished"
    said = capsys.readouterr().out
    assert "2 attempts now (2 finished)" in said
    assert [line[:5] for line in said.splitlines() if line[0] == "["] == ["[1/4]", "[2/4]", "[3/4]", "[4/4]"]


def test_the_longest_job_goes_first_and_no_more_run_than_were_asked_for(tmp_path):
    launched = Launched(tmp_path, study(widths=(8, 16, 32), seeds=2))
    launched(Launch(jobs_at_once=2), places=6)
    first = [name.split("-")[0] for name in names(launched.engine)]
    assert first == ["w32", "w32", "w16", "w16", "w8", "w8"]
    assert launched.engine.most == 2


def test_a_branch_begins_when_its_trunk_has_come_to_it_and_not_before(launched):
    launched(Launch(branches="apart"), places=8)
    began = {task.name: (at, task) for at, task, _ in launched.engine.orders}
    assert len(began) == 6
    trunks = {task.population.trunk_ids: at for at, task in began.values() if task.part == "trunk"}
    for at, task in began.values():
        if task.part == "branch":
            waited = at - trunks[task.population.trunk_ids]
            assert task.leaves / 10 <= waited <= task.leaves / 10 + 3


def test_branches_are_set_apart_where_there_are_more_places_than_jobs(launched):
    launched(Launch(), places=8)
    assert {task.part for _, task, _ in launched.engine.orders} == {"trunk", "branch"}


def test_lost_and_interrupted_jobs_are_tried_again_without_limit(launched, capsys):
    outcome = launched(script={"w16": ["lost", "interrupted"] * 10}, gained=1)
    assert outcome.exit_code == 0
    attempts = launched.jobs()["w16-d1-lr0.003-s0"].attempts
    assert [attempt.number for attempt in attempts] == list(range(1, 22))
    assert "told to end as lost; it is tried again, at once" in capsys.readouterr().out


def test_an_attempt_that_is_lost_costs_all_its_devices(launched):
    launch = Launch(accelerators=8, branches="together")
    assert launched(launch, devices=8, places=2, script={"w": ["lost"]}).exit_code == 0
    attempts = [attempt for job in launched.jobs().values() for attempt in job.attempts]
    assert sorted((attempt.ending, attempt.devices) for attempt in attempts) == [
        ("finished", 8),
        ("finished", 8),
        ("lost", 8),
    ]
    spent = 8 * sum(attempt.seconds for attempt in attempts)
    assert read_driver(launched.folder).device_seconds == pytest.approx(spent)


def test_a_job_that_always_crashes_is_given_up_and_the_others_are_trained(launched, capsys):
    (launched.folder.path / "jobs").mkdir(parents=True)
    outcome = launched(Launch(crashes=2), places=2, script={"w16": ["failed"] * 9})
    assert (outcome.finished, outcome.failed, outcome.exit_code) == (2, 2, 1)
    job = launched.jobs()["w16-d1-lr0.003-s0"]
    assert (job.state, job.reason, len(job.attempts)) == ("failed", "told to end as failed", 3)
    waits = [later.started for later in job.attempts]
    assert len(waits) == 3
    assert "failed: w16-d1-lr0.003-s0: told to end as failed" in capsys.readouterr().out


def test_a_job_that_was_given_up_is_tried_once_by_each_new_call_and_more_where_more_crashes_are_allowed(
    launched,
):
    tries = []
    for crashes in (2, 2, 4):
        launched(Launch(crashes=crashes, branches="together"), script={"w16": ["failed"] * 9})
        tries.append(sum(name.startswith("w16") for name in names(launched.engine)))
    assert tries == [3, 1, 1]
    launched(Launch(crashes=8, branches="together"), script={"w16": ["failed"] * 9})
    assert sum(name.startswith("w16") for name in names(launched.engine)) == 4
    assert launched(Launch(crashes=2, branches="together")).exit_code == 0


def test_progress_that_a_lost_worker_could_not_tell_is_read_from_its_files(launched):
    launched(script={"w16": ["lost"] * 3}, gained=7)
    attempts = launched.jobs()["w16-d1-lr0.003-s0"].attempts
    assert [attempt.steps for attempt in attempts[:3]] == [7, 7, 7]


def test_the_deadline_goes_on_in_a_call_with_the_same_number_and_begins_anew_with_another(launched):
    short = Launch(deadline_hours=20 / 3600, branches="together")
    for _ in range(2):
        launched(short, places=1, speed=1e-3, at_poll=stop_at(30))
        assert len(launched.engine.orders) == 1
    assert read_driver(launched.folder).launched_seconds > 20
    assert launched(short).left_out == 4
    assert launched(Launch(deadline_hours=1, branches="together")).exit_code == 0


def test_a_refused_job_is_not_tried_again(launched):
    outcome = launched(script={"w8": ["refused"]})
    assert (outcome.failed, outcome.exit_code) == (2, 1)
    assert len(launched.jobs()["w8-d1-lr0.003-s0"].attempts) == 1


def test_a_host_that_refuses_gets_no_more_jobs_while_there_are_others(tmp_path, capsys):
    launched = Launched(tmp_path, study(widths=(8, 16, 32, 64)))
    outcome = launched(Launch(on="ray", branches="together"), places=1, hosts=("bad", "good"), bad=("bad",))
    assert (outcome.finished, outcome.exit_code) == (8, 0)
    hosts = [attempt.host for job in launched.jobs().values() for attempt in job.attempts]
    assert sorted(hosts) == ["bad", "good", "good", "good", "good"]
    assert (
        "nothing more is given to bad while there are others: told to end as refused"
        in capsys.readouterr().out
    )


def test_where_all_hosts_refuse_each_job_fails_on_two_of_them(launched):
    launch = Launch(on="ray", branches="together")
    assert launched(launch, hosts=("a", "b", "c"), bad=("a", "b", "c")).failed == 4
    assert [len(job.attempts) for job in launched.jobs().values()] == [2, 2]
    assert all("(so on " in job.reason for job in launched.jobs().values())


def test_hosts_are_avoided_after_three_failures_of_different_tasks_without_one_that_got_on():
    hosts, failed = Hosts(), Ending("failed", "no space left", host="a")
    heard = [hosts.heard(task, failed) for task in ("1", "1", "1", "2")]
    assert heard == [False] * 4
    assert not hosts.heard("3", Ending("lost", host="a", steps=5))
    assert [hosts.heard(task, failed) for task in "1234"] == [False, False, True, False]
    assert hosts.avoid == {"a": "no space left"}


def test_a_diverged_run_is_a_finished_run(launched):
    outcome = launched(diverging=["w8"])
    assert (outcome.finished, outcome.diverged, outcome.exit_code) == (4, 2, 0)


def test_of_a_trunk_that_failed_the_branches_without_their_checkpoint_fail_with_its_reason(launched):
    outcome = launched(Launch(branches="apart"), places=8, script={"w8-d1-lr0.003-s0 trunk": ["refused"]})
    assert (outcome.finished, outcome.failed) == (3, 1)
    reasons = [
        job.reason for job in launched.jobs().values() if job.part == "branch" and job.state == "failed"
    ]
    assert reasons == ["its trunk failed: told to end as refused"]


def test_a_finished_job_without_its_results_has_failed(launched, monkeypatch):
    monkeypatch.setattr(FakeEngine, "_end", lambda self, order, *rest: _only_said(self, order))
    outcome = launched(Launch(crashes=0))
    assert outcome.failed == 4
    assert "not all its results are there" in launched.jobs()["w8-d1-lr0.003-s0"].reason


def _only_said(engine, order):
    del engine.at_work[order.task_id]
    return order.task_id, Ending("finished")


def stop_at(polls, times=1):
    def at_poll(engine):
        if engine.polls == polls:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGTERM)

    return at_poll


def test_a_signal_stops_all_jobs_at_a_checkpoint_and_the_next_call_goes_on(launched, capsys):
    outcome = launched(at_poll=stop_at(3), places=1)
    assert (outcome.interrupted, outcome.exit_code, len(launched.engine.stopped)) == (True, 75, 1)
    assert read_driver(launched.folder).state == "interrupted"
    assert "stopping as asked; jobs that save their work first: 1" in capsys.readouterr().out
    assert launched().exit_code == 0
    assert max(len(job.attempts) for job in launched.jobs().values()) == 2


def test_a_second_driver_is_refused_while_the_first_holds_the_study(launched):
    with launched.folder.locked(), pytest.raises(UserError, match="is being run by"):
        launched()
    assert launched.engine.closed


class Dies(BaseException):
    """What SIGKILL is to a driver, as far as a test can say it in one process."""


def test_what_a_dead_driver_spent_counts_and_its_jobs_are_ordered_again(launched):
    def die(engine):
        if engine.polls == 20:
            raise Dies

    with pytest.raises(Dies):
        launched(at_poll=die, places=1)
    begun = [job for job in launched.jobs().values() if job.attempts]
    assert [attempt.ending for attempt in begun[0].attempts] == [""]
    outcome = launched(places=1)
    assert outcome.exit_code == 0
    attempts = launched.jobs()[begun[0].name].attempts
    assert [(attempt.number, attempt.ending) for attempt in attempts] == [(1, "lost"), (2, "finished")]
    assert attempts[0].seconds > 0


def test_jobs_of_earlier_drivers_that_are_no_tasks_any_more_are_settled_by_their_files(launched):
    launched(Launch(branches="apart"), places=8, at_poll=stop_at(20))
    launched(Launch(branches="together"))
    jobs = launched.jobs_by_id().values()
    assert {job.state for job in jobs if job.part == "whole"} == {"done"}
    trunks = {(job.state, job.reason) for job in jobs if job.part == "trunk"}
    assert trunks == {
        ("left_out", "its runs are trained in other jobs, or are no part of the study any more")
    }
    assert all(attempt.ending for job in jobs for attempt in job.attempts)


def test_a_trunk_that_was_left_running_and_has_its_checkpoints_is_done(launched):
    """As where the driver is killed between the trunk's last checkpoint and its end."""

    def die(engine):
        trunks = [order for order, task, *_ in engine.at_work.values() if task.part == "trunk"]
        if engine.polls > 40 and trunks:
            engine._checkpoints(launched.folder, engine.task_of(trunks[0]), 10**6)
            raise Dies

    with pytest.raises(Dies):
        launched(Launch(branches="apart"), places=8, at_poll=die)
    assert launched(Launch(branches="apart"), places=8).exit_code == 0
    jobs = launched.jobs_by_id().values()
    assert {job.state for job in jobs} == {"done"}
    assert all(attempt.ending for job in jobs for attempt in job.attempts)


def test_nothing_is_begun_after_the_deadline(launched, capsys):
    outcome = launched(Launch(deadline_hours=20 / 3600), places=1)
    assert (outcome.finished, outcome.left_out, outcome.exit_code) == (2, 2, 75)
    assert (
        "left out: w8-d1-lr0.003-s0: it was not begun before --deadline-hours had passed"
        in capsys.readouterr().out
    )


def test_a_cap_leaves_out_what_would_pass_it_and_trains_the_cheapest(tmp_path, capsys):
    launched = Launched(tmp_path, study(widths=(8, 16, 32, 64)))
    seconds = [job.flops / 1e9 for job in launched.plan.jobs]
    cap = Launch(max_device_hours=(seconds[0] + seconds[1] + seconds[2] / 2) / 3600)
    outcome = launched(cap, places=1, flops=1e9)
    assert (outcome.finished, outcome.left_out, outcome.exit_code) == (4, 4, 75)
    assert [name.split("-")[0] for name in names(launched.engine)] == ["w8", "w16"]
    out = capsys.readouterr().out
    assert "left out: w64-d1-lr0.003-s0: " in out and "would pass --max-device-hours" in out
    again = launched(cap, places=1, flops=1e9)
    assert (again.trained, again.left_out) == (0, 4)


def test_what_runs_past_the_cap_is_stopped_at_a_checkpoint(launched):
    outcome = launched(Launch(max_device_hours=5 / 3600), places=2)
    assert (outcome.finished, outcome.left_out, outcome.exit_code) == (0, 4, 75)
    assert len(launched.engine.stopped) == 2
    assert read_driver(launched.folder).device_seconds < 20


def test_populations_stay_together_as_they_were_begun(tmp_path):
    launched = Launched(tmp_path, study(widths=(8,), seeds=4))
    launched(execution=Execution(pack=4), at_poll=stop_at(2))
    launched()
    assert {len(task.population.jobs) for _, task, _ in launched.engine.orders} == {4}


def test_orders_are_json_without_loss(launched):
    from scaling.launching.engine import Order

    launched()
    for _, task, order in launched.engine.orders:
        assert Order.from_json(order.to_json()) == order
        assert order.task_id == task.task_id
        assert json.loads(order.to_json())["spec_sha256"] == launched.plan.study.spec_sha256


@pytest.mark.parametrize(
    "launch",
    [Launch(cpus=2), Launch(crashes=1), Launch(branches="apart"), Launch(jobs_at_once=1, accelerators=1)],
    ids=["cpus", "crashes", "branches", "accelerators"],
)
def test_options_that_do_nothing_in_this_process_are_refused(launch):
    with pytest.raises(
        UserError, match="does nothing where jobs are trained one after another in this process"
    ):
        in_this_process(launch)


def test_jobs_are_trained_in_this_process_unless_several_accelerators_of_their_own_or_ray_are_asked_for():
    assert in_this_process(Launch(max_device_hours=1, deadline_hours=1))
    elsewhere = (Launch(jobs_at_once=2, cpus=2), Launch(accelerators=1), Launch(on="ray", branches="apart"))
    assert not any(in_this_process(launch) for launch in elsewhere)


def test_what_a_person_sees_is_a_line_every_ten_seconds_and_a_bar_in_a_terminal(capsys, monkeypatch):
    clock = VirtualTime()
    standing = Standing(3, 1, 40, 100, 2.5e9, 1e10, 1.2e6)
    with ticker(clock) as plain:
        for clock.now in (5.0, 10.0, 12.0):
            plain.show(standing)
    line = "3 running, 1 queued, 40 of 100 runs finished, 25 % of the FLOPs, 1.2M tokens/s, about 30 s left"
    assert capsys.readouterr().out == line + "\n"
    begun = Standing(2, 0, 0, 8, 0.0, 1e10, 0.0, ("compiling", "training"))
    assert "0 % of the FLOPs, 1 compiling, 1 beginning to train, just begun" in begun.line("just begun")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with ticker(clock) as live:
        live.say("[1/2] a line")
        clock.now = 30.0
        live.show(standing)
    assert type(live).__name__ == "LiveTicker"
    assert "[1/2] a line" in capsys.readouterr().out
