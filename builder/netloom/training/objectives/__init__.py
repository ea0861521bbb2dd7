"""Objectives: the losses and metrics of tasks on tensors, one class per file."""

from netloom.training.objectives.evaluation import Evaluation, Reference, Worst
from netloom.training.objectives.objective import EVALUATION_BATCH, Objective, Scores, Settings
from netloom.training.objectives.registry import objectives

OBJECTIVES = objectives()

__all__ = ["EVALUATION_BATCH", "OBJECTIVES", "Evaluation", "Objective", "Reference", "Scores", "Settings", "Worst"]
