"""The schema of a row a run: read, write and validate tables of runs, ours or from any other codebase."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.errors import UserError
from scaling.storage import put_whole

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "run_id": "hash of the run's canonical JSON",
    "name": "the run in words: size, budget, seed",
    "trunk_id": "the constant-rate trunk that the run branched from; rows of one trunk are one cluster",
    "population_id": "runs trained together in one program; empty when trained alone",
    "seed": "seed of initialisation",
    "data_seed": "seed of the order of the data",
    "N": "parameters doing matrix work per token: blocks and output head, no input embedding table; the whole matrix "
    "of a linear model, of which a token uses order x vocab",
    "N_total": "all parameters, a tied table counted once",
    "N_embedding": "parameters of the input embedding table",
    "N_head": "parameters of the output head (of the shared table when tied); the whole matrix of a linear model",
    "D": "training tokens seen",
    "D_unique": "different training tokens seen",
    "C": "training FLOPs, counted exactly, as if trained from scratch",
    "C_6ND": "6 N D; empty for a linear model, whose tokens use few of its parameters",
    "C_spent": "training FLOPs spent for this row: its decay branch and the trunk since the next shorter row left it",
    "C_attention_projections": "part of C: query, key, value and output projections",
    "C_attention_context": "part of C: scores and weighted sums over the context",
    "C_mlp": "part of C: the MLPs' matrix products",
    "C_head": "part of C: the output head, or a linear model's look-ups and their gradient",
    "C_elementwise": "part of C: norms, softmax, rotary positions, activations, residual sums",
    "L": "held-out cross-entropy, nats per token",
    "L_se": "standard error of L from the held-out text alone, clustered by document",
    "bpb": "held-out bits per byte",
    "tokens_per_byte": "tokens per byte of the held-out text",
    "entropy": "true entropy of the language in nats per token, where it is known",
    "excess": "exact divergence of the model from the language, nats per token: its loss above the entropy, free of "
    "the noise of which tokens were drawn",
    "excess_se": "standard error of excess from the choice of contexts",
    "architecture": "kind of model: transformer, or linear (softmax regression on the last tokens)",
    "objective": "causal or masked language modelling",
    "parametrization": "how initial values, rates and decay change with size: standard, mup or completep",
    "base_width": "width at which mup and completep agree with standard; empty for standard",
    "init_scale": "factor on the initial value of every matrix",
    "optimizer": "name of the optimiser",
    "lr": "peak learning rate",
    "decay_shape": "how the learning rate fell at the end: sqrt (1 - sqrt), linear, cosine or none",
    "decay_to": "learning rate at the end, as a share of the peak",
    "sweep_id": "runs that share it differ in learning rate and seed alone",
    "rate_range": "where the best rate of this size, budget and recipe lies in the range tried: interior, low edge, "
    "high edge, flat (none better beyond the noise between seeds), untuned (one rate alone); empty where all diverged",
    "weight_decay": "weight decay",
    "weight_decay_kind": "decoupled (times the rate), independent of the peak rate, or l2 (in the gradient)",
    "batch_tokens": "tokens per step",
    "steps": "optimiser steps",
    "depth": "blocks; empty for a linear model",
    "width": "width of the residual stream; empty for a linear model",
    "heads": "attention heads; empty for a linear model",
    "order": "tokens that a linear model reads; empty for other models",
    "context": "tokens of context",
    "vocab": "size of the vocabulary",
    "corpus": "name of the corpus",
    "corpus_sha256": "hash of the corpus's documents",
    "decayed": "whether the learning rate was decayed before L was measured",
    "device_seconds": "seconds of training of this row's own branch, times devices",
    "trunk_device_seconds": "seconds of training of the trunk up to where this row left it, times devices",
    "compile_seconds": "seconds in which step and evaluation of its shape were compiled, or read from the cache",
    "mfu": "model FLOPs of its decay branch by PaLM's count over the device's peak; empty where no peak is known",
    "device": "kind of device that trained it, as XLA names it",
    "devices": "devices that trained it, with those trained together with it",
    "precision": "of matrix products and activations: float32 or bfloat16",
    "status": "done or diverged",
}
"""Every column that `collect` writes, and what it means; a table may carry more."""

TEXT = {
    *("run_id", "name", "trunk_id", "population_id", "sweep_id", "status", "device", "precision"),
    *(
        "corpus",
        "corpus_sha256",
        "architecture",
        "objective",
        "parametrization",
        "optimizer",
        "weight_decay_kind",
        "rate_range",
    ),
    "decay_shape",
}
REQUIRED = ("N", "D", "L")

UNIT_COLUMNS = ("L_unit", "loss_unit", "units", "unit")
"""Columns in which a table may say what its losses are measured in, the first of them that is there."""
NATS, BITS, PERPLEXITY = "nats per token", "bits per token", "perplexity"
PER_BYTE = ("bits per byte", "nats per byte")
UNITS = {
    **dict.fromkeys(("nats", "nat", "nats per token", "nat per token"), NATS),
    **dict.fromkeys(("bits", "bit", "bits per token", "bit per token"), BITS),
    **dict.fromkeys(("bits per byte", "bit per byte", "bpb"), PER_BYTE[0]),
    **dict.fromkeys(("nats per byte", "nat per byte"), PER_BYTE[1]),
    **dict.fromkeys(("perplexity", "ppl"), PERPLEXITY),
}
"""What such a column may say."""
CONVERTED = "nats, converted from bits"
"""What it says once `read` has converted the losses."""


class TableError(UserError):
    """A table that cannot be read: the message names file, column, row and remedy."""


def write(rows: Iterable[Mapping[str, Any]], path: Any) -> None:
    """Write rows as CSV with the columns of `COLUMNS` first, whole or not at all; missing is empty."""
    import pandas as pd

    frame = pd.DataFrame(list(rows))
    known = [column for column in COLUMNS if column in frame.columns]
    frame = frame[known + [column for column in frame.columns if column not in COLUMNS]]
    try:
        put_whole(path, frame.to_csv(index=False).encode())
    except UserError as error:
        raise TableError(str(error)) from None


def read(path: str | Path, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Read a CSV or Parquet table of runs; `columns` maps our names to theirs, e.g. {"N": "params"}.

    Numeric columns of the schema come back as numbers, missing values as NaN. Where a column says that all losses are
    in bits per token (see `loss_units`) they are converted to nats, and it then says so. Raises TableError for a file
    that is missing, empty or unreadable, a column that is not there, and text where a number belongs.
    """
    path = Path(path)
    frame = _parse(path)
    frame = _rename(frame, columns or {}, path)
    if frame.empty:
        raise TableError(f"{path} holds no rows; a table needs one row a run with columns N, D, L")
    for column in frame.columns:
        if column in COLUMNS and column not in TEXT and column != "decayed":
            frame[column] = _numbers(frame[column], column, path)
        elif column in TEXT:
            frame[column] = frame[column].astype("string")
    return _in_nats(frame)


def loss_units(frame: pd.DataFrame) -> tuple[str, pd.Series] | None:
    """The column that says what the losses are in, and for each row what it says: a value of `UNITS`, missing where it
    is empty. None where there is no such column, or one that says nothing known of any row."""
    for column in UNIT_COLUMNS:
        if column in frame.columns:
            said = frame[column].astype("string").str.lower().str.split(",").str[0]
            said = said.str.replace("/", " per ").str.replace(r"[_\s]+", " ", regex=True).str.strip()
            units = said.map(UNITS).astype("string")
            if units.notna().any():
                return column, units.fillna(said)
    return None


def _in_nats(frame: pd.DataFrame) -> pd.DataFrame:
    known = loss_units(frame)
    if known is None or "L" not in frame.columns or set(known[1].dropna()) != {BITS}:
        return frame
    losses = {name: frame[name] * math.log(2) for name in ("L", "L_se") if name in frame.columns}
    return frame.assign(**losses, **{known[0]: CONVERTED})


def sha256(path: str | Path) -> str:
    """Hash of the file's bytes, by which a fit names the table that it was made from."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _parse(path: Path) -> pd.DataFrame:
    import pandas as pd

    if path.is_dir():
        raise TableError(
            f"{path} is a folder; name a .csv or .parquet file, or a study folder with a table.csv"
        )
    if not path.is_file():
        raise TableError(f"no table at {path}; name a .csv or .parquet file with one row a run")
    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
            _require_unique(frame.columns, path)
            return frame
        _check_header(path)
        frame = pd.read_csv(
            path, dtype=dict.fromkeys(("run_id", "trunk_id", "population_id", "sweep_id"), "string")
        )
    except pd.errors.EmptyDataError:
        raise TableError(f"{path} is empty; a table needs a header and one row a run") from None
    except (pd.errors.ParserError, UnicodeDecodeError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise TableError(f"{path} cannot be read as a table ({reason}); save it as CSV or Parquet") from None
    if not isinstance(frame.index, pd.RangeIndex):  # pandas took the first fields for row names
        raise TableError(f"{path} has rows with more fields than its header; give every column a name")
    return frame


def _check_header(path: Path) -> None:
    """Raise TableError where a CSV has two columns of one name, of which pandas renames the second, or is separated by
    something else than commas."""
    import pandas as pd

    first = pd.read_csv(path, header=None, nrows=1, dtype="string", keep_default_na=False)
    names = [str(name) for name in first.iloc[0]]
    if len(names) == 1:
        for separator, called in ((";", "semicolons"), ("\t", "tabs")):
            if separator in names[0]:
                raise TableError(
                    f"{path} is separated by {called}; the separator must be a comma (and numbers have a decimal "
                    "point): save it so"
                )
    _require_unique([name for name in names if name], path)


def _require_unique(names: Iterable[Any], path: Path) -> None:
    """Raise TableError where two columns have one name."""
    counts = Counter(map(str, names))
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise TableError(f"{path} has several columns {' and '.join(twice)}; rename or drop all but one")


def _rename(frame: pd.DataFrame, columns: Mapping[str, str], path: Path) -> pd.DataFrame:
    present = ", ".join(map(str, frame.columns))
    for ours, theirs in columns.items():
        if theirs not in frame.columns:
            raise TableError(
                f"{path} has no column {theirs!r} (asked for as {ours}); its columns are: {present}"
            )
    clash = [ours for ours, theirs in columns.items() if ours in frame.columns and ours != theirs]
    return frame.drop(columns=clash).rename(columns={theirs: ours for ours, theirs in columns.items()})


def _numbers(values: pd.Series, column: str, path: Path) -> pd.Series:
    import pandas as pd

    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    bad = numbers.isna() & values.notna() & (values.astype("string").str.strip().str.lower() != "nan")
    if bad.any():
        row = int(bad.to_numpy().argmax())
        raise TableError(
            f"{path}, row {row + 1}: {column} is {values.iloc[row]!r}, not a number; correct it or leave it empty"
        )
    return numbers
