"""The benchmarks run, and count what they say they count."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.shapes import SHAPES, Shape
from scaling.accounting import palm
from scaling.spec import Model

ROOT = Path(__file__).parent.parent
TINY = Shape(width=16, depth=2, heads=2, context=8, rows=4)


def benchmark(module, *options):
    command = [sys.executable, "-m", f"benchmarks.{module}", *options]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("shape", SHAPES.values(), ids=str)
def test_flops_of_a_shape_are_those_of_the_model_that_stands_for_it(shape):
    sizes = {name: getattr(shape, name) for name in ("vocab", "context", "depth", "width", "heads")}
    assert shape.flops_per_token == palm(Model(**sizes, mlp="plain", tied=True))


def test_the_flax_reference_sees_no_later_token_and_has_the_matrices_of_the_shape():
    from benchmarks.peers.flax_reference import Decoder

    model = Decoder(TINY)
    rows = jnp.asarray(TINY.batches()[0][:, :-1])
    variables = jax.jit(model.init)(jax.random.key(0), rows)
    changed = rows.at[:, 5:].set((rows[:, 5:] + 1) % TINY.vocab)
    before, after = (jax.jit(model.apply)(variables, x) for x in (rows, changed))
    assert np.array_equal(before[:, :5], after[:, :5])
    assert not np.array_equal(before[:, 5:], after[:, 5:])
    matrices = TINY.depth * 12 * TINY.width**2 + TINY.vocab * TINY.width
    others = TINY.context * TINY.width + (2 * TINY.depth + 1) * TINY.width  # positions, norms' scales
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == matrices + others


def test_the_flax_reference_learns():
    from benchmarks.peers.flax_reference import trainer

    train = trainer(TINY)
    first = train(1)
    assert train(200) < first - 0.5  # it goes through eight batches 25 times


@pytest.mark.slow
def test_step_speed_prints_a_ratio():
    out = benchmark("step_speed", "--widths", "32", "--rounds", "2", "--contenders", "flax")
    assert "ours / it" in out and "GFLOP/s" in out


@pytest.mark.slow
def test_compile_time_counts_one_program_for_a_grid():
    out = benchmark("compile_time", "--depths", "1", "2", "--repeats", "1")
    assert "a grid of 45 runs of one shape compiles 1 program(s) of the step" in out


def test_the_gradient_written_out_by_hand_is_that_of_the_peers_objective():
    from benchmarks.peers import bfgs_reference as peer

    rng = np.random.default_rng(0)
    logs = rng.uniform(15, 20, 50), rng.uniform(20, 26, 50), rng.uniform(0.7, 1.2, 50)
    for p in (peer.PUBLISHED, peer.PUBLISHED + 0.05):
        # smooth but at a kink of its second derivative: differences are good to step^2 over delta
        steps = 1e-6 * np.eye(5)
        numeric = [(peer.objective(p + h, *logs) - peer.objective(p - h, *logs)) / 2e-6 for h in steps]
        np.testing.assert_allclose(peer.by_hand(p, *logs), numeric, rtol=1e-5, atol=1e-8)


def test_the_peers_refit_falls_to_a_minimum_of_its_resample():
    from benchmarks.peers import bfgs_reference as peer

    rng = np.random.default_rng(1)
    N = 10 ** rng.uniform(7, 10, 60)
    D = N * 10 ** rng.uniform(0.5, 2.5, 60)
    L = (1.8 + 480 / N**0.35 + 2100 / D**0.37) * np.exp(0.01 * rng.standard_normal(60))
    logs, rows = (np.log(N), np.log(D), np.log(L)), rng.integers(0, 60, 60)
    resample = tuple(values[rows] for values in logs)
    found = peer.refit(logs, rows, peer.by_hand)
    assert peer.objective(found, *resample) < peer.objective(peer.PUBLISHED, *resample)


@pytest.mark.slow
def test_bootstrap_speed_prints_ratios_and_excess(tmp_path):
    rng = np.random.default_rng(2)
    N = 10 ** rng.uniform(7, 10, 80)
    D = N * 10 ** rng.uniform(0.5, 2.5, 80)
    L = (1.8 + 480 / N**0.35 + 2100 / D**0.37) * np.exp(0.01 * rng.standard_normal(80))
    rows = [f"{n},{d},{loss},False" for n, d, loss in zip(N, D, L, strict=True)]
    (tmp_path / "runs.csv").write_text("N,D,L,dropped_by_authors\n" + "\n".join(rows) + "\n")
    few = ("--replicates", "40", "--peer-replicates", "4", "--rounds", "2", "--gradient", "hand")
    out = benchmark("bootstrap_speed", "--data", str(tmp_path / "runs.csv"), *few)
    assert "times as fast, from the start" in out and "worst excess" in out


@pytest.mark.slow
def test_rows_scaling_prints_time_a_row_and_memory():
    out = benchmark("rows_scaling", "--rows", "5000", "--laws", "hoffmann", "--replicates", "2")
    assert "ns a row;" in out and "MiB at the peak" in out


def test_scheduling_keeps_nine_tenths_of_the_time_of_preempted_devices():
    out = benchmark("scheduling", "--runs", "200")
    shares = dict(re.findall(r"^(.+?)  +([0-9.]+)% of device time", out, re.MULTILINE))
    assert len(shares) == 6
    assert float(shares["a checkpoint every 60 s"]) >= 90
    assert (
        float(shares["every 600 s"])
        < float(shares["a checkpoint every 60 s"])
        < float(shares["never preempted"])
    )


def test_scheduling_of_devices_that_nothing_disturbs_takes_what_arithmetic_says():
    """One device, one task after another: starts, checkpoints and measuring are all that is added to the work."""
    from benchmarks import scheduling

    world = scheduling.World(devices=1, preempted_hours=1e12)
    tasks = scheduling.tasks_of_driver(scheduling.study(1), world, "together")
    found = scheduling.Simulation(tasks, world).run()
    runs = sum(len(task.population.budgets) for task in tasks)
    saving = sum(task.flops * len(task.population.jobs) for task in tasks) / world.flops_per_second / 60
    assert found.began == len(tasks)
    assert found.makespan == pytest.approx(found.kept + 60 * len(tasks) + saving + 10 * runs, rel=1e-6)
    assert found.there == pytest.approx(found.makespan)
