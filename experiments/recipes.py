"""What is a better recipe worth? Ladders that differ in one thing: the optimiser, the architecture or the objective.

Source: the compute-equivalent gain of an algorithm (Erdil and Besiroglu 2022; Ho et al. 2024) measured on our own runs
instead of collected ones. Each arm is a small ladder on the Python standard library with the same data, seeds and
budgets, and a learning rate that is tuned for it: `base` is a causal Transformer trained by AdamW, and `sgd` (the
optimiser: SGD with momentum) and `masked` (the objective) change one thing of it.

Cost: 6e12 FLOPs for each arm.
"""

from dataclasses import dataclass
from typing import Literal

from scaling.plan import Recipe, product
from scaling.spec import Data, Model, Optim, Run, Study

Arm = Literal["base", "sgd", "linear", "masked"]

WIDTHS, ORDERS = (8, 16, 24, 40, 64), (1, 2, 4, 8, 16)
RATES: dict[str, tuple[float, float]] = {
    "base": (0.01, 1.0),
    "sgd": (0.3, 0.0),
    "linear": (0.03, 0.0),
    "masked": (0.01, 1.0),
}
"""Peak learning rate at width 32, and the power of 32 / width by which it goes."""


@dataclass(frozen=True)
class Experiment:
    """The knobs of an arm."""

    arm: Arm = "base"
    """Which recipe: `base`, or what differs from it."""
    name: str = ""
    """Of the study; recipes_<arm> when empty."""
    sizes: tuple[int, ...] = ()
    """Widths, of the linear model its orders; the ladder's own when empty."""
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
    eval_tokens: int = 65_536
    """Held-out tokens that L is measured on."""

    def study(self) -> Study:
        """Every size at every budget, and where rates are to be tried at every rate."""
        data = Data(context=self.context, eval_tokens=self.eval_tokens)
        runs: list[Run] = []
        for size in self.sizes or ORDERS if self.arm == "linear" else self.sizes or WIDTHS:
            for rate in self.rates or (tuned(self.arm, size),):
                recipe = Recipe(data=data, optim=self._optim(rate))
                runs += product([self._model(size)], self.budgets, recipe, range(self.seeds))
        return Study(
            name=self.name or f"recipes_{self.arm}",
            question="What is a better recipe worth, as a multiple of compute?",
            runs=tuple(runs),
        )

    def _optim(self, rate: float) -> Optim:
        name: Literal["adamw", "sgd"] = "sgd" if self.arm == "sgd" else "adamw"
        return Optim(name=name, lr=rate, weight_decay=self.weight_decay, batch_tokens=self.batch_tokens)

    def _model(self, size: int) -> Model:
        if self.arm == "linear":
            return Model(kind="linear", order=size, context=self.context)
        objective: Literal["causal", "masked"] = "masked" if self.arm == "masked" else "causal"
        return Model(
            width=size, depth=self.depth, heads=self.heads, context=self.context, objective=objective
        )


def tuned(arm: Arm, size: int) -> float:
    """Peak learning rate of an arm at a size."""
    at_first, power = RATES[arm]
    return float(f"{at_first * ((1 if arm == 'linear' else 32) / size) ** power:.3g}")
