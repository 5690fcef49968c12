"""The log of a trunk or branch: `metrics.jsonl`, one JSON object a logged step, and what else is asked for beside it.

`metrics.jsonl` is the record that resuming trusts. TensorBoard's event files and Weights & Biases are copies of it:
each is asked which steps it holds when a log is opened, and gets those that it lacks. So a log that a killed process
left behind, or that was asked for only later, is filled up, and no step is in it twice.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from scaling.errors import UserError
from scaling.spec import Run
from scaling.storage import as_path, clear_storage_errors, is_local, put_whole, read_whole
from scaling.training.event_files import EventFiles
from scaling.training.weights_and_biases import WandbRun, check_login

Copy = Literal["tensorboard", "wandb"]
"""What can be written beside metrics.jsonl: the values of `--log`."""
NEEDS: dict[Copy, str] = {"tensorboard": "tensorboard>=2.19", "wandb": "wandb>=0.22"}
"""What pip must install for a copy, as in the extras of pyproject.toml."""


class Sink(Protocol):
    """A copy of a log elsewhere."""

    @property
    def last_step(self) -> int:
        """The last step that it holds, -1 for none."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Add the scalars of a step later than `last_step`."""

    def flush(self) -> None:
        """Write what a bucket does not have yet."""

    def close(self) -> None:
        """Write what is in flight and let go."""


class MetricsLog:
    """Appends records to a file, and to its copies, each step once.

    A resumed run repeats the steps since its last checkpoint and gets the same numbers: those already in the file are
    not written again, and a line that was left half-written is cut off, with all after it. A record that a superseded
    process added after those of its successor is left out: its step does not grow. On a disk each line is appended at
    once; an object of a bucket cannot grow, so it is put whole at each `flush`.
    """

    def __init__(self, path: Any, copies: Sequence[Sink] = ()) -> None:
        """Open `path`, mend its end, find the last step logged, and bring the copies up to it."""
        self._path = path = as_path(path)
        self._copies = copies
        content = read_whole(path) or b""
        records, whole = _whole(content)
        self.last_step = records[-1]["step"] if records else -1
        if not content.startswith(whole):
            put_whole(path, whole)
        self._file: Any = self._append_to(path, len(whole)) if is_local(path) else None
        self._content, self._put = bytearray(whole), len(whole)
        if any(copy.last_step < self.last_step for copy in copies):
            for record in records:
                self._copy(record)

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:  # what came since the last checkpoint is trained again, perhaps by a process that puts more by now
            self._let_go()

    def flush(self) -> None:
        """See to it that the file holds all that was written, whatever comes now; a checkpoint comes after it."""
        if self._file is None and len(self._content) > self._put:
            put_whole(self._path, bytes(self._content))
            self._put = len(self._content)
        for copy in self._copies:
            copy.flush()

    def close(self) -> None:
        """Flush, and let go of the file and its copies."""
        self.flush()
        self._let_go()

    def _let_go(self) -> None:
        if self._file is not None:
            self._file.close()
        for copy in self._copies:
            copy.close()

    def write(self, step: int, **values: Any) -> None:
        """Append one record unless its step is in the file; a value that is None is missing, and left out."""
        record = {"step": step, **{name: value for name, value in values.items() if value is not None}}
        if step > self.last_step:
            line = json.dumps(record) + "\n"
            if self._file is None:
                self._content += line.encode()
            else:
                with clear_storage_errors(f"cannot write {self._path}"):
                    self._file.write(line)
            self.last_step = step
            self._copy(record)

    @staticmethod
    def _append_to(path: Path, whole: int) -> Any:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            os.truncate(path, whole)
        return path.open("a", encoding="utf-8", buffering=1)

    def _copy(self, record: dict[str, Any]) -> None:
        scalars = {name: value for name, value in record.items() if _is_scalar(value) and name != "step"}
        for copy in self._copies:
            if record["step"] > copy.last_step:
                copy.write(record["step"], scalars)


class NoLog(MetricsLog):
    """The log of a host that leaves writing to another."""

    def __init__(self) -> None:
        self.last_step = -1

    def flush(self) -> None:
        """Nothing."""

    def _let_go(self) -> None:
        """Nothing."""

    def write(self, step: int, **values: Any) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Logs:
    """Opens the logs of a study's trunks and branches: metrics.jsonl always, and the copies asked for."""

    study: Any
    """The study's folder: event files go below `tensorboard/`, Weights & Biases' files below `wandb/`."""
    copies: tuple[Copy, ...] = ()
    writes: bool = True
    """False on the hosts that must not write what another one writes."""

    def open(
        self, path: Any, name: str, group: str = "", config: Mapping[str, Any] | None = None
    ) -> MetricsLog:
        """The log at `path`, a metrics.jsonl in the folder of a run or trunk.

        `name` is what a person reads in TensorBoard and W&B, followed by the last four digits of the folder's hash,
        since runs that differ in, say, their weight decay alone have one name. W&B shows `config` and gathers runs by
        `group`.
        """
        if not self.writes:
            return NoLog()
        identity = path.parent.name
        shown = f"{name.replace(' ', '-')}.{identity[-4:]}"
        copies: list[Sink] = []
        if "tensorboard" in self.copies:
            copies.append(EventFiles(self.study / "tensorboard" / shown))
        if "wandb" in self.copies:
            copies.append(WandbRun(self.study, identity, shown, group, config or {}))
        return MetricsLog(path, copies)

    def of(self, run: Run, folder: Any, trunk: bool) -> MetricsLog:
        """The log of a run in its folder, or of its trunk in the trunk's."""
        name = f"{run.trunk_name} trunk" if trunk else run.name
        return self.open(folder / "metrics.jsonl", name, run.trunk_name, dataclasses.asdict(run))


def check_copies(copies: Sequence[Copy], place: Any = ".") -> None:
    """Raise UserError where the library of a copy is not installed, W&B is to upload and nobody is logged in, or it is
    to keep its files in a bucket; `place` is where the study lies."""
    if "wandb" in copies and not is_local(as_path(place)):
        raise UserError(
            f"--log wandb keeps its files on a disk, and {place} is a bucket: use --log tensorboard, or a study folder "
            "on a disk"
        )
    for copy in copies:
        found = importlib.util.find_spec(copy)
        if (
            found is None or found.origin is None
        ):  # a folder of that name, which W&B leaves behind, is no package
            raise UserError(
                f"--log {copy} needs the package {copy}, which is not installed: pip install '{NEEDS[copy]}'"
            )
    if "wandb" in copies:
        check_login()


def read(path: Any) -> list[dict[str, Any]]:
    """The records of a log in order; none where there is no file."""
    return _whole(read_whole(path) or b"")[0]


def _whole(content: bytes) -> tuple[list[dict[str, Any]], bytes]:
    """The records of the whole lines at the beginning of a log whose steps grow, and these lines."""
    records: list[dict[str, Any]] = []
    lines = []
    for line in content.splitlines(keepends=True):
        record = _record(line)
        if record is None:
            break
        if not records or record["step"] > records[-1]["step"]:
            records.append(record)
            lines.append(line)
    return records, b"".join(lines)


def _record(line: bytes) -> dict[str, Any] | None:
    """The record of a whole line, None for one that a killed process or a lost page left damaged."""
    try:
        record = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("step"), int) else None


def _is_scalar(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
