"""The shapes that every contender trains, and their FLOPs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Shape:
    """A decoder with an MLP of 4 x width and its batch: `rows` rows of `context` tokens, on `cores` cores."""

    width: int
    depth: int
    heads: int
    context: int
    rows: int
    vocab: int = 257
    cores: int = 2

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.width // self.heads

    @property
    def batch_tokens(self) -> int:
        """Tokens a step."""
        return self.rows * self.context

    @property
    def flops_per_token(self) -> float:
        """Matrix products of a training step, 6 N + 12 depth width context (PaLM, appendix B), the same for all.

        N counts 4 + 8 matrices of width^2 a block and the head; elementwise work and the mask's half are not counted.
        """
        weights = self.depth * 12 * self.width**2 + self.vocab * self.width
        return 6 * weights + 12 * self.depth * self.width * self.context

    def batches(self, count: int = 8) -> list[np.ndarray]:
        """Fixed random rows [rows, context + 1], int32."""
        random = np.random.default_rng(0)
        size = (self.rows, self.context + 1)
        return [random.integers(0, self.vocab, size, dtype=np.int32) for _ in range(count)]


SHAPES = {
    32: Shape(width=32, depth=2, heads=2, context=64, rows=16),
    64: Shape(width=64, depth=3, heads=2, context=128, rows=16),
    128: Shape(width=128, depth=4, heads=4, context=128, rows=16),
    256: Shape(width=256, depth=6, heads=8, context=256, rows=8),
}
"""By width: heads of 32 numbers, of 16 at width 32, where one head would leave nothing to compare."""
