"""Models by name. A model is a Linen module from tokens [b t] to logits [b t v]: `init` and `apply`, no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from scaling.spec import Model, SpecError

if TYPE_CHECKING:
    import flax.linen as nn

KINDS = ("transformer",)


def build(model: Model) -> nn.Module:
    """The module of `model.kind`; raises SpecError for a kind that is not in KINDS."""
    check_kind(model)
    from scaling.models.transformer import Transformer

    constructors: dict[str, Callable[[Model], nn.Module]] = {"transformer": Transformer}
    return constructors[model.kind](model)


def check_kind(model: Model) -> None:
    """Raise SpecError unless the model's kind is known; costs no import."""
    if model.kind not in KINDS:
        raise SpecError(f"Model.kind = {model.kind!r} is not known; use one of {', '.join(KINDS)}")
