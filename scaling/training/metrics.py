"""The log of a trunk or branch: `metrics.jsonl`, one JSON object a logged step, and what else is asked for beside it.

`metrics.jsonl` is the record that resuming trusts. TensorBoard's event files and Weights & Biases are copies of it:
each is asked which steps it holds when a log is opened, and gets those that it lacks. So a log that a killed process
left behind, or that was asked for only later, is filled up, and no step is in it twice.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from scaling.errors import UserError
from scaling.spec import Run
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

    def close(self) -> None:
        """Write what is in flight and let go."""


class MetricsLog:
    """Appends records to a file, and to its copies, each step once.

    A resumed run repeats the steps since its last checkpoint and gets the same numbers: those already in the file are
    not written again, and a line that was left half-written is cut off, with all after it.
    """

    def __init__(self, path: Path, copies: Sequence[Sink] = ()) -> None:
        """Open `path`, mend its end, find the last step logged, and bring the copies up to it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.last_step = -1
        whole = 0
        if path.exists():
            for line in path.read_bytes().splitlines(keepends=True):
                record = _record(line)
                if record is None:
                    break
                self.last_step = record["step"]
                whole += len(line)
            with open(path, "r+b") as file:
                file.truncate(whole)
        self._file = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115
        self._copies = copies
        if any(copy.last_step < self.last_step for copy in copies):
            for record in read(path):
                self._copy(record)

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file and its copies."""
        self._file.close()
        for copy in self._copies:
            copy.close()

    def write(self, step: int, **values: Any) -> None:
        """Append one record unless its step is in the file; a value that is None is missing, and left out."""
        record = {"step": step, **{name: value for name, value in values.items() if value is not None}}
        if step > self.last_step:
            try:
                self._file.write(json.dumps(record) + "\n")
            except OSError as error:
                raise UserError(
                    f"cannot write {self._file.name} ({error.strerror}); mend that and run the same command again"
                ) from None
            self.last_step = step
            self._copy(record)

    def _copy(self, record: dict[str, Any]) -> None:
        scalars = {name: value for name, value in record.items() if _is_scalar(value) and name != "step"}
        for copy in self._copies:
            if record["step"] > copy.last_step:
                copy.write(record["step"], scalars)


class NoLog(MetricsLog):
    """The log of a host that leaves writing to another."""

    def __init__(self) -> None:
        self.last_step = -1

    def close(self) -> None:
        """Nothing."""

    def write(self, step: int, **values: Any) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Logs:
    """Opens the logs of a study's trunks and branches: metrics.jsonl always, and the copies asked for."""

    study: Path
    """The study's folder: event files go below `tensorboard/`, Weights & Biases' files below `wandb/`."""
    copies: tuple[Copy, ...] = ()
    writes: bool = True
    """False on the hosts that must not write what another one writes."""

    def open(
        self, path: Path, name: str, group: str = "", config: Mapping[str, Any] | None = None
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

    def of(self, run: Run, folder: Path, trunk: bool) -> MetricsLog:
        """The log of a run in its folder, or of its trunk in the trunk's."""
        name = f"{run.trunk_name} trunk" if trunk else run.name
        return self.open(folder / "metrics.jsonl", name, run.trunk_name, dataclasses.asdict(run))


def check_copies(copies: Sequence[Copy]) -> None:
    """Raise UserError where the library of a copy is not installed, or W&B is to upload and nobody is logged in."""
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


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a log in order; none where there is no file."""
    if not path.exists():
        return []
    records = map(_record, path.read_bytes().splitlines(keepends=True))
    return list(itertools.takewhile(lambda record: record is not None, records))  # type: ignore[arg-type]


def _record(line: bytes) -> dict[str, Any] | None:
    """The record of a whole line, None for one that a killed process or a lost page left damaged."""
    try:
        record = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return record if isinstance(record, dict) and "step" in record else None


def _is_scalar(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
