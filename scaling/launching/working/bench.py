"""The bench that populations are trained on: rows, held-out text, logs, and compiled programs that fit the memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scaling.data.rows import Rows, prepare_rows
from scaling.execution import Execution
from scaling.folder import StudyFolder
from scaling.launching.recording import Recording
from scaling.launching.versions import versions
from scaling.population import Population
from scaling.spec import Data, Run
from scaling.training.compiling import keep_compiled_programs
from scaling.training.evaluation import HeldOut
from scaling.training.hosts import is_writer
from scaling.training.memory import Memory, check_memory, memory_of_runs
from scaling.training.metrics import Logs
from scaling.training.profile import Trace
from scaling.training.setting import Display, Setting


@dataclass(frozen=True)
class Bench:
    """What populations need to be trained in this process, made once for all of them."""

    folder: StudyFolder
    rows: dict[Data, Rows]
    """Of the training split."""
    held_out: dict[Data, HeldOut]
    memory: dict[Run, Memory]
    logs: Logs
    recording: Recording
    execution: Execution

    def setting(
        self,
        population: Population,
        display: Display,
        stop_wanted: Callable[[], bool],
        trace: Trace | None,
        before_writing: Callable[[], None] = lambda: None,
    ) -> Setting:
        """What the training of a population is told."""
        first = population.jobs[0].runs[0]
        return Setting(
            self.folder,
            self.rows[first.data],
            self.held_out[first.data],
            display,
            stop_wanted,
            self.recording.checkpoint_seconds,
            self.logs,
            self.execution,
            trace,
            self.memory[first].compile_seconds,
            before_writing,
            source=versions()["source"],
        )


def prepare(
    populations: Sequence[Population],
    folder: StudyFolder,
    data_folder: Path,
    recording: Recording,
    execution: Execution,
    progress: Callable[[str, int, int], None],
    stop_wanted: Callable[[], bool],
) -> Bench | None:
    """The bench of some populations; None where it was asked to stop.

    Raises UserError where a run cannot be laid out or does not fit in the memory, or its corpus is not there.
    """
    keep_compiled_programs(data_folder / "compiled")
    memory = memory_of_runs(populations, execution, progress, stop_wanted)
    if stop_wanted():
        return None
    check_memory(memory)
    rows, held_out = {}, {}
    for data in dict.fromkeys(run.data for population in populations for run in population.budgets[0]):
        splits = prepare_rows(data, data_folder)
        rows[data], held_out[data] = splits["train"], HeldOut.of(splits["validation"], data.eval_tokens)
    logs = Logs(folder.path, recording.copies, writes=is_writer())
    return Bench(folder, rows, held_out, memory, logs, recording, execution)


def tracing(folder: StudyFolder, recording: Recording) -> contextlib.AbstractContextManager[Trace | None]:
    """The profiler's trace where one is asked for, on the host that writes."""
    steps = recording.profile if is_writer() else 0
    return Trace(folder.path / "profile", steps) if steps else contextlib.nullcontext()
