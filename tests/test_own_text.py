"""`python -m scaling` on a person's own text: planned, trained, repetition said out loud, bad text named."""

import json
import random
import subprocess
import sys

import pytest

from scaling.__main__ import main
from scaling.launching.preparing import PlainLines
from scaling.table import read

SPEC = '''
"""Own text, for tests."""
from dataclasses import dataclass
from scaling.plan import Recipe, product
from scaling.spec import Data, Model, Optim, Study

@dataclass(frozen=True)
class Experiment:
    """Knobs."""
    corpus: str = ""
    """Corpus."""
    tokenizer: str = "bytes"
    """Tokenizer."""
    vocab: int = 257
    """Its tokens."""

    def study(self):
        """One size, two budgets."""
        data = Data(corpus=self.corpus, tokenizer=self.tokenizer, context=16, eval_tokens=64)
        models = [Model(vocab=self.vocab, context=16, width=8, depth=1, heads=1)]
        recipe = Recipe(data=data, optim=Optim(batch_tokens=64))
        return Study(name="own", runs=tuple(product(models, (640, 19200), recipe, range(1))))
'''


@pytest.fixture
def folder(tmp_path):
    """200 documents of 12 words in a file, and the spec of a study of them."""
    chance = random.Random(0)
    words = ["one", "two", "three", "four", "fünf"]
    lines = [json.dumps({"text": " ".join(chance.choices(words, k=12))}) for _ in range(200)]
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.jsonl").write_text("\n".join(lines))
    (tmp_path / "own.py").write_text(SPEC)
    return tmp_path


def command(folder, verb, *knobs):
    places = ["--out", str(folder / "runs"), "--data-folder", str(folder / "data")]
    words = [sys.executable, "-m", "scaling", verb, str(folder / "own.py"), *knobs, *places]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)


def test_a_corpus_too_small_for_the_tokens_is_repeated_and_the_plan_and_the_table_say_so(folder):
    corpus = ("--corpus", f"text_folder:{folder / 'text'}")
    planned = command(folder, "plan", *corpus)
    assert planned.returncode == 0, planned.stderr
    (meta,) = (folder / "data").glob("*-bytes-16-*/meta.json")
    unique = json.loads(meta.read_text())["splits"]["train"]["rows"] * 16
    assert 640 < unique < 19200
    assert f"{19200 / unique:.1f} epochs, and D_unique stays at {unique / 1e3:.3g}K" in planned.stdout
    ran = command(folder, "run", *corpus)
    assert ran.returncode == 0, ran.stderr
    table = read(folder / "runs" / "own" / "table.csv").sort_values("D")
    assert table["D"].tolist() == [640, 19200]
    assert table["D_unique"].tolist() == [640, unique]


def test_byte_pairs_are_planned_with_the_vocabulary_of_their_name(folder):
    knobs = ("--corpus", f"text_folder:{folder / 'text'}", "--tokenizer", "bpe:270")
    planned = command(folder, "plan", *knobs, "--vocab", "270")
    assert planned.returncode == 0, planned.stderr
    assert len(list((folder / "data").glob("*-bpe-270-16-v1/tokenizer.json"))) == 1


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        (
            ("--corpus", "text_folder:TEXT", "--vocab", "300"),
            "Model.vocab = 300 cannot be: the tokenizer",
        ),
        (
            ("--corpus", "text_folder:TEXT", "--tokenizer", "bpe:900", "--vocab", "900"),
            "too small for the tokenizer 'bpe:900'",
        ),
        (("--corpus", "text_folder:TEXT/nowhere"), "there is no folder or file"),
        (("--corpus", "text_folder:EMPTY"), "there are no text files in"),
        (("--corpus", "text_lines:BAD"), "bad.txt, line 2, is not UTF-8"),
        (("--corpus", "tfds:lm2b"), "TFDS has no data set 'lm2b': did you mean 'lm1b'"),
        (("--corpus", "wikipedia"), "there is no corpus 'wikipedia'"),
    ],
    ids=str,
)
def test_bad_input_is_one_clear_sentence_and_no_traceback(folder, capsys, knobs, said):
    (folder / "empty").mkdir()
    (folder / "bad").mkdir()
    (folder / "bad" / "bad.txt").write_bytes(b"fine\n\xff\n")
    places = {"TEXT": folder / "text", "EMPTY": folder / "empty", "BAD": folder / "bad"}
    for short, path in places.items():
        knobs = [knob.replace(short, str(path)) for knob in knobs]
    places = ("--out", str(folder / "runs"), "--data-folder", str(folder / "data"))
    assert main(["plan", str(folder / "own.py"), *knobs, *places]) == 2
    refused = capsys.readouterr().err
    assert refused.startswith("error: ")
    assert said in refused
    assert len(refused.splitlines()) == 1


def test_progress_is_a_line_every_ten_seconds(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    lines = PlainLines()
    for second in range(26):
        now[0] = float(second)
        lines.progress("reading documents, MiB", second, 30)
    assert capsys.readouterr().out.splitlines() == [f"reading documents, MiB: {n} of 30" for n in (10, 20)]
