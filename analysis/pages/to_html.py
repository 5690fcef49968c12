"""A document as a page of HTML that needs nothing beside itself."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from urllib.parse import quote

from analysis import notation
from analysis.pages import document as doc
from analysis.pages import page
from analysis.pages.page import Html, element, joined

MOST_ROWS = 20
"""Of a table shown whole; longer ones scroll under their headings."""


def document(made: doc.Document) -> str:
    """The whole page."""
    title = [element("p", made.above, class_="study"), element("h1", made.heading)]
    links = joined((element("a", part.short, href=f"#{part.identity}") for part in made.sections), " · ")
    contents = element("nav", links, aria_label="Contents")
    return page.render(made.title, joined([*title, parts(made.lead), contents, *map(section, made.sections)]))


def section(made: doc.Section) -> Html:
    """A section under its heading."""
    return element("section", element("h2", made.heading, id=made.identity), parts(made.parts))


def parts(several: Iterable[doc.Part]) -> Html:
    """Parts, one below the other."""
    return joined(map(part, several))


def part(one: doc.Part) -> Html:
    """A part as HTML; every text in it is escaped."""
    match one:
        case Html():
            return one
        case doc.Paragraph(text, kind):
            return element("p", text, class_=kind or None)
        case doc.Note(text, urgent):
            return element("p", text, class_="note flag" if urgent else "note")
        case doc.Heading(text):
            return element("h3", text)
        case doc.Table():
            return _table(one)
        case doc.Facts(name, pairs):
            return page.facts(name, pairs)
        case doc.Drawing():
            return _drawing(one)
        case doc.Listing(lines):
            return element("pre", element("code", "\n".join(lines)))
        case doc.Bullets(items):
            return element("ul", *(element("li", item) for item in items))
        case doc.Details(summary, inner):
            return element("details", element("summary", summary), parts(inner))
        case doc.Tiles(pairs):
            tiles = [element("div", element("dt", name), element("dd", value)) for name, value in pairs]
            return element("dl", *tiles, class_="tiles")
        case doc.Answer(tone, inner):
            return element("div", parts(inner), class_=f"answer {tone}")
        case doc.Downloads(files):
            return element("ul", *map(_download, files), class_="downloads")
    raise TypeError(f"a {type(one).__name__} is no part of a document")


def _table(made: doc.Table) -> Html:
    return page.table(
        made.name,
        made.columns,
        made.rows,
        sortable=len(made.rows) > 1,
        classes=("tall",) if made.tall or len(made.rows) > MOST_ROWS else (),
        row_classes=["out" if dim else None for dim in made.dim],
    )


def _drawing(made: doc.Drawing) -> Html:
    files = [(kind.upper(), f"{made.folder}/{made.identity}.{kind}") for kind in ("png", "svg")]
    return page.figure(made.identity, made.title, made.caption, made.wide, made.narrow, files=files)


def _download(file: doc.Download) -> Html:
    if file.content is None:
        link = element("a", file.name, href=quote(file.beside))
        said = f"{file.what}, {notation.size(file.size)}, beside this page; SHA-256 "
    else:
        data = f"data:{file.kind};base64,{base64.b64encode(file.content).decode()}"
        link = element("a", file.name, href=data, download=file.name)
        said = f"{file.what}, {notation.size(file.size)}; SHA-256 "
    return element("li", link, " – ", said, element("code", file.sha256))
