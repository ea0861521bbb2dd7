"""Training: the loop, objectives, optimizers, schedules and diagnostics. Torch is imported when first needed."""

from netloom.document.optimizer_settings import OPTIMIZERS, SCHEDULES
from netloom.training.errors import TrainingError
from netloom.training.objectives import OBJECTIVES, Evaluation, Objective, Reference, Worst
from netloom.training.weights.initialization import (
    Fit,
    StartError,
    check_start,
    imported_weights,
    save_import,
    starting_from,
)
from netloom.training.weights.weight_files import CheckpointError

__all__ = [
    "OBJECTIVES",
    "OPTIMIZERS",
    "SCHEDULES",
    "CheckpointError",
    "Evaluation",
    "Fit",
    "Objective",
    "Reference",
    "StartError",
    "TrainingError",
    "Worst",
    "check_start",
    "imported_weights",
    "save_import",
    "starting_from",
]
