"""What each job has by the size of its models: `--larger` as it is read, refused, ordered and priced."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.accounting import parameters
from scaling.errors import UserError
from scaling.launching.cost.bill import devices_of
from scaling.launching.cost.estimator import Estimator, wall_seconds
from scaling.launching.cost.pace import Knot
from scaling.launching.larger import Larger
from scaling.launching.launch import Launch
from scaling.launching.task import Task
from scaling.plan import Recipe, make_plan, product
from scaling.population import Population
from scaling.spec import Data, Model, Optim, Study

RECIPE = Recipe(data=Data(context=64, eval_tokens=4096), optim=Optim(batch_tokens=1024))
MODELS = tuple(Model(context=64, width=width, heads=2) for width in (16, 64, 256))
SIZES = [parameters(model).N for model in MODELS]


def tasks_of(*models):
    study = Study(name="s", runs=product(models, [1e5], RECIPE))
    by_size = sorted(make_plan(study).jobs, key=lambda job: parameters(job.runs[0].model).N)
    return [Task(Population((job,))) for job in by_size]


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("3e8=4", Larger(3e8, accelerators=4)),
        ("3e9=8x2", Larger(3e9, accelerators=8, hosts=2)),
        ("1e10=v5p-16", Larger(1e10, slice="v5p-16")),
        ("1000=v5litepod-8", Larger(1000, slice="v5litepod-8")),
        ("5=0x2", Larger(5, hosts=2)),
    ],
)
def test_what_larger_models_take_is_accelerators_hosts_or_a_slice(text, means):
    assert Larger.of(text) == means


@pytest.mark.parametrize(
    "text",
    ["", "3e8", "=4", "big=4", "3e8=", "3e8=4x0", "3e8=4x", "3e8=-1", "nan=4", "inf=4", "0=4", "3e8=four"],
)
def test_what_says_nothing_is_refused_in_one_sentence_with_examples(text):
    with pytest.raises(UserError, match=r"^--larger .* cannot be: give parameters .* as 3e8=4 ") as refused:
        Launch(on="ray", larger=(text,))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"on": "ray", "larger": ("1e9=v9-8",)}, "--larger v9-8 cannot be: give a generation"),
        ({"on": "ray", "larger": ("3e8=4", "300000000=8")}, "--larger says twice what models of 3e"),
        ({"larger": ("3e8=4",)}, "--larger 3e8=4 cannot be: every job of --on local has the same"),
        ({"on": "ray", "slice": "v4"}, "--slice v4 cannot be: give a generation"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_said(values, said):
    with pytest.raises(UserError, match=said):
        Launch(**values)


def test_a_task_has_what_the_largest_size_below_its_own_says():
    launch = Launch(on="ray", accelerators=1, larger=(f"{SIZES[2]}=8x2", f"{SIZES[1]}=4"))
    own = [launch.for_task(task) for task in tasks_of(*MODELS)]
    assert [(one.accelerators, one.hosts, one.devices) for one in own] == [(1, 1, 1), (4, 1, 4), (8, 2, 16)]
    assert all(one.larger == () and one.for_task(tasks_of(MODELS[2])[0]) is one for one in own)
    assert Launch(**json.loads(json.dumps(dataclasses.asdict(own[1])))).devices == 4  # as an order carries it


def test_a_slice_says_how_many_devices_a_job_has_and_hosts_undo_it():
    launch = Launch(
        on="ray", accelerators=4, slice="v5p-16", larger=(f"{SIZES[1]}=v5p-64", f"{SIZES[2]}=8x2")
    )
    own = [launch.for_task(task) for task in tasks_of(*MODELS)]
    assert [(one.slice, one.devices) for one in own] == [("v5p-16", 8), ("v5p-64", 32), ("", 16)]


@given(st.permutations(range(3)))
def test_the_order_in_which_sizes_are_said_does_not_matter(order):
    said = [f"{SIZES[0]}=2", f"{SIZES[1]}=4", f"{SIZES[2]}=8"]
    launch = Launch(on="ray", larger=tuple(said[place] for place in order))
    assert [launch.for_task(task).accelerators for task in tasks_of(*MODELS)] == [2, 4, 8]


def test_device_seconds_are_those_of_each_task_on_its_own_devices():
    launch = Launch(on="ray", accelerators=1, larger=(f"{SIZES[1]}=4",))
    estimator = Estimator(knots={model: Knot(1e12, 1.0) for model in MODELS})
    tasks = tasks_of(*MODELS[:2])
    devices = [devices_of(launch.for_task(task)) for task in tasks]
    assert devices == [1, 4]
    total = estimator.study(tasks, devices=lambda task: devices_of(launch.for_task(task)))
    each = [n * estimator.estimate(task, devices=n).seconds for n, task in zip(devices, tasks, strict=True)]
    assert total.seconds == pytest.approx(sum(each), rel=1e-12)


def test_a_task_that_takes_several_places_waits_until_so_many_are_free():
    small, large = tasks_of(*MODELS[:2])
    long = {small.task_id: 3.0, large.task_id: 2.0}
    takes = {small.task_id: 1, large.task_id: 4}

    def wall(places):
        return wall_seconds(
            (small, large), lambda task: long[task.task_id], places, lambda task: takes[task.task_id]
        )

    assert wall(5) == 3.0
    assert wall(4) == 5.0
