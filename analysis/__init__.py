"""Reading runs: fit scaling laws to any table with N, D and L, and say how sure the fit is.

from analysis import fit, read

print(fit(read("losses.csv", {"N": "params", "D": "tokens", "L": "loss"})).params)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.choices.specification import specifications as specifications
    from analysis.choices.specification_curve import curve as curve
    from analysis.classical.comparison import compare as compare
    from analysis.fitting import Fit as Fit
    from analysis.fitting import fit as fit
    from analysis.intervals.uncertainty import bootstrap as bootstrap
    from analysis.intervals.uncertainty import predict as predict
    from analysis.laws import LAWS as LAWS
    from analysis.registered.verification import verify as verify
    from scaling.table import read as read

_HOMES = {
    "compare": "analysis.classical.comparison",
    "Fit": "analysis.fitting",
    "fit": "analysis.fitting",
    "LAWS": "analysis.laws",
    "bootstrap": "analysis.intervals.uncertainty",
    "curve": "analysis.choices.specification_curve",
    "predict": "analysis.intervals.uncertainty",
    "read": "scaling.table",
    "specifications": "analysis.choices.specification",
    "verify": "analysis.registered.verification",
}
"""Where what this package exports is from; imported when it is first asked for, so that `--help` waits for nothing."""

__all__ = [
    *("LAWS", "Fit", "bootstrap", "compare", "curve", "fit", "predict", "read", "specifications", "verify"),
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
