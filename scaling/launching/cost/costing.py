"""What `plan` is asked: the options of its own, and the study that they are about. Imports no JAX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scaling.execution import Execution
from scaling.folder import StudyFolder
from scaling.launching.launch import Launch
from scaling.plan import Plan
from scaling.spec import SpecError


@dataclass(frozen=True)
class Costing:
    """What `plan` is asked about the cost of a study."""

    calibrate: bool = False
    """Train a few steps of the smallest, the median and the largest shape here, and estimate from what they took."""
    device: str = ""
    """Kind of device that the cost is of, as scaling/devices.py names it; empty takes this machine's."""
    devices_at_hand: int = 0
    """Devices that train at once, for the time by the clock; 0 says nothing of that."""
    prices: str = ""
    """A CSV or JSON file with device, price_per_device_hour, currency and note, for the money."""
    all: bool = False
    """Print every run, however many there are, and compile every shape for its memory."""

    def __post_init__(self) -> None:
        if self.devices_at_hand < 0:
            raise SpecError(
                f"--devices-at-hand = {self.devices_at_hand} cannot be: give a number of devices, or 0"
            )


@dataclass(frozen=True)
class Planning:
    """A study about to be planned."""

    plan: Plan
    warnings: Sequence[str]
    folder: StudyFolder
    data_folder: Path
    checkpoint_seconds: float
    execution: Execution
    launch: Launch
    costing: Costing
