"""Functional forms of loss against parameters, data and compute, by name; `law.py` says what a law is."""

from analysis.laws.law import Exponent, Law
from analysis.laws.one_column import Power
from analysis.laws.size_and_data import Coupled, Hoffmann, Shifted, Stretched, Tied

LAWS: dict[str, type[Law]] = {
    "hoffmann": Hoffmann,
    "power": Power,
    "tied": Tied,
    "coupled": Coupled,
    "shifted": Shifted,
    "stretched": Stretched,
}

__all__ = ["LAWS", "Coupled", "Exponent", "Hoffmann", "Law", "Power", "Shifted", "Stretched", "Tied"]
