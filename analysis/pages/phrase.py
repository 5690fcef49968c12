"""Words in a line of which some are strong, code or raised; each renderer writes them in its own way."""

from __future__ import annotations

from dataclasses import dataclass

TAGS = ("strong", "code", "sup", "sub")


@dataclass(frozen=True)
class Styled:
    """Text in one style: "strong", "code", "sup" or "sub"."""

    tag: str
    text: object

    def __post_init__(self) -> None:
        if self.tag not in TAGS:
            raise ValueError(f"text in a line is one of {', '.join(TAGS)}, not {self.tag!r}")


@dataclass(frozen=True)
class Phrase:
    """Texts, styled or not, one after the other."""

    parts: tuple[object, ...]


def strong(text: object) -> Styled:
    """Text that stands out."""
    return Styled("strong", text)


def code(text: object) -> Styled:
    """Text as a machine reads it: a hash, a command."""
    return Styled("code", text)


def raised(text: object) -> Styled:
    """An exponent."""
    return Styled("sup", text)


def phrase(*parts: object) -> Phrase:
    """Parts in one line."""
    return Phrase(parts)
