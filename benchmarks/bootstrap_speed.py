"""4000 global bootstraps of the Chinchilla points beside the published recipe, a BFGS run a resample, in one run.

    python -m benchmarks.bootstrap_speed --data chinchilla.csv

Both refit the same resamples of the 240 rows that the authors kept, under the same objective. The peer
(`benchmarks/peers/bfgs_reference.py`) refits some of them from the published parameters, a round at a time, and its
seconds are scaled to all; ours refits all, each by a search of every exponent, once in each round. A ratio is the
median over rounds of (theirs / ours) within a round, with the least and the largest, by the clock and by the processor
time of all threads. Nothing of ours is compiled: "from the start" is a process of its own that imports, reads the
table, fits it and refits all resamples. Last comes by how much the worst of our replicates lies above the peer's
minimum of the same resample, both measured by the peer's own function.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.fitting import Fit, fit
from analysis.intervals.uncertainty import bootstrap, resample
from analysis.solver.objective import LogHuber
from benchmarks.peers import bfgs_reference as peer

Array = NDArray[np.float64]
KEPT = "not dropped_by_authors"
COLD = """
import pandas as pd
from analysis import fit
from analysis.solver.objective import LogHuber
from analysis.intervals.uncertainty import bootstrap
table = pd.read_csv({data!r})
bootstrap(table, fit(table, objective=LogHuber({delta}), where={kept!r}), replicates={replicates})
"""


def seconds(work: Callable[[], object]) -> Array:
    """Seconds of the clock and of the processor (all threads) that it takes, [2]."""
    start, started = time.perf_counter(), time.process_time()
    work()
    return np.array([time.perf_counter() - start, time.process_time() - started])


def from_the_start(data: Path, replicates: int) -> float:
    """Seconds of the clock of a process that does it all."""
    script = COLD.format(data=str(data), delta=peer.DELTA, kept=KEPT, replicates=replicates)
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", script], check=True)
    return time.perf_counter() - start


def ours(table: pd.DataFrame, found: Fit, replicates: int) -> Array:
    """Parameters of every replicate as the peer has them, [R, 5]."""
    law = bootstrap(table, found, replicates=replicates).law.as_dict()
    with np.errstate(divide="ignore"):
        logs = [np.log(law[name]) for name in ("A", "B", "E")]
    return np.stack([*logs, law["alpha"], law["beta"]], axis=1)


def excess(logs: tuple[Array, ...], rows: list[NDArray[np.intp]], mine: Array, theirs: Array) -> Array:
    """(ours - theirs) / theirs of the objective, one a replicate."""
    pairs = [
        [float(peer.objective(p, *(values[r] for values in logs))) for p in both]
        for r, both in zip(rows, zip(mine, theirs, strict=True), strict=True)
    ]
    return np.array([(a - b) / b for a, b in pairs])


def spread(values: Array) -> str:
    """Median, least and largest."""
    return f"{np.median(values):6.0f} ({values.min():.0f}-{values.max():.0f})"


def measure(chosen: argparse.Namespace, gradient: peer.Gradient) -> None:
    """Time both and print what was found."""
    table = pd.read_csv(chosen.data)
    found = fit(table, objective=LogHuber(peer.DELTA), where=KEPT)
    frame = found.select(table).frame
    logs = tuple(np.log(frame[name].to_numpy(dtype=np.float64)) for name in ("N", "D", "L"))
    # the resamples that `bootstrap` draws with its default seed
    counts = resample(np.arange(len(frame)), chosen.replicates, np.random.default_rng(0))
    rows = [np.repeat(np.arange(len(frame)), row.astype(np.intp)) for row in counts[: chosen.peer_replicates]]
    peer.refit(logs, rows[0], gradient)
    mine = ours(table, found, chosen.replicates)

    theirs: list[Array] = []
    times = []
    for part in np.array_split(np.arange(len(rows)), chosen.rounds):
        slow = seconds(lambda part=part: theirs.extend(peer.refit(logs, rows[i], gradient) for i in part))
        fast = seconds(lambda: ours(table, found, chosen.replicates))
        times.append([slow * chosen.replicates / len(part), fast])
    scaled, full = np.array(times).transpose(1, 0, 2)
    cold = np.array([from_the_start(chosen.data, chosen.replicates) for _ in range(chosen.rounds)])
    above = excess(logs, rows, mine[: len(rows)], np.array(theirs))

    print(f"peer: {len(rows)} resamples, scaled to {chosen.replicates}: {np.median(scaled[:, 0]):.1f} s")
    print(f"ours: {chosen.replicates} resamples: {np.median(full[:, 0]):.3f} s by the clock")
    print(f"      {np.median(full[:, 1]):.3f} s of processor; from the start {np.median(cold):.2f} s")
    print(f"times as fast, by the clock:     {spread(scaled[:, 0] / full[:, 0])}")
    print(f"times as fast, by the processor: {spread(scaled[:, 1] / full[:, 1])}")
    print(f"times as fast, from the start:   {spread(scaled[:, 0] / cold)}")
    print(f"worst excess of ours over the peer's objective: {above.max():.1e} of it")
    print(f"the peer is above ours by more than 1e-6 of it in {np.mean(above < -1e-6):.0%} of the resamples,")
    print(f"by {-np.median(above):.1e} in the median and by {-above.min():.1e} at most")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    folder = os.environ.get("SCALING_REFERENCE_DATA", ".")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(folder) / "chinchilla.csv",
        help="columns N, D, L, dropped_by_authors",
    )
    parser.add_argument("--replicates", type=int, default=4000)
    parser.add_argument("--peer-replicates", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--gradient", choices=("autograd", "hand"), help="default: autograd where it is installed"
    )
    chosen = parser.parse_args()
    name = chosen.gradient or ("autograd" if peer.has_autograd() else "hand")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"gradient of the peer: {name}; cores: {cores}")
    measure(chosen, peer.by_autograd() if name == "autograd" else peer.by_hand)


if __name__ == "__main__":
    main()
