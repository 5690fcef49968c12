"""Weights & Biases: a W&B run for each trunk and branch, offline by default; `wandb sync` uploads it later."""

from __future__ import annotations

import os
import re
import secrets
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scaling.errors import UserError

BLOCK = 32768
"""Bytes of a block of W&B's transaction log, which has the format of LevelDB's log."""
PATIENCE = 5.0
"""Seconds that a log waits at its end for W&B's process to write what it was given; milliseconds are usual."""


def mode() -> str:
    """How W&B works: `offline` unless the environment variable WANDB_MODE says otherwise."""
    return os.environ.get("WANDB_MODE") or "offline"


def check_login() -> None:
    """Raise UserError where W&B is to upload and nobody is logged in; at a terminal W&B asks for the key."""
    if mode() == "online":
        import wandb

        try:
            wandb.login()
        except wandb.errors.UsageError:
            raise UserError(
                "WANDB_MODE is online and nobody is logged in: run `wandb login`, or unset WANDB_MODE to write files "
                "that `wandb sync` uploads later"
            ) from None


class WandbRun:
    """One W&B run, continued by each process that works on it.

    Every process leaves a folder `wandb/*-run-*-<id>` with the steps that it added; `wandb sync` uploads the folders of
    one id into one run, in the order of their start. W&B writes in its own time, so that a killed process may have
    left fewer steps than were given to it: what is on disk is read back, and counts.
    """

    def __init__(self, study: Path, identity: str, name: str, group: str, config: Mapping[str, Any]) -> None:
        """Find out which steps W&B's files below `study` hold for the run or trunk `identity`."""
        self._study, self._identity = study, identity
        project = study.resolve().name
        self._shown = {"project": project, "name": name, "group": group or None, "config": dict(config)}
        self._run: Any = None
        # the same study trained in another folder is another W&B run, so an id has a part drawn by chance
        named = re.compile(rf".*run-\d{{8}}_\d{{6}}-{re.escape(identity)}-([0-9a-f]{{6}})(-\d+)?")
        folders = [
            found for path in (study / "wandb").glob("*run-*") if (found := named.fullmatch(path.name))
        ]
        self._token = folders[0][1] if folders else secrets.token_hex(3)
        self.last_step = max((_last_step(study / "wandb" / found[0]) for found in folders), default=-1)
        if mode() == "online" and folders:
            self._start()

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Give the scalars of a step to W&B."""
        if self._run is None:
            self._start()
        if step > self.last_step:
            self._run.log(dict(values), step=step)
            self.last_step = step

    def flush(self) -> None:
        """Nothing: W&B writes in its own time."""

    def close(self) -> None:
        """Wait until W&B has what it was given on disk, or uploaded."""
        if self._run is not None:
            self._run.finish()
            deadline = time.monotonic() + PATIENCE
            # `finish` may return before the file is written, and who opens this log next reads it
            folder = Path(self._run.dir).parent
            while mode() == "offline" and time.monotonic() < deadline and _last_step(folder) < self.last_step:
                time.sleep(0.005)

    def _start(self) -> None:
        import wandb

        online = mode() == "online"
        self._study.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            id=f"{self._identity}-{self._token}",
            dir=str(self._study),
            mode=mode(),
            resume="allow" if online else None,
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off", disable_git=True, x_disable_stats=True),
            **self._shown,
        )
        if online:  # the server knows best what it has
            self.last_step = max(self.last_step, self._run.starting_step - 1)


def _last_step(folder: Path) -> int:
    """The last step in the transaction log of a W&B run's folder, -1 for none."""
    from wandb.proto.wandb_internal_pb2 import Record

    last = -1
    for path in folder.glob("*.wandb"):
        for content in _contents(path.read_bytes()):
            record = Record.FromString(content)
            if record.HasField("history"):
                last = max(last, record.history.step.num)
    return last


def _contents(data: bytes) -> Iterator[bytes]:
    """The contents of the whole records of a transaction log.

    After a header of 7 bytes, records lie in blocks; each part of one is a checksum (uint32), a length (uint16), a kind
    (uint8: 1 whole, 2 first, 3 middle, 4 last part) and so many bytes; a block's end too short for that is padding.
    """
    at, parts = 7, b""
    while at + 7 <= len(data):
        left = BLOCK - at % BLOCK
        if left < 7:
            at += left
            continue
        size, kind = struct.unpack_from("<HB", data, at + 4)
        end = at + 7 + size
        if kind not in (1, 2, 3, 4) or end > len(data):
            return
        parts += data[at + 7 : end]
        at = end
        if kind in (1, 4):
            yield parts
            parts = b""
