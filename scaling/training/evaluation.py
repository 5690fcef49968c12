"""Held-out loss on a fixed set of rows, with its standard error and in bits per byte."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from scaling.data.batches import held_out
from scaling.data.languages import language
from scaling.data.rows import Rows
from scaling.errors import UserError
from scaling.spec import Model
from scaling.training.program import Program

EXACT_BYTES = 2**31
"""Memory for the exact probabilities of held-out text, at most."""
BLOCK = 512
"""Rows whose probabilities are computed at a time."""


@dataclass(frozen=True)
class HeldOut:
    """The rows that every model of a study is measured on."""

    rows: np.ndarray
    """Tokens [r, t + 1]."""
    document: np.ndarray
    """The document of each row, [r]."""
    tokens_per_byte: float | None
    scored: int
    """Predicted tokens of a row that are part of the loss."""
    entropy: float | None = None
    """The least loss there can be, where it is known."""
    probabilities: np.ndarray | None = None
    """Exact next-token probabilities [r, t, v], where they are known."""

    @classmethod
    def of(cls, validation: Rows, tokens: int) -> HeldOut:
        """At most `tokens` tokens of the validation split."""
        rows, document = held_out(validation, tokens)
        scored = validation.context if validation.scored is None else int(validation.scored.sum())
        exact = None
        if validation.entropy is not None:
            exact = _probabilities(validation, rows)
        return cls(rows, document, validation.tokens_per_byte, scored, validation.entropy, exact)

    def as_asked(self, model: Model) -> HeldOut:
        """The same rows under the model's objective: `masked` predicts other tokens than the next, whose entropy is
        not known, and bits per byte of text are no sum of its losses."""
        if model.causal:
            return self
        return dataclasses.replace(
            self, tokens_per_byte=None, scored=model.predictions, entropy=None, probabilities=None
        )


def measure(program: Program, parameters: Any, held: HeldOut) -> list[dict[str, Any]]:
    """Of each member: L in nats per token, its standard error L_se, and bits per byte; in a language of known entropy
    also that and the exact `excess` of the model's loss over it. The columns of the table."""
    per_byte = held.tokens_per_byte
    found: list[dict[str, Any]] = []
    for losses in program.held_out_losses(parameters, held.rows):
        mean, error = _mean(losses, held)
        bits = None if per_byte is None else mean * per_byte / math.log(2)
        found.append({"L": mean, "L_se": error, "bpb": bits, "tokens_per_byte": per_byte})
    if held.probabilities is not None:
        excesses = program.held_out_excess(parameters, held.rows, held.probabilities)
        for member, excess in zip(found, excesses, strict=True):
            member |= dict(zip(("excess", "excess_se"), _mean(excess, held), strict=True))
            member["entropy"] = held.entropy
    return found


def _probabilities(validation: Rows, rows: np.ndarray) -> np.ndarray:
    """Exact next-token probabilities [r, t, v] in float32; raises UserError where they would not fit in memory."""
    known, (count, width) = language(validation.corpus), rows.shape
    size = count * (width - 1) * known.vocab * 4
    if size > EXACT_BYTES:
        raise UserError(
            f"the exact probabilities of {count * (width - 1)} held-out tokens of {validation.corpus!r} take "
            f"{size / 2**30:.1f} GiB: set Data.eval_tokens to {EXACT_BYTES // (4 * known.vocab)} or less"
        )
    found = np.empty((count, width - 1, known.vocab), np.float32)
    for start in range(0, count, BLOCK):
        found[start : start + BLOCK] = known.probabilities(rows[start : start + BLOCK])
    return found


def _mean(losses: np.ndarray, held: HeldOut) -> tuple[float, float]:
    """Mean per scored token of losses summed by row [r], and its standard error.

    Losses within a document are correlated, so the standard error is that of a ratio of sums over documents (Cochran
    1977, section 6.3). It tells of the choice of text alone: models measured on the same rows share it.
    """
    tokens = len(losses) * held.scored
    mean = float(losses.sum() / tokens)
    residual = np.bincount(held.document, weights=losses - mean * held.scored)
    clusters = np.unique(held.document).size
    correction = clusters / (clusters - 1) if clusters > 1 else math.nan
    return mean, math.sqrt(correction * float(np.square(residual).sum())) / tokens
