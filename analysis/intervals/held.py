"""Quantities that can be held while a law is refitted: a parameter, or the law's value at a point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from analysis.fitting import REPLICATE_STARTS, solve_batch
from analysis.solver import search
from analysis.solver.problem import Problem

Array = NDArray[np.float64]

POINTS = 32
"""Values at which a profile is looked at first."""
THROUGH = 100.0
"""Weight of a row that every fit must pass through, over that of all the others together: on 35 rows of 1 % noise fits
then miss it by under 0.001 %, and a greater one makes the polish slow under a log-Huber objective."""


class Held(Protocol):
    """A quantity that can be held at values while everything else is fitted."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def problem(self) -> Problem:
        """The problem that is fitted."""
        ...

    @property
    def at(self) -> float:
        """Its value in the fit."""
        ...

    def objective(self, weights: Array, values: Array, targets: Array | None, starts: int) -> Array:
        """Least objective [V] of weights [V, n] (and targets [V, n]) with the quantity at values [V]."""
        ...

    def first_values(self) -> Array:
        """Where its profile is looked at first."""
        ...


@dataclass(frozen=True)
class HeldParameter:
    """A parameter of the law."""

    name: str
    problem: Problem
    at: float
    grid: search.Grid

    def objective(self, weights: Array, values: Array, targets: Array | None, starts: int) -> Array:
        """Fits with the parameter fixed."""
        held = {self.name: values}
        return solve_batch(
            self.problem, weights, held, grid=self.grid, starts=starts, targets=targets
        ).objective

    def first_values(self) -> Array:
        """An exponent over its range; a floor from 0 to just above the least loss, ever denser towards it; another
        amplitude from 0 and over six decades around the fit."""
        problem = self.problem
        if self.name in problem.exponents:
            return problem.exponents[self.name].at(np.linspace(0, 1, POINTS))
        least = float(problem.target.min())
        if problem.names.index(self.name) not in [k for k, _ in problem.couplings]:
            gaps = np.geomspace(1.0, 2e-3, POINTS - 6)
            return least * np.concatenate([1 - gaps, np.linspace(1, 1.05, 6)])
        return np.append(0.0, (self.at or least) * np.geomspace(1e-3, 1e3, POINTS - 1))


@dataclass(frozen=True)
class HeldLoss:
    """The law's value at a point: one more row there, of so great a weight that every fit passes through it."""

    name: str
    problem: Problem
    at: float
    extended: Problem
    """The problem with the point as its last row."""
    grid: search.Grid

    def objective(self, weights: Array, values: Array, targets: Array | None, starts: int) -> Array:
        """Fits of the rows and the point."""
        own = np.broadcast_to(self.problem.target, weights.shape) if targets is None else targets
        weights = np.append(weights, THROUGH * weights.sum(axis=1, keepdims=True), axis=1)
        aimed = np.append(own, values[:, None], axis=1)
        return solve_batch(
            self.extended, weights, grid=self.grid, starts=max(starts, REPLICATE_STARTS), targets=aimed
        ).objective

    def first_values(self) -> Array:
        """From a half of the fit's to twice it, denser about it."""
        away = np.geomspace(1e-4, np.log(2), POINTS // 2)
        return self.at * np.exp(np.concatenate([-away[::-1], away]))
