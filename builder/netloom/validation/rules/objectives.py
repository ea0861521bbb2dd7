"""What single objectives ask of the data and of the network's Outputs, beside the shape of a target."""

from __future__ import annotations

from collections.abc import Iterator

from netloom.data.schema import TargetSpec
from netloom.layers import TensorSpec
from netloom.validation.context import Context, Totals
from netloom.validation.issue import Fix, Issue
from netloom.validation.rules.data import Width

# The objective that each kind of a part of several targets has, and what others it may have.
HEADS = {"class": ("classification", "binary_classification"), "number": ("regression",)}


def head_of(part: TargetSpec, asked: str) -> str:
    """The objective of one of several outputs: what is asked for, where its target takes it, or else the usual one."""
    known = HEADS.get(part.kind, ())
    return asked if asked in known else known[0] if known else ""


def head_width(part: TargetSpec, objective: str) -> int:
    """How many numbers one of several outputs gives."""
    return len(part.classes) if objective == "classification" else 1


class TwoClasses:
    """Binary classification and pairs need a target of two classes."""

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        objective, schema = context.project.training.objective, context.schema
        if objective not in ("binary_classification", "siamese") or schema is None or schema.target.kind != "class":
            return
        count = len(schema.target.classes)
        if count == 2:
            return
        title = "Binary classification tells two classes apart" if objective == "binary_classification" else (
            "The contrastive loss learns from pairs that are alike or not, two classes")  # fmt: skip
        yield context.issue(
            "objective",
            f"{title}, and the target {schema.target.name} of the data has {count}; choose classification.",
            fix=Fix("Change the objective to classification", _objective("classification")),
        )


class SeveralOutputs(Width):
    """One Output for each of several targets, in their order, each as wide as its objective asks for."""

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        training, schema = context.project.training, context.schema
        if training.objective != "several_outputs" or schema is None or schema.target.kind != "several":
            return
        parts, outputs = schema.target.parts, list(context.network.ports("Output"))
        names = [part.name for part in parts]
        for name, head in training.outputs.items():
            if name not in names:
                message = f"Training sets an output for {name!r}, and the data has no such target; it has "
                yield context.issue("outputs", f"{message}{', '.join(names)}.")
                continue
            part = parts[names.index(name)]
            if head.objective and head_of(part, head.objective) != head.objective:
                told = " or ".join(word.replace("_", " ") for word in HEADS[part.kind])
                message = f"The target {name} takes {told}, and not {head.objective.replace('_', ' ')}."
                yield context.issue("outputs", message)
            elif head.objective == "binary_classification" and len(part.classes) != 2:
                message = f"Binary classification tells two classes apart, and the target {name} has "
                yield context.issue("outputs", f"{message}{len(part.classes)}; choose classification for it.")
        if outputs and len(outputs) != len(parts):
            yield context.issue(
                "outputs",
                f"The data has {len(parts)} targets, {', '.join(names)}; the network needs an Output for each, in this "
                f"order, and has {len(outputs)}.",
                outputs[-1],
            )
            return
        for output, part in zip(outputs, parts, strict=False):
            chosen = training.outputs.get(part.name)
            needed = TensorSpec((None, head_width(part, head_of(part, chosen.objective if chosen else ""))))
            spec = context.answer(output)
            if spec is None or spec.shape == needed.shape:
                continue
            message = f"{context.label(output)} gives {spec}, but the target {part.name} of the data needs {needed}."
            fix = self._fix(context, output, spec, needed)
            yield context.issue("width", message, output, port="in", fix=fix)


class Embeddings(Width):
    """The contrastive losses read vectors: two of one width for pairs, one for views."""

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        objective = context.project.training.objective
        needed = {"siamese": 2, "contrastive": 1}.get(objective)
        outputs = list(context.network.ports("Output"))
        if needed is None or not outputs:
            return
        if len(outputs) != needed:
            told = "two Outputs, the embedding of each of a pair" if needed == 2 else "one Output, the embedding"
            message = f"This objective reads {told}; this network has {len(outputs)}."
            yield context.issue("outputs", message, outputs[-1])
            return
        specs = [context.answer(output) for output in outputs]
        for output, spec in zip(outputs, specs, strict=True):
            if spec is not None and len(spec.shape) != 2:
                message = f"{context.label(output)} gives {spec}, but an embedding is a vector for each example."
                fix = self._fix(context, output, spec, TensorSpec((None, spec.size(1))))
                yield context.issue("width", message, output, port="in", fix=fix)
        if needed == 2 and None not in specs and len({spec.shape for spec in specs if spec}) > 1:
            message = f"Both embeddings of a pair have to be equally long; they are {specs[0]} and {specs[1]}."
            yield context.issue("width", message, outputs[1], port="in")
        if objective == "contrastive" and not context.project.training.augment:
            yield context.issue(
                "objective",
                "Contrastive learning compares two views of each example, and no augmentation is declared that would "
                "make them differ; add some under Augmentation, such as a random crop.",
            )


class Ranking:
    """Recommendation reads a user and an item."""

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        schema = context.schema
        if context.project.training.objective != "ranking" or schema is None:
            return
        fields = [field for field in schema.inputs if field.kind == "tokens" and field.shape == (1,)]
        if len(fields) != 2 or len(schema.inputs) != 2:
            told = ", ".join(field.name for field in schema.inputs)
            yield context.issue(
                "objective",
                "Ranking learns from two fields, a user and an item, each a single category; the data has "
                f"{told}. Read both columns as categories with a field of their own, and ignore the others.",
            )


class Distillation:
    """A student has a teacher."""

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        training = context.project.training
        if training.objective == "distillation" and not training.teacher:
            yield context.issue(
                "teacher",
                "Knowledge distillation learns from an earlier run, and none is chosen; choose a finished run as the "
                "teacher, or train by classification.",
                fix=Fix("Change the objective to classification", _objective("classification")),
            )


def _objective(name: str) -> dict[str, object]:
    return {"kind": "project", "training": {"objective": name}}
