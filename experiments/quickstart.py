"""How does the loss of byte-level Transformers on real code fall with parameters and tokens, and has it a floor?

Source: the design of Hoffmann et al. 2022 (approach 3) at the smallest scale that still shows it: a grid of sizes and
token budgets, each size one trunk with a decay branch a budget (Haegele et al. 2024), on the Python standard library.

Cost: 2.0e12 FLOPs, under 5 minutes on two CPU cores with the report.

Expected: L falls from 2.5 to 1.6 nats per token along both axes. At these budgets loss falls faster with tokens than
a power law does, so larger runs come out up to a tenth below what the smaller ones foretell; the floor E is not
identified, and the report says so.
"""

from dataclasses import dataclass

from scaling.plan import Recipe, product
from scaling.spec import Data, Model, Optim, Run, Study


@dataclass(frozen=True)
class Experiment:
    """The knobs of the quickstart."""

    sizes: tuple[int, ...] = (8, 16, 24, 32, 48)
    """Widths of the models."""
    depth: int = 2
    """Blocks of every model."""
    heads: int = 2
    """Attention heads of every model, the same at every size (lab book, 2026-11-22)."""
    context: int = 64
    """Tokens that a model sees."""
    budgets: tuple[float, ...] = (0.1e6, 0.2e6, 0.4e6, 0.8e6)
    """Training tokens, a decay branch each."""
    seeds: int = 2
    """Seeds of every size and budget."""
    lr: float = 0.01
    """Peak learning rate at width 32; a model of width w is trained at lr x sqrt(32 / w) (lab book, 2026-11-22)."""
    batch_tokens: int = 512
    """Tokens a step."""
    eval_tokens: int = 65_536
    """Held-out tokens that L is measured on."""

    def study(self) -> Study:
        """Every size at every budget."""
        data = Data(context=self.context, eval_tokens=self.eval_tokens)
        runs: list[Run] = []
        for width in self.sizes:
            model = Model(width=width, depth=self.depth, heads=self.heads, context=self.context)
            rate = round(self.lr * (32 / width) ** 0.5, 4)
            recipe = Recipe(data=data, optim=Optim(lr=rate, batch_tokens=self.batch_tokens))
            runs += product([model], self.budgets, recipe, range(self.seeds))
        return Study(
            name="quickstart",
            question="How does held-out loss on real code fall with parameters and tokens, and has it a floor?",
            runs=tuple(runs),
        )
