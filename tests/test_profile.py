"""A trace holds the steps asked for, and the clock of compilation counts programs."""

import gzip
import json

import jax
import jax.numpy as jnp
import pytest

from scaling.errors import UserError
from scaling.training.compiling import CompileClock
from scaling.training.profile import Trace


def step(x):
    return jnp.sin(x) @ x


def steps_in(trace):
    """The numbers of the steps in a trace's only file."""
    (file,) = trace.files
    found = json.loads(gzip.decompress(file.read_bytes()))["traceEvents"]
    return sorted({int(e["args"]["step_num"]) for e in found if e.get("name") == "step" and "args" in e})


def test_a_trace_holds_the_steps_after_the_skipped_ones(tmp_path):
    with Trace(tmp_path / "profile", steps=3, skip=2) as trace:
        watched = trace.watch(jax.jit(step))
        x = jnp.ones((8, 8))
        for _ in range(8):
            assert watched(x).shape == (8, 8)
    assert steps_in(trace) == [3, 4, 5]
    (plane,) = (tmp_path / "profile").glob("plugins/profile/*/*.xplane.pb")
    assert b"step_num" in plane.read_bytes()


def test_training_that_ends_sooner_leaves_the_trace_of_what_there_was(tmp_path):
    with Trace(tmp_path, steps=100, skip=1) as trace:
        first, second = trace.watch(jax.jit(step)), trace.watch(jax.jit(step))
        first(jnp.ones((8, 8)))
        second(jnp.ones((8, 8)))
    assert steps_in(trace) == [2]


def test_an_error_within_a_trace_ends_it(tmp_path):
    with pytest.raises(ZeroDivisionError), Trace(tmp_path, steps=2, skip=0) as trace:
        trace.watch(lambda: 1 / 0)()
    assert len(trace.files) == 1
    with Trace(tmp_path / "again", steps=1, skip=0) as trace:  # JAX allows one trace at a time
        trace.watch(jax.jit(step))(jnp.ones((8, 8)))
    assert steps_in(trace) == [1]


def test_no_step_traced_is_no_file(tmp_path):
    with Trace(tmp_path, steps=2, skip=5) as trace:
        trace.watch(step)(jnp.ones((8, 8)))
    assert trace.files == []


def test_no_steps_to_trace_is_refused(tmp_path):
    with pytest.raises(UserError, match="--profile 0 cannot be"):
        Trace(tmp_path, steps=0)


def test_a_folder_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot make the folder .* for a profile"):
        Trace(tmp_path / "file" / "profile", steps=1)


def test_compilation_is_counted_once_a_program_and_not_at_all_for_a_program_at_hand():
    x = jnp.ones((3, 3))
    fresh = jax.jit(lambda x: jnp.cos(x) @ x)
    with CompileClock() as clock:
        fresh(x).block_until_ready()
        assert clock.programs == 1
        assert 0 < clock.since_last() == clock.seconds < 60
        fresh(x).block_until_ready()
        assert (clock.programs, clock.since_last()) == (1, 0.0)
        fresh(jnp.ones((4, 4))[:, :]).block_until_ready()
        assert clock.since_last() > 0
        total = clock.seconds
    jax.jit(lambda x: jnp.tan(x) @ x)(x).block_until_ready()
    assert clock.seconds == total, "a closed clock hears nothing"
