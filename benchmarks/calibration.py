"""Do calibrated intervals hold what they promise? The whole procedure on tables whose truth is known.

Every table is drawn from a truth, fitted, bootstrapped, and its intervals calibrated on tables simulated from its own
fit (`intervals.coverage`), which never sees the truth. Printed: what share of the truths the plain and the calibrated
interval of each quantity caught, with the 95 % interval of that share.

    python -m benchmarks.calibration --design narrow --tables 100

takes about 5 s of CPU a table. Designs: wide (7 sizes over 4 decades, 35 rows), narrow (6 trunks over 1.5 decades whose
5 branches share half of the noise's variance), quickstart (the truth and noise of the fit to that study's table) and
chinchilla (likewise, of the 240 points of `$SCALING_REFERENCE_DATA/chinchilla.csv`).
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.fitting import fit, vector
from analysis.intervals.calibration import share_interval
from analysis.intervals.coverage import coverage, followed
from analysis.intervals.simulation import noise
from analysis.intervals.uncertainty import bootstrap, grouping
from analysis.laws import Hoffmann, Law
from scaling.table import read

ROOT = Path(__file__).parent.parent
TRUTH = Hoffmann(E=1.7, A=400.0, alpha=0.34, B=2000.0, beta=0.37)


@dataclass(frozen=True)
class Design:
    """Runs without their losses, the law they follow, and their noise: of each trunk and of each row."""

    runs: pd.DataFrame
    law: Law
    shared: float
    own: np.ndarray
    """Standard deviation of each row's own noise; of the studies as its residual says."""

    def table(self, seed: int) -> pd.DataFrame:
        """Runs with losses of this truth."""
        rng = np.random.default_rng((seed, 99))
        trunks = (
            pd.factorize(self.runs["trunk_id"])[0]
            if "trunk_id" in self.runs
            else np.zeros(len(self.runs), int)
        )
        drawn = self.shared * rng.standard_normal(trunks.max() + 1)[trunks]
        drawn = drawn + self.own * rng.standard_normal(len(self.runs))
        columns = {name: self.runs[name].to_numpy(dtype=float) for name in ("N", "D")}
        return self.runs.assign(L=self.law(**columns) * np.exp(drawn))


def wide() -> Design:
    """A design that spans."""
    N = np.repeat(np.geomspace(1e5, 1e9, 7), 5)
    runs = pd.DataFrame({"N": N, "D": N * np.tile([5, 20, 80, 320, 1280], 7)})
    return Design(runs, TRUTH, 0.0, np.array(0.01))


def narrow() -> Design:
    """Few trunks, close together."""
    N = np.repeat(np.geomspace(1e6, 3e7, 6), 5)
    D = np.tile(np.geomspace(2e8, 6e9, 5), 6)
    return Design(
        pd.DataFrame({"N": N, "D": D, "trunk_id": np.repeat(list("abcdef"), 5)}),
        TRUTH,
        0.004,
        np.array(0.004),
    )


def quickstart() -> Design:
    """The study of the first page."""
    return _like(read(ROOT / "experiments/results/quickstart/table.csv"), None)


def chinchilla() -> Design:
    """The points of Besiroglu et al. 2024."""
    return _like(
        read(Path(os.environ["SCALING_REFERENCE_DATA"]) / "chinchilla.csv"), "not dropped_by_authors"
    )


DESIGNS = {found.__name__: found for found in (wide, narrow, quickstart, chinchilla)}


def _like(table: pd.DataFrame, where: str | None) -> Design:
    found = fit(table, where=where)
    frame = found.select(table).frame
    problem = found.problem(frame)
    size = noise(problem, vector(problem, found.params), found.weights(frame), grouping(frame)[0])
    kept = [name for name in ("N", "D", "C", "trunk_id", "seed") if name in frame]
    return Design(
        frame[kept].reset_index(drop=True),
        found.curve,
        size.shared,
        size.own * np.sqrt(size.rows.sizes / size.rows.sizes.mean()),
    )


def measured(design: Design, seed: int, truths: int, refits: int) -> pd.DataFrame:
    """Whether each quantity's intervals caught its truth on one table."""
    table = design.table(seed)
    found = fit(table)
    boot = bootstrap(table, found, replicates=refits, seed=seed)
    made = coverage(table, found, boot, truths=truths, refits=refits, seed=seed)
    true = followed(table, found)(design.law)
    rows = []
    for name, one in made.quantities.items():
        for kind, interval in {"plain": one.plain, "calibrated": one.calibrated}.items():
            ends = (interval.lo, interval.hi) if interval else (np.nan, np.nan)
            rows.append((seed, name, kind, float(true[name]), *ends, one.level, one.stretch))
    return pd.DataFrame(rows, columns=["table", "quantity", "kind", "truth", "lo", "hi", "level", "stretch"])


def said(found: pd.DataFrame) -> str:
    """The shares caught, a line a quantity."""
    lines = []
    for name, rows in found.groupby("quantity", sort=False):
        words = []
        for kind in ("plain", "calibrated"):
            of = rows[rows.kind == kind]
            hit = (of.lo <= of.truth) & (of.truth <= of.hi)
            lo, hi = share_interval(int(hit.sum()), len(of))
            width = float(np.median(of.hi - of.lo))
            words.append(f"{kind} {hit.mean():6.1%} ({lo:.0%} to {hi:.0%}), width {width:8.4g}")
        lines.append(f"  {name:11s} {'   '.join(words)}")
    return "\n".join(lines)


def main() -> None:
    """Measure one design and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--design", choices=DESIGNS, required=True)
    parser.add_argument("--first", type=int, default=0, help="number of the first table")
    parser.add_argument("--tables", type=int, default=100)
    parser.add_argument(
        "--truths", type=int, default=100, help="simulated tables by which each is calibrated"
    )
    parser.add_argument("--refits", type=int, default=100)
    parser.add_argument("--out", type=Path, help="a CSV of every interval")
    asked = parser.parse_args()
    design, started = DESIGNS[asked.design](), time.process_time()
    seeds = range(asked.first, asked.first + asked.tables)
    found = pd.concat([measured(design, seed, asked.truths, asked.refits) for seed in seeds])
    print(f"{asked.design}: {asked.tables} tables, {asked.truths} truths and {asked.refits} refits each")
    print(f"{time.process_time() - started:.0f} s of CPU\n{said(found)}", flush=True)
    if asked.out:
        found.to_csv(asked.out, index=False)


if __name__ == "__main__":
    main()
