"""Folders of text: what a document is, that every one is found once, and that what is wrong is named."""

import gzip
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from scaling.data import census, corpora, shards, spans, text, workers
from scaling.data.corpora import prepare
from scaling.data.rows import prepare_rows
from scaling.data.sources import CorpusError, LargeSource, Source
from scaling.data.splits import SPLITS, split_of
from scaling.data.stdlib import fingerprint
from scaling.data.text import TextFolder
from scaling.spec import Data

ROOT = Path(__file__).parents[1]


def texts(count, seed=0):
    chance = random.Random(seed)
    return [
        f"{i} " + " ".join(chance.choices(["ab", "é", "cde", "\t"], k=chance.randrange(60)))
        for i in range(count)
    ]


def write(folder: Path, name: str, content: bytes) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return str(path)


def write_parquet(path: Path, column: list, name: str = "text", group: int = 50) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table({name: column}), path, row_group_size=group)


def json_lines(documents) -> bytes:
    return "".join(json.dumps({"id": 1, "text": text}) + "\n" for text in documents).encode()


def found(path, by_line=False):
    return [text.decode() for part in TextFolder(str(path), by_line).parts() for _, text in part.documents()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of every kind of file, 500 distinct documents, 110 of them in two files."""
    folder, documents = tmp_path_factory.mktemp("text"), texts(500)
    for i, document in enumerate(documents[:100]):
        write(folder, f"plain/{i:03d}.txt", document.encode())
    write(folder, "notes.md.gz", documents[100].encode())
    write(folder, "a.jsonl", json_lines(documents[90:250]))
    write(folder, "b.jsonl.gz", json_lines(documents[250:400]))
    write_parquet(folder / "deep/er/c.parquet", documents[300:])
    write(folder, "picture.png", b"\xff")
    write(folder, ".hidden/secret.txt", b"hidden")
    return folder


@pytest.fixture
def small_parts(monkeypatch):
    """Parts, runs and shards of a few hundred bytes, so that little text goes the way of much."""
    monkeypatch.setattr(text, "PART_BYTES", 700)
    monkeypatch.setattr("scaling.data.runs.RUN_BYTES", 300)
    monkeypatch.setattr(shards, "SHARD_BYTES", 2000)
    monkeypatch.setattr("scaling.data.packing.TASK_BYTES", 1000)


# What a document is.


def test_every_file_line_and_row_is_a_document_named_after_its_place(tmp_path):
    write(tmp_path, "a.txt", b"one\ntwo\n")
    write(tmp_path, "b.md.gz", b"three")
    write(tmp_path, "c.jsonl", b'{"text": "four"}\n\n{"text": "five", "n": 5}')
    write_parquet(tmp_path / "d.parquet", ["six", "seven"])
    (part,) = TextFolder(str(tmp_path)).parts()
    assert list(part.documents()) == [
        ("a.txt", b"one\ntwo\n"),
        ("b.md.gz", b"three"),
        ("c.jsonl@0", b"four"),
        ("c.jsonl@18", b"five"),
        ("d.parquet@0", b"six"),
        ("d.parquet@1", b"seven"),
    ]


def test_by_line_each_line_that_is_not_blank_is_a_document(tmp_path):
    write(tmp_path, "a.txt", "one\r\n\n  \ntwo é\nthree".encode())
    assert found(tmp_path, by_line=True) == ["one", "two é", "three"]


def test_one_file_is_a_corpus_too(tmp_path):
    path = write(tmp_path, "a.jsonl", json_lines(["x", "y"]))
    assert found(path) == ["x", "y"]


def test_files_without_text_are_no_documents(tmp_path):
    write(tmp_path, "a.txt", b"")
    write(tmp_path, "b.txt", b" \n")
    write(tmp_path, "c.jsonl", b'{"text": ""}\n{"text": "x"}\n')
    assert found(tmp_path) == ["x"]


@pytest.mark.parametrize("part_bytes", [1, 2, 7, 50, 10**6])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_each_line_is_in_one_part_however_large_the_parts_are(tmp_path, monkeypatch, part_bytes, end):
    lines = [line for i in range(30) for line in ("x" * i + str(i), "")]
    write(tmp_path, "a.txt", end.join(lines).encode())
    monkeypatch.setattr(text, "PART_BYTES", part_bytes)
    monkeypatch.setattr(text, "PARTS", 10**6)
    assert found(tmp_path, by_line=True) == [line for line in lines if line]


def test_a_folder_of_text_is_a_large_source():
    assert isinstance(TextFolder("x"), LargeSource)
    assert not isinstance(TextFolder("x"), Source)
    assert isinstance(corpora.CORPORA["python_stdlib"], Source)


# Prepared.


@pytest.mark.parametrize("processes", [1, 2])
def test_a_prepared_folder_holds_each_distinct_document_once(
    folder, tmp_path, monkeypatch, small_parts, processes
):
    monkeypatch.setattr(workers, "WORTH_IT", 0 if processes > 1 else 2**60)
    corpus = prepare(f"text_folder:{folder}", tmp_path)
    known = texts(500)
    for split in SPLITS:
        expected = sorted(t.encode() for t in known if split_of(t) == split)
        assert sorted(corpus.texts(split)) == expected
        assert corpus.text_bytes[split] == sum(map(len, expected))
    assert corpus.sha256 == fingerprint(("", text) for text in known)
    assert len(list(corpus.folder.rglob("*-train.array_record-*"))) > 5


def test_rows_do_not_depend_on_processes_files_or_parts(folder, tmp_path, monkeypatch):
    """Bitwise: the same 500 documents in one file, in many, with one process and with two."""
    data = Data(corpus=f"text_folder:{folder}", context=16)
    one = prepare_rows(data, tmp_path / "1")
    monkeypatch.setattr(workers, "WORTH_IT", 0)
    monkeypatch.setattr(text, "PART_BYTES", 2000)
    two = prepare_rows(data, tmp_path / "2")
    write(tmp_path / "text", "all.jsonl", json_lines(reversed(texts(500))))
    other = prepare_rows(Data(corpus=f"text_folder:{tmp_path / 'text'}", context=16), tmp_path / "3")
    for split in SPLITS:
        assert one[split].tokens.tobytes() == two[split].tokens.tobytes() == other[split].tokens.tobytes()
        assert one[split].document.tobytes() == two[split].document.tobytes()
        assert one[split].sha256 == other[split].sha256


def test_an_unchanged_folder_is_read_once(folder, tmp_path, monkeypatch):
    first = corpora.identify(f"text_folder:{folder}", tmp_path)
    monkeypatch.setattr(census, "write_runs", None)  # what reads
    assert corpora.identify(f"text_folder:{folder}", tmp_path) == first


def test_a_changed_folder_is_read_again(tmp_path):
    path = write(tmp_path, "text/a.jsonl", json_lines(texts(10)))
    before = corpora.identify(f"text_folder:{tmp_path / 'text'}", tmp_path)
    Path(path).write_bytes(json_lines(texts(10)[::-1]))
    os.utime(path, ns=(1, 1))
    assert corpora.identify(f"text_folder:{tmp_path / 'text'}", tmp_path) == before  # an order is no identity
    Path(path).write_bytes(json_lines(texts(11)))
    assert corpora.identify(f"text_folder:{tmp_path / 'text'}", tmp_path) != before


def test_files_that_change_while_they_are_read_are_refused(tmp_path):
    path = Path(write(tmp_path, "text/a.jsonl", json_lines(texts(200))))

    def change(what, done, total):
        path.write_bytes(json_lines(texts(200, seed=1)))

    with pytest.raises(CorpusError, match=r"changed while they were read: run again"):
        corpora.identify(f"text_folder:{tmp_path / 'text'}", tmp_path / "data", change)
    assert os.listdir(tmp_path / "data") == []


def test_files_that_change_between_the_census_and_the_writing_are_refused(tmp_path):
    path = Path(write(tmp_path, "text/a.jsonl", json_lines(texts(200))))
    source = TextFolder(str(tmp_path / "text"))
    taken = census.census(source, tmp_path / "data")
    path.write_bytes(json_lines(texts(200, seed=1)))
    with pytest.raises(CorpusError, match=r"changed while they were read: run again"):
        shards.write_dataset(source, taken, tmp_path / "data", None)


def test_two_paths_of_one_slug_are_two_corpora(tmp_path):
    write(tmp_path, "a b/a.jsonl", json_lines(texts(200)))
    write(tmp_path, "a-b/a.jsonl", json_lines(texts(200, seed=1)))
    one, other = (prepare(f"text_folder:{tmp_path / name}", tmp_path / "data") for name in ("a b", "a-b"))
    assert one.folder != other.folder
    assert set(one.texts("train")).isdisjoint(other.texts("train"))


def test_folders_of_prepared_text_have_plain_names(folder, tmp_path):
    prepare_rows(Data(corpus=f"text_folder:{folder}", context=16), tmp_path)
    assert all(
        set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
        for name in os.listdir(tmp_path)
    )


def test_progress_tells_of_every_stage(folder, tmp_path):
    seen = []
    prepare_rows(Data(corpus=f"text_folder:{folder}", context=16), tmp_path, lambda *told: seen.append(told))
    stages = ["reading documents, MiB", "sorting documents, MiB", "writing documents, shards"]
    assert list(dict.fromkeys(what for what, _, _ in seen)) == stages + [
        f"packing {split} documents" for split in reversed(SPLITS)
    ]
    assert all(0 <= done <= total for _, done, total in seen)


KILLED = """
import os, sys, time
from pathlib import Path
from scaling.data import census, packing, shards, text, workers
from scaling.data.rows import prepare_rows
from scaling.spec import Data
workers.WORTH_IT, text.PART_BYTES, shards.SHARD_BYTES, packing.TASK_BYTES = 0, 1000, 1000, 1000
def progress(what, done, total):
    if what.startswith(sys.argv[3]):
        Path(sys.argv[4]).touch()
        time.sleep(60)
if __name__ == "__main__":
    prepare_rows(Data(corpus=f"text_folder:{sys.argv[1]}", context=16), sys.argv[2], progress)
"""


@pytest.mark.parametrize("stage", ["reading", "sorting", "writing", "packing train"])
def test_a_preparation_killed_at_any_stage_leaves_no_process_and_nothing_that_is_trusted(
    folder, tmp_path, stage
):
    script, reached, data = tmp_path / "killed.py", tmp_path / "reached", tmp_path / "data"
    script.write_text(KILLED)
    command = [sys.executable, str(script), str(folder), str(data), stage, str(reached)]
    process = subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 120
    while not reached.exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    workers_of_it = children(process.pid)
    assert len(workers_of_it) >= 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    while any(Path(f"/proc/{pid}").exists() for pid in workers_of_it):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert any(name.endswith(".partial") for name in os.listdir(data))
    spec = Data(corpus=f"text_folder:{folder}", context=16)
    after, undisturbed = prepare_rows(spec, data), prepare_rows(spec, tmp_path / "undisturbed")
    for split in SPLITS:
        assert after[split].tokens.tobytes() == undisturbed[split].tokens.tobytes()


def children(pid):
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [child for child in found if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()]


def test_a_worker_that_is_killed_is_a_clear_error(monkeypatch):
    with pytest.raises(workers.WorkerError, match=r"ended without an answer: it was killed, memory ran out"):
        list(workers.in_order(os._exit, [9, 9, 9], 2))


def test_an_error_in_a_worker_is_the_error_of_the_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "WORTH_IT", 0)
    write(tmp_path, "a.txt", b"a")
    write(tmp_path, "b.txt", b"\xe9")
    with pytest.raises(CorpusError, match=r"b.txt, line 1, is not UTF-8"):
        corpora.identify(f"text_folder:{tmp_path}", tmp_path / "data")


@pytest.mark.slow
def test_preparing_much_text_takes_less_memory_than_the_text(tmp_path):
    """400 MB in less than 600 MiB in all processes; measured at 250 to 340 MiB, whatever the size."""
    command = [
        sys.executable,
        "benchmarks/prepare_corpus.py",
        "--megabytes",
        "400",
        "--folder",
        str(tmp_path / "b"),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    private = int(re.search(r"peak (\d+) MiB private", done.stdout)[1])
    assert private < 600
    assert not (tmp_path / "b").exists()


# Refusals.


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "a.txt",
            b"fine\nna\xefve\n",
            r"a.txt, line 2, is not UTF-8: convert the file, for example with .iconv",
        ),
        ("a.jsonl", b'{"text": "x"}\n\n{"text": "\xe9"}', r"a.jsonl, line 3, is not UTF-8: convert"),
        ("a.jsonl", b'{"text": "x"}\n{"text"', r"a.jsonl, line 2 is not JSON \(.*mend or remove it"),
        ("a.jsonl", b'{"words": "x"}', r"line 1 has no string 'text' \(its fields are 'words'\)"),
        ("a.jsonl", b'{"text": null}', r"line 1 has no string 'text' \(its fields are 'text'\)"),
        ("a.jsonl", b'["text"]', r"line 1 has no string 'text' \(it is no object\): each must hold"),
        ("a.jsonl", b'{"text": "\\ud800"}', r"line 1 has a text that UTF-8 cannot write"),
        ("a.jsonl", b"[" * 100_000, r"line 1 is not JSON"),
        ("a.parquet", b"PAR1 no", r"a.parquet is damaged \(.*\): copy it again or take it away"),
        ("a.txt.gz", None, r"a.txt.gz is damaged \(.*\): copy it again"),
        ("a.jsonl.gz", None, r"a.jsonl.gz is damaged \(.*\): copy it again"),
        (
            "a.pdf",
            b"%PDF",
            r"no text files in .*, which holds 1 other files: put files there that end in .txt",
        ),
        (".a.txt", b"x", r"no text files in .*, which holds nothing: put files"),
    ],
    ids=str,
)
def test_what_is_no_text_is_refused_with_file_line_and_remedy(tmp_path, name, content, said):
    if content is None:
        whole = gzip.compress(json_lines(texts(100)))
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CorpusError, match=said):
        found(tmp_path)


def test_a_parquet_file_without_a_text_column_is_refused_with_its_columns(tmp_path):
    write_parquet(tmp_path / "a.parquet", ["x"], name="body")
    with pytest.raises(CorpusError, match=r"no column 'text' of strings \(its columns: 'body'\): rename"):
        found(tmp_path)


def test_a_parquet_row_without_text_is_refused_with_its_number(tmp_path):
    write_parquet(tmp_path / "a.parquet", ["x", "y", None], group=1)
    with pytest.raises(CorpusError, match=r"a.parquet, row 2 has no string 'text'"):
        found(tmp_path)


@pytest.mark.parametrize(("by_line", "remedy"), [(False, "text_lines:PATH"), (True, "cut it into several")])
def test_a_document_that_is_too_large_is_refused(tmp_path, monkeypatch, by_line, remedy):
    monkeypatch.setattr(spans, "LARGEST", 2**20)
    write(tmp_path, "a.txt", b"x" * (2**20 + 1))
    with pytest.raises(CorpusError, match=rf"a.txt.*1 MiB: .*{remedy}"):
        found(tmp_path, by_line)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read_is_refused(tmp_path):
    path = Path(write(tmp_path, "a.txt", b"x"))
    path.chmod(0)
    with pytest.raises(CorpusError, match=r"cannot read .*a.txt \(Permission denied\): mend"):
        found(tmp_path)


@pytest.mark.parametrize("kind", ["text_folder", "text_lines"])
def test_a_folder_that_is_not_there_is_refused(tmp_path, kind):
    with pytest.raises(CorpusError, match=r"there is no folder or file .*nowhere.*mend the path"):
        corpora.identify(f"{kind}:{tmp_path / 'nowhere'}", tmp_path)
    with pytest.raises(CorpusError, match=f"names no text: write its path or name after the colon, {kind}:"):
        corpora.source(f"{kind}:")


def test_a_misspelt_kind_is_refused_with_the_one_that_is_meant():
    with pytest.raises(CorpusError, match=r"no corpus 'text_foler:x': did you mean 'text_folder:x'"):
        corpora.source("text_foler:x")


def test_too_few_documents_for_three_splits_are_refused(tmp_path):
    write(tmp_path, "text/a.txt", b"only one")
    with pytest.raises(
        CorpusError, match=r"no document in its \w+ split.*there are 1, so add documents, or cut"
    ):
        prepare(f"text_folder:{tmp_path / 'text'}", tmp_path / "data")


def test_documents_shorter_than_a_row_are_packed_together(tmp_path):
    write(tmp_path, "text/a.txt", "\n".join(str(i) for i in range(20_000)).encode())
    rows = prepare_rows(Data(corpus=f"text_lines:{tmp_path / 'text'}", context=256), tmp_path / "data")[
        "train"
    ]
    assert rows.documents > 17_000
    assert len(rows) == (rows.bytes + rows.documents - 1) // 256
