"""Subword tokenizers: byte-pair encoding trained on a corpus, and tokenizer.json and SentencePiece files from disk."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling.data.corpora import Corpus
from scaling.data.folders import made_whole, slug
from scaling.data.sources import Progress
from scaling.data.tokenizer import TokenizerError, token_dtype

FORMAT = 1
"""Raised when training changes; part of the folder's name."""

TRAINED_ON = 256 * 2**20
"""Bytes of text that byte-pair encoding is trained on, at most: the first documents, which are a random choice."""

END = "<|endoftext|>"
ENDS = (END, "<|end_of_text|>", "</s>", "<eos>", "<|eos|>", "[EOS]", "<|eot_id|>", "[SEP]")
"""What the token that ends a document is called in a file; the first that it has is taken."""


@dataclass(frozen=True)
class Subwords:
    """The tokenizer of the file at `path`, a tokenizer.json or a SentencePiece model; read when first needed."""

    name: str
    path: str

    @property
    def vocab(self) -> int:
        """One more than the greatest token."""
        return _read(self.path).vocab

    @property
    def eod(self) -> int:
        """The token of the file that ends a text."""
        return _read(self.path).eod

    def encode(self, text: bytes) -> NDArray[np.unsignedinteger]:
        """Tokens [t] without any that is added around a text; raises TokenizerError when it is not UTF-8."""
        try:
            words = text.decode()
        except UnicodeDecodeError as error:
            raise TokenizerError(
                f"tokenizer {self.name!r} takes UTF-8 alone ({error}): mend the text"
            ) from None
        return np.array(_read(self.path).encode(words), token_dtype(self.vocab))

    def decode(self, tokens: ArrayLike) -> bytes:
        """The text of tokens [t], `eod` left out: the one encoded where the file's own rules lose nothing."""
        numbers = np.asarray(tokens, np.int64).ravel()
        outside = numbers[(numbers < 0) | (numbers >= self.vocab)]
        if outside.size:
            raise TokenizerError(
                f"token {outside[0]} is not of tokenizer {self.name!r}: its tokens are 0 to {self.vocab - 1}"
            )
        return _read(self.path).decode(numbers[numbers != self.eod].tolist()).encode()


@dataclass(frozen=True)
class BytePairs:
    """Byte-level byte-pair encoding that is trained on the train split of each corpus, to `vocab` tokens."""

    vocab: int

    def __post_init__(self) -> None:
        if self.vocab < 257:
            raise TokenizerError(
                f"tokenizer 'bpe:{self.vocab}' has fewer tokens than the 256 bytes and the end: give 257 or more"
            )

    @property
    def name(self) -> str:
        """bpe:<vocab>."""
        return f"bpe:{self.vocab}"

    @property
    def eod(self) -> int:
        """The first token."""
        return 0

    def encode(self, text: bytes) -> NDArray[np.unsignedinteger]:
        """Raises TokenizerError: there are no tokens before training."""
        raise self._untrained()

    def decode(self, tokens: ArrayLike) -> bytes:
        """Raises TokenizerError, as above."""
        raise self._untrained()

    def trained(self, corpus: Corpus, folder: Path, progress: Progress | None = None) -> Subwords:
        """The tokenizer of a corpus, in `folder`/<corpus>-<hash>-bpe-<vocab>-v<format>, trained unless it is there.

        Raises TokenizerError when the corpus has too few different pairs for the vocabulary.
        """
        place = folder / f"{slug(corpus.name)}-{corpus.sha256[:12]}-bpe-{self.vocab}-v{FORMAT}"
        if not place.is_dir():
            with made_whole(place) as partial:
                _train(self.vocab, corpus, progress).save(str(partial / "tokenizer.json"))
        words = Subwords(self.name, str(place / "tokenizer.json"))
        if words.vocab != self.vocab:
            raise TokenizerError(f"{words.path} has {words.vocab} tokens, not {self.vocab}: delete {place}")
        return words

    def _untrained(self) -> TokenizerError:
        return TokenizerError(
            f"tokenizer {self.name!r} has no tokens of its own: train it on a corpus with `trained`"
        )


def from_file(name: str) -> Subwords:
    """The tokenizer `file:PATH` or `file:PATH#HASH`, named with the first 12 digits of the SHA-256 of the file.

    Raises TokenizerError when there is no such file, it has another hash, or is no tokenizer with a known end.
    """
    path, _, asked = re.fullmatch(r"file:(.*?)(#([0-9a-f]{12}))?", name, re.DOTALL).groups()  # type: ignore[union-attr]
    place = Path(path).expanduser().absolute()
    try:
        found = hashlib.sha256(place.read_bytes()).hexdigest()[:12]
    except OSError as error:
        raise TokenizerError(
            f"cannot read the tokenizer {path!r} ({error.strerror}): mend the path"
        ) from None
    if asked not in (None, found):
        raise TokenizerError(
            f"the tokenizer {path!r} has the hash {found}, and {asked} was asked for: it is another tokenizer; put"
            " the one back that the study was planned with, or plan again without the hash"
        )
    words = Subwords(f"file:{path}#{found}", str(place))
    _ = words.vocab  # read now, so that what is wrong with it is known now
    return words


class _Json:
    """A tokenizer.json, read by the library `tokenizers`, which executes nothing of it."""

    def __init__(self, path: str) -> None:
        from tokenizers import Tokenizer

        try:
            self.words = Tokenizer.from_file(path)
        except Exception as error:  # the library raises Exception itself
            raise TokenizerError(
                f"{path} is no tokenizer.json that can be read ({error}): save it with the library `tokenizers`"
            ) from None
        self.words.no_truncation()
        self.words.no_padding()
        self.words.encode_special_tokens = True  # a text that spells <|endoftext|> is a text
        numbers = self.words.get_vocab(with_added_tokens=True)
        self.vocab = max(numbers.values(), default=-1) + 1
        self.eod = _end(path, numbers)

    def encode(self, text: str) -> list[int]:
        (tokens,) = self.words.encode_batch_fast(
            [text], add_special_tokens=False
        )  # a third faster: no offsets
        return list(tokens.ids)

    def decode(self, tokens: list[int]) -> str:
        return str(self.words.decode(tokens, skip_special_tokens=False))


class _SentencePiece:
    """A SentencePiece model."""

    def __init__(self, path: str) -> None:
        try:
            from sentencepiece import SentencePieceProcessor
        except ImportError:
            raise TokenizerError(
                f"{path} needs the package sentencepiece: pip install sentencepiece"
            ) from None
        try:
            self.words = SentencePieceProcessor(model_file=path)
        except Exception as error:
            raise TokenizerError(f"{path} is no SentencePiece model ({error}): copy it again") from None
        self.vocab = int(self.words.get_piece_size())
        end = int(self.words.eos_id())
        pieces = {self.words.id_to_piece(i): i for i in range(self.vocab)} if end < 0 else {}
        self.eod = end if end >= 0 else _end(path, pieces)

    def encode(self, text: str) -> list[int]:
        return list(self.words.encode(text, out_type=int, add_bos=False, add_eos=False))

    def decode(self, tokens: list[int]) -> str:
        return str(self.words.decode(tokens))


@functools.lru_cache(maxsize=4)
def _read(path: str) -> _Json | _SentencePiece:
    return _Json(path) if path.endswith(".json") else _SentencePiece(path)


def _end(path: str, numbers: dict[str, int]) -> int:
    for end in ENDS:
        if end in numbers:
            return numbers[end]
    raise TokenizerError(f"{path} has no token that ends a text: add one of {', '.join(ENDS)} to it")


def _train(vocab: int, corpus: Corpus, progress: Progress | None) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words.train_from_iterator(_first_texts(corpus, progress), trainer)
    if (has := words.get_vocab_size()) != vocab:
        raise TokenizerError(
            f"corpus {corpus.name!r} is too small for the tokenizer 'bpe:{vocab}': its text has pairs for {has} tokens;"
            f" use bpe:{has} or fewer, or a larger corpus"
        )
    return words


def _first_texts(corpus: Corpus, progress: Progress | None) -> Iterator[str]:
    """The first texts of the train split, at most TRAINED_ON bytes."""
    wanted, done = min(TRAINED_ON, corpus.text_bytes["train"]), 0
    for text in corpus.some_texts("train", 0, corpus.sizes["train"]):
        done += len(text)
        if done > wanted:
            return
        if progress:
            progress("training the tokenizer on text, MiB", -(-done // 2**20), -(-wanted // 2**20))
        yield text.decode()
