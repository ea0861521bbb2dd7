"""The parts of a prediction, as programs read them: their JSON schema, and their tensors.

A task declares the parts of its predictions (`Task.answer_parts`). The model server describes and converts predictions
by these declarations alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, Literal

from pydantic_core import to_json

from netloom.modalities.encoding.tags import spans

# The key of a logged prediction with its monitored values, and the name of the prediction among them
MONITORED = "monitored"
PREDICTION = "prediction"
# The classes with a monitored value of their own: one of each of hundreds would hide a change among its tests
MAX_MONITORED = 20
# The data types of the Open Inference Protocol, https://github.com/open-inference/open-inference-protocol
AnswerDatatype = Literal["BOOL", "BYTES", "FP64"]


@dataclass(frozen=True)
class AnswerPart:
    """One key of a prediction.

    Args:
        name: the key.
        schema: the JSON schema of its value.
        labels: the keys of the value, if it is an object with a number for each of them.
        is_number: whether the value, or each value of the object, is a number.
        is_text: whether the value is a text.
        is_optional: whether some predictions do not have this text, which is then empty.
        is_boolean: whether the value is true or false. Other values that do not consist of numbers become a tensor of
            JSON texts.
    """

    name: str
    schema: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    is_number: bool = False
    is_text: bool = False
    is_boolean: bool = False
    is_optional: bool = False

    @property
    def datatype(self) -> AnswerDatatype:
        """The data type of the tensor."""
        return "FP64" if self.is_number else "BOOL" if self.is_boolean else "BYTES"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the tensor without the dimension of rows."""
        return (len(self.labels),) if self.labels else ()

    def flat(self, answers: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Return the values of all predictions as the flat data of a tensor (N, *shape)."""
        if self.is_text:
            return [answer.get(self.name, "") if self.is_optional else answer[self.name] for answer in answers]
        values = [answer[self.name] for answer in answers]
        if self.labels:
            return [value[label] for value in values for label in self.labels]
        return values if self.is_number or self.is_boolean else [to_json(value).decode() for value in values]


def class_part(names: Sequence[str], name: str = "prediction", description: str = "The predicted class") -> AnswerPart:
    """Return a part with one of several names."""
    return AnswerPart(name, {"type": "string", "enum": list(names), "description": description}, is_text=True)


def text_part(name: str, description: str) -> AnswerPart:
    """Return a part with a text."""
    return AnswerPart(name, {"type": "string", "description": description}, is_text=True)


def number_part(name: str, description: str) -> AnswerPart:
    """Return a part with a number."""
    return AnswerPart(name, {"type": "number", "description": description}, is_number=True)


def numbers_part(name: str, labels: Sequence[str], description: str) -> AnswerPart:
    """Return a part with an object that has a number for each label."""
    properties = {label: {"type": "number"} for label in labels}
    schema = {"type": "object", "properties": properties, "required": list(labels), "description": description}
    return AnswerPart(name, schema, tuple(labels), is_number=True)


def structure_part(name: str, schema: Mapping[str, Any], description: str) -> AnswerPart:
    """Return a part with any other value."""
    return AnswerPart(name, {**schema, "description": description})


TEXTS: Mapping[str, Any] = {"type": "array", "items": {"type": "string"}}
NUMBERS: Mapping[str, Any] = {"type": "array", "items": {"type": "number"}}
ENTITIES = structure_part(
    "entities",
    {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"first": {"type": "integer"}, "last": {"type": "integer"}, "kind": {"type": "string"}},
            "required": ["first", "last", "kind"],
        },
    },
    "The entities, from the first to the last word, from 0",
)


def monitored_counts(
    names: Sequence[str], class_names: Iterable[str], what: str, of_class: str = "of the class"
) -> dict[str, float | str]:
    """Return how many things a prediction found, and how many of each class unless there are many classes. `what` is
    their name in the plural, and `of_class` what follows it before the name of a class."""
    counts = Counter(class_names)
    each = names if 1 < len(names) <= MAX_MONITORED else ()
    return {
        f"{PREDICTION}: {what}": float(counts.total()),
        **{f"{PREDICTION}: {what} {of_class} {name}": float(counts[name]) for name in each},
    }


def monitored_tags(names: Sequence[str], tags: Sequence[str]) -> dict[str, float | str]:
    """Return how many entities the tags of a text mark, by their kind; how many words have each tag if tags do not mark
    entities."""
    kinds = sorted({name[2:] for name in names if name.startswith(("B-", "I-"))})
    if kinds:
        return monitored_counts(kinds, (kind for _, _, kind in spans(list(tags))), "entities", "of the kind")
    return monitored_counts(names, tags, "words", "with the tag")


def monitored_parts(prediction: Mapping[str, Any]) -> dict[str, float | str]:
    """Return the numbers and classes of a prediction with several by name; the mean of a forecast of several steps."""
    values: dict[str, float | str] = {}
    for name, value in list(prediction.items())[:MAX_MONITORED]:
        if isinstance(value, list):
            value = fmean(value)
        values[f"{PREDICTION}: {name}"] = value
    return values


def probability_part(names: Sequence[str]) -> AnswerPart:
    """Return the probabilities by class or label."""
    return numbers_part("probabilities", names, "The probability of each class")


def threshold_part() -> AnswerPart:
    """Return the threshold of the decision."""
    return number_part("threshold", "The decision threshold, chosen on the validation rows")


def thresholds_part(names: Sequence[str]) -> AnswerPart:
    """Return the thresholds of the decisions on labels."""
    return numbers_part("thresholds", names, "The decision threshold of each label, chosen on the validation rows")


# The parts that a calibration adds where they apply, by key; see `netloom.data.preparation.calibrated`
CALIBRATED: Mapping[str, AnswerPart] = {
    part.name: part
    for part in (
        number_part("confidence", "The calibrated probability that the prediction is right"),
        number_part("familiarity", "How much the input is like the training data"),
        structure_part("prediction_set", TEXTS, "The classes that contain the true one with the chosen probability"),
        AnswerPart(
            "abstained",
            {"type": "boolean", "description": "Whether the prediction is too uncertain to be used"},
            is_boolean=True,
        ),
        replace(text_part("reason", "Why the network abstains"), is_optional=True),
        structure_part(
            "interval",
            {"type": "object", "properties": {"low": {}, "high": {}, "coverage": {"type": "number"}}},
            "The interval that contains the true number with the probability `coverage`",
        ),
    )
}


def confidence_of(answer: Mapping[str, Any]) -> float | None:
    """Return the confidence of an answer: the calibrated one, or else the probability of the predicted class; None
    without one. For a set of labels, it is that of the label about which the network is least sure."""
    if "confidence" in answer:
        confidence: float | None = answer["confidence"]
        return confidence
    probabilities, predicted = answer.get("probabilities"), answer.get("prediction")
    if not isinstance(probabilities, Mapping) or not probabilities:
        return None
    if isinstance(predicted, list) and probabilities.keys() >= set(predicted):
        return min(float(share if name in predicted else 1 - share) for name, share in probabilities.items())
    # With a threshold, the predicted class need not have the largest probability
    return float(probabilities[predicted]) if isinstance(predicted, str) and predicted in probabilities else None
