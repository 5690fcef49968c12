"""Calibrations: what the probe measures, where it is written, what it is used for, and what it is not."""

import dataclasses
import json

import pytest

from scaling.__main__ import main
from scaling.errors import UserError
from scaling.folder import StudyFolder
from scaling.launching.cost import calibration
from scaling.launching.cost.calibration import Calibration, Probe, estimator_of
from scaling.launching.cost.pace import assumed
from scaling.launching.cost.probing import typical
from scaling.launching.task import Task
from scaling.plan import Recipe, make_plan, product
from scaling.population import populations
from scaling.results import results
from scaling.spec import Data, Model, Optim, Study

WIDTHS = (16, 32, 64, 128)
RECIPE = Recipe(data=Data(context=64), optim=Optim(batch_tokens=1024))
MODELS = [Model(context=64, width=width, heads=2) for width in WIDTHS]
BUSY = 4.0
"""A probe of three seconds and a run of seconds that follows it see different loads of a shared machine: with
six training processes on two cores they differed by up to 2.3."""


def probe(model, flops_per_second=1e9):
    return Probe(
        model=model,
        members=1,
        batch_tokens=1024,
        steps=10,
        seconds=3.0,
        tokens_per_second=1e4,
        flops_per_second=flops_per_second,
        mfu=None,
        compile_seconds=4.0,
        save_seconds=0.5,
    )


def measured(device="cpu", processor=None):
    return Calibration(
        device=device,
        processor=calibration.processor() if processor is None else processor,
        devices=1,
        precision="float32",
        date="2026-11-28T00:00:00+00:00",
        versions={"jax": "0.10.2"},
        probes=tuple(probe(model) for model in MODELS[:2]),
    )


def task_of(model):
    plan = make_plan(Study(name="s", runs=product([model], [1e6], RECIPE)))
    return Task(populations(plan.jobs, lambda _: 1)[0])


def test_a_calibration_is_read_back_as_written(tmp_path):
    folder = StudyFolder(tmp_path)
    assert calibration.read(folder) is None
    calibration.write(folder, measured())
    assert calibration.read(folder) == measured()


def test_a_calibration_tells_the_rate_the_compilation_and_the_saves(tmp_path):
    folder = StudyFolder(tmp_path)
    calibration.write(folder, measured())
    estimator = estimator_of(folder, {}, "cpu")
    assert estimator.rate(MODELS[0]).flops_per_second == 1e9
    assert "a calibration of 2026-11-28 on cpu" in estimator.rate(MODELS[0]).source
    assert (estimator.overheads.compile, estimator.overheads.save) == (4.0, 0.5)


@pytest.mark.parametrize(
    ("other", "device"),
    [
        (measured("NVIDIA H100 80GB HBM3"), "TPU v5 lite"),
        (measured("cpu"), "TPU v5 lite"),
        (measured("TPU v4"), "TPU v5 lite"),
    ],
)
def test_the_calibration_of_another_device_is_not_used(tmp_path, other, device):
    folder = StudyFolder(tmp_path)
    calibration.write(folder, other)
    estimator = estimator_of(folder, {}, device)
    assert estimator.rate(MODELS[0]) == assumed(MODELS[0], device)
    assert estimator.overheads.compile != 4.0


def test_the_calibration_of_another_processor_is_not_used(tmp_path):
    folder = StudyFolder(tmp_path)
    calibration.write(folder, measured("cpu", "A processor of another machine"))
    assert estimator_of(folder, {}, "cpu").estimate(task_of(MODELS[0])) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda values: values.pop("probes"),
        lambda values: values.update(probes=[]),
        lambda values: values["probes"][0].update(flops_per_second=0.0),
        lambda values: values["probes"][0].update(steps="ten"),
        lambda values: values["probes"][0]["model"].update(width=-1),
        lambda values: values.update(device=None),
        lambda values: values.update(more=1),
    ],
)
def test_a_damaged_calibration_is_refused_with_the_remedy(tmp_path, spoil):
    folder = StudyFolder(tmp_path)
    calibration.write(folder, measured())
    values = json.loads((folder.path / calibration.FILE).read_text())
    spoil(values)
    (folder.path / calibration.FILE).write_text(json.dumps(values))
    with pytest.raises(
        UserError, match=r"calibration\.json is damaged .*write it anew with `plan --calibrate`"
    ):
        calibration.read(folder)


def test_what_is_no_json_is_refused_too(tmp_path):
    (tmp_path / calibration.FILE).write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        calibration.read(StudyFolder(tmp_path))


@pytest.mark.parametrize(
    ("shapes", "expected"), [(1, [16]), (2, [16, 32]), (3, [16, 32, 64]), (4, [16, 64, 128])]
)
def test_the_smallest_the_median_and_the_largest_shape_are_probed(shapes, expected):
    plan = make_plan(Study(name="s", runs=product(MODELS[:shapes], [1e5], RECIPE, range(3))))
    chosen = typical(populations(plan.jobs, lambda _: 2))
    assert [one.jobs[0].runs[0].model.width for one in chosen] == expected
    assert {one.members for one in chosen} == {2}


@pytest.mark.slow
def test_after_calibrating_the_estimate_is_near_what_training_takes(tiny, capsys):
    """Also: the probe leaves its file and nothing else in the study."""
    budgets = ("--widths", "16", "--budgets", "102400", "512000")
    assert main(tiny.command(*budgets, "--calibrate", verb="plan")[3:]) == 0
    said = capsys.readouterr().out
    assert said.count("calibrated: ") == 1
    assert "tokens/s" in said
    assert "from a calibration of" in said
    assert [path.name for path in tiny.study.iterdir()] == [calibration.FILE]
    written = calibration.read(StudyFolder(tiny.study))
    assert written.device == "cpu"
    assert {"scaling", "jax", "orbax-checkpoint"} <= set(written.versions)
    assert all(one.compile_seconds > 0 and one.save_seconds > 0 for one in written.probes)

    assert main(tiny.command(*budgets)[3:]) == 0
    folder = StudyFolder(tiny.study)
    study = folder.study()
    found = results(study.runs, folder)
    estimator = estimator_of(folder, {}, "cpu")
    learnt = estimator_of(folder, found, "cpu")
    for model in {run.model for run in study.runs}:
        ratio = estimator.rate(model).flops_per_second / learnt.rate(model).flops_per_second
        assert 1 / BUSY < ratio < BUSY
    assert "runs done here" in learnt.rate(study.runs[0].model).source


def test_a_calibration_is_used_for_the_shapes_between(tmp_path):
    folder = StudyFolder(tmp_path)
    two = dataclasses.replace(measured(), probes=(probe(MODELS[0], 1e9), probe(MODELS[2], 4e9)))
    calibration.write(folder, two)
    rate = estimator_of(folder, {}, "cpu").rate(MODELS[1])
    assert 1e9 < rate.flops_per_second < 4e9
    assert "between their shapes" in rate.source
