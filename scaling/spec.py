"""What is to be trained, as frozen values: Model, Data, Optim, Run and Study, validated when made.

A spec is data: `to_json` gives its canonical JSON and `from_json` reads it back, executing nothing. A run's
`run_id` is the hash of its canonical JSON, so that two runs are the same run exactly when every field agrees. A field
made by `later` is left out of the JSON at its default: a new option does not make old runs new ones.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from scaling.record import (
    SpecError,
    canonical,
    check_types,
    from_json,
    later,
    plain,
    require,
    require_positive,
    short_hash,
    to_json,
)

__all__ = [
    "Data",
    "Model",
    "Optim",
    "Run",
    "SpecError",
    "Study",
    "canonical",
    "count",
    "from_json",
    "to_json",
]

MAX_STEPS = 2**31 - 1
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


@dataclass(frozen=True, kw_only=True)
class Model:
    """The shapes that a model's parameters and FLOPs follow from: of a decoder-only Transformer, or of another kind.

    Raises SpecError when a size is not positive, `width` is not a whole number of even-sized heads, or a field that the
    kind does not read is not at its default.
    """

    kind: str = "transformer"
    """`transformer`, or `linear`: softmax regression on the last `order` tokens, one matrix and no layer."""
    vocab: int = 257
    context: int = 256
    """Tokens that the model sees, at most the `context` of the data's rows."""
    depth: int = 2
    width: int = 64
    heads: int = 2
    mlp: Literal["gated", "plain"] = "gated"
    """`gated` is SwiGLU (three matrices), `plain` is GELU (two)."""
    mlp_width: int = 0
    """Hidden width of the MLP; 0 means 4 x width when plain, 8/3 x width rounded up to a multiple of 8 when gated."""
    tied: bool = False
    """Whether the output head is the transposed embedding table."""
    dropout: float = 0.0
    objective: Literal["causal", "masked"] = later("causal")
    """`causal` predicts each next token from the past; `masked` predicts hidden tokens from both sides (Devlin et al.
    2019), and its input table has one row more, for the mask."""
    parametrization: Literal["standard", "mup", "completep"] = later("standard")
    """How initialisation, rates, decay and epsilon change with size: by fan-in initialisation alone; with width (Yang
    et al. 2022); with width and depth (Dey et al. 2025)."""
    base_width: int = later(64)
    """Under `mup` and `completep`, the width at which they agree with `standard`."""
    base_depth: int = later(2)
    """Under `completep`, the depth at which it agrees with `standard`."""
    order: int = later(1)
    """Of a linear model, how many of the last tokens it reads: its size. Nothing else of it can be chosen."""

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("vocab", "context", "depth", "width", "heads", "base_width", "base_depth", "order"):
            require_positive("Model", name, getattr(self, name))
        for name in UNREAD.get(self.kind, ()):
            value, default = getattr(self, name), getattr(type(self), name)
            require(
                value == default,
                f"Model.{name}",
                value,
                f"a {self.kind} model has no use for it: leave it at {default!r}",
            )
        beyond = f"the model sees context={self.context} tokens: use at most as many, or a longer context"
        require(self.order <= self.context, "Model.order", self.order, beyond)
        require(self.mlp_width >= 0, "Model.mlp_width", self.mlp_width, "use 0 for the default, or a width")
        require(0 <= self.dropout < 1, "Model.dropout", self.dropout, "use a share in [0, 1)")
        divides = f"use a width that is a multiple of heads={self.heads}, or other heads"
        require(self.width % self.heads == 0, "Model.width", self.width, divides)
        even = "rotary positions turn pairs of numbers: make width / heads even"
        require(self.head_dim % 2 == 0, "Model.width / Model.heads", self.head_dim, even)

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.width // self.heads

    @property
    def hidden(self) -> int:
        """Width of the MLP's hidden layer."""
        if self.mlp_width:
            return self.mlp_width
        return 4 * self.width if self.mlp == "plain" else 8 * math.ceil(self.width / 3)

    @property
    def causal(self) -> bool:
        """Whether a position sees the past alone."""
        return self.objective == "causal"

    @property
    def input_rows(self) -> int:
        """Rows of the input table: the vocabulary and, last, the mask of the objective `masked`."""
        return self.vocab if self.causal else self.vocab + 1

    @property
    def predictions(self) -> int:
        """Tokens of a row that the model predicts: each next one, or the hidden 15 % (Devlin et al. 2019, 3.1)."""
        return self.context if self.causal else max(1, round(0.15 * self.context))

    @property
    def residual_scale(self) -> float:
        """Factor on a block's branches: base_depth / depth under `completep` (Dey et al. 2025, alpha = 1), else 1."""
        return self.base_depth / self.depth if self.parametrization == "completep" else 1.0

    @property
    def attention_scale(self) -> float:
        """Factor on attention scores: 1 / sqrt(head_dim), whatever the parametrisation.

        Yang et al. (2022) ask for 1 / head_dim where heads widen with the model; a ladder that keeps the width of its
        heads and adds heads, as is recommended, needs no other factor.
        """
        return self.head_dim**-0.5


UNREAD = {
    "transformer": ("order",),
    "linear": (
        *("depth", "width", "heads", "mlp", "mlp_width", "tied", "dropout", "objective"),
        *("parametrization", "base_width", "base_depth"),
    ),
}
"""Fields of Model that a kind does not read: two specs must not differ where their runs do not."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """A corpus, cut into rows of `context + 1` tokens, and the fixed held-out text that L is measured on."""

    corpus: str = "python_stdlib"
    """`python_stdlib`, `text_folder:PATH`, `text_lines:PATH`, `tfds:NAME`, or a language of known entropy."""
    tokenizer: str = "bytes"
    """`bytes`, `bpe:VOCAB` or `file:PATH`; planning adds the hash of the file."""
    context: int = 256
    eval_tokens: int = 131_072
    """Held-out tokens, at most: whole rows spread evenly over the validation split."""
    sha256: str = ""
    """Hash of the corpus's documents. Empty in a spec; filled in by planning, so that it is part of `run_id`."""

    def __post_init__(self) -> None:
        check_types(self)
        require_positive("Data", "context", self.context)
        remedy = f"hold out at least one row of context={self.context} tokens"
        require(self.eval_tokens >= self.context, "Data.eval_tokens", self.eval_tokens, remedy)
        known = bool(re.fullmatch(r"([0-9a-f]{64})?", self.sha256))
        require(known, "Data.sha256", self.sha256, "leave it empty, or give 64 hexadecimal digits")


@dataclass(frozen=True, kw_only=True)
class Optim:
    """An optimiser, its weight decay and clipping by the global norm; AdamW (Loshchilov and Hutter 2019) by default."""

    lr: float = 3e-3
    """Peak learning rate."""
    weight_decay: float = 0.1
    """A step shrinks every matrix by `lr x weight_decay`; norm scales and embeddings are spared."""
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8
    clip: float = 1.0
    """Largest global norm of the gradient."""
    batch_tokens: int = 4096
    """Tokens a step, a multiple of the context."""
    name: Literal["adamw", "sgd", "lion", "adafactor", "muon"] = later("adamw")
    """`beta1` is the momentum of `sgd`, `lion` and `muon` as well."""
    weight_decay_kind: Literal["decoupled", "independent", "l2"] = later("decoupled")
    """What a step takes off a matrix p: `lr x weight_decay x p` at that step's rate; `weight_decay x p` times the
    schedule alone, whatever the peak rate; or nothing, `weight_decay x p` being added to the gradient instead."""

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("lr", "eps", "clip", "batch_tokens"):
            require_positive("Optim", name, getattr(self, name))
        require(self.weight_decay >= 0, "Optim.weight_decay", self.weight_decay, "use 0 for none")
        for name in ("beta1", "beta2"):
            value = getattr(self, name)
            require(0 <= value < 1, f"Optim.{name}", value, "use a share in [0, 1)")
        for name in UNUSED.get(self.name, ()):
            default = getattr(type(self), name)
            unused = f"{self.name} has no use for it: leave it at {default:g}"
            require(getattr(self, name) == default, f"Optim.{name}", getattr(self, name), unused)
        sizeless = self.weight_decay_kind == "l2" and self.name in ("lion", "adafactor", "muon")
        discards = f"{self.name} discards the size of what is added to the gradient: use 'decoupled'"
        require(not sizeless, "Optim.weight_decay_kind", self.weight_decay_kind, discards)


UNUSED = {"sgd": ("beta2", "eps"), "lion": ("eps",), "adafactor": ("beta1", "beta2", "eps")}
"""Fields of Optim that an optimiser does not read: two specs must not differ where their runs do not."""


def check_transfer(model: Model, optim: Optim) -> None:
    """Raise SpecError where no rule is known for an optimiser's rates and decay under a model's parametrisation, or an
    optimiser has nothing of its own to do in a model of that kind."""
    kind = model.parametrization
    hidden = "muon is for matrices between width and width, and a linear model has none: use 'adamw', which it would be"
    require(not (model.kind == "linear" and optim.name == "muon"), "Optim.name", optim.name, hidden)
    deep = (
        "its rates are for optimisers that are free of the gradient's size: use adamw, or 'mup' at one depth"
    )
    require(not (kind == "completep" and optim.name == "sgd"), "Model.parametrization", kind, deep)
    l2 = f"under {kind} no weight_decay of adamw's L2 acts alike at all widths: use 'decoupled' or 'independent'"
    known = optim.weight_decay_kind != "l2" or kind == "standard" or optim.name == "sgd"
    require(known, "Optim.weight_decay_kind", optim.weight_decay_kind, l2)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One trained model, one row of the table: warm-up, constant rate, then decay over the last steps.

    Everything up to `decay_start` is the trunk, shared by the runs that differ in `steps` and `decay_steps`
    alone. Raises SpecError when the parts do not fit together.
    """

    model: Model
    data: Data
    optim: Optim
    seed: int = 0
    steps: int
    warmup_steps: int
    decay_steps: int
    decay_shape: Literal["sqrt", "linear", "cosine", "none"] = later("sqrt")
    """How the rate falls over the decay steps: 1 - sqrt, linearly, by half a cosine, or not at all."""
    decay_to: float = later(0.0)
    """The rate at the end of the decay, as a share of the peak."""
    init_scale: float = later(1.0)
    """Factor on the initial value of every matrix; norm scales and the embedding table, tied or not, are spared."""
    data_seed: int = later(-1)
    """Seed of the order of the data; -1 takes `seed`."""

    def __post_init__(self) -> None:
        check_types(self)
        require_positive("Run", "steps", self.steps)
        require(self.steps < MAX_STEPS, "Run.steps", self.steps, f"use fewer than {MAX_STEPS} steps")
        require(0 <= self.seed < 2**31, "Run.seed", self.seed, "use a whole number in [0, 2^31)")
        require(
            -1 <= self.data_seed < 2**31, "Run.data_seed", self.data_seed, "use -1 for the seed's own order"
        )
        require_positive("Run", "init_scale", self.init_scale)
        none = self.decay_shape == "none"
        share = "use a share of the peak in [0, 1), or decay_shape='none' for no decay"
        require(0 <= self.decay_to < 1, "Run.decay_to", self.decay_to, share)
        require(
            not none or self.decay_to == 0, "Run.decay_to", self.decay_to, "nothing decays: leave it at 0"
        )
        require(
            not none or self.decay_steps == 1, "Run.decay_steps", self.decay_steps, "nothing decays: use 1"
        )
        require(self.warmup_steps >= 0, "Run.warmup_steps", self.warmup_steps, "use 0 for none")
        require(self.decay_steps >= 1, "Run.decay_steps", self.decay_steps, "decay over at least one step")
        remedy = f"warm-up ({self.warmup_steps}) and decay ({self.decay_steps}) need a longer budget"
        require(self.warmup_steps + self.decay_steps <= self.steps, "Run.steps", self.steps, remedy)
        longer = "is longer than" if self.model.context > self.data.context else "is shorter than"
        require(
            self.model.context == self.data.context,
            "Model.context",
            self.model.context,
            f"it {longer} the rows: give Model and Data the same context (Data.context={self.data.context})",
        )
        whole = f"use a multiple of the context ({self.data.context})"
        require(
            self.optim.batch_tokens % self.data.context == 0,
            "Optim.batch_tokens",
            self.optim.batch_tokens,
            whole,
        )
        check_transfer(self.model, self.optim)

    @property
    def tokens(self) -> int:
        """D: training tokens seen."""
        return self.steps * self.optim.batch_tokens

    @property
    def batch_rows(self) -> int:
        """Rows a step."""
        return self.optim.batch_tokens // self.data.context

    @property
    def decay_start(self) -> int:
        """The step at which the run leaves its trunk."""
        return self.steps - self.decay_steps

    @property
    def order_seed(self) -> int:
        """Seed of the order of the data."""
        return self.seed if self.data_seed < 0 else self.data_seed

    @cached_property
    def run_id(self) -> str:
        """Hash of the run's canonical JSON."""
        return short_hash(to_json(self))

    @cached_property
    def trunk_id(self) -> str:
        """Hash of what the runs of one trunk share."""
        branch = ("steps", "decay_steps", "decay_shape", "decay_to")
        return short_hash(canonical({k: v for k, v in plain(self).items() if k not in branch}))

    @property
    def trunk_name(self) -> str:
        """The trunk in words: width and depth or a linear model's order, rate and seed, and what is not the default of
        corpus, objective, optimiser, weight decay's kind, parametrisation, initial scale and order of the data."""
        short = re.sub(r"[^A-Za-z0-9.]+", "_", re.sub(r":.*/", ":", self.data.corpus))  # of a path, its end
        model, optim = self.model, self.optim
        unusual = (
            (model.objective, Model.objective, model.objective),
            (optim.name, Optim.name, optim.name),
            (optim.weight_decay_kind, Optim.weight_decay_kind, f"{optim.weight_decay_kind}_decay"),
            (model.parametrization, Model.parametrization, model.parametrization),
            (self.init_scale, Run.init_scale, f"init{self.init_scale:g}"),
            (self.data_seed, Run.data_seed, f"order{self.data_seed}"),
        )
        corpus = [] if self.data.corpus == Data.corpus else [short]
        size = (
            ["linear", f"n{model.order}"]
            if model.kind == "linear"
            else [f"w{model.width}", f"d{model.depth}"]
        )
        usual = [*size, f"lr{optim.lr:g}", f"s{self.seed}"]
        return "-".join(corpus + usual + [word for value, default, word in unusual if value != default])

    @property
    def name(self) -> str:
        """The run in words: its trunk and its tokens, and its decay where it is not the default one."""
        shape = "" if self.decay_shape == Run.decay_shape else f"-{self.decay_shape}"
        end = "" if self.decay_to == Run.decay_to else f"-to{self.decay_to:g}"
        return f"{self.trunk_name}-{count(self.tokens)}{shape}{end}"


@dataclass(frozen=True, kw_only=True)
class Study:
    """A question and the runs that answer it. Raises SpecError on a run given twice or an unsafe name."""

    name: str
    question: str = ""
    runs: tuple[Run, ...] = field(default=())

    def __post_init__(self) -> None:
        check_types(self)
        remedy = "use letters, digits, '.', '_' and '-', beginning with a letter or digit"
        require(bool(NAME.fullmatch(self.name)), "Study.name", self.name, remedy)
        require(len(self.runs) > 0, "Study.runs", "()", "give at least one size and one budget")
        seen: set[str] = set()
        for run in self.runs:
            require(run.run_id not in seen, "Study.runs", run.name, "it is there twice: name each run once")
            seen.add(run.run_id)

    @cached_property
    def spec_sha256(self) -> str:
        """Hash of the study's canonical JSON."""
        return hashlib.sha256(to_json(self).encode()).hexdigest()


def count(number: float) -> str:
    """A number in three digits with K, M, G or T: 4194304 is '4.19M'."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "K")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"
