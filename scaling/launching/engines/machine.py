"""What this machine has to train on, found without JAX: whoever asks JAX takes the accelerators for itself."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

BOUNDS = {1: "1,1,1", 2: "1,2,1", 4: "2,2,1", 8: "2,4,1"}
"""TPU chips of a process to their grid."""


@dataclass(frozen=True)
class Accelerators:
    """The accelerators of this machine that this process may use."""

    what: Literal["GPUs", "TPU chips", "accelerators"]
    ids: tuple[str, ...]
    """As CUDA_VISIBLE_DEVICES or TPU_VISIBLE_CHIPS name them."""

    def visible(self, ids: Sequence[str]) -> Mapping[str, str]:
        """The environment of a process that is to see these alone."""
        if self.what == "TPU chips":
            return {
                "TPU_VISIBLE_CHIPS": ",".join(ids),
                "TPU_CHIPS_PER_PROCESS_BOUNDS": BOUNDS.get(len(ids), f"1,{len(ids)},1"),
                "TPU_PROCESS_BOUNDS": "1,1,1",
            }
        return {"CUDA_VISIBLE_DEVICES": ",".join(ids)}


def accelerators(devices: Path = Path("/dev")) -> Accelerators:
    """The GPUs that nvidia-smi lists, or the TPU chips that have files in /dev; CUDA_VISIBLE_DEVICES and
    TPU_VISIBLE_CHIPS of this process hold."""
    if gpus := _gpus():
        return Accelerators("GPUs", _allowed("CUDA_VISIBLE_DEVICES", gpus))
    chips = sorted(devices.glob("accel[0-9]*")) or sorted((devices / "vfio").glob("[0-9]*"))
    if chips:
        numbers = tuple(str(number) for number in range(len(chips)))
        return Accelerators("TPU chips", _allowed("TPU_VISIBLE_CHIPS", numbers))
    return Accelerators("accelerators", ())


def cores() -> list[int]:
    """The CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _gpus() -> tuple[str, ...]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    try:
        asked = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    lines = asked.stdout.splitlines() if asked.returncode == 0 else []
    return tuple(str(number) for number, _ in enumerate(line for line in lines if line.startswith("GPU ")))


def _allowed(variable: str, there: tuple[str, ...]) -> tuple[str, ...]:
    """Those that a variable of the environment names, in its words; all where it is not set."""
    named = os.environ.get(variable)
    if named is None:
        return there
    return tuple(name for each in named.split(",") if (name := each.strip()) and name != "-1")
