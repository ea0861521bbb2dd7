"""One of two classes, from one logit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from netloom.data.schema import Schema, TargetSpec
from netloom.document import Training
from netloom.document.data_choice import DataChoice
from netloom.tasks.answers import AnswerPart, class_part, probability_part, threshold_part
from netloom.tasks.outputs import LABEL_LOGITS, ExpectedOutput
from netloom.tasks.task import Problem, Task
from netloom.tasks.true_labels import ClassLabel, TrueLabel


class BinaryClassification(Task):
    name = "binary_classification"
    title = "Binary classification"
    summary = "Predicts one of two classes from one logit, with a threshold chosen on the validation rows"
    order = 20
    target = "class"
    probabilities = (LABEL_LOGITS,)
    as_head = True
    metrics: ClassVar = {
        "loss": "Binary cross-entropy",
        "accuracy": "Accuracy at ½",
        "roc_auc": "ROC-AUC",
        "pr_auc": "PR-AUC",
    }
    proportions = ("accuracy",)
    settings = ("positive_weight", "label_smoothing", "focal_gamma")
    tunes_threshold = True
    per_label_scores = True
    two_classes = True
    explained = "binary"
    attacked = "binary"
    confidence_unit = "row"

    def outputs(self, schema: Schema, training: Training) -> tuple[ExpectedOutput, ...] | None:
        return (ExpectedOutput((1,), "one logit for the two classes of the data needs"),)

    def accepts(self, target: TargetSpec) -> bool:
        return len(target.classes) == 2

    def problems(self, schema: Schema | None, training: Training, data: DataChoice) -> Iterator[Problem]:
        if schema is not None:
            yield from not_two_classes("Binary classification needs two classes", schema)

    def answer_parts(self, schema: Schema) -> tuple[AnswerPart, ...]:
        names = schema.target.classes
        return class_part(names), probability_part(names), threshold_part()

    def true_label(self, schema: Schema) -> TrueLabel | None:
        return ClassLabel(schema.target.classes)


def not_two_classes(requirement: str, schema: Schema) -> Iterator[Problem]:
    """Yield a problem if the target does not have two classes; `requirement` begins its message."""
    if schema.target.type.is_class and len(schema.target.classes) != 2:
        yield Problem(
            "objective",
            f"{requirement}, but the target {schema.target.name} of the data has {len(schema.target.classes)}; choose "
            "classification.",
            "Change the objective to classification",
            {"objective": "classification"},
        )
