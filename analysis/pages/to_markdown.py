"""A document as Markdown (GitHub's), with its figures as images beside it, for a repository to show."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from analysis import notation
from analysis.pages import document as doc
from analysis.pages.page import Cell, Column, Html
from analysis.pages.phrase import Phrase, Styled

_SPECIAL = re.compile(r"([\\`*_\[\]|~$#^])")
_LINE_START = re.compile(r"^(\s*)([-+=]|\d+(?=[.)](?:\s|$)))")
"""What begins a list, a rule or a heading: of numbers 1. and 1) before a space, not 1.086."""
_PLAIN_CODE = re.compile(r"[\w ./:=,+-]+")


def document(made: doc.Document) -> str:
    """The whole text; it ends with a line break."""
    contents = " · ".join(f"[{inline(part.short)}](#{_anchor(part.heading)})" for part in made.sections)
    blocks = [block(made.above), f"# {inline(made.heading)}", parts(made.lead), contents]
    return "\n\n".join([*blocks, *map(section, made.sections)]) + "\n"


def section(made: doc.Section) -> str:
    """A section under its heading."""
    return f"## {inline(made.heading)}\n\n{parts(made.parts)}"


def parts(several: Iterable[doc.Part]) -> str:
    """Parts with a free line between them."""
    return "\n\n".join(map(part, several))


def part(one: doc.Part) -> str:
    """A part as Markdown; every text in it is escaped."""
    match one:
        case Html():
            return one
        case doc.Paragraph(text, kind):
            return f"**{inline(text).strip()}**" if kind == "lead" else block(text)
        case doc.Note(text, urgent):
            return f"> {f'**{inline(text).strip()}**' if urgent else block(text)}"
        case doc.Heading(text):
            return f"### {inline(text)}"
        case doc.Table(_, columns, rows):
            return _table(columns, rows)
        case doc.Facts(_, pairs):
            return _table((Column("", "label"), Column("", "words")), [list(pair) for pair in pairs])
        case doc.Drawing():
            return _drawing(one)
        case doc.Listing(lines):
            return _listing(lines)
        case doc.Bullets(items):
            return "\n".join(f"- {block(item)}" for item in items)
        case doc.Details(summary, inner):
            head = html.escape(" ".join(summary.split()))
            return f"<details><summary>{head}</summary>\n\n{parts(inner)}\n\n</details>"
        case doc.Tiles(pairs):
            return "\n".join(f"- {block(name)}: **{inline(value).strip()}**" for name, value in pairs)
        case doc.Answer(_, inner):
            return parts(inner)
        case doc.Downloads(files):
            return "\n".join(map(_download, files))
    raise TypeError(f"a {type(one).__name__} is no part of a document")


def inline(text: object) -> str:
    """Text within a line: what Markdown or HTML would obey is escaped, line breaks are spaces."""
    match text:
        case Html():
            return re.sub(r"\s*\n\s*", " ", text).replace("|", "&#124;")
        case Phrase(several):
            return "".join(map(inline, several))
        case Styled("code", word) if _PLAIN_CODE.fullmatch(str(word)):
            return f"`{word}`"
        case Styled(tag, words):
            return f"<{tag}>{inline(words)}</{tag}>"
    flat = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", str(text))
    shown = _SPECIAL.sub(r"\\\1", html.escape(flat, quote=False))
    return re.sub(r"(?i)(https?|ftp|mailto):", r"\1&#58;", shown).replace("www.", "www&#46;")


def block(text: object) -> str:
    """As `inline`, where it begins a line: neither a heading, a list nor a rule."""
    return _LINE_START.sub(_harmless, inline(text).strip())


def _harmless(found: re.Match[str]) -> str:
    mark = found[2]
    return f"{found[1]}\\{mark}" if not mark.isdigit() else f"{mark}\\"


def _anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return quote(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-"))


def _table(columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> str:
    heads = [inline(column.name) for column in columns]
    rules = ["--:" if column.kind == "number" else ":--" for column in columns]
    body = [[inline(cell.content if isinstance(cell, Cell) else cell) for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in [heads, rules, *body])


def _drawing(made: doc.Drawing) -> str:
    path = f"{quote(made.folder)}/{quote(made.identity)}"
    image = f"![{inline(made.title)}]({path}.png)"
    return f"### {inline(made.title)}\n\n{image}\n\n{block(made.caption)} ([SVG]({path}.svg))"


def _listing(lines: Sequence[str]) -> str:
    text = "\n".join(line for given in lines for line in given.splitlines())
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def _download(file: doc.Download) -> str:
    where = quote(file.beside, safe="/.-_")
    return f"- [{inline(file.name)}]({where}): {inline(file.what)}, {notation.size(file.size)}; SHA-256 `{file.sha256}`"
