"""Dates of publication as years with a fraction, the x of every trend, and back."""

from __future__ import annotations

import datetime
import math
import re

from analysis.errors import InputError
from analysis.walls import calendar_date

_FORM = re.compile(r"(\d{4})-(\d{1,2})(?:-(\d{1,2}))?(?:[T ]00:00:00.*)?")

year = calendar_date.year_of
"""2020-07-01 as 2020.4973: years of calendars, so that 1 January is a whole number."""


def parse(text: str) -> datetime.date:
    """The date of '2020-05-28', or the 15th of '2020-05'; raises ValueError for anything else."""
    found = _FORM.fullmatch(text.strip())
    if not found:
        raise ValueError(text)
    year, month, day = found.groups()
    return datetime.date(int(year), int(month), int(day or 15))


def option(text: str, name: str) -> datetime.date:
    """A date given as an option; raises InputError with the form that is read."""
    try:
        return parse(text)
    except ValueError:
        raise InputError(f"--{name} {text!r} is no date; write it as 2018-01-31 or 2018-01") from None


def date(year: float) -> datetime.date:
    """The day of a year with a fraction."""
    first = datetime.date(math.floor(year), 1, 1)
    days = (datetime.date(first.year + 1, 1, 1) - first).days
    return first + datetime.timedelta(days=round((year - first.year) * days))


def month(year: float) -> str:
    """'2020-05' of a year with a fraction."""
    return date(year).strftime("%Y-%m")
