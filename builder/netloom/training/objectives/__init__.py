"""Objectives: one class per file. The name in a document's training section chooses one."""

from netloom.training.objectives.adversarial import Adversarial
from netloom.training.objectives.anomaly_detection import AnomalyDetection
from netloom.training.objectives.binary_classification import BinaryClassification
from netloom.training.objectives.class_and_tags import ClassAndTags
from netloom.training.objectives.classification import Classification
from netloom.training.objectives.contrastive import Contrastive
from netloom.training.objectives.distillation import Distillation
from netloom.training.objectives.language_modelling import LanguageModelling
from netloom.training.objectives.multi_label import MultiLabel
from netloom.training.objectives.objective import (
    EVALUATION_BATCH,
    Evaluation,
    Objective,
    Reference,
    Scores,
    Settings,
    Worst,
)
from netloom.training.objectives.ranking import Ranking
from netloom.training.objectives.reconstruction import Reconstruction
from netloom.training.objectives.regression import Regression
from netloom.training.objectives.reinforcement import DQN, PPO, REINFORCE
from netloom.training.objectives.segmentation import Segmentation
from netloom.training.objectives.sequence_to_sequence import SequenceToSequence
from netloom.training.objectives.several_outputs import SeveralOutputs
from netloom.training.objectives.siamese import Siamese
from netloom.training.objectives.tagging import Tagging

OBJECTIVES: dict[str, Objective] = {
    objective.name: objective
    for objective in (
        Classification(),
        BinaryClassification(),
        MultiLabel(),
        Regression(),
        SeveralOutputs(),
        Distillation(),
        LanguageModelling(),
        Tagging(),
        ClassAndTags(),
        Segmentation(),
        Reconstruction(),
        AnomalyDetection(),
        Adversarial(),
        SequenceToSequence(),
        Siamese(),
        Contrastive(),
        Ranking(),
        DQN(),
        REINFORCE(),
        PPO(),
    )
}

__all__ = ["EVALUATION_BATCH", "OBJECTIVES", "Evaluation", "Objective", "Reference", "Scores", "Settings", "Worst"]
