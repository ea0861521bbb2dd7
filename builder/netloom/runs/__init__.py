"""Runs: worker processes, their control and queue, run folders, sweeps and clusters.

Torch is imported when first needed.
"""

from netloom.runs.control import (
    ACTIVE,
    advance,
    pause,
    resume_paused,
    set_learning_rate,
    set_schedule,
    start,
    stop,
    warm,
)
from netloom.runs.derived.continuation import resume
from netloom.runs.prediction.trained_run import TrainedRun, evaluate, evaluation, fit_here, load_run, predict
from netloom.runs.search.sweep_process import tend
from netloom.runs.supervisor import keep, refresh, wait

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
    "refresh",
    "resume",
    "resume_paused",
    "set_learning_rate",
    "set_schedule",
    "start",
    "stop",
    "tend",
    "wait",
    "warm",
]
