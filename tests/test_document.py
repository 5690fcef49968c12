"""A document is told once: its page and its Markdown say the same, and text from data is obeyed in neither."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from test_page import read

from analysis.pages import to_html, to_markdown
from analysis.pages.document import (
    Answer,
    Bullets,
    Details,
    Document,
    Download,
    Downloads,
    Drawing,
    Facts,
    Heading,
    Listing,
    Note,
    Paragraph,
    Section,
    Table,
    Tiles,
)  # fmt: skip
from analysis.pages.page import Cell, Column, Html, number, span
from analysis.pages.phrase import Styled, code, phrase, raised, strong

HOSTILE = (
    "<script>alert('x')</script>\" onload=\"alert(1)",
    "a | b | c\n| --- | --- |\n| d | e |",
    "`code` ``` **bold** _em_ ~~gone~~ $x^2$ [link](javascript:alert(1)) ![i](http://x/y.png)",
    "# heading\n- item\n1. one\n> quote\n---\n===",
    "&lt;b&gt; &amp;#60;img src=x onerror=alert(1)&gt; \\` \\| \\",
    "</title></svg><svg onload=alert(1)><style>*{}</style>",
    "https://example.org www.example.org <http://example.org> a@b.c",
    "    indented\tand\r\nbroken\u2028lines",
    "1. 2) + - = \u202e right to left",
)
SVG = '<svg viewBox="0 0 1 1"></svg>'
ALPHABET = st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"))
TEXTS = st.one_of(
    st.sampled_from(HOSTILE), st.text(ALPHABET, min_size=1, max_size=40), st.text("<>|`*_[]()#&\\-=$~ \nab1.")
)


def every_part(text):
    """One part of each kind, with the text wherever a text can be."""
    columns = (Column(text, "label"), Column("L"), Column("words", "words"))
    rows = [
        [text, number(1.5, "1.5"), Cell(strong(text), text)],
        [phrase(text, code(text), raised(text)), "–", span(1, 2)],
    ]
    inner = [Paragraph(text), Note(text), Note(text, urgent=True), Paragraph(text, "lead")]
    return [
        *inner,
        Heading(text),
        Table(text, columns, rows, dim=[True, False]),
        Facts(text, [(text, code(text)), ("key", text)]),
        Drawing("identity", text, text, SVG, SVG),
        Bullets([text, phrase("x", strong(text))]),
        Details(text, inner),
        Tiles([(text, text)]),
        Answer("identified", inner),
        Downloads([Download("t.csv", text, "text/csv", "ab" * 32, 3, "../t.csv", b"a,b")]),
    ]


def a_document(text):
    return Document(text, text, text, [Paragraph(text)], [Section("s", text, text, every_part(text))])


def rendered(markdown):
    """Markdown as GitHub renders it: CommonMark with tables, struck text, and links of bare addresses."""
    parser = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable(["table", "strikethrough"])
    return parser.render(markdown)


def tags(html):
    return [(tag, sorted(attributes)) for tag, attributes in read(html).tags]


def words(html):
    return " ".join("".join(read(html).text).split())


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_changes_no_tag_of_the_page_or_of_the_markdown(text):
    assert tags(to_html.document(a_document(text))) == tags(to_html.document(a_document("harmless")))
    made, harmless = (rendered(to_markdown.document(a_document(t))) for t in (text, "harmless"))
    assert [tag for tag in tags(made) if tag[0] != "code"] == [
        tag for tag in tags(harmless) if tag[0] != "code"
    ]


@given(TEXTS)
def test_any_text_is_shown_as_it_is_in_both(text):
    part = [Paragraph(phrase("before ", text, " after")), Table("t", (Column("x"),), [[phrase("x", text)]])]
    for html in (to_html.parts(part), rendered(to_markdown.parts(part))):
        seen = [tag for tag, _ in read(html).tags if tag not in ("div", "th")]
        assert seen == ["p", "table", "thead", "tr", "tbody", "tr", "td"]
        shown = words(html)
        flat = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text).split())
        assert flat in shown


@given(TEXTS)
def test_a_text_that_begins_a_line_is_no_heading_list_or_rule(text):
    for part in (Paragraph(text), Note(text)):
        made = [tag for tag, _ in read(rendered(to_markdown.part(part))).tags]
        assert made in (["p"], ["blockquote", "p"], ["blockquote"], [])


def test_the_page_and_the_markdown_say_the_same():
    made = a_document("some words")
    page, markdown = words(to_html.document(made)), words(rendered(to_markdown.document(made)))
    for told in ("some words", "1.5", "1.0 to 2.0", "ab" * 32):
        assert told in page and told in markdown
    assert page.count("some words") >= markdown.count("some words") >= 20


def test_a_listing_is_as_it_was_given_in_both():
    lines = ["python -m x 'a b' <c>", "```", "| & |"]
    for html in (to_html.part(Listing(lines)), rendered(to_markdown.part(Listing(lines)))):
        reader = read(html)
        assert [tag for tag, _ in reader.tags] == ["pre", "code"]
        assert "".join(reader.text).strip() == "\n".join(lines)


def test_figures_of_the_markdown_are_files_beside_it():
    text = to_markdown.part(Drawing("loss", "Loss & more", "See [this].", SVG, SVG))
    assert "(figures/loss.png)" in text and "(figures/loss.svg)" in text
    (image,) = [attributes for tag, attributes in read(rendered(text)).tags if tag == "img"]
    assert image == {"src": "figures/loss.png", "alt": "Loss & more"}


def test_links_of_the_contents_lead_to_github_anchors():
    made = Document("t", "", "t", [], [Section("s", "fit", "The fit, and its intervals: E & α!", [])])
    assert "[fit](#the-fit-and-its-intervals-e--%CE%B1)" in to_markdown.document(made)


def test_a_file_too_large_to_carry_is_linked_beside_the_page():
    file = Download("t.csv", "runs", "text/csv", "ab" * 32, 5_000_000, "../a b.csv")
    assert 'href="../a%20b.csv"' in to_html.part(Downloads([file])) and "5 MB" in to_html.part(
        Downloads([file])
    )
    assert "(../a%20b.csv)" in to_markdown.part(Downloads([file]))


def test_html_of_pages_made_before_passes_both_as_it_is():
    assert to_html.part(Html("<p>x</p>")) == to_markdown.part(Html("<p>x</p>")) == "<p>x</p>"


@pytest.mark.parametrize("render", [to_html.part, to_markdown.part])
def test_what_is_no_part_is_refused_by_its_kind(render):
    with pytest.raises(TypeError, match="a str is no part"):
        render("bare text")


def test_styles_are_a_closed_set():
    with pytest.raises(ValueError, match="'script'"):
        Styled("script", "alert(1)")


def test_a_decimal_number_is_written_as_it_is_wherever_it_stands():
    tiles = Tiles([("Best loss", "1.086"), ("Runs", "14. of them")])
    made = Document("t", "a", "h", [tiles, Paragraph("14.7 months"), Bullets(["2.5 nats"])], [])
    text = to_markdown.document(made)
    for shown in ("- Best loss: **1.086**", "**14. of them**", "\n14.7 months", "\n- 2.5 nats"):
        assert shown in text


@pytest.mark.parametrize("text", ["1. one", "2) two", "3.", "12.\tmonths"])
def test_a_number_that_would_begin_a_list_does_not(text):
    read_back = MarkdownIt().render(to_markdown.document(Document("t", "a", "h", [Paragraph(text)], [])))
    assert "<ol" not in read_back and f"<p>{' '.join(text.split())}</p>" in read_back
