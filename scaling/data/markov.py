"""A first-order Markov chain whose tokens follow Zipf's law: the entropy in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scaling.data.corpora import CorpusError
from scaling.data.zipf import draw, zipf

Array = NDArray[np.float64]

SWEEPS = 2000
"""Of the scaling to given margins; it converges geometrically, to rounding in some tens of sweeps."""


@dataclass(frozen=True)
class Markov:
    """Tokens that depend on the one before: P(j | i) = J_ij / pi_i, with pi_i proportional to i^-zipf.

    J is the matrix exp(strength g_ij), g standard normal, scaled to the margins pi on both sides (Sinkhorn 1967), so
    that pi is exactly the stationary distribution. Entropy: sum_i pi_i H(P(. | i)) (Cover and Thomas 2006, theorem
    4.2.4). While n tokens are few against 1 / pi of the rarest token, the contexts that a learner by counting has not
    seen have a probability of about n^-(1 - 1 / zipf) (Hutter 2021, see `zipf.learning_exponent`).

    Raises CorpusError where the table of transitions would take more than half a GiB.
    """

    vocab: int = 256
    """Tokens, which are the states."""
    zipf: float = 1.2
    """Exponent of the stationary distribution."""
    strength: float = 1.5
    """How much a token depends on the one before: 0 for not at all."""
    seed: int = 0
    """Another seed is another language of the same kind."""

    def __post_init__(self) -> None:
        if self.vocab > 8192:
            raise CorpusError(
                f"markov with vocab={self.vocab} cannot be: its table of transitions would not fit in memory; use "
                "at most 8192"
            )

    def sample(self, key: int, rows: int, context: int) -> NDArray[np.uint16]:
        """Tokens [rows, context + 1]; every row begins in the stationary distribution."""
        rng = np.random.default_rng([key, 1])
        tokens = np.empty((rows, context + 1), np.uint16)
        state = draw(rng, self.stationary[None], np.zeros(rows, np.intp))
        tokens[:, 0] = state
        for t in range(1, context + 1):
            state = draw(rng, self.transitions, state)
            tokens[:, t] = state
        return tokens

    def entropy(self, context: int) -> float:
        """Nats per token, the same for every context."""
        P = self.transitions
        return float(-np.sum(self.stationary[:, None] * P * np.log(P)))

    def entropy_error(self, context: int) -> float:
        """0: the entropy is in closed form."""
        return 0.0

    def probabilities(self, tokens: NDArray[np.integer]) -> Array:
        """P(next token | tokens so far) [rows, context, vocab] of tokens [rows, context + 1]."""
        return self.transitions[tokens[:, :-1]]

    def scored(self, context: int) -> NDArray[np.bool_]:
        """Every token is."""
        return np.ones(context, bool)

    @cached_property
    def stationary(self) -> Array:
        """pi [vocab]."""
        return zipf(self.vocab, self.zipf)

    @cached_property
    def transitions(self) -> Array:
        """P [vocab, vocab], rows summing to 1."""
        rng = np.random.default_rng([self.seed, 0])
        joint = np.exp(self.strength * rng.standard_normal((self.vocab, self.vocab)))
        for _ in range(SWEEPS):
            joint *= (self.stationary / joint.sum(axis=1))[:, None]
            joint *= self.stationary / joint.sum(axis=0)
            if np.abs(joint.sum(axis=1) / self.stationary - 1).max() < 1e-14:
                break
        return joint / joint.sum(axis=1, keepdims=True)
