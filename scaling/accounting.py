"""Parameters and FLOPs of a model by component, from its config alone; nothing here imports JAX.

A multiply-add is two FLOPs. A training step is three forward passes: the backward pass takes two matrix products for
each one of the forward pass, and within a few per cent of a model's small remainder also twice the elementwise work.
The optimiser's dozen operations per parameter and step are left out. N counts what does matrix work per token: the
blocks' matrices and the output head, neither the input embedding table (a lookup) nor the norms' scales. Under the
objective `masked` the head works at the hidden tokens alone, which the exact count follows and the other conventions do
not; what rematerialisation computes again is no part of any.

A linear model is counted for what it is: N is its whole matrix, [order x vocab, vocab], of which a token chooses
`order` rows. Its sums and their gradient are additions, not products, so C is exact and far below 6 N D, and the
conventions that count a product for every parameter refuse it. The optimiser, left out here as everywhere, steps
through the whole matrix whatever the batch: at small batches it is most of the work that a linear model takes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scaling.errors import UserError
from scaling.spec import Model


@dataclass(frozen=True)
class Parameters:
    """Number of parameters by component."""

    embedding: int
    """Input table; when tied it is the output head as well, and counted there, save the row of the mask."""
    attention: int
    mlp: int
    norms: int
    head: int

    @property
    def N(self) -> int:
        """Parameters doing matrix work per token."""
        return self.attention + self.mlp + self.head

    @property
    def total(self) -> int:
        """Every parameter once, as in the real pytree."""
        return self.embedding + self.attention + self.mlp + self.norms + self.head


@dataclass(frozen=True)
class Flops:
    """Training FLOPs per token by component."""

    attention_projections: float
    attention_context: float
    """Scores and weighted sums over the whole square of positions, as the program computes them."""
    mlp: float
    head: float
    elementwise: float

    @property
    def total(self) -> float:
        """FLOPs per token of training."""
        return self.attention_projections + self.attention_context + self.mlp + self.head + self.elementwise


def parameters(model: Model) -> Parameters:
    """Parameters by component; their total equals the size of the real pytree."""
    if model.kind == "linear":
        return Parameters(embedding=0, attention=0, mlp=0, norms=0, head=model.order * model.vocab**2)
    return Parameters(
        embedding=(model.input_rows - (model.vocab if model.tied else 0)) * model.width,
        attention=model.depth * 4 * model.width**2,
        mlp=model.depth * _mlp_matrices(model) * model.width * model.hidden,
        norms=(2 * model.depth + 1) * model.width,
        head=model.vocab * model.width,
    )


def flops_per_token(model: Model) -> Flops:
    """Exact training FLOPs per token, counted operation by operation from the model's source."""
    if model.kind == "linear":
        return _linear_flops(model)
    p = parameters(model)
    return Flops(
        attention_projections=6 * p.attention,
        attention_context=12 * model.depth * model.width * model.context,
        mlp=6 * p.mlp,
        head=6 * p.head * model.predictions / model.context,
        elementwise=3 * _elementwise(model),
    )


def exact(model: Model) -> float:
    """Every FLOP that the program does, elementwise work included."""
    return flops_per_token(model).total


def kaplan(model: Model) -> float:
    """6 N without embedding and head (Kaplan et al. 2020, section 2.1)."""
    p = parameters(model)
    return 6 * (p.attention + p.mlp)


def six_nd(model: Model) -> float:
    """6 N with the output head."""
    return 6 * parameters(model).N


def chinchilla_f(model: Model) -> float:
    """Hoffmann et al. 2022, appendix F: the embedding as a matrix product, attention with softmax, times 3."""
    d, width, v = model.width, model.heads * model.head_dim, model.vocab
    projections = 2 * 3 * d * width + 2 * width * d
    context = 2 * model.context * width + 3 * model.heads * model.context + 2 * model.context * width
    mlp = 2 * _mlp_matrices(model) * d * model.hidden
    return 3 * (2 * v * d + model.depth * (projections + context + mlp) + 2 * d * v)


def palm(model: Model) -> float:
    """6 N + 12 depth heads head_dim context (Chowdhery et al. 2022, appendix B)."""
    return six_nd(model) + 12 * model.depth * model.width * model.context


CONVENTIONS: dict[str, Callable[[Model], float]] = {
    "exact": exact,
    "kaplan": kaplan,
    "6nd": six_nd,
    "chinchilla_f": chinchilla_f,
    "palm": palm,
}
"""Training FLOPs per token under each convention, by name."""


def training_flops(model: Model, tokens: float, convention: str = "exact") -> float:
    """C: training FLOPs of `tokens` tokens under a convention; raises UserError for a name not in CONVENTIONS, and for
    any but `exact` of a linear model."""
    if convention not in CONVENTIONS:
        raise UserError(f"no FLOP convention {convention!r}; use one of {', '.join(CONVENTIONS)}")
    if model.kind == "linear" and convention != "exact":
        raise UserError(
            f"the FLOP convention {convention!r} counts a matrix product for every parameter, and a linear model makes "
            "none: use 'exact'"
        )
    return CONVENTIONS[convention](model) * tokens


def _linear_flops(model: Model) -> Flops:
    """Forward, `order` rows of `vocab` numbers are masked where their token is missing, and added up; backward, the
    gradient of the logits is added to each of them. The softmax is 3 `vocab` forward and 2 backward."""
    rows = model.order * model.vocab
    return Flops(
        attention_projections=0,
        attention_context=0,
        mlp=0,
        head=rows + (rows - model.vocab) + rows,
        elementwise=5 * model.vocab,
    )


def _mlp_matrices(model: Model) -> int:
    return 3 if model.mlp == "gated" else 2


def _elementwise(model: Model) -> float:
    """Forward FLOPs per token outside matrix products; an exponential counts nothing, as XLA counts."""
    norm = 4 * model.width
    softmax = 5 if model.causal else 4  # the mask of the future
    attention = 7 * model.width + softmax * model.heads * model.context  # rotary q and k, scale
    activation = (5 if model.mlp == "gated" else 8) * model.hidden
    residual = 2 * model.width if model.residual_scale == 1.0 else 4 * model.width
    block = 2 * norm + attention + activation + residual
    return model.depth * block + norm + 3 * model.vocab * model.predictions / model.context
