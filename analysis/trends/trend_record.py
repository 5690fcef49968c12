"""The content of trends.json: every number with its interval, null for what is infinite or not known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from analysis.trends import dates
from analysis.trends.breaks import Break
from analysis.trends.calendar import Calendar
from analysis.trends.claims import RULE, Judged
from analysis.trends.segments import Tail
from analysis.trends.study import Quantity, Study
from analysis.trends.trend import Missing, Trend, require_horizon


def as_dict(found: Study, horizon: float, calendar: Calendar | None = None) -> dict[str, Any]:
    """For JSON; raises InputError where a trend cannot be carried on to the horizon."""
    for one in found.quantities:
        for trend in (*one.versions, *one.windows):
            require_horizon(f"the trend of {one.name} by {trend.version}", trend, horizon)
        for broken in (one.breaks.first, one.breaks.second):
            if broken is not None:
                require_horizon(f"the last segment of {one.name}", broken.tail, horizon)
    table, sampling = found.table, found.asked.sampling
    content: dict[str, Any] = {
        "rows": table.rows,
        "left_out": table.left_out,
        "window": found.asked.window.words(),
        "level": sampling.level,
        "replicates": sampling.replicates,
        "seed": sampling.seed,
        "headline": "all models, OLS",
        "quantities": {one.name: _quantity(one, found, horizon) for one in found.quantities},
        "absent": [_missing(one) for one in found.absent],
        "claims": [_judged(one) for one in found.judged],
        "rule": RULE,
    }
    return content | ({"calendar": _calendar(calendar)} if calendar else {})


def _quantity(one: Quantity, found: Study, horizon: float) -> dict[str, Any]:
    return {
        "models_without": found.table.without[one.name],
        "versions": [_trend(trend, horizon) for trend in one.versions],
        "windows": [_trend(trend, horizon) for trend in one.windows],
        "missing": [_missing(missing) for missing in one.missing],
        "breaks": _breaks(one, horizon),
    }


def _trend(one: Trend, horizon: float) -> dict[str, Any]:
    at = np.array([one.last, horizon])
    value, lo, hi = (10.0**part for part in one.at(at))
    below, above = (10.0**part for part in one.new_model(at))
    return {
        "version": one.version,
        "method": one.method,
        "window": one.window.words(),
        "models": len(one.series),
        "organizations": one.series.units,
        "effective_clusters": one.effective,
        "resampled": f"{one.units} {one.clusters}",
        "doubling_months": _three(one.doubling),
        "growth_a_year": _three(one.growth),
        "few": one.few,
        "one_sided": one.one_sided,
        "range_without_one": _ends(one.range_without_one),
        "rests_on_one": one.rests_on_one,
        "spread_decades": one.spread,
        "at": [
            {
                "date": dates.date(year).isoformat(),
                "extrapolated_years": max(year - one.last, 0.0),
                "trend": _three((float(value[i]), float(lo[i]), float(hi[i]))),
                "new_model": {"lo": float(below[i]), "hi": float(above[i])},
            }
            for i, year in enumerate(at.tolist())
        ],
    }


def _breaks(one: Quantity, horizon: float) -> dict[str, Any]:
    found, last = one.breaks, one.headline.last
    return {
        "reason": found.reason,
        "first": _break(found.first, last, horizon),
        "second": _break(found.second, last, horizon),
        "p_one_against_none": found.first.p if found.first else None,
        "p_two_against_one": found.second.p if found.second else None,
        "p_two_against_none": found.two_against_none,
        "told": len(found.found.dates) if found.found else 0,
    }


def _break(one: Break | None, last: float, horizon: float) -> dict[str, Any] | None:
    if one is None:
        return None
    return {
        "dates": [
            {"date": dates.date(at).isoformat(), "lo": dates.date(lo).isoformat(), "hi": dates.date(hi).isoformat()}
            for at, (lo, hi) in zip(one.dates, one.intervals, strict=True)
        ],
        "F": one.F,
        "p": one.p,
        "significant": one.significant,
        "at_edge": one.at_edge,
        "fragile": one.fragile,
        "fragile_reason": one.fragile_reason,
        "forecast": _forecast(one.tail, last, horizon),
        "segments": [
            {
                "begin": dates.date(part.begin).isoformat(),
                "end": dates.date(part.end).isoformat(),
                "models": part.models,
                "doubling_months": _three(part.doubling),
                "growth_a_year": _three(part.growth),
                "falls": part.falls,
            }
            for part in one.segments
        ],
    }  # fmt: skip


def _forecast(one: Tail, last: float, horizon: float) -> dict[str, Any]:
    """The last segment carried on to the horizon."""
    at = np.array([horizon])
    below, above = (float(10.0 ** part[0]) for part in one.new_model(at))
    return {
        "date": dates.date(horizon).isoformat(),
        "extrapolated_years": max(horizon - last, 0.0),
        "trend": _three([10.0 ** part[0] for part in one.at(at)]),
        "new_model": {"lo": below, "hi": above},
    }


def _judged(one: Judged) -> dict[str, Any]:
    return {
        "claim": one.claim.text,
        "quantity": one.claim.quantity,
        "verdict": one.headline.verdict,
        "probability": one.headline.probability,
        "versions": [
            {
                "version": answer.trend.version,
                "method": answer.trend.method,
                "window": answer.trend.window.words(),
                "probability": answer.probability,
                "verdict": answer.verdict,
            }
            for answer in one.answers
        ],
        "segments": [
            {
                "begin": dates.date(part.segment.begin).isoformat(),
                "end": dates.date(part.segment.end).isoformat(),
                "probability": part.probability,
                "verdict": part.verdict,
            }
            for part in one.stretches
        ],
    }


def _calendar(found: Calendar) -> dict[str, Any]:
    return {
        "law": found.law.name,
        "table": found.law.table,
        "verdict": found.law.verdict,
        "largest_run": found.law.forecast.largest,
        "trend": f"{found.trend.version}, {found.trend.method}",
        "level": found.level,
        "scenario": found.scenario.as_dict() if found.scenario else None,
        "walls": {
            one.name: _three((one.value, one.lo, one.hi)) | {"probability": one.probability}
            for one in found.walls
        },
        "years": [
            {
                "date": dates.date(year).isoformat(),
                "compute": _three(found.compute[:, i]),
                "L": _three(found.loss[:, i]),
                "extrapolation": float(found.reach[i]),
                "after_last_model": bool(found.beyond[i]),
                "worth_most": {name: float(weight[i]) for name, weight in found.binding.items()},
            }
            for i, year in enumerate(found.years.tolist())
        ],
    }


def _missing(one: Missing) -> dict[str, str]:
    return {"quantity": one.quantity, "version": one.version, "method": one.method, "reason": one.reason}


def _ends(found: tuple[float, float] | None) -> dict[str, float | None] | None:
    return {name: _number(end) for name, end in zip(("lo", "hi"), found, strict=True)} if found else None


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _three(values: Any) -> dict[str, float | None]:
    value, lo, hi = map(_number, values)
    return {"value": value, "lo": lo, "hi": hi}
