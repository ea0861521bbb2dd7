"""Several targets, each with its own output, task and loss weight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from netloom.data.schema import Schema, TargetSpec
from netloom.document import Training
from netloom.document.data_choice import DataChoice
from netloom.tasks.answers import AnswerPart, monitored_parts, structure_part
from netloom.tasks.outputs import ExpectedOutput, LogitSpec
from netloom.tasks.registry import tasks
from netloom.tasks.regression import LOSS_SETTINGS, Regression, unused_loss_parameters
from netloom.tasks.task import Problem, Task
from netloom.tasks.true_labels import ClassLabel, NumberLabel, SeveralLabels, TrueLabel


class SeveralOutputs(Task):
    name = "several_outputs"
    title = "Several outputs"
    summary = "Predicts several targets at once: one output for each, with its own task and loss weight"
    order = 50
    target = "several"
    joins_outputs = True
    metrics: ClassVar = {"loss": "Weighted sum of the losses"}
    scale = Regression.scale
    settings = ("outputs", "label_smoothing", *LOSS_SETTINGS, "positive_weight", "focal_gamma")
    tunes_threshold = True
    explained = "head"
    explains_many_outputs = True
    attacked = "output"
    confidence_unit = "row"
    decision_unit = "outputs"

    def outputs(self, schema: Schema, training: Training) -> tuple[ExpectedOutput, ...] | None:
        return tuple(
            ExpectedOutput(
                (head_width(part, head_of(part, training)),), f"the target {part.name} of the data needs", part.name
            )
            for part in schema.target.parts
        )

    def output_probabilities(self, schema: Schema | None, training: Training) -> tuple[LogitSpec | None, ...]:
        if schema is None:
            return ()
        heads = [head_of(part, training) for part in schema.target.parts]
        return tuple(head.probabilities[0] if head.probabilities else None for head in heads)

    def reading(self, schema: Schema) -> str:
        names = ", ".join(part.name for part in schema.target.parts)
        return f"The data has {len(schema.target.parts)} targets, {names}, which need one Output each, in this order"

    def read_settings(self, training: Training) -> tuple[str, ...]:
        head_tasks = [tasks().get(head.objective) for head in training.outputs.values()]
        uses_positive_weight = any(head is not None and "positive_weight" in head.settings for head in head_tasks)
        unused = unused_loss_parameters(training) | (set() if uses_positive_weight else {"positive_weight"})
        return tuple(name for name in self.settings if name not in unused)

    def problems(self, schema: Schema | None, training: Training, data: DataChoice) -> Iterator[Problem]:
        if schema is None or not schema.target.parts:
            return
        parts = {part.name: part for part in schema.target.parts}
        for name, head in training.outputs.items():
            if name not in parts:
                message = f"The training settings have an output for {name!r}, but the data has no such target; it has "
                yield Problem("outputs", f"{message}{', '.join(parts)}.")
                continue
            part = parts[name]
            if head.objective and head.objective not in [task.name for task in heads(part)]:
                supported = " or ".join(task.name.replace("_", " ") for task in heads(part))
                message = (
                    f"The target {name} supports {supported}, but its objective is {head.objective.replace('_', ' ')}."
                )
                yield Problem("outputs", message)
            elif head.objective and not tasks()[head.objective].accepts(part):
                message = f"Binary classification needs two classes, but the target {name} has "
                yield Problem("outputs", f"{message}{len(part.classes)}; choose classification for it.")

    def decisions(self, answer: Mapping[str, Any]) -> list[Any]:
        return [value for value in answer["prediction"].values() if isinstance(value, str)]  # others are numbers

    def monitored_values(self, answer: Mapping[str, Any], schema: Schema) -> dict[str, float | str]:
        return monitored_parts(answer["prediction"])

    def true_label(self, schema: Schema) -> TrueLabel | None:
        return SeveralLabels(
            tuple(
                (part.name, NumberLabel() if part.type.is_number else ClassLabel(part.classes))
                for part in schema.target.parts
            )
        )

    def answer_parts(self, schema: Schema) -> tuple[AnswerPart, ...]:
        names = [part.name for part in schema.target.parts]
        by_name = {"type": "object", "required": names}
        return (
            structure_part("prediction", by_name, "The prediction of each target by its name"),
            structure_part("outputs", by_name, "The details of each prediction, such as probabilities, by target"),
        )


def heads(part: TargetSpec) -> list[Task]:
    """Return the tasks that a part of several targets supports, the default first."""
    return [task for task in tasks().values() if task.as_head and task.target == part.kind]


def head_of(part: TargetSpec, training: Training) -> Task:
    """Return the task of one of several outputs: that of the document if the target supports it, else the default."""
    candidates = heads(part)
    named = training.outputs[part.name].objective if part.name in training.outputs else ""
    return next((task for task in candidates if task.name == named), candidates[0])


def head_width(part: TargetSpec, task: Task) -> int:
    """Return the number of values of one of several outputs."""
    # Without a shape, a regression head has one value.
    outputs = task.outputs(Schema((), replace(part, shape=()), 0), Training())
    return (outputs[0].shape[0] or 1) if outputs and outputs[0].shape else 1
