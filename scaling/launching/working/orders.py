"""Orders as a worker reads them: held against the study in the folder, so that no name in an order is ever a path."""

from __future__ import annotations

import contextlib

from scaling.errors import UserError
from scaling.folder import StudyFolder
from scaling.launching.claim import release
from scaling.launching.engine import Order
from scaling.launching.standing import own_claim
from scaling.launching.task import Task
from scaling.plan import jobs_of
from scaling.population import Population
from scaling.storage import as_path


def read_order(order_json: str) -> Order:
    """The order in a JSON text; raises UserError where there is none."""
    try:
        return Order.from_json(order_json)
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"what the worker was given is no order ({error}); start the study again") from None


def ordered_task(order: Order, folder: StudyFolder) -> Task:
    """The task of an order, made anew from the study in the folder, so that no name in an order is ever a path; raises
    UserError where the study is another or has no such task."""
    study = folder.study()
    if study.spec_sha256 != order.spec_sha256:
        raise UserError(
            f"{folder.study_json} has the hash {study.spec_sha256[:12]} and the order is for {order.spec_sha256[:12]}: "
            "the study was changed since the order was given; run its latest spec again"
        )
    jobs = {job.trunk_id: job for job in jobs_of(study.runs, frozenset(order.trunk_ids))}
    if not order.trunk_ids or not set(order.trunk_ids) <= set(jobs):
        raise UserError(f"the order names trunks that the study {study.name} does not have; run it again")
    task = Task(Population(tuple(jobs[trunk] for trunk in order.trunk_ids)), order.part, order.budget)
    budgets = len(task.population.budgets)
    known = order.part in ("whole", "trunk") or (order.part == "branch" and 0 <= order.budget < budgets)
    if not known or task.task_id != order.task_id:
        raise UserError(f"the order is for no task of the study {study.name}; run it again")
    return task


def release_claims(order: Order) -> None:
    """Let go of the claims of a worker whose process is known to be dead, so that the next one need not wait."""
    with contextlib.suppress(UserError, OSError):  # they will be found dead
        release(own_claim(StudyFolder(as_path(order.study)), order.task_id), order.token)
