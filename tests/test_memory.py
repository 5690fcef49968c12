"""The memory of a run, as compiled: what must be there at least, how it moves, and what is refused."""

import dataclasses

import jax
import pytest
from on_eight import run_of

from scaling.accounting import parameters
from scaling.errors import UserError
from scaling.execution import Execution
from scaling.spec import Data, Model, Optim, Run
from scaling.training import memory
from scaling.training.memory import Memory, check_memory, gibibytes, memory_of
from scaling.training.program import program_of


def run_with(rows=16, width=64, **changes):
    run = run_of()
    model = dataclasses.replace(run.model, width=width, **changes)
    return dataclasses.replace(run, model=model, optim=dataclasses.replace(run.optim, batch_tokens=16 * rows))


def taken(run, members=1, **execution):
    execution = Execution(data_devices=1, **execution)
    return memory_of(program_of(run, execution, members), run)


@pytest.fixture(scope="module")
def base():
    return taken(run_with())


def test_the_state_is_parameters_and_two_moments_in_float32(base):
    """And the step, Adam's count and the settings, 4 bytes each."""
    exact = 3 * 4 * parameters(run_with().model).total
    assert exact < base.state < exact + 100


def test_a_step_takes_more_than_state_gradients_and_logits(base):
    run = run_with()
    gradients = 4 * parameters(run.model).total
    logits = 4 * run.optim.batch_tokens * run.model.vocab
    assert base.step > base.state + gradients + logits


def test_memory_grows_with_the_batch_by_its_activations(base):
    """Twice the rows take twice the activations: what is left over does not depend on them."""
    twice, four = (taken(run_with(rows=16 * n)).step for n in (2, 4))
    assert base.step < twice < four
    assert four - twice == pytest.approx(2 * (twice - base.step), rel=0.1)  # buffers are shared in other ways


def test_microbatches_and_rematerialisation_take_less(base):
    large = run_with(rows=256, depth=6)
    whole = taken(large).step
    assert taken(large, microbatches=8).step < whole / 3
    assert taken(large, remat="full").step < whole / 2


def test_a_population_takes_as_much_as_its_members(base):
    assert taken(run_with(), members=3).state == 3 * base.state


@pytest.mark.parametrize(
    ("need", "remedy"),
    [
        (Memory(state=2**30, step=3 * 2**30, evaluation=0), "use --microbatches, --remat full, --fsdp"),
        (
            Memory(state=3 * 2**30, step=4 * 2**30, evaluation=0),
            "split the state over more devices with --fsdp",
        ),
        (Memory(state=2**20, step=2**21, evaluation=3 * 2**30), "compute the logits in smaller parts"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_remedy(need, remedy):
    there = 2 * 2**30
    with pytest.raises(
        UserError, match=rf"w32-d2-lr0.01-s0-\S+ needs \d GiB on each device, .*are 2 GiB: {remedy}"
    ):
        check_memory({run_of(): need}, lambda _: there)
    check_memory({run_of(): need}, lambda _: need.needed)
    check_memory({run_of(): need}, lambda _: None)


def test_a_population_that_does_not_fit_is_to_be_made_smaller():
    need = Memory(state=1, step=200, evaluation=0, members=3)
    said = r"w32-d2\S+ with 2 trained together with it needs .* \(2 runs need too much\).* fewer together with --pack"
    with pytest.raises(UserError, match=said):
        check_memory({run_of(0): need, run_of(1): need}, lambda _: 100)


def test_a_cpu_has_what_is_available_over_the_devices_in_use(tmp_path, monkeypatch):
    info = tmp_path / "meminfo"
    info.write_text("MemTotal:       16000000 kB\nMemAvailable:    8000000 kB\n")
    monkeypatch.setattr(memory, "MEMINFO", info)
    assert memory.capacity(1) == 8_000_000 * 1024
    assert memory.capacity(64) == 8_000_000 * 1024 // jax.local_device_count()
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "none")
    assert memory.capacity(1) is None


def test_the_exact_probabilities_of_a_language_are_counted():
    plain, exact = (
        Run(
            model=Model(vocab=512, context=64, width=16, depth=1, heads=1),
            data=Data(corpus=corpus, context=64, eval_tokens=32_768),
            optim=Optim(batch_tokens=128),
            steps=9,
            warmup_steps=1,
            decay_steps=1,
        )
        for corpus in ("python_stdlib", "markov:vocab=512")
    )
    assert taken(exact).evaluation > taken(plain).evaluation + 4 * 32_768 * 512


def test_sizes_are_said_in_three_digits():
    assert (gibibytes(1.5 * 2**30), gibibytes(2**20 * 4.351)) == ("1.5 GiB", "4.35 MiB")


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_the_command_refuses_a_model_that_no_memory_holds(tiny, verb):
    done = tiny.run("--widths", "8", "131072", verb=verb)
    assert done.returncode == 2
    assert "w131072-d1-lr0.01-s0-" in done.stderr
    assert " GiB on each device" in done.stderr
    assert ("memory" in done.stdout) == (verb == "plan")
    assert not list(tiny.out.glob("*/*/metrics.jsonl"))
