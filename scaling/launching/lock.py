"""The lock of a study: one process at a time trains or launches it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from scaling.errors import StorageError, UserError
from scaling.launching.claim import BEAT_SECONDS, Claim
from scaling.storage import is_local

LOCK_PATIENCE = 30.0
"""Seconds without a beat after which who holds a study in a bucket counts as dead."""
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
"""Answers of a disk that knows no locks: NFS without lockd, Lustre without flock, a mounted bucket."""


@contextlib.contextmanager
def locked(
    folder: Any, patience: float = LOCK_PATIENCE, beat_seconds: float = BEAT_SECONDS
) -> Iterator[Callable[[], bool]]:
    """Hold a study's folder; raises UserError that names the holder where another process has it.

    On a disk the lock goes with its process, however that ends. In a bucket, and on a disk that knows no locks, it is a
    claim: refused while another's
    beats arrive, and taken from one that has not beaten for `patience` seconds. The function that the block gets says
    whether the study is still held.
    """
    with _file_locked(folder) if is_local(folder) else contextlib.nullcontext() as held:
        if held is not None:
            yield held
            return
        name = ".lock.claim" if is_local(folder) else ".lock"  # the name of the other is that of a file
        with _claimed(folder, folder / name, patience, beat_seconds) as held:
            yield held


def while_held(stop_wanted: Callable[[], bool], held: Callable[[], bool], folder: Any) -> Callable[[], bool]:
    """`stop_wanted`, which raises UserError once another process has taken the study over: nothing is saved then."""

    def wanted() -> bool:
        if not held():
            raise UserError(
                f"another process took over the study {folder}, as this one gave no sign of life for a while: "
                "it goes on there, and nothing more is written here"
            )
        return stop_wanted()

    return wanted


@contextlib.contextmanager
def _file_locked(folder: Path) -> Iterator[Callable[[], bool] | None]:
    """Says that it is held; None where the disk knows no locks. Raises UserError where it cannot be had."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("ab+", buffering=0)
    except OSError as error:
        raise UserError(
            f"cannot write to {folder} ({error.strerror}); mend that, or choose another --out"
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise _refusal(
                folder, file.read().decode(errors="replace").strip() or "another process"
            ) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise UserError(
                    f"cannot lock {folder} ({error.strerror}); mend that, or choose another --out"
                ) from None
            yield None
            return
        with contextlib.suppress(OSError):  # for people alone, and the disk may be full
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield lambda: True


@contextlib.contextmanager
def _claimed(folder: Any, path: Any, patience: float, beat_seconds: float) -> Iterator[Callable[[], bool]]:
    claim, told = Claim(path, secrets.token_hex(16)), False

    def refused() -> bool:
        nonlocal told
        if not told:
            told = True
            who = claim.rival.who
            print(f"{who} was at work on this study: waiting {patience:.0f} s for a sign of life", flush=True)
        return claim.rival_lives

    if not claim.take(patience, refused):
        raise _refusal(folder, claim.rival.who)
    with contextlib.ExitStack() as stack:
        stack.callback(_let_go, claim)
        stack.enter_context(claim.beating(beat_seconds))
        yield claim.held


def _let_go(claim: Claim) -> None:
    with contextlib.suppress(StorageError):  # it will be found dead
        claim.release()


def _refusal(folder: Any, holder: str) -> UserError:
    return UserError(
        f"the study {folder} is being run by {holder}; wait for it, or stop it and run this again"
    )
