"""Seconds a row and peak memory of a fit and of a bootstrap as the rows grow, on simulated losses.

    python -m benchmarks.rows_scaling --rows 1000 10000 100000 1000000

Each size is fitted in a process of its own: Hoffmann's law, and Shifted, which has four shape parameters. Processor
time is that of all threads; memory is the highest that the process had, what it imports included (the first number of
a law, of a thousand rows, is little else).
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from multiprocessing.connection import Connection

import numpy as np
import pandas as pd

from analysis.fitting import fit
from analysis.intervals.uncertainty import bootstrap
from analysis.laws import Hoffmann, Shifted

TRUTHS = {
    "hoffmann": Hoffmann(1.7, 400.0, 0.34, 2000.0, 0.37),
    "shifted": Shifted(1.7, 400.0, 3e6, 0.34, 2000.0, 1e8, 0.37),
}
REPLICATES = 50


def table(law: str, rows: int) -> pd.DataFrame:
    """Runs between 1e6 and 1e9 parameters with 2 to 2000 tokens each, 1 % of noise."""
    rng = np.random.default_rng(0)
    N = 10 ** rng.uniform(6, 9, rows)
    D = N * 10 ** rng.uniform(0.3, 3.3, rows)
    return pd.DataFrame(
        {"N": N, "D": D, "L": TRUTHS[law](N=N, D=D) * np.exp(0.01 * rng.standard_normal(rows))}
    )


def peak() -> float:
    """Highest memory so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(law: str, rows: int, replicates: int, pipe: Connection) -> None:
    """Answer with the seconds of the clock and of the processor and the memory of a fit, and of a bootstrap of it."""
    fit(table(law, 1000), law)  # what is imported late is imported now
    runs = table(law, rows)
    start, started = time.perf_counter(), time.process_time()
    found = fit(runs, law)
    fitted = time.perf_counter() - start, time.process_time() - started, peak()
    start, started = time.perf_counter(), time.process_time()
    if replicates:
        bootstrap(runs, found, replicates=replicates)
    pipe.send((found, fitted, (time.perf_counter() - start, time.process_time() - started, peak())))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--laws", nargs="+", choices=tuple(TRUTHS), default=tuple(TRUTHS))
    parser.add_argument("--replicates", type=int, default=REPLICATES, help="of the bootstrap; 0: none")
    chosen = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for law in chosen.laws:
        for rows in chosen.rows:
            mine, theirs = context.Pipe()
            process = context.Process(target=measure, args=(law, rows, chosen.replicates, theirs))
            process.start()
            theirs.close()
            found, fitted, resampled = mine.recv()
            process.join()
            for name, (clock, processor, memory) in (("fit", fitted), ("bootstrap", resampled)):
                if name == "fit" or chosen.replicates:
                    work = rows if name == "fit" else rows * chosen.replicates
                    print(
                        f"{law:9s} {rows:8d} rows  {name:9s} {clock:7.2f} s, {processor:7.2f} s of processor, "
                        f"{1e9 * processor / work:8.0f} ns a row{'' if name == 'fit' else ' and replicate'}; "
                        f"{memory:6.0f} MiB at the peak",
                        flush=True,
                    )
            off = max(abs(found.params[k] / v - 1) for k, v in TRUTHS[law].as_dict().items())
            print(f"{'':9s} {found.status}; furthest parameter from the truth {off:.2%}", flush=True)


if __name__ == "__main__":
    main()
