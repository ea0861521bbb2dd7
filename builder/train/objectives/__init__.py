"""Objectives: one class per file. The name in a document's training section chooses one."""

from builder.train.objectives.base import EVALUATION_BATCH, Evaluation, Objective, Scores, Worst
from builder.train.objectives.classification import Classification
from builder.train.objectives.language_modelling import LanguageModelling
from builder.train.objectives.regression import Regression

OBJECTIVES: dict[str, Objective] = {
    objective.name: objective for objective in (Classification(), Regression(), LanguageModelling())
}

__all__ = ["EVALUATION_BATCH", "OBJECTIVES", "Evaluation", "Objective", "Scores", "Worst"]
