"""The census of a large source: who its documents are, found by streaming and remembered while its files stay."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from scaling.data import runs
from scaling.data.folders import made_whole
from scaling.data.sources import CorpusError, LargeSource, Part, Progress
from scaling.data.splits import SPLITS, split_names
from scaling.data.workers import in_order, processes_for

MEBI = 2**20


@dataclass(frozen=True)
class Census:
    """The distinct documents of a source: identity, number and checksum of each split; bytes of all it holds."""

    sha256: str
    sizes: Mapping[str, int]
    checksums: Mapping[str, str]
    bytes: int


def census(source: LargeSource, folder: Path, progress: Progress | None = None) -> Census:
    """The census of a source, kept in `folder`/census-<hash of the source's state>: unchanged files are read once.

    Raises CorpusError when a document cannot be read, or files changed meanwhile.
    """
    state = source.state()
    place = folder / f"census-{state[:16]}"
    if not place.is_dir():
        with made_whole(place) as partial:
            taken = _take(source, partial, progress)
            if source.state() != state:
                raise changed(source)
            (partial / "census.json").write_text(json.dumps(asdict(taken), indent=1) + "\n")
    try:
        return Census(**json.loads((place / "census.json").read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise CorpusError(f"folder {place} is damaged ({error}): delete it and run again") from error


def write_runs(
    source: LargeSource, folder: Path, with_text: bool, verb: str, progress: Progress | None
) -> tuple[list[Path], int]:
    """The documents of every part as runs in `folder`: their indices, and the bytes of all texts."""
    parts = source.parts()
    total, done, size = sum(part.size for part in parts), 0, 0
    tasks = [(part, folder / f"{number:05d}", with_text) for number, part in enumerate(parts)]
    written = in_order(_write_part, tasks, processes_for(total))
    for part, bytes_ in zip(parts, written, strict=True):
        done, size = done + part.size, size + bytes_
        if progress:
            progress(f"{verb}, MiB", -(-done // MEBI), -(-total // MEBI))
    return runs.indices(folder), size


def changed(source: LargeSource) -> CorpusError:
    """The error for files that somebody writes while they are read."""
    return CorpusError(
        f"{source.origin} changed while they were read: run again when nothing writes there any more"
    )


def _take(source: LargeSource, folder: Path, progress: Progress | None) -> Census:
    indices, size = write_runs(source, folder, False, "reading documents", progress)
    ranges = 1 + sum(index.stat().st_size for index in indices) // (32 * MEBI)
    whole, first = hashlib.sha256(), True
    sizes, checksums = dict.fromkeys(SPLITS, 0), dict.fromkeys(SPLITS, 0)
    for part in range(ranges):
        found = runs.digests(indices, part, ranges)
        if len(found):
            lines = b"\n".join(bytes(line) for line in _hexadecimal(found))
            whole.update(lines if first else b"\n" + lines)
            first = False
        names = split_names(runs.split_numbers(found))
        for split in SPLITS:
            sizes[split] += int(np.sum(names == split))
            checksums[split] += runs.checksum(found[names == split])
    for index in indices:
        index.unlink()
    return Census(whole.hexdigest(), sizes, {s: runs.shown(n) for s, n in checksums.items()}, size)


def _hexadecimal(digests: np.ndarray) -> list[bytes]:
    text = np.ascontiguousarray(digests).tobytes().hex().encode()
    return [text[i : i + 64] for i in range(0, len(text), 64)]


def _write_part(task: tuple[Part, Path, bool]) -> int:
    part, begin, with_text = task
    return runs.write_runs(part.documents(), begin, with_text)
