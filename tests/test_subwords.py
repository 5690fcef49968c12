"""Subword tokenizers: trained the same everywhere, exact both ways, and part of a run's identity."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scaling.data import corpora
from scaling.data.corpora import PythonStdlib
from scaling.data.identity import resolve
from scaling.data.rows import prepare_rows
from scaling.data.subwords import END, BytePairs
from scaling.data.tokenizer import TokenizerError, token_dtype, tokenizer
from scaling.spec import Data, Model, Optim, Run, SpecError, Study

ROOT = Path(__file__).parents[1]
WORDS = [
    "the",
    "language",
    "model",
    "of",
    "some",
    "naïve",
    "größe",
    "tokens\n\tdef",
    "return",
    "self.x",
    "==",
    "12",
]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder, chance = tmp_path_factory.mktemp("source"), np.random.default_rng(0)
    for i in range(150):
        (folder / f"{i}.py").write_text(" ".join(chance.choice(WORDS, 60)), encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def few(source, monkeypatch):
    monkeypatch.setitem(corpora.CORPORA, "few", PythonStdlib(str(source)))


@pytest.fixture(scope="module")
def trained(source, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(corpora.CORPORA, "few", PythonStdlib(str(source)))
        folder = tmp_path_factory.mktemp("trained")
        return BytePairs(300).trained(corpora.prepare("few", folder), folder)


@pytest.fixture(scope="module")
def sentencepiece_model(source, tmp_path_factory):
    pieces = pytest.importorskip("sentencepiece")
    model = tmp_path_factory.mktemp("pieces") / "words"
    lines = (path.read_text(encoding="utf-8") for path in sorted(source.iterdir()))
    pieces.SentencePieceTrainer.train(
        sentence_iterator=lines, model_prefix=str(model), vocab_size=90, minloglevel=2, hard_vocab_limit=False
    )
    return model.with_suffix(".model")


def study(data: Data, vocab: int) -> Study:
    model = Model(vocab=vocab, context=data.context, width=8, depth=1, heads=1)
    optim = Optim(batch_tokens=data.context)
    return Study(
        name="s", runs=(Run(model=model, data=data, optim=optim, steps=2, warmup_steps=0, decay_steps=1),)
    )


# Byte pairs.


@settings(deadline=None)  # other processes share the cores
@given(text=st.text(max_size=200))
@example(f"a{END}b {END}")
@example("e\u0301 é \r\n\x00 \U0001f600  the language model")
def test_decoding_gives_back_any_text_and_text_never_holds_the_end(trained, text):
    tokens = trained.encode(text.encode())
    assert trained.decode(tokens) == text.encode()
    assert trained.decode([*tokens, trained.eod]) == text.encode()
    assert tokens.dtype == token_dtype(trained.vocab)
    assert trained.eod not in tokens


@pytest.mark.parametrize("vocab", [257, 300, 310])
def test_the_vocabulary_is_exactly_as_asked_for(tmp_path, vocab):
    words = BytePairs(vocab).trained(corpora.prepare("few", tmp_path), tmp_path)
    assert words.vocab == vocab == tokenizer(f"bpe:{vocab}").vocab
    assert words.name == f"bpe:{vocab}"


def test_words_of_the_corpus_take_few_tokens(trained):
    assert len(trained.encode(b" language model")) <= 4


def test_training_in_another_process_gives_the_same_file(trained, source, tmp_path):
    code = """
import sys
from scaling.data import corpora, subwords
from pathlib import Path
corpora.CORPORA["few"] = corpora.PythonStdlib(sys.argv[1])
folder = Path(sys.argv[2])
print(subwords.BytePairs(300).trained(corpora.prepare("few", folder), folder).path)
"""
    command = [sys.executable, "-c", code, str(source), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    assert Path(done.stdout.strip()).read_bytes() == Path(trained.path).read_bytes()


def test_only_the_train_split_is_looked_at(tmp_path, monkeypatch):
    corpus = corpora.prepare("few", tmp_path)
    seen = []
    read = corpora.Corpus.some_texts
    monkeypatch.setattr(corpora.Corpus, "some_texts", lambda *asked: seen.append(asked[1]) or read(*asked))
    BytePairs(300).trained(corpus, tmp_path)
    assert set(seen) == {"train"}


def test_rows_of_byte_pairs_hold_the_text_and_their_tokenizer(tmp_path):
    rows = prepare_rows(Data(corpus="few", tokenizer="bpe:300", context=16), tmp_path)["train"]
    (file,) = tmp_path.glob("few-*-bpe-300-16-v1/tokenizer.json")
    words = tokenizer(f"file:{file}")
    text = words.decode(np.append(rows.tokens[0, 0], rows.tokens[:, 1:]))
    assert b"".join(corpora.prepare("few", tmp_path).texts("train")).startswith(text)
    assert (rows.vocab, rows.tokenizer) == (300, "bpe:300")
    assert rows.tokens_per_byte < 0.6


def test_rows_of_two_contexts_share_a_tokenizer(tmp_path, monkeypatch):
    prepare_rows(Data(corpus="few", tokenizer="bpe:300", context=16), tmp_path)
    monkeypatch.setattr("scaling.data.subwords._train", None)
    prepare_rows(Data(corpus="few", tokenizer="bpe:300", context=8), tmp_path)


def test_a_corpus_too_small_for_the_vocabulary_is_refused_with_what_it_has(tmp_path):
    with pytest.raises(
        TokenizerError,
        match=r"'few' is too small for the tokenizer 'bpe:5000': .* for (\d+) tokens; use bpe:\1",
    ):
        prepare_rows(Data(corpus="few", tokenizer="bpe:5000", context=16), tmp_path)
    assert len(list(tmp_path.iterdir())) == 1  # the corpus alone


def test_a_vocabulary_smaller_than_the_bytes_is_refused():
    with pytest.raises(
        TokenizerError, match="'bpe:256' has fewer tokens than the 256 bytes and the end: give 257"
    ):
        tokenizer("bpe:256")


@pytest.mark.parametrize("name", ["bpe", "bpe:", "bpe:many", "bpe:-1", "bpe:1e3", "file:"])
def test_a_misspelt_tokenizer_is_refused_with_the_known_ones(name):
    with pytest.raises(
        TokenizerError, match=r"no tokenizer .*known tokenizers: bytes, bpe:32000 .*, file:PATH"
    ):
        tokenizer(name)


def test_an_untrained_tokenizer_has_a_vocabulary_and_no_tokens():
    with pytest.raises(TokenizerError, match=r"'bpe:300' has no tokens of its own: train it"):
        tokenizer("bpe:300").encode(b"x")


# From a file.


def test_a_tokenizer_of_a_file_makes_the_tokens_of_the_one_that_was_saved(trained):
    words = tokenizer(f"file:{trained.path}")
    text = b"the language model"
    np.testing.assert_array_equal(words.encode(text), trained.encode(text))
    assert pickle.loads(pickle.dumps(words)) == words  # as a task of another process


def test_the_hash_of_the_file_becomes_part_of_the_identity_of_a_run(trained, tmp_path):
    file = tmp_path / "tokenizer.json"
    file.write_bytes(Path(trained.path).read_bytes())
    asked = study(Data(corpus="few", tokenizer=f"file:{file}", context=16, eval_tokens=16), 300)
    resolved = resolve(asked, tmp_path / "data")
    (run,) = resolved.runs
    assert run.data.tokenizer.startswith(f"file:{file}#")
    assert resolve(resolved, tmp_path / "data") == resolved
    prepare_rows(run.data, tmp_path / "data")
    described = json.loads(file.read_text())
    described["model"]["merges"].pop()
    file.write_text(json.dumps(described))
    with pytest.raises(
        TokenizerError, match=r"has the hash [0-9a-f]{12}, and [0-9a-f]{12} was asked for: .*put the one back"
    ):
        resolve(resolved, tmp_path / "data")
    assert resolve(asked, tmp_path / "data").runs[0].run_id != run.run_id


def test_sentencepiece_gives_back_its_own_text(sentencepiece_model):
    words = tokenizer(f"file:{sentencepiece_model}")
    text = "the language model of some naïve größe".encode()
    assert words.decode(words.encode(text)) == text
    assert words.decode([*words.encode(text), words.eod]) == text
    assert words.eod not in words.encode(b"the </s> model")
    assert words.encode(text).max() < words.vocab


def test_rows_of_sentencepiece_are_prepared(sentencepiece_model, tmp_path):
    words = tokenizer(f"file:{sentencepiece_model}")
    rows = prepare_rows(Data(corpus="few", tokenizer=words.name, context=16), tmp_path)["train"]
    assert (rows.vocab, rows.tokenizer) == (words.vocab, words.name)


def test_sentencepiece_that_is_not_installed_is_a_clear_error(tmp_path, monkeypatch):
    (tmp_path / "x.model").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(TokenizerError, match="needs the package sentencepiece: pip install sentencepiece"):
        tokenizer(f"file:{tmp_path / 'x.model'}")


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("t.json", b"{}", r"is no tokenizer.json that can be read \("),
        ("t.json", b"\xff", r"is no tokenizer.json that can be read \("),
        ("t.model", b"no model", r"is no SentencePiece model \("),
    ],
)
def test_a_file_that_is_no_tokenizer_is_refused(tmp_path, file, content, said):
    (tmp_path / file).write_bytes(content)
    with pytest.raises(TokenizerError, match=said):
        tokenizer(f"file:{tmp_path / file}")


def test_a_file_that_is_not_there_is_refused():
    with pytest.raises(TokenizerError, match=r"cannot read the tokenizer '/nowhere/t.json' \(No such file"):
        tokenizer("file:/nowhere/t.json")


def test_a_tokenizer_without_an_end_is_refused(trained, tmp_path):
    described = json.loads(Path(trained.path).read_text())
    described["added_tokens"] = []
    described["model"]["vocab"]["<other>"] = described["model"]["vocab"].pop(END)
    (tmp_path / "t.json").write_text(json.dumps(described))
    with pytest.raises(
        TokenizerError, match=r"t.json has no token that ends a text: add one of <\|endoftext\|>"
    ):
        tokenizer(f"file:{tmp_path / 't.json'}")


def test_text_that_is_not_utf8_and_tokens_outside_are_refused(trained):
    with pytest.raises(TokenizerError, match="takes UTF-8 alone"):
        trained.encode(b"\xff")
    with pytest.raises(
        TokenizerError, match="token 300 is not of tokenizer 'bpe:300': its tokens are 0 to 299"
    ):
        trained.decode([300])


# With a model.


@pytest.mark.parametrize("name", ["bytes", "bpe:300", "file"])
def test_a_model_of_another_vocabulary_is_refused_before_anything_is_read(trained, tmp_path, name):
    name = f"file:{trained.path}" if name == "file" else name
    has = tokenizer(name).vocab
    with pytest.raises(
        SpecError,
        match=rf"Model.vocab = 299 cannot be: the tokenizer .* has {has} tokens; set Model.vocab to",
    ):
        resolve(study(Data(corpus="few", tokenizer=name, context=16, eval_tokens=16), 299), tmp_path)
    assert list(tmp_path.iterdir()) == []
