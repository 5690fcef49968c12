"""What a worker that is known to be dead leaves behind: claims, for which its successor need not wait."""

from __future__ import annotations

import contextlib

from scaling.errors import UserError
from scaling.folder import StudyFolder
from scaling.launching.claim import release
from scaling.launching.engine import Order
from scaling.launching.standing import claim_paths
from scaling.launching.worker import ordered_task
from scaling.storage import as_path


def release_claims(order: Order) -> None:
    """Let go of the claims of the worker of an order; what cannot be let go is found dead by who waits for it."""
    folder = StudyFolder(as_path(order.study))
    with contextlib.suppress(UserError, OSError):
        for path in claim_paths(folder, ordered_task(order, folder)):
            release(path, order.token)
