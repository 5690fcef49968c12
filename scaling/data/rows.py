"""Rows: the documents of a split as one stream of tokens, cut once into rows and memory-mapped.

The stream is the documents, each followed by `eod`. Row i holds its tokens i context .. (i + 1) context, both
included, so that neighbours share one token and every token of the stream, save the first and an incomplete
last row, is predicted exactly once.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import dtype_to_descr, write_array_header_1_0
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from scaling.data import corpora
from scaling.data.corpora import SPLITS, Corpus, CorpusError, Progress
from scaling.data.folders import local, made_whole
from scaling.data.languages import fingerprint, is_language
from scaling.data.samples import prepare_samples
from scaling.data.tokenizer import Tokenizer, token_dtype, tokenizer
from scaling.spec import Data

FORMAT = 1
"""Raised when the packing changes; part of the folder's name, so that older rows are not taken for these."""

FEWEST_ROWS = 8
"""Rows below which a split says nothing: the loss on it would have no standard error worth the name."""

BLOCK = 4096
"""Rows copied at a time, which bounds the memory that packing needs."""


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of one split: `tokens` [n, context + 1], and the `document` [n] of each first predicted token.

    `tokens_per_byte` counts the tokens of the whole stream, `eod` included, against its bytes of text, so
    that loss x tokens_per_byte / ln 2 is in bits per byte of text; None where tokens stand for no text.
    """

    tokens: NDArray[np.unsignedinteger] = field(repr=False)
    document: NDArray[np.int32] = field(repr=False)
    context: int
    vocab: int
    documents: int
    bytes: int
    tokens_per_byte: float | None
    split: str = ""
    corpus: str = ""
    tokenizer: str = ""
    sha256: str = ""
    scored: NDArray[np.bool_] | None = field(default=None, repr=False)
    """Whether the token after each position is part of the loss, [context]; None where every token is."""
    entropy: float | None = None
    """Nats per scored token that no model goes below, where it is known."""

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def predicted(self) -> int:
        """Tokens that one pass over the rows predicts."""
        return len(self) * self.context


def prepare_rows(
    data: Data, folder: str | os.PathLike[str], progress: Progress | None = None
) -> dict[str, Rows]:
    """The rows of each split ("train", "validation", "test"), made in `folder` unless they are there already.

    They lie in <corpus>-<hash>-<tokenizer>-<context>-v<format>, shared by all runs and processes. With
    `data.sha256`, rows of that very corpus. Raises CorpusError when the corpus is unknown, not the one asked
    for, too small for the context, or its files are damaged; TokenizerError when the tokenizer is unknown;
    FolderError when the folder cannot be written.
    """
    folder = local(folder)
    if is_language(data.corpus):
        return _read(prepare_samples(data, folder, progress), fingerprint(data.corpus))
    words = tokenizer(data.tokenizer)
    sha256 = data.sha256
    if not (sha256 and _place(folder, data, sha256).is_dir()):
        corpus = corpora.prepare(data.corpus, folder, sha256, progress)
        sha256 = corpus.sha256
        if not _place(folder, data, sha256).is_dir():
            with made_whole(_place(folder, data, sha256)) as partial:
                _write(corpus, words, data.context, partial, progress)
    return _read(_place(folder, data, sha256), sha256)


def _place(folder: Path, data: Data, sha256: str) -> Path:
    return folder / f"{data.corpus}-{sha256[:12]}-{data.tokenizer}-{data.context}-v{FORMAT}"


def _write(corpus: Corpus, words: Tokenizer, context: int, folder: Path, progress: Progress | None) -> None:
    splits = {}
    for split in SPLITS:
        stream = folder / f"{split}.stream"
        lengths, size = _write_stream(stream, corpus, split, words, progress)
        rows = (sum(lengths) - 1) // context
        if rows < FEWEST_ROWS:
            raise CorpusError(
                f"corpus {corpus.name!r} has {rows} rows of {context} tokens in its {split} split, and needs"
                f" {FEWEST_ROWS} at least: use a smaller Data.context or a larger corpus"
            )
        _cut(np.memmap(stream, token_dtype(words.vocab), "r"), context, lengths, folder, split)
        stream.unlink()
        splits[split] = {
            "rows": rows,
            "documents": len(lengths),
            "tokens": sum(lengths),
            "bytes": size,
            "tokens_per_byte": sum(lengths) / size,
        }
    meta = {
        "format": FORMAT,
        "corpus": corpus.name,
        "sha256": corpus.sha256,
        "tokenizer": words.name,
        "vocab": words.vocab,
        "context": context,
        "splits": splits,
    }
    (folder / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")


def _write_stream(
    path: Path, corpus: Corpus, split: str, words: Tokenizer, progress: Progress | None
) -> tuple[list[int], int]:
    """Writes raw tokens; gives the tokens of each document, its `eod` included, and all bytes of text."""
    lengths, size = [], 0
    end = np.array([words.eod], token_dtype(words.vocab))
    with path.open("wb") as file:
        for text in corpus.texts(split):
            tokens = np.concatenate([words.encode(text), end])
            file.write(tokens.tobytes())
            lengths.append(len(tokens))
            size += len(text)
            if progress:
                progress(f"packing {split} documents", len(lengths), corpus.sizes[split])
    return lengths, size


def _cut(stream: NDArray[Any], context: int, lengths: list[int], folder: Path, split: str) -> None:
    """Writes the rows [n, context + 1] of the stream, and the document [n] that each predicts first."""
    rows = sliding_window_view(stream, context + 1)[::context]
    header = {"descr": dtype_to_descr(stream.dtype), "fortran_order": False, "shape": rows.shape}
    with (folder / f"{split}.tokens.npy").open("wb") as file:  # on a full disk a memory map kills the process
        write_array_header_1_0(file, header)
        for start in range(0, len(rows), BLOCK):
            file.write(rows[start : start + BLOCK].tobytes())
    first_predicted = np.arange(len(rows)) * context + 1
    document = np.searchsorted(np.cumsum(lengths), first_predicted, side="right")
    np.save(folder / f"{split}.document.npy", document.astype(np.int32))


def _read(folder: Path, sha256: str) -> dict[str, Rows]:
    try:
        meta = json.loads((folder / "meta.json").read_text())
        if meta["sha256"] != sha256:
            raise corpora.mismatch(meta["corpus"], meta["sha256"], sha256)
        return {split: _read_split(folder, split, meta) for split in SPLITS}
    except CorpusError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        remedy = "delete it and run again"
        raise CorpusError(f"rows folder {folder} is damaged ({error}): {remedy}") from error


def _read_split(folder: Path, split: str, meta: dict[str, Any]) -> Rows:
    counts = meta["splits"][split]
    tokens = np.load(folder / f"{split}.tokens.npy", mmap_mode="r", allow_pickle=False)
    document = np.load(folder / f"{split}.document.npy", allow_pickle=False)
    shape = (counts["rows"], meta["context"] + 1)
    if tokens.shape != shape or document.shape != shape[:1]:
        raise ValueError(f"{split} has {tokens.shape} tokens where meta.json says {shape}")
    return Rows(
        tokens=tokens,
        document=document,
        context=meta["context"],
        vocab=meta["vocab"],
        documents=counts["documents"],
        bytes=counts["bytes"],
        tokens_per_byte=counts["tokens_per_byte"],
        split=split,
        corpus=meta["corpus"],
        tokenizer=meta["tokenizer"],
        sha256=meta["sha256"],
        scored=None if meta.get("scored") is None else np.array(meta["scored"], bool),
        entropy=meta.get("entropy"),
    )
