"""What the terms mean that `fit` prints, for `--explain`."""

from __future__ import annotations

import re
import textwrap

WIDTH = 80

TERMS = {
    "floor E": "the loss that is left at endless scale, in the unit of L.",
    "identified": "the runs exclude a floor of 0 and know the floor to within what the best run could still gain.",
    "bounded_above_only": "more scale would still lower the loss; how far is not known.",
    "not_identified": "the runs do not even show that the best of them is above the floor.",
    "all admissible laws": "the floor by every law in N and D that --admit names, on all runs and on the larger half, "
    "weighed by how well each foretold larger runs; the verdict is by this one.",
    "this law alone": "no other law was admitted beside it: the verdict is the weaker of what its forecasts of "
    "larger runs and what its profile and bootstrap say, and the interval holds both.",
    "profile": "floors at which the best fit of everything else is not significantly worse.",
    "rank correlation": "what E trades against: near +1 or -1, the two rise and fall together and neither is known "
    "alone.",
    "foretold": "the law is fitted to the runs up to a part of the largest compute, and predicts the rest.",
    "mean %": "mean of |predicted / measured - 1|; max % is the largest, bias % the mean with its sign (above 0: "
    "predicted losses were too high).",
    "claimed": "share of the held-out losses inside their prediction interval; it should be near the level.",
    "widened": "the same of an interval made wider by what such intervals missed within the rows fitted.",
    "skill": "1 - (the law's mean error) / (the best naive forecast's): 1 is perfect, below 0 a straight line did "
    "better.",
    "interval": "holds the true value as often as its level says, if the law is right; `caught` is how often it did "
    "on simulated tables of this design, and calibrated intervals are stretched until they do.",
    "parameters": "the intervals to quote are those of this table; for E that of the verdict, which also allows for "
    "other laws and for how well larger runs were foretold.",
    "at level": "the level at which the plain interval is the calibrated one: above the level asked for, plain "
    "intervals were too narrow. x1.40 after it: where no level was enough, each end lies 1.40 times as far from the "
    "median of the refits.",
    "simulated tables": "tables of this design drawn from the law; their noise `a run` is what is drawn for every "
    "run: the standard deviation of the residuals, corrected for the parameters fitted, with bad runs counted in full.",
    "s.e.": "standard deviation of the parameter over the refits to resampled runs.",
    "bootstrap": "the law is refitted, by the same global search, to runs drawn with replacement.",
    "clusters": "runs that share noise (branches of one trunk) are drawn together.",
    "frontier": "the split of compute into N and D of least loss; exponents of its powers of C. It is not given where "
    "the runs leave the exponents open.",
    "objective": "what is minimised, summed over the rows. log_huber is quadratic in log(L / Lhat) up to delta and "
    "linear beyond it, so that single bad runs do not pull.",
    "noise": "robust relative standard deviation of the runs about the law, which bad runs do not raise; the noise of "
    "simulated tables counts them and so may be larger.",
    "converged": "the optimiser ended at a minimum.",
    "max_steps": "it did not; the parameters are where it stopped.",
    "at_bound": "a parameter rests at an end of its range: the runs do not determine it.",
    "ill_conditioned": "parameters trade so strongly against each other that single ones mean little.",
    "condition number": "of the law's slopes, scaled: above 30 parameters trade against each other, above 100 badly.",
    "starts": "how many searches from different points ended at the same best minimum; an equally good other one "
    "is printed as AN EQUALLY GOOD FIT.",
}
"""A term as it is printed -> what it means, in the order of the text."""


def explained(text: str) -> str:
    """The terms that are in the text, each with its meaning, for a terminal of 80 columns."""
    flat = " ".join(text.split())
    found = {
        term: meaning for term, meaning in TERMS.items() if re.search(rf"(?<!\w){re.escape(term)}", flat)
    }
    return "\n".join(
        textwrap.fill(f"{term}: {meaning}", WIDTH, initial_indent="  ", subsequent_indent="    ")
        for term, meaning in found.items()
    )
