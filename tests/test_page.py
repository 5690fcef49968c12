"""A page needs nothing beside itself, and text from data stays text."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from analysis.pages import page

HOSTILE = "<script>alert('x')</script>\" onload=\"alert(1)&amp;"


class Reader(HTMLParser):
    """Tags and text as a browser sees them; unbalanced tags raise."""

    VOID = frozenset({"meta", "link", "br", "img", "path", "use"})

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert not reader.open
    return reader


PLACES = {
    "text": lambda t: page.element("p", t),
    "attribute": lambda t: page.element("p", "words", title=t),
    "cell": lambda t: page.table("runs", [page.Column("run")], [[page.Cell(t, t)]], sortable=True),
    "name of a table": lambda t: page.table(t, [page.Column(t)], [["x"]]),
    "fact": lambda t: page.facts("facts", [(t, t)]),
    "caption": lambda t: page.figure("f", t, t, "<svg></svg>", "<svg></svg>"),
    "title of the page": lambda t: page.render(t, "<p></p>"),
}


@pytest.mark.parametrize("make", PLACES.values(), ids=PLACES)
def test_hostile_text_stays_text(make):
    harmless = read(make("words")).tags
    made = read(make(HOSTILE)).tags
    assert [tag for tag, _ in made] == [tag for tag, _ in harmless]
    assert [set(attributes) for _, attributes in made] == [set(attributes) for _, attributes in harmless]


def test_html_is_escaped_once():
    assert page.element("p", page.element("b", "a & b")) == "<p><b>a &amp; b</b></p>"


def test_a_page_loads_nothing_and_runs_its_own_script_alone():
    text = page.render("title", page.element("p", "body"))
    assert not re.search(r"https?:", text)
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    assert "default-src 'none'" in text


def test_two_figures_on_a_page_share_no_id():
    svg = (
        '<?xml version="1.0"?><!DOCTYPE svg PUBLIC "x" "http://x"><svg xmlns="http://x" xmlns:xlink="http://y" '
        'viewBox="0 0 1 1"><metadata><a href="http://z"/></metadata><defs><path id="m"/></defs>'
        '<g clip-path="url(#m)"><use xlink:href="#m"/></g></svg>'
    )
    text = page.figure("loss", "Loss", "words", svg, svg)
    ids = re.findall(r'\sid="([^"]*)"', text)
    assert len(ids) == len(set(ids)) == 3
    assert set(re.findall(r'(?:url\(#|href="#)([^")]*)', text)) <= set(ids)
    assert "http" not in text


def test_missing_numbers_sort_last_and_show_a_dash():
    assert page.number(float("nan"), "nan") == page.Cell("–", None)
    assert page.number(None, "None") == page.Cell("–", None)
    assert page.number(2.0, "2.0").key == 2.0
