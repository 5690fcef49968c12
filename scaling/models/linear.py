"""The simplest language model: one weight matrix, softmax, cross-entropy. Softmax regression on the last n tokens.

What the model reads is the one-hot vectors of the last n = `Model.order` tokens, one below the other: [n v] numbers, n
of them one. Its logits are their product with the matrix `head` [n v, v], that is, the sum of the n rows that they
choose, and so it is computed: no product is made. With n = 1 it is a bigram model. Its cross-entropy is convex in the
matrix: every minimum is the global one. At the first n - 1 positions of a row tokens are missing; the part of the
vector that stands for them is zero, as if their rows were. All is float32; no word of devices or meshes stands here.

At a step most rows have a zero gradient. Adam with a short memory takes what is left for signs, and settles beside the
minimum, convex or not (Reddi et al. 2018): give it a beta2 near 1.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from scaling.spec import Model

Array = jax.Array


class Linear(nn.Module):
    """Logits [b t v] in float32 of tokens [b t]: `predict` of `features`, which the loss calls one by one.

    The matrix starts with variance 1 / fan-in, so that the first logits are near zero and the first loss is ln(vocab).
    """

    model: Model
    dtype: Any = jnp.float32
    """Of the sums."""

    def setup(self) -> None:
        m = self.model
        rows = m.order * m.vocab
        self.head = self.param("head", nn.initializers.normal(rows**-0.5), (rows, m.vocab))

    def features(self, tokens: Array, train: bool = False) -> Array:
        """Where the input vector is one: tokens [b t] to rows of the matrix [b t n], the latest token's first. A token
        that is missing has the row after the last, which is not there."""
        m = self.model
        t = tokens.shape[1]
        back = jnp.pad(tokens, ((0, 0), (m.order - 1, 0)), constant_values=-1)
        lagged = [back[:, m.order - 1 - lag :][:, :t] for lag in range(m.order)]
        rows = [
            jnp.where(token < 0, m.order * m.vocab, token + lag * m.vocab) for lag, token in enumerate(lagged)
        ]
        return jnp.stack(rows, axis=-1).astype(jnp.int32)

    def predict(self, features: Array) -> Array:
        """Logits [b s v] of features [b s n]: the sum of the rows."""
        chosen = jnp.take(self.head.astype(self.dtype), features, axis=0, mode="fill", fill_value=0)
        return chosen.sum(axis=-2).astype(jnp.float32)

    def __call__(self, tokens: Array, train: bool = False) -> Array:
        return self.predict(self.features(tokens, train))
