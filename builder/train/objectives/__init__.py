"""Objectives: one class per file. The name in a document's training section chooses one."""

from builder.train.objectives.adversarial import Adversarial
from builder.train.objectives.agents import DQN, PPO, REINFORCE
from builder.train.objectives.anomaly_detection import AnomalyDetection
from builder.train.objectives.base import EVALUATION_BATCH, Evaluation, Objective, Reference, Scores, Settings, Worst
from builder.train.objectives.binary_classification import BinaryClassification
from builder.train.objectives.class_and_tags import ClassAndTags
from builder.train.objectives.classification import Classification
from builder.train.objectives.contrastive import Contrastive
from builder.train.objectives.distillation import Distillation
from builder.train.objectives.language_modelling import LanguageModelling
from builder.train.objectives.multi_label import MultiLabel
from builder.train.objectives.ranking import Ranking
from builder.train.objectives.reconstruction import Reconstruction
from builder.train.objectives.regression import Regression
from builder.train.objectives.segmentation import Segmentation
from builder.train.objectives.sequence_to_sequence import SequenceToSequence
from builder.train.objectives.several_outputs import SeveralOutputs
from builder.train.objectives.siamese import Siamese
from builder.train.objectives.tagging import Tagging

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
