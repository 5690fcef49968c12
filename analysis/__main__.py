"""`python -m analysis VERB ...`: runs the verb; an error of the user is one sentence and exit code 2."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

# Fits are millions of matrix products of a few rows: a second BLAS thread costs more than it does. NumPy reads these
# when it is imported, so before anything else.
for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import tyro  # noqa: E402

from analysis import verbs  # noqa: E402
from analysis.choices.specify import specify  # noqa: E402
from analysis.classical.compare import compare  # noqa: E402
from analysis.errors import InputError  # noqa: E402
from analysis.recipes.gain import gain  # noqa: E402
from analysis.serving.serve import serve  # noqa: E402
from analysis.trends.verb import trends  # noqa: E402

VERBS: dict[str, Callable[..., int | None]] = {
    "fit": verbs.fit,
    "limit": verbs.limit,
    "compare": compare,
    "predict": verbs.predict,
    "verify": verbs.verify,
    "report": verbs.report,
    "specify": specify,
    "known": verbs.known,
    "gain": gain,
    "serve": serve,
    "trends": trends,
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    from scaling.table import TableError

    app = tyro.extras.SubcommandApp()
    for name, verb in VERBS.items():
        app.command(name=name)(verb)
    try:
        code = app.cli(
            args=arguments, prog="python -m analysis", description="Fit scaling laws to a table of runs."
        )
    except (InputError, TableError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `| head` has read enough; what is still buffered goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code or 0


if __name__ == "__main__":
    sys.exit(main())
