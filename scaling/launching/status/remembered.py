"""What files said when they were last read: asked again only where something says that they were written since."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from scaling.storage import pooled

T = TypeVar("T")


class Remembered(Generic[T]):
    """Answers by name; `read` gives one, and is called for many names at a time."""

    def __init__(self, read: Callable[[str], T]) -> None:
        self._read = read
        self._known: dict[str, tuple[object, T]] = {}
        self.changed: frozenset[str] = frozenset()
        """Names that were read at the last look."""

    def look(self, stamps: Mapping[str, object]) -> dict[str, T]:
        """The answers of these names, in their order: those read again whose stamp is another than it was."""
        stale = [
            name for name, stamp in stamps.items() if name not in self._known or self._known[name][0] != stamp
        ]
        new = dict(zip(stale, pooled(self._read, stale), strict=True))
        self._known = {
            name: (stamp, new[name]) if name in new else self._known[name] for name, stamp in stamps.items()
        }
        self.changed = frozenset(stale)
        return {name: answer for name, (_, answer) in self._known.items()}
