"""Sequence to sequence: a text generated from a text, token by token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from netloom.data.schema import Schema
from netloom.document import Training
from netloom.tasks.answers import PREDICTION, AnswerPart, text_part
from netloom.tasks.outputs import STEP_LOGITS, ExpectedOutput
from netloom.tasks.task import Task
from netloom.tasks.true_labels import TextLabel, TrueLabel


class SequenceToSequence(Task):
    name = "seq2seq"
    title = "Text to text"
    summary = "Generates a text from a text, token by token, such as a translation"
    order = 140
    target = "sequence"
    probabilities = (STEP_LOGITS,)
    metrics: ClassVar = {"loss": "Cross-entropy", "accuracy": "Token accuracy"}
    proportions = ("exact_match",)
    settings = ("label_smoothing",)
    explained = "answer_token"
    not_calibrated = "The answer is a text of many tokens, and no single probability says that all of it is right."

    def outputs(self, schema: Schema, training: Training) -> tuple[ExpectedOutput, ...] | None:
        field = schema.inputs[-1]  # the decoder input, which holds the text generated so far
        return (ExpectedOutput((*field.shape, field.vocabulary or 1), "the target of the data needs"),)

    def answer_parts(self, schema: Schema) -> tuple[AnswerPart, ...]:
        return (text_part("prediction", "The generated text"),)

    def monitored_values(self, answer: Mapping[str, Any], schema: Schema) -> dict[str, float | str]:
        return {f"{PREDICTION}: characters": float(len(answer["prediction"]))}

    def true_label(self, schema: Schema) -> TrueLabel | None:
        return TextLabel()
