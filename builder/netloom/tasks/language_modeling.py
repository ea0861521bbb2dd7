"""The next token of a text, at every position."""

from __future__ import annotations

from typing import ClassVar

from netloom.data.schema import Schema
from netloom.document import Training
from netloom.tasks.answers import AnswerPart, structure_part, text_part
from netloom.tasks.outputs import STEP_LOGITS, ExpectedOutput
from netloom.tasks.task import Task


class LanguageModeling(Task):
    name = "language_modeling"
    title = "Language modeling"
    summary = "Predicts the next token at every position of a text"
    order = 70
    target = "next_token"
    probabilities = (STEP_LOGITS,)
    metrics: ClassVar = {"loss": "Cross-entropy", "accuracy": "Accuracy", "perplexity": "Perplexity"}
    settings = ("label_smoothing",)
    explained = "token"
    not_calibrated = (
        "A language model generates text, whose temperature is chosen when it is generated; there is no single answer "
        "to abstain from."
    )

    not_corrected = (
        "Many continuations of a text are right, so a language model has no correct label to collect. Add the texts "
        "that it should write to its data on the Data page, and start a run from these weights."
    )

    def outputs(self, schema: Schema, training: Training) -> tuple[ExpectedOutput, ...] | None:
        field = schema.inputs[0]
        return (ExpectedOutput((*field.shape, field.vocabulary or 1), "the target of the data needs"),)

    def answer_parts(self, schema: Schema) -> tuple[AnswerPart, ...]:
        shares = {"type": "object", "additionalProperties": {"type": "number"}}
        likeliest = structure_part("probabilities", shares, "The probabilities of the most likely tokens")
        return text_part("prediction", "The most likely next token"), likeliest
