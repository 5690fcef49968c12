"""TensorBoard event files, written with TensorBoard's own record writer and without TensorFlow or threads.

A file is a sequence of records, each the length of its content (uint64), a checksum of the length (uint32), the content
(an Event as protocol buffer) and a checksum of the content (uint32).
"""

from __future__ import annotations

import io
import struct
import time
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from scaling.errors import UserError
from scaling.storage import as_path, is_local, put_whole, read_whole

PREFIX = "events.out.tfevents."
"""What TensorBoard knows an event file by; the first step in it follows, so that names sort as steps do."""


class EventFiles:
    """The event files of one run in TensorBoard, a folder: files of earlier processes stay, a new one continues them.

    All scalars of a step are one event, so that a process killed while it writes leaves all of them or none. The file
    is made at the first write; on a disk it is flushed at each, in a bucket it is put whole at each `flush`.
    """

    def __init__(self, folder: Any) -> None:
        """Find out which steps the files in `folder` hold; nothing is written yet."""
        self._folder = as_path(folder)
        self.last_step = last_step(self._folder)
        self._path: Any = None
        self._put = 0
        self._file: BinaryIO | None = None
        self._records: Any = None

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append the scalars of a step; raises UserError where that cannot be."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        scalars = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        event = Event(wall_time=time.time(), step=step, summary=Summary(value=scalars))
        try:
            if self._file is None:
                self._open(step)
            self._records.write(event.SerializeToString())
            self._records.flush()
        except OSError as error:
            raise UserError(
                f"cannot write event files in {self._folder} ({error.strerror}); "
                "mend that and run the same command again"
            ) from None
        self.last_step = step

    def flush(self) -> None:
        """Put what a bucket does not have yet; raises UserError where that cannot be."""
        if isinstance(self._file, io.BytesIO) and len(self._file.getbuffer()) > self._put:
            put_whole(self._path, self._file.getvalue())
            self._put = len(self._file.getbuffer())

    def close(self) -> None:
        """Close the file, if one was opened."""
        if self._file is not None:
            self._file.close()

    def _open(self, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        # a file of that name would hold no whole step, or the steps would go on after it
        self._path = self._folder / f"{PREFIX}{step:010d}"
        if is_local(self._path):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("wb")
        else:
            self._file = io.BytesIO()
        self._records = RecordWriter(self._file)
        self._records.write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())


def last_step(folder: Any) -> int:
    """The last step that the event files in `folder` hold whole, -1 for none."""
    files = sorted(folder.glob(f"{PREFIX}*"))
    if not files:
        return -1
    from tensorboard.compat.proto.event_pb2 import Event

    for path in reversed(files):
        last = None
        for content in _contents(read_whole(path) or b""):
            last = content
        event = Event.FromString(last) if last else Event()
        if event.HasField("summary"):
            return event.step
    return -1


def _contents(data: bytes) -> Iterator[bytes]:
    """The contents of the whole records of an event file; a killed process may have left half a one at the end."""
    at = 0
    while at + 12 <= len(data):
        (size,) = struct.unpack_from("<Q", data, at)
        end = at + 12 + size + 4
        if end > len(data):
            return
        yield data[at + 12 : end - 4]
        at = end
