"""`python -m scaling plan|run|status|collect`: from a spec to a table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scaling.errors import UserError
from scaling.execution import Execution
from scaling.experiment import load, parse
from scaling.folder import StudyFolder, check_writable
from scaling.launching.cost.costing import Costing
from scaling.launching.launch import Launch
from scaling.plan import Plan, make_plan, repetition_warnings
from scaling.spec import SpecError, Study
from scaling.storage import as_path, read_whole
from scaling.training.metrics import Copy, check_copies

DESCRIPTION = """\
Train the runs of a study and put them in a table.

  plan SPEC      what would be trained, what it costs, and what is doubtful; prepares the corpus, trains nothing
  run SPEC       train what is not done yet, then write table.csv; killed or stopped, the same command continues
  status STUDY   how far a study is: runs, jobs, failures, time, an early fit (--watch, --html, --prices, --all)
  collect STUDY  write table.csv from the runs that are done

SPEC is an experiment (.py), a study as JSON, or a study folder; STUDY is a study folder, runs/<name>.
`VERB --help` lists the options of a verb, `run SPEC --help` the knobs of an experiment too. Some options:

  --out FOLDER                  where study folders are made (default runs)
  --data-folder FOLDER          where prepared corpora are kept (default data)
  --checkpoint-seconds SECONDS  a checkpoint is written that often (default 60)
  --log tensorboard wandb       logs beside each run's metrics.jsonl
  --profile STEPS               a profiler trace of so many steps
  --microbatches, --fsdp, ...   how the runs are laid out on devices
  --on local|ray, ...           where jobs are trained, and what they may cost (--max-device-hours)
"""

PLAN_HELP = """Print what would be trained, what it costs, and what is doubtful; prepares the corpus, trains nothing.
`plan SPEC --help` lists the knobs of an experiment too."""
RUN_HELP = """Train what is not done of a study, then write its table; the same command continues.
`run SPEC --help` lists the knobs of an experiment too."""


@dataclass(frozen=True)
class Options:
    """Train or plan a study."""

    out: str = "runs"
    """Folder in which the study's folder is made: on a disk, or a URL as gs://BUCKET/runs."""
    data_folder: Path = Path("data")
    """Folder of the prepared corpora, shared by all studies."""
    checkpoint_seconds: float = field(default=60.0)
    """A checkpoint is written every so many seconds of training."""
    log: tuple[Copy, ...] = ()
    """Logs beside metrics.jsonl: tensorboard, wandb (offline unless WANDB_MODE says otherwise), or both."""
    profile: int = 0
    """Steps of which a profiler trace is taken, into the study's folder profile/; 0 takes none."""
    execution: Execution = field(default_factory=Execution)
    """How the runs are laid out on devices; no part of what a run is."""
    launch: Launch = field(default_factory=Launch)
    """Where jobs are trained, and what they may cost."""

    def __post_init__(self) -> None:
        if self.data_folder.parts[:1] and self.data_folder.parts[0].endswith(
            ":"
        ):  # Path ate one of the slashes
            raise SpecError(
                f"--data-folder {self.data_folder.parts[0]}//{'/'.join(self.data_folder.parts[1:])} cannot be: rows "
                "are memory-mapped, so name a folder of each machine's own disk, as --data-folder /tmp/data"
            )
        if not self.checkpoint_seconds > 0:
            raise SpecError(
                f"checkpoint_seconds = {self.checkpoint_seconds} cannot be: use a number above zero"
            )
        if self.profile < 0:
            raise SpecError(f"--profile = {self.profile} cannot be: give a number of steps, or 0 for none")


@dataclass(frozen=True)
class PlanOptions(Options):
    """Plan a study."""

    costing: Costing = field(default_factory=Costing)
    """What its cost is told of."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; 0 when it did what it says, 2 for an error of the user, 75 when interrupted and resumable."""
    parser = argparse.ArgumentParser(
        prog="python -m scaling",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", choices=VERBS)
    parser.add_argument("spec", metavar="SPEC", help="an experiment, a study as JSON, or a study folder")
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] and words[0] in HELP and words[1:2] in (["-h"], ["--help"]):
        HELP[words[0]]()
    chosen = parser.parse_args(words[:2])
    try:
        return VERBS[chosen.verb](chosen.spec, words[2:])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped before anything was trained", file=sys.stderr)
        return 130


def plan(spec: str, knobs: Sequence[str]) -> int:
    """Print the runs, their cost and what is doubtful about them; train nothing. Refuses what no device can hold."""
    from scaling.launching.cost.planning import Planning, show

    study, options = load(spec, knobs, PlanOptions, "plan")
    made, warnings = _prepare(study, options)
    folder = _folder(spec, options, made.study)
    recording = (options.data_folder, options.checkpoint_seconds)
    show(Planning(made, warnings, folder, *recording, options.execution, options.launch, options.costing))
    return 0


def run(spec: str, knobs: Sequence[str]) -> int:
    """Train what is not done and write table.csv."""
    from scaling.data.languages import is_language
    from scaling.launching.places import in_this_process, train_study
    from scaling.launching.recording import Recording
    from scaling.launching.tables import fetching

    study, options = load(spec, knobs, Options, "run")
    in_this_process(options.launch)
    place = spec if _is_study(spec) else options.out
    check_copies(options.log, place)
    check_writable(place)
    made, warnings = _prepare(study, options)
    folder = _folder(spec, options, made.study)
    trunks = f"{len(made.jobs)} trunk{'s' if len(made.jobs) > 1 else ''}"
    print(
        f"study {made.study.name}: {len(study.runs)} runs on {trunks}, {made.flops:.3g} FLOPs, in {folder.path}"
    )
    for warning in warnings:
        print(f"warning: {warning}")
    recording = Recording(options.checkpoint_seconds, options.log, options.profile)
    outcome = train_study(made, folder, options.data_folder, recording, options.execution, options.launch)
    lost = f", {outcome.diverged} of them diverged" if outcome.diverged else ""
    print(
        f"{outcome.finished} of {len(study.runs)} runs are finished{lost}; {outcome.trained} were trained now"
    )
    for said in outcome.sentences():
        print(said)
    if outcome.exit_code:
        return outcome.exit_code
    sweeps = len({(run.model, run.optim.lr) for run in study.runs}) > len({run.model for run in study.runs})
    known = not sweeps and all(is_language(run.data.corpus) for run in study.runs)
    print(f"table: {folder.table_csv}")
    fetch, here = fetching(folder)
    print(f"{fetch}next:  python -m analysis {'known' if known else 'report'} {here}")
    return 0


def status(spec: str, knobs: Sequence[str]) -> int:
    """Print how a study stands, once or until its driver has ended."""
    from scaling.launching.status.verb import show, wanted

    return show(StudyFolder(spec), wanted(knobs))


def collect(spec: str, knobs: Sequence[str]) -> int:
    """Write the table of a study folder."""
    from scaling.launching.tables import fetching
    from scaling.results import collect as write_table

    _no_more(knobs)
    folder = StudyFolder(spec)
    rows = write_table(folder.study(), folder)
    if not rows:
        raise UserError(f"no run of {folder.path} is finished, so there is no table; train with `run` first")
    print(f"{rows} rows: {folder.table_csv}\n{fetching(folder)[0]}", end="")
    return 0


VERBS: dict[str, Callable[[str, Sequence[str]], int]] = {
    "plan": plan,
    "run": run,
    "status": status,
    "collect": collect,
}
HELP: dict[str, Callable[[], object]] = {
    "plan": lambda: parse(PlanOptions, ["--help"], "python -m scaling plan SPEC", PLAN_HELP),
    "run": lambda: parse(Options, ["--help"], "python -m scaling run SPEC", RUN_HELP),
    "status": lambda: status("", ["--help"]),
    "collect": lambda: argparse.ArgumentParser(
        prog="python -m scaling collect STUDY",
        description="Write STUDY/table.csv from the runs that are done.",
    ).parse_args(["--help"]),
}
"""Prints the options of a verb and ends the process; without a spec there are no knobs of an experiment to name."""


def _prepare(study: Study, options: Options) -> tuple[Plan, list[str]]:
    """The plan of a study whose data are found, checked and packed, and the warnings about it."""
    from scaling.data.identity import resolve
    from scaling.data.rows import prepare_rows
    from scaling.launching.preparing import shown

    with shown() as progress:
        resolved = resolve(study, options.data_folder, progress)
        made = make_plan(resolved)
        unique = {
            data: prepare_rows(data, options.data_folder, progress)["train"].predicted
            for data in {r.data for r in resolved.runs}
        }
    return made, [*made.warnings, *repetition_warnings(resolved, unique)]


def _folder(spec: str, options: Options, study: Study) -> StudyFolder:
    """Where the study lies: a study folder named as the spec stays what it is."""
    return StudyFolder(spec if _is_study(spec) else as_path(options.out) / study.name)


def _is_study(spec: str) -> bool:
    return read_whole(as_path(spec) / "study.json") is not None


def _no_more(words: Sequence[str]) -> None:
    if words:
        raise UserError(f"{' '.join(words)!r} is not understood here; give the study folder alone")


if __name__ == "__main__":
    sys.exit(main())
