"""Seconds and memory that a study of 10,000 runs takes in the driver: planning, estimating, and collecting its table.

    python -m benchmarks.scale                      # 250 shapes x 8 budgets x 5 seeds
    python -m benchmarks.scale --runs 1000 --folder /mnt/shared/scratch

Nothing is trained: the 10,000 results are fabricated, a file a run, in a folder that is deleted afterwards (on a local
disk unless --folder says otherwise). Memory is the process's peak.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scaling.execution import Execution
from scaling.folder import StudyFolder
from scaling.launching.cost.calibration import estimator_of
from scaling.launching.cost.estimator import wall_seconds
from scaling.launching.cost.pace import Rate
from scaling.launching.driving.ledger import Ledger
from scaling.launching.driving.pending import Results, pending_tasks
from scaling.launching.launch import Launch
from scaling.launching.task import tasks_of
from scaling.plan import Plan, Recipe, make_plan, product
from scaling.population import populations
from scaling.results import collect, done, results
from scaling.spec import Data, Model, Optim, Run, Study

BUDGETS, SEEDS = 8, 5
PLACES = 64


def study(runs: int) -> Study:
    """A study of about so many runs: shapes x 8 budgets x 5 seeds."""
    shapes = max(1, runs // (BUDGETS * SEEDS))
    models = [Model(context=64, width=8 * (1 + i // 10), depth=1 + i % 10, heads=1) for i in range(shapes)]
    recipe = Recipe(data=Data(context=64), optim=Optim(batch_tokens=1024))
    made = product(models, [1e5 * 2**i for i in range(BUDGETS)], recipe, range(SEEDS))
    return Study(name="scale", question="How large may a study be?", runs=made)


def fabricate(study: Study, folder: StudyFolder) -> None:
    """A result.json for each run, every 97th diverged, written as cheaply as can be."""
    template = done(study.runs[0], None, L=1.0)
    for number, run in enumerate(study.runs):
        lost = {"step": run.steps // 2, "part": "decay branch"} if number % 97 == 0 else None
        values = template | {
            "run_id": run.run_id,
            "status": "diverged" if lost else "done",
            "diverged": lost,
            "measured": {} if lost else _measured(run),
        }
        folder.run(run).mkdir(parents=True)
        (folder.run(run) / "result.json").write_text(json.dumps(values, indent=1))


def _measured(run: Run) -> dict[str, Any]:
    loss = 2.0 + 400 / run.tokens**0.3 + 0.01 * (run.seed + 1) / run.model.width
    seconds = run.decay_steps * 1e-3 * run.model.depth
    return {
        **{"D_unique": run.tokens, "L": loss, "L_se": 0.01, "bpb": loss / 0.693, "tokens_per_byte": 1.0},
        **{"device_seconds": seconds, "trunk_device_seconds": 4 * seconds, "compile_seconds": 1.0},
        **{"mfu": None, "device": "cpu", "devices": 1, "precision": "float32"},
    }


def plan_all(runs: int) -> Plan:
    """The specs, their hashes, and everything that the driver derives from them before it launches."""
    made = make_plan(study(runs))
    assert len(list(made.lines())) == len(made.study.runs)
    return made


def schedule(plan: Plan) -> float:
    """Hours on PLACES devices by the estimate."""
    tasks = tasks_of(populations(plan.jobs, lambda _: 1), apart=True)
    estimator = estimator_of(StudyFolder(Path("nowhere")), {}, None, fallback=Rate(1e11, 2.0, "a guess"))
    took = {task.task_id: estimator.seconds(task) for task in tasks}
    assert estimator.study(tasks) is not None
    return wall_seconds(tasks, lambda task: took[task.task_id], PLACES) / 3600


def pending(plan: Plan, folder: StudyFolder) -> None:
    """What a driver that is started again asks of the study's files; nothing is left to do."""
    found = Results(folder, plan.study.runs)
    assert not pending_tasks(plan, found, Execution(), Launch(branches="apart"), PLACES)
    Ledger(found.survey, Launch())


def timed(what: str, work: Callable[[], Any]) -> Any:
    """The result of `work`; prints its seconds and the peak memory up to its end."""
    started = time.perf_counter()
    found = work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what}: {time.perf_counter() - started:.2f} s, peak {peak:.0f} MiB", flush=True)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="where the results are fabricated")
    chosen = parser.parse_args()
    plan: Plan = timed(f"plan {chosen.runs} runs", lambda: plan_all(chosen.runs))
    timed(f"tasks, estimates and list scheduling on {PLACES} devices", lambda: schedule(plan))
    with tempfile.TemporaryDirectory(dir=chosen.folder) as place:
        folder = StudyFolder(Path(place))
        timed("(fabricating the results)", lambda: fabricate(plan.study, folder))
        timed("a driver finds what is done", lambda: pending(plan, folder))
        timed("read the results", lambda: results(plan.study.runs, folder))
        rows = timed("collect", lambda: collect(plan.study, folder))
        print(f"{rows} rows")


if __name__ == "__main__":
    main()
