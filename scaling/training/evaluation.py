"""Held-out loss on a fixed set of rows, with its standard error and in bits per byte."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from scaling.data.batches import held_out
from scaling.data.rows import Rows
from scaling.training.program import Program


@dataclass(frozen=True)
class HeldOut:
    """The rows that every model of a study is measured on."""

    rows: np.ndarray
    """Tokens [r, t + 1]."""
    document: np.ndarray
    """The document of each row, [r]."""
    tokens_per_byte: float

    @classmethod
    def of(cls, validation: Rows, tokens: int) -> HeldOut:
        """At most `tokens` tokens of the validation split."""
        rows, document = held_out(validation, tokens)
        return cls(rows, document, validation.tokens_per_byte)


def measure(program: Program, parameters: Any, held: HeldOut) -> dict[str, float]:
    """L in nats per token, its standard error L_se, and bits per byte; the columns of the table.

    Losses within a document are correlated, so the standard error is that of a ratio of sums over documents (Cochran
    1977, section 6.3). It tells of the choice of text alone: models measured on the same rows share it.
    """
    context = held.rows.shape[1] - 1
    losses = program.held_out_losses(parameters, held.rows)
    tokens = len(losses) * context
    mean = float(losses.sum() / tokens)
    residual = np.bincount(held.document, weights=losses - mean * context)
    clusters = np.unique(held.document).size
    correction = clusters / (clusters - 1) if clusters > 1 else math.nan
    error = math.sqrt(correction * float(np.square(residual).sum())) / tokens
    return {
        "L": mean,
        "L_se": error,
        "bpb": mean * held.tokens_per_byte / math.log(2),
        "tokens_per_byte": held.tokens_per_byte,
    }
