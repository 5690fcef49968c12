"""Facts with a Zipf tail: a language whose loss falls for ever and has no floor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scaling.data.corpora import CorpusError
from scaling.data.zipf import draw, unseen, zipf

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Facts:
    """A Santa Fe process (Debowski 2011, IEEE Trans. Inf. Theory 57:4589; arXiv 2302.09049): (K_i, z[K_i]) for all i.

    A record asks about one of base^digits facts, number K drawn by Zipf's law and spelled in `digits` tokens, and gives
    its answer z[K], one of `answers` tokens, fixed for ever and drawn at random once. Only the answers are scored: who
    knows all facts loses nothing, so the entropy is 0, while a learner always meets new ones: after n records the
    share of answers that it has never been told is about n^-(1 - 1 / zipf) (`untold`; Hutter 2021). The spelling of a
    fact tells nothing of its rank or its answer, so that facts must be learned one by one.
    """

    base: int = 32
    digits: int = 3
    answers: int = 16
    zipf: float = 1.5
    seed: int = 0
    """Another seed is another language of the same kind."""

    def __post_init__(self) -> None:
        if self.digits > 24 or self.count > 2**24:
            raise CorpusError(
                f"facts with base={self.base} and digits={self.digits} cannot be: base^digits is more than the 2^24 "
                "facts that are kept in memory; use fewer digits"
            )
        if self.vocab > 2**16:
            raise CorpusError(
                f"facts with base={self.base} and answers={self.answers} cannot be: {self.vocab} tokens are more "
                "than 2^16; use a smaller base or fewer answers"
            )

    @property
    def count(self) -> int:
        """How many facts there are."""
        return self.base**self.digits

    @property
    def vocab(self) -> int:
        """Digits, then answers."""
        return self.base + self.answers

    @property
    def length(self) -> int:
        """Tokens of a record: the digits and the answer."""
        return self.digits + 1

    def sample(self, key: int, rows: int, context: int) -> NDArray[np.uint16]:
        """Tokens [rows, context + 1], records from the first token on, the last one cut where it does not end."""
        rng = np.random.default_rng([key, 1])
        records = -(-(context + 1) // self.length)
        rank = draw(rng, self.probability[None], np.zeros(rows * records, np.intp))
        tokens = self._records[rank].reshape(rows, records * self.length)
        return np.ascontiguousarray(tokens[:, : context + 1])

    def entropy(self, context: int) -> float:
        """0: an answer is certain to who knows the facts."""
        return 0.0

    def entropy_error(self, context: int) -> float:
        """0: it is exact."""
        return 0.0

    def probabilities(self, tokens: NDArray[np.integer]) -> Array:
        """P(next token | tokens so far) [rows, context, vocab] of tokens [rows, context + 1]: 1 for the answer of the
        fact that is asked about, and how facts are distributed for the digits."""
        rows, context = tokens.shape[0], tokens.shape[1] - 1
        found = np.zeros((rows, context, self.vocab))
        for t in range(context):
            place = (t + 1) % self.length
            fact = np.zeros(rows, np.intp)
            for digit in range(t + 1 - place, t + 1):
                fact = fact * self.base + tokens[:, digit]
            if place == self.digits:
                found[np.arange(rows), t, self.base + self._answer_of[fact]] = 1.0
            else:
                found[:, t, : self.base] = self._digit_given[place][fact]
        return found

    def scored(self, context: int) -> NDArray[np.bool_]:
        """Whether the token after position 0, 1, ... is an answer, [context]."""
        return np.arange(1, context + 1) % self.length == self.digits

    def untold(self, records: float) -> float:
        """Expected share of answers not told in so many records: sum_k p_k (1 - p_k)^records."""
        return unseen(self.probability, records)

    @cached_property
    def probability(self) -> Array:
        """Of the facts by rank, [count]."""
        return zipf(self.count, self.zipf)

    @cached_property
    def _spelling(self) -> NDArray[np.intp]:
        """The number that a fact is spelled as, by rank."""
        return np.random.default_rng([self.seed, 0]).permutation(self.count)

    @cached_property
    def _answer_of(self) -> NDArray[np.intp]:
        """The answer to the fact that is spelled 0, 1, ..."""
        return np.random.default_rng([self.seed, 2]).integers(self.answers, size=self.count)

    @cached_property
    def _records(self) -> NDArray[np.uint16]:
        """The tokens of each fact's record, by rank: [count, length]."""
        powers = self.base ** np.arange(self.digits)[::-1]
        digits = self._spelling[:, None] // powers % self.base
        answers = self.base + self._answer_of[self._spelling]
        return np.column_stack([digits, answers]).astype(np.uint16)

    @cached_property
    def _digit_given(self) -> list[Array]:
        """P(digit | the digits before it in its record), those as one number: [base^i, base] for digit i."""
        spelled = np.empty(self.count)
        spelled[self._spelling] = self.probability
        found = []
        for digit in range(self.digits):
            total = spelled.reshape(self.base**digit, self.base, -1).sum(axis=2)
            found.append(total / total.sum(axis=1, keepdims=True))
        return found
