"""From grids to runs, and from runs to jobs: what will be trained, what it costs, and what is doubtful about it.

Everything here is pure arithmetic on specs: no device, no corpus, no file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from scaling.accounting import parameters, training_flops
from scaling.spec import Data, Model, Optim, Run, SpecError, Study, count


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How runs are trained, whatever their size and budget: what a grid does not vary."""

    data: Data = field(default_factory=Data)
    optim: Optim = field(default_factory=Optim)
    warmup: float = 0.1
    """Warm-up, as a share of the shortest budget: one trunk has one warm-up, however long it runs."""
    decay: float = 0.2
    """Decay of `wsd`, as a share of each run's own steps."""
    schedule: Literal["wsd", "cosine", "linear", "constant"] = "wsd"
    """`wsd` holds the peak, then decays by 1 - sqrt: budgets share a trunk. `cosine` and `linear` decay from the end of
    warm-up on: budgets share nothing else. `constant` never decays: its losses are not final."""
    decay_to: float = 0.0
    """The rate at the end, as a share of the peak."""

    def __post_init__(self) -> None:
        if self.schedule not in SHAPES:
            raise SpecError(f"Recipe.schedule = {self.schedule!r} cannot be: use one of {', '.join(SHAPES)}")
        for name in ("warmup", "decay"):
            value = getattr(self, name)
            if not 0 <= value <= 0.5:
                raise SpecError(f"Recipe.{name} = {value!r} cannot be: use a share between 0 and 0.5")

    def decay_steps(self, steps: int, warmup: int) -> int:
        """Steps of decay of a run of so many steps."""
        if self.schedule == "constant":
            return 1
        return max(1, round(self.decay * steps)) if self.schedule == "wsd" else steps - warmup


SHAPES: dict[str, Literal["sqrt", "linear", "cosine", "none"]] = {
    "wsd": "sqrt",
    "cosine": "cosine",
    "linear": "linear",
    "constant": "none",
}
"""Recipe.schedule to Run.decay_shape."""


def branches(model: Model, budgets: Sequence[float], recipe: Recipe, seed: int = 0) -> tuple[Run, ...]:
    """One trunk's runs: a decay branch for each budget of tokens, rounded to whole steps."""
    steps = [_steps(budget, recipe) for budget in sorted(budgets)]
    warmup = round(recipe.warmup * steps[0])
    return tuple(
        Run(
            model=model,
            data=recipe.data,
            optim=recipe.optim,
            seed=seed,
            steps=n,
            warmup_steps=warmup,
            decay_steps=recipe.decay_steps(n, warmup),
            decay_shape=SHAPES[recipe.schedule],
            decay_to=recipe.decay_to,
        )
        for n in steps
    )


def product(
    models: Iterable[Model], budgets: Sequence[float], recipe: Recipe, seeds: Iterable[int] = (0,)
) -> tuple[Run, ...]:
    """Every model at every budget of tokens, for every seed."""
    seeds = tuple(seeds)
    return tuple(run for model in models for seed in seeds for run in branches(model, budgets, recipe, seed))


def isoflop(
    models: Iterable[Model], computes: Sequence[float], recipe: Recipe, seeds: Iterable[int] = (0,)
) -> tuple[Run, ...]:
    """Every model at the budgets of tokens that cost it each of the `computes`, in exact FLOPs."""
    seeds = tuple(seeds)
    return tuple(
        run
        for model in models
        for seed in seeds
        for run in branches(model, [c / training_flops(model, 1) for c in computes], recipe, seed)
    )


def ladder(
    models: Iterable[Model],
    tokens_per_parameter: Sequence[float],
    recipe: Recipe,
    seeds: Iterable[int] = (0,),
) -> tuple[Run, ...]:
    """Every model at multiples of its N; with one multiple alone, alpha and beta cannot be told apart."""
    seeds = tuple(seeds)
    return tuple(
        run
        for model in models
        for seed in seeds
        for run in branches(model, [m * parameters(model).N for m in tokens_per_parameter], recipe, seed)
    )


@dataclass(frozen=True)
class Job:
    """A trunk and its branches, shortest budget first: what one device trains without waiting for another job."""

    runs: tuple[Run, ...]

    @property
    def trunk_id(self) -> str:
        """The trunk that the runs share."""
        return self.runs[0].trunk_id

    @property
    def steps(self) -> int:
        """Optimiser steps: the trunk to its last branch point, and every branch."""
        return self.runs[-1].decay_start + sum(run.decay_steps for run in self.runs)

    @property
    def flops(self) -> float:
        """Training FLOPs, exactly counted, the trunk once."""
        return training_flops(self.runs[0].model, self.steps * self.runs[0].optim.batch_tokens)


@dataclass(frozen=True)
class Plan:
    """A study as jobs, cheapest first, with what is doubtful about its design."""

    study: Study
    jobs: tuple[Job, ...]
    warnings: tuple[str, ...]

    @property
    def flops(self) -> float:
        """Training FLOPs of the whole study, each trunk once."""
        return sum(job.flops for job in self.jobs)

    @property
    def flops_from_scratch(self) -> float:
        """Training FLOPs if every run were trained alone from its first step."""
        return sum(training_flops(run.model, run.tokens) for run in self.study.runs)

    def lines(self) -> Iterable[str]:
        """The lines of plan.jsonl: one JSON object a run, in the order of training."""
        for job in self.jobs:
            for run in job.runs:
                yield json.dumps(
                    {
                        "run_id": run.run_id,
                        "name": run.name,
                        "trunk_id": run.trunk_id,
                        "N": parameters(run.model).N,
                        "D": run.tokens,
                        "C": training_flops(run.model, run.tokens),
                        "steps": run.steps,
                        "decay_start": run.decay_start,
                        "spec_sha256": self.study.spec_sha256,
                    }
                )


def make_plan(study: Study) -> Plan:
    """Group a study's runs by trunk and look for weaknesses of its design."""
    jobs = sorted(jobs_of(study.runs), key=lambda job: job.flops)
    return Plan(study, tuple(jobs), tuple(_warnings(study.runs)))


def jobs_of(runs: Iterable[Run], trunk_ids: Collection[str] | None = None) -> tuple[Job, ...]:
    """Runs grouped by trunk; of these trunks alone where they are named."""
    trunks: dict[str, list[Run]] = {}
    for run in runs:
        if trunk_ids is None or run.trunk_id in trunk_ids:
            trunks.setdefault(run.trunk_id, []).append(run)
    return tuple(
        Job(tuple(sorted(mine, key=lambda run: (run.decay_start, run.steps)))) for mine in trunks.values()
    )


def repetition_warnings(study: Study, unique_tokens: dict[Data, int]) -> list[str]:
    """Say which runs see a token of their training split more than once, and how often."""
    said = []
    for data, unique in unique_tokens.items():
        most = max((run.tokens for run in study.runs if run.data == data), default=0)
        if most > unique:
            said.append(
                f"the longest run sees {count(most)} tokens of {data.corpus}, whose training split has "
                f"{count(unique)}: {most / unique:.1f} epochs, and D_unique stays at {count(unique)}"
            )
    return said


def _warnings(runs: Sequence[Run]) -> Iterable[str]:
    sizes = [parameters(run.model).N for run in runs]
    budgets = [run.tokens for run in runs]
    computes = [training_flops(run.model, run.tokens) for run in runs]
    ratios = [d / n for n, d in zip(sizes, budgets, strict=True)]
    if len(set(sizes)) < 3:
        yield f"too few model sizes ({len(set(sizes))}): at least 3 are needed to fit how loss falls with N"
    if len(set(budgets)) < 3:
        yield f"too few token budgets ({len(set(budgets))}): at least 3 are needed to fit how loss falls with D"
    if len(set(sizes)) > 1 and max(ratios) < 1.05 * min(ratios):
        yield f"D = {ratios[0]:.3g} N in every run: alpha and beta cannot be told apart; vary D at fixed N"
    if len({(run.model, run.steps, run.optim) for run in runs}) == len(runs):
        yield "no run is repeated with another seed: the noise between seeds will not be known"
    if len({(run.model, run.optim.lr) for run in runs}) == len({run.model for run in runs}):
        yield "every size has one learning rate: nothing in this study shows that it is near the best"
    if len(runs) > 1 and max(computes) < 30 * min(computes):
        span = max(computes) / min(computes)
        yield f"compute spans {span:.3g} times: a fit on it will not say much beyond it (30 times or more is better)"
    undecayed = sum(run.decay_shape == "none" for run in runs)
    if undecayed:
        yield f"the rate of {undecayed} runs never decays: their losses are not final losses, and fits leave them out"
    yield from _transfer_warnings(runs)
    short = min(run.steps for run in runs)
    if short < 50:
        yield f"the shortest run has {short} steps: its loss tells of warm-up rather than of D"


def _transfer_warnings(runs: Sequence[Run]) -> Iterable[str]:
    scaled = [run.model for run in runs if run.model.parametrization != "standard"]
    heads = {model.head_dim for model in scaled}
    if len(heads) > 1:
        yield (
            f"width / heads goes from {min(heads)} to {max(heads)}: rates transfer under mup and completep where it is "
            "the same at every size"
        )
    depths = {model.depth for model in scaled if model.parametrization == "mup"}
    if len(depths) > 1:
        yield (
            f"depth goes from {min(depths)} to {max(depths)} under mup, which is about width alone: "
            "completep is about both"
        )


def _steps(budget: float, recipe: Recipe) -> int:
    if not (budget > 0 and math.isfinite(budget)):
        raise SpecError(f"budget = {budget!r} tokens cannot be: train on at least one batch of tokens")
    return max(1, math.ceil(budget / recipe.optim.batch_tokens - 1e-9))
