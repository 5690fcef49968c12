"""Tokenizers: text as bytes to token numbers and back."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling.errors import UserError


class TokenizerError(UserError):
    """A tokenizer that does not exist, or tokens that it does not have."""


class Tokenizer(Protocol):
    """Tokens are numbers in [0, vocab); `eod` is the one that ends every document and stands for no text."""

    @property
    def name(self) -> str:
        """The identity of the tokenizer: on one corpus, equal names make equal tokens."""

    @property
    def vocab(self) -> int:
        """How many tokens there are, `eod` included."""

    @property
    def eod(self) -> int:
        """The token at the end of a document."""

    def encode(self, text: bytes) -> NDArray[np.unsignedinteger]:
        """Tokens [t] of a text, without `eod`, in the type of `token_dtype(self.vocab)`."""

    def decode(self, tokens: ArrayLike) -> bytes:
        """The text of tokens [t], `eod` left out: decode(encode(text)) == text, save for files whose rules lose some.

        Raises TokenizerError for a number outside the vocabulary.
        """


@dataclass(frozen=True)
class Bytes:
    """A token a byte, and one for the end of a document: nothing to train, no text that cannot be written."""

    name: str = "bytes"
    vocab: int = 257
    eod: int = 256

    def encode(self, text: bytes) -> NDArray[np.unsignedinteger]:
        """The bytes as numbers [t]."""
        return np.frombuffer(text, np.uint8).astype(token_dtype(self.vocab))

    def decode(self, tokens: ArrayLike) -> bytes:
        """The bytes of tokens [t], `eod` left out; raises TokenizerError for a number outside the vocab."""
        numbers = np.asarray(tokens, np.int64)
        outside = numbers[(numbers < 0) | (numbers >= self.vocab)]
        if outside.size:
            raise TokenizerError(
                f"token {outside[0]} is not of tokenizer {self.name!r}: its tokens are 0 to {self.eod}"
            )
        return numbers[numbers != self.eod].astype(np.uint8).tobytes()


TOKENIZERS: dict[str, Tokenizer] = {"bytes": Bytes()}
"""Every tokenizer that needs neither training nor a file, by name."""


def tokenizer(name: str) -> Tokenizer:
    """The tokenizer `name`: one of TOKENIZERS, `bpe:VOCAB`, or `file:PATH`; raises TokenizerError that names them.

    `bpe:VOCAB` has a vocabulary, and tokens once it is trained. A file is named with its hash in the tokenizer's name.
    """
    from scaling.data.subwords import BytePairs, from_file

    if name in TOKENIZERS:
        return TOKENIZERS[name]
    kind, _, argument = name.partition(":")
    if kind == "bpe" and re.fullmatch("[1-9][0-9]{0,8}", argument):
        return BytePairs(int(argument))
    if kind == "file" and argument:
        return from_file(name)
    known = [
        *sorted(TOKENIZERS),
        "bpe:32000 (any number of tokens)",
        "file:PATH (tokenizer.json or a SentencePiece model)",
    ]
    near = difflib.get_close_matches(name, TOKENIZERS, n=1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    raise TokenizerError(f"there is no tokenizer {name!r}: {meant}known tokenizers: {', '.join(known)}")


def token_dtype(vocab: int) -> type[np.uint16] | type[np.uint32]:
    """The smallest type that tokens are kept in: 2 bytes up to a vocabulary of 65536, else 4."""
    return np.uint16 if vocab <= 2**16 else np.uint32
