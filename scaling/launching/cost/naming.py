"""Names of devices: those of JAX, which `--device` and prices take, and those of Ray, of `--accelerator-type`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from scaling.devices import PEAKS
from scaling.errors import UserError
from scaling.launching.cost.pace import same_kind
from scaling.launching.launch import Launch

OF_JAX = {"v5litepod": "TPU v5e", "v7x": "TPU7x"}
"""Of a TPU generation that Ray and Google write otherwise, JAX's name; the others are `TPU` and the generation."""
CLOSE = 0.8
"""Names alike by that ratio of difflib may be one misspelt."""


def unknown_device(device: str, here: str | None) -> UserError:
    """That nothing is known of a device, with the names that may be meant, or else all; `here` is this machine's."""
    meant = alike(device)
    if meant:
        several = ", ".join(meant[:-1]) + f" or {meant[-1]}" if len(meant) > 1 else meant[0]
        return UserError(
            f"--device {device!r} is not known; did you mean {several}? It takes JAX's names, which are not those of "
            "--accelerator-type"
        )
    also = f"{here} (this machine's), " if here else ""
    return UserError(f"--device {device!r} is not known; use one of {also}{', '.join(PEAKS)}")


def alike(device: str) -> list[str]:
    """The known devices whose names hold this one, or are written nearly so."""
    tpu = re.fullmatch(r"TPU[- ]?(v\w+)", device, re.IGNORECASE)
    words = _words(OF_JAX.get(tpu[1].lower(), device) if tpu else device)
    holding = [name for name in PEAKS if words and f" {words}" in f" {_words(name)}"]
    spelt = {_words(name): name for name in PEAKS}
    return holding or [spelt[near] for near in difflib.get_close_matches(words, spelt, 3, CLOSE)]


def disagreements(launches: Iterable[Launch], device: str | None) -> list[str]:
    """That the accelerators which jobs ask for are not the device whose cost is told, a sentence each."""
    said = []
    for launch in launches:
        if device not in (None, "cpu") and not launch.accelerated:
            said.append(
                f"the cost is that of {device!r}, and jobs that ask for no accelerators train on CPU cores: plan with "
                "the options of the run, as --accelerators 1"
            )
        for option, value in (("--slice", launch.slice), ("--accelerator-type", launch.accelerator_type)):
            if device and value and not _is(device, value):
                said.append(
                    f"jobs ask for {option} {value}, but the cost is that of {device!r}: give the --device meant"
                )
    return list(dict.fromkeys(said))


def _is(device: str, asked: str) -> bool:
    """Whether a device, by JAX's name, may be what was asked for by Ray's type, as `TPU-V6E`, or a slice, `v5p-16`."""
    tpu = re.fullmatch(r"(?:TPU-)?(v\d+[a-z]*)(?:-\d+)?", asked, re.IGNORECASE)
    if tpu and (tpu[0].upper().startswith("TPU-") or "-" in asked):
        generation = tpu[1].lower()
        return same_kind(OF_JAX.get(generation, f"TPU {generation}"), device)
    return re.search(rf"\b{re.escape(_words(asked.split('-')[0]))}\b", _words(device)) is not None


def _words(name: str) -> str:
    """Small letters, and spaces for hyphens."""
    return " ".join(re.split(r"[\s-]+", name.lower().strip()))
