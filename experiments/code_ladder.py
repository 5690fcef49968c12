"""Does the loss of byte-level Transformers on real code have a floor? The quickstart at 100 times its compute.

Source: the design of Hoffmann et al. 2022 (approach 3): sizes and budgets crossed, each size one trunk with a decay
branch a budget (Haegele et al. 2024), on the Python standard library.

Cost: 1.9e14 FLOPs, half an hour on two idle CPU cores and an hour on busy ones.

Expected: L falls from 2.27 to 1.09 nats per byte. The floor is bounded from above (below 1.06) and not from below: laws
that fit alike put it from 0.8 to 1.06. Larger runs come out a few per cent below what smaller ones foretell.
"""

from dataclasses import dataclass

from scaling.plan import Recipe, product
from scaling.spec import Data, Model, Optim, Run, Study


@dataclass(frozen=True)
class Experiment:
    """The knobs of the ladder."""

    name: str = "code_ladder"
    """Of the study."""
    sizes: tuple[int, ...] = (16, 24, 32, 48, 64, 96, 128)
    """Widths of the models."""
    depth: int = 3
    """Blocks of every model."""
    heads: int = 2
    """Attention heads of every model, the same at every size (lab book, 2026-11-22)."""
    context: int = 128
    """Tokens that a model sees."""
    budgets: tuple[float, ...] = (0.25e6, 0.5e6, 1e6, 2e6, 4e6, 8e6)
    """Training tokens, a decay branch each."""
    seeds: int = 2
    """Seeds of every size and budget."""
    lr: float = 0.008
    """Peak learning rate at width 32 (lab book, 2026-11-27)."""
    power: float = 1.0
    """Power of 32 / width by which the rate goes."""
    rates: tuple[float, ...] = ()
    """Rates at width 32 to try, each with runs of its own; none is `lr` alone."""
    batch_tokens: int = 1024
    """Tokens a step."""
    eval_tokens: int = 131_072
    """Held-out tokens that L is measured on."""

    def study(self) -> Study:
        """Every size at every budget."""
        data = Data(context=self.context, eval_tokens=self.eval_tokens)
        runs: list[Run] = []
        for width in self.sizes:
            model = Model(width=width, depth=self.depth, heads=self.heads, context=self.context)
            for lr in self.rates or (self.lr,):
                rate = round(lr * (32 / width) ** self.power, 5)
                recipe = Recipe(data=data, optim=Optim(lr=rate, batch_tokens=self.batch_tokens))
                runs += product([model], self.budgets, recipe, range(self.seeds))
        return Study(
            name=self.name,
            question="Does the held-out loss of small Transformers on real code have a floor?",
            runs=tuple(runs),
        )
