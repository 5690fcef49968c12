"""Spans of text files: a whole file, some of its lines, or some of its rows, and the documents in them."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from scaling.data.sources import CorpusError, Found

LARGEST = 64 * 2**20
"""Bytes of one document, at most: it is held in memory."""

END = 2**63


@dataclass(frozen=True)
class Span:
    """Documents of the file at `path`, called `name`: of `kind` file, lines, json or parquet.

    From `start` to `stop`: bytes where lines begin (of the uncompressed text), or row groups of a Parquet file.
    """

    path: str
    name: str
    kind: str
    size: int
    start: int = 0
    stop: int = END

    def documents(self) -> Iterator[Found]:
        """Every document that is not empty, named after the file and where in it it begins.

        Raises CorpusError that names file, line and remedy: for text that is not UTF-8, a document larger than
        LARGEST, a line or row without text, and a file that cannot be read.
        """
        try:
            yield from {"file": self._file, "lines": self._lines, "json": self._json}.get(
                self.kind, self._rows
            )()
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise CorpusError(f"{self.path} is damaged ({error}): copy it again or take it away") from None
        except OSError as error:
            reason = error.strerror or error
            raise CorpusError(f"cannot read {self.path} ({reason}): mend it or take it away") from None

    def _open(self) -> BinaryIO:
        return cast(
            BinaryIO, gzip.open(self.path, "rb") if self.name.endswith(".gz") else open(self.path, "rb")
        )

    def _file(self) -> Iterator[Found]:
        with self._open() as file:
            text = file.read(LARGEST + 1)
        if len(text) > LARGEST:
            raise CorpusError(
                f"{self.path} is one document of more than {LARGEST >> 20} MiB: take its lines as documents with"
                " text_lines:PATH, or cut it into smaller files"
            )
        if text and not text.isspace():
            try:
                text.decode()
            except UnicodeDecodeError as error:
                raise self._not_utf8(text.count(b"\n", 0, error.start) + 1) from None
            yield self.name, text

    def _lines(self) -> Iterator[Found]:
        for offset, line in self._raw_lines():
            text = line.rstrip(b"\r\n")
            try:
                text.decode()
            except UnicodeDecodeError:
                raise self._not_utf8(self._number(offset)) from None
            yield f"{self.name}@{offset}", text

    def _json(self) -> Iterator[Found]:
        for offset, line in self._raw_lines():
            try:
                value = json.loads(line.decode())
            except UnicodeDecodeError:
                raise self._not_utf8(self._number(offset)) from None
            except (ValueError, RecursionError) as error:
                raise self._no_text(f"line {self._number(offset)} is not JSON ({error})") from None
            text = self._encoded(value, f"line {self._number(offset)}" if _lacks_text(value) else "", offset)
            if text and not text.isspace():
                yield f"{self.name}@{offset}", text

    def _rows(self) -> Iterator[Found]:
        import pyarrow
        from pyarrow import parquet

        try:
            with parquet.ParquetFile(self.path, buffer_size=2**20) as file:
                number = sum(file.metadata.row_group(group).num_rows for group in range(self.start))
                groups = list(range(self.start, self.stop))
                for batch in file.iter_batches(256, groups, columns=["text"], use_threads=False):
                    for value in batch.column(0):
                        text = self._encoded({"text": value.as_py()}, f"row {number}", number)
                        if text and not text.isspace():
                            yield f"{self.name}@{number}", text
                        number += 1
        except UnicodeDecodeError:
            raise self._no_text(f"row {number} is not UTF-8") from None
        except pyarrow.ArrowException as error:
            raise CorpusError(f"{self.path} is damaged ({error}): copy it again or take it away") from None

    def _raw_lines(self) -> Iterator[tuple[int, bytes]]:
        """Each line that begins in the span and is more than blanks, and the byte at which it begins."""
        with self._open() as file:
            offset = self.start
            if self.start:
                file.seek(self.start - 1)
                offset += len(self._readline(file, self.start)) - 1  # the rest of a line of the span before
            while offset < self.stop and (line := self._readline(file, offset)):
                if not line.isspace():
                    yield offset, line
                offset += len(line)

    def _readline(self, file: BinaryIO, offset: int) -> bytes:
        line = file.readline(LARGEST + 1)
        if len(line) > LARGEST:
            raise CorpusError(
                f"{self.path}, line {self._number(offset)}, is longer than {LARGEST >> 20} MiB: cut it into several"
            )
        return line

    def _encoded(self, value: Any, where: str, offset: int) -> bytes:
        if _lacks_text(value):
            has = (
                f"its fields are {', '.join(map(repr, value))}"
                if isinstance(value, dict)
                else "it is no object"
            )
            raise self._no_text(f"{where} has no string 'text' ({has})")
        try:
            return cast(str, value["text"]).encode()
        except UnicodeEncodeError:  # half of a surrogate pair, which JSON can spell
            place = where or f"line {self._number(offset)}"
            raise self._no_text(f"{place} has a text that UTF-8 cannot write") from None

    def _no_text(self, what: str) -> CorpusError:
        return CorpusError(
            f"{self.path}, {what}: each must hold a document as the string 'text'; mend or remove it"
        )

    def _not_utf8(self, line: int) -> CorpusError:
        return CorpusError(
            f"{self.path}, line {line}, is not UTF-8: convert the file, for example with"
            " `iconv -f LATIN1 -t UTF-8`, or take it away"
        )

    def _number(self, offset: int) -> int:
        """The number of the line that begins at a byte, counted anew: only wanted for an error."""
        count, left = 1, offset
        with self._open() as file:
            while left > 0 and (block := file.read(min(left, 2**20))):
                count += block.count(b"\n")
                left -= len(block)
        return count


def row_groups(path: str, name: str, size: int) -> Iterator[Span]:
    """A span a row group of a Parquet file; raises CorpusError when it is none or has no strings named text."""
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            groups, schema = file.num_row_groups, file.schema_arrow
    except (pyarrow.ArrowException, OSError) as error:
        raise CorpusError(f"{path} is damaged ({error}): copy it again or take it away") from None
    kind = schema.field("text").type if "text" in schema.names else None
    if kind not in (pyarrow.string(), pyarrow.large_string()):
        columns = ", ".join(repr(column) for column in schema.names)
        raise CorpusError(
            f"{path} has no column 'text' of strings (its columns: {columns}): rename the one to read"
        )
    for group in range(groups):
        yield Span(path, name, "parquet", size // groups, group, group + 1)


def _lacks_text(value: Any) -> bool:
    return not (isinstance(value, dict) and isinstance(value.get("text"), str))
