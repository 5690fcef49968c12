"""A study folder with results, jobs, beats and a driver, made without training: what status is shown."""

import dataclasses
import json

from scaling.folder import StudyFolder
from scaling.launching.journal import (
    Attempt,
    Beat,
    Driver,
    Job,
    log_path,
    write_beat,
    write_driver,
    write_job,
)
from scaling.plan import Recipe, make_plan, product
from scaling.results import collect
from scaling.spec import Data, Model, Optim, Study

NOW = 1_800_000_000.0
STARTED = NOW - 3600.0
QUESTION = "Does <b>loss</b> fall & where does it end?"
REASON = "RuntimeError: \x1b[31mout of <memory>\x1b[0m\n"
LOG = (
    "".join(f"line {n}\n" for n in range(40))
    + "\x1b[1mTraceback\x1b[0m <script>alert(1)</script>\r\n\x07last\n"
)
STATES = ("done", "done", "running", "running", "failed", "queued", "waiting", "left_out")


def study(seeds=2):
    """Four sizes at three budgets."""
    models = [Model(context=32, width=8 * n, depth=1, heads=1) for n in (1, 2, 3, 4)]
    recipe = Recipe(data=Data(context=32, eval_tokens=4096), optim=Optim(batch_tokens=256))
    return Study(
        name="shown", question=QUESTION, runs=product(models, [25_600, 51_200, 102_400], recipe, range(seeds))
    )


def result(run, measured=None, diverged=None):
    status = "diverged" if diverged else "done"
    return {
        "run_id": run.run_id,
        "population_id": None,
        "run": dataclasses.asdict(run),
        "status": status,
        "diverged": diverged,
        "measured": measured or {},
        "versions": {},
    }


def finish(folder, run, measured=None, diverged=None):
    """Write the result of a run."""
    path = folder.run(run) / "result.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result(run, measured, diverged)))


def measured(run, second_a_step=0.5, devices=1):
    """What a run that took so long has measured."""
    loss = 2.0 + 50.0 / run.model.width + 5_000.0 / run.tokens
    seconds = {"device_seconds": run.decay_steps * second_a_step}
    return {"L": loss, "bpb": loss / 0.7, "devices": devices, "device": "cpu"} | seconds


def planned(place, seeds=2):
    """A study of which nothing is trained: its folder and its plan."""
    made = make_plan(study(seeds))
    folder = StudyFolder(place / "shown")
    folder.write_study(made.study, iter(made.lines()))
    return folder, made


def driven(place):
    """A study of eight jobs, each a trunk with its branches, in the STATES; one run has diverged."""
    folder, made = planned(place)
    for number, (job, state) in enumerate(zip(made.jobs, STATES, strict=True)):
        write_job(folder, _job(job, state, number))
        if state == "done":
            for run in job.runs[:-1] if number else job.runs:
                finish(folder, run, measured(run))
            if number:
                finish(
                    folder, job.runs[-1], diverged={"step": job.runs[-1].steps - 1, "part": "decay branch"}
                )
        if state == "running":
            write_beat(folder, f"{job.trunk_id}-whole", _beat(job, number))
        if state == "failed":
            log_path(folder, f"{job.trunk_id}-whole").write_text(LOG, newline="")
    write_driver(folder, driver())
    collect(made.study, folder)
    return folder, made


def driver(state="running", count=100, time=NOW - 3):
    return Driver("token", count, time, STARTED, "login", 321, state, {}, device_seconds=1200.0)


def _job(job, state, number):
    attempts = {
        "done": (Attempt(1, STARTED, 600.0, 1, "finished", host="gpu-1"),),
        "running": (
            Attempt(1, STARTED, 300.0, 1, "lost", "its node went away", "gpu-2"),
            Attempt(2, STARTED + 400, devices=1, host="gpu-3"),
        ),
        "failed": tuple(Attempt(n, STARTED + n, 50.0, 1, "failed", REASON) for n in (1, 2, 3)),
    }
    reason = {"failed": REASON, "left_out": "--max-device-hours 2 would be passed"}.get(state, "")
    return Job(
        f"{job.trunk_id}-whole",
        job.runs[0].trunk_name,
        "whole",
        (job.trunk_id,),
        tuple(run.run_id for run in job.runs),
        job.steps,
        job.flops,
        state,
        reason,
        attempts.get(state, ()),
    )


def _beat(job, number):
    """Of the third job the worker's clock is five minutes ahead."""
    time = NOW - 12 if number == 2 else NOW + 300
    speed = {"tokens_per_second": 125_000.0, "mfu": 0.312}
    where = {"device": "NVIDIA H100", "devices": 1, "what": job.runs[0].trunk_name}
    return Beat(2, 37, time, "gpu-3", 99, "training", **where, steps_done=100, loss=2.5, **speed)
