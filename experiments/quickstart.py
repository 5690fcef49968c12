"""How does the loss of byte-level Transformers on real code fall with parameters and tokens, and has it a floor?

Source: the design of Hoffmann et al. 2022 (approach 3) at the smallest scale that still shows it: a grid of sizes and
token budgets, each size one trunk with a decay branch a budget (Haegele et al. 2024), on the Python standard library.

Cost: about 4 minutes on two CPU cores.

Expected: L falls from about 3 to below 2 nats a byte along both axes; loss at the larger budgets is predicted from the
smaller ones within a few per cent; so small a study does not identify the floor E, and the report says so.
"""

from dataclasses import dataclass

from scaling.plan import Recipe, product
from scaling.spec import Data, Model, Optim, Study


@dataclass(frozen=True)
class Experiment:
    """The knobs of the quickstart."""

    sizes: tuple[int, ...] = (16, 24, 32, 48, 64)
    """Widths of the models."""
    depth: int = 2
    """Blocks of every model."""
    head_dim: int = 16
    """Width of an attention head."""
    context: int = 128
    """Tokens that a model sees."""
    budgets: tuple[float, ...] = (0.25e6, 0.5e6, 1e6, 2e6)
    """Training tokens, a decay branch each."""
    seeds: int = 1
    """Seeds of every size and budget."""
    lr: float = 4e-3
    """Peak learning rate."""
    batch_tokens: int = 4096
    """Tokens a step."""
    eval_tokens: int = 131_072
    """Held-out tokens that L is measured on."""

    def study(self) -> Study:
        """Every size at every budget."""
        data = Data(context=self.context, eval_tokens=self.eval_tokens)
        recipe = Recipe(data=data, optim=Optim(lr=self.lr, batch_tokens=self.batch_tokens))
        models = [
            Model(
                width=width,
                depth=self.depth,
                heads=max(1, width // self.head_dim),
                context=self.context,
            )
            for width in self.sizes
        ]
        return Study(
            name="quickstart",
            question="How does held-out loss on real code fall with parameters and tokens, and has it a floor?",
            runs=product(models, self.budgets, recipe, range(self.seeds)),
        )
