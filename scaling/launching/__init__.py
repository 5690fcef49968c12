"""Launching: from a plan to trained runs, on this machine or on many.

task       what one worker trains, and what must come before it
driving    the driver: what is trained next, what came of it, what it cost
engines    where workers run: processes of this machine, or a Ray cluster
working    the worker: one task, in a process of its own
journal, claim, holding, standing    the files by which all of them, and `status`, know of each other
begun      what was begun together or alone, and goes on so
cost, status    before and during: the verbs `plan` and `status`
local      one task after another in this process, the default of `run`
"""
