"""A report says what the fit says, needs nothing beside itself, and is not made from a table edited after its fit."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from test_page import read

from analysis import record
from analysis.errors import InputError
from analysis.options import Options
from analysis.pages import answer, methods, report, to_html
from analysis.pages.findings import find
from analysis.pages.report import write_limit, write_report
from analysis.source import Source, open_source
from scaling import table as tables

HOSTILE = "<script>alert('gotcha')</script>\"><img src=x onerror=alert(1)> $x^2$"
OPTIONS = Options(replicates=40)
FIGURES = (
    "loss_by_compute",
    "loss_by_parameters",
    "predicted_and_observed",
    "profile_of_floor",
    "fan",
)


def loss(N, D):
    return 0.9 + 40 / N**0.35 + 90 / D**0.35


def make_study(folder, sizes=(1e4, 3e4, 1e5, 3e5), budgets=(2.5e5, 1e6, 4e6)):
    """A study folder as training leaves it: one run diverged, one name hostile, logs of every trunk and branch."""
    rng = np.random.default_rng(0)
    rows = []
    for n in sizes:
        trunk = f"{int(n):012x}"
        write_log(folder / f"trunk-{trunk}", n, np.linspace(0.02, 0.8, 30) * budgets[-1])
        for d in budgets:
            run = f"{int(n + d):012x}"
            measured = {"L": loss(n, d) * np.exp(0.01 * rng.standard_normal()), "L_se": 0.02, "bpb": 2.0}
            rows.append(
                {
                    "run_id": run,
                    "name": f"w{n:g}-{d:g}",
                    "trunk_id": trunk,
                    "N": n,
                    "D": d,
                    "C": 60 * n**0.9 * d,
                }
            )
            rows[-1] |= {
                "corpus": "python_stdlib",
                "corpus_sha256": "ab" * 32,
                "device_seconds": 2.0,
                "status": "done",
            }
            rows[-1] |= {"C_spent": 30 * n**0.9 * d, "trunk_device_seconds": 5.0} | measured
            write_log(folder / run, n, np.linspace(0.82, 1.0, 6) * d)
            write_result(folder / run, run, None)
    rows[0]["name"] = HOSTILE
    rows.append(
        rows[-1] | {"run_id": "deadbeef0000", "name": "lost", "L": None, "L_se": None, "status": "diverged"}
    )
    write_result(folder / "deadbeef0000", "deadbeef0000", {"step": 17, "part": "decay branch"})
    study = {"name": "small", "question": f"Is it safe? {HOSTILE}", "runs": [{}] * (len(rows) + 1)}
    (folder / "study.json").write_text(json.dumps(study) + "\n")
    tables.write(rows, folder / "table.csv")
    return folder


def write_log(folder, n, tokens):
    folder.mkdir()
    records = [{"step": i, "tokens": t, "loss": 1.02 * loss(n, t)} for i, t in enumerate(tokens)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))


def write_result(folder, run_id, diverged):
    folder.mkdir(exist_ok=True)
    result = {"run_id": run_id, "diverged": diverged, "versions": {"jax": "0.10.2"}}
    (folder / "result.json").write_text(json.dumps(result))


def quiet(_):
    pass


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = make_study(tmp_path_factory.mktemp("study"))
    page = write_report(folder, OPTIONS, say=quiet)
    return folder, page.read_text()


@pytest.fixture
def copied(made, tmp_path):
    return shutil.copytree(made[0], tmp_path / "study")


@pytest.fixture
def undrawn(monkeypatch):
    monkeypatch.setattr(report, "save_figure", lambda figure, folder: ("<svg></svg>", "<svg></svg>"))


def test_a_report_leaves_the_page_the_figures_the_fit_and_the_limit(made):
    folder, _ = made
    figures = {path.name for path in (folder / "report" / "figures").iterdir()}
    assert figures == {f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg")}
    fit, limit = (json.loads((folder / name).read_text()) for name in ("fit.json", "limit.json"))
    assert fit["table_sha256"] == limit["table_sha256"] == tables.sha256(folder / "table.csv")
    assert limit["verdict"] == fit["identification"]["verdict"]
    assert {path.suffix for path in folder.rglob("*.tmp")} == set()


def test_the_page_loads_nothing(made):
    _, text = made
    told = re.sub(r'<script>.*?</script>|href="data:[^"]*"', "", text, flags=re.DOTALL)
    assert not re.search(r"https?://|//[a-z]", told)
    for tag, attributes in read(text).tags:
        assert tag not in ("img", "iframe", "object", "embed", "audio", "video", "base")
        assert "src" not in attributes
        link = attributes.get("href", "#")
        assert link.startswith(("#", "figures/", "data:")), "what is linked lies beside the page"
    assert len(text) < 5_000_000


def test_every_figure_is_on_the_page_in_both_shapes_with_a_caption(made):
    _, text = made
    tags = read(text).tags
    assert [attributes["id"] for tag, attributes in tags if tag == "figure"] == list(FIGURES)
    assert sum(tag == "svg" for tag, _ in tags) == 2 * len(FIGURES)
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", text, re.DOTALL)
    assert len(captions) == len(FIGURES) and all(caption.endswith(".") for caption in captions)
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'(?:url\(#|href="#)([^")]*)', text))
    assert used <= set(ids)


def test_hostile_names_are_shown_and_not_obeyed(made):
    folder, text = made
    reader = read(text)
    assert sum(tag == "script" for tag, _ in reader.tags) == 1
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
    assert HOSTILE in "".join(reader.text)
    for svg in (folder / "report" / "figures").glob("*.svg"):
        assert "<script" not in svg.read_text()


def test_runs_that_were_not_fitted_are_on_the_page_with_their_reason(made):
    _, text = made
    (row,) = re.findall(r'<tr class="out">(.*?)</tr>', text, re.DOTALL)
    assert "lost" in row and "diverged at step 17 of its decay branch" in row
    assert "12 of the 14 runs" in text


def test_the_page_holds_the_numbers_of_the_fit(made):
    folder, text = made
    fit = record.read(folder / "fit.json")
    words = "".join(read(text).text)
    assert fit.table_sha256 in words and "ab" * 32 in words and "jax 0.10.2" in words
    assert fit.identification["reason"] in words
    assert "How far to trust it" in words and "python -m analysis report" in words
    assert str(folder) not in words and str(folder.parent) not in words, "no folders of this machine"


@pytest.mark.parametrize("verdict", ["identified", "bounded_above_only", "not_identified"])
def test_the_verdict_leads_and_a_floor_that_was_not_earned_is_no_number(copied, undrawn, verdict):
    fit = record.read(copied / "fit.json")
    lied = fit.identification | {
        "verdict": verdict,
        "reason": "Because.",
        "E": 0.77123,
        "lo": 0.7654,
        "hi": 0.7876,
    }
    record.write(replace(fit, identification=lied), copied / "fit.json")
    text = write_report(copied, OPTIONS, say=quiet).read_text()
    lead = re.search(r'class="answer (\w+)"><p class="lead">(.*?)</p>', text)
    assert lead[1] == verdict
    assert lead[2] == answer.lead(lied)
    assert ("0.771" in text) == (verdict == "identified")
    assert ("0.788" in lead[2]) == (verdict != "not_identified")
    claimed = json.loads((copied / "limit.json").read_text())["E"]["value"]
    assert claimed == (0.77123 if verdict == "identified" else None)


def test_a_table_edited_after_its_fit_is_refused_by_both_hashes(copied, undrawn):
    table, before = copied / "table.csv", tables.sha256(copied / "table.csv")
    table.write_text(table.read_text().replace("diverged", "Diverged"))
    with pytest.raises(InputError) as error:
        write_report(copied, OPTIONS, say=quiet)
    for part in (before, tables.sha256(table), "--refit"):
        assert part in str(error.value)
    write_report(copied, OPTIONS, refit=True, say=quiet)
    assert record.read(copied / "fit.json").table_sha256 == tables.sha256(table)


def test_a_fit_of_this_table_and_these_options_is_used_and_any_other_is_made_again(copied):
    source, said = open_source(copied), []
    before = (copied / "fit.json").read_bytes()
    fit, boot, _ = find(source, OPTIONS, copied / "fit.json", say=said.append)
    assert said == ["using fit.json: it is of this table and these options"]
    assert (copied / "fit.json").read_bytes() == before
    assert boot.as_dict()["standard_errors"] == fit.bootstrap["standard_errors"]
    other, *_ = find(source, replace(OPTIONS, seed=1), copied / "fit.json", say=quiet)
    assert other.params == fit.params and other.intervals != fit.intervals


def test_too_few_rows_give_a_page_without_a_fit_that_says_why(tmp_path):
    (tmp_path / "few").mkdir()
    folder = make_study(tmp_path / "few", sizes=(1e4,))
    text = write_report(folder, OPTIONS, say=quiet).read_text()
    assert "3 of 4 rows can be fitted, and the law hoffmann has 5 parameters" in text
    assert not (folder / "fit.json").exists() and not (folder / "limit.json").exists()
    assert [path.name for path in (folder / "report/figures").glob("*.svg")] == ["loss_by_compute.svg"]
    with pytest.raises(InputError, match="3 of 4 rows"):
        write_limit(folder, OPTIONS, say=quiet)


def test_a_bare_table_gets_its_own_folder_and_6nd(tmp_path, undrawn):
    N, D = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e6, 1e9, 4), np.geomspace(1e8, 1e11, 4)))
    path = tmp_path / "theirs.csv"
    pd.DataFrame({"params": N, "D": D, "L": loss(N, D)}).to_csv(path, index=False)
    page = write_report(path, replace(OPTIONS, columns=("N=params",)), say=quiet)
    assert page == tmp_path / "theirs-report" / "report" / "index.html"
    words = "".join(read(page.read_text()).text)
    assert "column params of the table" in words and "6 N D: the table has no column C" in words
    assert "python -m analysis report theirs.csv --columns N=params --replicates 40" in words
    content = write_limit(
        tmp_path / "theirs-report" / "fit.json", replace(OPTIONS, columns=("N=params",)), say=quiet
    )
    assert content[1] == tmp_path / "theirs-report" / "limit.json"


def test_a_folder_that_cannot_be_written_is_one_sentence(made, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="--out"):
        write_report(made[0], OPTIONS, out=tmp_path / "file", say=quiet)


def test_the_command_line_reports_and_refuses(copied):
    def run(*words):
        command = [sys.executable, "-m", "analysis", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = run("limit", str(copied), "--replicates", "40", "--at", "1e15")
    assert done.returncode == 0 and "C = 10¹⁵" in done.stdout
    refused = run("report", str(copied), "--level", "2")
    assert refused.returncode == 2 and refused.stderr.startswith("error: level is 2")
    assert "Traceback" not in refused.stderr


def test_conventions_name_the_column_that_the_table_has():
    fit = SimpleNamespace(
        conventions={"N": "column params of the table"}, renamed={"N": "params", "D": "tokens"}
    )
    found = SimpleNamespace(fit=fit, forecast=SimpleNamespace(track=SimpleNamespace(cost=None)))
    html = to_html.part(methods.conventions(Source(Path("table.csv"), pd.DataFrame(), ""), found))
    assert "column tokens of the table, as it came" in html


def test_the_markdown_says_what_the_page_says_and_shows_the_figures_as_files(made):
    folder, text = made
    markdown = (folder / "report" / "report.md").read_text()
    html = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown)
    told = read(html)
    page = read(text)
    headings = [re.findall(r"<h2[^>]*>(.*?)</h2>", shown) for shown in (text, html)]
    assert headings[0] == headings[1] and len(headings[0]) > 6
    assert [tag for tag, _ in page.tags].count("tr") == [tag for tag, _ in told.tags].count("tr") - no_heads(
        page
    )
    images = [attributes["src"] for tag, attributes in told.tags if tag == "img"]
    assert images == [f"figures/{name}.png" for name in FIGURES]
    links = [attributes["href"] for tag, attributes in told.tags if tag == "a"]
    for link in [*images, *(link for link in links if not link.startswith("#"))]:
        assert (folder / "report" / link).is_file()
    assert not {"script", "svg", "iframe"} & {tag for tag, _ in told.tags}
    assert HOSTILE in "".join(told.text) and str(folder) not in markdown


def no_heads(page):
    """Tables of facts, which have a line of headings in Markdown alone, where every table has one."""
    tables = [
        attributes for tag, attributes in page.tags if tag == "div" and "facts" in attributes.get("class", "")
    ]
    return len(tables)


def test_the_page_carries_the_table_and_the_records_byte_for_byte(made):
    folder, text = made
    carried = dict(re.findall(r'href="data:[\w/]+;base64,([^"]*)" download="([^"]*)"', text))
    found = {name: base64.b64decode(content) for content, name in carried.items()}
    assert found == {name: (folder / name).read_bytes() for name in ("table.csv", "fit.json", "limit.json")}
    for content in found.values():
        assert hashlib.sha256(content).hexdigest() in text


def test_the_methods_box_says_how_it_was_made(made):
    folder, text = made
    fit, words = record.read(folder / "fit.json"), "".join(read(text).text)
    box = words[words.index("Methods and data") :]
    for told in (
        "hoffmann, tied, coupled, shifted, stretched", "the Huber loss of log residuals", "δ = ", "40 refits",
        fit.table_sha256, "ab" * 32, "Python 3.", "numpy ", "jax 0.10.2", "python -m scaling run", "cross-entropy",
        "C = 60 · N0.9 · D", f"{fit.rows} fitted, 1 left out", "Coverage",
    ):  # fmt: skip
        assert told in box, told


def test_hostile_columns_files_and_runs_are_shown_and_not_obeyed(tmp_path, undrawn):
    N, D = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e6, 1e9, 4), np.geomspace(1e8, 1e11, 4)))
    column = "<script>alert(1)</script>|`**"
    names = [f"{HOSTILE}|`{place}`\n# x" for place in range(16)]
    path = tmp_path / "a'<b>|`$x$`&quot;.csv"
    pd.DataFrame({column: N, "D": D, "L": loss(N, D), "run_id": names}).to_csv(path, index=False)
    page = write_report(
        path, replace(OPTIONS, columns=(f"N={column}",), coverage=0, admit=("hoffmann",)), say=quiet
    )
    text = read(page.read_text())
    markdown = read(MarkdownIt("commonmark").enable("table").render((page.parent / "report.md").read_text()))
    assert sum(tag == "script" for tag, _ in text.tags) == 1
    for reader in (text, markdown):
        assert not {"b", "svg:script", "h1 x"} & {tag for tag, _ in reader.tags}
        assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
        assert column in "".join(reader.text) and HOSTILE in "".join(reader.text)
    assert not any(tag == "script" for tag, _ in markdown.tags)
    assert all(
        attributes["href"].startswith(("#", "data:", "figures/"))
        for tag, attributes in text.tags
        if tag == "a"
    )


@pytest.mark.parametrize(("losses", "measured"), [([3.0], 1), ([None], 0)], ids=["one row", "no loss"])
def test_a_table_that_cannot_be_fitted_gives_a_page_that_says_so(tmp_path, losses, measured):
    path = tmp_path / "small.csv"
    pd.DataFrame({"N": [1e6], "D": [1e8], "L": losses, "C": [6e14]}).to_csv(path, index=False)
    page = write_report(path, OPTIONS, say=quiet)
    words = "".join(read(page.read_text()).text)
    assert f"{measured} of 1 rows can be fitted" in words and "There is no answer yet" in words
    assert ("Nothing was measured that could be drawn" in words) == (measured == 0)
    assert len(list((page.parent / "figures").iterdir())) == 2 * measured
    assert not re.search(r"\bnan\b", words.lower())


def test_a_table_without_rows_is_refused_in_one_sentence(tmp_path):
    path = tmp_path / "none.csv"
    path.write_text("N,D,L\n")
    with pytest.raises(tables.TableError, match="holds no rows"):
        write_report(path, OPTIONS, say=quiet)


def test_a_fit_whose_intervals_were_not_measured_says_so(tmp_path, undrawn):
    N, D = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e6, 1e9, 4), np.geomspace(1e8, 1e11, 4)))
    path = tmp_path / "t.csv"
    pd.DataFrame({"N": N, "D": D, "L": loss(N, D)}).to_csv(path, index=False)
    words = "".join(
        read(
            write_report(path, replace(OPTIONS, coverage=0, admit=("hoffmann",)), say=quiet).read_text()
        ).text
    )
    assert "not measured: intervals are as the bootstrap claims" in words
