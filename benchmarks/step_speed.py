"""Tokens a second of the training step on two cores, beside plain references of public recipes, paired in one run.

    python -m benchmarks.step_speed --widths 32 64 128 256 --rounds 12

Every contender trains the same shape on the same batches in a process of its own, bound to the same cores; they take
turns, one at a time, for about half a second each, so that what disturbs the machine disturbs all of them alike. A
ratio is the median over rounds of (ours / theirs) within a round, with the interval from the 10th to the 90th
percentile; it is given for tokens a second and for tokens a processor-second (of all threads), which a machine busy
with other work disturbs less. GFLOP/s counts the matrix products of the shape, the same for all, in seconds of the
clock. Without torch its column is left out.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import importlib.util
import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import numpy as np

from benchmarks.shapes import SHAPES, Shape

Trainer = Callable[[int], float]
"""Trains so many steps and returns the last loss."""
Contender = Callable[[Shape], Trainer]
SLICE_SECONDS = 0.5


def plain(shape: Shape) -> Trainer:
    """This project's model with the references' matrices: MLP of 4 x width with gelu, head tied."""
    return ours(shape, mlp="plain", tied=True)


def gated(shape: Shape) -> Trainer:
    """This project's default model: gated MLP, head of its own."""
    return ours(shape)


def ours(shape: Shape, **model: object) -> Trainer:
    """The training step as `python -m scaling run` does it."""
    from scaling.launching.allocator import keep_freed_memory
    from scaling.spec import Data, Model, Optim, Run
    from scaling.training.program import program_of
    from scaling.training.sharding import place

    keep_freed_memory()
    sizes = {name: getattr(shape, name) for name in ("vocab", "context", "depth", "width", "heads")}
    run = Run(
        model=Model(**sizes, **model),
        data=Data(context=shape.context),
        optim=Optim(lr=1e-3, batch_tokens=shape.batch_tokens),
        steps=10**9,
        warmup_steps=10,
        decay_steps=10,
    )
    program, batches = program_of(run), shape.batches()
    state = program.initial_state([run])

    def train(steps: int) -> float:
        nonlocal state
        for i in range(steps):
            state, metrics = program.step(state, place(batches[i % len(batches)], program.mesh))
        return float(metrics["loss"])

    return train


def flax(shape: Shape) -> Trainer:
    """The decoder in nanodo's shape."""
    from benchmarks.peers.flax_reference import trainer

    return trainer(shape)


def torch(shape: Shape) -> Trainer:
    """The GPT-2 block in PyTorch eager."""
    from benchmarks.peers.torch_reference import trainer

    return trainer(shape)


CONTENDERS: dict[str, Contender] = {"ours": plain, "ours gated": gated, "flax": flax, "torch": torch}


def serve(contender: Contender, shape: Shape, pipe: Connection) -> None:
    """In a process of its own: train so many steps, answer with the seconds of the clock and of the processor."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: shape.cores])
    os.environ["JAX_PLATFORMS"] = "cpu"
    train = contender(shape)
    train(3)  # compiled and warm
    pipe.send((0.0, 0.0))
    while steps := pipe.recv():
        start, started = time.perf_counter(), time.process_time()
        loss = train(steps)
        seconds = time.perf_counter() - start, time.process_time() - started
        if not np.isfinite(loss):
            raise SystemExit(f"{contender.__name__}: the loss is {loss}")
        pipe.send(seconds)


def compare(shape: Shape, contenders: dict[str, Contender], rounds: int) -> dict[str, np.ndarray]:
    """Tokens a second of the clock and of the processor, [rounds, 2], of every contender."""
    spawn, pipes = multiprocessing.get_context("spawn"), {}
    for name, contender in contenders.items():
        pipes[name], theirs = spawn.Pipe()
        spawn.Process(target=serve, args=(contender, shape, theirs), daemon=True).start()
        theirs.close()  # so that a contender that died ends the wait for it
        pipes[name].recv()
    steps = {name: 8 for name in contenders}
    speeds: dict[str, list[np.ndarray]] = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name in contenders if turn % 2 else reversed(contenders):
            pipes[name].send(steps[name])
            seconds = np.array(pipes[name].recv())
            if turn == 0:  # not counted: it only says how many steps fill a slice
                steps[name] = max(1, round(steps[name] * SLICE_SECONDS / seconds[0]))
            else:
                speeds[name].append(steps[name] * shape.batch_tokens / seconds)
    for pipe in pipes.values():
        pipe.send(0)
    return {name: np.array(rounds) for name, rounds in speeds.items()}


def ratio(ours: np.ndarray, theirs: np.ndarray) -> str:
    """Median and 10th to 90th percentile of the ratio within a round."""
    low, middle, high = np.quantile(ours / theirs, [0.1, 0.5, 0.9])
    return f"{middle:5.2f} ({low:.2f}-{high:.2f})"


def report(shape: Shape, speeds: dict[str, np.ndarray]) -> None:
    """A line a contender: tokens/s, GFLOP/s and our ratios to it."""
    for name, values in speeds.items():
        speed = float(np.median(values[:, 0]))
        flops = shape.flops_per_token * speed / 1e9
        line = f"{shape.width:5d}  {name:10s} {speed:11,.0f} tokens/s"
        line += " " * 15 if name == "ours gated" else f" {flops:6.1f} GFLOP/s"  # its matrices are others
        if name != "ours":
            clock, processor = (ratio(speeds["ours"][:, i], values[:, i]) for i in (0, 1))
            line += f"   ours / it: {clock} by the clock, {processor} by the processor"
        print(line, flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--widths", type=int, nargs="+", choices=tuple(SHAPES), default=tuple(SHAPES))
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--contenders", nargs="+", choices=tuple(CONTENDERS), default=tuple(CONTENDERS))
    chosen = parser.parse_args()
    contenders = ["ours", *(name for name in chosen.contenders if name != "ours")]
    if "torch" in contenders and importlib.util.find_spec("torch") is None:
        print("torch is not installed: its column is left out (pip install torch, benchmarks only)")
        contenders.remove("torch")
    packages = ["jax", "flax", "optax", *(["torch"] if "torch" in contenders else [])]
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages))
    for width in chosen.widths:
        shape = dataclasses.replace(SHAPES[width], cores=chosen.cores)
        report(shape, compare(shape, {name: CONTENDERS[name] for name in contenders}, chosen.rounds))


if __name__ == "__main__":
    main()
