"""Worker processes for preparing: results come in the order of the tasks, whatever the number of processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import TypeVar

from scaling.errors import UserError

T = TypeVar("T")
R = TypeVar("R")

MOST = 6
"""Processes at most: each holds about 120 MiB, and together they should stay below 1 GiB."""

WORTH_IT = 32 * 2**20
"""Bytes of text from which other processes pay: starting one takes about a second."""


class WorkerError(UserError):
    """A worker process that ended without an answer: the message names the likely causes."""


def processes_for(size: int) -> int:
    """How many processes should work on `size` bytes of text: one, this one, where it is little."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST) if size >= WORTH_IT else 1


def in_order(function: Callable[[T], R], tasks: Iterable[T], processes: int) -> Iterator[R]:
    """function(task) of each task, in order, computed by so many processes; one is this process.

    The function must be importable and its tasks picklable. Few tasks are under way at a time, so that results
    that nobody has taken yet are few as well. Raises what the function raises, and WorkerError when a process dies.
    """
    if processes <= 1:
        yield from map(function, tasks)
        return
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _begin)
    under_way: deque[Future[R]] = deque()
    try:
        for task in tasks:
            under_way.append(pool.submit(function, task))
            if len(under_way) > processes + 1:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    except BrokenProcessPool:
        raise WorkerError(
            "a process that prepares text ended without an answer: it was killed, memory ran out, or the script that"
            " prepares text does so while it is imported; free memory, or put its code below"
            " `if __name__ == '__main__':`"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """A worker leaves Ctrl-C to its parent, and ends when the parent was killed."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
