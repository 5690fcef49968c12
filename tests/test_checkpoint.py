"""Checkpoints of populations: what all members have is used, and what only some have is not lost to the others."""

import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scaling.training.checkpoint import Checkpoints, PopulationCheckpoints
from scaling.training.disk import CheckpointError

STATE = {"a": jnp.zeros(3), "b": {"x": jnp.ones(2)}}


def states(*values):
    return [{"a": jnp.full(3, float(value))} for value in values]


def group(folder, keep=()):
    return PopulationCheckpoints([folder / "first", folder / "second"], keep)


def restored(folder, at_most, said=None):
    with group(folder) as both:
        found = both.restore(states(0, 0), at_most, (said if said is not None else []).append)
    if found is None:
        return None
    step, both_states, notes = found
    return step, [float(state["a"][0]) for state in both_states], notes


def test_members_come_back_as_they_were_saved_with_their_own_notes(tmp_path):
    with group(tmp_path) as both:
        both.save(5, states(1, 2), [{"who": "first"}, {"who": "second"}])
    assert restored(tmp_path, 9) == (5, [1, 2], [{"who": "first"}, {"who": "second"}])
    assert restored(tmp_path, 4) is None


def test_a_step_that_only_some_members_reached_is_not_used(tmp_path):
    """As a kill between the saves of two members leaves it."""
    with group(tmp_path) as both:
        both.save(5, states(1, 2), [{}, {}])
        both.save(7, states(3, 4), [{}, {}])
        both.members[0].save(9, states(5)[0], {})
    assert restored(tmp_path, 99)[:2] == (7, [3, 4])


def test_after_many_kills_between_the_saves_of_members_a_common_step_is_still_there(tmp_path):
    with group(tmp_path) as both:
        both.save(5, states(1, 2), [{}, {}])
    for ahead in (30, 20, 10, 8):  # each time the first member alone saves, ever less far
        with group(tmp_path) as both:
            assert both.restore(states(0, 0), 99, print)[0] == 5
            both.members[0].save(ahead, states(9)[0], {})
    with group(tmp_path) as both:
        both.save(6, states(3, 4), [{}, {}])
        both.members[0].save(7, states(9)[0], {})
    assert restored(tmp_path, 99)[:2] == (6, [3, 4])


def test_the_two_latest_common_steps_and_branch_points_are_kept(tmp_path):
    with group(tmp_path, keep=[2]) as both:
        for step in (1, 2, 3, 4, 5):
            both.save(step, states(step, step), [{}, {}])
        assert both.steps() == [2, 4, 5]


def test_an_unsound_checkpoint_of_one_member_sets_the_population_back_together(tmp_path):
    with group(tmp_path) as both:
        both.save(5, states(1, 2), [{}, {}])
        both.save(7, states(3, 4), [{}, {}])
    for path in (tmp_path / "second" / "7" / "state").rglob("*"):
        if path.is_file() and "/d/" in str(path):
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 0xFF
            path.write_bytes(content)
    said = []
    assert restored(tmp_path, 99, said)[:2] == (5, [1, 2])
    assert "is damaged" in said[0]


@pytest.mark.parametrize(
    "like",
    [
        {"a": jnp.zeros(4), "b": {"x": jnp.ones(2)}},
        {"a": jnp.zeros(3), "c": jnp.ones(2)},
        {"a": jnp.zeros(3), "b": {"x": jnp.ones(2)}, "d": jnp.zeros(1)},
    ],
    ids=["shape", "name", "more"],
)
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # reads that Orbax then abandons
def test_a_checkpoint_of_another_model_is_refused_and_left_alone(tmp_path, like):
    with Checkpoints(tmp_path) as saved:
        saved.save(1, STATE, {})
        with pytest.raises(CheckpointError, match="is of another shape of model") as refusal:
            saved.restore(1, like, print)
        del refusal
        gc.collect()  # the reads that Orbax abandoned complain here
        assert saved.steps() == [1]
        state, _ = saved.restore(1, STATE, print)
    jax.tree.map(np.testing.assert_array_equal, state, STATE)


def listing(folder):
    return sorted((str(path.relative_to(folder)), path.stat().st_mtime_ns) for path in folder.rglob("*"))


def test_one_that_reads_only_finds_what_another_writes_and_changes_nothing(tmp_path):
    with Checkpoints(tmp_path / "a" / "checkpoints") as written:
        written.save(3, STATE, {"who": "writer"})
        unfinished = tmp_path / "a" / "checkpoints" / "9.orbax-checkpoint-tmp-1"
        unfinished.mkdir()
        with Checkpoints(tmp_path / "a" / "checkpoints", reads_only=True) as read:
            before = listing(tmp_path)
            assert read.steps() == [3]
            assert read.restore(3, STATE, print)[1] == {"who": "writer"}
            assert listing(tmp_path) == before
            written.save(5, STATE, {})
            assert read.steps() == [3, 5]
        assert unfinished.exists()


def test_one_that_reads_only_reports_damage_and_sets_nothing_aside(tmp_path):
    folder = tmp_path / "a" / "checkpoints"
    with Checkpoints(folder) as written:
        written.save(3, STATE, {})
    for path in (folder / "3" / "state").rglob("*"):
        if path.is_file():
            path.write_bytes(b"nothing")
    said = []
    with Checkpoints(folder, reads_only=True) as read:
        assert read.restore(3, STATE, said.append) is None
        assert read.steps() == [3]
    assert len(said) == 1 and "damaged" in said[0]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["checkpoints"]


def test_one_that_reads_only_finds_nothing_where_there_is_nothing(tmp_path):
    with PopulationCheckpoints([tmp_path / "a", tmp_path / "b"], reads_only=True) as read:
        assert read.steps() == []
        assert read.restore(states(0, 0), 9, print) is None
    assert not list(tmp_path.iterdir())
