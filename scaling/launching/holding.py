"""Holding what a task writes, for as long as it is worked on: by a worker, or by `run` in its own process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from scaling.errors import UserError
from scaling.folder import StudyFolder
from scaling.launching.claim import Claim, Holder
from scaling.launching.standing import claim_paths
from scaling.launching.task import Task


@contextlib.contextmanager
def holding(
    folder: StudyFolder,
    task: Task,
    token: str,
    stop_wanted: Callable[[], bool],
    waiting: Callable[[Holder], None],
) -> Iterator[Claim | None]:
    """Claim all that a task writes while the block runs: the claim that tells whether it is all still held; None where
    it was asked to stop while it waited.

    Waits while another works on any of it, and tells `waiting` about every second whom it waits for.
    """
    own_path, *written = claim_paths(folder, task)
    own = Claim(own_path, token)
    if not own.take(stop_wanted=stop_wanted, waiting=waiting):
        yield None
        return
    try:
        with own.beating():
            parts = (Claim(path, token, first=own) for path in written)
            taken = all(part.take(stop_wanted=stop_wanted, waiting=waiting) for part in parts)
            yield own if taken else None
    finally:
        with contextlib.suppress(UserError, OSError):  # it will be found dead
            own.release()


def in_words(holder: Holder, name: str) -> str:
    """Why a task of this name does not begin yet, for a person."""
    return (
        f"{name} waits: {holder.who} was at work on the same files, and has a minute to give a sign of life"
    )
