"""Checkpoints by Orbax that prove themselves: each carries a fingerprint of its arrays, checked when it is read."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from scaling.storage import as_path, is_local
from scaling.training.disk import (
    CheckpointError,
    clear_disk_errors,
    drop_orbax_errors,
    raise_unless_damage,
    read_elsewhere,
    unlike,
)
from scaling.training.hosts import is_writer, of_all_hosts, of_writer, several

Say = Callable[[str], None]

STALE_SECONDS = 60.0
"""So long a host waits to see the checkpoints that the one that writes sees: disks of the network list late."""


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
    """The checkpoints of one trunk or branch of one model.

    Saves are finished when `save` returns; a process killed during one leaves a temporary folder that is never
    read. One that `reads_only` changes nothing, so that it may look at what another process writes: it makes no folder,
    cleans and deletes nothing, and sets nothing aside. Of several hosts, which call everything together, the one that
    writes says which steps there are. Used as a context manager.
    """

    def __init__(self, folder: Any, reads_only: bool = False) -> None:
        """Open or create `folder`; raises CheckpointError where that cannot be."""
        self.folder = as_path(folder)
        self.reads_only = reads_only
        drop_orbax_errors()
        with clear_disk_errors(f"opening the checkpoints at {folder}"):
            if not reads_only:
                self.folder.mkdir(parents=True, exist_ok=True)
            exists = not reads_only or of_writer(self.folder.is_dir())
            self._manager: Any = _manager(self.folder, reads_only) if exists else None
        if several() and not reads_only:
            self._look()

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):  # a failed save has been reported by `save`
            if self._manager is not None:
                self._manager.close()

    def steps(self) -> list[int]:
        """Steps at which there is a finished checkpoint, in order; one that reads only looks anew each time."""
        if self._manager is None:
            return []
        return self._look() if self.reads_only else sorted(self._manager.all_steps())

    def _look(self) -> list[int]:
        """List the steps anew: those that the host that writes sees, once all hosts see them; raises CheckpointError on
        all of them where one does not."""
        if is_writer():
            self._manager.reload()
        steps: list[int] = of_writer(sorted(self._manager.all_steps()))
        until = time.monotonic() + STALE_SECONDS
        while (other := self._unlike(steps)) and time.monotonic() < until:
            time.sleep(1.0)
        if several() and of_all_hosts([bool(other)]).any():
            raise unlike(self.folder, other, steps, STALE_SECONDS)
        return steps

    def _unlike(self, steps: Collection[int]) -> list[int]:
        """The steps that this host sees otherwise; what another process writes meanwhile does not count."""
        if is_writer():
            return []
        self._manager.reload()
        mine = set(self._manager.all_steps())
        return sorted(set(steps) - mine if self.reads_only else set(steps) ^ mine)

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
        with clear_disk_errors(f"writing the checkpoint of step {step} to {self.folder} ({safe})"):
            arguments = ocp.args.Composite(state=ocp.args.StandardSave(state), notes=ocp.args.JsonSave(notes))
            # without force, Orbax silently skips a step below the latest one
            self._manager.save(step, args=arguments, force=True)

    def prune(self, keep: Collection[int]) -> None:
        """Delete all checkpoints but those at the steps of `keep`."""
        for step in set(self.steps()) - set(keep):
            with clear_disk_errors(f"deleting the checkpoint of step {step} in {self.folder}"):
                self._manager.delete(step)

    def restore(self, step: int, like: Any, say: Say) -> tuple[Any, dict[str, Any]] | None:
        """State and notes of the checkpoint of `step`; None where it is unsound: then it is reported through `say` and
        set aside, unless this one reads only.

        `like` is a state of the wanted shapes and shardings. Hosts that read it together all say the same.
        """
        found, reason = self._tried(step, like)
        if found is not None:
            return found
        before = "the one before is used" if step > self.steps()[0] else "there is no other: starting again"
        say(f"the checkpoint of step {step} in {self.folder} is damaged ({reason}); {before}")
        if not self.reads_only:
            self._set_aside(step)
        return None

    def _tried(self, step: int, like: Any) -> tuple[tuple[Any, dict[str, Any]] | None, str]:
        """State and notes, or why they are unsound on some host; raises CheckpointError on all hosts where one cannot
        tell."""
        state, reason, refusal = None, "", None
        notes: dict[str, Any] = {}
        try:
            state, notes = self._read(step, like)
        except Exception as error:  # whatever a damaged file makes the reader raise
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            try:
                raise_unless_damage(error, step, self.folder)
            except CheckpointError as clear:
                refusal = clear
        said = of_all_hosts([bool(reason), refusal is not None])
        if said[:, 1].any():
            raise refusal or read_elsewhere(step, self.folder)
        if said[:, 0].any():
            return None, reason or "another host cannot read it"
        sound = int(fingerprint(state)) == notes.pop("fingerprint", None)
        if not of_all_hosts([sound]).all():
            return None, "its arrays do not match their fingerprint"
        return (state, notes), ""

    def _read(self, step: int, like: Any) -> tuple[Any, dict[str, Any]]:
        target = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), like)
        arguments = ocp.args.Composite(state=ocp.args.StandardRestore(target), notes=ocp.args.JsonRestore())
        if not several():
            restored = self._manager.restore(step, args=arguments)
        else:  # waits for no other host, which may fail to read
            with contextlib.closing(_manager(self.folder, reads_only=True, alone=True)) as manager:
                restored = manager.restore(step, args=arguments)
        return restored["state"], dict(restored["notes"])

    def _set_aside(self, step: int) -> None:
        if is_writer():
            damaged = self.folder / str(step)
            aside = self.folder.parent / f"damaged-{self.folder.name}-{step}"
            while aside.exists():
                aside = aside.with_name(aside.name + "x")
            damaged.rename(aside)
        self._look()


def _manager(folder: Any, reads_only: bool, alone: bool = False) -> ocp.CheckpointManager:
    """One that reads `alone` meets no other host."""
    policy = checkpoint_managers.preservation_policy.PreserveAll()
    hosts = {jax.process_index()} if alone else None
    options = ocp.CheckpointManagerOptions(
        preservation_policy=None if reads_only else policy,
        enable_async_checkpointing=False,
        cleanup_tmp_directories=not reads_only,
        create=not reads_only,
        read_only=reads_only,
        save_interval_steps=0 if reads_only else 1,
        multiprocessing_options=ocp.options.MultiprocessingOptions(active_processes=hosts),
    )
    return ocp.CheckpointManager(folder.absolute() if is_local(folder) else folder, options=options)


class PopulationCheckpoints:
    """The checkpoints of a population's trunks or branches, each member's in a folder of its own.

    A kill during a save leaves some members a checkpoint ahead of the others, so one is used when all members have it,
    and only then are older ones deleted. The two latest and those at the steps of `keep` are preserved.
    """

    def __init__(self, folders: Sequence[Any], keep: Collection[int] = (), reads_only: bool = False) -> None:
        """Open or create the folders, one a member, or only read them; raises CheckpointError where that cannot be."""
        self.keep = set(keep)
        self._stack = contextlib.ExitStack()
        self.members = [self._stack.enter_context(Checkpoints(folder, reads_only)) for folder in folders]

    def __enter__(self) -> PopulationCheckpoints:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def steps(self) -> list[int]:
        """Steps at which every member has a checkpoint, in order."""
        return sorted(set.intersection(*(set(member.steps()) for member in self.members)))

    def save(self, step: int, states: Iterable[Any], notes: Sequence[dict[str, Any]]) -> None:
        """Write each member's state and notes as its checkpoint of `step`; raises CheckpointError."""
        for member, state, note in zip(self.members, states, notes, strict=True):
            member.save(step, state, note)
        past = [s for s in self.steps() if s <= step]
        for member in self.members:
            member.prune({*past[-2:], *self.keep, *(s for s in member.steps() if s > step)})

    def restore(
        self, likes: Sequence[Any], at_most: int, say: Say
    ) -> tuple[int, list[Any], list[dict[str, Any]]] | None:
        """The newest sound checkpoint up to step `at_most` that all members have: (step, states, notes), or None.

        `likes` are states of the wanted shapes and shardings.
        """
        for step in reversed([s for s in self.steps() if s <= at_most]):
            found = []
            for member, like in zip(self.members, likes, strict=True):
                if (read := member.restore(step, like, say)) is None:
                    break
                found.append(read)
            else:
                return step, [state for state, _ in found], [notes for _, notes in found]
        return None
