"""How a study is launched: on what, with which resources a job, and what is done about failures; imports no JAX."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from scaling.accounting import parameters
from scaling.launching.engines.slices import chips_of
from scaling.launching.larger import Larger, larger
from scaling.record import SpecError

if TYPE_CHECKING:
    from scaling.launching.task import Task
    from scaling.spec import Model

AUTO = 0


@dataclass(frozen=True)
class Launch:
    """Where the jobs of a study are trained and what each may cost. The defaults train on this machine.

    Raises SpecError for a value that cannot be.
    """

    on: Literal["local", "ray"] = "local"
    """`local` trains on this machine's devices, `ray` on the nodes of a Ray cluster."""
    address: str = ""
    """Of a running Ray cluster, HOST:PORT or `auto`; empty takes RAY_ADDRESS, or starts Ray on this machine alone."""
    accelerators: int = 0
    """GPUs or TPU chips of each host that a job uses; 0 trains on CPU cores."""
    accelerator_type: str = ""
    """Ray's name of the accelerator that a job must have, as `H100` or `TPU-V5P`, or just `GPU` or `TPU`; empty takes
    what the nodes have."""
    slice: str = ""
    """A TPU slice that a job has to itself, as `v4-16` or `v5p-32`: all its hosts train one job."""
    hosts: int = 1
    """Hosts that train one job together, by jax.distributed; a slice says itself how many it has."""
    larger: tuple[str, ...] = ()
    """What models of so many parameters or more take instead: `3e8=4 3e9=8x2` gives those from 3e8 on 4 accelerators,
    and those from 3e9 on 8 on each of 2 hosts; `3e9=v5p-16` a TPU slice."""
    cpus: float = 1.0
    """CPU cores of each host that a job reserves."""
    memory_gib: float = 0.0
    """Main memory of each host that a job reserves, in GiB; 0 reserves none."""
    branches: Literal["auto", "together", "apart"] = "auto"
    """Decay branches `apart` are jobs of their own after the trunk's checkpoint; `together` the trunk's job trains them
    too; `auto` sets them apart where there are more places than jobs."""
    jobs_at_once: int = AUTO
    """Jobs that are trained or queued at the same time; 0 as many as there are places for."""
    grace_seconds: float = 120.0
    """On a Ray cluster, how long a job that was asked to stop may save; longer while it is heard of."""
    crashes: int = 3
    """Times in a row that a job is tried again after errors of its own, those of earlier calls included; steps that it
    saved forgive the errors before them. A job that was given up is tried once by each new call. After lost workers and
    preemptions without limit."""
    stuck_minutes: float = 15.0
    """Minutes without a step in training after which a job is stopped, or killed, and tried again as after an error of
    its own; four times that where it prepares, compiles or measures; 0 for never."""
    deadline_hours: float = 0.0
    """Hours of launching after which no job is begun or tried again, and what runs goes on to its end; 0 for none.
    Earlier calls with the same number count: another number begins anew."""
    max_device_hours: float = 0.0
    """Device-hours that the study may take in all, those of earlier calls included; 0 for no limit."""

    def __post_init__(self) -> None:
        for name in (
            "accelerators",
            "jobs_at_once",
            "crashes",
            "memory_gib",
            "stuck_minutes",
            "deadline_hours",
            "max_device_hours",
        ):
            self._require(getattr(self, name) >= 0, name, "use 0 or more")
        self._require(self.hosts >= 1, "hosts", "use 1 or more")
        self._require(self.cpus > 0, "cpus", "use a number above 0")
        self._require(self.grace_seconds > 0, "grace_seconds", "use a number above 0")
        if self.on == "local":
            for name in ("address", "slice", "accelerator_type"):
                self._require(
                    not getattr(self, name), name, "it is about a Ray cluster: use it with --on ray"
                )
            if self.larger:
                raise SpecError(
                    f"--larger {' '.join(self.larger)} cannot be: every job of --on local has the same; use it with "
                    "--on ray, which without --address starts Ray on this machine alone"
                )
            self._require(self.hosts == 1, "hosts", "this machine is one host: use it with --on ray")
        if self.slice:
            chips_of(self.slice)
        self._larger  # noqa: B018  # raises where it says nothing

    def for_task(self, task: Task) -> Launch:
        """What one task is launched with: by the size of its models, without `larger`."""
        return self.for_model(task.population.jobs[0].runs[0].model)

    def for_model(self, model: Model) -> Launch:
        """What a job of models of this shape is launched with, without `larger`."""
        if not self.larger:
            return self
        size = parameters(model).N
        found = next((one for one in reversed(self._larger) if size >= one.N), None)
        if found is None:
            return replace(self, larger=())
        return replace(self, larger=(), accelerators=found.accelerators, hosts=found.hosts, slice=found.slice)

    @property
    def accelerated(self) -> bool:
        """Whether jobs train on accelerators."""
        return self.accelerators > 0 or bool(self.slice)

    @property
    def devices(self) -> int:
        """Devices that a job has on all its hosts; on CPUs a host counts as one."""
        return chips_of(self.slice) if self.slice else max(1, self.accelerators) * self.hosts

    @property
    def _larger(self) -> tuple[Larger, ...]:
        return larger(tuple(self.larger))

    def _require(self, holds: bool, name: str, remedy: str) -> None:
        if not holds:
            raise SpecError(f"--{name.replace('_', '-')} = {getattr(self, name)} cannot be: {remedy}")


DEFAULT = Launch()
