"""Training: objectives, the loop, the worker process, and the control of runs. Torch is imported when first needed."""

from builder.train.control import (
    ACTIVE,
    pause,
    proceed,
    refresh,
    resume,
    set_learning_rate,
    start,
    stop,
    wait,
    warm,
)
from builder.train.loop import TrainingError
from builder.train.objectives import OBJECTIVES, Evaluation, Objective, Worst
from builder.train.optimizers import OPTIMIZERS, SCHEDULES
from builder.train.origin import Fit, StartError, adopt, brought, looked_at, starting_from
from builder.train.trained import TrainedRun, evaluate, evaluation, fit_here, load_run, predict

__all__ = [
    "ACTIVE",
    "OBJECTIVES",
    "OPTIMIZERS",
    "SCHEDULES",
    "Evaluation",
    "Fit",
    "Objective",
    "StartError",
    "TrainedRun",
    "TrainingError",
    "Worst",
    "adopt",
    "brought",
    "evaluate",
    "evaluation",
    "fit_here",
    "load_run",
    "looked_at",
    "pause",
    "predict",
    "proceed",
    "refresh",
    "resume",
    "set_learning_rate",
    "start",
    "starting_from",
    "stop",
    "wait",
    "warm",
]
