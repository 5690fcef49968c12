"""Whether the losses of two recipes are one quantity (nats on the same text, in the same tokens, of the same task), and
their computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.recipes.convention import conventions
from analysis.recipes.recipe import Recipe
from scaling.table import loss_units

if TYPE_CHECKING:
    import pandas as pd

WHAT = {
    "corpus": "corpus",
    "corpus_sha256": "hash of the corpus's documents",
    "vocab": "vocabulary",
    "tokens_per_byte": "tokens per byte of the held-out text",
}
"""Columns that must agree for two losses to be one quantity, and what they are."""
OF_TOKENS = ("vocab", "tokens_per_byte")
"""Of them those that do not matter to losses per byte."""
SAME_TOKENS = 1e-3
"""Relative difference of tokens per byte that the same tokenizer leaves on text it has split otherwise."""
PER_BYTE = "per byte"


@dataclass(frozen=True)
class Comparison:
    """Why two losses are not one quantity (`against`), and what the tables leave unsaid (`caveats`)."""

    against: tuple[str, ...]
    caveats: tuple[str, ...]
    consent: str = ""
    """The user's reason for which losses of another corpus or tokenizer, or computes counted otherwise, are one
    quantity nonetheless."""
    final: bool = False
    """Whether no reason can make them so: the objectives differ."""

    @property
    def comparable(self) -> bool:
        """Whether a compute-equivalent gain means anything."""
        return not self.against or (bool(self.consent) and not self.final)


def comparison(base: Recipe, candidate: Recipe, consent: str = "") -> Comparison:
    """What the columns of two tables say of their losses."""
    frames = base.frame, candidate.frame
    against, caveats = [], []
    units = [
        _unit(frame, dict(side.fit.renamed)) for frame, side in zip(frames, (base, candidate), strict=True)
    ]
    if units[0] != units[1]:
        against.append(f"the losses are in other units ({units[0]} and {units[1]})")
    objectives = [_values(frame, "objective") or {"causal"} for frame in frames]
    if objectives[0] != objectives[1]:
        against.append(
            f"the objectives differ ({_shown(objectives[0])} and {_shown(objectives[1])}): nats per token to come and "
            "nats per hidden token are different quantities"
        )
    mixed, apart = conventions(base, candidate)
    against += [mixed] if mixed else []
    caveats += [apart] if apart else []
    unsaid = []
    for column, words in WHAT.items():
        if column in OF_TOKENS and all(PER_BYTE in unit for unit in units):
            continue
        here, there = (_values(frame, column) for frame in frames)
        if not here or not there:
            if column != "tokens_per_byte":
                unsaid.append(words)
        elif not _same(here, there, column):
            against.append(
                f"the {words} differs ({_shown(here)} and {_shown(there)}){_remedy(frames, column)}"
            )
    if unsaid:
        caveats.append(f"the tables do not both say their {', '.join(unsaid)}: taken to be the same")
    contexts = [_values(frame, "context") for frame in frames]
    if all(contexts) and contexts[0] != contexts[1]:
        caveats.append(
            f"the contexts differ ({_shown(contexts[0])} and {_shown(contexts[1])} tokens): what the recipes may "
            "see is part of what is compared"
        )
    return Comparison(tuple(against), tuple(caveats), consent, objectives[0] != objectives[1])


def _unit(frame: pd.DataFrame, renamed: dict[str, str]) -> str:
    if renamed.get("L") == "bpb":
        return "bits per byte"
    known = loss_units(frame)
    return (
        "nats per token" if known is None else ", ".join(sorted(set(known[1].dropna()))) or "nats per token"
    )


def _values(frame: pd.DataFrame, column: str) -> set[str]:
    return set(frame[column].dropna().map(_written)) if column in frame.columns else set()


def _written(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _same(here: set[str], there: set[str], column: str) -> bool:
    if column != "tokens_per_byte":
        return here == there
    numbers = [float(value) for value in here | there]
    return max(numbers) <= min(numbers) * (1 + SAME_TOKENS)


def _shown(values: set[str]) -> str:
    ordered = sorted(values)
    shown = [value if len(value) <= 24 else f"{value[:12]}..." for value in ordered[:3]]
    return ", ".join(shown) + (", ..." if len(ordered) > 3 else "")


def _remedy(frames: tuple[pd.DataFrame, pd.DataFrame], column: str) -> str:
    if column in OF_TOKENS and all("bpb" in frame and frame["bpb"].notna().all() for frame in frames):
        return "; compare bits per byte: --columns L=bpb"
    return ""
