"""Claims: one holder at a time, found out by files alone, whatever the others' clocks say."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from scaling.launching import claim as claims
from scaling.launching.claim import Claim, holder_of, release
from scaling.launching.identity import identity, surely_gone

WORKER = """
import sys, time
from scaling.launching.claim import Claim
claim = Claim(sys.argv[1], sys.argv[2])
claim.take(patience=float(sys.argv[3]))
print("taken", flush=True)
with claim.beating(0.05):
    while claim.held(max_age=0.05):
        time.sleep(0.02)
print("superseded", flush=True)
"""


def worker(path, token, patience):
    command = [sys.executable, "-c", WORKER, str(path), token, str(patience)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


class Clock:
    """A clock that goes on when somebody sleeps."""

    def __init__(self, beside=lambda: None):
        self.now, self.beside = 0.0, beside

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self.beside()


def claim(path, token, clock=None):
    clock = clock or Clock()
    return Claim(path, token, clock, clock.sleep)


def file(path):
    (found,) = path.glob("*.json")
    return found


def test_a_claim_that_nobody_holds_is_taken_at_once(tmp_path):
    ours = claim(tmp_path / "a", "ours")
    assert ours.take() and ours.held(0)


def test_a_released_claim_is_taken_at_once(tmp_path):
    first, clock = claim(tmp_path / "a", "first"), Clock()
    first.take()
    first.release()
    second = claim(tmp_path / "a", "second", clock)
    assert second.take() and clock.now == 0
    assert second.held(0) and not first.held(0)


def test_the_claim_of_a_dead_holder_is_released_by_who_knows_it(tmp_path):
    claim(tmp_path / "a", "first").take()
    clock = Clock()
    release(tmp_path / "a", "another")
    release(tmp_path / "a", "first")
    assert claim(tmp_path / "a", "second", clock).take(patience=9) and clock.now == 0


def test_the_token_of_another_releases_nothing(tmp_path):
    claim(tmp_path / "a", "first").take()
    clock = Clock()
    release(tmp_path / "a", "another")
    assert claim(tmp_path / "a", "second", clock).take(patience=9) and clock.now >= 9


def test_releasing_what_nobody_holds_does_nothing(tmp_path):
    release(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_holder_that_beats_is_waited_for_and_one_that_stops_is_superseded(tmp_path):
    first, beats = claim(tmp_path / "a", "first"), iter(range(100))
    first.take()
    clock = Clock(lambda: first.beat() if next(beats, None) is not None else None)
    second = claim(tmp_path / "a", "second", clock)
    first._clock = clock  # so that it looks at the folder
    assert second.take(patience=10) and second.rival_lives
    assert 100 * 0.5 + 9.5 <= clock.now <= 100 * 0.5 + 11
    assert second.held(0) and not first.held(0)


def test_a_superseded_holder_stays_so_and_its_beats_change_nothing(tmp_path):
    first, second = claim(tmp_path / "a", "first"), claim(tmp_path / "a", "second")
    first.take()
    second.take(patience=1)
    first._say(released=False)  # as one that was frozen in the middle of a beat
    first._say(released=True)
    assert second.held(0)
    assert not first.held(0)
    first.beat()
    first.release()
    assert second.held(0) and not first.held(0)


def test_waiting_ends_when_that_is_wanted(tmp_path):
    first = claim(tmp_path / "a", "first")
    first.take()
    second = claim(tmp_path / "a", "second")
    assert not second.take(stop_wanted=lambda: True)
    assert not second.held(0) and first.held(0)
    assert second.rival.who == f"process {os.getpid()} on {os.uname().nodename}"


@pytest.mark.parametrize("wrong", [0.0, -1e9, 1e12])
def test_a_wrong_clock_in_the_file_changes_nothing(tmp_path, wrong):
    first, clock = claim(tmp_path / "a", "first"), Clock()
    first.take()
    path = file(tmp_path / "a")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"time": wrong}))
    assert first.held(0)
    assert claim(tmp_path / "a", "second", clock).take(patience=20) and 20 <= clock.now < 22


def test_one_who_slept_while_it_waited_does_not_take_what_another_holds(tmp_path):
    """A process that was stopped for an hour finds an old count, and must look again before it believes in a death."""
    first = claim(tmp_path / "a", "first")
    first.take()
    clock = Clock()
    looks = iter([3600.0])

    def asleep():
        clock.now += next(looks, 0.0)

    clock.beside = asleep
    second = claim(tmp_path / "a", "second", clock)
    assert second.take(patience=10)
    assert clock.now >= 3600 + 5


@pytest.mark.parametrize("content", ["", "{", "[]", '{"other": 1}', "\x00" * 40])
def test_a_damaged_file_is_a_holder_that_does_not_beat(tmp_path, content):
    claim(tmp_path / "a", "first").take()
    file(tmp_path / "a").write_text(content)
    clock = Clock()
    assert claim(tmp_path / "a", "second", clock).take(patience=4) and clock.now >= 4


def test_a_taker_that_was_passed_over_while_it_slept_holds_nothing(tmp_path, monkeypatch):
    """It read that number 1 is free, slept while others came and went, and finds the name of number 2 unused again."""
    first = claim(tmp_path / "a", "first")
    first.take()
    first.release()
    slow, others, create = claim(tmp_path / "a", "slow"), [], claims.create_whole

    def create_late(path, text):
        monkeypatch.setattr(claims, "create_whole", create)
        for number in range(4):
            others.append(claim(tmp_path / "a", str(number)))
            others[-1].take(patience=1)
        return create(path, text)

    monkeypatch.setattr(claims, "create_whole", create_late)
    assert not slow.take(stop_wanted=lambda: True)
    assert [other.held(0) for other in [*others, slow]] == [False, False, False, True, False]


def test_of_many_that_take_at_once_one_holds_it(tmp_path):
    for turn in range(20):
        takers = [Claim(tmp_path / str(turn), str(number)) for number in range(6)]
        start = threading.Barrier(len(takers))

        def take(taker, start=start):
            start.wait()
            taker.take(stop_wanted=lambda: True)

        threads = [threading.Thread(target=take, args=(taker,)) for taker in takers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(taker.held(0) for taker in takers) == 1


def test_of_many_that_supersede_each_other_at_most_one_is_told_that_it_holds(tmp_path):
    """Whoever takes with no patience robs the others; asked while nobody moves, one alone is told so."""
    takers = [Claim(tmp_path / "a", str(number)) for number in range(5)]
    for _ in range(15):
        threads = [threading.Thread(target=taker.take, args=(1e-4,)) for taker in takers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(taker.held(0) for taker in takers) == 1


def test_a_frozen_process_is_superseded_and_learns_it_when_it_wakes(tmp_path):
    first = worker(tmp_path / "a", "first", 9)
    second = None
    try:
        assert first.stdout.readline() == "taken\n"
        second = worker(tmp_path / "a", "second", 1.0)
        time.sleep(1.5)  # it beats: the second one waits
        assert second.poll() is None and len(list((tmp_path / "a").glob("0*.json"))) == 1
        os.kill(first.pid, signal.SIGSTOP)
        assert second.stdout.readline() == "taken\n"
        os.kill(first.pid, signal.SIGCONT)
        assert first.stdout.readline() == "superseded\n" and first.wait(10) == 0
        third = Claim(tmp_path / "a", "third")
        assert (
            not third.take(patience=9, stop_wanted=lambda: third.rival_lives)
            and third.rival.token == "second"
        )
    finally:
        for process in filter(None, (first, second)):
            process.kill()
            process.wait()
            process.stdout.close()


def test_a_killed_process_is_superseded_and_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    from scaling.errors import UserError

    first = worker(tmp_path / "a", "first", 9)
    assert first.stdout.readline() == "taken\n"
    first.kill()
    first.wait()
    first.stdout.close()
    assert Claim(tmp_path / "a", "second").take(patience=0.3)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot"):
        Claim(tmp_path / "file" / "a", "second").take()


def two_parts(folder, token, clock=None):
    """A claim, and one that is taken for its sake."""
    own = claim(folder / f"own-{token}", token, clock)
    assert own.take()
    part = Claim(folder / "part", token, own._clock, own._sleep, first=own)
    return own, part


def test_claims_that_are_taken_for_the_sake_of_another_live_by_its_beats_alone(tmp_path):
    first, part = two_parts(tmp_path, "first")
    assert part.take()
    before = file(tmp_path / "part").stat().st_mtime_ns
    beats = iter(range(100))
    clock = Clock(lambda: first.beat() if next(beats, None) is not None else None)
    first._clock = clock
    _, other = two_parts(tmp_path, "second", clock)
    assert other.take(patience=10) and other.rival_lives
    assert clock.now >= 100 * 0.5 + 9.5
    assert (
        not list(tmp_path.glob("part/000001.json")) and before
    )  # it was never written again, only passed over


def test_who_takes_a_part_from_a_dead_holder_supersedes_it_as_a_whole(tmp_path):
    first, part = two_parts(tmp_path, "first")
    assert part.take() and part.held(0)
    second, other = two_parts(tmp_path, "second")
    assert other.take(patience=1) and other.held(0) and second.held(0)
    assert not first.held(0) and not part.held(0)
    assert claim(tmp_path / "own-first", "third").take(patience=9)


def test_letting_go_of_a_claim_lets_go_of_all_that_were_taken_for_its_sake(tmp_path):
    first, part = two_parts(tmp_path, "first")
    assert part.take()
    first.release()
    assert holder_of(tmp_path / "part").released
    clock = Clock()
    assert two_parts(tmp_path, "second", clock)[1].take() and clock.now == 0
    assert not part.held(0)


def test_a_superseded_claim_holds_none_of_its_parts_against_others(tmp_path):
    first, part = two_parts(tmp_path, "first")
    assert part.take()
    clock = Clock()
    assert claim(tmp_path / "own-first", "again", clock).take(patience=5)
    waited = clock.now
    assert two_parts(tmp_path, "second", clock)[1].take() and clock.now == waited
    assert not part.held(0) and not first.held(0)


def test_who_waits_is_told_for_whom(tmp_path):
    claim(tmp_path / "a", "first").take()
    told = []
    assert claim(tmp_path / "a", "second").take(patience=5, waiting=told.append)
    assert len(told) > 3 and {holder.token for holder in told} == {"first"}


def test_a_process_of_this_machine_that_has_ended_is_not_waited_for(tmp_path):
    if not identity():
        pytest.skip("this system does not tell when a process began")
    first = worker(tmp_path / "a", "first", 9)
    assert first.stdout.readline() == "taken\n"
    name = identity(first.pid)
    assert name == holder_of(tmp_path / "a").process
    os.kill(first.pid, signal.SIGSTOP)
    assert not surely_gone(name)
    first.kill()
    first.wait()
    first.stdout.close()
    assert surely_gone(name)
    clock = Clock()
    assert claim(tmp_path / "a", "second", clock).take() and clock.now == 0


@pytest.mark.parametrize("name", ["", "elsewhere boot pid:[1] 1 1", "x", "a b c"])
def test_of_a_process_of_another_machine_nothing_is_known(name):
    assert not surely_gone(name)


def test_a_number_that_another_process_has_now_is_not_the_process_that_had_it():
    if not identity():
        pytest.skip("this system does not tell when a process began")
    machine, pid, began = identity().rsplit(" ", 2)
    assert not surely_gone(identity())
    assert surely_gone(f"{machine} {pid} {int(began) - 1}")
