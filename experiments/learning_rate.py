"""Does the best learning rate stay put as models grow, with the standard parametrisation and with muP?

Source: Yang et al. 2022 (arXiv 2203.03466), figure 1: the optimum of Adam's rate moves down with width under the
standard parametrisation and stays put under muP. Here on a language of known entropy, cheap to learn, with heads of
one width at every size, so that a larger model has more of them.

Cost: 2.1e13 FLOPs; 32 minutes as measured on two CPU cores that shared them with ten other processes.

Expected: with the standard parametrisation the best rate goes about as 1 / width. With muP it stays within a factor of
1.3 from width 32 to 128, and is up to twice that at width 16, too narrow for muP. Both agree at the base width. The
report gives the power of each with its interval, and flags a size whose best rate is at an end of those tried.
"""

from dataclasses import dataclass
from itertools import product as product_of
from typing import Literal

from scaling.data.languages import language
from scaling.plan import Recipe, product
from scaling.spec import Data, Model, Optim, Run, Study


@dataclass(frozen=True)
class Experiment:
    """The knobs of the sweep."""

    name: str = "learning_rate"
    """Of the study."""
    parametrizations: tuple[Literal["standard", "mup", "completep"], ...] = ("standard", "mup")
    """Parametrisations, each with a sweep of its own."""
    sizes: tuple[int, ...] = (16, 32, 64, 128)
    """Widths of the models."""
    rates: tuple[float, ...] = (0.00125, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08)
    """Peak learning rates, the same at every size."""
    seeds: int = 2
    """Seeds of every size and rate."""
    base_width: int = 32
    """Width at which muP agrees with the standard parametrisation."""
    depth: int = 2
    """Blocks of every model."""
    head_width: int = 16
    """Width of a head, the same at every size."""
    budgets: tuple[float, ...] = (0.2e6,)
    """Training tokens, a decay branch each."""
    corpus: str = "markov"
    """Language that is learned."""
    context: int = 32
    """Tokens that a model sees."""
    batch_tokens: int = 512
    """Tokens a step."""
    weight_decay: float = 0.0
    """None: it would be one more thing that may have to change with width."""
    eval_tokens: int = 65_536
    """Held-out tokens that L is measured on."""

    def study(self) -> Study:
        """Every size at every rate with every parametrisation."""
        data = Data(corpus=self.corpus, context=self.context, eval_tokens=self.eval_tokens)
        runs: list[Run] = []
        for parametrization, width, lr in product_of(self.parametrizations, self.sizes, self.rates):
            optim = Optim(lr=lr, weight_decay=self.weight_decay, batch_tokens=self.batch_tokens)
            recipe = Recipe(data=data, optim=optim)
            runs += product([self._model(parametrization, width)], self.budgets, recipe, range(self.seeds))
        return Study(
            name=self.name, question="Does the best learning rate stay put as models grow?", runs=tuple(runs)
        )

    def _model(self, parametrization: Literal["standard", "mup", "completep"], width: int) -> Model:
        return Model(
            parametrization=parametrization,
            base_width=self.base_width,
            width=width,
            depth=self.depth,
            heads=max(1, width // self.head_width),
            context=self.context,
            vocab=language(self.corpus).vocab,
        )
