"""The loop without a model: where several hosts leave it, and what one that was superseded still writes."""

import itertools
import math
import threading
import types

import numpy as np
import pytest

from scaling.training import hosts, loop
from scaling.training.loop import Clock, Interrupted, Member, Trainer, Watch


class Program:
    """Losses of 1, and of no number from a step on."""

    waits, called = False, [True]

    def __init__(self, lost_at=math.inf):
        self.steps, self.lost_at = 0, lost_at

    def batch(self, *_):
        return None

    def step(self, state, batch):
        self.steps += 1
        loss = math.nan if self.steps >= self.lost_at else 1.0
        return state, {"loss": np.float32(loss), "gradient_norm": np.float32(1)}

    def apart(self, state):
        return [state]


class Kept:
    """A log and checkpoints that remember the steps written to them."""

    def __init__(self):
        self.logged, self.saved = [], []

    def write(self, step, **_):
        self.logged.append(step)

    def flush(self):
        pass

    def save(self, step, states, notes):
        self.saved.append(step)


def trainer(program, kept, watch):
    members = [Member(kept, 0, {"device_seconds": 0.0})]
    return Trainer(program, types.SimpleNamespace(context=1), members, 1, kept, Clock(1.0), watch)


class Clocks:
    """Time in which a look at the clock takes so long, another on each thread."""

    def __init__(self, seconds):
        self.seconds, self.looks = seconds, {name: itertools.count() for name in seconds}

    def monotonic(self):
        name = threading.current_thread().name
        return next(self.looks[name]) * self.seconds[name]

    perf_counter = monotonic


@pytest.fixture
def on_hosts(monkeypatch):
    """Runs a function of the rank on so many hosts, which are threads whose clocks run at another pace each."""

    def run(work, *seconds):
        names = [str(rank) for rank in range(len(seconds))]
        clocks = Clocks(dict(zip(names, seconds, strict=True)))
        barrier, said = threading.Barrier(len(names), timeout=20), {}

        def exchange(numbers):
            said[threading.current_thread().name] = numbers
            barrier.wait()
            found = np.array([said[name] for name in names], np.float32)
            barrier.wait()
            return found

        monkeypatch.setattr(hosts, "of_all_hosts", exchange)
        monkeypatch.setattr("jax.process_count", lambda: len(names))
        monkeypatch.setattr(hosts, "time", clocks)
        monkeypatch.setattr(loop, "time", clocks)
        threads = [threading.Thread(target=work, args=(int(name),), name=name) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return run


@pytest.mark.parametrize("lost_at", [1, 2, 7, 10, 11, 33])
def test_hosts_whose_clocks_differ_leave_a_run_that_diverges_at_the_same_step(on_hosts, lost_at):
    programs, members = [Program(lost_at) for _ in range(2)], {}

    def work(rank):
        of_rank = trainer(programs[rank], Kept(), Watch(checkpoint_seconds=math.inf))
        of_rank.advance(None, 0, 100)
        members[rank] = of_rank.members[0].diverged

    on_hosts(work, 0.001, 0.15)
    assert programs[0].steps == programs[1].steps < lost_at + hosts.AGREE_EVERY
    assert members == {0: lost_at, 1: lost_at}


@pytest.mark.parametrize("asked_at", [1, 5, 64])
def test_hosts_of_which_one_is_asked_to_stop_save_the_same_step_within_seconds(on_hosts, asked_at):
    """Steps of several seconds: the next one is the last."""
    programs, kept = [Program(), Program()], [Kept(), Kept()]

    def work(rank):
        watch = Watch(
            stop_wanted=lambda: rank == 1 and programs[1].steps >= asked_at, checkpoint_seconds=math.inf
        )
        with pytest.raises(Interrupted):
            trainer(programs[rank], kept[rank], watch).advance(None, 0, 100)

    on_hosts(work, 2.0, 0.5)
    assert kept[0].saved == kept[1].saved == [asked_at]


def test_hosts_save_unasked_at_the_same_steps(on_hosts):
    kept = [Kept(), Kept()]

    def work(rank):
        trainer(Program(), kept[rank], Watch(checkpoint_seconds=5.0)).advance(None, 0, 100)

    on_hosts(work, 0.05, 0.11)
    assert kept[0].saved == kept[1].saved
    assert 2 <= len(kept[0].saved) <= 20


@pytest.mark.parametrize(("seconds", "steps"), [(0.0, 10), (0.19, 10), (0.5, 4), (1.9, 1), (60.0, 1)])
def test_hosts_ask_each_other_every_two_seconds_or_every_step_that_takes_longer(seconds, steps):
    assert hosts.steps_between(seconds) == steps


class Superseded(Exception):
    pass


def test_who_was_superseded_logs_no_step_and_saves_nothing():
    kept, saved = Kept(), []

    def superseded():
        if saved:
            raise Superseded
        saved.append(1)

    with pytest.raises(Superseded):
        trainer(Program(), kept, Watch(checkpoint_seconds=0.0, before_saving=superseded)).advance(
            None, 0, 100
        )
    assert kept.saved == [1]

    def told(progress):
        if progress.step > 20:
            raise Superseded

    kept = Kept()
    with pytest.raises(Superseded):
        trainer(Program(), kept, Watch(progress=told, checkpoint_seconds=math.inf)).advance(None, 0, 100)
    assert kept.saved == [] and set(kept.logged) <= {10, 20}
