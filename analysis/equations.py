"""The laws there are, as `--help` lists them: `laws.LAWS` without NumPy, which a line of help should not wait for."""

EQUATIONS = {
    "hoffmann": "E + A / N^alpha + B / D^beta",
    "power": "E + A / x^alpha",
    "tied": "E + A / N^alpha + B / D^alpha",
    "coupled": "E + A ((1e6 / N)^(alpha/g) + (D0 / D)^(beta/g))^g",
    "shifted": "E + A / (N + N0)^alpha + B / (D + D0)^beta",
    "stretched": "E + A exp(-(N / N0)^alpha) + B exp(-(D / D0)^beta)",
    "kaplan": "A ((1e6 / N)^(alpha/beta) + D0 / D)^beta",
    "pure_power": "A / x^alpha",
    "exponential": "E + A exp(-(x / x0)^alpha)",
    "saturating": "E + K u, u / (1 - u)^a = (x0 / x)^c",
    "broken": "E + A / x^c0 / (1 + (x / d1)^(1/f1))^(c1 f1)",
    "broken_twice": "E + A / x^c0 / (1 + (x / d1)^(1/f1))^(c1 f1) / (1 + (x / (r d1))^(1/f2))^(c2 f2)",
    "overtrained": "E + (a (D / N)^eta + b (N / D)^eta) / (6 N D)^eta",
    "data_constrained": "E + B ((N0 / 1e9)^alpha / N'^alpha + 1 / D'^alpha), N' and D' worth N and D at R_N and R_D",
    "farseer": "E1 exp(-u (n^gamma - 1)) + B1 exp(v (n^-beta - 1)) / D^(p exp(-w (n^alpha - 1))), n = N / 1e6",
    "covariate": "E + (A / N^alpha + B / D^beta) exp(kappa x)",
    "annealing": "E + A / S1^alpha - B S2",
    "error_exponential": "epsilon - k exp(-gamma L)",
    "error_sigmoid": "b + a / (1 + exp(-k (L - L0)))",
    "loss_to_loss": "E + K (x - E_x)^kappa",
}
"""Name -> equation, in the order of `LAWS` (a test holds them equal)."""


def listing() -> str:
    """The laws with their equations, a line each."""
    return "\n".join(f"{name}: {equation}" for name, equation in EQUATIONS.items())
