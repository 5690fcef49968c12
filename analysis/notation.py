"""How numbers are written for people: on axes, in tables, in sentences."""

from __future__ import annotations

import math

MISSING = "–"
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def count(number: float, digits: int = 3) -> str:
    """Parameters or tokens in `digits` figures with K, M, B or T: 4194304 is '4.19M'."""
    if not math.isfinite(number):
        return MISSING
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        scaled = float(f"{number:.{digits}g}") / size
        if 1 <= scaled < 1000:
            return f"{plain(scaled, digits)}{letter}"
    return plain(number, digits)


def plain(number: float, digits: int = 3) -> str:
    """A number in `digits` figures: '0.0123', '1.5', '12,300'; a power of ten where zeros would not be read."""
    if not math.isfinite(number):
        return MISSING
    if number != 0 and not 1e-4 <= abs(number) < 1e6:
        return power(number, digits)
    rounded = float(f"{number:.{digits}g}")
    decimals = max(digits - 1 - _exponent(rounded), 0)
    text = f"{rounded:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def power(number: float, digits: int = 3) -> str:
    """A number as a multiple of a power of ten: 1858045022208 is '1.86 × 10¹²', 1000 is '10³'."""
    if not math.isfinite(number):
        return MISSING
    if number == 0:
        return "0"
    mantissa, exponent = f"{number:.{digits - 1}e}".split("e")
    tens = "10" + str(int(exponent)).translate(SUPERSCRIPT)
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return tens if mantissa == "1" else f"{mantissa} × {tens}"


def times(factor: float) -> str:
    """A factor: '0.5×', '12×', '1,000×', '4 × 10⁹ ×'."""
    if not math.isfinite(factor):
        return MISSING
    return f"{plain(factor, 2)}×" if factor < 1e6 else f"{power(factor, 1)} ×"


def percent(share: float, digits: int = 2) -> str:
    """A share in per cent, with a space that no line breaks at: 0.0231 is '2.3 %'."""
    return f"{plain(100 * share, digits)}\N{NO-BREAK SPACE}%" if math.isfinite(share) else MISSING


def change(share: float) -> str:
    """A relative change in per cent with its sign: -0.0231 is '−2.3 %'."""
    if not math.isfinite(share):
        return MISSING
    return f"{100 * share:+.1f}\N{NO-BREAK SPACE}%".replace("-", "−")


def decimals(lo: float, hi: float) -> int:
    """Decimals that show an interval's width in two figures, at most 4."""
    width = hi - lo
    if not math.isfinite(width) or width <= 0:
        return 3
    return min(max(1 - _exponent(width), 0), 4)


def interval(lo: float, hi: float) -> str:
    """'1.77 to 1.87', with the decimals that the width deserves, or figures where the numbers are large."""
    if max(abs(lo), abs(hi)) >= 1000:
        return f"{plain(lo)} to {plain(hi)}"
    places = decimals(lo, hi)
    return f"{fixed(lo, places)} to {fixed(hi, places)}"


def estimate(value: float, lo: float, hi: float) -> str:
    """A value in the decimals of its interval."""
    return plain(value) if abs(value) >= 1000 else fixed(value, decimals(lo, hi))


def fixed(number: float, places: int) -> str:
    """A number with so many decimals."""
    return f"{number:,.{places}f}" if math.isfinite(number) else MISSING


def duration(seconds: float) -> str:
    """A length of time in the unit that reads best: '43 s', '5.1 min', '2.3 h', '12 days'."""
    for size, unit in ((86400.0 * 2, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{plain(seconds / (86400.0 if unit == 'days' else size), 2)} {unit}"
    return f"{plain(seconds, 2)} s"


def size(count_of_bytes: float) -> str:
    """A number of bytes: '820 bytes', '16.5 kB', '1.2 MB' (thousands, not 1024s)."""
    for unit, name in ((1e6, "MB"), (1e3, "kB")):
        if count_of_bytes >= unit:
            return f"{plain(count_of_bytes / unit)} {name}"
    return f"{plain(count_of_bytes)} bytes"


def _exponent(number: float) -> int:
    return math.floor(math.log10(abs(number))) if number else 0
