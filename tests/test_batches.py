"""Batches: a pure function of seed and step, each row once an epoch; held-out rows: the same for everyone."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.data.batches import CHUNK, batch, epochs, held_out, order, unique_tokens
from scaling.data.rows import Rows
from scaling.errors import UserError

ROOT = Path(__file__).parents[1]

GOLDEN = {
    (1000, 0, 0): [870, 217, 794, 804, 337, 637, 38, 732],
    (1000, 1, 0): [531, 663, 567, 500, 893, 760, 472, 268],
    (1000, 0, 998): [802, 443, 92, 370],  # the last two of an epoch and the first two of the next
    (10**7, 7, 10**9): [6415062, 9887452, 3806041, 8860711],
}
"""Orders (rows, seed, start): should these numbers move, then no run trained before can be continued."""


def made(n: int, context: int = 16, documents: int = 10) -> Rows:
    """Rows whose tokens say where they are from: row i holds i, i, i, ..."""
    tokens = np.repeat(np.arange(n, dtype=np.uint16)[:, None], context + 1, axis=1)
    document = (np.arange(n) * documents // n).astype(np.int32)
    return Rows(
        tokens=tokens,
        document=document,
        context=context,
        vocab=2**16,
        documents=documents,
        bytes=n * context,
        tokens_per_byte=1.0,
    )


@pytest.mark.parametrize("case", GOLDEN, ids=str)
def test_the_order_is_the_one_it_has_always_been(case):
    np.testing.assert_array_equal(order(*case, len(GOLDEN[case])), GOLDEN[case])


def test_the_order_is_the_same_in_another_process():
    code = "from scaling.data.batches import order; print(order(777, 5, 700, 200).tolist())"
    command = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}"]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert printed == f"{order(777, 5, 700, 200).tolist()}\n"


@settings(deadline=None)  # other processes share the cores
@given(rows=st.integers(1, 3 * CHUNK), seed=st.integers(0, 2**31), epoch=st.integers(0, 10**6))
def test_each_epoch_holds_each_row_once(rows, seed, epoch):
    np.testing.assert_array_equal(np.sort(order(rows, seed, epoch * rows, rows)), np.arange(rows))


@settings(deadline=None)  # other processes share the cores
@given(
    rows=st.integers(50, 2 * CHUNK),
    start=st.integers(0, 10**9),
    parts=st.lists(st.integers(0, CHUNK + 7), max_size=4),
)
def test_the_order_does_not_depend_on_how_it_is_asked_for(rows, start, parts):
    whole = order(rows, 3, start, sum(parts))
    cuts = np.cumsum([0, *parts])
    pieces = [order(rows, 3, start + int(cut), part) for cut, part in zip(cuts[:-1], parts, strict=True)]
    np.testing.assert_array_equal(whole, np.concatenate([np.zeros(0, np.int64), *pieces]))


def test_epochs_and_seeds_have_orders_of_their_own():
    """Of 12 orders of 500 rows no two agree in more than 10 places: agreements are Poisson with mean 1."""
    orders = [order(500, seed, epoch * 500, 500) for seed in range(4) for epoch in range(3)]
    agreements = [np.sum(a == b) for i, a in enumerate(orders) for b in orders[:i]]
    assert max(agreements) <= 10


@pytest.mark.parametrize("rows", [8, 100, 1000])
def test_every_place_is_as_likely_to_hold_every_row(rows):
    """First row of 4000 seeds, in 8 bins: chi-squared with 7 degrees of freedom exceeds 35 once in 1e5."""
    first = np.array([order(rows, seed, 0, 1)[0] for seed in range(4000)])
    counts = np.bincount(first * 8 // rows, minlength=8)
    expected = 4000 * np.bincount(np.arange(rows) * 8 // rows, minlength=8) / rows
    assert np.sum((counts - expected) ** 2 / expected) < 35


def test_neighbouring_places_hold_unrelated_rows():
    """Correlation of successive rows over 20000 places: five standard deviations of 0.007 allowed."""
    rows = order(20_000, 0, 0, 20_000)
    assert abs(np.corrcoef(rows[1:], rows[:-1])[0, 1]) < 5 * 0.007


def test_a_batch_is_the_rows_of_its_places():
    rows = made(100)
    tokens = batch(rows, seed=2, step=5, batch_rows=8)
    assert tokens.shape == (8, 17)
    assert tokens.dtype == np.int32
    np.testing.assert_array_equal(tokens[:, 0], order(100, 2, 40, 8))
    np.testing.assert_array_equal(tokens, np.repeat(tokens[:, :1], 17, axis=1))


def test_steps_cover_an_epoch_exactly_once_also_when_it_ends_within_a_batch():
    rows = made(10)
    seen = np.concatenate([batch(rows, 0, step, 4)[:, 0] for step in range(5)])
    for epoch in (seen[:10], seen[10:]):
        np.testing.assert_array_equal(np.sort(epoch), np.arange(10))


def test_a_batch_may_be_longer_than_an_epoch():
    counts = np.bincount(batch(made(3), 0, 0, 9)[:, 0])
    np.testing.assert_array_equal(counts, [3, 3, 3])


def test_a_batch_may_be_written_to_without_changing_the_next():
    rows = made(10)
    first = batch(rows, 0, 0, 4)
    copy = first.copy()
    first[:] = 0
    np.testing.assert_array_equal(batch(rows, 0, 0, 4), copy)


@pytest.mark.parametrize(("context", "batch_rows"), [(256, 16), (64, 64)])
def test_one_core_gathers_ten_million_tokens_a_second(context, batch_rows):
    """The best of five, since other processes share the core; measured at 10 to 20 times this."""
    rows = made(40_000, context)

    def seconds() -> float:
        start = time.perf_counter()
        for step in range(500):
            batch(rows, 0, step, batch_rows)
        return time.perf_counter() - start

    assert 500 * batch_rows * context / min(seconds() for _ in range(5)) > 10e6


# Held out.


@settings(deadline=None)  # other processes share the cores
@given(n=st.integers(1, 400), tokens=st.integers(16, 10_000))
def test_held_out_rows_are_whole_distinct_and_at_most_as_many_as_asked(n, tokens):
    rows = made(n)
    chosen, document = held_out(rows, tokens)
    index = chosen[:, 0]
    assert len(index) == min(n, tokens // 16)
    assert np.all(np.diff(index) > 0)
    np.testing.assert_array_equal(document, rows.document[index])
    assert (chosen.dtype, document.dtype) == (np.int32, np.int32)


@settings(deadline=None)  # other processes share the cores
@given(n=st.integers(1, 400), count=st.integers(1, 400))
def test_held_out_rows_are_evenly_spaced(n, count):
    """Gaps, the one around the end included, differ by one row at most."""
    index = held_out(made(n), 16 * count)[0][:, 0]
    gaps = np.diff([*index, n + index[0]])
    assert gaps.max() - gaps.min() <= 1


def test_a_held_out_row_every_few_reaches_every_document():
    document = held_out(made(1000, documents=50), tokens=16 * 100)[1]
    np.testing.assert_array_equal(np.unique(document), np.arange(50))


def test_a_small_split_is_held_out_whole():
    np.testing.assert_array_equal(held_out(made(7), 10**6)[0][:, 0], np.arange(7))


def test_holding_out_less_than_a_row_is_refused():
    with pytest.raises(UserError, match="eval_tokens = 15 holds no row: give at least the context, 16"):
        held_out(made(7), 15)


# Repeated data.


@pytest.mark.parametrize("steps", [1, 5, 12, 13, 40])
def test_unique_tokens_are_counted_as_the_batches_show_them(steps):
    rows = made(50)
    seen = np.concatenate([batch(rows, 1, step, 4)[:, 0] for step in range(steps)])
    assert unique_tokens(rows, steps * 4 * 16) == len(set(seen.tolist())) * 16


def test_epochs_are_tokens_seen_over_tokens_there_are():
    rows = made(50)
    assert epochs(rows, 50 * 16) == 1.0
    assert epochs(rows, 125 * 16) == 2.5


@pytest.mark.parametrize("arguments", [(0, 0, 0, 1), (10, 0, -1, 1), (10, 0, 0, -1)])
def test_an_order_of_nothing_or_before_the_beginning_is_refused(arguments):
    with pytest.raises(ValueError, match=r"rows=\d+, start=-?\d+, count=-?\d+"):
        order(*arguments)
