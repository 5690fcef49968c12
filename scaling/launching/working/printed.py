"""What a worker prints, kept beside its job: `jobs/<task_id>.log`, attempt after attempt."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import IO, Any

from scaling.storage import put_whole, read_whole

KEPT_BYTES = 2**18
"""Of the log of a job on a bucket, where a file cannot be added to and is written anew each time."""


@contextlib.contextmanager
def printed_to(log: Any) -> Iterator[Callable[[], None]]:
    """Send what this process prints, compiled libraries too, to the end of `log` while the block runs.

    Yields a function that brings the log up to date. On a disk it always is, so that the last words of a process that
    is killed or crashes are kept; a bucket gets a copy when that function is called.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if "://" not in str(log):
        with open(log, "ab", buffering=0) as file, _outputs(file):
            yield lambda: None
        return
    before = read_whole(log) or b""
    with tempfile.TemporaryFile() as spool:

        def copy() -> None:
            size = os.fstat(spool.fileno()).st_size
            put_whole(log, (before + os.pread(spool.fileno(), size, 0))[-KEPT_BYTES:])

        with _outputs(spool):
            yield copy
        copy()


@contextlib.contextmanager
def _outputs(file: IO[bytes]) -> Iterator[None]:
    """Standard output and standard error go to `file`, those of Python and those of compiled code."""
    sys.stdout.flush()
    sys.stderr.flush()
    descriptors = (1, 2)
    previous = [os.dup(number) for number in descriptors]
    text = os.fdopen(os.dup(file.fileno()), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    try:
        for number in descriptors:
            os.dup2(file.fileno(), number)
        with text, contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
            yield
    finally:
        for number, descriptor in zip(descriptors, previous, strict=True):
            os.dup2(descriptor, number)
            os.close(descriptor)
