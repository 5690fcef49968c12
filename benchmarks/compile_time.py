"""What compilation costs: programs of a grid, growth with depth, and the start of a second process.

    python -m benchmarks.compile_time

Three figures. (1) Programs of the training step that a grid of 3 rates x 3 seeds x 5 budgets of one shape compiles,
trunks and decay branches both: JAX's own count. (2) Processor seconds to compile the step at depth 32 over depth 4,
each the least of several with the cache off. (3) Seconds from the start of a process to the end of its first step, the
second process with the persistent cache that the first has filled, and the processor seconds of it and of its imports,
which a busy machine does not lengthen.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time

MODEL = {"width": 64, "heads": 2, "context": 128}
ROWS = 16


def run_of(depth: int = 4, lr: float = 1e-3, seed: int = 0, steps: int = 100):
    """One run of the measured shape."""
    from scaling.spec import Data, Model, Optim, Run

    return Run(
        model=Model(depth=depth, **MODEL),
        data=Data(context=MODEL["context"]),
        optim=Optim(lr=lr, batch_tokens=ROWS * MODEL["context"]),
        seed=seed,
        steps=steps,
        warmup_steps=5,
        decay_steps=20,
    )


def batch():
    """Tokens [rows, context + 1]."""
    import numpy as np

    return np.arange(ROWS * (MODEL["context"] + 1), dtype=np.int32).reshape(ROWS, -1) % 257


def programs_of_a_grid() -> tuple[int, int]:
    """Runs of the grid, and the step's compiled programs after one step of every trunk and of every branch."""
    from scaling.training.program import program_of
    from scaling.training.sharding import place

    runs = [
        run_of(lr=lr, seed=seed, steps=steps)
        for lr in (1e-3, 2e-3, 4e-3)
        for seed in range(3)
        for steps in (50, 100, 200, 400, 800)
    ]
    steps = {program_of(run).step for run in runs}
    for run in runs:
        program = program_of(run)
        rows = place(batch(), program.mesh)
        state, _ = program.step(program.initial_state([run]), rows)
        program.step(program.branch_off(state, [run]), rows)
    return len(runs), sum(step._cache_size() for step in steps)  # type: ignore[attr-defined]


def seconds_to_compile(depth: int) -> float:
    """Processor seconds that XLA takes for the step of so many blocks, after tracing."""
    import jax

    from scaling.training.program import program_of
    from scaling.training.sharding import place

    run = run_of(depth)
    program = program_of(run)
    arguments = program.initial_state([run]), place(batch(), program.mesh)
    jax.clear_caches()
    lowered = program.step.lower(*arguments)  # type: ignore[attr-defined]
    start = time.process_time()
    lowered.compile()
    return time.process_time() - start


def first_step(cache: str) -> None:
    """In a process of its own: one step of a run, the cache being the folder named."""
    from pathlib import Path

    import jax

    from scaling.training.compiling import keep_compiled_programs
    from scaling.training.program import program_of
    from scaling.training.sharding import place

    imported = time.process_time()
    keep_compiled_programs(Path(cache))
    run = run_of()
    program = program_of(run)
    _, metrics = program.step(program.initial_state([run]), place(batch(), program.mesh))
    jax.block_until_ready(metrics)
    print(f"{imported:.2f} {time.process_time():.2f}")


def seconds_to_first_step(cache: str) -> tuple[float, float, float]:
    """Of a process: its seconds, and the processor seconds up to the end of its imports and of its first step."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.compile_time", "--first-step", cache]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    imported, stepped = map(float, done.stdout.split())
    return time.perf_counter() - start, imported, stepped


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--depths", type=int, nargs="+", default=[4, 32], help="the last over the first")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--first-step", metavar="FOLDER", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    os.environ["JAX_PLATFORMS"] = "cpu"
    if chosen.first_step:
        first_step(chosen.first_step)
        return
    runs, programs = programs_of_a_grid()
    print(f"a grid of {runs} runs of one shape compiles {programs} program(s) of the step", flush=True)
    took = {d: [seconds_to_compile(d) for _ in range(chosen.repeats)] for d in chosen.depths}
    least = [min(took[d]) for d in chosen.depths]
    told = ", ".join(f"depth {d} {s:.2f} s" for d, s in zip(chosen.depths, least, strict=True))
    print(f"compiling the step: {told}; ratio {least[-1] / least[0]:.2f}", flush=True)
    with tempfile.TemporaryDirectory() as cache:
        for what in ("empty", "filled"):
            whole, imported, stepped = seconds_to_first_step(cache)
            print(
                f"a process with the cache {what}: {whole:.2f} s to the end of its first step; processor seconds"
                f" {stepped:.2f}, of which imports {imported:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
