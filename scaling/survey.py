"""What is there of a study at one moment, found in few round trips: for drivers that start on thousands of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scaling.folder import StudyFolder
from scaling.spec import Run
from scaling.storage import children, pooled


@dataclass(frozen=True)
class Survey(StudyFolder):
    """A study's folder that remembers results and checkpoints, and what was not there; never asks again.

    What is written later is found in the StudyFolder itself.
    """

    found: Mapping[Run, dict[str, Any]] = field(default_factory=dict)
    """Results, in the order of the runs that were asked for."""
    checkpoints: Mapping[str, list[int]] = field(default_factory=dict)
    """Steps by the name of their folder, of trunks and runs that are not finished."""

    def result(self, run: Run) -> dict[str, Any] | None:
        """As it was then."""
        return self.found.get(run)

    def saved(self, name: str) -> list[int]:
        """As they were then."""
        return self.checkpoints.get(name, [])


def survey(folder: StudyFolder, runs: Sequence[Run]) -> Survey:
    """One listing says which runs and trunks were begun; only these are asked, many at a time.

    A listing of all that lies below would have each file of each checkpoint: millions of names.
    """
    there = set(children(folder.path))
    begun = [run for run in runs if run.run_id in there]
    results = dict(zip(begun, pooled(folder.result, begun), strict=True))
    left = [run for run in runs if results.get(run) is None]
    names = sorted(there & {name for run in left for name in (run.run_id, f"trunk-{run.trunk_id}")})
    steps = dict(zip(names, pooled(folder.saved, names), strict=True))
    return Survey(folder.path, {run: result for run, result in results.items() if result is not None}, steps)
