"""How many models of a shape fill the devices at hand: the cores of a CPU, or accelerators too fast for one of them."""

from __future__ import annotations

import dataclasses
import math
import os

from scaling.accounting import training_flops
from scaling.execution import AUTO, Execution
from scaling.plan import Job

STEP_FLOPS = 1e12
"""An accelerator is filled by a step of so many FLOPs: a thousandth of a second at a peak of 1e15 a second."""
MOST = 64
"""Members an accelerator, at most."""


def on_this_machine(execution: Execution, most: int | None = None) -> Execution:
    """`execution` with a device made of each core of a CPU, at most so many, if that is what there is.

    Models on a core each, without a word between them, train faster than one after another on all cores. A batch is not
    split over such devices unless that is asked for. Call it before JAX has looked at its devices; later, or where
    XLA_FLAGS say how many devices there are, nothing is changed.
    """
    import jax

    if "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
        return execution
    try:
        cores = len(os.sched_getaffinity(0))
        jax.config.update("jax_num_cpu_devices", min(cores, most or cores))
    except RuntimeError:  # the devices are made
        return execution
    split = (
        execution.data_devices != AUTO or execution.model_devices > 1 or execution.fsdp or execution.mapped
    )
    if jax.default_backend() == "cpu" and not split and jax.process_count() == 1:
        return dataclasses.replace(execution, data_devices=1)
    return execution


def members_that_fill(job: Job, execution: Execution) -> int:
    """How many jobs like this one are trained together: what `execution` asks for, or what fills the devices.

    On a CPU one a device, on accelerators enough for STEP_FLOPS a step on each. Where a batch or a model is split over
    devices on purpose, one.
    """
    import jax

    if (asked := members_asked(execution)) is not None:
        return asked
    devices = jax.device_count()
    if jax.default_backend() == "cpu":
        return devices if execution.data_devices == 1 else 1
    return devices * members_of_accelerators(job, 1)


def members_of_accelerators(job: Job, accelerators: int) -> int:
    """How many jobs like this one fill so many accelerators; one where each is large enough. Needs no device."""
    run = job.runs[0]
    alone = training_flops(run.model, run.optim.batch_tokens)
    return max(1, min(MOST * accelerators, math.floor(accelerators * STEP_FLOPS / alone)))


def members_asked(execution: Execution) -> int | None:
    """How many jobs `execution` asks to train together, one where a model is split on purpose; None where it says
    nothing."""
    if execution.pack != AUTO:
        return execution.pack
    split = execution.model_devices > 1 or execution.data_devices > 1 or execution.fsdp or execution.mapped
    return 1 if split else None
