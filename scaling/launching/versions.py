"""What this process runs: packages, and a hash of this package's source. Driver and workers must run the same."""

from __future__ import annotations

import functools
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from scaling.errors import HostError
from scaling.record import short_hash

PACKAGES = ("scaling", "jax", "flax", "optax", "orbax-checkpoint")


@functools.cache
def versions() -> Mapping[str, str]:
    """Versions of the packages that decide what training computes, of Python, and `source`: a hash of the text of all
    modules of this package. Read once a process, since what is imported does not change with the files."""
    return {
        **{name: version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "source": source_hash(Path(__file__).parent.parent),
    }


def source_hash(package: Path) -> str:
    """Twelve digits that change with the name or the text of any module below `package`."""
    modules = sorted(package.rglob("*.py"), key=lambda path: path.relative_to(package).as_posix())
    return short_hash(
        "".join(f"{path.relative_to(package).as_posix()}\n{path.read_text('utf-8')}\n" for path in modules)
    )


def check_versions(asked: Mapping[str, str]) -> None:
    """Raise HostError that names both values where this process runs another version than its order `asked` for."""
    ours = versions()
    for name in sorted(asked):
        if (mine := ours.get(name, "nothing")) != asked[name]:
            what = "the source of this package (its hash)" if name == "source" else name
            raise HostError(
                f"driver and worker differ in {what}: the driver has {asked[name]}, this worker {mine}; "
                "install the same commit and packages on all machines and start the study again"
            )
