"""Predictions registered before the run: what a fit says of named future runs, with a date, sealed by a hash.

The hash shows that a file was changed after it was written, not when it was written: put the file, or its hash, where
its date can be seen (a commit, a message) before the run is started.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis import record
from analysis.errors import InputError
from analysis.holdout import naive_forecasts
from analysis.intervals.uncertainty import predict
from analysis.options import Options
from analysis.pages.findings import again, kept_or_made
from analysis.registered.future import Future
from analysis.source import Source, of_stored_fit, open_source
from analysis.verbs import renames

if TYPE_CHECKING:
    import pandas as pd

    from analysis.fitting import Fit
    from analysis.floor.combination import Combination
    from analysis.intervals.uncertainty import Bootstrap

Array = NDArray[np.float64]

INTERVALS = {
    "law": "percentiles of the law's own bootstrap: where the law's curve lies",
    "run": "the same with the noise of one run: where its loss lies, if this law holds; not widened by held-out errors",
    "all_laws": "quantiles of all admissible laws together, each blurred by its errors on held-out larger runs",
}
"""The intervals of a prediction; the last that it has is the one by which it is judged."""


def write_prediction(
    path: Path,
    options: Options,
    future: Future,
    *,
    out: Path | None = None,
    refit: bool = False,
    say: Callable[[str], None] = print,
    now: datetime | None = None,
) -> tuple[dict[str, Any], Path]:
    """Predict the runs and write what is said, once: a file that is there is never written over.

    path is a fit.json, whose table lies beside it, or a table or study folder, which is fitted as `limit` does it,
    though never over the fit.json of other options (`kept_or_made`).
    The fit of a bare table lies beside `out` where that is given. Returns the content and where it is. Raises
    InputError for a run that cannot be, and where the file is there.
    """
    taken_up = path.suffix == ".json"
    table, home, options = of_stored_fit(path, None, options) if taken_up else (path, None, options)
    source = open_source(table, renames(options.columns))
    home = home or source.home
    if out is not None:
        _require_new(out)
        if source.folder is None and not taken_up:
            home = out.parent / source.home.name
    if taken_up:
        stored = path
        fit, boot, combined = _again(source, path, options)
    else:
        home.mkdir(parents=True, exist_ok=True)
        fit, boot, combined, stored = kept_or_made(source, options, home, refit=refit, say=say)
    say(f"the fit is {stored}")
    rows = fit.select(source.table).frame
    points = future.frame(fit, rows)
    out = out or home / f"prediction-{_slug(points['name'])}.json"
    _require_new(out)
    digest = hashlib.sha256(stored.read_bytes()).hexdigest()
    content = register(fit, boot, combined, rows, points, fit_sha256=digest, now=now or datetime.now(UTC))
    _write_new(content, out)
    return content, out


def register(
    fit: Fit,
    boot: Bootstrap,
    combined: Combination | None,
    rows: pd.DataFrame,
    points: pd.DataFrame,
    *,
    fit_sha256: str,
    now: datetime,
) -> dict[str, Any]:
    """The content of a prediction file: what a fit of selected rows says of points with columns of the law and `name`.

    Every run has its value by the law, the intervals of `INTERVALS`, what naive forecasts say, and by what factor it
    lies beyond the largest fitted run in each of C, N, D and the law's columns. `rows_fitted` are digests by which a
    row that was fitted is known again.
    """
    if not np.isfinite(fit.curve(**fit.arguments(points))).all():
        raise InputError("the law gives no finite value for a run; ask for one nearer to the fitted runs")
    content = {
        "kind": "prediction",
        "date": now.astimezone(UTC).isoformat(timespec="seconds"),
        "fit": _identity(fit) | {"fit_sha256": fit_sha256},
        "level": boot.level,
        "methods": INTERVALS if combined else {name: INTERVALS[name] for name in ("law", "run")},
        "runs": _runs(fit, boot, combined, rows, points),
        "corpus": _corpus(rows),
        "rows_fitted": sorted({digest for row in digests(rows, fit.columns, fit.target) for digest in row}),
    }
    content = record.jsonable(content)
    return content | {"sha256": seal(content)}


def seal(content: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON (sorted keys, no spaces) of everything but `sha256`."""
    rest = {key: value for key, value in content.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read(path: Path) -> dict[str, Any]:
    """A prediction file; raises InputError for one that is missing, none, or changed after it was written."""
    if not path.is_file():
        raise InputError(f"no prediction at {path}; make one with python -m analysis predict")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); restore the file that predict wrote") from None
    if not isinstance(content, dict) or content.get("kind") != "prediction":
        raise InputError(f"{path} is not a prediction; name the file that python -m analysis predict wrote")
    if content.get("sha256") != (found := seal(content)):
        raise InputError(
            f"{path} was changed after it was registered: its content has SHA-256 {found}, and it says "
            f"{content.get('sha256')}; restore the file that predict wrote"
        )
    return content


def digests(frame: pd.DataFrame, columns: Mapping[str, str], target: str) -> list[tuple[str, ...]]:
    """By what each row is known again: its numbers, and its run_id where it has one."""
    numbers = [np.asarray(frame[name], dtype=np.float64).tolist() for name in (*columns.values(), target)]
    found: list[tuple[str, ...]] = [(_digest(values),) for values in zip(*numbers, strict=True)]
    if "run_id" not in frame:
        return found
    return [
        (*row, _digest(str(name))) if isinstance(name, str) else row
        for row, name in zip(found, frame["run_id"], strict=True)
    ]


def _digest(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def _again(source: Source, path: Path, options: Options) -> tuple[Fit, Bootstrap, Combination | None]:
    """A stored fit as it is, with the bootstrap and the combination that it was made with."""
    fit = record.read(path)
    if fit.table_sha256 and fit.table_sha256 != source.table_sha256:
        raise InputError(
            f"{path} was fitted to a table with SHA-256 {fit.table_sha256}, but {source.table_path} now has "
            f"{source.table_sha256}: restore the table, or fit it again"
        )
    return fit, *again(source, fit, options)


def _identity(fit: Fit) -> dict[str, Any]:
    """By what a reader knows the fit again, and computes its curve."""
    found = record.to_json(fit)
    names = ("law", "columns", "target", "params", "objective", "where", "rows", "conventions", "table")
    return {name: found[name] for name in (*names, "renamed", "table_sha256", "version")}


def _runs(
    fit: Fit, boot: Bootstrap, combined: Combination | None, rows: pd.DataFrame, points: pd.DataFrame
) -> list[dict[str, Any]]:
    made = predict(boot, fit, points)
    ends = {"law": (made.law_lo, made.law_hi), "run": (made.lo, made.hi)}
    values = {"value": made.value}
    if combined is not None:
        values["all_laws_value"], *both = combined.predict(points)
        ends["all_laws"] = (both[0], both[1])
    naive = naive_forecasts(fit, rows, points)
    columns = [*dict.fromkeys((*fit.columns.values(), *(c for c in ("N", "D", "C") if c in points)))]
    largest = {c: float(rows[c].max()) for c in columns if c in rows}
    return [
        {
            "name": str(points["name"].iloc[i]),
            "columns": {column: float(points[column].iloc[i]) for column in columns},
            **{name: float(value[i]) for name, value in values.items()},
            **{name: {"lo": float(lo[i]), "hi": float(hi[i])} for name, (lo, hi) in ends.items()},
            "baselines": {name: float(value[i]) for name, value in naive.items()},
            "extrapolation": {c: float(points[c].iloc[i]) / most for c, most in largest.items() if most > 0},
        }
        for i in range(len(points))
    ]


def _corpus(rows: pd.DataFrame) -> str | None:
    """The corpus of the fitted rows, of which there is one at most (see `rows.select`)."""
    names = [str(name) for name in rows["corpus"].dropna().unique()] if "corpus" in rows else []
    return names[0] if names else None


def _slug(names: Iterable[str]) -> str:
    """Part of a file's name: the first run's, with how many more there are."""
    first, *others = names
    words = re.sub(r"[^A-Za-z0-9.=+-]+", "-", first).strip("-.")[:40] or "run"
    return f"{words}-and-{len(others)}-more" if others else words


def _require_new(path: Path) -> None:
    record.check_target(path)
    if path.exists():
        raise InputError(
            f"{path} is there already, and a prediction is not written over; name another file with --out"
        )


def _write_new(content: Mapping[str, Any], path: Path) -> None:
    """Write, whole or not at all, a file that must not be there."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise InputError(f"{path} is there already; name another file with --out") from None
    except OSError as error:
        raise InputError(f"cannot write {path} ({error.strerror}); name another file with --out") from None
