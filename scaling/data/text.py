"""Folders of text: which files there are, and how they are cut into parts."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scaling.data.sources import CorpusError, Found, Part
from scaling.data.spans import Span, row_groups

PLAIN, JSON, PARQUET = (".txt", ".md"), (".jsonl",), (".parquet",)
ENDINGS = (*PLAIN, *JSON, *PARQUET, *(ending + ".gz" for ending in (*PLAIN, *JSON)))
"""Endings of the files that are read; others are left alone."""

PART_BYTES, PARTS = 24 * 2**20, 1024
"""Size of the parts that are read at a time; larger where there would be more than so many parts."""


@dataclass(frozen=True)
class TextFolder:
    """The text files below `path`, a folder or one file; hidden ones and links to folders are left out.

    A .txt or .md file is a document, or each of its non-empty lines where `by_line`; each line of a .jsonl file and
    each row of a .parquet file is a document, its field `text`. All but .parquet may be compressed (.gz).
    """

    path: str
    by_line: bool = False

    @property
    def origin(self) -> str:
        """The folder, and how documents are told apart."""
        return f"the {'lines of the ' if self.by_line else ''}text files in {self._root}"

    def state(self) -> str:
        """Names, sizes and times of the files, hashed: where it is the same, so is the text."""
        seen = hashlib.sha256(f"{self._root}\n{self.by_line}\n".encode("utf-8", "surrogateescape"))
        for name, size, modified in self._files():
            seen.update(f"{name}\0{size} {modified}\n".encode("utf-8", "surrogateescape"))
        return seen.hexdigest()

    def parts(self) -> list[Part]:
        """The files by name: small ones together, large ones by lines or row groups in several parts."""
        files = [(name, size) for name, size, _ in self._files()]
        size = max(PART_BYTES, sum(size for _, size in files) // PARTS)
        parts: list[Part] = []
        spans: list[Span] = []
        for span in itertools.chain.from_iterable(self._spans(*file, size) for file in files):
            if spans and sum(s.size for s in spans) + span.size > size:
                parts.append(TextPart(tuple(spans)))
                spans = []
            spans.append(span)
        return [*parts, TextPart(tuple(spans))]

    @property
    def _root(self) -> Path:
        return Path(self.path).expanduser().absolute()

    def _files(self) -> list[tuple[str, int, int]]:
        """Name, bytes and time of change in ns, by name; raises CorpusError when there is none."""
        if not self._root.exists():
            raise CorpusError(
                f"there is no folder or file {str(self._root)!r}: mend the path after the colon"
            )
        if self._root.is_file():
            return [(self._root.name, *_status(self._root))]
        names = list(self._names())
        found = [name for name in names if name.endswith(ENDINGS)]
        if not found:
            holds = f"{len(names)} other files" if names else "nothing"
            raise CorpusError(
                f"there are no text files in {str(self._root)!r}, which holds {holds}: put files there that end in"
                f" {', '.join(ENDINGS)}"
            )
        return [(name, *_status(self._root / name)) for name in sorted(found)]

    def _names(self) -> Iterator[str]:
        for folder, below, files in os.walk(self._root, onerror=_unreadable):
            below[:] = [name for name in below if not name.startswith(".")]
            for file in files:
                if not file.startswith("."):
                    yield Path(folder, file).relative_to(self._root).as_posix()

    def _spans(self, name: str, size: int, part: int) -> Iterator[Span]:
        path = str(self._root if self._root.is_file() else self._root / name)
        plain = name.removesuffix(".gz")
        if plain.endswith(PARQUET):
            yield from row_groups(path, name, size)
            return
        kind = "json" if plain.endswith(JSON) else "lines" if self.by_line else "file"
        if kind == "file" or name.endswith(".gz"):
            yield Span(path, name, kind, size)
        else:
            for start in range(0, size, part):
                yield Span(path, name, kind, min(part, size - start), start, start + part)


@dataclass(frozen=True)
class TextPart:
    """Spans of files, one after the other."""

    spans: tuple[Span, ...]

    @property
    def size(self) -> int:
        """Bytes of the spans on disk."""
        return sum(span.size for span in self.spans)

    def documents(self) -> Iterator[Found]:
        """The documents of every span."""
        return itertools.chain.from_iterable(span.documents() for span in self.spans)


def _status(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        _unreadable(error)
    return status.st_size, status.st_mtime_ns


def _unreadable(error: OSError) -> None:
    raise CorpusError(
        f"cannot read {error.filename} ({error.strerror}): mend its permissions or take it away"
    ) from None
