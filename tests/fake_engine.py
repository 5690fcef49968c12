"""An engine in virtual time: its workers write the files of real ones, and end as the test says."""

import contextlib
import json
import math
import os
from dataclasses import replace

from scaling.errors import UserError
from scaling.folder import StudyFolder
from scaling.launching.engine import Ending
from scaling.launching.journal import Beat, write_beat
from scaling.launching.standing import steps_done
from scaling.launching.task import Task
from scaling.plan import make_plan
from scaling.population import Population
from scaling.results import diverged, done

HANGS = 20
"""The step that attempts do not get beyond that hang."""


class VirtualTime:
    """Seconds that pass when the engine is polled."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class FakeEngine:
    """Trains `speed` steps a second, or `flops` a second.

    `script` maps a word in a task's name to the kinds of its first endings, the others finish; an attempt that does not
    finish lasts ten seconds and saves a checkpoint that is `gained` steps further. As with real engines, one that was
    lost tells neither its steps nor its devices. Of its `hosts` those in `bad` refuse; the first that is not avoided
    gets an order. One that `hangs` stays at a step for ever; where the engine is `deaf` it has to be killed. Results
    are seen `late` seconds after the end.
    """

    def __init__(
        self,
        clock,
        places=2,
        speed=10.0,
        script=None,
        gained=0,
        diverging=(),
        at_poll=None,
        flops=None,
        devices=1,
        hosts=("virtual",),
        bad=(),
        deaf=False,
        late=0.0,
    ):
        self.clock, self._places, self.speed, self.gained = clock, places, speed, gained
        self.script = {word: list(kinds) for word, kinds in (script or {}).items()}
        self.diverging, self.at_poll = diverging, at_poll
        self.flops, self.devices = flops, devices
        self.hosts, self.bad, self.host_of = hosts, bad, {}
        self.deaf, self.killed = deaf, []
        self.late, self.late_results = late, []
        self.at_work, self.orders, self.stopped, self.polls = {}, [], [], 0
        self.checked, self.closed, self.most = None, False, 0

    def check(self, tasks):
        self.checked = tasks

    def places(self):
        return self._places

    def room(self):
        return self._places - len(self.at_work)

    def submit(self, order):
        task = self.task_of(order)
        kind = next(
            (kinds.pop(0) for word, kinds in self.script.items() if word in task.name and kinds), "finished"
        )
        host = next((host for host in self.hosts if host not in order.avoid), self.hosts[0])
        self.host_of[order.task_id] = host
        kind = "refused" if host in self.bad else kind
        seconds = task.steps / self._pace(task) if kind == "finished" else 10.0
        seconds = math.inf if kind == "hangs" else seconds
        self.orders.append((self.clock.now, task, order))
        self.at_work[order.task_id] = (order, task, kind, self.clock.now, self.clock.now + seconds)
        self.most = max(self.most, len(self.at_work))

    def poll(self, seconds):
        self.polls += 1
        if self.at_poll is not None:
            self.at_poll(self)
        ends = [end for *_, end in self.at_work.values()]
        self.clock.now = min([self.clock.now + max(seconds, 0.01), *ends])
        for order, task, kind, began, _ in self.at_work.values():
            seconds = self.clock.now - began
            self._beat(order, task, HANGS if kind == "hangs" else int(seconds * self._pace(task)), seconds)
        for _, folder, task in [late for late in self.late_results if late[0] <= self.clock.now]:
            self._results(folder, task)
        over = [work for work in self.at_work.values() if work[-1] <= self.clock.now]
        return [self._end(*work) for work in over]

    def stop(self, task_id):
        self.stopped.append(task_id)
        if task_id not in self.at_work or self.deaf:
            return
        order, task, _, began, _ = self.at_work[task_id]
        self.at_work[task_id] = (order, task, "interrupted", began, self.clock.now + 1)

    def kill(self, task_id):
        self.killed.append(task_id)
        if task_id not in self.at_work:
            return
        order, task, _, began, _ = self.at_work[task_id]
        self.at_work[task_id] = (order, task, "lost", began, self.clock.now)

    def close(self):
        self.closed = True

    def task_of(self, order):
        jobs = {job.trunk_id: job for job in make_plan(StudyFolder(self.folder_of(order)).study()).jobs}
        return Task(Population(tuple(jobs[trunk] for trunk in order.trunk_ids)), order.part, order.budget)

    def folder_of(self, order):
        from scaling.storage import as_path

        return as_path(order.study)

    def _end(self, order, task, kind, began, end):
        del self.at_work[order.task_id]
        host, reason = self.host_of[order.task_id], "" if kind == "finished" else f"told to end as {kind}"
        ending = Ending(kind, reason, end - began, self.devices, host)
        folder = StudyFolder(self.folder_of(order))
        if kind != "finished":
            self._save(folder, task)
            if kind == "lost":
                return order.task_id, replace(ending, devices=0)
            at_fault = "node" if host in self.bad else "task"
            return order.task_id, replace(ending, steps=self.gained, at_fault=at_fault)
        if self.late:
            self.late_results.append((self.clock.now + self.late, folder, task))
        else:
            self._results(folder, task)
        self._checkpoints(folder, task, task.leaves)
        return order.task_id, replace(ending, steps=task.steps)

    def _results(self, folder, task):
        for run in task.runs:
            lost = any(word in run.name for word in self.diverging)
            result = (
                diverged(run, None, 1, "trunk")
                if lost
                else done(run, None, L=2.0, bpb=None, device_seconds=1.0)
            )
            folder.run(run).mkdir(parents=True, exist_ok=True)
            (folder.run(run) / "result.json").write_text(json.dumps(result))

    def _save(self, folder, task):
        """A checkpoint `gained` steps beyond the last, where the task's last member would have it."""
        if self.gained:
            run, done = task.population.budgets[-1][-1], steps_done(folder, task)
            step = (task.leaves if task.part == "branch" else 0) + done + self.gained
            path = folder.run(run) if task.part == "branch" or step > task.leaves else folder.trunk(run)
            (path / "checkpoints" / str(step)).mkdir(parents=True, exist_ok=True)

    def _pace(self, task):
        return self.flops / task.step_flops if self.flops else self.speed

    def _beat(self, order, task, step, seconds):
        folder = StudyFolder(self.folder_of(order))
        host = self.host_of[order.task_id]
        beat = Beat(order.attempt, 1, 0.0, host, os.getpid(), "training", "fake", self.devices, task.name)
        pace = self._pace(task) * 256
        with contextlib.suppress(UserError):  # as of a real worker
            write_beat(
                folder,
                order.task_id,
                replace(beat, step=step, steps_done=step, tokens_per_second=pace, seconds=seconds),
            )
        self._checkpoints(folder, task, step)

    def _checkpoints(self, folder, task, step):
        if task.part == "trunk":
            for runs in task.population.budgets:
                for run in runs:
                    if run.decay_start <= step:
                        (folder.trunk(run) / "checkpoints" / str(run.decay_start)).mkdir(
                            parents=True, exist_ok=True
                        )
