"""Specs are values: the same fields give the same hash, and a wrong field is named with its remedy."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.spec import Data, Model, Optim, Run, SpecError, Study, canonical, from_json, to_json


def run(**changes):
    base = Run(
        model=Model(context=64, width=32, heads=2),
        data=Data(context=64),
        optim=Optim(batch_tokens=256),
        steps=100,
        warmup_steps=10,
        decay_steps=20,
    )
    return dataclasses.replace(base, **changes)


@given(
    lr=st.floats(1e-8, 10),
    seed=st.integers(0, 2**31 - 1),
    steps=st.integers(30, 2**31 - 2),
    tied=st.booleans(),
)
def test_a_spec_survives_its_json_with_the_same_hash(lr, seed, steps, tied):
    model = Model(context=64, width=32, heads=2, tied=tied)
    original = run(model=model, optim=Optim(lr=lr, batch_tokens=256), seed=seed, steps=steps)
    again = from_json(Run, to_json(original))
    assert again == original
    assert again.run_id == original.run_id


def test_run_id_does_not_depend_on_the_order_of_fields():
    values = json.loads(to_json(run()))
    shuffled = json.dumps(dict(reversed(values.items())))
    assert from_json(Run, shuffled).run_id == run().run_id


def test_run_id_is_stable_from_version_to_version():
    # golden: a change here makes every finished run of every user new; bump it only on purpose
    assert run().run_id == "23bb4d8acd57"
    assert run().trunk_id == "9ec60ba198ec"
    assert run(model=Model(kind="linear", order=2, context=64)).run_id == "234a3f479046"


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"steps": 101},
        {"decay_steps": 21},
        {"data": Data(context=64, sha256="0" * 64)},
        {"optim": Optim(lr=1.0, batch_tokens=256)},
    ],
    ids=str,
)
def test_any_change_makes_another_run(change):
    assert run(**change).run_id != run().run_id


def test_runs_that_differ_in_budget_alone_share_a_trunk():
    assert run(steps=200, decay_steps=40).trunk_id == run().trunk_id
    assert run(seed=1).trunk_id != run().trunk_id


UNUSUAL = {
    "cosine": {"decay_shape": "cosine"},
    "to0.1": {"decay_to": 0.1},
    "init0.5": {"init_scale": 0.5},
    "order3": {"data_seed": 3},
    "muon": {"optim": Optim(name="muon", batch_tokens=256)},
    "independent_decay": {"optim": Optim(weight_decay_kind="independent", batch_tokens=256)},
    "mup": {"model": Model(context=64, width=32, heads=2, parametrization="mup")},
    "masked": {"model": Model(context=64, width=32, heads=2, objective="masked")},
    "linear": {"model": Model(kind="linear", context=64)},
}


@pytest.mark.parametrize("word", UNUSUAL)
def test_a_name_says_what_is_not_the_default(word):
    made = run(**UNUSUAL[word])
    assert word in made.name.split("-")
    assert made.run_id != run().run_id
    on_a_branch = word in ("cosine", "to0.1")
    assert (made.trunk_name == run().trunk_name) == (made.trunk_id == run().trunk_id) == on_a_branch


def test_the_name_of_a_run_with_defaults_is_as_before():
    assert run().name == "w32-d2-lr0.003-s0-25.6K"


def test_canonical_json_has_sorted_keys_and_no_spaces():
    assert canonical({"b": 1, "a": [1.0, True]}) == '{"a":[1.0,true],"b":1}'


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Model(width=65, heads=2), r"Model\.width = 65 .*multiple of heads=2"),
        (lambda: Model(width=6, heads=2), r"head.* = 3 .*even"),
        (lambda: Model(depth=0), r"Model\.depth = 0 .*above zero"),
        (lambda: Model(dropout=1.0), r"Model\.dropout = 1\.0"),
        (lambda: Model(order=2), r"Model\.order = 2 .*a transformer model has no use for it: leave it at 1"),
        (
            lambda: Model(kind="linear", width=32),
            r"Model\.width = 32 .*a linear model has no use for it: leave it at 64",
        ),
        (lambda: Optim(lr=float("nan")), r"Optim\.lr = nan"),
        (lambda: Optim(beta2=1.0), r"Optim\.beta2 = 1\.0"),
        (lambda: run(steps=0), r"Run\.steps = 0 .*above zero"),
        (lambda: run(steps=25), r"Run\.steps = 25 .*warm-up \(10\) and decay \(20\)"),
        (
            lambda: run(model=Model(context=128)),
            r"Model\.context = 128 .*longer than the rows.*Data\.context=64",
        ),
        (
            lambda: run(optim=Optim(batch_tokens=100)),
            r"Optim\.batch_tokens = 100 .*multiple of the context \(64\)",
        ),
        (lambda: run(decay_to=1.0), r"Run\.decay_to = 1\.0 .*decay_shape='none'"),
        (lambda: run(decay_shape="none"), r"Run\.decay_steps = 20 .*nothing decays: use 1"),
        (lambda: run(init_scale=0.0), r"Run\.init_scale = 0\.0 .*above zero"),
        (lambda: Data(context=64, eval_tokens=10), r"Data\.eval_tokens = 10 .*context=64"),
        (lambda: Data(sha256="abc"), r"Data\.sha256 = 'abc'"),
        (lambda: Study(name="../up", runs=(run(),)), r"Study\.name = '\.\./up'"),
        (lambda: Study(name="empty", runs=()), r"Study\.runs .*at least one"),
        (lambda: Study(name="twice", runs=(run(), run())), r"there twice"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_field_value_and_remedy(make, said):
    with pytest.raises(SpecError, match=said):
        make()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not valid JSON"),
        ('{"width": 64, "widht": 32}', r"no field 'widht' \(value 32\): did you mean 'width'"),
        ('{"width": "64"}', r"Model\.width = '64' .*type int"),
        ('{"width": true}', r"Model\.width = True .*type int"),
        ('{"mlp": "moe"}', r"Model\.mlp = 'moe'"),
        ("[1]", r"an object with the fields of Model"),
    ],
)
def test_json_that_is_no_model_is_refused(text, said):
    with pytest.raises(SpecError, match=said):
        from_json(Model, text)


def test_json_without_a_required_field_is_refused():
    with pytest.raises(SpecError, match="lacks the field 'steps'"):
        from_json(Run, '{"model": {}, "data": {}, "optim": {}, "warmup_steps": 1, "decay_steps": 1}')


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Model(width=64.0), r"Model\.width = 64\.0 .*type int"),
        (lambda: Model(width="64"), r"Model\.width = '64' .*type int"),
        (lambda: Optim(lr="fast"), r"Optim\.lr = 'fast' .*type float"),
        (lambda: run(model=None), r"Run\.model = None .*give a Model"),
        (lambda: Study(name="s", runs=[run()]), r"Study\.runs .*give a tuple of Runs"),
    ],
)
def test_a_field_of_another_type_is_refused(make, said):
    with pytest.raises(SpecError, match=said):
        make()


def test_a_whole_number_may_stand_for_a_float():
    assert to_json(Optim(lr=1)) == to_json(Optim(lr=1.0))
