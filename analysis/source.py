"""What a report is made from: a study folder with its logs and specs, or a bare table from anywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis import record, rows
from analysis.errors import InputError
from analysis.options import Options

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Source:
    """A table of runs and what is known of how they were made; empty where it is not known."""

    table_path: Path
    table: pd.DataFrame
    table_sha256: str
    folder: Path | None = None
    """The study folder, None for a bare table."""
    name: str = ""
    question: str = ""
    spec_sha256: str = ""
    planned: int = 0
    """Runs that the study asks for."""
    versions: tuple[str, ...] = ()
    """'jax 0.10.2', ... of the programs that trained the runs."""
    diverged: dict[str, str] = field(default_factory=dict)
    """run_id -> where it diverged."""

    @property
    def home(self) -> Path:
        """The folder in which fit.json, limit.json and report/ lie unless another is asked for: the study's, or one
        beside a bare table and named after it, so that two tables of one folder do not share a fit."""
        return self.folder or self.table_path.with_name(f"{self.table_path.stem}-report")

    @property
    def shown_path(self) -> str:
        """How a command names the source, without this machine's folders."""
        path = self.folder or self.table_path
        if not path.is_absolute():
            return path.as_posix()
        return f"runs/{path.name}" if self.folder else path.name


def open_source(path: str | Path, columns: Mapping[str, str] | None = None) -> Source:
    """The source at a study folder or a .csv or .parquet file; `columns` renames as `scaling.table.read` does.

    Raises InputError for a folder without a table, TableError for a table that cannot be read.
    """
    from scaling.table import read, sha256

    path = Path(path)
    if path.name == "table.csv" and (path.parent / "study.json").is_file():
        path = path.parent
    if not path.is_dir():
        table = read(path, columns)
        return Source(path, table, sha256(path), name=path.stem)
    if not (path / "table.csv").is_file():
        raise InputError(
            f"{path} has no table.csv; make it with `python -m scaling collect {path}`, or name a table"
        )
    table_path = path / "table.csv"
    study = _json(path / "study.json")
    results = [_json(file) for file in sorted(path.glob("*/result.json"))]
    return Source(
        table_path,
        read(table_path, columns),
        sha256(table_path),
        folder=path,
        name=str(study.get("name") or path.resolve().name),
        question=str(study.get("question") or ""),
        spec_sha256=_sha256_of_spec(path / "study.json"),
        planned=len(study.get("runs") or ()),
        versions=_versions(results),
        diverged=_diverged(results),
    )


def of_stored_fit(path: Path, out: Path | None, asked: Options) -> tuple[Path, Path, Options]:
    """The table of a fit.json, the folder for what is made of it, and the options that it was made with.

    The table is sought where the fit names it, beside the fit, and beside its folder. Raises InputError where it is not
    found: a bootstrap needs the rows.
    """
    fit = record.read(path)
    if not (fit.intervals and fit.bootstrap):
        missing = "bootstrap" if fit.intervals else "intervals"
        raise InputError(
            f"{path} is a fit without {missing}, and nothing is said beyond the data without; make it again with "
            f"python -m analysis fit {fit.table or 'TABLE'} --out {path}, or name the table in its place"
        )
    name = Path(fit.table)
    places = [path.parent / name.name, path.parent.parent / name.name, name]
    table = next((place for place in places if place.is_file()), None)
    if table is None:
        raise InputError(
            f"{path} is of the table {name.name}, which is not beside it; put it there, or name the table"
        )
    level = next((interval["level"] for interval in fit.intervals.values()), asked.level)
    x = fit.columns.get(rows.X, asked.x)
    boot = fit.bootstrap
    objective, delta = fit.objective_asked
    options = replace(
        asked,
        law=fit.law,
        where=fit.where or "",
        columns=tuple(f"{ours}={theirs}" for ours, theirs in fit.renamed.items()),
        x=x,
        y=fit.target,
        objective=objective,
        delta=delta,
        weights=fit.weighted_by or "",
        replicates=boot.get("replicates", asked.replicates),
        clusters=str(boot.get("method", asked.clusters)).removeprefix("cluster:"),
        seed=boot.get("seed", asked.seed),
        level=level,
        coverage=fit.coverage.get("truths", 0),
        admit=tuple(
            name
            for name in fit.identification.get("admissible", {}).get("admitted", asked.admit)
            if rows.law_named(name).columns == ("N", "D")
        ),
    )
    return table, out or path.parent, options


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON ({error}); restore it, or name the table alone") from None
    return value if isinstance(value, dict) else {}


def _sha256_of_spec(path: Path) -> str:
    """The study's hash: that of its canonical JSON, which is what the file holds before its last line break."""
    if not path.is_file():
        return ""
    return hashlib.sha256(path.read_text(encoding="utf-8").removesuffix("\n").encode()).hexdigest()


def _versions(results: list[dict[str, Any]]) -> tuple[str, ...]:
    found = {
        f"{name} {version}" for result in results for name, version in (result.get("versions") or {}).items()
    }
    return tuple(sorted(found))


def _diverged(results: list[dict[str, Any]]) -> dict[str, str]:
    told = {}
    for result in results:
        where = result.get("diverged")
        if where:
            told[str(result.get("run_id"))] = (
                f"diverged at step {where.get('step')} of its {where.get('part')}"
            )
    return told
