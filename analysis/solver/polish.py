"""The local half of a fit: damped Newton steps on the true objective, many fits at once.

The Hessian is the exact one (see `expansion`). The damping adds a multiple of the matrix of the least-squares problem
that majorises the objective, which knows which parameters trade against each other; it grows until the sum is positive
definite and the objective falls. A parameter at its bound whose gradient points outwards rests there (Bertsekas 1982);
one that a step would carry beyond a bound stops at it, and the step of the others is found again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.solver import quadratic
from analysis.solver.expansion import Expansion, centred, expand, uncentred, value
from analysis.solver.problem import Problem

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Index = NDArray[np.intp]

ELEMENTS, CACHED = 2**18, 2**16
"""Starts times rows that go down together, so that the slowest have company, and that are expanded at once: what a
core's cache holds."""
MAX_STEPS = 300
DAMPING_START, DAMPING_MIN, DAMPING_MAX = 1e-3, 1e-12, 1e8
DAMPING_UP, DAMPING_DOWN = 5.0, 10.0
BENT = 10.0
"""Damping beyond which the majorant takes the place of a Hessian that is not positive definite."""
POOR = 0.125
"""Share of what a step promises below which it gained too little for the damping to fall."""
RIDGE = 0.01
"""Added to the majorant's diagonal, relative: a term near its bound leaves the majorant singular."""
DECREMENT = 1e-12
"""Converged when a Newton step promises less than this share of the objective: a test that no change of units moves."""
NOISE_FREE = 1e-22
"""The same per row in absolute terms, for rows that a law fits exactly: there a relative test would never end."""

PATIENCE, STALLED = 50, 1e-8
"""A law that is no sum of powers has converged, too, when so many steps gained less than this share of the objective,
or when none can be made and the majorant promises less."""


@dataclass(frozen=True)
class Polished:
    """S fits after polishing: parameters [P, S] in the fitter's order, and objective, converged and steps [S]."""

    parameters: Array
    objective: Array
    converged: Mask
    steps: Index


def polish(
    problem: Problem,
    parameters: Array,
    weights: Array,
    *,
    held: Sequence[str] = (),
    max_steps: int = MAX_STEPS,
    targets: Array | None = None,
) -> Polished:
    """Minimise sum_i w_i rho(r_i) from each start: parameters [P, S], weights [S, n]; `held` are not moved. targets
    [S, n] stand for the problem's, so that each start is fitted to losses of its own."""
    blocks = []
    size = max(ELEMENTS // problem.size, 1)
    for first in range(0, parameters.shape[1], size):
        block = slice(first, first + size)
        own = None if targets is None else targets[block]
        blocks.append(_descend(problem, parameters[:, block], weights[block], held, max_steps, own))
    return Polished(
        parameters=np.concatenate([b.parameters for b in blocks], axis=1),
        objective=np.concatenate([b.objective for b in blocks]),
        converged=np.concatenate([b.converged for b in blocks]),
        steps=np.concatenate([b.steps for b in blocks]),
    )


def _descend(
    problem: Problem,
    parameters: Array,
    weights: Array,
    held: Sequence[str],
    max_steps: int,
    targets: Array | None,
) -> Polished:
    terms, starts = problem.terms, parameters.shape[1]
    bounds = problem.lower[:, None], problem.upper[:, None]
    lower, upper = (np.concatenate([bound[:terms], problem.inside(bound[terms:])]) for bound in bounds)
    fixed = np.array([name in held for name in problem.names])[:, None]

    def own(index: Index) -> tuple[Array, Sequence[str], Array | None]:
        return weights[index], held, None if targets is None else targets[index]

    x = centred(problem, parameters, held)
    live, before = np.arange(starts), np.full(starts, np.inf)
    now = _expand(problem, x, *own(live))
    damping = np.full(starts, DAMPING_START)
    converged, steps = np.zeros(starts, dtype=bool), np.zeros(starts, dtype=np.intp)
    for count in range(1, max_steps + 1):
        here, at = now.take(live), x[:, live]
        resting = fixed | _resting(here, at, lower, upper)
        step, used, definite = _newton(here, damping[live], resting, (lower - at, upper - at))
        damping[live] = used
        trial, promise = np.clip(at + step, lower, upper), -(here.gradient * step).sum(axis=0)
        enough = DECREMENT * here.value + NOISE_FREE * problem.size * problem.unit
        done = (np.abs(promise) <= enough) & (used <= DAMPING_START) & definite
        moving = ~done & (used < DAMPING_MAX)
        converged[live[done]] = True
        stuck = np.flatnonzero(~done & ~moving)
        if len(stuck) and not problem.law.log_linear:
            converged[live[stuck]] = _level(here.take(stuck), resting[:, stuck])
        if done.any():  # the step that it promised little of is the one that brings the last digits
            last = value(problem, trial[:, done], *own(live[done]))
            better = last < here.value[done]
            ended = live[done][better]
            x[:, ended], now.value[ended] = trial[:, done][:, better], last[better]
        live, trial, promise = live[moving], trial[:, moving], promise[moving]
        if not len(live):
            break
        steps[live] += 1
        there = _expand(problem, trial, *own(live))
        gain = now.value[live] - there.value
        better = gain > 0
        x[:, live[better]] = trial[:, better]
        now.put(live[better], there.take(np.flatnonzero(better)))
        eased = np.where(gain > POOR * promise, 1 / DAMPING_DOWN, 1.0)
        damping[live] = np.maximum(damping[live] * np.where(better, eased, DAMPING_UP), DAMPING_MIN)
        if not problem.law.log_linear and count % PATIENCE == 0:
            stalled = before[live] - now.value[live] <= STALLED * now.value[live]
            converged[live[stalled]] = True
            live, before = live[~stalled], now.value.copy()
    return Polished(np.clip(uncentred(problem, x, held), *bounds), now.value, converged, steps)


def _resting(here: Expansion, at: Array, lower: Array, upper: Array) -> Mask:
    """Parameters at a bound whose gradient points outwards, and those without effect."""
    outward = ((at <= lower) & (here.gradient > 0)) | ((at >= upper) & (here.gradient < 0))
    return np.asarray(outward | (np.einsum("iir->ir", here.majorant) == 0))


def _newton(
    here: Expansion, damping: Array, resting: Mask, room: tuple[Array, Array]
) -> tuple[Array, Array, Mask]:
    """Step [P, r] of least damped quadratic, 0 for the resting parameters and within `room` (how far each may go down
    and up, [P, r]); the damping of its matrix; and whether that is the Hessian's, positive definite.

    Where the Hessian bends down so much that little damping does not straighten it, the majorant takes its place (a
    step of Gauss and Newton): with more, all parameters would creep for the sake of one.
    """
    step, used, definite = _straightened(here, damping, resting, BENT)
    bent = np.flatnonzero(~definite)
    if len(bent):
        here = here.take(np.arange(len(damping)))
        here.hessian[..., bent] = here.majorant[..., bent]
        step[:, bent], used[bent], _ = _straightened(
            here.take(bent), damping[bent], resting[:, bent], DAMPING_MAX
        )
    pinned = resting
    for _ in range(len(step)):
        beyond = (step < room[0]) | (step > room[1])
        again = np.flatnonzero(beyond.any(axis=0))
        if not len(again):
            break
        step, pinned = np.clip(step, *room), pinned | beyond
        step[:, again], _ = _solve(here, used, again, pinned[:, again], step[:, again])
    return step, used, definite


def _straightened(here: Expansion, damping: Array, resting: Mask, most: float) -> tuple[Array, Array, Mask]:
    """Step, damping raised until its matrix is positive definite, and whether it is before it exceeds `most`."""
    step, used, definite = np.zeros_like(here.gradient), damping.copy(), np.zeros(len(damping), dtype=bool)
    left = np.arange(len(damping))
    while len(left):
        step[:, left], definite[left] = _solve(here, used, left, resting[:, left], step[:, left])
        left = left[~definite[left]]
        used[left] *= DAMPING_UP
        left = left[used[left] < most]
    return step, used, definite


def _solve(here: Expansion, damping: Array, index: Index, pinned: Mask, step: Array) -> tuple[Array, Mask]:
    """Step [P, r] of least damped quadratic of the starts `index`, those parameters that are pinned moving as `step`
    has it; 0, and False, where the matrix is not positive definite."""
    matrix = here.hessian[..., index] + damping[index] * here.majorant[..., index]
    right = -here.gradient[:, index]
    if pinned.any():
        step = np.where(pinned, step, 0.0)
        right = np.where(pinned, step, right - np.einsum("ijr,jr->ir", matrix, step))
        matrix = np.where(pinned[:, None] | pinned[None], np.eye(len(pinned))[..., None], matrix)
    found, definite = quadratic.solve(matrix, right)
    definite &= np.isfinite(found).all(axis=0)
    return np.where(definite, found, 0.0), definite


def _level(here: Expansion, resting: Mask) -> Mask:
    """Whether the step of the majorant promises next to nothing, for starts that cannot move."""
    gradient = np.where(resting, 0.0, here.gradient)
    still = resting[:, None] | resting[None]
    matrix = np.where(still, np.eye(len(resting))[..., None], here.majorant)
    step, definite = quadratic.solve(matrix, -gradient)
    return np.asarray(definite & (-(gradient * step).sum(axis=0) <= STALLED * here.value))


def _expand(
    problem: Problem, x: Array, weights: Array, held: Sequence[str], targets: Array | None
) -> Expansion:
    """As `expansion.expand`, some of the starts at a time, with a ridge on the majorant."""
    size = max(CACHED // problem.size, 1)
    blocks = [slice(first, first + size) for first in range(0, x.shape[1], size)]
    found = Expansion.together(
        [expand(problem, x[:, b], weights[b], held, None if targets is None else targets[b]) for b in blocks]
    )
    diagonal = np.arange(len(x))
    bent = np.abs(found.hessian[diagonal, diagonal])
    found.majorant[diagonal, diagonal] += RIDGE * np.maximum(found.majorant[diagonal, diagonal], bent)
    return found
