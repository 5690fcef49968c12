"""Models by name. A model is a Linen module from tokens [b t] to logits [b t v]: `init`, and `apply` of the whole or of
its two halves `features` and `predict`, no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from scaling.execution import Execution
from scaling.spec import Model, SpecError

if TYPE_CHECKING:
    import flax.linen as nn
    from jax.sharding import Mesh

KINDS = ("transformer", "linear")


def build(model: Model, **how: Any) -> nn.Module:
    """The module of `model.kind`, with `how` it computes: raises SpecError for a kind that is not in KINDS."""
    check_kind(model)
    from scaling.models.linear import Linear
    from scaling.models.transformer import Transformer

    constructors: dict[str, Callable[..., nn.Module]] = {"transformer": Transformer, "linear": Linear}
    return constructors[model.kind](model, **how)


def module_of(model: Model, execution: Execution, mesh: Mesh | None = None) -> nn.Module:
    """The module of a model as `execution` wants it computed on the devices of this process, in a program that is
    partitioned over `mesh`; raises UserError for a kernel that they do not have.

    A linear model has neither products nor attention to choose for: it is float32 everywhere.
    """
    if model.kind == "linear":
        return build(model)
    import jax
    import jax.numpy as jnp

    from scaling.models.attention import Kernel, choose, splash_over

    device = jax.devices()[0]
    precision = execution.precision
    if precision == "auto":
        precision = "float32" if device.platform == "cpu" else "bfloat16"
    kernel: Kernel = choose(
        execution.attention,
        device.platform,
        getattr(device, "compute_capability", ""),
        precision,
        model.head_dim,
        model.context,
    )
    if kernel == "splash" and mesh is not None and mesh.size > 1:
        kernel = splash_over(mesh)
    return build(model, dtype=jnp.dtype(precision).type, attention=kernel, remat=execution.remat)


def check_kind(model: Model) -> None:
    """Raise SpecError unless the model's kind is known; costs no import."""
    if model.kind not in KINDS:
        raise SpecError(f"Model.kind = {model.kind!r} is not known; use one of {', '.join(KINDS)}")
