"""Runs: documents on disk in the order of their hashes, so that any number of them is sorted in little memory.

A run is two files: `<name>.index`, a record a document, and `<name>.text`, their names and texts, both in the
order of the hashes. The documents of a range of hashes lie together in every run, and are merged range by range.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.data.sources import Found

RECORD = np.dtype([("digest", "S32"), ("name_size", "<u4"), ("text_size", "<u4")])
"""SHA-256 of the text, and the bytes of name and text."""

RUN_BYTES, RUN_DOCUMENTS = 24 * 2**20, 2**18
"""Text and documents that a run holds, at most: what a process that writes one holds in memory."""


def write_runs(documents: Iterable[Found], begin: Path, with_text: bool) -> int:
    """Write the documents as runs `<begin>-<number>`; their bytes of text. Without text, names are left out too."""
    run, number, size = _Run(), 0, 0
    for name, text in documents:
        run.add(name if with_text else "", text, with_text)
        size += len(text)
        if run.size >= RUN_BYTES or len(run.digests) >= RUN_DOCUMENTS:
            run.write(Path(f"{begin}-{number:04d}"))
            run, number = _Run(), number + 1
    run.write(Path(f"{begin}-{number:04d}"))
    return size


def indices(folder: Path) -> list[Path]:
    """The indices of all runs of a folder, in the order of their names."""
    return sorted(folder.glob("*.index"))


def digests(runs: Sequence[Path], part: int, parts: int) -> NDArray[Any]:
    """The distinct hashes [m] of the part-th of `parts` equal ranges of hashes, sorted."""
    found = [np.zeros(0, RECORD["digest"])]
    for index in runs:
        records = _records(index)
        first, last = _range(records, part, parts)
        found.append(np.array(records["digest"][first:last]))
    return np.unique(np.concatenate(found))


def documents(runs: Sequence[Path], part: int, parts: int) -> Iterator[tuple[bytes, str, bytes]]:
    """Each distinct document of a range as (digest, name, text), by hash; of equal texts the first run's first."""
    records, texts = [np.zeros(0, RECORD)], []
    for index in runs:
        of_run = _records(index)
        first, last = _range(of_run, part, parts)
        if first == last:
            continue
        begins = np.concatenate([[0], np.cumsum(_sizes(of_run))])
        with index.with_suffix(".text").open("rb") as file:
            file.seek(begins[first])
            texts.append(file.read(begins[last] - begins[first]))
        records.append(np.array(of_run[first:last]))
    together, content = np.concatenate(records), b"".join(texts)
    texts.clear()
    order = np.argsort(together["digest"], kind="stable").tolist()
    hashes = np.ascontiguousarray(
        together["digest"]
    ).tobytes()  # indexing NumPy's strings drops zeros at their ends
    ends, text_sizes = np.cumsum(_sizes(together)).tolist(), together["text_size"].tolist()
    starts = (np.cumsum(_sizes(together)) - _sizes(together)).tolist()
    before = b""
    for i in order:
        digest = hashes[32 * i : 32 * i + 32]
        if digest != before:
            before, middle = digest, ends[i] - text_sizes[i]
            yield digest, content[starts[i] : middle].decode(), content[middle : ends[i]]


def split_numbers(digests: NDArray[Any]) -> NDArray[np.int64]:
    """A number [m] in 0 to 99 from each of m hashes, which decides the split, as in `splits.split_of_digest`."""
    words = np.frombuffer(np.ascontiguousarray(digests).tobytes(), ">u8").reshape(-1, 4)
    return (words[:, 0] % 100).astype(np.int64)


def checksum(digests: NDArray[Any]) -> int:
    """The sum of m hashes as numbers: known without an order, and part by part."""
    words = np.frombuffer(np.ascontiguousarray(digests).tobytes(), ">u4").reshape(-1, 8)
    sums = words.sum(0, dtype=np.uint64)  # exact for fewer than 2^32 hashes
    return sum(int(word) << (32 * place) for place, word in enumerate(sums[::-1]))


def shown(checksum: int) -> str:
    """A sum of hashes, modulo 2^256, in 64 hexadecimal digits."""
    return f"{checksum % 2**256:064x}"


@dataclass
class _Run:
    """A run in memory."""

    digests: list[bytes] = field(default_factory=list)
    items: list[tuple[bytes, bytes]] = field(default_factory=list)
    size: int = 0

    def add(self, name: str, text: bytes, with_text: bool) -> None:
        self.digests.append(hashlib.sha256(text).digest())
        if with_text:
            self.items.append((name.encode(), text))
            self.size += len(text)

    def write(self, begin: Path) -> None:
        records = np.zeros(len(self.digests), RECORD)
        records["digest"] = np.frombuffer(b"".join(self.digests), RECORD["digest"])
        records["name_size"] = [len(name) for name, _ in self.items] or 0
        records["text_size"] = [len(text) for _, text in self.items] or 0
        order = np.argsort(records["digest"], kind="stable")
        begin.with_name(begin.name + ".index").write_bytes(records[order].tobytes())
        if self.items:
            with begin.with_name(begin.name + ".text").open("wb") as file:
                for i in order:
                    file.writelines(self.items[i])


def _records(index: Path) -> NDArray[Any]:
    return np.memmap(index, RECORD, "r") if index.stat().st_size else np.zeros(0, RECORD)


def _sizes(records: NDArray[Any]) -> NDArray[np.int64]:
    return records["name_size"].astype(np.int64) + records["text_size"]


def _range(records: NDArray[Any], part: int, parts: int) -> tuple[int, int]:
    """Where the range begins and ends: hashes are uniform, so that equal ranges hold about equally much."""
    edges = [(min(2**64 * k // parts, 2**64 - 1)).to_bytes(8, "big") + bytes(24) for k in (part, part + 1)]
    first, last = np.searchsorted(records["digest"], np.frombuffer(b"".join(edges), RECORD["digest"]))
    return int(first), int(last) if part + 1 < parts else len(records)
