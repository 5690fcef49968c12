"""Experiments: Python files whose dataclass `Experiment` holds the knobs and builds the Study, or a Study as JSON."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, TypeVar

from scaling.errors import UserError
from scaling.folder import StudyFolder
from scaling.spec import SpecError, Study, from_json

O = TypeVar("O")


def load(spec: str, knobs: Sequence[str], options: type[O], verb: str) -> tuple[Study, O]:
    """The study of a spec with its knobs overridden by the command line, and the verb's own options.

    A .json spec is data and is never executed; a .py spec is the user's own code. Raises SpecError for a spec that is
    missing, does not run, or has no dataclass `Experiment` with a method `study`; unknown knobs end the process with a
    message and exit code 2.
    """
    if "://" in spec:
        return StudyFolder(spec).study(), parse(
            options, knobs, f"python -m scaling {verb} {spec}", options.__doc__
        )
    path = Path(spec)
    if path.is_dir() and (path / "study.json").is_file():
        path = path / "study.json"
    if not path.is_file():
        raise SpecError(f"no spec at {spec}; name an experiment (.py), a study as JSON, or a study folder")
    if path.suffix == ".json":
        chosen = parse(options, knobs, f"python -m scaling {verb} {spec}", options.__doc__)
        return from_json(Study, _read(path)), chosen
    if path.suffix != ".py":
        raise SpecError(f"{spec} is neither .py nor .json; name an experiment or a study as JSON")
    return _experiment(path, knobs, options, verb)


def _experiment(path: Path, knobs: Sequence[str], options: type[O], verb: str) -> tuple[Study, O]:
    module = _module(path)
    experiment = getattr(module, "Experiment", None)
    if not (
        isinstance(experiment, type) and dataclasses.is_dataclass(experiment) and hasattr(experiment, "study")
    ):
        raise SpecError(
            f"{path} has no dataclass `Experiment` with a method `study`; see README, 'Write an experiment'"
        )
    import tyro

    both: Any = dataclasses.make_dataclass(
        "Command",
        [
            ("experiment", Annotated[experiment, tyro.conf.arg(name="")]),
            ("options", Annotated[options, tyro.conf.arg(name="")]),
        ],
    )
    parsed = parse(both, knobs, f"python -m scaling {verb} {path}", module.__doc__)
    try:
        study = parsed.experiment.study()
    except UserError:
        raise
    except Exception as error:  # the user's own code
        raise _does_not_run(path, error) from None
    if not isinstance(study, Study):
        raise SpecError(
            f"Experiment.study in {path} returned {type(study).__name__}; return a scaling.spec.Study"
        )
    return study, parsed.options


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"experiment_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except UserError:
        raise
    except Exception as error:  # the user's own code
        raise _does_not_run(path, error) from None
    return module


def _does_not_run(path: Path, error: Exception) -> SpecError:
    what = f"{type(error).__name__}: {error}"
    return SpecError(f"{path}{_line_of(error, path)} does not run ({what}); mend it and try again")


def _line_of(error: BaseException, path: Path) -> str:
    if isinstance(error, SyntaxError):
        return f", line {error.lineno},"
    trace = error.__traceback__
    lines = []
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f", line {lines[-1]}," if lines else ""


def parse(kind: type[O], arguments: Sequence[str], prog: str, description: str | None) -> O:
    """Options from a command line; what is wrong there, and --help, end the process."""
    import tyro

    return tyro.cli(
        kind, args=list(arguments), prog=prog, description=description, config=(tyro.conf.OmitArgPrefixes,)
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"cannot read {path} ({error}); give a text file") from None
