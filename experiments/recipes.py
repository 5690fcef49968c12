"""What is a better recipe worth? Ladders that differ in one thing: the optimiser, the architecture or the objective.

Source: the compute-equivalent gain, the factor on compute by which the older recipe reaches the loss of the newer one
(Ho et al. 2024, "Algorithmic progress in language models"), on our own runs. Each arm is a ladder of sizes and budgets
on the Python standard library, with the same data, seeds and budgets, and learning rates tuned for it alone. `base` is
a causal Transformer trained by AdamW; each other arm changes one thing of it: `sgd` the optimiser (SGD with momentum),
`linear` the architecture (softmax regression on the last 1 to 8 tokens), `masked` the objective.

Cost: 2.0e12 FLOPs for each arm of Transformers, 3 minutes of two idle CPU cores, and 3e10 for `linear`, a minute.

Expected: AdamW is worth 1.4 times the compute of SGD (0.9 to 2), the same at every scale. The linear model needs a
hundredth of a Transformer's FLOPs for a loss above 2.1, has a floor of 1.9 and never gets below it. The losses of
`masked` are of another task, tokens told from both sides: no gain is told of them, only how they fall.
"""

from dataclasses import dataclass, replace
from typing import Literal

from scaling.plan import Recipe, product
from scaling.spec import Data, Model, Optim, Run, Study

Arm = Literal["base", "sgd", "linear", "masked"]

WIDTHS, ORDERS = (8, 16, 24, 32, 48), (1, 2, 4, 8)
"""Sizes of the Transformers and of the linear model."""

RATES = {"base": (0.0105, 1.1), "sgd": (0.3, 0.0), "linear": (0.0884, 0.64), "masked": (0.0079, 1.13)}
"""Peak learning rate of each arm at width 32 and the power of 32 / width by which it goes; of the linear model, at
order 1 and the power of 1 / order. Lines through the optima of a sweep at D = 400K, one seed (lab book, 2026-11-27;
`experiments/results/recipes/rates.csv`)."""


@dataclass(frozen=True)
class Experiment:
    """The knobs of an arm."""

    arm: Arm = "base"
    """Which recipe: `base`, or what differs from it."""
    name: str = ""
    """Of the study; recipes_<arm> when empty."""
    sizes: tuple[int, ...] = ()
    """Widths, of the linear model orders; those of the ladder when empty."""
    depth: int = 2
    """Blocks of every Transformer."""
    heads: int = 2
    """Attention heads of every Transformer."""
    context: int = 64
    """Tokens that a model is given."""
    budgets: tuple[float, ...] = (0.05e6, 0.1e6, 0.2e6, 0.4e6, 0.8e6)
    """Training tokens, a decay branch each."""
    seeds: int = 2
    """Seeds of every size and budget."""
    rates: tuple[float, ...] = ()
    """Peak learning rates to try, the same at every size, each with runs of its own; none is the tuned ones."""
    batch_tokens: int = 512
    """Tokens a step."""
    weight_decay: float = 0.0
    """None: what it does depends on the rate, which differs between arms."""
    beta2: float = 0.0
    """Of AdamW; 0 is 0.999 in the linear model, most of whose gradients are zero (lab book), and 0.95 elsewhere."""
    eval_tokens: int = 65_536
    """Held-out tokens that L is measured on."""

    def study(self) -> Study:
        """Every size at every budget, and where rates are to be tried at every rate."""
        data = Data(context=self.context, eval_tokens=self.eval_tokens)
        runs: list[Run] = []
        for size in self.sizes or (ORDERS if self.arm == "linear" else WIDTHS):
            for rate in self.rates or (tuned(self.arm, size),):
                recipe = Recipe(data=data, optim=self._optim(rate))
                runs += product([self._model(size)], self.budgets, recipe, range(self.seeds))
        return Study(
            name=self.name or f"recipes_{self.arm}",
            question="What is a better recipe worth, as a multiple of compute?",
            runs=tuple(runs),
        )

    def _optim(self, rate: float) -> Optim:
        shared = Optim(lr=rate, weight_decay=self.weight_decay, batch_tokens=self.batch_tokens)
        if self.arm == "sgd":
            return replace(shared, name="sgd")
        return replace(shared, beta2=self.beta2 or (0.999 if self.arm == "linear" else shared.beta2))

    def _model(self, size: int) -> Model:
        if self.arm == "linear":
            return Model(kind="linear", order=size, context=self.context)
        objective: Literal["causal", "masked"] = "masked" if self.arm == "masked" else "causal"
        return Model(
            width=size, depth=self.depth, heads=self.heads, context=self.context, objective=objective
        )


def tuned(arm: Arm, size: int) -> float:
    """Peak learning rate of an arm at a size, in three figures."""
    at, power = RATES[arm]
    reference = 1 if arm == "linear" else 32
    return float(f"{at * (reference / size) ** power:.3g}")
