"""Batches: the rows trained on at a step, as a pure function of (seed, step), and the rows held out.

The order of an epoch is a keyed permutation that is computed place by place: any step is reached at once, a
resumed run needs one integer, and no order of a whole corpus is ever stored.
"""

from __future__ import annotations

import functools
import hashlib
import math

import numpy as np
from numpy.typing import NDArray

from scaling.data.rows import Rows
from scaling.errors import UserError

ROUNDS = 8
"""Rounds of the permutation, an even number; with four, the order of a few rows is visibly not uniform."""

CHUNK = 4096
"""Places computed at a time and remembered for the next steps: their cost is per call, not per place."""

_MIX_1, _MIX_2, _HALF = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93), np.uint64(32)


def batch(
    rows: Rows, seed: int, step: int, batch_rows: int, host: int = 0, hosts: int = 1
) -> NDArray[np.int32]:
    """Tokens [b, context + 1] of a step: the rows at places step b .. (step + 1) b - 1 of the seed's order.

    Of several hosts, each reads its own slice [b / hosts, context + 1]; one after the other they are the batch, which
    does not depend on how many there are. Raises ValueError when there is no row, the step or b is negative, or b is
    no multiple of the hosts.
    """
    mine = host_slice(batch_rows, host, hosts)
    return _gather(rows, order(len(rows), seed, step * batch_rows + mine.start, mine.stop - mine.start))


def host_slice(count: int, host: int, hosts: int) -> slice:
    """The rows of a batch of `count` that a host holds; raises ValueError unless every host holds equally many."""
    if not 0 <= host < hosts or count % hosts:
        raise ValueError(
            f"{count} rows, host {host} of {hosts}: give a multiple of the hosts, and a host below them"
        )
    return slice(count // hosts * host, count // hosts * (host + 1))


def order(rows: int, seed: int, start: int, count: int) -> NDArray[np.int64]:
    """Indices [count] into `rows` rows at places start .. start + count - 1 of the endless order of a seed.

    Each epoch, `rows` places long, is another permutation of all rows, the same in every process, on every
    machine. Raises ValueError when there is no row, or a place or the count is negative.
    """
    if rows < 1 or start < 0 or count < 0:
        raise ValueError(f"rows={rows}, start={start}, count={count}: give at least one row, none negative")
    parts = [np.zeros(0, np.int64)]
    while count > 0:
        epoch, place = divmod(start, rows)
        chunk, first = divmod(place, CHUNK)
        parts.append(_chunk(rows, seed, epoch, chunk)[first : first + count])
        start, count = start + len(parts[-1]), count - len(parts[-1])
    return np.concatenate(parts)


def held_out(rows: Rows, tokens: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Tokens [r, context + 1] and document [r] of the rows that L is measured on, the same for every run.

    Whole rows, evenly spaced over the whole split, at most `tokens` predicted tokens in all; every row where
    the split is smaller. Raises UserError when `tokens` is less than one row.
    """
    if tokens < rows.context:
        raise UserError(f"eval_tokens = {tokens} holds no row: give at least the context, {rows.context}")
    count = min(len(rows), tokens // rows.context)
    index = np.arange(count, dtype=np.int64) * len(rows) // count
    return _gather(rows, index), rows.document[index].astype(np.int32)


def unique_tokens(rows: Rows, tokens_seen: int) -> int:
    """D_unique: different tokens among the first `tokens_seen` predicted; all are new for an epoch."""
    return min(tokens_seen, rows.predicted)


def epochs(rows: Rows, tokens_seen: int) -> float:
    """Passes over the rows that `tokens_seen` predicted tokens make."""
    return tokens_seen / rows.predicted


def _gather(rows: Rows, index: NDArray[np.int64]) -> NDArray[np.int32]:
    return np.asarray(rows.tokens)[index].astype(np.int32)


@functools.lru_cache(maxsize=256)
def _chunk(rows: int, seed: int, epoch: int, chunk: int) -> NDArray[np.int64]:
    places = np.arange(chunk * CHUNK, min((chunk + 1) * CHUNK, rows), dtype=np.uint64)
    indices = _permuted(places, rows, seed, epoch)
    indices.flags.writeable = False
    return indices


def _permuted(places: NDArray[np.uint64], rows: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The rows at places [b] of an epoch, one to one on range(rows).

    A Feistel network on a near-square grid of `high` x `low` cells, just large enough; the few places that
    land on a cell beyond the last row are sent on until they land on a row (Black and Rogaway 2002,
    generalised Feistel cipher and cycle walking).
    """
    high = math.isqrt(rows - 1) + 1
    low = -(-rows // high)
    name = f"scaling.data.batches/{seed}/{epoch}".encode()
    keys = np.frombuffer(hashlib.blake2b(name, digest_size=8 * ROUNDS).digest(), "<u8").astype(np.uint64)
    found = _feistel(places, np.uint64(high), np.uint64(low), keys)
    last = np.uint64(rows - 1)
    while (beyond := np.flatnonzero(found > last)).size:
        found[beyond] = _feistel(found[beyond], np.uint64(high), np.uint64(low), keys)
    return found.astype(np.int64)


def _feistel(
    cells: NDArray[np.uint64], high: np.uint64, low: np.uint64, keys: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """Cells [b] of range(high low), one to one: each round shifts a coordinate by a hash of the other."""
    left, right = np.divmod(cells, low)
    for key_left, key_right in zip(keys[::2], keys[1::2], strict=True):
        left = (left + _hash(right, key_left, high)) % high
        right = (right + _hash(left, key_right, low)) % low
    return left * low + right


def _hash(values: NDArray[np.uint64], key: np.uint64, below: np.uint64) -> NDArray[np.uint64]:
    """Values [b] hashed to range(below), `below` up to 2^32: multiply and shift, in wrapping 64 bits."""
    mixed = (values + key) * _MIX_1
    mixed ^= mixed >> _HALF
    mixed *= _MIX_2
    return ((mixed >> _HALF) * below) >> _HALF
