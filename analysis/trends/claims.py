"""Stated claims of growth, e.g. "params doubling 3..6 months", and what the trends say of them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.errors import InputError
from analysis.trends.segments import Segment
from analysis.trends.trend import FEWEST_ORGANIZATIONS, LOG2, Trend

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"
SURE = 0.95
"""A claim is supported from this probability on, and contradicted below 1 minus it."""
RULE = (
    f"supported where the probability that the growth lies in the claimed range is at least {SURE}, contradicted "
    f"where it is at most {1 - SURE:.2f}, else undecided; undecided too where fewer than {FEWEST_ORGANIZATIONS} "
    "organisations made the models, whose resampling does not tell how far the rate may be off"
)
GRAMMAR = (
    "QUANTITY doubling LO..HI months (or years), or QUANTITY growth LO..HI x a year, where QUANTITY is params, tokens "
    'or compute, e.g. "params doubling 3..6 months"'
)
QUANTITY = {
    **dict.fromkeys(("params", "parameters", "parameter"), "parameters"),
    **dict.fromkeys(("tokens", "token", "data"), "tokens"),
    **dict.fromkeys(("compute", "flops", "flop"), "compute"),
}
_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"
_RANGE = rf"{_NUMBER}\s*(?:\.\.|to|-|–)\s*{_NUMBER}"
_DOUBLING = re.compile(rf"(\w+)\s+doubling\s+(?:every\s+|in\s+)?{_RANGE}\s*(months?|years?)", re.IGNORECASE)
_GROWTH = re.compile(rf"(\w+)\s+growth\s+{_RANGE}\s*(?:x|times|×)?\s*(?:a|per)\s+year", re.IGNORECASE)
_SINGLE = re.compile(rf"\w+\s+(?:doubling|growth)\s+\D*{_NUMBER}\D*", re.IGNORECASE)


@dataclass(frozen=True)
class Claim:
    """That a quantity doubles in, or grows by, something between lo and hi; as a range of slopes in decades a year."""

    text: str
    quantity: str
    kind: str
    """"doubling" (lo, hi are months) or "growth" (factors a year)."""
    lo: float
    hi: float

    @property
    def slopes(self) -> tuple[float, float]:
        """The range of slopes, in decades a year."""
        if self.kind == "doubling":
            return 12 * LOG2 / self.hi, 12 * LOG2 / self.lo
        return math.log10(self.lo), math.log10(self.hi)

    @property
    def months(self) -> tuple[float, float]:
        """The range of doubling times; infinite where no growth is in it."""
        slow, fast = self.slopes
        return 12 * LOG2 / fast if fast > 0 else math.inf, 12 * LOG2 / slow if slow > 0 else math.inf


@dataclass(frozen=True)
class Answer:
    """What one trend says of a claim."""

    trend: Trend
    probability: float
    verdict: str


@dataclass(frozen=True)
class Stretch:
    """What one segment between breaks says of a claim."""

    segment: Segment
    probability: float
    verdict: str


@dataclass(frozen=True)
class Judged:
    """A claim with the answer of every version of the trend; the first is the headline, whatever it says."""

    claim: Claim
    answers: tuple[Answer, ...]
    stretches: tuple[Stretch, ...] = ()
    """The segments between breaks that the test found, which were chosen after the data were seen."""

    @property
    def headline(self) -> Answer:
        """All models by least squares."""
        return self.answers[0]

    @property
    def dissenting(self) -> tuple[Answer, ...]:
        """Versions with another verdict than the headline."""
        return tuple(one for one in self.answers if one.verdict != self.headline.verdict)


def parse(text: str) -> Claim:
    """The claim of a text; raises InputError with the grammar where there is none in it."""
    claim = " ".join(text.split())
    doubles, grows = _DOUBLING.fullmatch(claim), _GROWTH.fullmatch(claim)
    found, kind = doubles or grows, "doubling" if doubles else "growth"
    if found is None:
        if _SINGLE.fullmatch(claim) and ".." not in claim:
            raise InputError(
                f"--claim {text!r} names one value, which no trend has exactly; give a range: {GRAMMAR}"
            )
        raise InputError(f"--claim {text!r} is not understood; write {GRAMMAR}")
    name, lo, hi = found[1].lower(), float(found[2]), float(found[3])
    if name not in QUANTITY:
        raise InputError(f"--claim {text!r} is of {found[1]!r}, which is no quantity here; write {GRAMMAR}")
    scale = 12.0 if doubles and doubles[4].lower().startswith("year") else 1.0
    if not 0 < lo < hi:
        raise InputError(
            f"--claim {text!r} has no range from a smaller to a larger number above 0; write {GRAMMAR}"
        )
    return Claim(claim, QUANTITY[name], kind, lo * scale, hi * scale)


def judge(claim: Claim, trends: Sequence[Trend], segments: Sequence[Segment] = ()) -> Judged:
    """The verdict by every version of the quantity's trend, the first being the headline, and in every segment."""
    answers = tuple(_answer(claim, trend) for trend in trends)
    few = answers[0].trend.few
    return Judged(claim, answers, tuple(_stretch(claim, segment, few) for segment in segments))


def _stretch(claim: Claim, segment: Segment, few: bool) -> Stretch:
    probability = segment.probability(*claim.slopes)
    return Stretch(segment, probability, UNDECIDED if few else verdict(probability))


def _answer(claim: Claim, trend: Trend) -> Answer:
    probability = trend.probability(*claim.slopes)
    return Answer(trend, probability, UNDECIDED if trend.few else verdict(probability))


def verdict(probability: float) -> str:
    """The verdict by `RULE`."""
    if probability >= SURE:
        return SUPPORTED
    return CONTRADICTED if probability <= 1 - SURE + 1e-12 else UNDECIDED
