"""NIST's nonlinear regression problems as laws: positive terms c_k phi_k with the amplitudes taken out.

Data, starting values and certified values lie in tests/nist (see the heads of the files). Where NIST's parameters are
others than a law's amplitudes and shape parameters, `Nist.ours` and `Nist.theirs` convert. ENSO alone is not here: its
terms are sines and cosines, which change sign within the data.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path

import numpy as np

from analysis.laws import Exponent, Law
from analysis.solver.objective import SquaredRaw
from analysis.solver.problem import Problem

FOLDER = Path(__file__).parent / "nist"


def _rows(name):
    with (FOLDER / name).open() as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def log(value):
    """log, -inf where there is none."""
    return np.log(np.where(value > 0, value, np.nan), out=np.full(np.shape(value), -np.inf), where=value > 0)


@dataclass(frozen=True)
class Nist:
    """A problem: the law, and how NIST's parameters b become ours (amplitudes, then shape parameters) and back."""

    name: str
    law: type[Law]
    ours: Callable = lambda b: b
    theirs: Callable = lambda p: p
    held: dict[str, float] = field(default_factory=dict)
    """Amplitudes that the model has as numbers."""

    @property
    def _parameters(self):
        return [row for row in _rows("parameters.csv") if row["problem"] == self.name]

    def start(self, which):
        """NIST's starting values, 1 or 2."""
        return np.array([float(row[f"start{which}"]) for row in self._parameters])

    @property
    def certified(self):
        return np.array([float(row["certified"]) for row in self._parameters])

    @property
    def standard_deviations(self):
        return np.array([float(row["sd"]) for row in self._parameters])

    @property
    def sum_of_squares(self):
        return next(
            float(row["sum_of_squares"]) for row in _rows("residuals.csv") if row["problem"] == self.name
        )

    @property
    def problem(self):
        rows = [row for row in _rows("data.csv") if row["problem"] == self.name]
        columns = {name: np.array([float(row[name]) for row in rows]) for name in self.law.columns}
        y = np.array([float(row["y"]) for row in rows])
        return Problem(self.law, columns, np.log(y) if self.name == "Nelson" else y, SquaredRaw())


def law(name, amplitudes, log_basis, signs=(), columns=("x",), powers=False, **exponents):
    """A law of this log basis."""
    body = {
        "equation": name,
        "columns": columns,
        "signed": columns,
        "target": "y",
        "floor": None,
        "amplitudes": tuple(amplitudes),
        "signs": signs,
        "exponents": exponents,
        "log_linear": powers,
        "log_basis": staticmethod(log_basis),
    }
    return make_dataclass(name, [*amplitudes, *exponents], bases=(Law,), frozen=True, namespace=body)


def scale(lo, hi, count=14):
    """A shape parameter above 0, by decades."""
    return Exponent(lo, hi, count)


def place(lo, hi, count=10):
    """A shape parameter that may be 0 or below."""
    return Exponent(lo, hi, count, linear=True)


def saturation(name, log_share, lo, hi):
    """b1 times a share of it that x has reached at rate b2."""
    return Nist(name, law(name, ["b1"], lambda e, c: (log_share(e["b2"] * c["x"]),), b2=scale(lo, hi)))


def chwirut(name):
    """exp(-b1 x) / (b2 + b3 x) as c exp(-b1 x) / (1 + r x)."""
    kind = law(
        name,
        ["c"],
        lambda e, c: (-e["b1"] * c["x"] - np.log1p(e["r"] * c["x"]),),
        b1=scale(1e-2, 1.0),
        r=scale(1e-1, 1e2),
    )
    return Nist(name, kind, lambda b: [1 / b[1], b[0], b[2] / b[1]], lambda p: [p[1], 1 / p[0], p[2] / p[0]])


def lanczos(name):
    """Three exponentials, told apart by their rates."""
    rate = scale(1e-1, 2e1, 10)
    kind = law(
        name,
        ["b1", "b3", "b5"],
        lambda e, c: tuple(-e[rate] * c["x"] for rate in ("b2", "b4", "b6")),
        b2=rate,
        b4=rate,
        b6=rate,
    )

    def theirs(p):
        order = np.argsort(p[3:])
        return np.stack([p[:3][order], p[3:][order]], axis=1).ravel()

    return Nist(name, kind, lambda b: [*b[::2], *b[1::2]], theirs)


def gauss(name):
    """An exponential and two peaks, told apart by where they are."""
    where, width = place(0.0, 250.0, 6), scale(3.0, 100.0, 4)

    def log_basis(e, c):
        peaks = [-(((c["x"] - e[at]) / e[wide]) ** 2) for at, wide in (("b4", "b5"), ("b7", "b8"))]
        return -e["b2"] * c["x"], *peaks

    kind = law(
        name, ["b1", "b3", "b6"], log_basis, b2=scale(1e-3, 1e-1, 4), b4=where, b5=width, b7=where, b8=width
    )

    def theirs(p):
        peaks = sorted([(p[4], p[1], p[5]), (p[6], p[2], p[7])])
        return [p[0], p[3], *(value for at, high, wide in peaks for value in (high, at, wide))]

    return Nist(name, kind, lambda b: [b[0], b[2], b[5], b[1], b[3], b[4], b[6], b[7]], theirs)


def quotient(name, signs, denominator, **exponents):
    """A polynomial of as many terms as there are signs over 1 + a polynomial, positive over the data."""

    def log_basis(e, c):
        below = log(1 + sum(e[b] * c["x"] ** (i + 1) for i, b in enumerate(denominator)))
        powers = [i * np.log(c["x"]) for i in range(len(signs))]
        return tuple(np.where(np.isfinite(below), power - below, -np.inf) for power in powers)

    terms = len(signs)
    kind = law(name, [f"b{i + 1}" for i in range(terms)], log_basis, signs=signs, **exponents)
    sign = np.array([*signs, *(1 for _ in exponents)])
    return Nist(name, kind, lambda b: b * sign, lambda p: p * sign)


def thurber():
    """Cubic over cubic in x, which goes below 0, as cubic over cubic in u = x + 3.2, which does not; the denominator is
    divided by its value at u = 0."""
    shift = 3.2
    signs = (1, 1, -1, 1)

    def log_basis(e, c):
        u = c["x"] + shift
        below = log(1 + e["e1"] * u + e["e2"] * u**2 + e["e3"] * u**3)
        return tuple(np.where(np.isfinite(below), i * np.log(u) - below, -np.inf) for i in range(4))

    kind = law(
        "Thurber",
        ["c1", "c2", "c3", "c4"],
        log_basis,
        signs=signs,
        e1=place(-1.5, 1.0, 12),
        e2=place(-0.5, 1.0, 12),
        e3=scale(1e-3, 1.0, 12),
    )

    def moved(coefficients, by):  # of a polynomial in x, lowest first, in u = x + by
        polynomial = np.polynomial.Polynomial(coefficients)(np.polynomial.Polynomial([-by, 1.0]))
        return polynomial.coef

    def ours(b):
        above, below = moved(b[:4], shift), moved([1, *b[4:]], shift)
        return [*(above / below[0] * signs), *(below[1:] / below[0])]

    def theirs(p):
        above, below = moved(p[:4] * signs, -shift), moved([1, *p[4:]], -shift)
        return [*(above / below[0]), *(below[1:] / below[0])]

    return Nist("Thurber", kind, ours, theirs)


def roszman():
    """b1 - b2 x - arctan(b3 / (x - b4)) / pi, of x below b4 and b2 below 0: -b2 x is taken away."""
    kind = law(
        "Roszman1",
        ["b1", "b2", "c"],
        lambda e, c: (0.0, np.log(-c["x"]), np.log(np.arctan(e["b3"] / (e["b4"] - c["x"])))),
        signs=(1, -1, 1),
        b3=scale(1e2, 1e4),
        b4=place(-450.0, 0.0),
    )
    return Nist(
        "Roszman1",
        kind,
        lambda b: [b[0], -b[1], 1 / np.pi, b[2], b[3]],
        lambda p: [p[0], -p[1], p[3], p[4]],
        held={"c": 1 / np.pi},
    )


PROBLEMS = [
    saturation("Misra1a", lambda u: np.log(-np.expm1(-u)), 1e-5, 1e-1),
    saturation("Misra1b", lambda u: np.log(-np.expm1(-2 * np.log1p(u / 2))), 1e-5, 1e-1),
    saturation("Misra1c", lambda u: np.log(-np.expm1(-0.5 * np.log1p(2 * u))), 1e-5, 1e-1),
    saturation("Misra1d", lambda u: np.log(u) - np.log1p(u), 1e-5, 1e-1),
    saturation("BoxBOD", lambda u: np.log(-np.expm1(-u)), 1e-2, 1e1),
    Nist(
        "DanWood",
        law("DanWood", ["b1"], lambda e, c: (e["b2"] * np.log(c["x"]),), powers=True, b2=scale(0.1, 10)),
    ),
    chwirut("Chwirut1"),
    chwirut("Chwirut2"),
    lanczos("Lanczos1"),
    lanczos("Lanczos2"),
    lanczos("Lanczos3"),
    gauss("Gauss1"),
    gauss("Gauss2"),
    gauss("Gauss3"),
    Nist(
        "MGH17",
        law(
            "MGH17",
            ["b1", "b2", "b3"],
            lambda e, c: (0.0, -e["b4"] * c["x"], -e["b5"] * c["x"]),
            signs=(1, 1, -1),
            b4=scale(1e-3, 10),
            b5=scale(1e-3, 10),
        ),
        lambda b: b * [1, 1, -1, 1, 1],
        lambda p: p * [1, 1, -1, 1, 1],
    ),
    Nist(
        "MGH10",
        law(
            "MGH10",
            ["b1"],
            lambda e, c: (e["b2"] / (c["x"] + e["b3"]),),
            b2=scale(1e2, 1e6),
            b3=scale(1e1, 1e5),
        ),
    ),
    Nist(
        "MGH09",
        law(
            "MGH09",
            ["b1"],
            lambda e, c: (
                np.log(c["x"] * (c["x"] + e["b2"])) - np.log(c["x"] ** 2 + c["x"] * e["b3"] + e["b4"]),
            ),
            b2=scale(1e-2, 1e2),
            b3=scale(1e-2, 1e2),
            b4=scale(1e-2, 1e2),
        ),
    ),
    Nist(
        "Rat42",
        law(
            "Rat42",
            ["b1"],
            lambda e, c: (-np.logaddexp(0, e["b2"] - e["b3"] * c["x"]),),
            b2=place(-5, 20),
            b3=scale(1e-3, 1),
        ),
    ),
    Nist(
        "Rat43",
        law(
            "Rat43",
            ["b1"],
            lambda e, c: (-np.logaddexp(0, e["b2"] - e["b3"] * c["x"]) / e["b4"],),
            b2=place(-5, 20),
            b3=scale(1e-2, 10),
            b4=scale(1e-1, 10),
        ),
    ),
    Nist(
        "Eckerle4",
        law(
            "Eckerle4",
            ["c"],
            lambda e, c: (-0.5 * ((c["x"] - e["b3"]) / e["b2"]) ** 2,),
            b2=scale(1, 1e2),
            b3=place(380, 520),
        ),
        lambda b: [b[0] / b[1], b[1], b[2]],
        lambda p: [p[0] * p[1], p[1], p[2]],
    ),
    Nist(
        "Bennett5",
        law(
            "Bennett5",
            ["b1"],
            lambda e, c: (-np.log(e["b2"] + c["x"]) / e["b3"],),
            signs=(-1,),
            b2=scale(1, 1e3),
            b3=scale(0.1, 10),
        ),
        lambda b: b * [-1, 1, 1],
        lambda p: p * [-1, 1, 1],
    ),
    Nist(
        "Nelson",
        law(
            "Nelson",
            ["b1", "b2"],
            lambda e, c: (0.0, np.log(c["x"]) - e["b3"] * c["x2"]),
            signs=(1, -1),
            columns=("x", "x2"),
            b3=place(-0.1, 0.1),
        ),
    ),
    quotient("Kirby2", (1, -1, 1), ("b4", "b5"), b4=place(-0.01, 0.01), b5=scale(1e-6, 1e-3)),
    quotient(
        "Hahn1",
        (1, -1, 1, -1),
        ("b5", "b6", "b7"),
        b5=place(-0.1, 0.1, 12),
        b6=scale(1e-5, 1e-2, 12),
        b7=place(-2e-6, 2e-6, 12),
    ),
    thurber(),
    roszman(),
]
