"""Corpora: named sources of documents, prepared as TFDS data sets in ArrayRecord, without TensorFlow.

To add a corpus, write a `Source` and give it a name in `CORPORA`.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import platform
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from scaling.data.folders import local, made_whole
from scaling.errors import UserError

Progress = Callable[[str, int, int], None]
"""Called as progress(what, done, total) while something long is being prepared; counts are documents."""

SPLITS = {"train": 90, "validation": 5, "test": 5}
"""Percent of the documents, by their hash, that fall in each split."""

FORMAT = 1
"""Raised when the files or the split rule change, so that other folders are not read as this kind."""

OUTSIDE = {"site-packages", "dist-packages", "lib-dynload", "__pycache__", "test", "tests", "idle_test"}
"""Folders that are left out: packages that were added, and tests, which some distributions do not ship."""

OF_THIS_MACHINE = ("_sysconfigdata", "sitecustomize", "usercustomize")
"""Beginnings of files that hold paths and settings of one installation."""


class CorpusError(UserError):
    """A corpus that is unknown, too small, damaged or not the one asked for: the message names the remedy."""


class Source(Protocol):
    """Where the documents of a corpus come from."""

    @property
    def origin(self) -> str:
        """In words, what the documents are read from; shown where a hash differs from the one asked for."""

    def fingerprint(self) -> str:
        """The identity of the documents as 64 hexadecimal digits: usually `fingerprint(self.documents())`."""

    def documents(self) -> Iterator[tuple[str, str]]:
        """Every document as (name, text), in the same order each time; no name and no text comes twice."""


@dataclass(frozen=True)
class PythonStdlib:
    """The Python sources below `root`, by default the running interpreter's standard library: code and prose.

    Left out are added packages, tests, files of one installation, files that are not UTF-8, and duplicates.
    """

    root: str = ""

    @property
    def origin(self) -> str:
        """The interpreter's version and the folder."""
        return f"the standard library of Python {platform.python_version()} in {self._root}"

    def fingerprint(self) -> str:
        """SHA-256 over the sorted hashes of the documents."""
        return fingerprint(self.documents())

    def documents(self) -> Iterator[tuple[str, str]]:
        """Each file as (path below the root, text), by path; raises CorpusError when there is none."""
        seen = set()
        for name in sorted(self._names()):
            try:
                content = (self._root / name).read_bytes()
                text = content.decode("utf-8")
            except UnicodeDecodeError:
                continue
            except OSError as error:
                remedy = "mend its permissions"
                raise CorpusError(f"cannot read {self._root / name} ({error.strerror}): {remedy}") from None
            if (digest := hashlib.sha256(content).digest()) not in seen:
                seen.add(digest)
                yield name, text
        if not seen:
            remedy = "use an interpreter that ships its sources"
            raise CorpusError(f"no Python sources in {str(self._root)!r}: {remedy}")

    @property
    def _root(self) -> Path:
        return Path(self.root or sysconfig.get_path("stdlib"))

    def _names(self) -> Iterator[str]:
        for folder, below, files in os.walk(self._root):
            below[:] = [name for name in below if name not in OUTSIDE and not name.startswith("config-")]
            for file in files:
                if file.endswith(".py") and not file.startswith(OF_THIS_MACHINE):
                    yield Path(folder, file).relative_to(self._root).as_posix()


CORPORA: dict[str, Source] = {"python_stdlib": PythonStdlib()}
"""Every corpus by name."""


@dataclass(frozen=True)
class Corpus:
    """A prepared corpus, identified by `sha256`: its documents lie in `folder`.

    `sizes` counts the documents of each split, `hashes` are the fingerprints of each split's documents.
    """

    name: str
    sha256: str
    folder: Path
    sizes: Mapping[str, int]
    hashes: Mapping[str, str]

    def data_source(self, split: str) -> Sequence[dict[str, Any]]:
        """The documents of a split in a fixed shuffled order, each {"name": bytes, "text": bytes}."""
        import tensorflow_datasets as tfds

        from scaling.data.builder import Documents

        builder = tfds.builder_from_directory(self.folder / self.name / str(Documents.VERSION))
        return builder.as_data_source(split)

    def texts(self, split: str) -> Iterator[bytes]:
        """The texts of `data_source(split)` one by one; raises CorpusError when the files are damaged.

        Whether they are the texts that were written is known, and an error, only after the last of them.
        """
        hashes = []
        try:
            for document in self.data_source(split):
                hashes.append(hashlib.sha256(document["text"]).hexdigest())
                yield document["text"]
        except ImportError:
            raise
        except Exception as error:  # what TFDS and ArrayRecord raise differs by what is damaged
            raise _damaged(self.folder, str(error)) from error
        if _combined(hashes) != self.hashes[split]:  # ArrayRecord reads some cut files without complaint
            raise _damaged(self.folder, f"the {split} texts are not those that were written")


def source(name: str) -> Source:
    """The source of the corpus `name`; raises CorpusError that names the known ones."""
    if name in CORPORA:
        return CORPORA[name]
    near = difflib.get_close_matches(name, CORPORA, n=1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    raise CorpusError(f"there is no corpus {name!r}: {meant}known corpora: {', '.join(sorted(CORPORA))}")


def fingerprint(documents: Iterable[tuple[str, str]]) -> str:
    """SHA-256 over the sorted SHA-256 hashes of the texts, so that neither order nor names matter."""
    return _combined(hashlib.sha256(text.encode()).hexdigest() for _, text in documents)


def split_of(text: str) -> str:
    """The split that a document belongs to: decided by its own hash, whatever else the corpus holds."""
    percent = int(hashlib.sha256(text.encode()).hexdigest()[:16], 16) % 100
    for split, share in SPLITS.items():
        if percent < share:
            return split
        percent -= share
    raise AssertionError("the shares of SPLITS sum to 100")


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
    found = source(name).fingerprint()
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


def _combined(hashes: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()


def _damaged(folder: Path, reason: str) -> CorpusError:
    return CorpusError(f"corpus folder {folder} is damaged ({reason}): delete it and run again")


def _place(folder: Path, name: str, sha256: str) -> Path:
    return folder / f"{name}-{sha256[:12]}"


def _write(name: str, sha256: str, folder: Path, progress: Progress | None) -> None:
    from scaling.data.builder import Documents

    documents = source(name)
    hashes: dict[str, list[str]] = {split: [] for split in SPLITS}
    for _, text in documents.documents():
        hashes[split_of(text)].append(hashlib.sha256(text.encode()).hexdigest())
    for split, found in hashes.items():
        if not found:
            remedy = "a split takes about one document in twenty, so add documents"
            raise CorpusError(f"corpus {name!r} has no document in its {split} split: {remedy}")
    sizes = {split: len(found) for split, found in hashes.items()}
    try:
        Documents(name, documents, folder, sizes, progress).download_and_prepare()
    except RuntimeError as error:  # so ArrayRecord reports a file that it cannot write
        raise OSError(str(error).partition(";")[0]) from error
    described = {
        "format": FORMAT,
        "sha256": sha256,
        "origin": documents.origin,
        "sizes": sizes,
        "hashes": {split: _combined(found) for split, found in hashes.items()},
    }
    (folder / "corpus.json").write_text(json.dumps(described, indent=1) + "\n")


def _opened(folder: Path, name: str, sha256: str) -> Corpus:
    """The corpus in a folder; raises CorpusError when its `corpus.json` does not say that it is the one."""
    try:
        described = json.loads((folder / "corpus.json").read_text())
        said = (described["format"], described["sha256"])
        sizes, hashes = dict(described["sizes"]), dict(described["hashes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, f"corpus.json: {error}") from error
    if said != (FORMAT, sha256):
        raise _damaged(folder, f"corpus.json has format and hash {said}, not {(FORMAT, sha256)}")
    return Corpus(name, sha256, folder, sizes, hashes)
