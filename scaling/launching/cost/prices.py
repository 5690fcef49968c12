"""Price tables: what an hour of a device costs. Files are data, read strictly; nothing in them is executed.

A CSV has the columns device, price_per_device_hour, currency and, if wanted, note; a JSON file is a list of objects of
these fields. Devices are named as scaling/devices.py names them, or as JAX names another kind.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.errors import UserError
from scaling.launching.cost.pace import same_kind

REQUIRED = ("device", "price_per_device_hour", "currency")
FIELDS = (*REQUIRED, "note")


@dataclass(frozen=True)
class Price:
    """Of one device, as JAX counts devices."""

    device: str
    an_hour: float
    currency: str
    note: str = ""


def read_prices(path: Path) -> tuple[Price, ...]:
    """The prices of a file, in order; raises UserError that names the file, the line or entry, and the remedy."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(
            f"the price table {path} cannot be read ({error.strerror}); name a CSV or JSON file"
        ) from None
    except UnicodeDecodeError:
        raise UserError(f"the price table {path} is no UTF-8 text; save it as CSV or JSON") from None
    rows = _json_rows(path, text) if path.suffix == ".json" else _csv_rows(path, text)
    prices: list[Price] = []
    for where, values in rows:
        price = _price(where, values)
        if any(same_kind(price.device, other.device) for other in prices):
            raise UserError(f"{where}: {price.device} is there twice; give each device one price")
        prices.append(price)
    if not prices:
        raise UserError(f"the price table {path} has no rows; it needs one a device: {','.join(FIELDS)}")
    return tuple(prices)


def price_of(device: str, prices: tuple[Price, ...], path: Path) -> Price:
    """The price of a kind of device; raises UserError that names what the table has."""
    for price in prices:
        if same_kind(price.device, device):
            return price
    there = ", ".join(price.device for price in prices)
    raise UserError(
        f"{path} has no price of {device!r}; it has {there}: add a row, or choose one with --device"
    )


def amount(money: float) -> str:
    """Money in digits: cents, or three digits where it is less than one."""
    return f"{money:,.2f}" if money >= 1 else f"{money:.3g}"


def _csv_rows(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    lines = csv.reader(io.StringIO(text), strict=True)
    header: list[str] | None = None
    try:
        for cells in lines:
            where = f"{path}, line {lines.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
                _check_fields(where, header)
            elif len(cells) != len(header):
                raise UserError(
                    f"{where}: {len(cells)} fields where the header has {len(header)}; quote a field with a comma"
                )
            else:
                yield where, dict(zip(header, (cell.strip() for cell in cells), strict=True))
    except csv.Error as error:
        raise UserError(f"{path}, line {lines.line_num} is no CSV ({error}); mend it") from None


def _json_rows(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise UserError(f"the price table {path} is not valid JSON ({error}); mend it") from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f"the price table {path} is no list of objects; give [{{{', '.join(FIELDS)}}}, ...]")
    for number, entry in enumerate(entries, 1):
        where = f"{path}, entry {number}"
        _check_fields(where, list(entry))
        yield where, entry


def _check_fields(where: str, names: list[str]) -> None:
    wrong = [name for name in names if name not in FIELDS or names.count(name) > 1]
    lacking = [name for name in REQUIRED if name not in names]
    if wrong or lacking:
        said = f"lacks {', '.join(lacking)}" if lacking else f"has {', '.join(dict.fromkeys(wrong))}"
        raise UserError(f"{where} {said}; the fields are {', '.join(FIELDS)}, the note if wanted")


def _price(where: str, values: Mapping[str, Any]) -> Price:
    device, currency, note = (values.get(name, "") for name in ("device", "currency", "note"))
    for name, value in (("device", device), ("currency", currency)):
        if not isinstance(value, str) or not value or not value.isprintable():
            raise UserError(f"{where}: {name} is {value!r}; give a name")
    given = values["price_per_device_hour"]
    try:
        price = math.nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError):
        price = math.nan
    if not (math.isfinite(price) and price >= 0):
        raise UserError(
            f"{where}: price_per_device_hour is {given!r}; give a number of {currency} an hour, with a decimal point"
        )
    return Price(device, price, currency, str(note))
