"""A hierarchical grammar: sentences are trees, and distant words depend on each other through their ancestors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scaling.data.corpora import CorpusError
from scaling.data.zipf import draw, zipf

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Grammar:
    """The random hierarchy model (Cagnetta et al. 2024, arXiv 2307.02129, section 2) with Zipf-weighted rules.

    A sentence is a binary tree of `levels` levels and 2^levels words. Its root is one of `symbols` symbols; a symbol
    of each level becomes a pair of the next by one of `rules` rules, chosen by Zipf's law. No two rules of a level make
    the same pair, so a sentence has one tree, and its entropy is the sum over its nodes: ln symbols for the root, and
    the entropy of a rule's choice for each of the 2^levels - 1 pairs. A row is the token `symbols`, which marks its
    beginning, and sentences one after another.
    """

    symbols: int = 24
    rules: int = 4
    """Ways to write a symbol, at most as many as there are symbols."""
    levels: int = 4
    zipf: float = 1.0
    """Exponent of the choice between rules: 0 makes them equally frequent."""
    seed: int = 0
    """Another seed is another language of the same kind."""

    def __post_init__(self) -> None:
        if self.symbols > 256 or self.levels > 16:
            raise CorpusError(
                f"grammar with symbols={self.symbols} and levels={self.levels} cannot be: its tables would not fit in "
                "memory; use at most 256 symbols and 16 levels"
            )
        if self.rules > self.symbols:
            raise CorpusError(
                f"grammar with rules={self.rules} and symbols={self.symbols} cannot be: a pair would be made by "
                f"two rules; use at most {self.symbols} rules"
            )

    @property
    def vocab(self) -> int:
        """The symbols of the last level, and the token at the beginning of a row."""
        return self.symbols + 1

    @property
    def length(self) -> int:
        """Words of a sentence."""
        return 2**self.levels

    def sample(self, key: int, rows: int, context: int) -> NDArray[np.uint16]:
        """Tokens [rows, context + 1]: the beginning, and whole sentences; raises CorpusError where they do not fit."""
        sentences = self._sentences(context)
        rng = np.random.default_rng([key, 1])
        words = rng.integers(self.symbols, size=(rows * sentences, 1))
        for level in range(self.levels):
            rule = draw(rng, self._choice[None], np.zeros(words.size, np.intp))
            words = self.pairs[level][words.ravel(), rule].reshape(len(words), -1)
        tokens = np.full((rows, context + 1), self.symbols, np.uint16)
        tokens[:, 1:] = words.reshape(rows, context)
        return tokens

    def entropy(self, context: int) -> float:
        """Nats per token: (ln symbols + (2^levels - 1) H(rule)) / 2^levels; raises CorpusError for a context that is
        not whole sentences."""
        self._sentences(context)
        rule = -float(np.sum(self._choice * np.log(self._choice)))
        return (float(np.log(self.symbols)) + (self.length - 1) * rule) / self.length

    def entropy_error(self, context: int) -> float:
        """0: the entropy is in closed form."""
        return 0.0

    def probabilities(self, tokens: NDArray[np.integer]) -> Array:
        """P(next token | tokens so far) [rows, context, vocab] of tokens [rows, context + 1].

        The words before the next one are whole subtrees to the left of its path from the root; each is one known
        symbol. Going down that path, the distribution of the symbol at each node is conditioned on its left sibling.
        """
        rows, context = tokens.shape[0], tokens.shape[1] - 1
        sentences = self._sentences(context)
        parsed = self.parse(tokens[:, 1:].reshape(rows * sentences, self.length))
        found = np.zeros((rows * sentences, self.length, self.vocab))
        for word in range(self.length):
            found[:, word, : self.symbols] = self._next(parsed, word)
        return found.reshape(rows, context, self.vocab)

    def scored(self, context: int) -> NDArray[np.bool_]:
        """Every token is; the one at the beginning is only seen."""
        return np.ones(context, bool)

    def parse(self, words: NDArray[np.integer]) -> list[NDArray[np.intp]]:
        """The symbols of every level, root first: level l [n, 2^l], of sentences [n, 2^levels]; raises ValueError for
        a sentence that is not of this language."""
        found = [words.astype(np.intp)]
        for level in reversed(range(self.levels)):
            below = found[0]
            parents = self._parents[level][below[:, 0::2], below[:, 1::2]]
            if (parents < 0).any():
                raise ValueError(
                    f"not a sentence of {self}: a pair of level {level + 1} comes from no symbol"
                )
            found.insert(0, parents)
        return found

    def _next(self, parsed: list[NDArray[np.intp]], word: int) -> Array:
        """P(word | the words before it in its sentence) [n, symbols]."""
        belief = np.full((len(parsed[0]), self.symbols), 1 / self.symbols)
        for level in range(self.levels):
            node = word >> (self.levels - level - 1)  # the child of this level's node on the word's path
            joint = self._joint[level]
            if node % 2 == 0:
                belief = belief @ joint.sum(axis=2)
            else:
                left = parsed[level + 1][:, node - 1]
                belief = np.einsum("na,nac->nc", belief, joint[:, left].transpose(1, 0, 2))
                belief /= belief.sum(axis=1, keepdims=True)
        return belief

    def _sentences(self, context: int) -> int:
        if context % self.length:
            raise CorpusError(
                f"a row of {context} tokens is not whole sentences of grammar: use a Data.context that is a "
                f"multiple of {self.length}, or other levels (a sentence has 2^levels tokens)"
            )
        return context // self.length

    @cached_property
    def pairs(self) -> list[NDArray[np.intp]]:
        """What each symbol becomes by each rule, a level: [symbols, rules, 2]."""
        found = []
        for level in range(self.levels):
            rng = np.random.default_rng([self.seed, 0, level])
            chosen = rng.permutation(self.symbols**2)[: self.symbols * self.rules]
            pair = np.stack(np.divmod(chosen, self.symbols), axis=1)
            found.append(pair.reshape(self.symbols, self.rules, 2))
        return found

    @cached_property
    def _choice(self) -> Array:
        return zipf(self.rules, self.zipf)

    @cached_property
    def _joint(self) -> list[Array]:
        """P(left, right | symbol) a level: [symbols, symbols, symbols]."""
        found = [np.zeros((self.symbols,) * 3) for _ in range(self.levels)]
        for joint, pairs in zip(found, self.pairs, strict=True):
            symbol, rule = np.indices((self.symbols, self.rules))
            joint[symbol, pairs[..., 0], pairs[..., 1]] = self._choice[rule]
        return found

    @cached_property
    def _parents(self) -> list[NDArray[np.intp]]:
        """The symbol that becomes a pair, -1 for none, a level: [symbols, symbols]."""
        found = [np.full((self.symbols,) * 2, -1, np.intp) for _ in range(self.levels)]
        for parents, pairs in zip(found, self.pairs, strict=True):
            parents[pairs[..., 0], pairs[..., 1]] = np.arange(self.symbols)[:, None]
        return found
