"""Rows: every token once, every row's document, the same rows for every process."""

import math
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scaling.data import corpora
from scaling.data.corpora import SPLITS, CorpusError, PythonStdlib
from scaling.data.folders import FolderError
from scaling.data.rows import FEWEST_ROWS, prepare_rows
from scaling.data.tokenizer import TokenizerError, tokenizer
from scaling.spec import Data

ROOT = Path(__file__).parents[1]
TEXTS = [f"{i}: " + "abc é\n" * (i % 23) for i in range(300)]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    for i, text in enumerate(TEXTS):
        (folder / f"{i}.py").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def few(source, monkeypatch):
    monkeypatch.setitem(corpora.CORPORA, "few", PythonStdlib(str(source)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


def documents(folder: Path, split: str) -> list[bytes]:
    return list(corpora.prepare("few", folder).texts(split))


def stream(texts: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of the texts, each followed by its end, and the document of each token: the slow way."""
    tokens, owners = [], []
    for i, text in enumerate(texts):
        tokens += [*text, 256]
        owners += [i] * (len(text) + 1)
    return np.array(tokens), np.array(owners)


@pytest.mark.parametrize("context", [1, 7, 16, 64])
@pytest.mark.parametrize("split", SPLITS)
def test_every_token_is_predicted_exactly_once(folder, context, split):
    rows = prepare_rows(Data(corpus="few", context=context), folder)[split]
    tokens, owners = stream(documents(folder, split))
    n = (len(tokens) - 1) // context
    assert rows.tokens.shape == (n, context + 1)
    np.testing.assert_array_equal(rows.tokens[:, 1:].ravel(), tokens[1 : n * context + 1])
    np.testing.assert_array_equal(rows.tokens[:, 0], tokens[: n * context : context])
    np.testing.assert_array_equal(rows.document, owners[1 : n * context + 1 : context])
    assert len(tokens) - 1 - rows.predicted < context  # no whole row is lost


def test_neighbouring_rows_share_one_token(folder):
    rows = prepare_rows(Data(corpus="few", context=16), folder)["train"]
    np.testing.assert_array_equal(rows.tokens[1:, 0], rows.tokens[:-1, -1])


def test_rows_decode_to_the_text(folder):
    rows = prepare_rows(Data(corpus="few", context=16), folder)["train"]
    text = tokenizer("bytes").decode(np.append(rows.tokens[0, 0], rows.tokens[:, 1:]))
    assert b"".join(documents(folder, "train")).startswith(text)


def test_tokens_per_byte_counts_an_end_a_document(folder):
    rows = prepare_rows(Data(corpus="few", context=16), folder)["validation"]
    texts = documents(folder, "validation")
    assert rows.documents == len(texts)
    assert rows.bytes == sum(map(len, texts))
    exact = (rows.bytes + rows.documents) / rows.bytes
    assert rows.tokens_per_byte == pytest.approx(exact, rel=1e-15)  # one division in float64


def test_uniform_bytes_cost_eight_bits_a_byte_and_the_ends():
    """The docstring's formula on a known case: ln 256 nats a token are 8 bits a byte and 8 an end."""
    bytes_, documents = 1000, 10
    tokens_per_byte = (bytes_ + documents) / bytes_
    assert math.log(256) * tokens_per_byte / math.log(2) == pytest.approx(8 * 1.01, rel=1e-15)


def test_rows_are_kept_as_read_only_two_byte_memory_maps(folder):
    rows = prepare_rows(Data(corpus="few", context=16), folder)["train"]
    assert isinstance(rows.tokens, np.memmap)
    assert rows.tokens.dtype == np.uint16
    assert not rows.tokens.flags.writeable


def test_rows_say_what_they_are_made_of(folder, source):
    sha256 = PythonStdlib(str(source)).fingerprint()
    rows = prepare_rows(Data(corpus="few", context=16), folder)["test"]
    assert (rows.corpus, rows.tokenizer, rows.context, rows.vocab) == ("few", "bytes", 16, 257)
    assert (rows.split, rows.sha256) == ("test", sha256)
    assert (folder / f"few-{sha256[:12]}-bytes-16-v1" / "meta.json").is_file()


def test_preparing_again_writes_nothing(folder):
    prepare_rows(Data(corpus="few", context=16), folder)
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    prepare_rows(Data(corpus="few", context=16), folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times


def test_rows_of_a_known_hash_are_read_without_reading_the_corpus(folder, source, monkeypatch):
    rows = prepare_rows(Data(corpus="few", context=16), folder)["train"]
    monkeypatch.setitem(corpora.CORPORA, "few", PythonStdlib("/nowhere"))
    again = prepare_rows(Data(corpus="few", context=16, sha256=rows.sha256), folder)["train"]
    np.testing.assert_array_equal(again.tokens, rows.tokens)


def test_progress_tells_of_writing_and_packing(tmp_path):
    seen = []
    prepare_rows(
        Data(corpus="few", context=16), tmp_path, lambda what, done, total: seen.append((what, done, total))
    )
    assert {what for what, _, _ in seen} == {
        f"{verb} {s} documents" for verb in ("writing", "packing") for s in SPLITS
    }
    assert all(1 <= done <= total for _, done, total in seen)


def test_two_processes_preparing_at_once_both_end_well_with_the_same_rows(tmp_path, source):
    code = """
import hashlib, sys
from scaling.data import corpora, rows
from scaling.spec import Data
corpora.CORPORA["few"] = corpora.PythonStdlib(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
train = rows.prepare_rows(Data(corpus="few", context=16), sys.argv[2])["train"]
print(hashlib.sha256(train.tokens.tobytes()).hexdigest())
"""
    command = [sys.executable, "-c", code, str(source), str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen(command, cwd=ROOT, text=True, **pipes) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert outputs[0] == outputs[1]
    assert len(os.listdir(tmp_path)) == 2  # the corpus and its rows, nothing half-made


# Refusals.


@pytest.mark.parametrize("context", [10**6, 60])
def test_too_few_rows_are_refused(folder, context, monkeypatch):
    monkeypatch.setattr("scaling.data.rows.FEWEST_ROWS", FEWEST_ROWS if context > 1000 else 10**5)
    with pytest.raises(
        CorpusError, match=rf"has \d+ rows of {context} tokens in its .* smaller Data.context or a larg"
    ):
        prepare_rows(Data(corpus="few", context=context, eval_tokens=10**6), folder / f"few-{context}")
    left = os.listdir(folder / f"few-{context}")
    assert len(left) == 1  # the corpus alone
    assert "bytes" not in left[0]


def test_another_hash_is_refused_with_both_hashes(folder, source):
    asked = "0" * 64
    with pytest.raises(
        CorpusError, match=f"{PythonStdlib(str(source)).fingerprint()}.*{asked}.*another version"
    ):
        prepare_rows(Data(corpus="few", context=16, sha256=asked), folder)


def test_a_hash_that_agrees_in_its_first_digits_only_is_refused(folder):
    sha256 = prepare_rows(Data(corpus="few", context=16), folder)["train"].sha256
    asked = sha256[:12] + "0" * 52
    with pytest.raises(CorpusError, match=f"{sha256}.*{asked}"):
        prepare_rows(Data(corpus="few", context=16, sha256=asked), folder)


def test_unknown_names_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(CorpusError, match="no corpus 'fewer'"):
        prepare_rows(Data(corpus="fewer"), tmp_path)
    with pytest.raises(TokenizerError, match="no tokenizer 'bites'"):
        prepare_rows(Data(corpus="few", tokenizer="bites"), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damaged", ["meta.json", "train.tokens.npy", "validation.document.npy"])
@pytest.mark.parametrize("damage", ["remove", "truncate", "another"])
def test_damaged_rows_are_refused(tmp_path, source, damaged, damage):
    prepare_rows(Data(corpus="few", context=16), tmp_path)
    (place,) = tmp_path.glob("*-bytes-16-*")
    file = place / damaged
    if damage == "remove":
        file.unlink()
    elif damage == "truncate":
        os.truncate(file, file.stat().st_size // 2)
    elif file.suffix == ".npy":
        np.save(file, np.zeros((3, 3), np.uint16))
    else:
        file.write_text("[]")
    with pytest.raises(CorpusError, match=f"rows folder {place} is damaged .*: delete it and run again"):
        prepare_rows(Data(corpus="few", context=16), tmp_path)


def test_a_full_disk_is_a_clear_error_and_leaves_no_rows(tmp_path):
    corpora.prepare("few", tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, hard))  # a write beyond it fails as on a full disk
    try:
        with pytest.raises(
            FolderError, match=r"cannot write .*-bytes-16-v1 \(File too large\): free some space"
        ):
            prepare_rows(Data(corpus="few", context=16), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(os.listdir(tmp_path)) == 1  # the corpus alone
