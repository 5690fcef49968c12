"""How runs are executed: mesh, precision and memory. No part of what a run is; nothing here imports JAX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from scaling.record import SpecError

AUTO = 0


@dataclass(frozen=True)
class Execution:
    """How the runs of a study are laid out on devices. The defaults suit one device and small models.

    Raises SpecError for a count that cannot be.
    """

    pack: int = AUTO
    """Runs of one shape trained together as a population; 0 packs where a device is under-filled by one, 1 never."""
    data_devices: int = AUTO
    """Devices over which each batch is split; 0 takes those that are left."""
    model_devices: int = 1
    """Devices over which heads, hidden units and the vocabulary are split (tensor parallelism)."""
    fsdp: bool = False
    """Split parameters and moments over the data devices too, gathering each when it is used."""
    mapped: bool = False
    """Data parallelism by an explicit step a device (`jax.shard_map`) instead of one partitioned program."""
    microbatches: int = 1
    """Parts of a batch whose gradients are computed one after another and added up, to save memory."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of matrix products and activations; `auto` is bfloat16 on accelerators. Parameters and moments are float32."""
    remat: Literal["none", "dots", "full"] = "none"
    """What the backward pass computes again: nothing, all but matrix products, or every block."""
    attention: Literal["auto", "plain", "cudnn", "splash"] = "auto"
    """Kernel of attention; `auto` is cuDNN's on Hopper GPUs in bfloat16, splash on TPUs, the plain one elsewhere."""
    loss_chunks: int = AUTO
    """Parts in which logits and cross-entropy are computed; 0 as many as keep the logits of a part small."""

    def __post_init__(self) -> None:
        for name in ("pack", "data_devices", "loss_chunks"):
            self._require(getattr(self, name) >= 0, name, "use 0 for automatic, or a number above it")
        for name in ("model_devices", "microbatches"):
            self._require(getattr(self, name) >= 1, name, "use 1 or more")
        alone = "the mapped step splits data alone: leave out --fsdp and --model-devices"
        self._require(not (self.mapped and (self.fsdp or self.model_devices > 1)), "mapped", alone)

    def _require(self, holds: bool, name: str, remedy: str) -> None:
        if not holds:
            raise SpecError(f"--{name.replace('_', '-')} = {getattr(self, name)} cannot be: {remedy}")


DEFAULT = Execution()
