"""Checks of the training settings against the network, the objective and the device, before a run starts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from netloom.training.objectives import Objective

if TYPE_CHECKING:
    from torch import nn

    from netloom.data import Schema
    from netloom.document import Training


def preflight_problems(
    training: Training, objective: Objective, schema: Schema | None, weights: Iterable[str], device: str
) -> list[str]:
    """Return the problems as sentences. `weights` are the names of the network's weights, `device` is cpu or cuda."""
    problems = []
    if training.monitor not in objective.monitors:
        problems.append(
            f"{objective.task.title} has no metric {training.monitor!r} to monitor; choose one of "
            f"{', '.join(objective.monitors)}."
        )
    if training.precision == "fp16" and not device.startswith("cuda"):
        problems.append("fp16 needs a GPU, and this run is on the CPU; choose bf16 or float32 as its precision.")
    if training.precision == "auto" and objective.task.environment:
        problems.append(f"{objective.task.title} cannot choose its precision; set it to float32 or bf16.")
    if objective.task.alternating:
        problems += _alternation_problems(training, objective)
    if objective.task.paired_views and training.gradient_accumulation_steps > 1:
        problems.append(
            f"{objective.task.title} compares all pairs of rows in a batch; set gradient accumulation to 1 and use "
            "a larger batch size."
        )
    if schema is not None:
        problems += _class_weights(training, objective, schema)
    names = list(weights)
    for path in training.layer_lr_multipliers:
        # The dot keeps `linear_1` from matching `linear_10`.
        if names and not any(name.startswith(f"{path}.") for name in names):
            problems.append(
                f"A per-layer learning rate is set for {path}, but no layer of this name has weights; remove it."
            )
    return problems


def _class_weights(training: Training, objective: Objective, schema: Schema) -> list[str]:
    """Return the problems of class weights, of one target or of several."""
    settings = [("", training.class_weights, schema.target)] if "class_weights" in objective.task.settings else []
    if "outputs" in objective.task.settings:
        heads = [(part, training.outputs.get(part.name)) for part in schema.target.parts]
        settings = [(f" of {part.name!r}", head.class_weights, part) for part, head in heads if head is not None]
    problems = []
    for of, weights, target in settings:
        if not isinstance(weights, tuple) or not target.classes:
            continue
        count, classes = len(weights), len(target.classes)
        if count != classes:
            subject = f"{of[4:]} has" if of else "the data has"
            problems.append(
                f"There are {count} class weights{of}, but {subject} {classes} classes; set one weight per class."
            )
        elif not any(weights):
            problems.append(f"All class weights{of} are 0, so nothing would be learned; set a weight above 0.")
    return problems


def weight_names(model: nn.Module) -> list[str]:
    """Return the names of the weights of a model."""
    return [name for name, _ in model.named_parameters()]


def _alternation_problems(training: Training, objective: Objective) -> list[str]:
    """Return the problems of training networks in alternation."""
    problems = []
    if training.gradient_accumulation_steps > 1:
        problems.append(
            f"{objective.task.title} alternates between its networks, each with a whole batch; set "
            "gradient accumulation to 1."
        )
    if training.precision != "float32":
        problems.append(f"{objective.task.title} supports only float32; set the precision to float32.")
    return problems
