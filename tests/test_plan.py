"""Grids become runs, runs become jobs, and a weak design is told so before it costs anything."""

import dataclasses
import json

import pytest

from scaling.accounting import parameters, training_flops
from scaling.plan import Recipe, branches, isoflop, ladder, make_plan, product, repetition_warnings
from scaling.spec import Data, Model, Optim, SpecError, Study, to_json

RECIPE = Recipe(data=Data(context=64), optim=Optim(batch_tokens=1024))
COSINE = dataclasses.replace(RECIPE, schedule="cosine")
MODELS = [Model(context=64, width=width, heads=2) for width in (16, 32, 64)]
WIDENED = [dataclasses.replace(model, parametrization="mup") for model in MODELS]
DEEPENED = [dataclasses.replace(WIDENED[0], depth=depth) for depth in (2, 4)]
BUDGETS = (1e5, 1e6, 1e7)


def plan_of(runs):
    return make_plan(Study(name="s", runs=runs))


def test_budgets_of_one_trunk_share_its_warm_up_and_its_identity():
    runs = branches(MODELS[0], BUDGETS, RECIPE)
    assert len({run.trunk_id for run in runs}) == 1
    assert {run.warmup_steps for run in runs} == {round(0.1 * runs[0].steps)}
    assert [run.decay_steps for run in runs] == [round(0.2 * run.steps) for run in runs]


@pytest.mark.parametrize(("schedule", "shape"), [("cosine", "cosine"), ("linear", "linear")])
def test_a_schedule_without_a_plateau_decays_from_the_warm_up_to_the_end(schedule, shape):
    recipe = dataclasses.replace(RECIPE, schedule=schedule, decay_to=0.1)
    runs = branches(MODELS[0], BUDGETS, recipe)
    assert {(run.decay_start, run.decay_shape, run.decay_to) for run in runs} == {
        (runs[0].warmup_steps, shape, 0.1)
    }
    (job,) = plan_of(runs).jobs
    assert job.steps == runs[0].warmup_steps + sum(run.steps - run.warmup_steps for run in runs)


def test_a_constant_schedule_never_decays_and_the_plan_says_what_its_losses_are_worth():
    runs = branches(MODELS[0], BUDGETS, dataclasses.replace(RECIPE, schedule="constant"))
    assert {(run.decay_shape, run.decay_steps) for run in runs} == {("none", 1)}
    assert any(
        "the rate of 3 runs never decays: their losses are not final" in said
        for said in plan_of(runs).warnings
    )


def test_the_default_schedule_leaves_the_identity_of_runs_as_it_was():
    assert "decay_shape" not in to_json(branches(MODELS[0], BUDGETS, RECIPE)[0])


def test_runs_of_one_trunk_come_in_the_order_in_which_they_leave_it():
    runs = [*branches(MODELS[0], BUDGETS, RECIPE), *branches(MODELS[0], BUDGETS, COSINE)]
    (job,) = plan_of(tuple(runs)).jobs
    starts = [run.decay_start for run in job.runs]
    assert starts == sorted(starts)
    assert job.steps == max(starts) + sum(run.decay_steps for run in runs)


def test_tokens_are_at_least_the_budget_and_less_than_a_step_over():
    for run, budget in zip(branches(MODELS[0], BUDGETS, RECIPE), BUDGETS, strict=True):
        assert budget <= run.tokens < budget + run.optim.batch_tokens


def test_a_longer_budget_leaves_the_shorter_runs_and_their_trunk_as_they_were():
    before, after = branches(MODELS[0], BUDGETS, RECIPE), branches(MODELS[0], (*BUDGETS, 1e8), RECIPE)
    assert after[:3] == before


def test_isoflop_runs_cost_what_was_asked():
    for run in isoflop(MODELS, [1e12, 1e13], RECIPE):
        cost = training_flops(run.model, run.tokens)
        nearest = min([1e12, 1e13], key=lambda c: abs(c - cost))
        assert nearest <= cost < nearest + training_flops(run.model, run.optim.batch_tokens)


def test_ladder_runs_have_the_asked_for_tokens_per_parameter():
    for run in ladder(MODELS, [20.0], RECIPE):
        assert run.tokens / parameters(run.model).N == pytest.approx(20, abs=1024 / parameters(run.model).N)


def test_a_plan_counts_each_trunk_once():
    plan = plan_of(product(MODELS[:1], BUDGETS, RECIPE))
    (job,) = plan.jobs
    longest = job.runs[-1]
    expected = longest.decay_start + sum(run.decay_steps for run in job.runs)
    assert plan.flops == training_flops(MODELS[0], expected * 1024)
    assert plan.flops < plan.flops_from_scratch


def test_jobs_come_cheapest_first_and_hold_every_run_once():
    runs = product(MODELS, BUDGETS, RECIPE, seeds=range(2))
    plan = plan_of(runs)
    costs = [job.flops for job in plan.jobs]
    assert costs == sorted(costs)
    assert sorted(run.run_id for job in plan.jobs for run in job.runs) == sorted(run.run_id for run in runs)


def test_plan_lines_are_json_with_the_hash_of_their_spec():
    plan = plan_of(product(MODELS, BUDGETS, RECIPE))
    lines = [json.loads(line) for line in plan.lines()]
    assert len(lines) == 9
    assert {line["spec_sha256"] for line in lines} == {plan.study.spec_sha256}


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        (ladder(MODELS, [20.0], RECIPE), r"D = 20.* N in every run: alpha and beta cannot be told apart"),
        (product(MODELS, BUDGETS, RECIPE), "no run is repeated with another seed"),
        (product(MODELS, BUDGETS, RECIPE), "every size has one learning rate"),
        (product(MODELS[:1], BUDGETS, RECIPE), r"too few model sizes \(1\)"),
        (product(MODELS, BUDGETS[:1], RECIPE), r"too few token budgets \(1\)"),
        (product(MODELS[:1], (1e5, 2e5), RECIPE), "compute spans 2 times"),
        (product(MODELS, (1e4, 1e6), RECIPE), "the shortest run has 10 steps"),
        (product(WIDENED, BUDGETS, RECIPE), "width / heads goes from 8 to 32"),
        (product(DEEPENED, BUDGETS, RECIPE), "depth goes from 2 to 4 under mup"),
    ],
)
def test_a_weak_design_is_named(runs, said):
    import re

    assert any(re.search(said, warning) for warning in plan_of(runs).warnings)


def test_a_ladder_of_orders_is_planned_by_its_own_counts():
    models = [Model(kind="linear", order=order, context=64) for order in (1, 2, 4)]
    plan = plan_of(product(models, BUDGETS, RECIPE, seeds=range(2)))
    assert [json.loads(line)["N"] for line in plan.lines()][::6] == [257**2, 2 * 257**2, 4 * 257**2]
    assert plan.flops == sum(training_flops(job.runs[0].model, job.steps * 1024) for job in plan.jobs)
    assert plan.warnings == (
        "every size has one learning rate: nothing in this study shows that it is near the best",
    )


def test_a_sound_design_draws_no_warning():
    rates = [dataclasses.replace(RECIPE, optim=Optim(batch_tokens=1024, lr=lr)) for lr in (1e-3, 3e-3)]
    runs = [run for recipe in rates for run in product(MODELS, BUDGETS, recipe, seeds=range(2))]
    assert plan_of(tuple(runs)).warnings == ()


def test_repeated_data_is_said_in_epochs():
    study = Study(name="s", runs=product(MODELS, BUDGETS, RECIPE))
    (said,) = repetition_warnings(study, {RECIPE.data: 4_000_000})
    assert "2.5 epochs" in said
    assert repetition_warnings(study, {RECIPE.data: 20_000_000}) == []


@pytest.mark.parametrize("budget", [0, -1.0, float("nan"), float("inf")])
def test_a_budget_that_is_no_number_of_tokens_is_refused(budget):
    with pytest.raises(SpecError, match=r"budget = .* tokens cannot be"):
        branches(MODELS[0], [budget], RECIPE)


def test_a_recipe_with_an_impossible_share_is_refused():
    with pytest.raises(SpecError, match=r"Recipe\.warmup = 1\.5"):
        Recipe(warmup=1.5)


def test_a_recipe_with_an_unknown_schedule_is_refused():
    with pytest.raises(
        SpecError, match=r"Recipe\.schedule = 'step' .*use one of wsd, cosine, linear, constant"
    ):
        Recipe(schedule="step")
