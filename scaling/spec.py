"""What is to be trained, as frozen values: Model, Data, Optim, Run and Study, validated when made.

A spec is data: `to_json` gives its canonical JSON and `from_json` reads it back, executing nothing. A run's
`run_id` is the hash of its canonical JSON, so that two runs are the same run exactly when every field agrees.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
import re
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from scaling.errors import UserError

T = TypeVar("T")
MAX_STEPS = 2**31 - 1
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


class SpecError(UserError):
    """A spec that cannot be run: the message names field, value and remedy."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """A decoder-only Transformer: the shapes that its parameters and FLOPs follow from.

    Raises SpecError when a size is not positive, or `width` is not a whole number of even-sized heads.
    """

    kind: str = "transformer"
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

    def __post_init__(self) -> None:
        _check_types(self)
        for name in ("vocab", "context", "depth", "width", "heads"):
            _require_positive("Model", name, getattr(self, name))
        _require(self.mlp in ("gated", "plain"), "Model.mlp", self.mlp, "use 'gated' or 'plain'")
        _require(self.mlp_width >= 0, "Model.mlp_width", self.mlp_width, "use 0 for the default, or a width")
        _require(0 <= self.dropout < 1, "Model.dropout", self.dropout, "use a share in [0, 1)")
        divides = f"use a width that is a multiple of heads={self.heads}, or other heads"
        _require(self.width % self.heads == 0, "Model.width", self.width, divides)
        even = "rotary positions turn pairs of numbers: make width / heads even"
        _require(self.head_dim % 2 == 0, "Model.width / Model.heads", self.head_dim, even)

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
        _check_types(self)
        _require_positive("Data", "context", self.context)
        remedy = f"hold out at least one row of context={self.context} tokens"
        _require(self.eval_tokens >= self.context, "Data.eval_tokens", self.eval_tokens, remedy)
        known = bool(re.fullmatch(r"([0-9a-f]{64})?", self.sha256))
        _require(known, "Data.sha256", self.sha256, "leave it empty, or give 64 hexadecimal digits")


@dataclass(frozen=True, kw_only=True)
class Optim:
    """AdamW with decoupled weight decay (Loshchilov and Hutter 2019) and clipping by the global norm."""

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

    def __post_init__(self) -> None:
        _check_types(self)
        for name in ("lr", "eps", "clip", "batch_tokens"):
            _require_positive("Optim", name, getattr(self, name))
        _require(self.weight_decay >= 0, "Optim.weight_decay", self.weight_decay, "use 0 for none")
        for name in ("beta1", "beta2"):
            value = getattr(self, name)
            _require(0 <= value < 1, f"Optim.{name}", value, "use a share in [0, 1)")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One trained model, one row of the table: warm-up, constant rate, then decay to zero over the last steps.

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

    def __post_init__(self) -> None:
        _check_types(self)
        _require_positive("Run", "steps", self.steps)
        _require(self.steps < MAX_STEPS, "Run.steps", self.steps, f"use fewer than {MAX_STEPS} steps")
        _require(0 <= self.seed < 2**31, "Run.seed", self.seed, "use a whole number in [0, 2^31)")
        _require(self.warmup_steps >= 0, "Run.warmup_steps", self.warmup_steps, "use 0 for none")
        _require(self.decay_steps >= 1, "Run.decay_steps", self.decay_steps, "decay over at least one step")
        remedy = f"warm-up ({self.warmup_steps}) and decay ({self.decay_steps}) need a longer budget"
        _require(self.warmup_steps + self.decay_steps <= self.steps, "Run.steps", self.steps, remedy)
        longer = "is longer than" if self.model.context > self.data.context else "is shorter than"
        _require(
            self.model.context == self.data.context,
            "Model.context",
            self.model.context,
            f"it {longer} the rows: give Model and Data the same context (Data.context={self.data.context})",
        )
        whole = f"use a multiple of the context ({self.data.context})"
        _require(
            self.optim.batch_tokens % self.data.context == 0,
            "Optim.batch_tokens",
            self.optim.batch_tokens,
            whole,
        )

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
    def run_id(self) -> str:
        """Hash of the run's canonical JSON."""
        return _hash(to_json(self))

    @property
    def trunk_id(self) -> str:
        """Hash of what the runs of one trunk share."""
        shared = {k: v for k, v in dataclasses.asdict(self).items() if k not in ("steps", "decay_steps")}
        return _hash(canonical(shared))

    @property
    def trunk_name(self) -> str:
        """The trunk in words, with the corpus where it is not the default one."""
        short = re.sub(r"[^A-Za-z0-9.]+", "_", re.sub(r":.*/", ":", self.data.corpus))  # of a path, its end
        corpus = "" if self.data.corpus == Data.corpus else f"{short}-"
        return f"{corpus}w{self.model.width}-d{self.model.depth}-lr{self.optim.lr:g}-s{self.seed}"

    @property
    def name(self) -> str:
        """The run in words: width, depth, rate, seed and tokens."""
        return f"{self.trunk_name}-{count(self.tokens)}"


@dataclass(frozen=True, kw_only=True)
class Study:
    """A question and the runs that answer it. Raises SpecError on a run given twice or an unsafe name."""

    name: str
    question: str = ""
    runs: tuple[Run, ...] = field(default=())

    def __post_init__(self) -> None:
        _check_types(self)
        remedy = "use letters, digits, '.', '_' and '-', beginning with a letter or digit"
        _require(bool(NAME.fullmatch(self.name)), "Study.name", self.name, remedy)
        _require(len(self.runs) > 0, "Study.runs", "()", "give at least one size and one budget")
        seen: set[str] = set()
        for run in self.runs:
            _require(run.run_id not in seen, "Study.runs", run.name, "it is there twice: name each run once")
            seen.add(run.run_id)

    @property
    def spec_sha256(self) -> str:
        """Hash of the study's canonical JSON."""
        return hashlib.sha256(to_json(self).encode()).hexdigest()


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def to_json(spec: Any) -> str:
    """Canonical JSON of a Model, Data, Optim, Run or Study."""
    return canonical(dataclasses.asdict(spec))


def from_json(cls: type[T], text: str) -> T:
    """The spec of type `cls` in a JSON text; raises SpecError that names the field, nothing is executed."""
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise SpecError(f"the spec is not valid JSON ({error}); mend it or build it with to_json") from None
    return typing.cast(T, _parse(cls, values, cls.__name__))


def count(number: float) -> str:
    """A number in three digits with K, M, G or T: 4194304 is '4.19M'."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "K")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"


def _parse(kind: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(kind)
    if dataclasses.is_dataclass(kind):
        return _parse_dataclass(kind, value, where)
    if origin is tuple:
        _require(isinstance(value, list), where, value, "give a list")
        return tuple(_parse(typing.get_args(kind)[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if origin is Literal:
        _require(value in typing.get_args(kind), where, value, f"use one of {typing.get_args(kind)}")
        return value
    if kind is float and type(value) is int:
        return float(value)
    assert isinstance(kind, type) and not isinstance(kind, types.UnionType)
    _require(type(value) is kind, where, value, f"give a value of type {kind.__name__}")
    return value


def _parse_dataclass(kind: Any, value: Any, where: str) -> Any:
    _require(isinstance(value, dict), where, value, f"give an object with the fields of {kind.__name__}")
    hints = typing.get_type_hints(kind)
    for name in value:
        if name not in hints:
            near = difflib.get_close_matches(name, hints, n=1)
            meant = f"did you mean {near[0]!r}? " if near else ""
            raise SpecError(
                f"{where} has no field {name!r} (value {value[name]!r}): {meant}fields: {', '.join(hints)}"
            )
    for entry in dataclasses.fields(kind):
        required = entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING
        if required and entry.name not in value:
            raise SpecError(f"{where} lacks the field {entry.name!r}: give it a value")
    return kind(**{name: _parse(hints[name], v, f"{where}.{name}") for name, v in value.items()})


def _check_types(spec: Any) -> None:
    """Hold every plain field to its declared type, so that equal specs have equal hashes; a float may be given as 1."""
    hints = typing.get_type_hints(type(spec))
    for entry in dataclasses.fields(spec):
        kind, value = hints[entry.name], getattr(spec, entry.name)
        where = f"{type(spec).__name__}.{entry.name}"
        if kind in (int, float, str, bool):
            object.__setattr__(spec, entry.name, _parse(kind, value, where))
        elif dataclasses.is_dataclass(kind):
            assert isinstance(kind, type)
            _require(isinstance(value, kind), where, value, f"give a {kind.__name__}")
        elif typing.get_origin(kind) is tuple:
            inner = typing.get_args(kind)[0]
            whole = isinstance(value, tuple) and all(isinstance(item, inner) for item in value)
            _require(whole, where, value, f"give a tuple of {inner.__name__}s")


def _require(holds: bool, name: str, value: Any, remedy: str) -> None:
    if not holds:
        raise SpecError(f"{name} = {value!r} cannot be: {remedy}")


def _require_positive(owner: str, name: str, value: float) -> None:
    _require(value > 0 and math.isfinite(value), f"{owner}.{name}", value, "use a number above zero")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
