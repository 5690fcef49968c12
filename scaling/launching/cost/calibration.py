"""`calibration.json` of a study: how fast this machine trained some of its shapes when it was asked to try."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from scaling.errors import UserError
from scaling.folder import StudyFolder, write_whole
from scaling.launching.cost.estimator import Estimator, Overheads
from scaling.launching.cost.pace import MEASURED, Knot, Rate, same_kind
from scaling.record import plain
from scaling.spec import Model, Run, SpecError, canonical, from_json

FILE = "calibration.json"


@dataclass(frozen=True)
class Probe:
    """What the probe of one shape measured."""

    model: Model
    members: int
    """Models trained together, as `run` trains them."""
    batch_tokens: int
    """Of a member."""
    steps: int
    """That were timed."""
    seconds: float
    """Of those steps."""
    tokens_per_second: float
    """Of all members on all devices."""
    flops_per_second: float
    """Training FLOPs, exactly counted, of one device."""
    mfu: float | None
    """By PaLM's count; None where no peak is known."""
    compile_seconds: float
    save_seconds: float
    """To write one member's checkpoint."""

    def __post_init__(self) -> None:
        for name in ("steps", "seconds", "tokens_per_second", "flops_per_second", "members", "batch_tokens"):
            if not (getattr(self, name) > 0 and math.isfinite(getattr(self, name))):
                raise ValueError(f"{name} = {getattr(self, name)!r}")


@dataclass(frozen=True)
class Calibration:
    """Probes of some shapes on one kind of device."""

    device: str
    """Its kind, as JAX names it."""
    processor: str
    """Of the host, where the device is a CPU: JAX calls every CPU `cpu`."""
    devices: int
    """That trained the probes."""
    precision: str
    date: str
    """ISO 8601, UTC."""
    versions: dict[str, str]
    probes: tuple[Probe, ...]

    def knots(self) -> dict[Model, Knot]:
        """What it tells of each shape."""
        said = f"a calibration of {self.date[:10]} on {self.device}"
        return {
            probe.model: Knot(probe.flops_per_second, 1.0, probe.compile_seconds, MEASURED, said)
            for probe in self.probes
        }

    def overheads(self, checkpoint_seconds: float) -> Overheads:
        """Mean seconds of compilation and of a save."""
        compiled = sum(probe.compile_seconds for probe in self.probes) / len(self.probes)
        saved = sum(probe.save_seconds for probe in self.probes) / len(self.probes)
        return Overheads(compile=compiled, save=saved, checkpoint_seconds=checkpoint_seconds)


def read(folder: StudyFolder) -> Calibration | None:
    """The calibration of a study, None where it has none; raises UserError for a file that is damaged."""
    path = folder.path / FILE
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        probes = tuple(
            Probe(**entry | {"model": from_json(Model, canonical(entry["model"]))})
            for entry in values["probes"]
        )
        found = Calibration(**values | {"probes": probes})
        if not probes or not all(isinstance(getattr(found, name), str) for name in ("device", "date")):
            raise ValueError("it holds no probe")
    except (ValueError, TypeError, KeyError, AttributeError, SpecError) as error:
        raise UserError(
            f"{path} is damaged ({str(error).splitlines()[0]}); delete it, or write it anew with `plan --calibrate`"
        ) from None
    return found


def write(folder: StudyFolder, calibration: Calibration) -> None:
    """Write the calibration of a study, whole."""
    values = {entry.name: getattr(calibration, entry.name) for entry in fields(calibration)}
    values["probes"] = [asdict(probe) | {"model": plain(probe.model)} for probe in calibration.probes]
    write_whole(folder.path / FILE, json.dumps(values, indent=1, allow_nan=False) + "\n")


def estimator_of(
    folder: StudyFolder,
    results: Mapping[Run, Mapping[str, Any]],
    device: str | None,
    devices: int = 1,
    fallback: Rate | None = None,
    checkpoint_seconds: float = 60.0,
) -> Estimator:
    """The estimator of a study on a kind of device: from its finished runs, its calibration where that is of this kind,
    the device's peak, or `fallback`.

    `device` is None where the kind is not known yet, as on a cluster before a run is done: then any measurement counts.
    """
    found = read(folder)
    usable = found is not None and applies(found, device)
    overheads = found.overheads(checkpoint_seconds) if found and usable else None
    made = Estimator(
        device,
        devices,
        found.knots() if found and usable else None,
        fallback,
        overheads or Overheads(checkpoint_seconds=checkpoint_seconds),
    )
    made.learn(results)
    return made


def applies(calibration: Calibration, device: str | None) -> bool:
    """Whether a calibration tells of this kind of device; of a CPU, whether it was made on such a processor."""
    if device is None:
        return True
    if not same_kind(calibration.device, device):
        return False
    return calibration.device != "cpu" or calibration.processor == processor()


def processor() -> str:
    """The name of this host's processor, empty where nothing tells."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            return next(
                (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), ""
            )
    except OSError:
        return ""
