"""The page of a status: asks for nothing, escapes all, loads itself, reads well narrow and wide, light and dark."""

import dataclasses
import re
from html.parser import HTMLParser

import pytest
from browser import CHROMIUM, Browser
from fabricated import NOW, driven, planned

from scaling.launching.status.early_fit import EarlyFit
from scaling.launching.status.page import page
from scaling.launching.status.report import Bill, Report
from scaling.launching.status.status import status_of
from scaling.launching.status.study_files import StudyReader

EARLY = EarlyFit(12, "hoffmann", "not_identified", "It may lie <anywhere>.", (1.5, 1.0, 2.0), 0.9)
VOID = {"meta", "link", "br"}


class Parser(HTMLParser):
    """Text and tags; a tag that closes another than the last opened is an error."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
def report(tmp_path):
    folder, _ = driven(tmp_path)
    found = status_of(StudyReader(folder).read(), NOW)
    return Report(found, EARLY, bill=Bill(12.5, 30.0, "USD"))


def test_the_page_says_what_the_terminal_says(report):
    words = " ".join(" ".join(Parser(page(report, NOW, 30)).words).split())
    for said in (
        "Does <b>loss</b> fall & where does it end?",
        report.progress,
        report.finished,
        report.jobs,
        "12.50 USD so far; 30.00 USD left",
        "RuntimeError: out of <memory>",
        "Traceback <script>alert(1)</script>",
        "It may lie <anywhere>.",
        "It is early, and will move as runs come in.",
        "--max-device-hours 2 would be passed",
        "2 (lost 1)",
    ):
        assert said in words, said


def test_the_page_asks_for_nothing_and_runs_nothing(report):
    text = page(report, NOW, 30)
    tags = Parser(text).tags
    assert {tag for tag, _ in tags}.isdisjoint({"script", "img", "iframe", "object", "form", "a"})
    assert [values for tag, values in tags if tag == "link"] == [{"rel": "icon", "href": "data:,"}]
    assert not re.search(r"https?:|url\(|@import|\bsrc=|\bon[a-z]+=", text)


def test_what_comes_from_files_cannot_become_markup(report):
    hostile = '"><script>x</script>'
    active = tuple(
        dataclasses.replace(job, host=hostile, phase=hostile, life=hostile) for job in report.status.active
    )
    failed = tuple(
        dataclasses.replace(job, name=hostile, log=(hostile,), log_file=hostile)
        for job in report.status.failed
    )
    status = dataclasses.replace(
        report.status, active=active, failed=failed, driver=hostile, notes=(hostile,), left_out={hostile: 1},
        question=hostile, path=hostile, tensorboard=True,
    )  # fmt: skip
    assert "<script" not in page(dataclasses.replace(report, status=status), NOW, 30)


def test_the_page_loads_itself_again_until_the_study_is_over(report):
    assert '<meta http-equiv="refresh" content="30">' in page(report, NOW, 30)
    once = page(report, NOW, 0)
    assert "refresh" not in once and "it does not follow the study, as it does with --watch" in once
    assert "does not follow" not in page(report, NOW, 30)
    over = dataclasses.replace(report, status=dataclasses.replace(report.status, over=True))
    assert "does not follow" not in page(over, NOW, 0)


def test_a_bar_is_as_wide_as_what_is_done(report):
    share = 100 * report.status.totals.share
    assert f'aria-valuenow="{share:.0f}"' in page(report, NOW, 30)
    assert f'style="width:{share:.1f}%"' in page(report, NOW, 30)


def test_the_page_of_an_untrained_study_leaves_out_what_is_not_there(tmp_path):
    folder, _ = planned(tmp_path)
    text = page(Report(status_of(StudyReader(folder).read(), NOW)), NOW, 30)
    Parser(text)
    for heading in ("Running", "Failed", "Left out", "Early fit", "Cost"):
        assert f">{heading}<" not in text
    assert text.count("waiting") == 24


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_browser_shows_it_whole_narrow_and_wide_light_and_dark(report, tmp_path):
    path = tmp_path / "status.html"
    path.write_text(page(report, NOW, 600))
    with Browser(tmp_path / "profile") as browser:
        papers = {}
        for scheme in ("light", "dark"):
            browser.like(scheme=scheme)
            browser.open(path)
            papers[scheme] = browser.run("getComputedStyle(document.body).backgroundColor")
        assert papers == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 26)"}
        assert browser.requests() in ([path.as_uri()], [path.as_uri(), "data:,"])
        for width in (400, 1400):
            browser.resize(width)
            browser.open(path)
            assert browser.run("document.documentElement.scrollWidth") <= width
            cut = "[...document.querySelectorAll('.jobs')].some(e => e.scrollWidth > e.clientWidth + 1)"
            assert not browser.run(cut), "no column is out of sight"
        assert browser.complaints() == []
