"""Corpora: what is in them, who they are, and that a prepared one is whole or not there."""

import hashlib
import os
import resource
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from scaling.data import corpora
from scaling.data.corpora import SPLITS, CorpusError, PythonStdlib, prepare, split_of
from scaling.data.stdlib import fingerprint
from scaling.errors import UserError

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Tiny:
    """A corpus of given texts."""

    texts: tuple[str, ...]
    origin: str = "a tuple"

    def fingerprint(self):
        return fingerprint(self.documents())

    def documents(self):
        return ((f"document {i}", text) for i, text in enumerate(self.texts))


TEXTS = tuple(f"document {i}: " + "é\r\n\tx" * (i % 17) for i in range(200))


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(corpora.CORPORA, "tiny", Tiny(TEXTS))


def write(root: Path, files: dict[str, bytes]) -> PythonStdlib:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return PythonStdlib(str(root))


def in_another_process(code: str, *arguments: object) -> subprocess.Popen:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


# What the standard library's corpus holds.


def test_the_standard_library_is_megabytes_of_distinct_documents():
    documents = list(PythonStdlib().documents())
    names, texts = zip(*documents, strict=True)
    assert len(set(names)) == len(set(texts)) == len(documents) > 400
    assert sum(map(len, texts)) > 8e6
    assert "ast.py" in names
    assert names == tuple(sorted(names))


def test_added_packages_tests_and_files_of_one_machine_are_left_out(tmp_path):
    kept = {"a.py": b"a", "b/c.py": b"c", "testing.py": b"t"}
    left_out = {
        "site-packages/x.py": b"1",
        "dist-packages/x.py": b"2",
        "test/x.py": b"3",
        "b/tests/x.py": b"4",
        "idlelib/idle_test/x.py": b"5",
        "__pycache__/x.py": b"6",
        "config-3.11-x86_64-linux-gnu/x.py": b"7",
        "_sysconfigdata__linux_.py": b"8",
        "sitecustomize.py": b"9",
        "a.txt": b"10",
    }
    source = write(tmp_path, kept | left_out)
    assert dict(source.documents()) == {name: text.decode() for name, text in kept.items()}


def test_duplicates_and_files_that_are_not_utf8_are_left_out(tmp_path):
    source = write(tmp_path, {"a.py": b"same", "b.py": b"same", "c.py": "é\r\n".encode(), "d.py": b"\xe9"})
    assert list(source.documents()) == [("a.py", "same"), ("c.py", "é\r\n")]


def test_a_library_without_sources_is_refused(tmp_path):
    with pytest.raises(
        CorpusError, match=r"no Python sources in .*use an interpreter that ships its sources"
    ):
        PythonStdlib(str(tmp_path)).fingerprint()


# Identity and splits.


def test_the_fingerprint_is_the_hash_of_the_sorted_hashes():
    hashes = sorted(hashlib.sha256(text).hexdigest() for text in (b"x", b"y"))
    known = hashlib.sha256("\n".join(hashes).encode()).hexdigest()
    assert fingerprint([("1", "x"), ("2", "y")]) == fingerprint([("b", "y"), ("a", "x")]) == known


@pytest.mark.parametrize("texts", [("x",), ("x", "y", "z"), ("x", "Y")])
def test_another_text_is_another_fingerprint(texts):
    assert Tiny(texts).fingerprint() != Tiny(("x", "y")).fingerprint()


def test_splits_take_their_shares():
    """20000 draws: the binomial standard deviation of a 5 % share is 0.15 %; four of them are allowed."""
    counts = Counter(split_of(f"text {i}") for i in range(20_000))
    for split, percent in SPLITS.items():
        share = percent / 100
        assert counts[split] / 20_000 == pytest.approx(share, abs=4 * (share * (1 - share) / 20_000) ** 0.5)


def test_a_document_stays_in_its_split_when_others_come():
    assert [split_of(f"text {i}") for i in range(4)] == [split_of(f"text {i}") for i in range(5)][:4]
    assert split_of("print('hello')\n") == "train"  # golden: the rule never changes silently


# Prepared corpora.


def test_a_prepared_corpus_holds_every_document_once_in_the_split_of_its_hash(tiny, tmp_path):
    corpus = prepare("tiny", tmp_path)
    for split in SPLITS:
        texts = [text.decode() for text in corpus.texts(split)]
        assert sorted(texts) == sorted(text for text in TEXTS if split_of(text) == split)
        assert corpus.sizes[split] == len(texts)
    first = corpus.data_source("train")[0]
    assert (type(first["name"]), type(first["text"])) == (bytes, bytes)
    assert corpus.sha256 == Tiny(TEXTS).fingerprint()
    assert corpus.folder == tmp_path / f"tiny-{corpus.sha256[:12]}"


def test_the_order_of_documents_is_the_same_wherever_they_are_prepared(tiny, tmp_path):
    one, other = prepare("tiny", tmp_path / "1"), prepare("tiny", tmp_path / "2")
    assert list(one.texts("train")) == list(other.texts("train"))


def test_preparing_again_writes_nothing(tiny, tmp_path):
    before = prepare("tiny", tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert prepare("tiny", tmp_path) == before
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == times


def test_a_prepared_corpus_is_used_by_its_hash_after_its_source_has_changed(tiny, tmp_path, monkeypatch):
    corpus = prepare("tiny", tmp_path)
    monkeypatch.setitem(corpora.CORPORA, "tiny", Tiny((*TEXTS, "one more")))
    assert prepare("tiny", tmp_path, corpus.sha256) == corpus
    assert prepare("tiny", tmp_path) != corpus


def test_progress_counts_up_to_every_document(tiny, tmp_path):
    seen = []
    prepare("tiny", tmp_path, progress=lambda what, done, total: seen.append((what, done, total)))
    train = [done for what, done, _ in seen if what == "writing train documents"]
    assert train == list(range(1, len(train) + 1))
    assert {total for what, _, total in seen if what == "writing train documents"} == {len(train)}


def test_preparing_prints_nothing(tiny, tmp_path, capfd):
    prepare("tiny", tmp_path)
    assert capfd.readouterr() == ("", "")


def test_tensorflow_is_never_imported(tmp_path):
    code = """
import sys
from scaling.data import corpora, rows, batches
from scaling.spec import Data
assert "tensorflow_datasets" not in sys.modules  # a second that --help does not pay
corpora.CORPORA["few"] = corpora.PythonStdlib(sys.argv[1])
rows = rows.prepare_rows(Data(corpus="few", context=16), sys.argv[2])
batches.batch(rows["train"], 0, 0, 4)
assert "tensorflow_datasets" in sys.modules
assert "tensorflow" not in sys.modules
"""
    write(tmp_path / "source", {f"{i}.py": text.encode() for i, text in enumerate(TEXTS)})
    process = in_another_process(code, tmp_path / "source", tmp_path / "data")
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0


# Whole or not there.


def test_a_killed_preparation_leaves_nothing_that_is_trusted(tmp_path):
    code = """
import os, signal, sys
from scaling.data import corpora
passes = []
class Killed(corpora.PythonStdlib):
    def documents(self):
        passes.append(0)
        for i, document in enumerate(super().documents()):
            if len(passes) == 3 and i == 100:  # while the documents are written
                os.kill(os.getpid(), signal.SIGKILL)
            yield document
corpora.CORPORA["few"] = Killed(sys.argv[1])
corpora.prepare("few", sys.argv[2])
"""
    source = write(tmp_path / "source", {f"{i}.py": text.encode() for i, text in enumerate(TEXTS)})
    process = in_another_process(code, tmp_path / "source", tmp_path / "data")
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    left = list((tmp_path / "data").iterdir())
    assert [path.suffix for path in left] == [".partial"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(corpora.CORPORA, "few", source)
        assert sum(prepare("few", tmp_path / "data").sizes.values()) == len(TEXTS)


# Refusals.


def test_an_unknown_corpus_is_refused_with_the_nearest_known_one(tmp_path):
    with pytest.raises(
        CorpusError, match=r"no corpus 'python_stdlb': did you mean 'python_stdlib'.*known corpora: "
    ):
        prepare("python_stdlb", tmp_path)


def test_another_hash_is_refused_with_both_hashes_and_the_reason(tiny, tmp_path):
    asked = "0" * 64
    with pytest.raises(
        CorpusError, match=rf"{Tiny(TEXTS).fingerprint()}.*{asked}.*made from a tuple.*another version"
    ):
        prepare("tiny", tmp_path, asked)
    assert not list(tmp_path.iterdir())


def test_a_corpus_without_validation_documents_is_refused(monkeypatch, tmp_path):
    texts = [text for text in TEXTS if split_of(text) != "validation"]
    monkeypatch.setitem(corpora.CORPORA, "tiny", Tiny(tuple(texts)))
    with pytest.raises(CorpusError, match=r"'tiny' has no document in its validation split: .*add documents"):
        prepare("tiny", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["{", "{}", '{"format": 1, "sha256": "0", "sizes": {}, "hashes": {}}'])
def test_a_folder_that_does_not_say_what_it_holds_is_refused(tiny, tmp_path, damage):
    corpus = prepare("tiny", tmp_path)
    (corpus.folder / "corpus.json").write_text(damage)
    with pytest.raises(CorpusError, match=r"is damaged .*: delete it and run again"):
        prepare("tiny", tmp_path)


@pytest.mark.parametrize("damage", ["cut_silently", "cut", "flip", "remove", "no_info"])
def test_damaged_documents_are_refused(tiny, tmp_path, damage):
    corpus = prepare("tiny", tmp_path)
    (record,) = corpus.folder.rglob("*-train.array_record*")
    if damage == "cut_silently":
        os.truncate(record, record.stat().st_size // 2)  # at a block, where ArrayRecord reads on
    elif damage == "cut":
        os.truncate(record, 70_000)
    elif damage == "flip":
        content = bytearray(record.read_bytes())
        content[500] ^= 255
        record.write_bytes(content)
    elif damage == "remove":
        record.unlink()
    else:
        (record.parent / "dataset_info.json").unlink()
    with pytest.raises(
        CorpusError, match=rf"corpus folder {corpus.folder} is damaged .*: delete it and run again"
    ):
        list(corpus.texts("train"))


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(monkeypatch, tmp_path):
    random = np.random.default_rng(0)
    texts = tuple(random.bytes(500).hex() for _ in range(200))
    monkeypatch.setitem(corpora.CORPORA, "tiny", Tiny(texts))
    prepare("tiny", tmp_path / "elsewhere")  # so that what TFDS loads lazily is loaded before the limit
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # a write beyond it fails as on a full disk
    try:
        with pytest.raises(UserError, match=r"cannot write .*File too large.*free some space"):
            prepare("tiny", tmp_path / "full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list((tmp_path / "full").iterdir())
