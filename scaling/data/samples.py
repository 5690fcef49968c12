"""Rows of a language: sampled once and memory-mapped, like those of any corpus."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.lib.format import dtype_to_descr, write_array_header_1_0

from scaling.data.corpora import CorpusError
from scaling.data.folders import made_whole
from scaling.data.languages import Language, fingerprint, language, training_tokens
from scaling.spec import Data

FEWEST_ROWS = 8
"""Rows below which a training split is a mistake."""

HELD_OUT_TOKENS = 2**20
"""Tokens of the validation and of the test split, at least as many as a spec asks to measure on."""

BLOCK = 2**21
"""Tokens sampled at a time, under a key of their own."""


def prepare_samples(data: Data, folder: Path, progress: Callable[[str, int, int], None] | None) -> Path:
    """The folder of the rows of a language's three splits, sampled unless it is there already.

    A row is a sample of its own, so rows do not overlap, and each is a document. Raises CorpusError for a language that
    cannot be or does not fit the context, FolderError when the folder cannot be written.
    """
    sha256 = fingerprint(data.corpus)
    held_out = max(HELD_OUT_TOKENS, data.eval_tokens)
    kind = data.corpus.partition(":")[0]
    place = folder / f"{kind}-{sha256[:12]}-{data.context}-{held_out}"
    if not place.is_dir():
        with made_whole(place) as partial:
            tokens = {"train": training_tokens(data.corpus), "validation": held_out, "test": held_out}
            _write(data, sha256, tokens, partial, progress)
    return place


def _write(
    data: Data,
    sha256: str,
    tokens: dict[str, int],
    folder: Path,
    progress: Callable[[str, int, int], None] | None,
) -> None:
    known = language(data.corpus)
    scored = known.scored(data.context)
    if not scored.any():
        raise CorpusError(
            f"a row of {data.context} tokens of {data.corpus!r} has none that is scored: use a larger Data.context"
        )
    if tokens["train"] < FEWEST_ROWS * data.context:
        raise CorpusError(
            f"corpus {data.corpus!r} has fewer than {FEWEST_ROWS} rows of {data.context} tokens: give it more with "
            f"tokens={FEWEST_ROWS * data.context} or above, or use a smaller Data.context"
        )
    counts = {split: -(-total // data.context) for split, total in tokens.items()}
    for number, (split, rows) in enumerate(counts.items()):
        _sample(known, split, number, rows, data.context, folder, progress)
        np.save(folder / f"{split}.document.npy", np.arange(rows, dtype=np.int32))
    meta = {
        "format": 1,
        "corpus": data.corpus,
        "sha256": sha256,
        "tokenizer": "none",
        "vocab": known.vocab,
        "context": data.context,
        "scored": None if scored.all() else scored.tolist(),
        "entropy": known.entropy(data.context),
        "splits": {
            split: {"rows": rows, "documents": rows, "bytes": 0, "tokens_per_byte": None}
            for split, rows in counts.items()
        },
    }
    (folder / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")


def _sample(
    known: Language,
    split: str,
    number: int,
    rows: int,
    context: int,
    folder: Path,
    progress: Callable[[str, int, int], None] | None,
) -> None:
    block = max(1, BLOCK // context)
    header = {
        "descr": dtype_to_descr(np.dtype(np.uint16)),
        "fortran_order": False,
        "shape": (rows, context + 1),
    }
    with (folder / f"{split}.tokens.npy").open("wb") as file:
        write_array_header_1_0(file, header)
        for start in range(0, rows, block):
            key = (number << 40) + start // block
            file.write(known.sample(key, min(block, rows - start), context).tobytes())
            if progress:
                progress(f"sampling {split} rows", min(start + block, rows), rows)
