"""A page of HTML that needs nothing beside itself: elements that escape their text, tables, figures, the template."""

from __future__ import annotations

import base64
import hashlib
import html
import itertools
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from string import Template

from analysis.notation import MISSING, interval
from analysis.pages.phrase import Phrase, Styled


class Html(str):
    """Text that is HTML already and is not escaped again; every other text is."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table: what is shown, and the key that its column is sorted by (None: missing, comes last)."""

    content: object
    key: float | str | None = None


@dataclass(frozen=True)
class Column:
    """A column's heading and kind: "number" (to the right), "label" (in one line) or "words" (may wrap)."""

    name: str
    kind: str = "number"


def escape(text: object) -> Html:
    """Text made safe between tags and in attributes; Html passes as it is, words of a phrase get their tags."""
    match text:
        case Html():
            return text
        case Styled(tag, words):
            return element(tag, words)
        case Phrase(parts):
            return joined(parts, "")
    return Html(html.escape(str(text), quote=True))


def element(tag: str, *children: object, **attributes: object) -> Html:
    """<tag attributes>children</tag>; children and values are escaped, `class_` is class, `data_key` is data-key."""
    names = ((name.rstrip("_").replace("_", "-"), value) for name, value in attributes.items())
    written = "".join(f' {name}="{escape(value)}"' for name, value in names if value is not None)
    return Html(f"<{tag}{written}>{''.join(map(escape, children))}</{tag}>")


def joined(parts: Iterable[object], separator: str = "\n") -> Html:
    """Parts, escaped, one after the other."""
    return Html(separator.join(map(escape, parts)))


def table(
    name: str,
    columns: Sequence[Column],
    rows: Iterable[Sequence[object]],
    *,
    sortable: bool = False,
    classes: Sequence[str] = (),
    row_classes: Iterable[str | None] = (),
) -> Html:
    """A table in a box of its own that scrolls sideways; `name` is what a screen reader calls it."""
    heads = [_heading(column, sortable) for column in columns]
    body = [
        element("tr", *(_cell(column, cell) for column, cell in zip(columns, row, strict=True)), class_=kind)
        for row, kind in zip(rows, itertools.chain(row_classes, itertools.repeat(None)), strict=False)
    ]
    grid = element("table", element("thead", element("tr", *heads)), element("tbody", joined(body)))
    boxes = " ".join(("scroll", *classes))
    return element("div", grid, class_=boxes, tabindex="0", role="region", aria_label=name)


def facts(name: str, pairs: Iterable[tuple[str, object]]) -> Html:
    """A table of two columns: what it is, and what it is here."""
    rows = [element("tr", element("th", key, scope="row"), element("td", value)) for key, value in pairs]
    grid = element("table", element("tbody", joined(rows)))
    return element("div", grid, class_="scroll facts", tabindex="0", role="region", aria_label=name)


def number(value: float | None, shown: str) -> Cell:
    """A cell that shows a number and sorts by its value; missing where there is none."""
    if value is None or not math.isfinite(value):
        return Cell(MISSING)
    return Cell(shown, float(value))


def span(lo: float, hi: float) -> Cell:
    """A cell that shows an interval and sorts by its lower end."""
    return Cell(interval(lo, hi), float(lo) if math.isfinite(lo) else None)


def figure(
    identity: str,
    title: str,
    caption: str,
    wide: str,
    narrow: str,
    *,
    files: Iterable[tuple[str, str]] = (),
) -> Html:
    """A figure in two shapes, for screens and for phones; wide and narrow are SVG files.

    It stays on white in the dark theme: captions name its colours, and their shades were chosen to be told apart on
    white. `files` (name, path from the page) are linked below, for slides and for what shows no SVG.
    """
    drawn = [inline_svg(wide, f"{identity}-wide", title), inline_svg(narrow, f"{identity}-narrow", title)]
    sheets = [element("div", svg, class_=kind) for svg, kind in zip(drawn, ("wide", "narrow"), strict=True)]
    return element(
        "figure",
        element("h3", title),
        element("div", *sheets, class_="sheet"),
        *_links(files),
        element("figcaption", caption),
        id=identity,
    )


def inline_svg(svg: str, prefix: str, title: str) -> Html:
    """The <svg> of a file fit for a page that holds others: its ids prefixed, no header, metadata or namespaces."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'\s(xmlns(:\w+)?|version)="[^"]*"', "", body)
    body = re.sub(r'(\sid="|url\(#|href="#)', rf"\g<1>{prefix}-", body)
    body = body.replace("xlink:href", "href")
    label = f'role="img" aria-label="{escape(title)}"'
    return Html(re.sub(r"<svg([^>]*)>", lambda m: f"<svg{m[1]} {label}>", body, count=1))


def render(title: str, body: str) -> str:
    """The whole page: one file, with style, script and figures in it and a policy that lets it load nothing."""
    parts = {name: _asset(name) for name in ("page.html", "page.css", "page.js")}
    digest = base64.b64encode(hashlib.sha256(parts["page.js"].encode()).digest()).decode()
    return Template(parts["page.html"]).substitute(
        title=escape(title), style=parts["page.css"], script=parts["page.js"], script_hash=digest, body=body
    )


def _links(files: Iterable[tuple[str, str]]) -> list[Html]:
    links = [element("a", name, href=path) for name, path in files]
    return [element("p", joined(links, " "), class_="files")] if links else []


def _heading(column: Column, sortable: bool) -> Html:
    content = element("button", column.name, type="button") if sortable else column.name
    return element(
        "th", content, scope="col", class_=column.kind or None, aria_sort="none" if sortable else None
    )


def _cell(column: Column, cell: object) -> Html:
    content, key = (cell.content, cell.key) if isinstance(cell, Cell) else (cell, None)
    return element("td", content, class_=column.kind or None, data_key=key)


def _asset(name: str) -> str:
    return resources.files("analysis.pages").joinpath(name).read_text(encoding="utf-8")
