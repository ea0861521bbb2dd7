"""Similarity of pairs by the distance of their embeddings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import ClassVar

from netloom.data.schema import Schema, TargetSpec
from netloom.document import Training
from netloom.document.data_choice import DataChoice
from netloom.tasks.answers import AnswerPart, class_part, number_part, threshold_part
from netloom.tasks.binary_classification import not_two_classes
from netloom.tasks.outputs import ExpectedOutput
from netloom.tasks.task import Problem, Task
from netloom.tasks.true_labels import ClassLabel, TrueLabel

NOT_ATTACKED = (
    "it predicts the distance of two examples, not the class of one of them; train a classifier on the embeddings "
    "to attack it."
)


# Names of the class of pairs that belong together.
_SIMILAR = re.compile(
    r"(?i)(is[ _-]?)?(same|alike|equal|identical|equivalent|duplicates?|dup|match(es|ing|ed)?|paraphrases?|similar"
    r"|related|entail(s|ment|ed)?|genuine|positive|pos|yes|true)([ _-]?(pairs?|class|person|identity|meaning))?"
)


class Siamese(Task):
    name = "siamese"
    title = "Pairs by distance (contrastive loss)"
    summary = "Predicts whether two examples are similar, by the distance of their embeddings"
    order = 150
    target = "class"
    reads = "two Outputs, the embedding of each of a pair"
    equal_widths = True
    joins_outputs = True
    metrics: ClassVar = {
        "loss": "Contrastive loss",
        "alike_distance": "Distance, similar pairs",
        "other_distance": "Distance, dissimilar pairs",
    }
    proportions = ("accuracy",)
    settings = ("margin", "similar_class")
    tunes_threshold = True
    monitored_numbers = ("distance",)
    explained = "distance"
    not_calibrated = "The output is a distance of two embeddings, which is not a probability."
    explains_many_outputs = True
    explains_distance = True
    not_attacked = NOT_ATTACKED

    def outputs(self, schema: Schema, training: Training) -> tuple[ExpectedOutput, ...] | None:
        return (ExpectedOutput(None), ExpectedOutput(None))

    def problems(self, schema: Schema | None, training: Training, data: DataChoice) -> Iterator[Problem]:
        if schema is None:
            return
        fields = Counter((field.kind, field.shape) for field in schema.inputs)
        if max(fields.values()) < 2:
            names = ", ".join(repr(field.name) for field in schema.inputs)
            yield Problem(
                "pairs",
                "A siamese network compares two inputs of the same kind and shape, such as two images, but the inputs "
                f"of this data are {names}. Choose data with two such inputs, or change the objective to "
                "classification.",
                "Change the objective to classification",
                {"objective": "classification"},
            )
        yield from not_two_classes(
            "The contrastive loss learns from similar and dissimilar pairs, which are two classes", schema
        )
        yield from _contrary_names(schema.target, training)

    def accepts(self, target: TargetSpec) -> bool:
        return len(target.classes) == 2

    def answer_parts(self, schema: Schema) -> tuple[AnswerPart, ...]:
        distance = number_part("distance", "The distance of the embeddings")
        return class_part(schema.target.classes), distance, threshold_part()

    def true_label(self, schema: Schema) -> TrueLabel | None:
        return ClassLabel(schema.target.classes)


def similar_index(training: Training) -> int:
    """Return the index of the class of similar pairs."""
    return 0 if training.similar_class == "first" else 1


def _contrary_names(target: TargetSpec, training: Training) -> Iterator[Problem]:
    """Yield a problem if the names of the two classes say that the other one is that of similar pairs."""
    if len(target.classes) != 2:
        return
    similar = similar_index(training)
    name, other = target.classes[similar], target.classes[1 - similar]
    if _SIMILAR.fullmatch(name.strip()) or not _SIMILAR.fullmatch(other.strip()):
        return
    setting = "second" if similar == 0 else "first"
    yield Problem(
        "pairs",
        f"The network would learn that pairs of the class {name!r} are similar, but {other!r} sounds like the class of "
        f"similar pairs. Set the class of similar pairs to {setting}, or rename the classes.",
        f"Learn that pairs of {other!r} are similar",
        {"similar_class": setting},
    )
