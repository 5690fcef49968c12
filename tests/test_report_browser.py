"""A report in a real browser: it loads from disk alone, shows every figure, sorts, changes its theme, tells values of
points, and hands out its files byte for byte."""

import hashlib
import json
import time

import pytest
from browser import CHROMIUM, Browser
from test_report import FIGURES, HOSTILE, OPTIONS, make_study, quiet

from analysis.pages.report import write_report

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed"),
]

VISIBLE = """[...document.querySelectorAll("figure")].map((figure) => {
  const shown = [...figure.querySelectorAll(".sheet svg")].filter((svg) => svg.getBoundingClientRect().width > 0);
  const box = shown[0].getBoundingClientRect();
  return [figure.id, shown.length, shown[0].parentNode.className, box.left >= 0 && box.right <= innerWidth];
})"""
COLUMN = """[...document.querySelectorAll(".tall tbody tr")].map((row) => row.children[%d].dataset.key)"""
SPOT = """(async () => {
  const spots = [...document.querySelectorAll("#loss_by_compute svg .spots circle")];
  const spot = spots.find((one) => one.getBoundingClientRect().width > 0);
  spot.scrollIntoView({ block: "center" });
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const box = spot.getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2, spot.getAttribute("aria-label")];
})()"""
TIP = """(() => { const tip = document.getElementById("tip"); return tip.hidden ? null : tip.textContent; })()"""
PAPER = "getComputedStyle(document.body).backgroundColor"
WHITE, DARK = "rgb(255, 255, 255)", "rgb(20, 23, 26)"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write_report(make_study(tmp_path_factory.mktemp("study")), OPTIONS, say=quiet)


@pytest.fixture(scope="module")
def one_browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(one_browser, page):
    one_browser.resize(1400)
    one_browser.like()
    one_browser.open(page)
    one_browser.run("localStorage.clear()")
    one_browser.open(page)
    yield one_browser
    assert one_browser.complaints() == []


def centre(browser, selector):
    """Where the first element of a selector is, after scrolling to it."""
    return browser.run(
        f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}}); "
        "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
    )


def test_it_loads_from_disk_and_asks_for_nothing_else(browser, page):
    asked = [address for address in browser.requests() if not address.startswith("data:")]
    assert asked == [page.as_uri()]
    assert browser.complaints() == []


@pytest.mark.parametrize(("width", "shape"), [(400, "narrow"), (1400, "wide")])
def test_every_figure_is_seen_whole_and_nothing_overflows(browser, width, shape):
    browser.resize(width)
    assert browser.run(VISIBLE) == [[name, 1, shape, True] for name in FIGURES]
    assert browser.run("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


def test_a_heading_sorts_numbers_by_value_with_missing_ones_last_and_then_the_other_way(browser):
    place = browser.run(
        """[...document.querySelectorAll(".tall th")].findIndex((head) => head.textContent.startsWith("L "))"""
    )
    for sign in (1, -1):
        browser.click(*centre(browser, f".tall th:nth-child({place + 1}) button"))
        keys = browser.run(COLUMN % place)
        assert keys[-1] is None, "the diverged run has no loss"
        values = [sign * float(key) for key in keys[:-1]]
        assert values == sorted(values) and len(set(values)) > 5
    head = browser.run(f"""document.querySelector(".tall th:nth-child({place + 1})").ariaSort""")
    assert head == "descending"


def test_every_table_of_several_rows_can_be_sorted_by_the_keyboard(browser):
    assert browser.run("""[...document.querySelectorAll("table")].every((table) => !table.tHead ||
        table.tBodies[0].rows.length < 2 || table.tHead.querySelectorAll("button").length > 1)""")
    browser.run("""document.querySelector(".tall th button").focus()""")
    browser.ask("Input.dispatchKeyEvent", type="keyDown", key="Enter", text="\r", windowsVirtualKeyCode=13)
    names = browser.run(COLUMN % 0)
    assert browser.run("""document.querySelector(".tall th").ariaSort""") == "ascending" and HOSTILE in names


def test_the_theme_follows_the_system_until_it_is_chosen_and_the_choice_is_kept(browser, page):
    assert browser.run(PAPER) == WHITE
    browser.like(scheme="dark")
    assert browser.run(PAPER) == DARK
    for theme, paper in (("light", WHITE), ("dark", DARK), ("auto", DARK), ("light", WHITE)):
        browser.click(*centre(browser, "#theme"))
        assert browser.run("""document.getElementById("theme").textContent""") == f"Theme: {theme}"
        assert browser.run(PAPER) == paper
    browser.open(page)
    assert browser.run(PAPER) == WHITE
    browser.like("print", "dark")
    assert browser.run(PAPER) == WHITE, "paper is white"


def test_where_nothing_may_be_stored_the_theme_still_changes(browser, page):
    refuse = "Object.defineProperty(window, 'localStorage', { get() { throw new Error('refused'); } });"
    script = browser.ask("Page.addScriptToEvaluateOnNewDocument", source=refuse)["identifier"]
    browser.open(page)
    browser.click(*centre(browser, "#theme"))
    assert browser.run("document.documentElement.dataset.theme") == "light"
    browser.ask("Page.removeScriptToEvaluateOnNewDocument", identifier=script)


def test_on_paper_no_table_is_cut_off_and_what_only_a_screen_can_use_is_left_out(browser):
    browser.resize(700)
    browser.like("print")
    assert browser.run("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    hidden = """["#theme", "nav", ".files"].every((name) => !document.querySelector(name).getClientRects().length)"""
    assert browser.run(hidden)
    assert [shape for _, _, shape, _ in browser.run(VISIBLE)] == ["wide"] * len(FIGURES)


@pytest.mark.parametrize("width", [400, 1400])
def test_a_point_tells_its_run_under_the_pointer_and_only_there(browser, width):
    browser.resize(width)
    x, y, words = browser.run(SPOT)
    assert browser.run(TIP) is None
    browser.move(x + 2, y - 2)
    told = browser.run(TIP)
    assert told == words
    assert "parameters" in told and "tokens" in told and "FLOPs" in told and "nats per token" in told
    box = browser.run(
        """(() => { const b = document.getElementById("tip").getBoundingClientRect();
        return b.left >= 0 && b.right <= innerWidth && b.top >= 0 && b.bottom <= innerHeight; })()"""
    )
    assert box
    browser.move(2, 2)
    assert browser.run(TIP) is None


def test_points_are_one_stop_of_the_tabulator_and_arrows_go_between_them(browser):
    stops = browser.run("""[...document.querySelectorAll(".spots")].every((group) =>
        [...group.children].filter((spot) => spot.tabIndex === 0).length === 1)""")
    assert stops
    browser.run(
        f"""(() => {{ {SPOT}; document.querySelector("#loss_by_compute .wide .spots circle").focus(); }})()"""
    )
    first = browser.run(TIP)
    browser.press("ArrowRight")
    second = browser.run(TIP)
    assert first and second and first != second
    browser.press("ArrowLeft")
    assert browser.run(TIP) == first
    browser.press("Escape")
    assert browser.run(TIP) is None


@pytest.mark.parametrize("name", ["table.csv", "fit.json", "limit.json"])
def test_a_file_is_saved_from_the_page_byte_for_byte(browser, page, tmp_path, name):
    browser.ask("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    browser.click(*centre(browser, f'.downloads a[download="{name}"]'))
    until = time.monotonic() + 30
    while not (tmp_path / name).is_file() and time.monotonic() < until:
        time.sleep(0.05)
    content = (page.parent.parent / name).read_bytes()
    assert (tmp_path / name).read_bytes() == content
    assert hashlib.sha256(content).hexdigest() in browser.run(
        """document.querySelector(".downloads").textContent"""
    )


def test_without_its_script_the_page_still_shows_titles_of_points_and_every_figure(browser, page):
    browser.ask("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(page)
    browser.ask("Emulation.setScriptExecutionDisabled", value=False)
    assert browser.run("""document.querySelectorAll(".spots title").length""") > 10
    assert browser.run("""document.getElementById("theme").hidden""")
