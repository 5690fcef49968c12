"""Dates as years with a fraction, which is what a Monte Carlo adds and averages, and back in words."""

from __future__ import annotations

import calendar
import datetime
import math

from analysis.errors import InputError

FIRST, LAST = 1950.0, 2500.0
"""Years between which a date is taken for one."""


def year_of(date: datetime.date) -> float:
    """A day as a year with a fraction: 2 July 2026 is 2026.4986."""
    days = 366 if calendar.isleap(date.year) else 365
    return date.year + (date.timetuple().tm_yday - 1) / days


def parse(name: str, given: object) -> float:
    """The year that a number (2026.5) or an ISO date ("2026-07-01", "2026-07") names; InputError for what names none.

    `name` is what the date is of.
    """
    year = _number(given)
    if year is None and isinstance(given, str):
        text = f"{given}-01" if given.count("-") == 1 else given
        try:
            year = year_of(datetime.date.fromisoformat(text))
        except ValueError:
            year = None
    if year is None or not FIRST <= year <= LAST:
        raise InputError(
            f"{name} is {given!r}, which is no date; write a year such as 2026.5 or a day such as 2026-07-01"
        )
    return year


def month(year: float) -> str:
    """'Jul 2026', the month in which a date lies, by the day that is nearest."""
    whole = math.floor(year)
    days = 366 if calendar.isleap(whole) else 365
    day = datetime.date(whole, 1, 1) + datetime.timedelta(days=round((year - whole) * days))
    return f"{calendar.month_abbr[day.month]} {day.year}"


def _number(given: object) -> float | None:
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return None
    try:
        return float(given)
    except ValueError:
        return None
