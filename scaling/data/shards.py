"""Shards: the documents of a large source, sorted by their hashes, as a TFDS data set in ArrayRecord.

The order of the hashes is as good as a shuffle, and the same however the documents lie in files: equal documents make
equal rows. Each range of hashes is a shard of each split, so that shards are made in parallel and in little memory.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.data import runs
from scaling.data.census import Census, changed, write_runs
from scaling.data.sources import LargeSource, Progress
from scaling.data.splits import SPLITS, split_of_digest
from scaling.data.workers import in_order, processes_for

NAME, VERSION = "documents", "1.0.0"
"""The data set, as TFDS calls it."""

SHARD_BYTES = 24 * 2**20
"""Text of a range of hashes, about: what a process that writes shards holds in memory."""


@dataclass(frozen=True)
class Shard:
    """A file of documents of one split."""

    path: Path
    split: str
    documents: int
    text_bytes: int
    record_bytes: int
    checksum: int


def write_dataset(
    source: LargeSource, taken: Census, folder: Path, progress: Progress | None
) -> Mapping[str, int]:
    """Write the documents of a census to `folder`/documents/1.0.0; the bytes of text of each split.

    Raises CorpusError when a document cannot be read or is not one of the census.
    """
    scratch, place = folder / "runs", folder / NAME / VERSION
    scratch.mkdir()
    place.mkdir(parents=True)
    indices, size = write_runs(source, scratch, True, "sorting documents", progress)
    ranges = 1 + size // SHARD_BYTES
    tasks = [(indices, part, ranges, place) for part in range(ranges)]
    shards: list[Shard] = []
    for part, made in enumerate(in_order(_write_range, tasks, processes_for(size))):
        shards += made
        if progress:
            progress("writing documents, shards", part + 1, ranges)
    shutil.rmtree(scratch)
    for split in SPLITS:
        total = sum(shard.checksum for shard in shards if shard.split == split)
        if runs.shown(total) != taken.checksums[split]:
            raise changed(source)
    _name_shards(shards)
    _write_metadata(shards, place, source.origin)
    return {split: sum(shard.text_bytes for shard in shards if shard.split == split) for split in SPLITS}


def _write_range(task: tuple[list[Path], int, int, Path]) -> list[Shard]:
    """Write a shard a split, as far as there are documents."""
    import tensorflow_datasets as tfds
    from array_record.python.array_record_module import ArrayRecordWriter

    indices, part, ranges, place = task
    features = _features(tfds)
    files: dict[str, Any] = {}
    counts = {split: [0, 0, 0, 0] for split in SPLITS}
    try:
        for digest, name, text in runs.documents(indices, part, ranges):
            split = split_of_digest(digest)
            if split not in files:
                files[split] = ArrayRecordWriter(str(_partial(place, split, part)), "group_size:1")
            record = features.serialize_example({"name": name, "text": text})
            files[split].write(record)
            added = (1, len(text), len(record), int.from_bytes(digest, "big"))
            counts[split] = [a + b for a, b in zip(counts[split], added, strict=True)]
        for file in files.values():
            file.close()
    except RuntimeError as error:  # so ArrayRecord reports a file that it cannot write
        raise OSError(str(error).partition(";")[0]) from error
    return [Shard(_partial(place, split, part), split, *counts[split]) for split in SPLITS if split in files]


def _partial(place: Path, split: str, part: int) -> Path:
    return place / f"{split}-{part:05d}"


def _name_shards(shards: list[Shard]) -> None:
    """Give the files the names that TFDS looks for."""
    for split in SPLITS:
        mine = [shard for shard in shards if shard.split == split]
        for number, shard in enumerate(mine):
            name = f"{NAME}-{split}.array_record-{number:05d}-of-{len(mine):05d}"
            os.rename(shard.path, shard.path.with_name(name))


def _write_metadata(shards: list[Shard], place: Path, origin: str) -> None:
    import tensorflow_datasets as tfds

    splits = []
    for split in SPLITS:
        mine = [shard for shard in shards if shard.split == split]
        template = tfds.core.ShardedFileTemplate(
            data_dir=place, dataset_name=NAME, split=split, filetype_suffix="array_record"
        )
        lengths = [shard.documents for shard in mine]
        size = sum(shard.record_bytes for shard in mine)
        splits.append(tfds.core.SplitInfo(split, lengths, size, filename_template=template))
    tfds.folder_dataset.write_metadata(
        data_dir=place, features=_features(tfds), split_infos=splits, description=origin, check_data=False
    )


def _features(tfds: Any) -> Any:
    return tfds.features.FeaturesDict({"name": tfds.features.Text(), "text": tfds.features.Text()})
