"""The corpus of the Python interpreter's own sources: there wherever this software runs."""

from __future__ import annotations

import hashlib
import os
import platform
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from scaling.data.sources import CorpusError

OUTSIDE = {"site-packages", "dist-packages", "lib-dynload", "__pycache__", "test", "tests", "idle_test"}
"""Folders that are left out: packages that were added, and tests, which some distributions do not ship."""

OF_THIS_MACHINE = ("_sysconfigdata", "sitecustomize", "usercustomize")
"""Beginnings of files that hold paths and settings of one installation."""


@dataclass(frozen=True)
class PythonStdlib:
    """The Python sources below `root`, by default the running interpreter's standard library: code and prose.

    Left out are added packages, tests, files of one installation, files that are not UTF-8, and duplicates.
    """

    root: str = ""

    @property
    def origin(self) -> str:
        """The interpreter's version and the folder."""
        return f"the standard library of Python {platform.python_version()} in {self._root}"

    def fingerprint(self) -> str:
        """SHA-256 over the sorted hashes of the documents."""
        return fingerprint(self.documents())

    def documents(self) -> Iterator[tuple[str, str]]:
        """Each file as (path below the root, text), by path; raises CorpusError when there is none."""
        seen = set()
        for name in sorted(self._names()):
            try:
                content = (self._root / name).read_bytes()
                text = content.decode("utf-8")
            except UnicodeDecodeError:
                continue
            except OSError as error:
                remedy = "mend its permissions"
                raise CorpusError(f"cannot read {self._root / name} ({error.strerror}): {remedy}") from None
            if (digest := hashlib.sha256(content).digest()) not in seen:
                seen.add(digest)
                yield name, text
        if not seen:
            remedy = "use an interpreter that ships its sources"
            raise CorpusError(f"no Python sources in {str(self._root)!r}: {remedy}")

    @property
    def _root(self) -> Path:
        return Path(self.root or sysconfig.get_path("stdlib"))

    def _names(self) -> Iterator[str]:
        for folder, below, files in os.walk(self._root):
            below[:] = [name for name in below if name not in OUTSIDE and not name.startswith("config-")]
            for file in files:
                if file.endswith(".py") and not file.startswith(OF_THIS_MACHINE):
                    yield Path(folder, file).relative_to(self._root).as_posix()


def fingerprint(documents: Iterable[tuple[str, str]]) -> str:
    """SHA-256 over the sorted SHA-256 hashes of the texts, so that neither order nor names matter."""
    hashes = sorted(hashlib.sha256(text.encode()).hexdigest() for _, text in documents)
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()
