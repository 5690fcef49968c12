"""What Ray says of a task that gave no answer, as an ending of ours."""

from __future__ import annotations

import re

from scaling.launching.engine import Ending


def ending_of(error: Exception, killed: bool = False) -> Ending:
    """The ending of an attempt whose worker raised `error` or went away.

    One that was `killed` by its engine is `lost`: whether it saved a checkpoint is not known.
    """
    from ray import exceptions as of_ray

    if killed:
        return Ending("lost", "it did not end when asked to, and was killed")
    if isinstance(error, of_ray.TaskCancelledError):
        return Ending("interrupted", "cancelled before it had begun, or while it began")
    if isinstance(error, of_ray.OutOfMemoryError):
        return Ending("failed", f"killed for memory by Ray's monitor of its node: {short(error)}")
    if isinstance(error, of_ray.RayTaskError):
        return _of_an_exception(error)
    if isinstance(error, of_ray.WorkerCrashedError):
        return Ending("lost", "its process died without a word")
    if isinstance(error, of_ray.NodeDiedError):
        where = re.search(r"Node IP: ([0-9a-fA-F.:]+\w)", str(error))
        return Ending("lost", f"its node{f' {where[1]}' if where else ''} died or was taken away")
    return Ending("lost", f"{type(error).__name__}: {short(error)}")


def surely_dead(error: Exception) -> bool:
    """Whether the worker's own node has seen its process end; one on a node that does not answer may go on."""
    from ray import exceptions as of_ray

    return isinstance(error, of_ray.WorkerCrashedError | of_ray.OutOfMemoryError)


def _of_an_exception(error: Exception) -> Ending:
    """An exception of the worker's own; a package that is not there is no matter for another try."""
    cause = getattr(error, "cause", None) or error
    said = f"{type(cause).__name__}: {short(cause)}"
    missing = re.search(r"No module named '([\w.]+)'", str(error))
    if missing and (isinstance(cause, ImportError) or "failed to import on the worker" in str(error)):
        return Ending(
            "refused",
            f"a node lacks the module {missing[1]}: install what the driver has on every node",
            at_fault="node",
        )
    return Ending("failed", said)


def short(error: BaseException, characters: int = 300) -> str:
    """The first line that says something, cut."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:characters] if lines else type(error).__name__
