"""Records: frozen dataclasses that hold their fields to their types, and their canonical JSON."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import hashlib
import json
import math
import types
import typing
from dataclasses import field
from typing import Any, Literal, TypeVar

from scaling.errors import UserError

T = TypeVar("T")


PLAIN = (int, float, str, bool)


class SpecError(UserError):
    """A spec that cannot be run: the message names field, value and remedy."""


def later(default: T) -> T:
    """A field that came after the first release: absent from the canonical JSON at its default."""
    return field(default=default, metadata={"later": True})


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def to_json(spec: Any) -> str:
    """Canonical JSON of a Model, Data, Optim, Run or Study."""
    return canonical(plain(spec))


def from_json(cls: type[T], text: str) -> T:
    """The spec of type `cls` in a JSON text; raises SpecError that names the field, nothing is executed."""
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise SpecError(f"the spec is not valid JSON ({error}); mend it or build it with to_json") from None
    return typing.cast(T, _parse(cls, values, cls.__name__))


def plain(value: Any) -> Any:
    """A spec as plain dictionaries, lists and numbers; without the `later` fields that are at their default."""
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if not dataclasses.is_dataclass(value):
        return value
    kept = {}
    for name, came_later, default in _entries(type(value)):  # type: ignore[arg-type]  # a class is hashable
        content = getattr(value, name)
        if not (came_later and content == default):
            kept[name] = content if type(content) in PLAIN else plain(content)
    return kept


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    """The types of a class's fields; a study of 10,000 runs asks for those of the same few classes."""
    return typing.get_type_hints(kind)


@functools.cache
def _entries(kind: Any) -> tuple[tuple[str, bool, Any], ...]:
    """Name, whether it came `later`, and default of each field of a dataclass."""
    return tuple(
        (entry.name, bool(entry.metadata.get("later")), entry.default) for entry in dataclasses.fields(kind)
    )


def _parse(kind: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(kind)
    if dataclasses.is_dataclass(kind):
        return _parse_dataclass(kind, value, where)
    if origin is tuple:
        require(isinstance(value, list), where, value, "give a list")
        return tuple(_parse(typing.get_args(kind)[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if origin is Literal:
        require(value in typing.get_args(kind), where, value, f"use one of {typing.get_args(kind)}")
        return value
    if kind is float and type(value) is int:
        return float(value)
    assert isinstance(kind, type) and not isinstance(kind, types.UnionType)
    require(type(value) is kind, where, value, f"give a value of type {kind.__name__}")
    return value


def _parse_dataclass(kind: Any, value: Any, where: str) -> Any:
    require(isinstance(value, dict), where, value, f"give an object with the fields of {kind.__name__}")
    hints = _hints(kind)
    for name in value:
        if name not in hints:
            near = difflib.get_close_matches(name, hints, n=1)
            meant = f"did you mean {near[0]!r}? " if near else ""
            raise SpecError(
                f"{where} has no field {name!r} (value {value[name]!r}): {meant}fields: {', '.join(hints)}"
            )
    for entry in dataclasses.fields(kind):
        required = entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING
        if required and entry.name not in value:
            raise SpecError(f"{where} lacks the field {entry.name!r}: give it a value")
    return kind(**{name: _parse(hints[name], v, f"{where}.{name}") for name, v in value.items()})


def check_types(spec: Any) -> None:
    """Hold every plain field to its declared type, so that equal specs have equal hashes; a float may be given as 1."""
    hints = _hints(type(spec))  # type: ignore[arg-type]  # a class is hashable
    for entry in dataclasses.fields(spec):
        kind, value = hints[entry.name], getattr(spec, entry.name)
        where = f"{type(spec).__name__}.{entry.name}"
        if kind in (int, float, str, bool) or typing.get_origin(kind) is Literal:
            object.__setattr__(spec, entry.name, _parse(kind, value, where))
        elif dataclasses.is_dataclass(kind):
            assert isinstance(kind, type)
            require(isinstance(value, kind), where, value, f"give a {kind.__name__}")
        elif typing.get_origin(kind) is tuple:
            inner = typing.get_args(kind)[0]
            whole = isinstance(value, tuple) and all(isinstance(item, inner) for item in value)
            require(whole, where, value, f"give a tuple of {inner.__name__}s")


def require(holds: bool, name: str, value: Any, remedy: str) -> None:
    """Raise SpecError that names the field, its value and the remedy, unless `holds`."""
    if not holds:
        raise SpecError(f"{name} = {value!r} cannot be: {remedy}")


def require_positive(owner: str, name: str, value: float) -> None:
    """Raise SpecError unless the value is a finite number above zero."""
    require(value > 0 and math.isfinite(value), f"{owner}.{name}", value, "use a number above zero")


def short_hash(text: str) -> str:
    """Twelve hexadecimal digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
