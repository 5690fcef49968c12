"""Every layout trains as one device does, holds its share of the state, and talks along the axes that it must."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from jax.sharding import AbstractMesh, AxisType
from jax.sharding import PartitionSpec as P
from on_eight import LAYOUTS, run_of

from scaling.errors import UserError
from scaling.execution import Execution
from scaling.models import build
from scaling.training.sharding import _shape, check_layout, state_shardings
from scaling.training.state import State, settings_of
from scaling.training.step import make_init

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def eight(tmp_path_factory):
    """What `on_eight.py` found of every layout."""
    command = [sys.executable, "tests/on_eight.py", str(tmp_path_factory.mktemp("compiled"))]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "one"])
def test_every_layout_trains_as_one_device_does(eight, layout):
    """Up to float32 sums in another order, which four steps of Adam magnify a little."""
    first = np.array(eight[layout]["losses"])[:, :1]
    np.testing.assert_allclose(first, eight["one"]["losses"], rtol=1e-5)
    np.testing.assert_allclose(eight[layout]["held_out"][0], eight["one"]["held_out"][0], rtol=1e-5)
    assert len(eight["one"]["losses"]) == 4


def test_the_members_of_a_population_are_the_same_on_eight_devices_as_on_two_a_member(eight):
    """Up to float32 sums in another order; they differ among themselves by their seeds."""
    many, few = (np.array(eight[name]["losses"]) for name in ("population", "population x data"))
    np.testing.assert_allclose(many[:, :4], few, rtol=1e-5)
    assert len(set(many[0])) == 8


@pytest.mark.parametrize(
    ("layout", "allowed"),
    [
        ("data", {("all-reduce", "data")}),
        ("mapped", {("all-reduce", "data")}),
        ("microbatches", {("all-reduce", "data")}),
        ("mapped microbatches", {("all-reduce", "data")}),
        # parameters are gathered, gradients summed (a CPU has no reduce-scatter), embedded tokens sent to their rows
        ("fsdp", {("all-gather", "data"), ("all-reduce", "data"), ("all-to-all", "data")}),
        ("data x tensor", {("all-reduce", "data"), ("all-reduce", "model")}),
        ("tensor", {("all-reduce", "data"), ("all-reduce", "model")}),
        ("population", set()),
        ("population x data", {("all-reduce", "data")}),
        ("population x mapped", {("all-reduce", "data")}),
    ],
)
def test_a_compiled_step_holds_the_collectives_that_its_layout_needs_and_no_other(eight, layout, allowed):
    assert {tuple(collective) for collective in eight[layout]["collectives"]} == allowed


def test_no_collective_of_a_mesh_with_several_axes_goes_between_members(eight):
    axes = {axis for layout in eight.values() for _, *along in layout["collectives"] for axis in along}
    assert axes == {"data", "model"}


def test_a_device_holds_its_share_of_every_matrix_and_its_moments(eight):
    shares = {
        "data": 1,
        "fsdp": 1 / 8,
        "data x tensor": 1 / 2,
        "tensor": 1 / 4,
        "tensor fsdp": 1 / 8,
        "population": 1 / 8,
    }
    for layout, share in shares.items():
        found = {
            p: s for p, s in eight[layout]["shares"].items() if layout == "population" or "scale" not in p
        }
        assert set(found.values()) == {share}, layout
    whole, split = (eight[name]["memory"]["state"] for name in ("one", "fsdp"))
    assert whole / 8 < split < whole / 7  # scales and settings are whole everywhere


def test_fsdp_and_microbatches_take_less_memory_than_data_parallelism_alone(eight):
    taken = {name: layout["memory"]["step"] for name, layout in eight.items()}
    assert taken["fsdp"] < taken["data"] < taken["one"]
    assert taken["microbatches"] < taken["data"]
    assert taken["mapped microbatches"] < taken["mapped"]


def mesh_of(population=1, data=1, model=1):
    names = ("population", "data", "model")
    return AbstractMesh((population, data, model), names, axis_types=(AxisType.Auto,) * 3)


def specs(mesh, execution, members=1, optim=None, vocab=64):
    run = run_of()
    model = dataclasses.replace(run.model, vocab=vocab)
    state = jax.eval_shape(make_init(build(model), optim or run.optim, model.context), settings_of(run))
    found = jax.tree.map(lambda sharding: sharding.spec, state_shardings(state, mesh, execution, members))
    leaves = jax.tree_util.tree_flatten_with_path(found, is_leaf=lambda x: isinstance(x, P))[0]
    return {jax.tree_util.keystr(path): spec for path, spec in leaves}


def test_a_vocabulary_that_does_not_divide_stays_whole():
    found = specs(mesh_of(data=4, model=2), Execution(model_devices=2, fsdp=True), vocab=257)
    assert found[".parameters['embedding']"] == P(None, "data")
    assert found[".parameters['head']"] == P("data")
    assert found[".parameters['blocks']['mlp']['down']"] == P(None, "model", "data")


def test_members_lie_along_the_population_axis_whatever_else_is_split():
    found = specs(mesh_of(population=2, model=2), Execution(model_devices=2), members=2)
    assert found[".step"] == found[".settings.seed"] == P("population")
    assert found[".parameters['head']"] == P("population", None, "model")


@pytest.mark.parametrize(("name", "moments"), [("adamw", 2), ("sgd", 1), ("lion", 1), ("muon", 1)])
def test_moments_lie_as_their_parameters_do(name, moments):
    """The matrices of the model are seven; `muon` leaves embedding and head to Adam, which has two moments."""
    found = specs(mesh_of(data=8), Execution(fsdp=True), optim=dataclasses.replace(run_of().optim, name=name))
    split = [path for path, spec in found.items() if path.startswith(".moments") and any(spec)]
    assert len(split) == (9 if name == "muon" else 7 * moments)
    for path in split:
        parameter = next(
            p for p in found if p.startswith(".parameters") and path.endswith(p[len(".parameters") :])
        )
        assert found[path] == found[parameter]


def test_moments_of_another_shape_than_their_parameter_are_whole():
    """Adafactor keeps a row and a column in place of a matrix."""
    parameters = {"head": jax.ShapeDtypeStruct((32, 64), np.float32)}
    moments = jax.eval_shape(optax.scale_by_factored_rms(min_dim_size_to_factor=16).init, parameters)
    state = State(jax.ShapeDtypeStruct((), np.int32), None, parameters, moments)  # type: ignore[arg-type]
    shardings = state_shardings(state, mesh_of(data=8), Execution(fsdp=True))
    assert shardings.parameters["head"].spec == P("data", "model")
    assert {sharding.spec for sharding in jax.tree.leaves(shardings.moments)} == {P()}


@pytest.mark.parametrize(
    ("execution", "members", "devices", "hosts", "shape"),
    [
        (Execution(), 1, 8, 1, (1, 8, 1)),
        (Execution(), 6, 8, 1, (6, 1, 1)),
        (Execution(), 32, 8, 1, (8, 1, 1)),
        (Execution(model_devices=4), 4, 8, 1, (2, 1, 4)),
        (Execution(data_devices=2), 4, 8, 1, (4, 2, 1)),
        (Execution(data_devices=1), 1, 8, 1, (1, 1, 1)),
        (Execution(data_devices=2, model_devices=3), 1, 8, 1, (1, 2, 3)),
        (Execution(), 4, 8, 2, (4, 2, 1)),
        (Execution(), 8, 8, 2, (4, 2, 1)),
    ],
)
def test_members_take_the_devices_they_can_and_the_batch_of_one_alone_the_rest(
    execution, members, devices, hosts, shape
):
    assert _shape(execution, members, devices, hosts) == shape


@pytest.mark.parametrize(
    ("execution", "devices", "hosts", "said"),
    [
        (
            Execution(model_devices=16),
            8,
            1,
            "--model-devices 16 is a mesh larger than the 8 devices there are",
        ),
        (
            Execution(data_devices=4, model_devices=4),
            8,
            1,
            "--data-devices 4 is a mesh larger than the 8 devices",
        ),
        (Execution(model_devices=3), 8, 1, "--model-devices 3 does not divide the 8 devices"),
        (
            Execution(data_devices=1),
            2,
            2,
            "make the data devices a multiple of 2, or leave --data-devices out",
        ),
        (Execution(model_devices=2), 2, 2, "make the data devices a multiple of 2"),
    ],
)
def test_a_mesh_that_the_devices_cannot_make_is_refused(execution, devices, hosts, said):
    with pytest.raises(UserError, match=said):
        _shape(execution, 1, devices, hosts)


@pytest.mark.parametrize(
    ("mesh", "execution", "said"),
    [
        ({"model": 3}, Execution(model_devices=3), "--model-devices 3 does not divide the 4 heads of w32-d2"),
        ({"data": 3}, Execution(), "a batch of 16 rows does not divide over 3 devices;"),
        ({"data": 8}, Execution(microbatches=4), "16 rows does not divide over 8 devices x 4 microbatches"),
        ({}, Execution(microbatches=3), "make Optim.batch_tokens / context a multiple of 3"),
    ],
)
def test_a_run_that_a_mesh_does_not_divide_is_refused(mesh, execution, said):
    with pytest.raises(UserError, match=said):
        check_layout(run_of(), mesh_of(**mesh), execution)


def test_hidden_units_that_a_mesh_does_not_divide_are_refused():
    run = run_of()
    odd = dataclasses.replace(run, model=dataclasses.replace(run.model, mlp_width=90))
    with pytest.raises(
        UserError, match=r"--model-devices 4 does not divide the 90 hidden units .* Model.mlp_width"
    ):
        check_layout(odd, mesh_of(model=4), Execution(model_devices=4))


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        (("--model-devices", "3"), "--model-devices 3 does not divide the 1 heads of w8-d1"),
        (("--model-devices", "6"), "--model-devices 6 does not divide the 1 heads"),
        (
            ("--model-devices", "12"),
            "--model-devices 12 is a mesh larger than the 6 devices there are: ask for at most 6",
        ),
        (
            ("--data-devices", "2", "--microbatches", "3"),
            "8 rows does not divide over 2 devices x 3 microbatches",
        ),
    ],
)
@pytest.mark.parametrize("verb", ["plan", "run"])
def test_the_command_refuses_a_layout_in_one_sentence_before_training(tiny, knobs, said, verb):
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=6"}
    command = tiny.command("--widths", "8", *knobs, verb=verb)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | flags)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tiny.out.glob("*/*/metrics.jsonl"))


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        (("--microbatches", "0"), "--microbatches = 0 cannot be: use 1 or more"),
        (("--mapped", "--fsdp"), "leave out --fsdp and --model-devices"),
        (("--data-devices", "-1"), "use 0 for automatic"),
    ],
)
def test_options_of_the_layout_that_cannot_be_are_refused(tiny, knobs, said):
    done = tiny.run(*knobs)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())
