"""Claims: who may work on something in the study's folder, among workers that know each other only by files.

A claim is a folder of files `<number>.json`, of which the one with the highest number says who holds it. A taker makes
the file of the next number, which of several takers one alone can do; so a holder that was superseded finds a higher
number, and only ever writes to its own. A holder lives while the counter in its file grows, watched by the clock of
whoever waits for it: no time that another machine wrote is read. Claims that are taken for the sake of another name it,
and are held as long as that one: it alone beats, is released, and is superseded before any of them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from scaling.errors import UserError
from scaling.launching.identity import identity, surely_gone
from scaling.storage import as_path, children, create_whole, write_whole

PATIENCE = 60.0
"""Seconds without a beat after which a holder counts as dead."""
BEAT_SECONDS = 5.0
"""Seconds between beats."""
CHECK_SECONDS = 2.0
"""Seconds for which `held` believes what it last read."""


@dataclass(frozen=True)
class Holder:
    """What the file of a claim says."""

    token: str
    who: str
    """For people: the process and its machine."""
    count: int = 0
    """Beats so far."""
    released: bool = False
    time: float = 0.0
    """Unix seconds by the holder's clock, for people alone."""
    process: str = ""
    """Its scaling.launching.identity, by which processes of the same machine know that it is gone."""
    first: str = ""
    """The name of the claim, beside this one, for whose sake it was taken; empty where it stands for itself."""
    number: int = 0
    """Of the file of `first`."""

    @property
    def gone(self) -> bool:
        """Whether nobody need wait for it."""
        return self.released or surely_gone(self.process)


class Claim:
    """A claim that this process may take, under a token that nobody else has."""

    def __init__(
        self,
        path: Any,
        token: str,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        first: Claim | None = None,
    ) -> None:
        """`path` is the claim's folder, made when it is taken, beside that of the `first`, for whose sake it is taken,
        if any; `clock` and `sleep` are replaced in tests."""
        self.path, self.token, self.first = as_path(path), token, first
        self.rival = Holder("", "another process")
        """Who else held it when this one last tried to take it."""
        self.rival_lives = False
        """Whether the rival's counter was seen to grow."""
        self._clock, self._sleep = clock, sleep
        self._writing = threading.Lock()
        self._number = 0
        self._count = 0
        self._checked = 0.0

    def take(
        self,
        patience: float = PATIENCE,
        stop_wanted: Callable[[], bool] = lambda: False,
        waiting: Callable[[Holder], None] = lambda _: None,
    ) -> bool:
        """Take it, once who holds it has released it, has ended on this machine, or has not beaten for `patience`
        seconds; waits while that one lives, and tells `waiting` of it about every second. False where `stop_wanted`
        came first. Raises UserError where the folder cannot be written."""
        seen, waited, looked = None, 0.0, self._clock()
        while True:
            number, self.rival = _highest(self.path)
            now = self._clock()
            # long between two looks, it is this process that slept, and that says nothing of the other
            waited, looked = waited + min(now - looked, patience / 4), now
            if (number, self.rival.count) != seen:
                self.rival_lives = seen is not None
                seen, waited = (number, self.rival.count), 0.0
            free = not number or self.rival.gone or self.rival.token == self.token
            if free or waited >= patience:
                if self._revoke() and self._supersede(number):
                    return True
                continue
            if stop_wanted():
                return False
            waiting(self.rival)
            self._sleep(min(1.0, patience / 20))

    def held(self, max_age: float = CHECK_SECONDS) -> bool:
        """Whether it is still this one's, as it was at most `max_age` seconds ago; once False, ever so."""
        if self.first is not None:
            return self._number > 0 and self.first.held(max_age)
        if self._number and (now := self._clock()) - self._checked >= max_age:
            try:
                if _numbers(self.path)[-1:] != [self._number]:
                    self._number = 0
            finally:
                self._checked = now  # not before: another thread would believe what is being asked
        return self._number > 0

    def beat(self) -> None:
        """Tell those who wait that this holder lives; for claims that were taken for the sake of this one too."""
        with self._writing:
            if self.held():
                self._count += 1
                self._say(released=False)

    def release(self) -> None:
        """Let the next one take it at once."""
        with self._writing:
            if self.held(max_age=0.0):
                self._say(released=True)
            self._number = 0

    @contextlib.contextmanager
    def beating(self, seconds: float = BEAT_SECONDS) -> Iterator[None]:
        """Beat in a thread of its own while the block runs; a beat that fails is made up for by the next."""
        over = threading.Event()

        def work() -> None:
            while not over.wait(seconds):
                with contextlib.suppress(UserError):
                    self.beat()

        thread = threading.Thread(target=work, daemon=True, name="claim")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _supersede(self, number: int) -> bool:
        """Make the next file; False where another did so first."""
        mine = number + 1
        if not create_whole(self._file(mine), self._text(released=False)):
            return False
        self._checked = self._clock()
        numbers = _numbers(self.path)
        # one that slept since it read the folder may have made a file that was passed over
        if numbers[-1:] != [mine]:
            return False
        self._number = mine
        for old in numbers[:-1]:
            self._file(old).unlink(missing_ok=True)
        return True

    def _revoke(self) -> bool:
        """Supersede the claim for whose sake the rival took this one, so that it finds out there; False where another
        did so first."""
        rival = self.rival
        if not rival.first or rival.released or rival.token == self.token:
            return True
        file = self.path.parent / os.path.basename(rival.first) / f"{rival.number + 1:06d}.json"
        return create_whole(
            file, json.dumps(asdict(dataclasses.replace(rival, released=True, first=""))) + "\n"
        )

    def _say(self, released: bool) -> None:
        if number := self._number:  # another thread may have found it superseded
            write_whole(self._file(number), self._text(released))

    def _text(self, released: bool) -> str:
        who = f"process {os.getpid()} on {socket.gethostname()}"
        holder = Holder(self.token, who, self._count, released, time.time(), identity())
        if self.first is not None:
            holder = dataclasses.replace(holder, first=self.first.path.name, number=self.first._number)
        return json.dumps(asdict(holder)) + "\n"

    def _file(self, number: int) -> Any:
        return self.path / f"{number:06d}.json"


def release(path: Any, token: str = "") -> None:
    """Release the claim of a holder that is known to be dead, if its token is `token`, or whatever it is."""
    number, holder = _highest(as_path(path))
    if number and not holder.released and token in ("", holder.token):
        released = asdict(holder) | {"released": True}
        write_whole(as_path(path) / f"{number:06d}.json", json.dumps(released) + "\n")


def holder_of(path: Any) -> Holder:
    """Who holds a claim or held it last; its token is empty where nobody did."""
    return _highest(as_path(path))[1]


def _highest(path: Any) -> tuple[int, Holder]:
    """The number of the file that counts, 0 for none, and what it says; of one that was taken for the sake of another,
    whether it is released, and its beats, as that other says."""
    number, holder = _said(path)
    if number and holder.first and not holder.released:
        first, said = _said(path.parent / os.path.basename(holder.first))
        # an unreadable file is of somebody who does not beat
        over = first != holder.number or (said.token not in ("", holder.token)) or said.released
        holder = dataclasses.replace(holder, count=said.count, released=over)
    return number, holder


def _said(path: Any) -> tuple[int, Holder]:
    """The number of the file that counts, 0 for none, and what is in it."""
    unknown = Holder("", "another process")
    numbers = _numbers(path)
    if not numbers:
        return 0, unknown
    try:
        values = json.loads((path / f"{numbers[-1]:06d}.json").read_text())
        return numbers[-1], Holder(**values)
    except (
        FileNotFoundError,
        ValueError,
        TypeError,
    ):  # passed over since it was listed, or cut off by a full disk
        return numbers[-1], unknown


def _numbers(path: Any) -> list[int]:
    """The numbers of the claim's files, in order."""
    return sorted(int(found[1]) for name in children(path) if (found := re.fullmatch(r"(\d+)\.json", name)))
