"""Functional forms of loss against parameters, data and compute, by name; `law.py` says what a law is."""

from analysis.laws.broken import Broken, BrokenTwice
from analysis.laws.from_loss import ErrorExponential, ErrorSigmoid, LossToLoss
from analysis.laws.law import Exponent, Law
from analysis.laws.one_column import Exponential, Power, Saturating
from analysis.laws.recipe import Annealing, Covariate
from analysis.laws.regimes import DataConstrained, OverTrained
from analysis.laws.size_and_data import Coupled, Hoffmann, Shifted, Stretched, Tied
from analysis.laws.without_floor import Farseer, Kaplan, PurePower

LAWS: dict[str, type[Law]] = {
    "hoffmann": Hoffmann,
    "power": Power,
    "tied": Tied,
    "coupled": Coupled,
    "shifted": Shifted,
    "stretched": Stretched,
    "kaplan": Kaplan,
    "pure_power": PurePower,
    "exponential": Exponential,
    "saturating": Saturating,
    "broken": Broken,
    "broken_twice": BrokenTwice,
    "overtrained": OverTrained,
    "data_constrained": DataConstrained,
    "farseer": Farseer,
    "covariate": Covariate,
    "annealing": Annealing,
    "error_exponential": ErrorExponential,
    "error_sigmoid": ErrorSigmoid,
    "loss_to_loss": LossToLoss,
}

__all__ = [
    "LAWS",
    "Annealing",
    "Broken",
    "BrokenTwice",
    "Coupled",
    "Covariate",
    "DataConstrained",
    "ErrorExponential",
    "ErrorSigmoid",
    "Exponent",
    "Exponential",
    "Farseer",
    "Hoffmann",
    "Kaplan",
    "Law",
    "LossToLoss",
    "OverTrained",
    "Power",
    "PurePower",
    "Saturating",
    "Shifted",
    "Stretched",
    "Tied",
]
