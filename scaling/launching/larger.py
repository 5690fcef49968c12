"""What larger models take: `3e9=8x2` gives those of 3e9 parameters or more 8 accelerators on each of 2 hosts."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import pairwise

from scaling.launching.engines.slices import chips_of
from scaling.record import SpecError

SHARE = re.compile(r"(?P<accelerators>\d+)(x(?P<hosts>[1-9]\d*))?|(?P<slice>v\d[a-z0-9]*-\d+)")


@dataclass(frozen=True)
class Larger:
    """What a job of models of at least N parameters has."""

    N: float
    accelerators: int = 0
    """Of each host; of a slice Ray says it."""
    hosts: int = 1
    slice: str = ""

    @classmethod
    def of(cls, text: str) -> Larger:
        """As `3e8=4` (accelerators), `3e9=8x2` (on each of so many hosts) or `1e10=v5p-16` (a TPU slice) say.

        Raises SpecError for what says none of them.
        """
        size, _, share = text.partition("=")
        found = SHARE.fullmatch(share)
        try:
            least = float(size)
        except ValueError:
            least = math.nan
        if found is None or not (least > 0 and math.isfinite(least)):
            raise SpecError(
                f"--larger {text} cannot be: give parameters and what such models take, as 3e8=4 (accelerators), "
                "3e9=8x2 (8 on each of 2 hosts) or 3e9=v5p-16 (a TPU slice)"
            )
        if found["slice"]:
            chips_of(found["slice"], "--larger")
            return cls(least, slice=found["slice"])
        return cls(least, int(found["accelerators"]), int(found["hosts"] or 1))


def larger(texts: tuple[str, ...]) -> tuple[Larger, ...]:
    """All that was said, smallest first; raises SpecError where two are of the same size."""
    found = sorted((Larger.of(text) for text in texts), key=lambda one: one.N)
    for one, other in pairwise(found):
        if one.N == other.N:
            raise SpecError(f"--larger says twice what models of {one.N:g} parameters take: leave one out")
    return tuple(found)
