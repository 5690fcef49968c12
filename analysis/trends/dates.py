"""Dates as years with a fraction, the x of every trend: 2020-07-01 is 2020.4976."""

from __future__ import annotations

import datetime
import re

from analysis.errors import InputError

YEAR = 365.2425
"""Days of a mean year."""
EPOCH = datetime.date(2000, 1, 1)
_FORM = re.compile(r"(\d{4})-(\d{1,2})(?:-(\d{1,2}))?(?:[T ]00:00:00.*)?")


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


def year(date: datetime.date) -> float:
    """Years since the year 0, 365.2425 days each, counted from 2000-01-01."""
    return 2000.0 + (date - EPOCH).days / YEAR


def date(year: float) -> datetime.date:
    """The day of a year with a fraction."""
    return EPOCH + datetime.timedelta(days=round((year - 2000.0) * YEAR))


def month(year: float) -> str:
    """'2020-05' of a year with a fraction."""
    return date(year).strftime("%Y-%m")
