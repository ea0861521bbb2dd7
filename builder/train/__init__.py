"""Training: objectives, the loop, the worker process, and the control of runs. Torch is imported when first needed."""

from builder.graph.optimizing import OPTIMIZERS, SCHEDULES
from builder.train.control import (
    ACTIVE,
    advance,
    keep,
    pause,
    proceed,
    refresh,
    resume,
    set_learning_rate,
    set_schedule,
    start,
    stop,
    tend,
    wait,
    warm,
)
from builder.train.loop import TrainingError
from builder.train.objectives import OBJECTIVES, Evaluation, Objective, Reference, Worst
from builder.train.origin import Fit, StartError, adopt, brought, looked_at, starting_from
from builder.train.trained import TrainedRun, evaluate, evaluation, fit_here, load_run, predict
from builder.train.weight_files import CheckpointError

__all__ = [
    "ACTIVE",
    "OBJECTIVES",
    "OPTIMIZERS",
    "SCHEDULES",
    "CheckpointError",
    "Evaluation",
    "Fit",
    "Objective",
    "Reference",
    "StartError",
    "TrainedRun",
    "TrainingError",
    "Worst",
    "adopt",
    "advance",
    "brought",
    "evaluate",
    "evaluation",
    "fit_here",
    "keep",
    "load_run",
    "looked_at",
    "pause",
    "predict",
    "proceed",
    "refresh",
    "resume",
    "set_learning_rate",
    "set_schedule",
    "start",
    "starting_from",
    "stop",
    "tend",
    "wait",
    "warm",
]
