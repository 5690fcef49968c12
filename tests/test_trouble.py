"""The driver in trouble, in virtual time: jobs that hang, results seen late, a storage that fails, no place."""

import errno
import os
from pathlib import Path

import pytest
from fake_engine import FakeEngine
from test_driver import Launched, names

from scaling.errors import StorageError
from scaling.launching.driving.outage import Outage
from scaling.launching.driving.watchdog import GRACE_SECONDS, Watchdog
from scaling.launching.journal import Beat, read_driver
from scaling.launching.launch import Launch
from scaling.storage import clear_storage_errors

IMPATIENT = Launch(stuck_minutes=0.5, branches="together")


@pytest.fixture
def launched(tmp_path):
    return Launched(tmp_path)


@pytest.mark.parametrize("deaf", [False, True], ids=["stops", "is killed"])
def test_a_job_that_gets_nowhere_is_stopped_and_tried_again_as_after_an_error(launched, capsys, deaf):
    outcome = launched(IMPATIENT, places=1, script={"w16": ["hangs"]}, deaf=deaf)
    assert outcome.exit_code == 0
    first, second = launched.jobs()["w16-d1-lr0.003-s0"].attempts
    assert (first.ending, second.ending, launched.engine.stopped) == (
        "failed",
        "finished",
        [first_order(launched)],
    )
    assert first.reason.startswith("it got no further for 0.5 minutes at step 20 of w16-")
    assert len(launched.engine.killed) == deaf
    assert "it is stopped" in capsys.readouterr().out


def first_order(launched):
    return launched.engine.orders[0][2].task_id


def test_a_job_that_always_hangs_is_given_up_and_zero_minutes_wait_for_ever():
    beat = Beat(1, 1, 0.0, "a", 1, "training", what="w8", step=5)
    dog, never = Watchdog(15.0), Watchdog(0.0)
    for now in (0.0, 899.0, 900.0, 901.0):
        assert bool(dog.heard("x", beat, now)) == (now == 900.0)
        assert not never.heard("x", beat, 1000 * now)
    assert not dog.heard("y", Beat(1, 1, 0.0, "a", 1, "compiling"), 0.0)
    assert not dog.heard("y", Beat(1, 300, 9.0, "a", 1, "compiling"), 3599.0)
    assert "60 minutes while compiling" in dog.heard("y", Beat(1, 301, 9.0, "a", 1, "compiling"), 3600.0)
    assert list(dog.overdue(900.0 + GRACE_SECONDS)) == ["x"]
    dog.forget("x")
    assert list(dog.stuck) == ["y"]


def test_results_that_are_seen_a_minute_late_are_waited_for_while_other_jobs_begin(launched):
    outcome = launched(places=1, late=60.0)
    assert (outcome.finished, outcome.exit_code) == (4, 0)
    first, second = launched.engine.orders
    seconds = first[1].steps / 10
    assert first[0] + seconds <= second[0] < first[0] + seconds + 5
    assert [len(job.attempts) for job in launched.jobs().values()] == [1, 1]


class Breaks:
    """A storage that neither reads nor writes from one moment of a clock to another."""

    def __init__(self, monkeypatch, clock, since, until):
        self.clock, self.since, self.until = clock, since, until
        for owner, name in ((Path, "read_bytes"), (os, "replace")):
            monkeypatch.setattr(owner, name, self.broken(getattr(owner, name)))

    def broken(self, works):
        def call(*arguments):
            if self.since <= self.clock.now < self.until:
                raise OSError(errno.EIO, "Input/output error")
            return works(*arguments)

        return call


def test_a_storage_that_fails_for_a_minute_ends_no_job(launched, monkeypatch, capsys):
    Breaks(monkeypatch, launched.clock, 5.0, 65.0)
    outcome = launched(places=1)
    assert (outcome.finished, outcome.exit_code, launched.engine.stopped) == (4, 0, [])
    assert [job.attempts[0].ending for job in launched.jobs().values()] == ["finished", "finished"]
    assert [len(job.attempts) for job in launched.jobs().values()] == [1, 1]
    assert capsys.readouterr().out.count("nothing is begun meanwhile") == 1


def test_a_storage_that_fails_for_good_stops_the_jobs_as_a_signal_does(launched, monkeypatch, capsys):
    broken = Breaks(monkeypatch, launched.clock, 5.0, float("inf"))
    outcome = launched(places=1, speed=0.5)
    assert (outcome.exit_code, len(launched.engine.stopped), launched.engine.killed) == (75, 1, [])
    assert 305 <= launched.clock.now < 330
    assert "stopping, as the storage has failed for minutes: " in capsys.readouterr().out
    broken.until = 0.0
    assert launched().exit_code == 0
    assert read_driver(launched.folder).state == "finished"


@pytest.mark.parametrize(
    ("number", "passes"),
    [("EIO", True), ("ESTALE", True), ("ENOSPC", False), ("EROFS", False), ("EACCES", False)],
)
def test_a_full_or_read_only_disk_is_not_waited_for(number, passes):
    error = OSError(getattr(errno, number), "said")
    with pytest.raises(StorageError) as told, clear_storage_errors("cannot write x"):
        raise error
    assert told.value.passes == passes


def test_errors_far_apart_are_no_outage():
    clock, said = iter(range(0, 10_000, 100)), []
    outage = Outage(lambda: next(clock), said.append)
    for _ in range(20):
        with outage.borne():
            raise OSError(errno.EIO, "said")
    assert (outage.over, len(said)) == (False, 20)


def test_jobs_that_wait_while_nothing_runs_are_not_waited_for_in_silence(launched, monkeypatch, capsys):
    monkeypatch.setattr(FakeEngine, "room", lambda self: 1 - len(self.at_work) if self.clock.now > 300 else 0)
    assert launched().exit_code == 0
    assert capsys.readouterr().out.count("jobs wait (2), none runs, and for 120 s none could begin") == 2
    assert len(names(launched.engine)) == 2
