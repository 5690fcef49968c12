"""Does the limit that we print come out right? Ladders of models on languages whose entropy is known.

Source: own design. Each language of `scaling/data/languages.py` has a known least loss for a model that sees `context`
tokens; a ladder of sizes and token budgets is trained on it as on any text, and `python -m analysis known` compares
the limits that methods of extrapolation print with the truth.
"""

from dataclasses import dataclass

from scaling.data.languages import language
from scaling.plan import Recipe, product
from scaling.spec import Data, Model, Optim, Run, Study

LANGUAGES = (
    *("markov", "markov:vocab=64,zipf=1", "hmm", "hmm:vocab=32,states=8,zipf=2"),
    *("grammar", "grammar:symbols=10,rules=3", "facts", "facts:zipf=1.2"),
)


@dataclass(frozen=True)
class Experiment:
    """The knobs of the ladders."""

    name: str = "known_entropy"
    """Of the study."""
    languages: tuple[str, ...] = LANGUAGES
    """Languages, each with a ladder of its own."""
    sizes: tuple[int, ...] = (8, 12, 16, 24, 32, 48, 64)
    """Widths of the models."""
    depth: int = 2
    """Blocks of every model."""
    heads: int = 2
    """Attention heads of every model."""
    context: int = 32
    """Tokens that a model sees."""
    budgets: tuple[float, ...] = (64e3, 160e3, 400e3, 1e6, 2.5e6)
    """Training tokens, a decay branch each."""
    seeds: int = 2
    """Seeds of every size and budget."""
    lr: tuple[float, ...] = (0.01,)
    """Peak learning rates at width 32, each with runs of its own; a model of width w has lr x sqrt(32 / w)."""
    batch_tokens: int = 512
    """Tokens a step."""
    eval_tokens: int = 131_072
    """Held-out tokens that L is measured on."""

    def study(self) -> Study:
        """Every size at every budget of every language."""
        runs: list[Run] = []
        for name in self.languages:
            data = Data(corpus=name, context=self.context, eval_tokens=self.eval_tokens)
            for lr in self.lr:
                for width in self.sizes:
                    model = Model(
                        width=width,
                        depth=self.depth,
                        heads=self.heads,
                        context=self.context,
                        vocab=language(name).vocab,
                    )
                    rate = round(lr * (32 / width) ** 0.5, 5)
                    recipe = Recipe(data=data, optim=Optim(lr=rate, batch_tokens=self.batch_tokens))
                    runs += product([model], self.budgets, recipe, range(self.seeds))
        return Study(
            name=self.name, question="Does the limit that we print come out right?", runs=tuple(runs)
        )
