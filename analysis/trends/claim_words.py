"""What is said of a claim, in sentences: the verdict, what other versions say, what holds between breaks."""

from __future__ import annotations

import math
from collections.abc import Sequence

from analysis.trends import dates
from analysis.trends.claims import Claim, Judged
from analysis.trends.models import Window
from analysis.trends.trend import Trend
from analysis.trends.words import factor, rate


def claim_short(one: Judged) -> str:
    """The verdict on a claim, and whether one rate describes the years that it is about."""
    main = one.headline
    text = f'The claim "{one.claim.text}" is {main.verdict} (it holds with probability {chance(main.probability)})'
    return f"{text}, but one rate does not describe these years." if one.stretches else f"{text}."


def claim_line(one: Judged) -> str:
    """The same with the rate that it is held to."""
    trend = one.headline.trend
    asked_growth = one.claim.kind == "growth" and trend.growth[0] > 1
    found = f"{factor(*trend.growth)}" if asked_growth else rate(trend.doubling, trend.growth)
    return f"{claim_short(one)} One line through all models gives {found}{_side(one.claim, trend)}."


def _side(claim: Claim, trend: Trend) -> str:
    """On which side of what is claimed a trend lies; nothing where it lies within."""
    slow, fast = claim.slopes
    slope = math.log10(trend.growth[0])
    if slow <= slope <= fast:
        return ""
    return ", slower than claimed" if slope < slow else ", faster than claimed"


def claim_rest(one: Judged) -> str:
    """What other versions and windows say of a claim, and how the segments between breaks were chosen."""
    text = "All versions of the trend agree."
    if one.dissenting:
        verdicts = dict.fromkeys(answer.verdict for answer in one.dissenting)
        text = " ".join(_dissent(one, verdict) for verdict in verdicts)
    if one.stretches:
        told = [
            f"{s.verdict} from {dates.month(s.segment.begin)} to {dates.month(s.segment.end)} "
            f"(probability {chance(s.probability)})" for s in one.stretches
        ]  # fmt: skip
        text += (
            f" Between the breaks it is {listed(told)}; these were chosen after the data were seen, so such a verdict "
            "counts for less."
        )
    return text


def _dissent(one: Judged, verdict: str) -> str:
    told = [
        f"{_named(a.trend)} (probability {chance(a.probability)})" for a in one.dissenting if a.verdict == verdict
    ]  # fmt: skip
    return f"It is {verdict} for {listed(told)}."


def _named(trend: Trend) -> str:
    """'records by Huber', 'all models by OLS since 2018-01-01'."""
    window = trend.window.words()
    return f"{trend.version} by {trend.method}{'' if window == Window().words() else f' {window}'}"


def listed(items: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def chance(probability: float) -> str:
    """A probability: '0.46', 'below 0.001'."""
    if probability < 0.001:
        return "below 0.001"
    if probability > 0.999:
        return "above 0.999"
    if probability < 0.1:
        return f"{probability:.2g}"
    return f"{probability:.3f}" if probability > 0.99 else f"{probability:.2f}"
