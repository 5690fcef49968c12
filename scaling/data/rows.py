"""Rows: the documents of a split as one stream of tokens, cut once into rows and memory-mapped.

The stream is the documents, each followed by `eod`. Row i holds its tokens i context .. (i + 1) context, both
included, so that neighbours share one token and every token of the stream, save the first and an incomplete
last row, is predicted exactly once.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.data import corpora
from scaling.data.corpora import Corpus
from scaling.data.folders import local, made_whole, slug
from scaling.data.languages import fingerprint, is_language
from scaling.data.packing import pack
from scaling.data.samples import prepare_samples
from scaling.data.sources import CorpusError, Progress
from scaling.data.splits import SPLITS
from scaling.data.subwords import BytePairs, Subwords
from scaling.data.tokenizer import Tokenizer, tokenizer
from scaling.spec import Data

FORMAT = 1
"""Raised when the packing changes; part of the folder's name, so that older rows are not taken for these."""

FEWEST_ROWS = 8
"""Rows below which a split says nothing: the loss on it would have no standard error worth the name."""


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
    for, too small for the context, or its files are damaged; TokenizerError when the tokenizer is unknown, cannot be
    read, or wants a larger corpus; FolderError when the folder cannot be written.
    """
    folder = local(folder)
    if is_language(data.corpus):
        return _read(prepare_samples(data, folder, progress), fingerprint(data.corpus))
    words = tokenizer(data.tokenizer)
    sha256 = data.sha256
    if not (sha256 and _place(folder, data, words, sha256).is_dir()):
        corpus = corpora.prepare(data.corpus, folder, sha256, progress)
        sha256 = corpus.sha256
        if not (place := _place(folder, data, words, sha256)).is_dir():
            if isinstance(words, BytePairs):
                words = words.trained(corpus, folder, progress)
            with made_whole(place) as partial:
                _write(corpus, words, data.context, partial, progress)
    return _read(_place(folder, data, words, sha256), sha256)


def _place(folder: Path, data: Data, words: Tokenizer, sha256: str) -> Path:
    name = f"{slug(data.corpus)}-{sha256[:12]}-{slug(words.name)}-{data.context}-v{FORMAT}"
    return folder / name


def _write(corpus: Corpus, words: Tokenizer, context: int, folder: Path, progress: Progress | None) -> None:
    splits = {}
    for split in reversed(SPLITS):  # the small ones first: what is too small is known soon
        splits[split] = pack(corpus, split, words, context, folder, progress)
        if (rows := splits[split]["rows"]) < FEWEST_ROWS:
            raise CorpusError(
                f"corpus {corpus.name!r} has {rows} rows of {context} tokens in its {split} split, and needs"
                f" {FEWEST_ROWS} at least: use a smaller Data.context or a larger corpus"
            )
    if isinstance(words, Subwords) and words.path.endswith(".json"):
        shutil.copyfile(words.path, folder / "tokenizer.json")
    meta = {
        "format": FORMAT,
        "corpus": corpus.name,
        "sha256": corpus.sha256,
        "tokenizer": words.name,
        "vocab": words.vocab,
        "context": context,
        "splits": {split: splits[split] for split in SPLITS},
    }
    (folder / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")


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
