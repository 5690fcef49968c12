"""Checkpoints by Orbax that prove themselves: each carries a fingerprint of its arrays, checked when it is read."""

from __future__ import annotations

import contextlib
import errno
import logging
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from scaling.errors import UserError

Say = Callable[[str], None]


class CheckpointError(UserError):
    """A checkpoint that could not be written: the message says where, why and what is safe."""


@jax.jit
def fingerprint(state: Any) -> jax.Array:
    """A 32-bit hash of every bit of every array, the same however the arrays are sharded: uint32 [].

    Each word is mixed with its place and summed modulo 2^32; integer sums do not depend on their order.
    """
    total = jnp.uint32(0)
    for number, leaf in enumerate(jax.tree.leaves(state)):
        words = jax.lax.bitcast_convert_type(leaf, jnp.uint32).reshape(-1)
        place = jnp.arange(words.size, dtype=jnp.uint32) * jnp.uint32(2654435761) + jnp.uint32(number + 1)
        mixed = (words ^ place) * jnp.uint32(2246822519)
        total += jnp.sum(mixed ^ (mixed >> 15), dtype=jnp.uint32)
    return total


class Checkpoints:
    """The checkpoints of one trunk or branch. The two latest and those at the steps of `keep` are preserved.

    Saves are finished when `save` returns; a process killed during one leaves a temporary folder that is never
    read. Used as a context manager.
    """

    def __init__(self, folder: Path, keep: Collection[int] = ()) -> None:
        """Open or create `folder`; raises CheckpointError where that cannot be."""
        self.folder = folder
        policies = checkpoint_managers.preservation_policy
        preserved = policies.AnyPreservationPolicy([policies.LatestN(2), policies.CustomSteps(sorted(keep))])
        with _clear_disk_errors(f"opening the checkpoints at {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
            self._manager = ocp.CheckpointManager(
                folder.absolute(),
                options=ocp.CheckpointManagerOptions(
                    preservation_policy=preserved,
                    enable_async_checkpointing=False,
                    cleanup_tmp_directories=True,
                ),
            )

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):  # a failed save has been reported by `save`
            self._manager.close()

    def steps(self) -> list[int]:
        """Steps at which there is a checkpoint, in order."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: Any, notes: dict[str, Any]) -> None:
        """Write state and notes (JSON) as the checkpoint of `step`, unless it is there; raises CheckpointError."""
        if step in self._manager.all_steps():
            return
        notes = notes | {"fingerprint": int(fingerprint(state))}
        before = self._manager.latest_step()
        safe = (
            f"the checkpoint of step {before} is intact"
            if before is not None
            else "no earlier one is touched"
        )
        with _clear_disk_errors(f"writing the checkpoint of step {step} to {self.folder} ({safe})"):
            arguments = ocp.args.Composite(state=ocp.args.StandardSave(state), notes=ocp.args.JsonSave(notes))
            # without force, Orbax silently skips a step below the latest one
            self._manager.save(step, args=arguments, force=True)

    def restore(self, like: Any, at_most: int, say: Say) -> tuple[int, Any, dict[str, Any]] | None:
        """The newest sound checkpoint up to step `at_most`: (step, state, notes), or None where there is none.

        `like` is a state of the wanted shapes and shardings. An unsound checkpoint is reported through `say`, set
        aside, and the one before it is tried.
        """
        for step in reversed([s for s in self.steps() if s <= at_most]):
            try:
                return step, *self._read(step, like)
            except Exception as error:  # whatever a damaged file makes the reader raise
                _raise_unless_damage(error, step, self.folder)
                reason = (
                    str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
                )
                before = (
                    "the one before is used"
                    if step > self.steps()[0]
                    else "there is no other: starting again"
                )
                say(f"the checkpoint of step {step} in {self.folder} is damaged ({reason}); {before}")
                self._set_aside(step)
        return None

    def _read(self, step: int, like: Any) -> tuple[Any, dict[str, Any]]:
        target = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), like)
        arguments = ocp.args.Composite(state=ocp.args.StandardRestore(target), notes=ocp.args.JsonRestore())
        with _quiet_orbax():
            restored = self._manager.restore(step, args=arguments)
        notes = dict(restored["notes"])
        if int(fingerprint(restored["state"])) != notes.pop("fingerprint"):
            raise ValueError("its arrays do not match their fingerprint")
        return restored["state"], notes

    def _set_aside(self, step: int) -> None:
        damaged = self.folder / str(step)
        aside = self.folder.parent / f"damaged-{self.folder.name}-{step}"
        while aside.exists():
            aside = aside.with_name(aside.name + "x")
        damaged.rename(aside)
        self._manager.reload()


@contextlib.contextmanager
def _clear_disk_errors(doing: str) -> Iterator[None]:
    try:
        with _quiet_orbax():
            yield
    except Exception as error:
        full = _errno(error) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
        if full:
            raise CheckpointError(
                f"the disk is full: {doing} failed; free some space and run the same command again to continue"
            ) from None
        if isinstance(error, OSError) or "PERMISSION_DENIED" in str(error):
            reason = str(error).strip().splitlines()[0][:200]
            raise CheckpointError(
                f"{doing} failed ({reason}); mend it and run the same command again"
            ) from None
        raise


@contextlib.contextmanager
def _quiet_orbax() -> Iterator[None]:
    """Orbax logs the traceback of every failure that is handled here."""
    previous = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(previous)


def _raise_unless_damage(error: Exception, step: int, folder: Path) -> None:
    """Raise where the files may well be sound: of another shape, not to be opened, or too large for the memory."""
    text = str(error)
    if "shape" in text and "compatible" in text:
        raise CheckpointError(
            f"the checkpoint of step {step} in {folder} is of another shape of model, made by another version "
            "of this software; go back to that version, or use another --out"
        ) from None
    refused = isinstance(error, PermissionError) or "PERMISSION_DENIED" in text
    if refused or isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text:
        raise CheckpointError(
            f"the checkpoint of step {step} in {folder} cannot be read ({text.splitlines()[0][:200]}); "
            "mend that and run the same command again"
        ) from None


def _errno(error: BaseException | None) -> int | None:
    while error is not None:
        if isinstance(error, OSError):
            return error.errno
        error = error.__cause__ or error.__context__
    return None
