"""What a study costs before it is trained: known answers, bounds, and unknown where nothing tells."""

import dataclasses
import json
import math
import os
import re
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.accounting import training_flops
from scaling.devices import PEAKS
from scaling.errors import UserError
from scaling.launching.cost.estimator import (
    SAVE_SECONDS,
    START_SECONDS,
    Estimator,
    wall_seconds,
    work_of,
)
from scaling.launching.cost.naming import alike, disagreements
from scaling.launching.cost.pace import Knot, Rate, assumed, size, utilisation
from scaling.launching.cost.prices import amount, price_of, read_prices
from scaling.launching.launch import Launch
from scaling.launching.task import Task, tasks_of
from scaling.plan import Recipe, make_plan, product
from scaling.population import Population, populations
from scaling.spec import Data, Model, Optim, Study

RECIPE = Recipe(data=Data(context=64, eval_tokens=4096), optim=Optim(batch_tokens=1024))
SMALL, MIDDLE, LARGE, HUGE = (Model(context=64, width=width, heads=2) for width in (16, 64, 256, 4096))
H100, V5E = "NVIDIA H100 80GB HBM3", "TPU v5 lite"


def population(model, members=1):
    plan = make_plan(Study(name="s", runs=product([model], [1e5, 1e6], RECIPE, range(members))))
    return Population(plan.jobs)


def result(seconds, trunk=None, device=H100, status="done"):
    measured = {"device_seconds": seconds, "trunk_device_seconds": trunk, "device": device, "devices": 1}
    return {"status": status, "measured": measured}


def test_a_task_takes_its_flops_at_the_measured_rate_and_what_is_beside_training():
    task = Task(population(MIDDLE, members=3))
    estimator = Estimator(H100, devices=2, knots={MIDDLE: Knot(1e12, 2.0, compile_seconds=5.0)})
    steps = task.population.jobs[0].steps
    evaluated = 2 * 4096 / 3  # a forward pass is a third of a training step
    flops = 3 * training_flops(MIDDLE, steps * 1024 + evaluated)
    training = flops / 0.5e12 / 2
    saves = 3 * (4 + training / 60) * SAVE_SECONDS
    assert estimator.seconds(task) == pytest.approx(training + 5.0 + START_SECONDS + saves, rel=1e-12)


def test_a_finished_run_is_learnt_from_with_its_trunk():
    whole = population(MIDDLE)
    short, long = whole.jobs[0].runs
    estimator = Estimator(H100)
    estimator.learn({long: result(2.0, trunk=8.0)})
    expected = training_flops(MIDDLE, long.tokens) / 10.0
    assert estimator.rate(MIDDLE).flops_per_second == pytest.approx(expected, rel=1e-12)
    estimator.learn({short: result(1.0, trunk=None)})  # a table of an older version tells of the branch alone
    both = training_flops(MIDDLE, long.tokens + short.decay_steps * 1024) / 11.0
    assert estimator.rate(MIDDLE).flops_per_second == pytest.approx(both, rel=1e-12)


@pytest.mark.parametrize(
    "told",
    [
        result(1.0, device="cpu"),
        result(1.0, status="diverged"),
        result(0.0),
        result(None),
        result(1.0, device=V5E),
    ],
)
def test_what_is_of_another_device_or_did_not_end_tells_nothing(told):
    estimator = Estimator(H100)
    estimator.learn({population(MIDDLE).jobs[0].runs[0]: told})
    assert estimator.rate(MIDDLE) == assumed(MIDDLE, H100)


def test_two_names_of_one_device_are_one_kind():
    estimator = Estimator("TPU v5e")
    estimator.learn({population(MIDDLE).jobs[0].runs[0]: result(1.0, device=V5E)})
    assert "the 1 runs done here" in estimator.rate(MIDDLE).source


def test_between_two_shapes_the_rate_is_straight_in_the_logarithms():
    estimator = Estimator(knots={SMALL: Knot(1e9, 1.0), LARGE: Knot(1e11, 1.0)})
    x = [math.log(size(model)) for model in (SMALL, MIDDLE, LARGE)]
    expected = 9 + 2 * (x[1] - x[0]) / (x[2] - x[0])
    found = estimator.rate(MIDDLE)
    assert math.log10(found.flops_per_second) == pytest.approx(expected, rel=1e-12)
    assert found.factor > Estimator(knots={MIDDLE: Knot(1e9, 1.0)}).rate(MIDDLE).factor


def test_far_beyond_the_shapes_measured_the_estimate_says_so_and_widens():
    estimator = Estimator(knots={SMALL: Knot(1e9, 1.0), MIDDLE: Knot(1e10, 1.0)})
    near, far = estimator.rate(LARGE), estimator.rate(HUGE)
    assert near.flops_per_second == far.flops_per_second == pytest.approx(1e10)
    assert size(LARGE) / size(MIDDLE) > 10
    assert "extrapolated to shapes up to" in far.source
    assert "times larger" in far.source
    assert far.factor >= near.factor


def test_a_transformer_tells_nothing_of_a_linear_model_and_the_peak_neither():
    linear = Model(kind="linear", order=2, context=64)
    estimator = Estimator(H100, knots={MIDDLE: Knot(1e10, 1.0)}, fallback=Rate(1e10, 2.0, "a probe"))
    task = Task(population(linear))
    assert estimator.estimate(task) is None
    assert not estimator.known(task)
    assert estimator.seconds(task) > 0  # it still ranks


def test_where_nothing_tells_the_cost_is_unknown_and_not_nothing():
    task = Task(population(MIDDLE))
    assert Estimator().study([task]) is None
    assert Estimator("A device without a name").estimate(task) is None


def test_small_models_are_given_far_less_of_the_peak_and_a_wider_range():
    sizes = [10.0**power for power in range(4, 12)]
    ranges = [utilisation(n) for n in sizes]
    assert all(0 < low < high < 0.6 for low, high in ranges)
    assert [low for low, _ in ranges] == sorted(low for low, _ in ranges)
    ratios = [high / low for low, high in ranges]
    assert ratios == sorted(ratios, reverse=True)
    low, high = utilisation(124e6)
    assert low < 0.405 < high  # llm.c, 124M on H100


@pytest.mark.parametrize("device", [H100, V5E])
def test_the_bounds_of_a_guess_hold_the_peak_times_the_utilisation(device):
    rate, (low, high) = assumed(LARGE, device), utilisation(size(LARGE))
    assert rate.flops_per_second * rate.factor == pytest.approx(PEAKS[device].half * high)
    assert rate.flops_per_second / rate.factor == pytest.approx(PEAKS[device].half * low)


def test_estimates_lie_within_their_bounds_and_add_up():
    estimator = Estimator(H100, devices=4)
    tasks = [Task(population(model)) for model in (SMALL, LARGE)]
    one, other = (estimator.estimate(task) for task in tasks)
    assert one.low < one.seconds < one.high
    total = estimator.study(tasks)
    assert total.seconds == pytest.approx(4 * (one.seconds + other.seconds))
    assert total.high == pytest.approx(4 * (one.high + other.high))


def test_what_is_finished_is_not_counted_again():
    whole = population(MIDDLE)
    (short, long), task = whole.jobs[0].runs, Task(whole)
    assert work_of(task) == (whole.jobs[0].steps, 2, 4)
    left = long.decay_start - short.decay_start + long.decay_steps
    assert work_of(task, {short}.__contains__) == (left, 1, 2)
    assert work_of(task, lambda _: True) == (0, 0, 0)


def test_trunk_and_branches_apart_train_the_steps_of_the_whole():
    apart = tasks_of([population(MIDDLE)], apart=True)
    assert [task.part for task in apart] == ["trunk", "branch", "branch"]
    assert sum(work_of(task)[0] for task in apart) == work_of(Task(population(MIDDLE)))[0]


def tasks_and_seconds(lengths):
    """A trunk and two branches of as many shapes as there are lengths; a trunk takes its length, a branch a third."""
    models = [dataclasses.replace(SMALL, depth=depth + 1) for depth in range(len(lengths))]
    plan = make_plan(Study(name="s", runs=product(models, [1e5, 1e6], RECIPE)))
    tasks = tasks_of(populations(plan.jobs, lambda _: 1), apart=True)
    took = {}
    for task in tasks:
        length = lengths[task.population.jobs[0].runs[0].model.depth - 1]
        took[task.task_id] = length if task.part == "trunk" else length / 3
    return tasks, lambda task: took[task.task_id]


@given(
    lengths=st.lists(st.floats(0.5, 50.0), min_size=1, max_size=6),
    places=st.integers(1, 12),
)
@settings(max_examples=60, deadline=None)
def test_the_wall_time_lies_between_what_no_schedule_beats_and_grahams_bound(lengths, places):
    tasks, seconds = tasks_and_seconds(lengths)
    total = sum(map(seconds, tasks))
    chain = max(lengths) * (1 + 1 / 3)
    found = wall_seconds(tasks, seconds, places)
    assert found >= max(total / places, chain) * (1 - 1e-9)
    assert found <= (total / places + chain) * (1 + 1e-9)  # Graham 1969


def test_one_place_takes_the_sum_and_many_take_the_longest_chain():
    tasks, seconds = tasks_and_seconds([3.0, 6.0, 9.0])
    assert wall_seconds(tasks, seconds, 1) == pytest.approx(18 * (1 + 2 / 3))
    assert wall_seconds(tasks, seconds, 1000) == pytest.approx(12.0)
    assert wall_seconds([], seconds, 3) == 0.0


def test_prices_of_csv_and_json_are_the_same(tmp_path):
    (tmp_path / "p.csv").write_text(
        f'device,price_per_device_hour,currency,note\n{V5E},1.2,USD,"spot, Iowa"\n\n'
    )
    entry = {"device": V5E, "price_per_device_hour": 1.2, "currency": "USD", "note": "spot, Iowa"}
    (tmp_path / "p.json").write_text(json.dumps([entry]))
    prices = read_prices(tmp_path / "p.csv")
    assert prices == read_prices(tmp_path / "p.json")
    assert price_of("TPU v5e", prices, tmp_path / "p.csv").an_hour == 1.2


HEADER = "device,price_per_device_hour,currency\n"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("p.csv", "", "has no rows"),
        ("p.csv", HEADER, "has no rows"),
        ("p.csv", "device,currency\nx,USD\n", r"line 1 lacks price_per_device_hour"),
        ("p.csv", "device,price_per_device_hour,currency,per\n", r"line 1 has per; the fields are"),
        ("p.csv", HEADER + "x,1,USD\ny,cheap,USD\n", r"line 3: price_per_device_hour is 'cheap'"),
        ("p.csv", HEADER + "x,-1,USD\n", r"line 2: price_per_device_hour is '-1'"),
        ("p.csv", HEADER + "x,nan,USD\n", r"line 2: price_per_device_hour is 'nan'"),
        ("p.csv", HEADER + "x,1,5,USD\n", r"line 2: 4 fields where the header has 3"),
        ("p.csv", HEADER + "x,1,USD\nx,2,USD\n", r"line 3: x is there twice"),
        ("p.csv", HEADER + f"{V5E},1,USD\nTPU v5e,2,USD\n", r"line 3: TPU v5e is there twice"),
        ("p.csv", HEADER + ",1,USD\n", r"line 2: device is ''"),
        ("p.csv", HEADER + 'x,"1,USD\n', r"is no CSV"),
        ("p.json", "{}", "is no list of objects"),
        ("p.json", "[", "is not valid JSON"),
        ("p.json", '[{"device": "x", "price_per_device_hour": true, "currency": "USD"}]', "is True"),
        ("p.json", '[{"device": 3, "price_per_device_hour": 1, "currency": "USD"}]', "entry 1: device is 3"),
    ],
)
def test_a_bad_price_table_is_refused_with_its_line(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=said):
        read_prices(tmp_path / name)


def test_a_price_table_that_is_not_there_or_no_text_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_prices(tmp_path / "none.csv")
    (tmp_path / "p.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="no UTF-8 text"):
        read_prices(tmp_path / "p.csv")


def test_a_device_without_a_price_is_refused_with_what_the_table_has(tmp_path):
    (tmp_path / "p.csv").write_text(HEADER + f"{V5E},1,USD\n{H100},3,USD\n")
    with pytest.raises(UserError, match=f"has no price of 'cpu'; it has {V5E}, {H100}"):
        price_of("cpu", read_prices(tmp_path / "p.csv"), tmp_path / "p.csv")


def plan(tiny, *knobs):
    no_device = os.environ | {"JAX_PLATFORMS": "tpu"}  # there is none: whoever asks JAX for a device fails
    command = tiny.command(*knobs, verb="plan")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=no_device)
    return done.returncode, done.stdout, done.stderr


def test_a_plan_for_a_cluster_names_device_hours_wall_time_and_money_and_asks_no_device(tiny):
    prices = tiny.folder / "prices.csv"
    prices.write_text(HEADER + f"{V5E},1.25,USD\n")
    knobs = ("--on", "ray", "--device", V5E, "--prices", str(prices), "--devices-at-hand", "8")
    code, said, error = plan(tiny, *knobs)
    assert code == 0, error
    assert f"left on {V5E}, trunks shared" in said
    assert "peak of 197 TFLOP/s (bf16) and the utilisation" in said
    assert "USD left" in said
    assert "at 1.25 USD a device-hour" in said
    assert "time on 8 devices at once: about" in said
    assert "on 8 places" in said
    assert "not counted: work lost to interruptions" in said
    assert not tiny.study.exists()


def plan_here(tiny, capsys, *knobs):
    """What a plan prints, made in this process."""
    from scaling.__main__ import main

    assert main(tiny.command(*knobs, verb="plan")[3:]) == 0
    return capsys.readouterr().out


def left(said, what):
    """The likely figure of device-hours or money that a plan tells."""
    return float(re.search(rf"^{what}: about ([\d.e-]+)", said, re.MULTILINE)[1])


def test_device_hours_and_money_count_every_chip_of_every_host_that_a_job_holds(tiny, capsys):
    prices = tiny.folder / "prices.csv"
    prices.write_text(HEADER + f"{V5E},10,USD\n")
    told = {}
    for chips, asked in (
        (1, ("--accelerators", "1")),
        (8, ("--accelerators", "8")),
        (16, ("--accelerators", "8", "--hosts", "2")),
        (16, ("--accelerators", "4", "--slice", "v5litepod-16")),
    ):
        knobs = ("--on", "ray", "--device", V5E, "--pack", "1", "--branches", "together", *asked)
        said = plan_here(tiny, capsys, *knobs, "--prices", str(prices), "--devices-at-hand", "16")
        assert "warning: jobs ask for" not in said
        hours, scratch = (
            left(said, "device-hours"),
            float(re.search(r"; ([\d.e-]+) \(.* from scratch", said)[1]),
        )
        assert left(said, "money") == pytest.approx(10 * hours, rel=0.01)
        assert (f"jobs of {chips} devices" in said) == (chips > 1)
        assert f"on {16 // chips} place" in said
        told.setdefault(chips, (hours, scratch))
        assert told[chips] == (hours, scratch)
    # Tiny jobs are almost all start, so that chips that train faster save nothing.
    for chips in (8, 16):
        assert told[chips] == pytest.approx([chips * one for one in told[1]], rel=0.1)


def test_where_branches_of_their_own_cost_more_the_plan_says_which_option_is_cheaper(tiny, capsys):
    knobs = ("--on", "ray", "--device", V5E, "--accelerators", "1", "--devices-at-hand", "32")
    said = plan_here(tiny, capsys, *knobs)
    cheaper = re.search(
        r"(\d+) jobs that each start .* in (\d+) jobs \(--branches together\) .* about ([\d.e-]+)", said
    )
    assert int(cheaper[1]) > int(cheaper[2])
    assert float(cheaper[3]) < left(said, "device-hours")
    clock = re.search(r"\) and (.*?) by the clock", said)[1]
    together = plan_here(tiny, capsys, *knobs, "--branches", "together")
    assert f"time on 32 devices at once: about {clock} (" in together
    assert left(together, "device-hours") == float(cheaper[3]) and "--branches together" not in together


def test_a_plan_of_another_device_than_jobs_ask_for_is_warned_of(tiny, capsys):
    knobs = ("--on", "ray", "--device", "TPU v6 lite", "--accelerators", "4", "--slice", "v5p-16")
    assert "warning: jobs ask for --slice v5p-16, but the cost is that of 'TPU v6 lite'" in plan_here(
        tiny, capsys, *knobs
    )


@pytest.mark.parametrize(
    ("device", "asked", "agree"),
    [
        ("TPU v6 lite", {"accelerator_type": "TPU-V6E"}, True),
        ("TPU v5", {"slice": "v5p-16"}, True),
        (V5E, {"slice": "v5litepod-16"}, True),
        (V5E, {"accelerator_type": "TPU-V5LITEPOD"}, True),
        ("TPU7x", {"slice": "v7x-16"}, True),
        (V5E, {"accelerator_type": "TPU-V5P"}, False),
        (H100, {"accelerator_type": "H100"}, True),
        ("NVIDIA A100-SXM4-80GB", {"accelerator_type": "A100-80G"}, True),
        ("NVIDIA GH200 480GB", {"accelerator_type": "H200"}, False),
        (V5E, {"accelerator_type": "H100"}, False),
        (None, {"accelerator_type": "H100"}, True),
        ("cpu", {"accelerators": 0}, True),
        (H100, {"accelerators": 0}, False),
    ],
)
def test_names_of_ray_and_of_jax_are_compared_by_what_they_name(device, asked, agree):
    launch = Launch(on="ray", **{"accelerators": 1} | asked)
    assert (disagreements([launch], device) == []) == agree


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("TPU v6", ["TPU v6 lite", "TPU v6e"]),
        ("TPU-V6E", ["TPU v6e"]),
        ("TPU-V5LITEPOD", ["TPU v5e"]),
        ("l4", ["NVIDIA L4", "NVIDIA L40S"]),
        ("Nvidia H1OO PCIe", ["NVIDIA H100 PCIe"]),
        ("TPU v99", []),
    ],
)
def test_a_device_that_is_not_known_is_answered_with_those_that_may_be_meant(asked, meant):
    assert alike(asked) == meant


def test_money_has_cents_or_three_digits():
    assert [amount(money) for money in (0.0648, 0.0, 1.5, 1234.5)] == ["0.0648", "0", "1.50", "1,234.50"]


def test_a_device_without_a_price_is_told_before_anything_is_compiled(tiny, monkeypatch, capsys):
    from scaling.__main__ import main
    from scaling.training import memory

    monkeypatch.setattr(memory, "memory_of_runs", lambda *_: pytest.fail("it was compiled"))
    prices = tiny.folder / "prices.csv"
    prices.write_text(HEADER + f"{V5E},1.25,USD\n")
    assert main(tiny.command("--device", H100, "--prices", str(prices), verb="plan")[3:]) == 2
    assert f"has no price of {H100!r}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verb", "words"),
    [("plan", ("--calibrate", "--prices", "--hosts")), ("run", ("--log", "--pack", "--hosts")),
     ("status", ("--watch", "--html")), ("collect", ("table.csv",))],
)  # fmt: skip
def test_a_verb_without_a_spec_tells_its_own_options(verb, words, capsys):
    from scaling.__main__ import main

    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    told = capsys.readouterr().out
    assert ended.value.code == 0 and all(word in told for word in words)
    assert ("--calibrate" in told) == (verb == "plan")


def test_a_plan_for_a_cluster_of_unknown_devices_says_unknown(tiny):
    code, said, error = plan(tiny, "--on", "ray", "--devices-at-hand", "8")
    assert code == 0, error
    assert "device-hours: unknown on the cluster's devices: name the workers' device with --device" in said
    assert "time on 8 devices at once: unknown" in said


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        (("--on", "ray", "--device", "TPU v99"), "--device 'TPU v99' is not known; use one of TPU v2"),
        (
            ("--on", "ray", "--device", "H100"),
            "did you mean NVIDIA H100 80GB HBM3, NVIDIA H100 PCIe or NVIDIA H100 NVL?",
        ),
        (("--on", "ray", "--calibrate"), "--calibrate measures this machine, and --on ray trains on others"),
        (("--devices-at-hand", "-1"), "--devices-at-hand = -1 cannot be"),
        (("--prices", "nowhere.csv"), "the price table nowhere.csv cannot be read"),
    ],
)
def test_what_cannot_be_planned_is_refused_in_one_sentence(tiny, capsys, knobs, said):
    from scaling.__main__ import main

    try:
        code = main(tiny.command(*knobs, verb="plan")[3:])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert said in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_a_study_of_many_runs_is_told_by_shape(capsys, tmp_path):
    from scaling.folder import StudyFolder
    from scaling.launching.tables import print_plan

    runs = product([SMALL, MIDDLE], [1e5 * 2**i for i in range(8)], RECIPE, range(20))
    made = make_plan(Study(name="s", runs=runs))
    print_plan(made, {runs[0]: result(1.0)}, StudyFolder(tmp_path), {})
    told = capsys.readouterr().out
    assert len(told.splitlines()) < 20
    assert "320 runs by shape; --all prints every run" in told
    assert "1 done" in told
    print_plan(made, {}, StudyFolder(tmp_path), {}, every=True)
    assert len(capsys.readouterr().out.splitlines()) > 320


def test_of_many_shapes_the_largest_alone_are_compiled_unless_all_are_asked_for(monkeypatch):
    from scaling.execution import Execution
    from scaling.launching.cost import planning
    from scaling.training import memory

    compiled = []

    def remembered(made, execution, progress):
        compiled.append({one.jobs[0].runs[0].model for one in made})
        return {}

    monkeypatch.setattr(memory, "memory_of_runs", remembered)
    models = [dataclasses.replace(SMALL, width=16 * number) for number in range(1, 21)]
    made = [population(model) for model in models]
    alone = Execution(pack=1, data_devices=1)
    assert planning._memory(made, alone, print, every=False) == ({}, 17)
    assert planning._memory(made, alone, print, every=True) == ({}, 0)
    assert planning._memory(made[:16], alone, print, every=False) == ({}, 0)
    assert compiled == [set(models[-3:]), set(models), set(models[:16])]
