"""The pulse of a worker: what it says of itself every few seconds, and whether it may go on."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from scaling.errors import UserError
from scaling.folder import StudyFolder
from scaling.launching.claim import Claim, Holder
from scaling.launching.display import PLAIN_SECONDS, outcome
from scaling.launching.holding import in_words
from scaling.launching.journal import Beat, read_beat, write_beat
from scaling.launching.standing import steps_done
from scaling.launching.task import Task
from scaling.spec import Run, count
from scaling.training.loop import Progress

BEAT_SECONDS = 5.0


class Superseded(Exception):
    """Another attempt has taken this task over: nothing more may be written."""


class Pulse:
    """Writes a beat every five seconds and when its phase changes, from a thread of its own; watches as a Display.

    Its methods raise Superseded once another attempt has taken the task over. Used as a context manager.
    """

    def __init__(
        self,
        folder: StudyFolder,
        task: Task,
        attempt: int,
        after: Callable[[], None],
        writes: bool,
        began: float,
    ) -> None:
        """Nothing is written at all unless this host `writes`; `after` is called after each beat.
        The attempt `began` at that value of time.monotonic()."""
        self._folder, self._task, self._after, self._writes = folder, task, after, writes
        self.claim: Claim | None = None
        """What must be held while the block runs; of a host that does not write, nothing."""
        self._began = began
        self._beat = Beat(attempt, 0, 0.0, socket.gethostname(), os.getpid(), "starting")
        self._lock = threading.Lock()
        self._over, self._superseded = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._keep_beating, name="pulse", daemon=True)
        self._before, self._printed = 0, 0.0
        self._waited = -math.inf
        self._waits_for = ""

    def __enter__(self) -> Pulse:
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.tell(phase="ended")

    def waiting(self, holder: Holder) -> None:
        """Say, before the block, that another works on the same files; its own beats are passed on, not hidden."""
        now = time.monotonic()
        if now - self._waited < BEAT_SECONDS:
            return
        self._waited = now
        said = in_words(holder, self._task.name)
        if holder.who != self._waits_for:
            self._waits_for = holder.who
            print(said, flush=True)
        ours = self._beat
        with contextlib.suppress(UserError):
            there = read_beat(self._folder, self._task.task_id) or ours
            told = {name: getattr(ours, name) for name in ("attempt", "count", "host", "pid")}
            self._beat = dataclasses.replace(there, **told, phase="waiting", message=said)
            self._write()
        self._beat = dataclasses.replace(ours, count=self._beat.count)

    def check(self, seconds: float = BEAT_SECONDS) -> None:
        """Raise Superseded where another attempt has taken the task over, by what was read at most so long ago."""
        with contextlib.suppress(UserError):  # a storage that does not answer has taken nothing over
            if self.claim is not None and not self.claim.held(seconds):
                raise Superseded
        if self._superseded.is_set():
            raise Superseded

    def check_now(self) -> None:
        """Raise Superseded where another attempt has taken the task over."""
        self.check(0.0)

    def tell(self, **changes: Any) -> None:
        """Say something new now."""
        with self._lock:
            self._beat = dataclasses.replace(self._beat, **changes)
        self._write()

    def begin(self, name: str, start: int, stop: int, flops_a_step: float) -> None:
        """A trunk or branch goes from step `start` to `stop`."""
        self.check()
        self._before = steps_done(self._folder, self._task)
        print(f"{name}: step {start} to {stop}", flush=True)
        self.tell(phase="training", what=name, start=start, step=start, stop=stop, steps_done=self._before)

    def progress(self, progress: Progress) -> None:
        """Steps are done."""
        self.check()
        over = progress.step == self._beat.stop
        with self._lock:
            self._beat = dataclasses.replace(
                self._beat,
                step=progress.step,
                steps_done=self._before + progress.step - self._beat.start,
                loss=progress.loss if math.isfinite(progress.loss) else None,
                tokens_per_second=progress.tokens_per_second,
                mfu=progress.mfu,
                phase="measuring" if over else "training",
            )
        if time.monotonic() - self._printed > PLAIN_SECONDS or over:
            self._printed = time.monotonic()
            pace = count(progress.tokens_per_second)
            print(
                f"{self._beat.what}  step {progress.step}/{self._beat.stop}  loss {progress.loss:.3f}  {pace} tokens/s",
                flush=True,
            )

    def finish(self, run: Run, result: dict[str, Any]) -> None:
        """A run is finished."""
        self.say(f"{run.name}  {outcome(result)}")

    def say(self, message: str) -> None:
        """A line for the log, and for whoever watches."""
        print(message, flush=True)
        self.tell(message=message)

    def _keep_beating(self) -> None:
        while not self._over.wait(BEAT_SECONDS):
            self._write()
            with contextlib.suppress(UserError):  # here, as a bucket takes its time over each claim
                if self.claim is not None and not self.claim.held():
                    self._superseded.set()

    def _taken_over(self) -> bool:
        try:
            self.check()
        except Superseded:
            return True
        return False

    def _write(self) -> None:
        """A beat that cannot be written is left out: the disk may be full for a while, and training has its own word
        on that. Nothing is written over the beats of who has taken over."""
        if not self._writes or self._taken_over():
            return
        with self._lock:
            seconds = round(time.monotonic() - self._began, 3)
            self._beat = dataclasses.replace(
                self._beat, count=self._beat.count + 1, time=time.time(), seconds=seconds
            )
            with contextlib.suppress(UserError, OSError):
                write_beat(self._folder, self._task.task_id, self._beat)
                self._after()
