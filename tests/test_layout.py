"""Imports run one way, and what a person waits for at the prompt imports nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = ("jax", "flax", "orbax", "tensorflow_datasets", "matplotlib", "scipy", "pandas")


def imports(folder):
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                yield path, node.module
            elif isinstance(node, ast.Import):
                yield from ((path, alias.name) for alias in node.names)


def test_scaling_imports_neither_experiments_nor_analysis():
    assert [i for i in imports("scaling") if i[1].split(".")[0] in ("experiments", "analysis")] == []


def test_analysis_imports_of_scaling_only_accounting_table_and_tuning():
    """The three that know tables and no training."""
    allowed = {"scaling.accounting", "scaling.table", "scaling.tuning"}
    assert [i for i in imports("analysis") if i[1].split(".")[0] == "scaling" and i[1] not in allowed] == []


def test_experiments_import_no_analysis():
    assert [i for i in imports("experiments") if i[1].split(".")[0] == "analysis"] == []


def test_only_the_transformer_knows_no_devices():
    text = (ROOT / "scaling/models/transformer.py").read_text()
    assert not any(word in text for word in ("sharding", "PartitionSpec", "Mesh", "device_put"))


def test_tensorflow_is_imported_nowhere():
    for folder in ("scaling", "analysis", "experiments"):
        assert [i for i in imports(folder) if i[1].split(".")[0] == "tensorflow"] == []


@pytest.mark.parametrize(
    "module", ["scaling.__main__", "scaling.plan", "scaling.tuning", "analysis", "analysis.__main__"]
)
def test_nothing_heavy_is_imported_before_it_is_needed(module):
    code = f"import sys, {module}; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_room_without_a_name_of_its_own():
    vague = {"utils.py", "util.py", "common.py", "helpers.py", "misc.py"}
    assert [
        p for f in ("scaling", "analysis", "experiments") for p in (ROOT / f).rglob("*.py") if p.name in vague
    ] == []
