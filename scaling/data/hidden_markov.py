"""A hidden Markov model: what comes next depends on everything before, and ever less on what is long past."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scaling.data.corpora import CorpusError
from scaling.data.zipf import draw, shuffled, zipf

Array = NDArray[np.float64]

ENTROPY_TOKENS = 2**20
"""Tokens over which the entropy is averaged."""
PARTS, PART_NUMBERS = 8, 2**25
"""In which they are taken, at least, and the probabilities of a part, at most: for the memory."""
ENTROPY_KEY = 7_919
"""Of the text that the entropy is averaged over: a text of its own."""


@dataclass(frozen=True)
class HiddenMarkov:
    """A Markov chain of hidden states, each of which emits a token: Rabiner 1989.

    A state is followed by others with the weights of Zipf's law, exponent `persistence`, and emits tokens with those
    of exponent `zipf`, each in an order of its own. Exact next-token probabilities come from the forward algorithm
    (Rabiner 1989, eq. 19 to 21), started in the stationary distribution. The entropy has no closed form: that of
    `context` tokens is the mean entropy of the exact predictions over a long text, whose error is
    `entropy_error`; it falls with the context towards the entropy rate (Cover and Thomas 2006, theorem 4.5.1).
    """

    vocab: int = 64
    states: int = 16
    zipf: float = 1.5
    """Exponent of what a state emits: larger makes tokens easier to tell from their state."""
    persistence: float = 2.0
    """Exponent of what follows a state: larger makes states easier to tell from the ones before."""
    seed: int = 0
    """Another seed is another language of the same kind."""

    def __post_init__(self) -> None:
        if self.states * max(self.vocab, self.states) > 2**22 or self.vocab > 2**13:
            raise CorpusError(
                f"hmm with states={self.states} and vocab={self.vocab} cannot be: its tables would not fit in memory; "
                "use a vocab of at most 8192, and at most 4194304 for states times vocab or states"
            )

    def sample(self, key: int, rows: int, context: int) -> NDArray[np.uint16]:
        """Tokens [rows, context + 1]; every row begins in the stationary distribution."""
        rng = np.random.default_rng([key, 1])
        tokens = np.empty((rows, context + 1), np.uint16)
        state = draw(rng, self.stationary[None], np.zeros(rows, np.intp))
        for t in range(context + 1):
            tokens[:, t] = draw(rng, self.emissions, state)
            state = draw(rng, self.transitions, state)
        return tokens

    def entropy(self, context: int) -> float:
        """Nats per token of a model that sees what stands before in a row: the mean over t = 1 .. context of
        H(x_t+1 | x_1 .. x_t)."""
        return _entropy(self, context)[0]

    def entropy_error(self, context: int) -> float:
        """Standard error of `entropy`, over rows."""
        return _entropy(self, context)[1]

    def probabilities(self, tokens: NDArray[np.integer]) -> Array:
        """P(next token | tokens so far) [rows, context, vocab] of tokens [rows, context + 1]."""
        rows, length = tokens.shape
        found = np.empty((rows, length - 1, self.vocab))
        belief = np.broadcast_to(self.stationary, (rows, self.states))
        for t in range(length - 1):
            belief = belief * self.emissions.T[tokens[:, t]]
            belief = (belief / belief.sum(axis=1, keepdims=True)) @ self.transitions
            found[:, t] = belief @ self.emissions
        return found

    def scored(self, context: int) -> NDArray[np.bool_]:
        """Every token is."""
        return np.ones(context, bool)

    @cached_property
    def transitions(self) -> Array:
        """P(next state | state) [states, states]."""
        rng = np.random.default_rng([self.seed, 0])
        return shuffled(zipf(self.states, self.persistence), self.states, rng)

    @cached_property
    def emissions(self) -> Array:
        """P(token | state) [states, vocab]."""
        rng = np.random.default_rng([self.seed, 2])
        return shuffled(zipf(self.vocab, self.zipf), self.states, rng)

    @cached_property
    def stationary(self) -> Array:
        """The distribution of states that the transitions leave as it is [states]."""
        equations = np.vstack([self.transitions.T - np.eye(self.states), np.ones(self.states)])
        found = np.linalg.lstsq(equations, np.append(np.zeros(self.states), 1.0), rcond=None)[0]
        return found / found.sum()


@functools.lru_cache(maxsize=64)
def _entropy(language: HiddenMarkov, context: int) -> tuple[float, float]:
    parts = []
    total = max(2 * PARTS, ENTROPY_TOKENS // context)
    rows = min(total // PARTS, max(2, PART_NUMBERS // (context * language.vocab)))
    for part in range(total // rows):
        tokens = language.sample(ENTROPY_KEY + part, rows, context)
        P = language.probabilities(tokens)
        parts.append(-(P * np.log(P)).sum(axis=2).mean(axis=1))
    each = np.concatenate(parts)
    return float(each.mean()), float(each.std(ddof=1) / np.sqrt(len(each)))
