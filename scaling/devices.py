"""What accelerators can do at most: FLOP/s by precision, memory, memory bandwidth; and the share that a model uses."""

from __future__ import annotations

import re
from dataclasses import dataclass

T, G, GiB = 1e12, 1e9, 2**30


@dataclass(frozen=True)
class Peak:
    """The limits of one device, as JAX counts devices.

    All figures are for dense matrices; for 2:4 sparse ones vendors print figures twice as high.
    """

    half: float
    """FLOP/s of matrix products in bf16 with float32 sums (V100: fp16, it has no bf16)."""
    float32: float
    """FLOP/s of float32 matrix products at JAX's default precision, see `unit`."""
    unit: str
    """What float32 is rounded to before it is multiplied: `tf32` (tensor cores), `bf16` (TPUs), or not: `fp32`."""
    memory: float
    """Bytes."""
    bandwidth: float
    """Bytes of memory a second."""
    source: str
    """The vendor's document that the figures are from."""

    def flops(self, dtype: str) -> float:
        """FLOP/s for matrix products of inputs of a dtype: bfloat16, float16 or float32."""
        return {"bfloat16": self.half, "float16": self.half, "float32": self.float32}[dtype]


def _tpu(teraflops: float, gibibytes: float, gigabytes_a_second: float, source: str, cores: int = 1) -> Peak:
    """A TPU from the figures of its chip; `cores` of them are devices of their own in JAX."""
    flops = teraflops * T / cores
    return Peak(flops, flops, "bf16", gibibytes * GiB / cores, gigabytes_a_second * G / cores, source)


def _gpu(
    half: float, float32: float, gigabytes: float, gigabytes_a_second: float, source: str, unit: str = "tf32"
) -> Peak:
    """A GPU from teraflops and gigabytes (of 1e9 bytes a second, of 2^30 bytes of memory)."""
    return Peak(half * T, float32 * T, unit, gigabytes * GiB, gigabytes_a_second * G, source)


_CLOUD = "Google Cloud documentation, TPU "
_V100 = "NVIDIA V100 data sheet (2020)"
_A100 = "NVIDIA A100 data sheet (2021): sparse 624 bf16, 312 TF32"
_H100 = "NVIDIA H100 data sheet (2023), sparse figures halved: "
_H200 = "NVIDIA H200 data sheet (2024), sparse figures halved: "
_AMPERE = "NVIDIA Ampere GA102 architecture white paper, appendix A: bf16 with float32 sums, dense"
_ADA = "NVIDIA Ada architecture white paper, appendix A: bf16 with float32 sums, dense"
_BLACKWELL = "NVIDIA RTX Blackwell architecture white paper, appendix A: bf16 with float32 sums, dense"

PEAKS: dict[str, Peak] = {
    "TPU v2": _tpu(45, 16, 600, _CLOUD + "v2: 45 a chip of two cores", cores=2),
    "TPU v3": _tpu(123, 32, 900, _CLOUD + "v3: 123 a chip of two cores", cores=2),
    "TPU v4": _tpu(275, 32, 1200, _CLOUD + "v4: two cores that JAX sees as one device"),
    "TPU v4 lite": _tpu(138, 8, 614, "Jouppi et al. 2021, Ten lessons from three generations, table 1: v4i"),
    "TPU v5 lite": _tpu(197, 16, 819, _CLOUD + "v5e"),
    "TPU v5e": _tpu(197, 16, 819, _CLOUD + "v5e"),
    "TPU v5": _tpu(459, 95, 2765, _CLOUD + "v5p: two cores that JAX sees as one device"),
    "TPU v5p": _tpu(459, 95, 2765, _CLOUD + "v5p: two cores that JAX sees as one device"),
    "TPU v6 lite": _tpu(918, 32, 1640, _CLOUD + "v6e"),
    "TPU v6e": _tpu(918, 32, 1640, _CLOUD + "v6e"),
    "TPU7x": _tpu(2307, 192, 7380, _CLOUD + "7x (Ironwood): 2307 a chip of two cores", cores=2),
    "Tesla V100-SXM2-16GB": _gpu(125, 15.7, 16, 900, _V100, "fp32"),
    "Tesla V100-SXM2-32GB": _gpu(125, 15.7, 32, 900, _V100, "fp32"),
    "Tesla V100-SXM3-32GB": _gpu(125, 15.7, 32, 900, _V100 + ", as SXM2", "fp32"),
    "Tesla V100-PCIE-16GB": _gpu(112, 14, 16, 900, _V100, "fp32"),
    "Tesla V100-PCIE-32GB": _gpu(112, 14, 32, 900, _V100, "fp32"),
    "NVIDIA A100-SXM4-40GB": _gpu(312, 156, 40, 1555, _A100),
    "NVIDIA A100-PCIE-40GB": _gpu(312, 156, 40, 1555, _A100),
    "NVIDIA A100-SXM4-80GB": _gpu(312, 156, 80, 2039, _A100),
    "NVIDIA A100 80GB PCIe": _gpu(312, 156, 80, 1935, _A100),
    "NVIDIA A10": _gpu(125, 62.5, 24, 600, "NVIDIA A10 data sheet: sparse 250 bf16, 125 TF32"),
    "NVIDIA A10G": _gpu(70, 35, 24, 600, "NVIDIA A10G data sheet: sparse 140 bf16, 70 TF32"),
    "NVIDIA L4": _gpu(121, 60, 24, 300, "NVIDIA L4 data sheet: sparse 242 bf16, 120 TF32"),
    "NVIDIA L40S": _gpu(362.05, 183, 48, 864, "NVIDIA L40S data sheet: sparse 733 bf16, 366 TF32"),
    "NVIDIA H100 80GB HBM3": _gpu(989.5, 494.5, 80, 3350, _H100 + "SXM 1979 bf16, 989 TF32"),
    "NVIDIA H100 PCIe": _gpu(756.5, 378, 80, 2000, _H100 + "PCIe 1513 bf16, 756 TF32"),
    "NVIDIA H100 NVL": _gpu(835.5, 417.5, 94, 3900, _H100 + "NVL 1671 bf16, 835 TF32"),
    "NVIDIA H200": _gpu(989.5, 494.5, 141, 4800, _H200 + "SXM 1979 bf16, 989 TF32"),
    "NVIDIA H200 NVL": _gpu(835.5, 417.5, 141, 4800, _H200 + "NVL 1671 bf16, 835 TF32"),
    "NVIDIA GH200 480GB": _gpu(
        989.5, 494.5, 96, 4000, "NVIDIA GH200 data sheet (2023), halved: 1979 bf16, 989 TF32"
    ),
    "NVIDIA GH200 144G HBM3e": _gpu(
        989.5, 494.5, 144, 4900, "NVIDIA GH200 data sheet (2023), halved: 1979 bf16, 989 TF32"
    ),
    "NVIDIA B200": _gpu(
        2250, 1125, 180, 8000, "NVIDIA HGX B200 data sheet, an eighth, halved: 36 PFLOP/s bf16, 18 TF32"
    ),
    "NVIDIA GeForce RTX 3090": _gpu(71, 35.6, 24, 936, _AMPERE),
    "NVIDIA GeForce RTX 4090": _gpu(165.2, 82.6, 24, 1008, _ADA),
    "NVIDIA GeForce RTX 5090": _gpu(209.5, 104.8, 32, 1792, _BLACKWELL),
}
"""Peaks by JAX's `device_kind`, which for GPUs is the name that the driver gives."""

LESSER = re.compile(r"\b(MIG|Laptop|Max-Q|Ti|D|D v2)\b")
"""Words that make another device of a known name: a slice of one, or a smaller or larger chip."""


def peak_of(device_kind: str) -> Peak | None:
    """The peak of a device by the longest name in PEAKS that stands in its `device_kind` as whole words, else None."""
    names = [name for name in PEAKS if re.search(rf"(?<!\w){re.escape(name)}(?![\w-])", device_kind)]
    if not names or LESSER.search(device_kind):
        return None
    return PEAKS[max(names, key=len)]


def mfu(
    flops_per_token: float,
    tokens_per_second: float,
    devices: float,
    peak: Peak | None,
    dtype: str = "bfloat16",
) -> float | None:
    """Model FLOPs utilisation: flops_per_token x tokens_per_second / (devices x peak FLOP/s), None for no known peak.

    The FLOPs are those of the model, whatever the program computes twice: with the convention `palm` of
    scaling.accounting this is the definition of Chowdhery et al. 2022, appendix B. `dtype` is that of the inputs of the
    matrix products.
    """
    return None if peak is None else flops_per_token * tokens_per_second / (devices * peak.flops(dtype))
