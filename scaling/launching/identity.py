"""Which process a file speaks of, so that another of the same machine may know that it is gone. Linux alone tells."""

from __future__ import annotations

import os
import socket
from pathlib import Path

PROC = Path("/proc")


def identity(pid: int | None = None) -> str:
    """A name that no other process has had: its host, boot, namespace of numbers, number, and when it began; empty
    where this system does not tell."""
    pid = pid or os.getpid()
    began = _began(pid)
    return f"{_machine()} {pid} {began}" if began and _machine() else ""


def surely_gone(name: str) -> bool:
    """Whether the process with this `identity` ran on this machine and has ended; one that is stopped has not."""
    try:
        machine, pid, began = name.rsplit(" ", 2)
        return machine == _machine() and _began(int(pid)) != began
    except ValueError:
        return False


def _machine() -> str:
    """Names this machine since it was started, and the namespace of its processes' numbers, as in a container."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {os.readlink(PROC / 'self/ns/pid')}"
    except OSError:
        return ""


def _began(pid: int) -> str:
    """Clock ticks from the machine's start to the process's; empty where it has ended."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return ""
    return "" if fields[0] in "ZX" else fields[19]
