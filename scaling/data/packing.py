"""Packing: texts to tokens in several processes, and the stream of tokens to rows on disk as it comes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import dtype_to_descr, write_array_header_1_0
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from scaling.data.corpora import Corpus, checksum
from scaling.data.sources import Progress
from scaling.data.tokenizer import Tokenizer, token_dtype
from scaling.data.workers import in_order, processes_for

TASK_BYTES = 4 * 2**20
"""Text that a process turns into tokens at a time, about."""


@dataclass
class RowWriter:
    """Writes the rows [n, context + 1] of a stream of tokens, and the document [n] that each predicts first."""

    folder: Path
    split: str
    context: int
    dtype: type[np.unsignedinteger]
    rows: int = 0
    documents: int = 0
    tokens: int = 0
    _rest: NDArray[Any] = field(init=False)
    _ends: NDArray[np.int64] = field(init=False)
    """Where in the stream the last `len(_ends)` documents end."""

    def __enter__(self) -> RowWriter:
        self._rest = np.zeros(0, self.dtype)
        self._ends = np.zeros(0, np.int64)
        self._tokens = (self.folder / f"{self.split}.tokens.npy").open("w+b")
        self._document = (self.folder / f"{self.split}.document.npy").open("w+b")
        self._write_headers()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._write_headers()
        finally:
            self._tokens.close()
            self._document.close()

    def add(self, tokens: NDArray[Any], lengths: NDArray[np.int64]) -> None:
        """The next documents: their tokens one after the other, and the tokens of each, `eod` included."""
        ends = np.concatenate([self._ends, self.tokens + np.cumsum(lengths)])
        self.tokens += len(tokens)
        self.documents += len(lengths)
        stream = np.concatenate([self._rest, tokens])
        count = max(0, (len(stream) - 1) // self.context)
        if count:
            rows = sliding_window_view(stream, self.context + 1)[:: self.context]
            self._tokens.write(rows.tobytes())  # on a full disk a memory map would kill the process
            first_predicted = (self.rows + np.arange(count)) * self.context + 1
            document = np.searchsorted(ends, first_predicted, side="right") + self.documents - len(ends)
            self._document.write(document.astype(np.int32).tobytes())
        self.rows += count
        self._rest = stream[count * self.context :].copy()
        self._ends = ends[np.searchsorted(ends, self.rows * self.context + 1, side="right") :]

    def _write_headers(self) -> None:
        """The headers of as many rows as there are now; NumPy makes them equally long for any number of rows."""
        shapes: list[tuple[Any, Any, tuple[int, ...]]] = [
            (self._tokens, np.dtype(self.dtype), (self.rows, self.context + 1)),
            (self._document, np.dtype(np.int32), (self.rows,)),
        ]
        for file, dtype, shape in shapes:
            file.seek(0)
            header = {"descr": dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
            write_array_header_1_0(file, header)


def pack(
    corpus: Corpus, split: str, words: Tokenizer, context: int, folder: Path, progress: Progress | None
) -> dict[str, Any]:
    """Write the rows of a split to `folder`: how many rows, documents, tokens and bytes of text there are.

    Raises CorpusError when the corpus is damaged, TokenizerError when a text cannot be tokenised.
    """
    total, size = 0, 0
    with RowWriter(folder, split, context, token_dtype(words.vocab)) as writer:
        tasks = list(_tasks(corpus, split, words))
        for tokens, lengths, text_bytes, part_sum in in_order(
            _tokens, tasks, processes_for(corpus.text_bytes[split])
        ):
            writer.add(np.frombuffer(tokens, token_dtype(words.vocab)), lengths)
            size, total = size + text_bytes, total + part_sum
            if progress:
                progress(f"packing {split} documents", writer.documents, corpus.sizes[split])
    corpus.check(split, total)
    return {
        "rows": writer.rows,
        "documents": writer.documents,
        "tokens": writer.tokens,
        "bytes": size,
        "tokens_per_byte": writer.tokens / max(size, 1),
    }


def _tasks(corpus: Corpus, split: str, words: Tokenizer) -> Iterator[tuple[Corpus, str, Tokenizer, int, int]]:
    count = corpus.sizes[split]
    step = max(1, count * TASK_BYTES // max(corpus.text_bytes[split], 1))
    for start in range(0, count, step):
        yield corpus, split, words, start, min(start + step, count)


def _tokens(
    task: tuple[Corpus, str, Tokenizer, int, int],
) -> tuple[bytes, NDArray[np.int64], int, int]:
    """Tokens of some documents with their ends, the tokens of each, their bytes of text and their checksum."""
    corpus, split, words, start, stop = task
    end = np.array([words.eod], token_dtype(words.vocab)).tobytes()
    tokens, lengths, size, total = bytearray(), [], 0, 0
    for text in corpus.some_texts(split, start, stop):
        encoded = words.encode(text)
        tokens += encoded.tobytes() + end
        lengths.append(len(encoded) + 1)
        size += len(text)
        total += checksum(text)
    return bytes(tokens), np.array(lengths, np.int64), size, total
