"""What a corpus is made from: a `Source` of documents, or a `LargeSource` that is read part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, runtime_checkable

from scaling.errors import HostError

Progress = Callable[[str, int, int], None]
"""Called as progress(what, done, total) while something long is prepared; `what` names the units it counts."""

Found = tuple[str, bytes]
"""A document: its name, and its text as UTF-8."""


class CorpusError(HostError):
    """A corpus that is unknown, too small, damaged or not the one asked for: the message names the remedy."""


@runtime_checkable
class Source(Protocol):
    """Where the documents of a corpus come from; they fit in memory."""

    @property
    def origin(self) -> str:
        """In words, what the documents are read from; shown where a hash differs from the one asked for."""

    def fingerprint(self) -> str:
        """The identity of the documents as 64 hexadecimal digits: usually `fingerprint(self.documents())`."""

    def documents(self) -> Iterator[tuple[str, str]]:
        """Every document as (name, text), in the same order each time; no name and no text comes twice."""


class Part(Protocol):
    """Some documents of a large source; picklable, since other processes read it."""

    @property
    def size(self) -> int:
        """About how many bytes there are to read."""

    def documents(self) -> Iterator[Found]:
        """The documents, none of them empty; raises CorpusError that names file and line of what is no text."""


@runtime_checkable
class LargeSource(Protocol):
    """Where the documents of a corpus of any size come from; equal texts may come more than once."""

    @property
    def origin(self) -> str:
        """In words, what the documents are read from."""

    def state(self) -> str:
        """A hash that changes whenever the documents may have changed, found without reading them."""

    def parts(self) -> Sequence[Part]:
        """The parts that make up the source, always the same ones in the same order while the state is the same."""
