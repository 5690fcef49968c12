"""Languages of known entropy: every entropy by two independent ways, every probability against brute force."""

import hashlib
import itertools

import numpy as np
import pytest

from scaling.data.corpora import CorpusError
from scaling.data.facts import Facts
from scaling.data.grammar import Grammar
from scaling.data.hidden_markov import HiddenMarkov
from scaling.data.identity import resolve
from scaling.data.languages import (
    LANGUAGES,
    fingerprint,
    is_language,
    language,
    sampled_entropy,
    scored_of,
    training_tokens,
)
from scaling.data.markov import Markov
from scaling.data.rows import prepare_rows
from scaling.data.zipf import draw, learning_exponent, unseen, zipf
from scaling.spec import Data, Model, Optim, Run, SpecError, Study

NAMES = ("markov", "hmm", "grammar", "facts")
VARIANTS = (
    *NAMES,
    *("markov:vocab=32,zipf=0.8,strength=0.5,seed=3", "hmm:vocab=8,states=4,seed=1"),
    *("grammar:symbols=8,rules=2,levels=3,zipf=0", "grammar:symbols=4,rules=4,levels=5,seed=2"),
    "facts:base=8,digits=2,answers=4,zipf=1.2",
)
STANDARD_ERRORS = 4.5
"""Tolerance of a Monte Carlo mean; the seeds are fixed, so these tests do not fail by chance."""


@pytest.mark.parametrize("name", VARIANTS)
def test_entropy_is_the_mean_loss_of_the_exact_probabilities_on_a_long_text(name):
    known = language(name)
    mean, error = sampled_entropy(known, 32, 2000, key=11)
    error = np.hypot(error, known.entropy_error(32))
    assert abs(mean - known.entropy(32)) <= STANDARD_ERRORS * error + 1e-12
    assert error < 0.02


@pytest.mark.parametrize("name", VARIANTS)
def test_entropy_is_the_mean_entropy_of_the_exact_predictions(name):
    known = language(name)
    tokens = known.sample(5, 1000, 32)
    P = known.probabilities(tokens)[:, known.scored(32)]
    each = -(P * np.log(np.where(P > 0, P, 1))).sum(axis=2).mean(axis=1)
    error = np.hypot(each.std() / np.sqrt(len(each)), known.entropy_error(32))
    assert (
        abs(each.mean() - known.entropy(32)) <= STANDARD_ERRORS * error + 1e-9
    )  # rounding where each is exact


@pytest.mark.parametrize("name", VARIANTS)
def test_probabilities_sum_to_one_and_rows_are_a_function_of_the_key(name):
    known = language(name)
    tokens = known.sample(1, 50, 32)
    assert tokens.shape == (50, 33) and tokens.max() < known.vocab
    assert np.allclose(known.probabilities(tokens).sum(axis=2), 1, atol=1e-12)
    assert (tokens == LANGUAGES[name.partition(":")[0]](**vars_of(known)).sample(1, 50, 32)).all()
    assert (tokens != known.sample(2, 50, 32)).any()


def vars_of(known):
    return {name: getattr(known, name) for name in known.__dataclass_fields__}


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("markov", "bb137706ea16"),
        ("hmm", "68468ddc2801"),
        ("grammar", "ac45a17e79bb"),
        ("facts", "19f4d460965c"),
    ],
)
def test_a_language_is_the_same_on_every_machine(name, digest):
    """Golden: a change here makes another language, which must raise FORMAT in languages.py."""
    tokens = language(name).sample(0, 64, 32)
    assert hashlib.sha256(tokens.tobytes()).hexdigest()[:12] == digest


def test_the_chain_of_markov_keeps_its_stationary_distribution():
    chain = Markov(vocab=64, zipf=1.3)
    assert np.allclose(chain.stationary @ chain.transitions, chain.stationary, rtol=1e-12)
    assert np.allclose(chain.transitions.sum(axis=1), 1, rtol=1e-12)


def test_markov_without_structure_has_the_entropy_of_its_words():
    chain = Markov(vocab=64, zipf=1.3, strength=0)
    assert chain.entropy(8) == pytest.approx(-np.sum(chain.stationary * np.log(chain.stationary)), rel=1e-12)


def test_hidden_markov_predictions_are_those_of_a_sum_over_all_hidden_paths():
    model = HiddenMarkov(vocab=3, states=2, seed=4)
    tokens = np.array([[0, 2, 1, 1, 0]])
    found = model.probabilities(tokens)[0]
    for t in range(4):
        joint = [path_sum(model, (*tokens[0, : t + 1], v)) for v in range(3)]
        assert found[t] == pytest.approx(np.array(joint) / np.sum(joint), rel=1e-12)


def path_sum(model, words):
    """P(words), by writing out every sequence of hidden states."""
    total = 0.0
    for path in itertools.product(range(model.states), repeat=len(words)):
        p = model.stationary[path[0]]
        for before, after in itertools.pairwise(path):
            p *= model.transitions[before, after]
        total += p * np.prod([model.emissions[s, w] for s, w in zip(path, words, strict=True)])
    return total


def test_hidden_markov_entropy_is_that_of_all_texts_of_a_length():
    model, context = HiddenMarkov(vocab=3, states=2, seed=4), 5
    block = {
        length: -sum(
            p * np.log(p) for w in itertools.product(range(3), repeat=length) if (p := path_sum(model, w))
        )
        for length in (1, context + 1)
    }
    exact = (block[context + 1] - block[1]) / context
    assert model.entropy_error(context) < 1e-3
    assert abs(model.entropy(context) - exact) < STANDARD_ERRORS * model.entropy_error(context)


def test_hidden_markov_entropy_falls_with_the_context_towards_the_rate():
    model = HiddenMarkov(vocab=16, states=4)
    found = [model.entropy(context) for context in (1, 4, 16, 64)]
    assert found == sorted(found, reverse=True)
    known_start = conditional_on_state(
        model, 64
    )  # Cover and Thomas 2006, theorem 4.5.1: a lower bound of the rate
    assert found[0] > found[-1] > known_start - 0.01


def conditional_on_state(model, length):
    """H(last token | tokens before, first state), over samples that begin in a known state."""
    rng = np.random.default_rng(0)
    state = draw(rng, model.stationary[None], np.zeros(2000, np.intp))
    belief = np.eye(model.states)[state]
    for _ in range(length):
        token = draw(rng, model.emissions, state)
        state = draw(rng, model.transitions, state)
        belief = belief * model.emissions.T[token]
        belief = belief / belief.sum(axis=1, keepdims=True) @ model.transitions
    P = belief @ model.emissions
    return float(-(P * np.log(P)).sum(axis=1).mean())


def test_grammar_predictions_are_those_of_all_its_sentences():
    grammar = Grammar(symbols=3, rules=2, levels=2, zipf=1.0, seed=1)
    sentences = all_sentences(grammar)
    assert sum(sentences.values()) == pytest.approx(1, rel=1e-12)
    words = grammar.sample(3, 20, 4)
    found = grammar.probabilities(words)
    for row, predictions in zip(words, found, strict=True):
        for t in range(4):
            prefix = tuple(int(w) for w in row[1 : t + 1])
            joint = np.zeros(grammar.vocab)
            for sentence, p in sentences.items():
                if sentence[:t] == prefix:
                    joint[sentence[t]] += p
            assert predictions[t] == pytest.approx(joint / joint.sum(), abs=1e-12)


def test_grammar_entropy_is_that_of_all_its_sentences():
    grammar = Grammar(symbols=3, rules=2, levels=2, zipf=1.0, seed=1)
    p = np.array(list(all_sentences(grammar).values()))
    assert grammar.entropy(8) == pytest.approx(-np.sum(p * np.log(p)) / 4, rel=1e-12)


def all_sentences(grammar):
    """P of each sentence, by writing out every tree."""
    choice = zipf(grammar.rules, grammar.zipf)
    found = {(root,): 1 / grammar.symbols for root in range(grammar.symbols)}
    for pairs in grammar.pairs:
        longer = {}
        for words, p in found.items():
            for rules in itertools.product(range(grammar.rules), repeat=len(words)):
                made = tuple(int(x) for w, r in zip(words, rules, strict=True) for x in pairs[w, r])
                assert made not in longer or grammar.rules == 1
                longer[made] = p * float(np.prod(choice[list(rules)]))
        found = longer
    return found


def test_a_sentence_of_grammar_has_one_tree_and_a_wrong_one_none():
    grammar = Grammar()
    words = grammar.sample(0, 10, grammar.length)[:, 1:]
    tree = grammar.parse(words)
    for level, pairs in enumerate(grammar.pairs):
        below = tree[level + 1].reshape(*tree[level].shape, 2)
        assert (pairs[tree[level]] == below[:, :, None]).all(axis=3).any(axis=2).all()
    with pytest.raises(ValueError, match="not a sentence"):
        grammar.parse(np.zeros((1, grammar.length), int))


def test_the_answer_to_a_fact_never_changes_and_only_answers_are_scored():
    facts = Facts(base=8, digits=2, answers=4)
    tokens = facts.sample(0, 500, 30)
    scored = facts.scored(30)
    assert scored.sum() == 10
    answer = {}
    for row in tokens:
        for t in np.flatnonzero(scored):
            fact = (row[t - 1], row[t])
            assert answer.setdefault(fact, row[t + 1]) == row[t + 1] >= facts.base


def test_untold_facts_are_as_many_as_a_learner_by_heart_meets_and_fall_with_hutters_exponent():
    facts = Facts(base=64, digits=3, zipf=1.5)
    rng = np.random.default_rng(0)
    ranks = draw(rng, facts.probability[None], np.zeros(200_000, np.intp))
    told = np.zeros(facts.count, bool)
    told[ranks[:1000]] = True
    share = 1 - told[ranks[1000:]].mean()
    assert share == pytest.approx(facts.untold(1000), abs=0.01)  # another 1000 records move it by about 0.003
    many = facts.probability
    slope = np.log(unseen(many, 1000) / unseen(many, 100)) / np.log(10)
    assert -slope == pytest.approx(learning_exponent(1.5), abs=0.03)  # the tail ends at 64^3 facts


@pytest.mark.parametrize("exponent", [1.2, 1.5, 2.0, 3.0])
def test_learning_exponent_is_that_of_the_exact_curve(exponent):
    """Hutter 2021: n^-(a / (1 + a)) for p_k ~ k^-(1 + a)."""
    p = zipf(2_000_000, exponent)
    slope = np.log(unseen(p, 3000) / unseen(p, 300)) / np.log(10)
    tail = 0.05 if exponent < 1.4 else 0.01  # near 1 the facts beyond the last one are missed
    assert -slope == pytest.approx(learning_exponent(exponent), abs=tail)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("markov:vocab", "'vocab' is not a parameter"),
        ("markov:vocb=3", "did you mean 'vocab'"),
        ("markov:vocab=2.5", "vocab=2.5 cannot be: use a whole number"),
        ("markov:vocab=x", "vocab=x cannot be"),
        ("hmm:zipf=-1", "zipf=-1 cannot be: use a number from 0 to 10"),
        ("grammar:rules=9,symbols=8", "use at most 8 rules"),
        ("facts:base=1000,digits=3", "2^24"),
        ("facts:base=2,digits=65536", "2^24"),
        ("facts:base=65530,digits=1", "more than 2^16"),
        ("grammar:levels=20000", "at most 256 symbols and 16 levels"),
        ("markov:vocab=65536", "use at most 8192"),
        ("hmm:vocab=65536", "would not fit in memory"),
        ("markov:vocab=3,vocab=5", "vocab is given twice"),
    ],
)
def test_a_language_that_cannot_be_is_refused(name, words):
    with pytest.raises(CorpusError) as error:
        language(name)
    assert words in str(error.value)


def test_a_name_that_gives_defaults_is_the_same_language():
    assert fingerprint("markov") == fingerprint("markov:vocab=256")
    assert fingerprint("markov") != fingerprint("markov:vocab=255")
    assert fingerprint("markov") != fingerprint("markov:tokens=1e5")
    assert training_tokens("hmm:tokens=1e5,vocab=8") == 100_000
    assert is_language("hmm:vocab=8") and not is_language("python_stdlib")


def test_rows_of_a_language_are_prepared_once_and_carry_its_entropy(tmp_path):
    data = Data(corpus="facts:base=8,digits=2,answers=4,tokens=3000", context=30, eval_tokens=300)
    rows = prepare_rows(data, tmp_path)
    assert {split: len(found) for split, found in rows.items()}["train"] == 100
    assert rows["train"].entropy == 0.0 and rows["train"].tokens_per_byte is None
    assert tuple(rows["train"].scored) == scored_of(data)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    assert (prepare_rows(data, tmp_path)["test"].tokens == rows["test"].tokens).all()
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    assert not np.array_equal(rows["validation"].tokens[:50], rows["test"].tokens[:50])
    assert not np.array_equal(rows["validation"].tokens[:50], rows["train"].tokens[:50])


def study_of(vocab, **data):
    model, known = Model(vocab=vocab, context=32), Data(context=32, **data)
    run = Run(model=model, data=known, optim=Optim(), steps=9, warmup_steps=1, decay_steps=2)
    return Study(name="one", runs=(run,))


def test_a_language_is_an_ordinary_corpus_in_a_spec():
    (run,) = resolve(study_of(256, corpus="markov")).runs
    assert run.data.tokenizer == "none" and run.data.sha256 == fingerprint("markov")
    assert resolve(resolve(study_of(256, corpus="markov"))) == resolve(study_of(256, corpus="markov"))


@pytest.mark.parametrize(
    ("vocab", "data", "words"),
    [
        (257, {"corpus": "markov"}, "language 'markov' has 256 tokens; set Model.vocab to 256"),
        (256, {"corpus": "markov", "tokenizer": "other"}, "leave the tokenizer out"),
        (256, {"corpus": "markov", "sha256": "0" * 64}, "planned with another version"),
    ],
)
def test_a_spec_that_does_not_fit_its_language_is_refused(vocab, data, words):
    with pytest.raises(SpecError) as error:
        resolve(study_of(vocab, **data))
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("corpus", "context", "words"),
    [("facts", 2, "none that is scored"), ("markov:tokens=30", 32, "fewer than 8 rows of 32 tokens")],
)
def test_rows_that_would_teach_nothing_are_refused(tmp_path, corpus, context, words):
    with pytest.raises(CorpusError) as error:
        prepare_rows(Data(corpus=corpus, context=context, eval_tokens=context), tmp_path)
    assert words in str(error.value) and not list(tmp_path.glob("[a-z]*"))


def test_a_misspelt_language_is_refused_by_name_before_its_vocabulary():
    with pytest.raises(CorpusError, match=r"no corpus 'fact:zipf=1.2': did you mean 'facts:zipf=1.2'"):
        resolve(study_of(48, corpus="fact:zipf=1.2"))


def test_a_context_that_is_not_whole_sentences_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="multiple of 16"):
        prepare_rows(Data(corpus="grammar", context=40, eval_tokens=40), tmp_path)
