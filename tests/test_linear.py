"""Softmax regression on the last tokens: one product, convex, reaching a known entropy, and trained as others are."""

import dataclasses
import functools
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling.accounting import CONVENTIONS, flops_per_token, training_flops
from scaling.data.languages import language
from scaling.errors import UserError
from scaling.execution import Execution
from scaling.models import build
from scaling.models.transformer import init_parameters
from scaling.results import row
from scaling.spec import Data, Model, Optim, Run, SpecError, to_json
from scaling.table import COLUMNS, read
from scaling.training.checkpoint import Checkpoints
from scaling.training.loss import make_losses, make_summed_loss
from scaling.training.program import program_of

ROOT = Path(__file__).parents[1]
ONE = Execution(data_devices=1)
MODEL = Model(kind="linear", order=3, vocab=11, context=8)
MARKOV = "markov:vocab=16,strength=1,zipf=0.5"


def run_of(model=MODEL, corpus="markov:vocab=16", rows=16, steps=100, **fields):
    return Run(
        model=model,
        data=Data(corpus=corpus, context=model.context, eval_tokens=1024),
        optim=Optim(**{"lr": 0.03, "weight_decay": 0.0, "batch_tokens": rows * model.context} | fields),
        steps=steps,
        warmup_steps=0,
        decay_steps=steps // 2,
    )


def tokens_of(model=MODEL, rows=4, more=0):
    return np.random.default_rng(0).integers(0, model.vocab, (rows, model.context + more)).astype(np.int32)


def weights_of(model=MODEL, seed=0):
    return init_parameters(build(model), jax.random.key(seed), model.context)


def logits(weights, tokens, model=MODEL):
    return build(model).apply({"params": weights}, tokens)


def trained(run, rows, steps):
    """The state after steps on the same rows [b, t + 1], at first at the constant rate and then in the decay, and the
    loss of each."""
    program = program_of(run, ONE)
    state, found = program.initial_state([run]), []
    state = program.branch_off(state, [run])
    for _ in range(steps):
        state, metrics = program.step(state, jnp.asarray(rows))
        found.append(float(metrics["loss"]))
    return program, state, found


@pytest.mark.parametrize("order", [1, 2, 3, 8])
def test_the_logits_are_the_product_of_one_matrix_with_the_last_tokens_one_hot(order):
    model = dataclasses.replace(MODEL, order=order)
    tokens, weights = tokens_of(model), weights_of(model)
    matrix = np.asarray(weights["head"])
    assert matrix.shape == (order * model.vocab, model.vocab)
    eye = np.eye(model.vocab)
    for t in range(model.context):
        seen = [eye[tokens[:, t - lag]] if lag <= t else 0 * eye[tokens[:, 0]] for lag in range(order)]
        expected = np.concatenate(seen, axis=1) @ matrix
        # float32 sums of up to eight numbers
        np.testing.assert_allclose(logits(weights, tokens, model)[:, t], expected, atol=1e-6)


def test_a_token_acts_on_the_next_n_predictions_and_on_no_other():
    weights, tokens = weights_of(), tokens_of(rows=1)
    for place in range(MODEL.context):
        other = tokens.copy()
        other[0, place] = (tokens[0, place] + 1) % MODEL.vocab
        moved = np.asarray(logits(weights, tokens) != logits(weights, other)).any(axis=-1)[0]
        assert np.flatnonzero(moved).tolist() == list(range(place, min(place + MODEL.order, MODEL.context)))


def test_the_gradient_of_a_prediction_is_exactly_zero_but_in_the_rows_of_the_last_n_tokens():
    rows, place = tokens_of(rows=1, more=1), 5

    def loss(weights):
        return make_losses(build(MODEL), True)(weights, rows, jax.random.key(0))[0, place]

    found = np.asarray(jax.grad(loss)(weights_of())["head"])
    chosen = sorted(lag * MODEL.vocab + rows[0, place - lag] for lag in range(MODEL.order))
    assert np.flatnonzero(found.any(axis=1)).tolist() == chosen


def test_the_loss_in_parts_of_time_is_the_loss():
    weights, rows = weights_of(), jnp.asarray(tokens_of(more=1))
    whole, parts = (
        jax.value_and_grad(make_summed_loss(build(MODEL), chunks=n), has_aux=True)(
            weights, rows, jax.random.key(0)
        )
        for n in (1, 3)
    )
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), whole, parts)


def test_the_first_loss_is_that_of_knowing_nothing():
    model = Model(kind="linear", order=4, context=16)
    rows = jnp.asarray(tokens_of(model, rows=32, more=1))
    loss, count = make_summed_loss(build(model))(weights_of(model), rows, jax.random.key(0))
    # the first logits have a variance of 1 / vocab, which adds half of it to the loss
    assert float(loss / count) == pytest.approx(math.log(model.vocab), abs=0.01)


def test_the_loss_is_convex_in_the_matrix():
    rows, losses = jnp.asarray(tokens_of(more=1)), make_summed_loss(build(MODEL))
    ends = [jax.tree.map(lambda x: 5 * x, weights_of(seed=seed)) for seed in range(6)]

    def loss(weights):
        return float(losses(weights, rows, jax.random.key(0))[0])

    for a, b in zip(ends[::2], ends[1::2], strict=True):
        for share in (0.1, 0.5, 0.8):
            between = jax.tree.map(lambda x, y, s=share: (1 - s) * x + s * y, a, b)
            assert loss(between) < (1 - share) * loss(a) + share * loss(b)


def test_from_two_initial_values_sgd_ends_at_the_same_loss():
    model = Model(kind="linear", order=2, vocab=4, context=16)
    rows = tokens_of(
        model, rows=64, more=1
    )  # every pair of tokens is followed by every token: the minimum is finite
    ends = []
    for seed, scale in ((0, 1.0), (1, 8.0)):
        run = run_of(model, rows=64, steps=400, name="sgd", lr=1.0, clip=1e9)
        run = dataclasses.replace(run, seed=seed, init_scale=scale, decay_steps=1)
        ends.append(trained(run, rows, 399)[2])
    assert abs(ends[0][0] - ends[1][0]) > 0.5
    assert ends[0][-1] == pytest.approx(ends[1][-1], abs=2e-6)  # float32 losses


def test_a_bigram_model_reaches_the_entropy_of_a_markov_language():
    model = Model(kind="linear", vocab=16, context=32)
    known, rows = language(MARKOV), language(MARKOV).sample(0, 2048, 32)
    run = run_of(model, corpus=MARKOV, rows=2048, steps=150, lr=0.1)
    program, state, losses = trained(run, rows.astype(np.int32), 150)
    held = known.sample(1, 256, 32).astype(np.int32)
    exact = known.probabilities(held).astype(np.float32)
    excess = program.held_out_excess(state.parameters, held, exact).sum() / (256 * 32)
    # 240 free parameters fitted to 65,536 tokens lose 240 / 2 / 65,536 = 0.0018 nats on fresh text
    assert 0.0005 < excess < 0.004
    # the sampling error of the mean of 65,536 losses is about 0.003, and the fit is 0.0018 below it
    assert losses[-1] == pytest.approx(known.entropy(32), abs=0.012)
    assert losses[0] > known.entropy(32) + 0.2


@pytest.mark.parametrize("order", [1, 2])
def test_one_token_back_is_enough_for_a_markov_language_and_none_is_not_there_to_be_had(order):
    """The exact model is a linear one: log P(next | last) in the rows of the last token, nothing in those before."""
    known = language(MARKOV)
    model = Model(kind="linear", order=order, vocab=16, context=32)
    table = np.log(known.transitions)
    weights = {"head": np.concatenate([table, *[0 * table] * (order - 1)]).astype(np.float32)}
    held = known.sample(1, 64, 32).astype(np.int32)
    found = jax.nn.softmax(logits(weights, held[:, :-1], model))
    np.testing.assert_allclose(found, known.probabilities(held), atol=1e-6)


def test_members_of_a_population_train_as_they_do_alone():
    model = Model(kind="linear", order=2, vocab=16, context=16)
    runs = [dataclasses.replace(run_of(model), seed=seed) for seed in range(3)]
    rows = tokens_of(model, rows=16, more=1)

    def losses(runs):
        program = program_of(runs[0], ONE, len(runs))
        state, found = program.initial_state(runs), []
        batch = jnp.asarray(rows if len(runs) == 1 else np.stack([rows] * len(runs)))
        for _ in range(5):
            state, metrics = program.step(state, batch)
            found.append(np.atleast_1d(metrics["loss"]))
        return np.array(found)

    together = losses(runs)
    for number, run in enumerate(runs):
        # float32 sums in another order
        np.testing.assert_allclose(together[:, number], losses([run])[:, 0], rtol=1e-5)


def test_from_a_checkpoint_it_goes_on_to_the_same_bits(tmp_path):
    run, rows = run_of(), jnp.asarray(tokens_of(rows=16, more=1))
    program, state, _ = trained(run, rows, 3)
    with Checkpoints(tmp_path) as kept:
        kept.save(3, state, {})
    blank = program.branch_off(program.initial_state([run]), [run])
    with Checkpoints(tmp_path) as kept:
        again, _ = kept.restore(3, blank, print)
    for _ in range(2):
        state, again = (program.step(each, rows)[0] for each in (state, again))
    np.testing.assert_array_equal(state.parameters["head"], again.parameters["head"])


LAYOUTS = {
    "one": {"data_devices": 1},
    "data": {},
    "mapped": {"mapped": True},
    "fsdp": {"fsdp": True},
    "tensor": {"model_devices": 2},
}
ON_TWO = f"""
import json, sys
import jax
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_disable_most_optimizations", True)
import on_eight
from scaling.execution import Execution
from scaling.spec import Model
transformer = on_eight.run_of
def run_of(seed=0):
    import dataclasses
    return dataclasses.replace(transformer(seed), model=Model(kind="linear", order=3, vocab=64, context=16))
on_eight.run_of = run_of
print(json.dumps({{name: on_eight.trained(Execution(**how), 1) for name, how in {LAYOUTS!r}.items()}}))
"""


@pytest.mark.slow
def test_every_layout_on_two_devices_trains_as_one_device_does():
    done = subprocess.run(
        [sys.executable, "-c", ON_TWO],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    for layout, share in {"data": 1, "mapped": 1, "fsdp": 1 / 2, "tensor": 1 / 2}.items():
        # float32 sums in another order, which four steps of Adam magnify a little
        np.testing.assert_allclose(found[layout]["losses"], found["one"]["losses"], rtol=1e-5)
        np.testing.assert_allclose(found[layout]["held_out"], found["one"]["held_out"], rtol=1e-5)
        assert set(found[layout]["shares"].values()) == {share}, layout


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("depth", 3), ("width", 32), ("heads", 1), ("mlp", "plain"), ("mlp_width", 9), ("tied", True)),
        *(("dropout", 0.1), ("objective", "masked"), ("parametrization", "mup"), ("base_width", 32)),
        ("base_depth", 4),
    ],
)
def test_a_field_that_it_does_not_read_is_refused(field, value):
    with pytest.raises(
        SpecError, match=rf"Model\.{field} = {value!r} .*linear model has no use for it: leave it"
    ):
        Model(kind="linear", **{field: value})


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Model(order=2), r"Model\.order = 2 .*transformer model has no use for it: leave it at 1"),
        (lambda: Model(kind="linear", order=9, context=8), r"Model\.order = 9 .*context=8"),
        (lambda: Model(kind="linear", order=0), r"Model\.order = 0 .*above zero"),
        (lambda: run_of(name="muon"), r"Optim\.name = 'muon' .*a linear model has none: use 'adamw'"),
    ],
)
def test_what_cannot_be_is_refused_by_value_and_remedy(make, said):
    with pytest.raises(SpecError, match=said):
        make()


@pytest.mark.parametrize("convention", [name for name in CONVENTIONS if name != "exact"])
def test_a_convention_that_counts_products_is_refused(convention):
    with pytest.raises(UserError, match=rf"{convention}.* a linear model makes none: use 'exact'"):
        training_flops(MODEL, 1, convention)


def test_runs_of_other_orders_are_other_runs_with_names_of_their_own():
    runs = [run_of(dataclasses.replace(MODEL, order=order)) for order in (1, 2)]
    assert [run.trunk_name for run in runs] == [
        "markov_vocab_16-linear-n1-lr0.03-s0",
        "markov_vocab_16-linear-n2-lr0.03-s0",
    ]
    assert runs[0].run_id != runs[1].run_id
    assert "order" not in to_json(runs[0])
    assert "order" not in to_json(Model())


def test_its_row_of_the_table_says_what_it_is_and_leaves_empty_what_it_has_not():
    run = run_of()
    found = row(run, {"diverged": None, "status": "done", "measured": {}}, None)
    assert set(found) <= set(COLUMNS)
    assert (found["architecture"], found["order"], found["N"]) == ("linear", 3, 3 * 11**2)
    assert {found[name] for name in ("depth", "width", "heads", "C_6ND")} == {None}
    assert found["C"] == flops_per_token(run.model).total * run.tokens
    other = row(
        dataclasses.replace(run, model=Model(vocab=11, context=8)),
        {"diverged": None, "status": "done", "measured": {}},
        None,
    )
    assert (other["architecture"], other["order"], other["depth"]) == ("transformer", None, 2)


SPEC = '''
"""A ladder of orders."""
from dataclasses import dataclass
from scaling.plan import Recipe, product
from scaling.spec import Data, Model, Optim, Study

@dataclass(frozen=True)
class Experiment:
    """No knobs."""

    def study(self):
        """Two orders at two budgets and two seeds."""
        data = Data(corpus="markov:vocab=32", context=16, eval_tokens=4096)
        recipe = Recipe(data=data, optim=Optim(lr=0.03, batch_tokens=256))
        models = [Model(kind="linear", order=order, vocab=32, context=16) for order in (1, 2)]
        return Study(name="orders", runs=product(models, (10240, 20480), recipe, range(2)))
'''


@pytest.mark.slow
def test_a_study_is_planned_trained_and_put_in_a_table(tmp_path):
    (tmp_path / "orders.py").write_text(SPEC)

    def scaling(verb):
        command = [sys.executable, "-m", "scaling", verb, "orders.py"]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "time on this machine: not known before a run is done" in scaling("plan")
    assert "8 of 8 runs are finished; 8 were trained now" in scaling("run")
    assert "not known" not in scaling("plan")
    table = read(tmp_path / "runs/orders/table.csv")
    assert set(table["architecture"]) == {"linear"}
    assert (table["excess"] > 0).all()
    assert table.groupby("order")["L"].min()[1] < table["entropy"].iloc[0] + 0.3
