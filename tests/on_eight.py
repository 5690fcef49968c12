"""Every layout on eight virtual devices: losses of a few steps, collectives and bytes of the compiled step, as JSON."""

import dataclasses
import json
import re
import sys

import jax
import numpy as np

from scaling.execution import Execution
from scaling.spec import Data, Model, Optim, Run
from scaling.training.memory import memory_of
from scaling.training.program import program_of

STEPS = 4
LAYOUTS = {
    "one": ({"data_devices": 1}, 1),
    "data": ({}, 1),
    "mapped": ({"mapped": True}, 1),
    "microbatches": ({"microbatches": 2}, 1),
    "mapped microbatches": ({"mapped": True, "microbatches": 2}, 1),
    "fsdp": ({"fsdp": True}, 1),
    "data x tensor": ({"data_devices": 4, "model_devices": 2}, 1),
    "tensor": ({"data_devices": 2, "model_devices": 4}, 1),
    "tensor fsdp": ({"data_devices": 4, "model_devices": 2, "fsdp": True}, 1),
    "population": ({"pack": 8}, 8),
    "population x data": ({"pack": 4, "data_devices": 2}, 4),
    "population x mapped": ({"pack": 4, "data_devices": 2, "mapped": True}, 4),
}
COLLECTIVE = re.compile(
    r" (all-reduce|all-gather|all-to-all|reduce-scatter|collective-permute|collective-broadcast)(?:-start)?\("
    r".*?(?:replica_groups|source_target_pairs)=(.*?)(?:, (?!device_ids)\w+=|$)"
)


def groups_of(text):
    """Devices that take part together, as XLA writes them: listed, as a reshaped range, or as axes of a mesh."""
    if text.startswith("{"):
        return [[int(n) for n in group.split(",")] for group in re.findall(r"{([\d,]+)}", text)]
    if text.startswith("["):
        shape, grid, order = re.fullmatch(r"\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?", text).groups()
        return _range(grid, order).reshape(_numbers(shape)).tolist()
    axes, _, grid, order, used = re.fullmatch(
        r"mesh\[(.*?)\](, device_ids=\(\[([\d,]+)\](?:T\(([\d,]+)\))?\))? {(.*?)}", text
    ).groups()
    sizes = {name: int(size) for name, size in re.findall(r"'(\w+)'=(\d+)", axes)}
    shape = list(sizes.values())
    devices = (_range(grid, order) if grid else np.arange(np.prod(shape))).reshape(shape)
    together = [list(sizes).index(name) for name in re.findall(r"'(\w+)'", used)]
    width = int(np.prod([shape[axis] for axis in together]))
    return np.moveaxis(devices, together, range(-len(together), 0)).reshape(-1, width).tolist()


def _range(grid, order):
    devices = np.arange(np.prod(_numbers(grid))).reshape(_numbers(grid))
    return devices.transpose(_numbers(order)) if order else devices


def _numbers(text):
    return [int(n) for n in text.split(",")]


def collectives(text, mesh):
    """Kind, and the axes of the mesh that it goes along, of every collective of a compiled program."""
    where = {device.id: place for place, device in np.ndenumerate(mesh.devices)}
    found = set()
    for kind, groups in COLLECTIVE.findall(text):
        places = [np.array([where[n] for n in group]) for group in groups_of(groups)]
        along = [axis for n, axis in enumerate(mesh.axis_names) if any(len(set(p[:, n])) > 1 for p in places)]
        found.add((kind, *along))
    return sorted(found)


def run_of(seed=0):
    return Run(
        model=Model(vocab=64, context=16, width=32, depth=2, heads=4, mlp="gated"),
        data=Data(context=16, eval_tokens=512),
        optim=Optim(batch_tokens=16 * 16, lr=1e-2),
        seed=seed,
        steps=9,
        warmup_steps=1,
        decay_steps=1,
    )


class Texts:
    """Random rows."""

    context = 16

    def __init__(self):
        self.tokens = np.random.default_rng(0).integers(0, 64, (512, 17)).astype(np.int32)

    def __len__(self):
        return len(self.tokens)


def trained(execution, members):
    runs = [run_of(seed) for seed in range(members)]
    program, rows, losses = program_of(runs[0], execution, members), Texts(), []
    state = program.initial_state(runs)
    batch = program.batch(rows, [0] * members, 0, 16)
    compiled = program.step.lower(state, batch).compile()
    shares = jax.tree.map(lambda x: x.addressable_shards[0].data.size / x.size, state.parameters)
    for step in range(STEPS):
        state, metrics = program.step(state, program.batch(rows, [0] * members, step, 16))
        jax.block_until_ready((state, metrics))  # see Program.waits
        losses.append(np.atleast_1d(metrics["loss"]).tolist())
    held_out = program.held_out_losses(state.parameters, rows.tokens[:20]).sum(axis=1).tolist()
    return {
        "mesh": dict(program.mesh.shape),
        "losses": losses,
        "held_out": held_out,
        "collectives": collectives(compiled.as_text(), program.mesh),
        "shares": {jax.tree_util.keystr(k): v for k, v in jax.tree_util.tree_flatten_with_path(shares)[0]},
        "memory": dataclasses.asdict(memory_of(program, runs[0])),
    }


if __name__ == "__main__":
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 8)
    jax.config.update("jax_disable_most_optimizations", True)  # compiles faster
    jax.config.update("jax_compilation_cache_dir", sys.argv[1])  # the memory is asked for the same programs
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    names = sys.argv[2:] or LAYOUTS
    print(json.dumps({name: trained(Execution(**LAYOUTS[name][0]), LAYOUTS[name][1]) for name in names}))
