"""Tokens a second, MFU and memory of the training step on one accelerator, and what a population of small models gains.

    python -m benchmarks.accelerator                # 124M and 350M, then 32 models of 1M together and one after another
    python -m benchmarks.accelerator --models tiny --members 4 --steps 3     # does it run here at all?

MFU is PaLM's: (6 N + 12 depth width context) tokens/s over the device's dense peak of `scaling/devices.py`. Compiling
and the first steps are left out. Memory is the peak that the device reports, or else what the compiled step needs.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from scaling.accounting import palm, parameters
from scaling.devices import mfu, peak_of
from scaling.execution import Execution
from scaling.spec import Data, Model, Optim, Run, count

MODELS = {
    "124M": Model(vocab=50304, context=1024, depth=12, width=768, heads=12, mlp="plain", tied=True),
    "350M": Model(vocab=50304, context=1024, depth=24, width=1024, heads=16, mlp="plain", tied=True),
    "1M": Model(vocab=257, context=256, depth=4, width=144, heads=4, mlp="plain"),
    "tiny": Model(vocab=257, context=64, depth=2, width=32, heads=2, mlp="plain"),
}
BATCH_TOKENS = {"124M": 64 * 1024, "350M": 32 * 1024, "1M": 4096, "tiny": 512}


def speed(name: str, members: int, steps: int, execution: Execution) -> float:
    """Tokens a second of so many models together; prints them with MFU and memory."""
    import jax

    from scaling.training.memory import gibibytes, memory_of
    from scaling.training.program import program_of

    model = MODELS[name]
    run = Run(
        model=model,
        data=Data(context=model.context),
        optim=Optim(lr=1e-3, batch_tokens=BATCH_TOKENS[name]),
        steps=10**6,
        warmup_steps=10,
        decay_steps=10,
    )
    program = program_of(run, execution, members)
    state = program.initial_state([run] * members)
    random = np.random.default_rng(0)
    shape = (run.batch_rows, model.context + 1)
    rows = random.integers(0, model.vocab, shape if members == 1 else (members, *shape), dtype=np.int32)
    from scaling.training.sharding import place

    batch = place(rows, program.mesh, members)
    for _ in range(3):
        state, _ = program.step(state, batch)
    jax.block_until_ready(state)
    start = time.perf_counter()
    for _ in range(steps):
        state, _ = program.step(state, batch)
    jax.block_until_ready(state)
    found = steps * members * run.optim.batch_tokens / (time.perf_counter() - start)
    device = jax.devices()[0]
    peak = (device.memory_stats() or {}).get("peak_bytes_in_use") or memory_of(program, run).step
    used = mfu(palm(model), found, program.mesh.size, peak_of(device.device_kind), program.precision)
    told = "no peak known" if used is None else f"{100 * used:.1f} % MFU"
    print(
        f"{name} (N = {count(parameters(model).N)}) x {members} on {device.device_kind}, {program.precision}: "
        f"{found:,.0f} tokens/s, {told}, {gibibytes(peak)}",
        flush=True,
    )
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=tuple(MODELS), default=("124M", "350M"))
    parser.add_argument("--members", type=int, default=32, help="models of the population")
    parser.add_argument("--steps", type=int, default=30)
    chosen = parser.parse_args()
    for name in chosen.models:
        speed(name, 1, chosen.steps, Execution(data_devices=1))
    small = "tiny" if "tiny" in chosen.models else "1M"
    alone = speed(small, 1, chosen.steps, Execution(data_devices=1))
    together = speed(small, chosen.members, chosen.steps, Execution(data_devices=1))
    print(f"{chosen.members} models together: {together / alone:.1f} times one after another")


if __name__ == "__main__":
    main()
