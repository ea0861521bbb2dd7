"""Runs: worker processes, their control and queue, run folders, sweeps and clusters.

Torch is imported when first needed.
"""

from netloom.runs.continuation import resume
from netloom.runs.control import ACTIVE, advance, pause, proceed, set_learning_rate, set_schedule, start, stop, warm
from netloom.runs.supervisor import keep, refresh, tend, wait
from netloom.runs.trained_run import TrainedRun, evaluate, evaluation, fit_here, load_run, predict

__all__ = [
    "ACTIVE",
    "TrainedRun",
    "advance",
    "evaluate",
    "evaluation",
    "fit_here",
    "keep",
    "load_run",
    "pause",
    "predict",
    "proceed",
    "refresh",
    "resume",
    "set_learning_rate",
    "set_schedule",
    "start",
    "stop",
    "tend",
    "wait",
    "warm",
]
