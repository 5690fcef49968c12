"""Languages whose entropy is known, by name: corpora on which the limit of a model's loss is a fact and not a fit.

A name is a kind and, after a colon, parameters that differ from its defaults: "markov", "markov:vocab=128,zipf=1.1".
To add a language, write a frozen dataclass of its parameters with the methods of `Language` and give it a name in
`LANGUAGES`.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import hashlib
import json
import math
import typing
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from scaling.data.corpora import CorpusError
from scaling.data.facts import Facts
from scaling.data.grammar import Grammar
from scaling.data.hidden_markov import HiddenMarkov
from scaling.data.markov import Markov
from scaling.spec import Data

TRAINING_TOKENS = 2**24
"""Tokens of the training split unless the name says another number; more than that are repeated."""

TOKENS = "tokens"

FORMAT = 1
"""Raised when a language of the same parameters becomes another; part of its identity."""


class Language(Protocol):
    """A stationary source of rows of tokens in [0, vocab), the same for the same parameters on every machine."""

    @property
    def vocab(self) -> int:
        """How many tokens there are."""

    def sample(self, key: int, rows: int, context: int) -> NDArray[np.uint16]:
        """Independent rows of tokens [rows, context + 1]; equal keys give equal rows."""

    def entropy(self, context: int) -> float:
        """The least loss in nats per scored token of a model that sees rows of `context` tokens and no more: the mean
        of H(next token | the row so far) over the scored positions of a row."""

    def entropy_error(self, context: int) -> float:
        """Standard error of `entropy`; 0 where it is in closed form."""

    def probabilities(self, tokens: NDArray[np.integer]) -> NDArray[np.float64]:
        """Exact P(next token | the row so far) [rows, context, vocab] of tokens [rows, context + 1]."""

    def scored(self, context: int) -> NDArray[np.bool_]:
        """Whether the token after each position is part of the loss, [context]."""


LANGUAGES: dict[str, type[Any]] = {
    "markov": Markov,
    "hmm": HiddenMarkov,
    "grammar": Grammar,
    "facts": Facts,
}
"""Every kind of language by name."""


def is_language(corpus: str) -> bool:
    """Whether a corpus name is that of a language of known entropy."""
    return corpus.partition(":")[0] in LANGUAGES


@functools.lru_cache(maxsize=32)
def language(name: str) -> Language:
    """The language of a name; raises CorpusError for a kind or parameter that does not exist or cannot be."""
    kind, values = _parsed(name)
    values.pop(TOKENS, None)
    return LANGUAGES[kind](**values)


def training_tokens(name: str) -> int:
    """Tokens of the training split, `tokens` in the name of the language."""
    return _parsed(name)[1].get(TOKENS, TRAINING_TOKENS)


def _parsed(name: str) -> tuple[str, dict[str, Any]]:
    """The kind of a language, and the parameters that its name gives."""
    kind, _, parameters = name.partition(":")
    if kind not in LANGUAGES:
        raise CorpusError(f"there is no language {kind!r}: languages: {', '.join(LANGUAGES)}")
    hints = typing.get_type_hints(LANGUAGES[kind])
    fields = {field.name: hints[field.name] for field in dataclasses.fields(LANGUAGES[kind])} | {TOKENS: int}
    values: dict[str, Any] = {}
    for part in filter(None, parameters.split(",")):
        key, equals, value = part.partition("=")
        if key in values:
            raise CorpusError(f"corpus {name!r}: {key} is given twice; give it once")
        if key not in fields or not equals:
            near = difflib.get_close_matches(key, fields, n=1)
            meant = f"did you mean {near[0]!r}? " if near else ""
            raise CorpusError(
                f"corpus {name!r}: {part!r} is not a parameter: {meant}write name=value with the parameters of "
                f"{kind}: {', '.join(fields)}"
            )
        values[key] = _number(name, key, value, fields[key])
    return kind, values


def fingerprint(name: str) -> str:
    """The identity of a language as 64 hexadecimal digits: of its kind and of all its parameters."""
    found: Any = language(name)
    described = {
        "format": FORMAT,
        "kind": name.partition(":")[0],
        TOKENS: training_tokens(name),
        **dataclasses.asdict(found),
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def scored_of(data: Data) -> tuple[bool, ...] | None:
    """Whether the token after each position of a row is part of the loss, [context]; None where every token is."""
    if not is_language(data.corpus):
        return None
    scored = language(data.corpus).scored(data.context)
    return None if scored.all() else tuple(map(bool, scored))


def sampled_entropy(known: Language, context: int, rows: int, key: int = 0) -> tuple[float, float]:
    """The entropy and its standard error by the other way: the mean of -log P(token) over a text of the language."""
    tokens = known.sample(key, rows, context)
    chosen = np.take_along_axis(known.probabilities(tokens), tokens[:, 1:, None].astype(np.intp), axis=2)
    losses = -np.log(chosen[:, known.scored(context), 0]).mean(axis=1)
    return float(losses.mean()), float(losses.std(ddof=1) / math.sqrt(rows))


def _number(name: str, key: str, value: str, kind: type) -> float:
    least, most = 0 if key == "seed" else 1, 2**40 if key == TOKENS else 2**16
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if kind is int and number.is_integer() and least <= number <= most:
        return int(number)
    if kind is int:
        remedy = f"use a whole number from {least} to {most}"
        raise CorpusError(f"corpus {name!r}: {key}={value} cannot be: {remedy}")
    if kind is float and not 0 <= number <= 10:
        raise CorpusError(f"corpus {name!r}: {key}={value} cannot be: use a number from 0 to 10")
    return number
