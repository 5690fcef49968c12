"""What a report says, before it is written: sections of parts, each told once and rendered as HTML and as Markdown.

A feature adds a section by a function that returns parts and by one line where the report lists its sections:

    def section(found) -> list[Part]:
        wide, narrow = report.save_figure(figure, folder)
        return [
            Paragraph("What was asked and found, with its interval."),
            Drawing(figure.name, figure.title, figure.caption, wide, narrow),
            Table("Walls", (Column("Wall", "label"), Column("Year")), [["data", number(2031.4, "2031")]]),
        ]

    Section("walls", "walls", "Which wall comes first", section(found))

Parts hold plain text, never markup: a renderer escapes all of it. Words that stand out come from `phrase`. A part may
also be `page.Html`, which both renderers pass on as it is (Markdown holds HTML), for pages made before this.
A page of its own is a `Document`, written by `to_html.document` and `to_markdown.document`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from analysis.pages.page import Cell, Column, Html


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of text; `kind` "lead" is the sentence to be read if no other is."""

    text: object
    kind: str = ""


@dataclass(frozen=True)
class Note:
    """A remark that qualifies what stands around it; urgent: the reader must not miss it."""

    text: object
    urgent: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under named columns, which a reader can sort; `name` is what a screen reader calls it.

    `dim` marks rows that do not count, e.g. runs left out of the fit. A tall table scrolls under its headings.
    """

    name: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell | object]]
    dim: Sequence[bool] = ()
    tall: bool = False


@dataclass(frozen=True)
class Facts:
    """Pairs of what it is and what it is here."""

    name: str
    pairs: Sequence[tuple[str, object]]


@dataclass(frozen=True)
class Drawing:
    """A figure that was drawn: SVG files for screens (wide) and phones (narrow), and its files in report/figures."""

    identity: str
    title: str
    caption: str
    wide: str
    narrow: str
    folder: str = "figures"
    """Where IDENTITY.png and IDENTITY.svg lie, relative to the page."""


@dataclass(frozen=True)
class Listing:
    """Lines as a machine reads them, e.g. commands."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Bullets:
    """Items of equal rank."""

    items: Sequence[object]


@dataclass(frozen=True)
class Details:
    """Parts that are folded away under a summary."""

    summary: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Tiles:
    """The few numbers that a reader takes away: what it is, and what it is here."""

    pairs: Sequence[tuple[str, object]]


@dataclass(frozen=True)
class Answer:
    """What was found, in a box; `tone` is the verdict, by which the box is coloured."""

    tone: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    text: str


@dataclass(frozen=True)
class Download:
    """A file that the page carries in itself, to be saved from it; `beside` is where it lies relative to the page.

    Without `content` it is too large to carry, and the page links to the file beside it.
    """

    name: str
    what: str
    kind: str
    """Its media type, e.g. text/csv."""
    sha256: str
    size: int
    """Bytes."""
    beside: str
    content: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Downloads:
    """Files to be saved."""

    files: Sequence[Download]


Part = (
    Paragraph | Note | Heading | Table | Facts | Drawing | Listing | Bullets | Details | Tiles | Answer | Downloads
    | Html
)  # fmt: skip


@dataclass(frozen=True)
class Section:
    """A part of the page: where links lead, its name in the list of contents, its heading, what is in it."""

    identity: str
    short: str
    heading: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Document:
    """A page: its title, what stands above the title, the heading, what leads, and the sections."""

    title: str
    above: str
    heading: str
    lead: Sequence[Part]
    sections: Sequence[Section]
