"""The laws there are, as `--help` lists them: `laws.LAWS` without NumPy, which a line of help should not wait for."""

EQUATIONS = {
    "hoffmann": "E + A / N^alpha + B / D^beta",
    "power": "E + A / x^alpha",
    "tied": "E + A / N^alpha + B / D^alpha",
    "coupled": "E + A ((1e6 / N)^(alpha/g) + (D0 / D)^(beta/g))^g",
    "shifted": "E + A / (N + N0)^alpha + B / (D + D0)^beta",
    "stretched": "E + A exp(-(N / N0)^alpha) + B exp(-(D / D0)^beta)",
}
"""Name -> equation, in the order of `LAWS` (a test holds them equal)."""


def listing() -> str:
    """The laws with their equations, a line each."""
    return "\n".join(f"{name}: {equation}" for name, equation in EQUATIONS.items())
