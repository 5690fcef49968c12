"""A profiler trace of some steps, for TensorBoard's profile page (XProf) and for Perfetto."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jax

from scaling.errors import UserError
from scaling.storage import as_path, clear_storage_errors, is_local, put_whole

Step = TypeVar("Step", bound=Callable[..., Any])


class Trace:
    """Traces `steps` calls of the functions it watches, after `skip` calls that compile and warm up.

    The files are `<folder>/plugins/profile/<time>/`: `*.xplane.pb` for XProf, `perfetto_trace.json.gz` for Perfetto.
    One trace is taken a Trace, however many trunks and branches it watches; where training ends sooner, it is of what
    there was. Used as a context manager.
    """

    def __init__(self, folder: Any, steps: int, skip: int = 10) -> None:
        """Nothing is done yet; raises UserError where `steps` is not at least 1 or the folder cannot be made."""
        if steps < 1:
            raise UserError(f"--profile {steps} cannot be: give the number of steps to trace, 1 or more")
        self.folder = folder = as_path(folder)
        with clear_storage_errors(f"cannot make the folder {folder} for a profile"):
            folder.mkdir(parents=True, exist_ok=True)
        self._local = None if is_local(folder) else tempfile.TemporaryDirectory()
        self._first, self._last = skip + 1, skip + steps
        self._calls = 0
        self._running = False

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        if self._local:
            self._local.cleanup()

    @property
    def files(self) -> list[Any]:
        """The traces written so far, as Perfetto opens them."""
        return sorted(self.folder.glob("plugins/profile/*/perfetto_trace.json.gz"))

    def watch(self, step: Step) -> Step:
        """`step`, each of whose calls is counted, and named in the trace while that is taken."""

        def watched(*arguments: Any) -> Any:
            self._calls += 1
            if self._calls > self._last:
                return step(*arguments)
            if self._calls == self._first:
                jax.block_until_ready(arguments)  # else the trace begins with the end of earlier steps
                jax.profiler.start_trace(
                    self._local.name if self._local else self.folder, create_perfetto_trace=True
                )
                self._running = True
            with jax.profiler.StepTraceAnnotation("step", step_num=self._calls):
                result = step(*arguments)
            if self._calls == self._last:
                jax.block_until_ready(
                    result
                )  # the device works behind: without it the last steps are cut off
                self._stop()
            return result

        return watched  # type: ignore[return-value]

    def _stop(self) -> None:
        if self._running:
            self._running = False
            jax.profiler.stop_trace()
            if self._local:
                made = Path(self._local.name)
                for path in sorted(made.rglob("*")):
                    if path.is_file():
                        put_whole(self.folder / path.relative_to(made).as_posix(), path.read_bytes())
