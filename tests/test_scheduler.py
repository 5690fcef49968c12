"""The scheduler alone: time is an argument, and nothing is trained."""

import itertools
import time

import pytest

from scaling.launching.driving.entry import Policy
from scaling.launching.driving.scheduler import Scheduler
from scaling.launching.driving.spending import Spending
from scaling.launching.engine import Ending
from scaling.launching.task import Task, tasks_of
from scaling.plan import Recipe, make_plan, product
from scaling.population import Population
from scaling.spec import Data, Model, Optim, Study


def jobs(widths=(8, 16), budgets=(25600, 51200, 102400), seeds=1):
    recipe = Recipe(data=Data(context=32), optim=Optim(batch_tokens=256))
    models = [Model(context=32, width=width, depth=1, heads=1) for width in widths]
    return make_plan(Study(name="s", runs=product(models, budgets, recipe, range(seeds)))).jobs


def tasks(apart=False, **options):
    return tasks_of([Population((job,)) for job in jobs(**options)], apart)


def one(**policy):
    return Scheduler(tasks(widths=(8,)), Policy(**policy))


def began(scheduler, now=0.0):
    return [entry.task for entry in iter(lambda: scheduler.start(now), None)]


def ending(kind, seconds=10.0, steps=0):
    return Ending(kind, f"it was {kind}", seconds, 1, steps=steps)


def test_the_longest_chain_goes_first_with_a_trunk_before_small_branches():
    scheduler = Scheduler(tasks(apart=True, widths=(8, 16, 32)))
    assert [(t.part, t.population.jobs[0].runs[0].model.width) for t in began(scheduler)] == [
        ("trunk", 32),
        ("trunk", 16),
        ("trunk", 8),
    ]


def test_flops_of_a_trunk_and_its_branches_are_those_of_the_whole():
    for whole, *_ in [tasks(widths=(8,))]:
        parts = tasks(apart=True, widths=(8,))
        assert sum(part.flops for part in parts) == pytest.approx(whole.flops, rel=1e-12)
        assert sum(part.steps for part in parts) == whole.steps == whole.population.jobs[0].steps


def test_a_branch_begins_at_its_trunks_checkpoint_or_at_the_trunks_end():
    scheduler = Scheduler(tasks(apart=True, widths=(8,)))
    (trunk,) = began(scheduler)
    branches = sorted((t for t in scheduler.tasks if t.part == "branch"), key=lambda t: t.leaves)
    scheduler.reached(trunk.task_id, branches[0].leaves - 1)
    assert began(scheduler) == []
    scheduler.reached(trunk.task_id, branches[0].leaves)
    scheduler.reached(trunk.task_id, branches[0].leaves)
    assert began(scheduler) == [branches[0]]
    scheduler.end(trunk.task_id, ending("finished", steps=trunk.steps), 10.0)
    assert began(scheduler) == [branches[2], branches[1]]


def test_a_branch_whose_trunk_is_no_task_waits_for_nothing():
    made = [task for task in tasks(apart=True, widths=(8,)) if task.part == "branch"]
    assert len(began(Scheduler(made))) == 3


def attempts(scheduler, kind, most=1000, **ends):
    """Start and end the one task again and again; the times at which it was begun."""
    now, begun = 0.0, []
    for _ in range(most):
        entry = scheduler.start(now)
        if entry is None:
            if (wake := scheduler.next_wake(now)) is None:
                break
            now = wake
            continue
        begun.append(now)
        scheduler.end(entry.task_id, ending(kind, **ends), now)
    return begun


def test_a_job_that_fails_is_tried_again_so_many_times_with_pauses_that_double():
    assert attempts(one(crashes=3), "failed") == [0, 1, 3, 7]
    assert attempts(one(crashes=0), "failed") == [0]
    pauses = [b - a for a, b in itertools.pairwise(attempts(one(crashes=9), "failed"))]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_failures_after_steps_that_were_saved_forgive_those_before():
    scheduler = one(crashes=2)
    assert len(attempts(scheduler, "failed", most=90, steps=1)) == 45
    assert len(attempts(scheduler, "failed", most=90)) == 2
    (entry,) = scheduler.entries.values()
    assert entry.state == "failed"


def test_failures_of_earlier_drivers_count_and_who_calls_again_gets_one_try_at_least():
    (task,) = tasks(widths=(8,))
    for earlier, tries in ((0, 4), (2, 2), (3, 1), (9, 1)):
        scheduler = Scheduler([task], Policy(crashes=3), tries={task.task_id: (earlier, 0)})
        assert len(attempts(scheduler, "failed")) == tries


def refused(host, at_fault="node"):
    return Ending("refused", "it has no data", 1.0, 1, host, at_fault=at_fault)


def test_what_one_host_refuses_is_tried_elsewhere_and_given_up_when_two_refuse():
    scheduler = one()
    for now, host, state in ((0.0, "a", "waiting"), (1.0, "b", "failed")):
        entry = scheduler.start(now)
        scheduler.end(entry.task_id, refused(host), now)
        assert entry.state == state
    assert (entry.avoid, entry.reason) == (("a", "b"), "it has no data (so on a, and on b)")


@pytest.mark.parametrize(("policy", "tries"), [({}, 2), ({"one_host": True}, 1)], ids=["same", "alone"])
def test_what_the_only_host_refuses_is_given_up(policy, tries):
    scheduler = one(**policy)
    for now in range(tries):
        entry = scheduler.start(now)
        scheduler.end(entry.task_id, refused("a"), now)
    assert (entry.state, entry.reason) == ("failed", "it has no data")


def test_what_could_not_be_ordered_waits_as_before():
    scheduler = one()
    scheduler.put_back(scheduler.start(0.0).task_id)
    assert (scheduler.waiting, len(scheduler.active), scheduler.start(0.0).attempts) == (1, 0, 1)


@pytest.mark.parametrize("kind", ["lost", "interrupted"])
def test_what_is_lost_or_preempted_with_progress_is_tried_again_at_once_for_ever(kind):
    assert attempts(one(), kind, most=500, steps=1) == [0.0] * 500


def test_a_job_that_is_always_lost_without_progress_is_given_up():
    scheduler = one(crashes=2, stalls=5)
    begun = attempts(scheduler, "lost")
    assert len(begun) == 15
    (entry,) = scheduler.entries.values()
    assert (entry.state, entry.reason) == ("failed", "it was lost")


def test_preemptions_without_progress_are_tried_again_for_ever_after_pauses():
    begun = attempts(one(), "interrupted", most=400)
    assert begun[-1] - begun[-2] == 60
    assert len(begun) == 200


def test_what_is_refused_is_never_tried_again_and_takes_its_branches_with_it():
    scheduler = Scheduler(tasks(apart=True, widths=(8,)))
    (trunk,) = began(scheduler)
    scheduler.end(trunk.task_id, ending("refused"), 1.0)
    assert {entry.state for entry in scheduler.entries.values()} == {"failed"}
    branch = next(entry for entry in scheduler.entries.values() if entry.task.part == "branch")
    assert branch.reason == "its trunk failed: it was refused"
    assert scheduler.over(1.0)


def test_nothing_is_begun_at_the_deadline_and_what_waits_is_left_out_when_all_has_ended():
    scheduler = Scheduler(tasks(widths=(8, 16)), Policy(deadline=100.0))
    running = scheduler.start(99.0)
    assert scheduler.start(100.0) is None
    assert not scheduler.over(100.0)
    scheduler.end(running.task_id, ending("finished"), 150.0)
    assert scheduler.over(150.0)
    left = [entry for entry in scheduler.entries.values() if entry.state == "left_out"]
    assert [entry.reason for entry in left] == ["it was not begun before --deadline-hours had passed"]


def test_a_pause_beyond_the_deadline_is_not_waited_for():
    scheduler = one(deadline=10.5)
    entry = scheduler.start(10.0)
    scheduler.end(entry.task_id, ending("failed"), 10.0)
    assert scheduler.over(10.0)


def test_under_a_cap_the_cheapest_go_first_and_what_would_pass_it_is_left_out():
    made = tasks(widths=(8, 16, 32, 64))
    pace = 1e9
    costs = sorted(task.flops / pace for task in made)
    cap = costs[0] + costs[1] + costs[2] / 2
    scheduler = Scheduler(made, spending=Spending(cap))
    scheduler.spending.suppose(made[0].step_flops, pace)
    first, second = began(scheduler)
    assert [task.flops / pace for task in (first, second)] == costs[:2]
    for task, cost in zip((first, second), costs, strict=False):
        scheduler.end(task.task_id, ending("finished", cost, task.steps), cost)
    assert scheduler.start(1e3) is None
    assert scheduler.over(1e3)
    assert scheduler.spent(1e3) <= cap
    assert [e.state for e in scheduler.entries.values()].count("left_out") == 2


def test_a_cap_that_is_large_enough_changes_no_order():
    made = tasks(widths=(8, 16, 32))
    scheduler = Scheduler(made, spending=Spending(1e9))
    scheduler.spending.suppose(made[0].step_flops, 1e9)
    assert began(scheduler) == began(Scheduler(made))


def test_what_runs_longer_than_thought_is_over_the_cap():
    scheduler = Scheduler(tasks(widths=(8,)), spending=Spending(100.0, spent=40.0))
    entry = scheduler.start(0.0)
    assert not scheduler.over_cap(1000.0)  # it waits for a place: no worker has been heard of
    scheduler.running(entry.task_id, 1000.0, devices=4)
    assert not scheduler.over_cap(1014.0)
    assert scheduler.over_cap(1015.0)
    scheduler.end(entry.task_id, ending("interrupted", 60.0, 5), 1015.0)
    assert scheduler.over(1015.0)
    assert "would pass --max-device-hours" in entry.reason


def test_the_pace_is_that_of_ended_attempts_of_the_nearest_size_with_their_overheads():
    spending = Spending()
    assert spending.estimate(1e9, 1e12) is None
    spending.suppose(1e9, 1e10)
    assert spending.estimate(1e9, 1e12) == 100.0
    spending.pay(1e9, 200.0, 1e12)
    spending.pay(1e12, 10.0, 1e13)
    assert spending.estimate(1e9, 1e12) == 200.0
    assert spending.estimate(3e9, 1e12) == 200.0
    assert spending.estimate(1e11, 1e12) == 1.0
    spending.pay(1e12, 10.0, 0.0)  # an attempt that kept nothing tells nothing of the pace, and costs
    assert (spending.estimate(1e11, 1e12), spending.spent) == (1.0, 220.0)


def test_ten_thousand_tasks_are_begun_and_ended_within_seconds_of_processor_time():
    runs = jobs(widths=(8,), budgets=(25600,))
    population = Population(runs)
    made = [_Named(population, name=f"{number:05d}") for number in range(10_000)]
    scheduler = Scheduler(made)
    start = time.process_time()
    for _ in made:
        entry = scheduler.start(0.0)
        scheduler.end(entry.task_id, ending("finished", steps=1), 0.0)
    assert scheduler.over(0.0)
    assert time.process_time() - start < 4


class _Named(Task):
    """A task with a name of its own: thousands of them, and one population."""

    def __init__(self, population, name):
        super().__init__(population)
        object.__setattr__(self, "_name", name)

    @property
    def task_id(self):
        return self._name
