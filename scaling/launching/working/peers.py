"""Several hosts that train one job together: how a worker finds the others, and how they part."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass

JOIN_SECONDS = 300
"""Hosts that have not met by then give up: their processes start minutes apart where packages are installed first."""

GONE = (
    r"Gloo|NCCL|[Cc]onnection (reset|closed|refused)|closed by (the )?(remote )?peer|Broken pipe|Socket closed|"
    r"[Cc]oordinat(ion|or)|[Hh]eartbeat|[Bb]arrier|UNAVAILABLE|DEADLINE_EXCEEDED|ABORTED|CANCELLED|"
    r"the other hosts|another host"
)
"""What the errors of collectives and of JAX's coordination say, and our own of other hosts, as a pattern."""


@dataclass(frozen=True)
class Peers:
    """Where the hosts of a job meet, how many they are, and which of them this process is: 0 writes."""

    coordinator: str
    """ADDRESS:PORT on the host of rank 0."""
    processes: int
    rank: int

    def to_json(self) -> str:
        """As JSON text."""
        return json.dumps(asdict(self))


def rank_of(peers_json: str) -> int:
    """Which of the hosts of a job this process is: 0 for "", a job of one host."""
    return int(json.loads(peers_json)["rank"]) if peers_json else 0


def is_of_peers(reason: str) -> bool:
    """Whether an error, in a sentence, is that another host went away or failed: the other's own error explains it."""
    return re.search(GONE, reason) is not None


def join(peers_json: str) -> None:
    """Meet the other hosts of a job; nothing for "", a job of one host. Call it before JAX has touched a device.

    The coordinator listens on the address that it gave to the others, not on every interface of its host. Raises
    RuntimeError where they do not meet in time. Handlers of signals are kept: JAX would take SIGTERM for itself.
    """
    if not peers_json:
        return
    import jax

    peers = Peers(**json.loads(peers_json))
    with _own_signals():
        jax.distributed.initialize(
            peers.coordinator,
            peers.processes,
            peers.rank,
            initialization_timeout=JOIN_SECONDS,
            coordinator_bind_address=peers.coordinator if peers.rank == 0 else None,
        )


def part(peers_json: str, seconds: float = 20.0) -> None:
    """Leave together, so that the coordinator does not go while others still use it; waits at most so long.

    Only for hosts that ended well: the others of one that failed wait for it and are killed by their engine.
    """
    if not peers_json:
        return
    import jax

    leaving = threading.Thread(target=_shutdown, args=(jax.distributed,), daemon=True)
    leaving.start()
    leaving.join(seconds)


def _shutdown(distributed: object) -> None:
    with contextlib.suppress(Exception):
        distributed.shutdown()  # type: ignore[attr-defined]


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Set the handlers of SIGTERM and SIGINT again: native code replaces them without Python's knowledge."""
    yield
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            handler = signal.getsignal(number)
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
