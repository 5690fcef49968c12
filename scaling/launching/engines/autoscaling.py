"""Whether a cluster makes nodes when they are asked for: then what no node has today may come."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

GROUP = "ray.io/node-group"
"""Label of a node that an autoscaler made from one of its groups of equal nodes."""
STATUS = b"__autoscaling_status"
"""Where the older autoscaler keeps a report, as JSON, in the cluster's key-value store."""
QUEUED, MOST_QUEUED = 16, 64
"""Jobs that are queued on such a cluster beyond those that fit, at first and at most: an autoscaler makes nodes for
what waits."""


def ahead(fit: int) -> int:
    """Jobs to queue beyond those that fit: as many again, so that the cluster may double."""
    return min(MOST_QUEUED, max(QUEUED, fit))


def makes_nodes(nodes: Sequence[dict[str, Any]], report: bytes | None) -> bool:
    """Whether an autoscaler stands behind these nodes. Which nodes it can make is not told everywhere, so is not asked.

    A cluster that was put together by hand has a report too: there each node has a type of its own, `node_` and its id.
    """
    if any(GROUP in (node.get("Labels") or {}) for node in nodes):
        return True
    try:
        types = json.loads(report or b"{}")["autoscaler_report"]["active_nodes"]
    except (ValueError, KeyError, TypeError):
        return False
    return any(not name.startswith("node_") for name in types)


def report() -> bytes | None:
    """The autoscaler's report of the cluster that this process has joined; None where there is none."""
    from ray.experimental.internal_kv import _internal_kv_get

    found = _internal_kv_get(STATUS)
    return found if found is None or isinstance(found, bytes) else str(found).encode()
