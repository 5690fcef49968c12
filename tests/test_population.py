"""Models trained together equal the models trained alone, and what happens to one is its own affair."""

import dataclasses
import json
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling.execution import Execution
from scaling.folder import StudyFolder
from scaling.launching.begun import begun
from scaling.plan import Job, make_plan
from scaling.population import Population, populations
from scaling.spec import Data, Model, Optim, Run, SpecError, Study
from scaling.table import read
from scaling.training.program import program_of

ONE = Execution(data_devices=1)
BASE = Run(
    model=Model(context=16, width=16, depth=2, heads=2, vocab=64),
    data=Data(corpus="markov:vocab=64", context=16, eval_tokens=64),
    optim=Optim(lr=1e-2, batch_tokens=128),
    steps=30,
    warmup_steps=4,
    decay_steps=10,
)


def varied(run=BASE):
    """Runs that differ in everything that lives in the state."""
    optim = run.optim
    return [
        run,
        dataclasses.replace(run, seed=1, data_seed=0),
        dataclasses.replace(run, seed=2, optim=dataclasses.replace(optim, lr=3e-3)),
        dataclasses.replace(run, seed=3, optim=dataclasses.replace(optim, weight_decay=0.5)),
        dataclasses.replace(run, seed=4, init_scale=0.3),
        dataclasses.replace(run, seed=5, warmup_steps=9),
    ]


class Texts:
    """Random rows, another order for each seed."""

    context = 16
    scored = None

    def __init__(self):
        self.tokens = np.random.default_rng(0).integers(0, 64, (512, 17)).astype(np.int32)

    def __len__(self):
        return len(self.tokens)


def losses(runs, steps=12, branch=False):
    """Losses [steps, members] of a population of `runs`, and its last state."""
    program, texts = program_of(runs[0], ONE, len(runs)), Texts()
    state, found = program.initial_state(runs), []
    if branch:
        state = program.branch_off(state, runs)
    for step in range(steps):
        state, metrics = program.step(
            state, program.batch(texts, [run.order_seed for run in runs], step, runs[0].batch_rows)
        )
        found.append(np.atleast_1d(metrics["loss"]))
    return np.array(found), state


def test_members_equal_the_runs_alone():
    together, state = losses(varied())
    for number, run in enumerate(varied()):
        alone, single = losses([run])
        np.testing.assert_allclose(
            together[:, number], alone[:, 0], rtol=1e-5
        )  # float32 sums in another order
        mine = jax.tree.map(lambda leaf, n=number: leaf[n], state.parameters)
        # Adam divides by the root of small second moments, which magnifies rounding
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-4), mine, single.parameters)


def test_members_differ_where_their_settings_do():
    together, _ = losses(varied())
    assert len(set(together[-1])) == len(varied())


def test_members_in_different_decays_equal_the_runs_alone():
    shapes = [
        dataclasses.replace(run, decay_shape=shape, steps=12, decay_steps=length)
        for run, shape, length in zip(
            varied(), ("sqrt", "linear", "cosine", "none"), (8, 8, 8, 1), strict=False
        )
    ]
    together, _ = losses(shapes, branch=True)
    for number, run in enumerate(shapes):
        alone, _ = losses([run], branch=True)
        np.testing.assert_allclose(
            together[:, number], alone[:, 0], rtol=1e-5
        )  # float32 sums in another order


def test_members_with_the_same_order_see_the_same_rows():
    program = program_of(BASE, ONE, 3)
    batch = np.asarray(program.batch(Texts(), [0, 0, 1], 5, 8))
    np.testing.assert_array_equal(batch[0], batch[1])
    assert (batch[0] != batch[2]).any()


def test_a_member_that_overflows_touches_no_other():
    wild = [dataclasses.replace(run, optim=dataclasses.replace(run.optim, lr=1e30)) for run in varied()[:1]]
    with_it, state = losses(wild + varied()[1:])
    without, calm = losses(varied())
    assert np.isnan(with_it[-1, 0])
    np.testing.assert_array_equal(with_it[:, 1:], without[:, 1:])  # the same program: to the bit
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[1:], b[1:]), state, calm)


def test_a_member_taken_out_and_put_back_is_itself():
    program = program_of(BASE, ONE, 6)
    _, state = losses(varied())
    again = program.together(list(program.apart(state)), state)
    jax.tree.map(np.testing.assert_array_equal, again, state)


def test_one_program_serves_every_population_of_a_shape_and_size():
    losses(varied())
    losses([dataclasses.replace(run, seed=run.seed + 10) for run in varied()], branch=True)
    assert program_of(BASE, ONE, 6).step._cache_size() == 1  # type: ignore[attr-defined]


def jobs(runs):
    return make_plan(Study(name="s", runs=tuple(runs))).jobs


def test_jobs_of_one_shape_are_packed_and_others_are_not():
    wide = dataclasses.replace(BASE, model=dataclasses.replace(BASE.model, width=32))
    longer = dataclasses.replace(BASE, steps=40)
    made = populations(jobs([*varied(), wide, dataclasses.replace(longer, seed=9)]), lambda _: 4)
    assert sorted(population.members for population in made) == [1, 1, 2, 4]
    assert len({population.population_id for population in made if population.members > 1}) == 2
    assert {p.population_id for p in made if p.members == 1} == {None}


def test_a_population_that_was_begun_stays_together_until_it_is_finished():
    all_jobs = jobs(varied())
    begun = [[job.trunk_id for job in all_jobs[:3]]]
    done = {all_jobs[0].trunk_id}
    made = populations(all_jobs, lambda _: 2, begun, lambda run: run.trunk_id in done)
    assert begun[0] in [list(population.trunk_ids) for population in made]
    assert sorted(population.members for population in made) == [1, 2, 3]
    done |= {job.trunk_id for job in all_jobs[:3]}
    made = populations(all_jobs, lambda _: 2, begun, lambda run: run.trunk_id in done)
    assert sorted(population.members for population in made) == [1, 2]


def test_trunks_that_were_half_trained_alone_are_not_packed_and_so_lose_nothing(tmp_path):
    folder, all_jobs = StudyFolder(tmp_path), jobs(varied())
    saved = all_jobs[:2]
    for number, job in enumerate(saved):
        (tmp_path / f"trunk-{job.trunk_id}" / "checkpoints" / str(100 + number)).mkdir(parents=True)
    (tmp_path / all_jobs[2].runs[0].run_id / "checkpoints" / "7").mkdir(parents=True)  # one with no trunk
    (tmp_path / f"trunk-{all_jobs[3].trunk_id}" / "checkpoints").mkdir(parents=True)  # nothing saved
    kept = begun(folder, all_jobs, Execution(), lambda _: False)
    assert kept == [[job.trunk_id] for job in all_jobs[:3]]
    made = populations(all_jobs, lambda _: 6, kept)
    assert sorted(population.members for population in made) == [1, 1, 1, 3]
    assert {p.trunk_ids for p in made if p.members == 1} == {(job.trunk_id,) for job in all_jobs[:3]}


def test_members_of_a_population_that_is_parted_may_be_packed_anew(tmp_path):
    folder, all_jobs = StudyFolder(tmp_path), jobs(varied())
    trunks = [job.trunk_id for job in all_jobs[:4]]
    for trunk in trunks:
        (tmp_path / f"trunk-{trunk}" / "checkpoints" / "100").mkdir(parents=True)
    folder.begin_population("abc", trunks)
    assert begun(folder, all_jobs, Execution(), lambda _: False) == [trunks]
    assert begun(folder, all_jobs, Execution(pack=2), lambda _: False) == []


def test_a_run_that_is_finished_is_not_trained_again_for_company():
    """A seed with one budget done and one to go is no company for seeds that have both to go."""
    both = [dataclasses.replace(run, steps=steps) for run in varied()[:3] for steps in (30, 40)]
    made = populations(jobs(both), lambda _: 4, finished=lambda run: run == both[0])
    assert sorted(population.members for population in made) == [1, 2]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": dataclasses.replace(BASE.model, width=32)}, "differ in model"),
        ({"steps": 31}, "differ in steps"),
        ({"optim": dataclasses.replace(BASE.optim, beta1=0.5)}, "differ in optimiser"),
    ],
)
def test_mixed_shapes_in_a_population_are_refused(change, said):
    other = dataclasses.replace(BASE, seed=1, **change)
    with pytest.raises(SpecError, match=said):
        Population((Job((BASE,)), Job((other,))))


@pytest.mark.parametrize(
    ("members", "devices", "apart"), [(7, 8, 7), (8, 8, 8), (9, 8, 3), (16, 8, 8), (3, 2, 1)]
)
def test_a_population_takes_the_devices_that_share_it_evenly_and_splits_no_batch(members, devices, apart):
    from scaling.training.sharding import _shape

    assert _shape(Execution(), members, devices, 1) == (apart, 1, 1)


def test_a_model_alone_takes_all_devices():
    from scaling.training.sharding import _shape

    assert _shape(Execution(), 1, 8, 1) == (1, 8, 1)


THREE = ("--widths", "8", "--seeds", "3", "--pack", "3")


@pytest.fixture(scope="module")
def packed(tmp_path_factory, data_folder):
    """Three seeds trained together, by the command."""
    from conftest import Tiny

    study = Tiny(tmp_path_factory.mktemp("packed"), data_folder)
    done = study.run(*THREE)
    assert done.returncode == 0, done.stderr
    assert "3 of 3 trunks are trained in a population of up to 3 members" in done.stdout
    return study


def test_each_member_has_its_own_checkpoints_log_and_row(packed):
    table = read(packed.study / "table.csv")
    assert len(table) == 6
    assert table["population_id"].nunique() == 1
    assert table["L"].nunique() == 6
    for run in StudyFolder(packed.study).study().runs:
        for folder in (packed.study / run.run_id, packed.study / f"trunk-{run.trunk_id}"):
            assert any(path.name.isdigit() for path in (folder / "checkpoints").iterdir())
            assert (folder / "metrics.jsonl").stat().st_size > 0


def test_rows_of_a_population_equal_those_of_runs_alone(packed, tiny):
    done = tiny.run("--widths", "8", "--seeds", "3", "--pack", "1")
    assert done.returncode == 0, done.stderr
    assert "populations" not in done.stdout
    alone, together = (read(t.study / "table.csv").set_index("run_id") for t in (tiny, packed))
    assert alone["population_id"].isna().all()
    np.testing.assert_allclose(together["L"], alone["L"], rtol=1e-5)  # float32 sums in another order


def test_a_branch_is_taken_from_one_member(packed, tiny):
    """One seed gets a longer budget, alone: its trunk goes on from where the population left it."""
    import shutil

    shutil.copytree(packed.study, tiny.study)
    before = len((trunk_log(tiny)).read_text().splitlines())
    done = tiny.run("--widths", "8", "--budgets", "10240", "30720", "40960")
    assert "1 were trained now" in done.stdout, done.stdout + done.stderr
    records = [json.loads(line) for line in trunk_log(tiny).read_text().splitlines()]
    assert [r["step"] for r in records][before - 1 :] == list(range(10 * before, records[-1]["step"] + 1, 10))
    table = read(tiny.study / "table.csv").sort_values("D")
    assert (np.diff(table["L"]) < 0).all()
    assert table["population_id"].isna().tolist() == [False, False, True]


def trunk_log(tiny):
    first = StudyFolder(tiny.study).study().runs[0]
    return tiny.study / f"trunk-{first.trunk_id}" / "metrics.jsonl"


def test_a_member_that_diverges_is_recorded_and_the_others_end_as_ever(tiny):
    knobs = ("--widths", "8", "--budgets", "2560", "5120", "7680", "--pack", "3")
    done = tiny.run(*knobs, "--rates", "1e-2", "1e30", "2e-2")
    assert done.returncode == 0, done.stderr
    assert "9 of 9 runs are finished, 3 of them diverged" in done.stdout
    table = read(tiny.study / "table.csv")
    assert set(table[table["lr"] == 1e30]["status"]) == {"diverged"}
    assert table[table["lr"] != 1e30]["L"].notna().all()
    assert table["population_id"].notna().all()
    assert "0 were trained now" in tiny.run(*knobs, "--rates", "1e-2", "1e30", "2e-2").stdout


def test_a_smaller_pack_that_is_asked_for_parts_a_population(packed, tiny):
    import shutil

    shutil.copytree(packed.study, tiny.study)
    done = tiny.run("--widths", "8", "--seeds", "3", "--budgets", "10240", "30720", "40960", "--pack", "1")
    assert "3 were trained now" in done.stdout, done.stdout + done.stderr
    assert "population" not in done.stdout
    table = read(tiny.study / "table.csv")
    assert table[table["D"] == 40960]["population_id"].isna().all()
    # the trunk's seconds go on from those of the population
    for _, rows in table.sort_values("D").groupby("seed"):
        assert (np.diff(rows["trunk_device_seconds"]) > 0).all()


def test_the_plan_says_what_is_trained_together(tiny):
    done = tiny.run(*THREE, verb="plan")
    assert "3 of 3 trunks are trained in a population of up to 3 members" in done.stdout, done.stderr


def test_killed_at_random_moments_a_population_ends_bitwise_the_same(packed, tiny):
    from test_run import QUICK, checkpoints, start, wait_for

    for delay in (0.0, 0.2):
        process = start(tiny, *THREE, *QUICK)
        before = len(checkpoints(tiny))
        wait_for(lambda n=before: len(checkpoints(tiny)) > n + 1, process)
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
    assert tiny.run(*THREE, *QUICK).returncode == 0
    assert tiny.numbers() == packed.numbers()


def test_the_norms_of_a_population_are_its_members_own():
    program = program_of(BASE, ONE, 6)
    runs = varied()
    _, metrics = program.step(
        program.initial_state(runs), program.batch(Texts(), [r.order_seed for r in runs], 0, 8)
    )
    assert metrics["gradient_norm"].shape == (6,)
    assert jnp.isfinite(metrics["gradient_norm"]).all()
