"""Strict mode for every test (rank promotion raises, CPU only), and what tests share: data, a trained study."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")

TINY = '''
"""A tiny study, for tests."""
from dataclasses import dataclass
from scaling.plan import Recipe, product
from scaling.spec import Data, Model, Optim, Study

@dataclass(frozen=True)
class Experiment:
    """Knobs of the tiny study."""
    widths: tuple[int, ...] = (8, 16)
    """Widths."""
    budgets: tuple[float, ...] = (10240, 30720)
    """Training tokens."""
    rates: tuple[float, ...] = (1e-2,)
    """Peak learning rates."""
    seeds: int = 1
    """Seeds."""

    def study(self):
        """Every width at every budget, rate and seed."""
        models = [Model(context=32, width=width, depth=1, heads=1) for width in self.widths]
        runs = []
        for rate in self.rates:
            recipe = Recipe(data=Data(context=32, eval_tokens=4096), optim=Optim(lr=rate, batch_tokens=256))
            runs += product(models, self.budgets, recipe, range(self.seeds))
        return Study(name="tiny", question="Does it run?", runs=tuple(runs))
'''


class Tiny:
    """The tiny study's command line, in a folder of its own."""

    def __init__(self, folder: Path, data_folder: Path) -> None:
        self.folder, self.spec, self.out = folder, folder / "tiny.py", folder / "runs"
        self.study = self.out / "tiny"
        self.spec.write_text(TINY)
        self.data_folder = data_folder

    def command(self, *knobs: str, verb: str = "run", out: Path | None = None) -> list[str]:
        places = ["--out", str(out or self.out), "--data-folder", str(self.data_folder)]
        return [sys.executable, "-m", "scaling", verb, str(self.spec), *knobs, *places]

    def run(self, *knobs: str, **options) -> subprocess.CompletedProcess:
        return subprocess.run(self.command(*knobs, **options), capture_output=True, text=True, check=False)

    def numbers(self, study: Path | None = None) -> dict[str, object]:
        """Every number that must not depend on interruptions: results and logs, times left out."""
        found = {}
        for path in sorted((study or self.study).glob("*/result.json")):
            result = json.loads(path.read_text())
            measured = {k: v for k, v in result["measured"].items() if "seconds" not in k and k != "mfu"}
            found[path.parent.name] = (result["status"], result["diverged"], measured)
        for path in sorted((study or self.study).glob("*/metrics.jsonl")):
            records = [json.loads(line) for line in path.read_text().splitlines()]
            found[f"{path.parent.name} log"] = [
                {k: v for k, v in r.items() if k not in ("tokens_per_second", "mfu", "device_seconds")}
                for r in records
            ]
        return found


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def tiny(tmp_path, data_folder):
    return Tiny(tmp_path, data_folder)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, data_folder):
    """The tiny study, trained once without any disturbance."""
    study = Tiny(tmp_path_factory.mktemp("undisturbed"), data_folder)
    done = study.run()
    assert done.returncode == 0, done.stderr
    return study


@pytest.fixture(scope="module")
def bucket():
    """A bucket that this process and those it starts reach."""
    if importlib.util.find_spec("gcsfs") is None:  # it is set up before it is imported
        pytest.skip("gcsfs is not installed")
    from bucket import Bucket, served

    bucket = Bucket("bucket")
    with served(bucket) as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield bucket


from faults import calm, two_nodes  # noqa: E402, F401  shared by all tests of faults; they use Tiny
