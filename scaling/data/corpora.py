"""Corpora: named sources of documents, prepared as TFDS data sets in ArrayRecord, without TensorFlow.

To add a corpus, write a `Source` and give it a name in `CORPORA`, or a `LargeSource` and give it a kind in `KINDS`.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.data import runs, shards
from scaling.data.census import census
from scaling.data.folders import local, made_whole, slug
from scaling.data.published import Published
from scaling.data.sources import CorpusError, LargeSource, Progress, Source
from scaling.data.splits import SPLITS, split_of
from scaling.data.stdlib import PythonStdlib
from scaling.data.text import TextFolder

FORMAT = 2
"""Raised when the files or the split rule change, so that other folders are not read as this kind."""

CORPORA: dict[str, Source] = {"python_stdlib": PythonStdlib()}
"""Corpora by name."""

TOGETHER, TOGETHER_BYTES = 512, 2**20
"""Documents fetched at a time, at most, and about how many bytes: fetched alone, each costs 0.1 ms."""

KINDS: dict[str, Callable[[str], LargeSource]] = {
    "text_folder": TextFolder,
    "text_lines": lambda path: TextFolder(path, by_line=True),
    "tfds": Published,
}
"""Corpora by what stands before the colon of `kind:argument`; the argument is a path, or the name of a data set."""


@dataclass(frozen=True)
class Corpus:
    """A prepared corpus, identified by `sha256`: its documents lie in `folder`/`dataset`.

    `sizes` counts the documents of each split, `text_bytes` their text; `checksums` are those of `runs.checksum`.
    """

    name: str
    sha256: str
    folder: Path
    dataset: str
    sizes: Mapping[str, int]
    text_bytes: Mapping[str, int]
    checksums: Mapping[str, str]

    def data_source(self, split: str) -> Any:
        """The documents of a split in a fixed shuffled order, each {"name": bytes, "text": bytes}."""
        import tensorflow_datasets as tfds

        return tfds.builder_from_directory(self.folder / self.dataset).as_data_source(split)

    def texts(self, split: str) -> Iterator[bytes]:
        """The texts of `data_source(split)` one by one; raises CorpusError when the files are damaged.

        Whether they are the texts that were written is known, and an error, only after the last of them.
        """
        total = 0
        for text in self.some_texts(split, 0, self.sizes[split]):
            total += checksum(text)
            yield text
        self.check(split, total)

    def some_texts(self, split: str, start: int, stop: int) -> Iterator[bytes]:
        """Texts `start` to `stop` of a split; raises CorpusError when the files are seen to be damaged."""
        try:
            documents = self.data_source(split)
            if len(documents) != self.sizes[split]:
                raise ValueError(f"{len(documents)} {split} documents, not {self.sizes[split]}")
            step = max(1, min(TOGETHER, TOGETHER_BYTES * len(documents) // max(self.text_bytes[split], 1)))
            for first in range(start, stop, step):
                for document in documents.__getitems__(range(first, min(first + step, stop))):
                    if not isinstance(document["text"], bytes):
                        raise ValueError(f"a {split} document is missing")
                    yield document["text"]
        except ImportError:
            raise
        except Exception as error:  # what TFDS and ArrayRecord raise differs by what is damaged
            raise _damaged(self.folder, str(error)) from error

    def check(self, split: str, checksum: int) -> None:
        """Raise CorpusError unless this is the checksum of the split: ArrayRecord reads some cut files silently."""
        if runs.shown(checksum) != self.checksums[split]:
            raise _damaged(self.folder, f"the {split} texts are not those that were written")


def source(name: str) -> Source | LargeSource:
    """The source of the corpus `name`; raises CorpusError that names the known ones."""
    if name in CORPORA:
        return CORPORA[name]
    kind, colon, argument = name.partition(":")
    if kind in KINDS and argument:
        return KINDS[kind](argument)
    if kind in KINDS:
        raise CorpusError(
            f"corpus {name!r} names no text: write its path or name after the colon, {kind}:..."
        )
    from scaling.data.languages import LANGUAGES  # which needs this module

    known = sorted([*CORPORA, *LANGUAGES, *(f"{kind}:..." for kind in KINDS)])
    near = difflib.get_close_matches(kind, [*CORPORA, *LANGUAGES, *KINDS], n=1)
    meant = f"did you mean {near[0] + colon + argument!r}? " if near else ""
    raise CorpusError(f"there is no corpus {name!r}: {meant}known corpora: {', '.join(known)}")


def identify(name: str, folder: str | os.PathLike[str], progress: Progress | None = None) -> str:
    """The identity of the corpus `name` as it is now, 64 hexadecimal digits; kept in `folder` for a large source."""
    found = source(name)
    return found.fingerprint() if isinstance(found, Source) else census(found, local(folder), progress).sha256


def prepare(
    name: str, folder: str | os.PathLike[str], sha256: str = "", progress: Progress | None = None
) -> Corpus:
    """The corpus `name`, prepared in `folder`/<name>-<12 digits of its hash>; what is there already is kept.

    With `sha256`, that very corpus: a prepared one is used even where the source has changed since. Raises
    CorpusError when the corpus is unknown, not the one asked for, damaged, or without documents in a split,
    and FolderError when the folder cannot be written.
    """
    folder = local(folder)
    if sha256 and (prepared := _place(folder, name, sha256)).is_dir():
        return _opened(prepared, name, sha256)
    found = identify(name, folder, progress)
    if sha256 not in ("", found):
        raise mismatch(name, found, sha256)
    if not (prepared := _place(folder, name, found)).is_dir():
        with made_whole(prepared) as partial:
            _write(name, found, partial, progress)
    return _opened(prepared, name, found)


def mismatch(name: str, found: str, asked: str) -> CorpusError:
    """The error for a corpus that is not the one that a spec was planned with."""
    return CorpusError(
        f"corpus {name!r} here has the hash {found}, and Data.sha256 asks for {asked}: it is made from"
        f" {source(name).origin}, and another version is another text; use the version that the study was"
        " planned with, or plan again with an empty Data.sha256"
    )


def checksum(text: bytes) -> int:
    """The SHA-256 of a text as a number: summed over a split, it tells whether all of its texts are there."""
    return int.from_bytes(hashlib.sha256(text).digest(), "big")


def _damaged(folder: Path, reason: str) -> CorpusError:
    return CorpusError(f"corpus folder {folder} is damaged ({reason}): delete it and run again")


def _place(folder: Path, name: str, sha256: str) -> Path:
    return folder / f"{slug(name)}-{sha256[:12]}"


def _write(name: str, sha256: str, folder: Path, progress: Progress | None) -> None:
    """Write the data set, and `corpus.json`, which says what it is."""
    found = source(name)
    write = _write_small if isinstance(found, Source) else _write_large
    described = write(name, folder, progress)
    described = {"format": FORMAT, "sha256": sha256, "origin": found.origin, **described}
    (folder / "corpus.json").write_text(json.dumps(described, indent=1) + "\n")


def _write_large(name: str, folder: Path, progress: Progress | None) -> dict[str, Any]:
    documents = source(name)
    assert isinstance(documents, LargeSource)
    taken = census(documents, folder.parent, progress)
    _check_splits(name, taken.sizes)
    size = shards.write_dataset(documents, taken, folder, progress)
    dataset = f"{shards.NAME}/{shards.VERSION}"
    return {"dataset": dataset, "sizes": taken.sizes, "bytes": size, "checksums": taken.checksums}


def _write_small(name: str, folder: Path, progress: Progress | None) -> dict[str, Any]:
    from scaling.data.builder import Documents

    documents = source(name)
    assert isinstance(documents, Source)
    sizes, size, checksums = dict.fromkeys(SPLITS, 0), dict.fromkeys(SPLITS, 0), dict.fromkeys(SPLITS, 0)
    for _, text in documents.documents():
        split, content = split_of(text), text.encode()
        sizes[split] += 1
        size[split] += len(content)
        checksums[split] += checksum(content)
    _check_splits(name, sizes)
    try:
        Documents(name, documents, folder, sizes, progress).download_and_prepare()
    except RuntimeError as error:  # so ArrayRecord reports a file that it cannot write
        raise OSError(str(error).partition(";")[0]) from error
    sums = {split: runs.shown(number) for split, number in checksums.items()}
    return {"dataset": f"{name}/{Documents.VERSION}", "sizes": sizes, "bytes": size, "checksums": sums}


def _check_splits(name: str, sizes: Mapping[str, int]) -> None:
    for split in SPLITS:
        if not sizes[split]:
            raise CorpusError(
                f"corpus {name!r} has no document in its {split} split: a split takes about one document in twenty"
                f" and there are {sum(sizes.values())}, so add documents, or cut the text into smaller ones"
            )


def _opened(folder: Path, name: str, sha256: str) -> Corpus:
    """The corpus in a folder; raises CorpusError when its `corpus.json` does not say that it is the one."""
    try:
        described = json.loads((folder / "corpus.json").read_text())
        said = (described["format"], described["sha256"])
        if said != (FORMAT, sha256):
            raise ValueError(f"format and hash are {said}, not {(FORMAT, sha256)}")
        by_split = (dict(described[key]) for key in ("sizes", "bytes", "checksums"))
        return Corpus(name, sha256, folder, described["dataset"], *by_split)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, f"corpus.json: {error}") from error
