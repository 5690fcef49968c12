"""Tokens a second of a population, a model a core, beside the same models one after another on all cores.

    python -m benchmarks.population --widths 16 32 64 128 256 --rounds 8

Both sides train as many models of one shape as there are cores, the same number of steps. They are measured in turns as
in `step_speed`, and the ratio is that of their tokens a second within a round.
"""

from __future__ import annotations

import argparse
import dataclasses

import numpy as np

from benchmarks.shapes import SHAPES, Shape
from benchmarks.step_speed import Trainer, compare, ratio

SMALL = Shape(width=16, depth=2, heads=2, context=64, rows=8)


def one_after_another(shape: Shape) -> Trainer:
    """Each model by itself, on one device that has all cores."""
    return trainer(shape, together=False)


def together(shape: Shape) -> Trainer:
    """All models as one population, a core each, as `python -m scaling run` trains them."""
    return trainer(shape, together=True)


def trainer(shape: Shape, together: bool) -> Trainer:
    """A step of `shape.rows` rows is one of each of `shape.cores` models on its share of them."""
    import jax

    from scaling.execution import Execution
    from scaling.launching.allocator import keep_freed_memory
    from scaling.spec import Data, Model, Optim, Run
    from scaling.training.program import program_of
    from scaling.training.sharding import place

    keep_freed_memory()
    if together:
        jax.config.update("jax_num_cpu_devices", shape.cores)
    sizes = {name: getattr(shape, name) for name in ("vocab", "context", "depth", "width", "heads")}
    run = Run(
        model=Model(**sizes),
        data=Data(context=shape.context),
        optim=Optim(lr=1e-3, batch_tokens=shape.batch_tokens // shape.cores),
        steps=10**9,
        warmup_steps=10,
        decay_steps=10,
    )
    members = shape.cores if together else 1
    program = program_of(run, Execution(data_devices=1), members)
    runs = [dataclasses.replace(run, seed=seed) for seed in range(shape.cores)]
    states = [program.initial_state(runs)] if together else [program.initial_state([one]) for one in runs]
    whole = [rows.reshape(shape.cores, -1, shape.context + 1) for rows in shape.batches()]

    def train(steps: int) -> float:
        for i in range(steps):
            batch = whole[i % len(whole)]
            for number, state in enumerate(states):
                rows = place(batch if together else batch[number], program.mesh, members)
                states[number], metrics = program.step(state, rows)
        return float(np.mean(metrics["loss"]))

    return train


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    shapes = {16: SMALL} | SHAPES
    parser.add_argument("--widths", type=int, nargs="+", choices=tuple(shapes), default=tuple(shapes))
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--cores", type=int, default=2)
    chosen = parser.parse_args()
    for width in chosen.widths:
        shape = shapes[width]
        shape = dataclasses.replace(shape, cores=chosen.cores, rows=shape.rows * chosen.cores)
        speeds = compare(shape, {"together": together, "alone": one_after_another}, chosen.rounds)
        told = {name: float(np.median(values[:, 0])) for name, values in speeds.items()}
        print(
            f"{width:5d}  {chosen.cores} models: {told['together']:11,.0f} tokens/s together, "
            f"{told['alone']:11,.0f} one after another, ratio {ratio(speeds['together'][:, 0], speeds['alone'][:, 0])}",
            flush=True,
        )


if __name__ == "__main__":
    main()
