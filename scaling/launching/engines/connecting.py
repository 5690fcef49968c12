"""How a driver reaches Ray: a running cluster by its address, or Ray started on this machine alone."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scaling.errors import UserError

LOOPBACK = "127.0.0.1"
PROBE_SECONDS = 5.0
"""An address that does not take a connection in that time is said not to answer."""

SETTINGS = b"\4"
"""Type of the frame with which both sides of HTTP/2 begin (RFC 9113, 3.4), here an empty one."""
HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + SETTINGS + b"\0" * 5
TOKEN = "; if it demands a token, export RAY_AUTH_MODE=token here too, with its token in ~/.ray/auth_token"
"""Ray does not tell who cannot join that this is why; it prints it."""


@dataclass(frozen=True)
class Connection:
    """A connected Ray: what was said about it, and whether this process started it."""

    address: str
    """HOST:PORT of the head."""
    started_here: bool

    @property
    def sentence(self) -> str:
        """What a person is told."""
        if self.started_here:
            where = self.address.rpartition(":")[0]
            return (
                f"started Ray on this machine alone, bound to {where}, without dashboard and usage statistics"
            )
        return f"joined the Ray cluster at {self.address}"


def connect(address: str) -> Connection:
    """Join the cluster at `address`, at RAY_ADDRESS where that is empty or `auto`, or start Ray on this machine.

    Ray trusts whoever reaches its ports: they must lie in a trusted network. What Ray starts here listens on loopback
    alone. Raises UserError where Ray is not installed, the address does not answer or another Ray answers.
    """
    if address in ("", "auto"):
        address = os.environ.get("RAY_ADDRESS", "") or address
    target = "" if address in ("", "local") else _checked(address)
    _keep_to_loopback(target)
    try:
        import ray
    except ImportError:
        raise UserError("--on ray needs the package ray: pip install 'scaling[ray]'") from None
    if target == "auto":
        _check_auto()
    where: dict[str, Any] = {"address": target or "local"}
    if _is_loopback(target):
        where |= {"_node_ip_address": LOOPBACK}
    if not target:
        where |= {"include_dashboard": False, "dashboard_host": LOOPBACK}
    with _own_signals():
        try:
            ray.init(**where, log_to_driver=False, logging_level="ERROR", configure_logging=False)
        except Exception as error:
            raise UserError(_refusal(target, error)) from None
    _silence_news_of_ray()
    return Connection(ray.get_runtime_context().gcs_address, not target)


def _checked(address: str) -> str:
    """The address of a cluster that takes connections; `auto` as it is."""
    if address == "auto":
        return address
    if "://" in address:
        raise UserError(
            f"--address {address} is an address of Ray's client, by which a driver cannot be told of lost workers: "
            "give HOST:PORT of the cluster's head, as `ray start` printed it, and run on one of its nodes"
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise UserError(
            f"--address {address} cannot be: give HOST:PORT of the head of a Ray cluster, or auto"
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), PROBE_SECONDS) as probe:
            spoken = _speaks_http2(probe)
    except OSError as error:
        said = error.strerror or str(error)
        raise UserError(
            f"no Ray cluster answers at {address} ({said}): start one there with `ray start --head`, or mend --address"
        ) from None
    if not spoken:
        raise UserError(
            f"what answers at {address} is no Ray cluster: give HOST:PORT of its head, as `ray start --head` printed it"
        )
    return address


def _check_auto() -> None:
    """Raises UserError where the cluster that `auto` finds takes no connections: its head may have died, and Ray would
    try to reach it for minutes."""
    import ray._private.services as of_ray

    try:
        found = of_ray.get_ray_address_from_environment("auto", None)
    except ConnectionError:
        raise UserError(
            "--address auto finds no Ray cluster of this machine: start one with `ray start --head`, or give HOST:PORT"
        ) from None
    try:
        _checked(found)
    except UserError as error:
        raise UserError(f"--address auto found {found}, which was started here last: {error}") from None


def _speaks_http2(probe: socket.socket) -> bool:
    """Whether a server greets as those of Ray do; Ray itself would ask something else for minutes.

    Behind TLS that cannot be asked so simply, and is taken for granted.
    """
    if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
        return True
    probe.settimeout(PROBE_SECONDS)
    probe.sendall(HTTP2_GREETING)
    try:
        return probe.recv(9)[3:4] == SETTINGS
    except OSError:
        return False


def answers(address: str) -> bool:
    """Whether HOST:PORT takes a connection."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), PROBE_SECONDS).close()
    except OSError:
        return False
    return True


def _is_loopback(target: str) -> bool:
    return not target or target.rpartition(":")[0] in (LOOPBACK, "localhost", "[::1]")


def _keep_to_loopback(target: str) -> None:
    """Ray reads these when it is imported: without the first it replaces 127.0.0.1 by the machine's address."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if _is_loopback(target):
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself when it starts: the driver's own handlers are put back."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    if threading.current_thread() is threading.main_thread():
        for number, handler in kept.items():
            signal.signal(number, handler)


def _silence_news_of_ray() -> None:
    """Ray prints a long paragraph into the driver's output for each worker and node that dies, and no option of it
    prevents that; the driver says so itself, in a line. Where a later Ray prints otherwise, nothing is changed."""
    import ray._private.worker as of_ray

    if hasattr(of_ray, "print_to_stdstream"):
        of_ray.print_to_stdstream = lambda *_, **__: None


def _refusal(target: str, error: Exception) -> str:
    """One sentence about why Ray did not start or let this driver in."""
    said = " ".join(str(error).split())[:300] or type(error).__name__
    if "ersion mismatch" in said:
        return (
            f"the cluster at {target} runs other versions than this driver: {said}; install the same on both"
        )
    if not target:
        return f"Ray did not start on this machine: {said}"
    token = "" if os.environ.get("RAY_AUTH_MODE") == "token" else TOKEN
    return f"what answers at {target} is no Ray cluster that this driver can join: {said}{token}"
