"""Folders of prepared data: whole or not there, whatever is killed and whoever else prepares them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from scaling.errors import HostError

ABANDONED_AFTER = 24 * 3600.0
"""Age in seconds at which a half-made folder must be the remains of a killed process."""


class FolderError(HostError):
    """A folder that cannot hold prepared data: the message names the folder, the reason and the remedy."""


def local(folder: str | os.PathLike[str]) -> Path:
    """The folder as an absolute path; raises FolderError for an address, since rows are memory-mapped."""
    name = os.fspath(folder)
    if "://" in name:
        raise FolderError(
            f"data folder {name!r} is an address: rows are memory-mapped, so use a local folder"
        )
    return Path(name).expanduser().absolute()


def slug(name: str) -> str:
    """The name as part of a folder's name: at most 48 letters, digits and . _ -; names may share one."""
    plain = re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.")
    return plain if len(plain) <= 48 else f"{plain[:16]}--{plain[-30:]}"


@contextlib.contextmanager
def made_whole(folder: Path) -> Iterator[Path]:
    """An empty folder to fill; when the block ends well it becomes `folder`, which is whole or not there.

    When several processes make the same folder, the first to end wins and the others' work is discarded.
    Raises FolderError when the disk is full or may not be written.
    """
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        partial.mkdir(parents=True)
        _remove_abandoned(folder.parent)
        yield partial
        try:
            partial.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    except OSError as error:
        reason = error.strerror or error
        remedy = "free some space, mend the permissions or use another data folder"
        raise FolderError(f"cannot write {folder} ({reason}): {remedy}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    for partial in folder.glob(".*.partial"):
        with contextlib.suppress(OSError):
            if time.time() - partial.stat().st_mtime > ABANDONED_AFTER:
                shutil.rmtree(partial)
