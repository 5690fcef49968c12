"""What a disk that is full, read-only or damaged does to checkpoints, in words."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from scaling.errors import UserError
from scaling.storage import storage_reason


class CheckpointError(UserError):
    """A checkpoint that could not be written or read: the message says where, why and what is safe."""


class DamagedTrunk(CheckpointError):
    """The trunk's checkpoint that a branch begins at is there and is unsound."""


def drop_orbax_errors() -> None:
    """Keep Orbax from telling of every failure itself, as that is done here: neither its threads in the log, nor writes
    that it gave up on, whose errors nobody asks for and which find its event loop closed when they end."""
    logger = logging.getLogger("absl")
    if _not_of_orbax in logger.filters:
        return
    logger.addFilter(_not_of_orbax)
    logging.getLogger("asyncio").addFilter(lambda record: "never retrieved" not in record.getMessage())
    call = asyncio.BaseEventLoop.call_soon_threadsafe

    def call_if_open(loop: asyncio.BaseEventLoop, *arguments: Any, **named: Any) -> Any:
        return None if loop.is_closed() else call(loop, *arguments, **named)

    asyncio.BaseEventLoop.call_soon_threadsafe = call_if_open  # type: ignore[assignment]


def _not_of_orbax(record: logging.LogRecord) -> bool:
    return "orbax" not in record.pathname


@contextlib.contextmanager
def clear_disk_errors(doing: str) -> Iterator[None]:
    """Turn what a disk refuses while `doing` something into a CheckpointError that says so and what to do."""
    try:
        yield
    except Exception as error:
        full = _errno(error) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
        if full:
            raise CheckpointError(
                f"the disk is full: {doing} failed; free some space and run the same command again to continue"
            ) from None
        reason = storage_reason(error)
        if reason is not None or "PERMISSION_DENIED" in str(error):
            if reason is None or isinstance(error, OSError):
                reason = str(error).strip().splitlines()[0][:200]
            raise CheckpointError(
                f"{doing} failed ({reason}); mend it and run the same command again"
            ) from None
        raise


PEERS_GONE = ("UNKNOWN:", "UNAVAILABLE:", "DEADLINE_EXCEEDED:", "ABORTED:", "CANCELLED:", "INTERNAL:")
"""How errors of collectives and barriers begin; files that are damaged give DATA_LOSS, NOT_FOUND and the like."""


def raise_unless_damage(error: Exception, step: int, folder: Path) -> None:
    """Raise where the files may well be sound: of another shape, not to be opened, too large for the memory, or read
    with a host that went away meanwhile."""
    text = str(error)
    other = "structures do not match" in text or ("shape" in text and "compatible" in text)
    if other:
        raise CheckpointError(
            f"the checkpoint of step {step} in {folder} is of another shape of model, made by another version "
            "of this software; go back to that version, or use another --out"
        ) from None
    import jax

    if jax.process_count() > 1 and (
        isinstance(error, jax.errors.JaxRuntimeError) or text.startswith(PEERS_GONE)
    ):
        raise CheckpointError(
            f"the checkpoint of step {step} in {folder} could not be read together with the other hosts "
            f"({text.splitlines()[0][:200]}); it is left as it is"
        ) from None
    refused = isinstance(error, PermissionError) or "PERMISSION_DENIED" in text
    if refused or isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text:
        raise CheckpointError(
            f"the checkpoint of step {step} in {folder} cannot be read ({text.splitlines()[0][:200]}); "
            "mend that and run the same command again"
        ) from None


def read_elsewhere(step: int, folder: Any) -> CheckpointError:
    """That another host refused to read a checkpoint, whose own error says why."""
    return CheckpointError(
        f"the checkpoint of step {step} in {folder} cannot be read on another host, whose log says why; "
        "it is left as it is"
    )


def unlike(folder: Any, other: Collection[int], steps: Collection[int], seconds: float) -> CheckpointError:
    """That hosts see other `steps` in a folder than the one that writes does: this one these, or another host."""
    who = (
        f"{socket.gethostname()} sees step {', '.join(map(str, other))} otherwise"
        if other
        else "another host does not"
    )
    return CheckpointError(
        f"the hosts must see the same checkpoints in {folder}, and after {seconds:.0f} s {who} (there are "
        f"{', '.join(map(str, steps)) or 'none'}): let the study lie on a disk that all of them share, or in a bucket"
    )


def _errno(error: BaseException | None) -> int | None:
    while error is not None:
        if isinstance(error, OSError):
            return error.errno
        error = error.__cause__ or error.__context__
    return None
