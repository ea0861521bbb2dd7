"""The network against the chosen data: fields, vocabulary, target."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING, Any

from netloom.document.rl_settings import USED
from netloom.layers import TensorSpec
from netloom.layers.activation import _Activation
from netloom.layers.dense import Linear
from netloom.layers.io import Input, Output
from netloom.layers.normalization import Dropout
from netloom.layers.text import Embedding
from netloom.validation import fixes
from netloom.validation.context import Context, Totals
from netloom.validation.issue import Fix, Issue
from netloom.validation.rules import adversarial

if TYPE_CHECKING:
    from netloom.data import TargetSpec

# Which kind of target each objective of netloom.training.objectives needs; None: any, as it is not read.
TARGETS = {
    "classification": "class",
    "regression": "number",
    "language_modelling": "next_token",
    "reconstruction": None,
    "anomaly_detection": "class",
    adversarial.OBJECTIVE: None,
    "segmentation": "mask",
    "tagging": "tags",
    "class_and_tags": "class_and_tags",
    "seq2seq": "sequence",
    "multi_label": "labels",
    "binary_classification": "class",
    "several_outputs": "several",
    "distillation": "class",
    "siamese": "class",
    "contrastive": None,
    "ranking": "number",
    **dict.fromkeys(USED, "action"),
}
# Objectives whose answer is the input itself.
REBUILDING = ("reconstruction", "anomaly_detection")
_TARGET_NAMES = {
    "class": "classes",
    "number": "numbers",
    "next_token": "the next token",
    "mask": "a class for each pixel",
    "tags": "a tag for each word",
    "class_and_tags": "a class, and a tag for each word",
    "sequence": "a text as the answer",
    "action": "actions to choose from",
    "labels": "labels, any number of which apply",
    "several": "several targets side by side",
}
# Objectives of several Outputs, or of answers whose width is free: `netloom.validation.rules.objectives` looks at them.
APART = ("several_outputs", "siamese", "contrastive")


class Fields:
    """Every Input reads a field of the data, in that field's shape."""

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        if context.schema is None:
            return
        fields = {field.name: field for field in context.schema.inputs}
        for key in context.of_type(Input):
            layer = context.layers[key]
            if not isinstance(layer, Input):
                continue
            field = fields.get(layer.field) or (next(iter(fields.values())) if len(fields) == 1 else None)
            params = field.parameters() if field else {}
            if field and layer.field == field.name and layer.model_dump(mode="json") == params:
                continue
            fix = fixes.set_params(context.name, key, params, f"Read {field.name} {_shape(field)}") if field else None
            yield context.issue("field", self._message(context, key, layer, field), key, fix=fix)

    def _message(self, context: Context, key: str, layer: Input, field: Any) -> str:
        names = ", ".join(field.name for field in context.schema.inputs) if context.schema else ""
        if field is None or layer.field != field.name:
            said = f"the field {layer.field!r}, which the data does not have" if layer.field else "no field of the data"
            return f"{context.label(key)} reads {said}; the data has: {names}."
        declared, there = f"{layer.kind} {layer.spec()}", f"{field.kind} {_shape(field)}"
        if layer.vocabulary != field.vocabulary:
            declared, there = declared + _tokens(layer.vocabulary), there + _tokens(field.vocabulary)
        return f"{context.label(key)} is declared as {declared}, but the field {field.name} of the data is {there}."


def _tokens(vocabulary: int | None) -> str:
    return "" if vocabulary is None else f" with a vocabulary of {vocabulary:,}"


def _shape(field: Any) -> str:
    return str(TensorSpec((None, *field.shape)))


class Vocabulary:
    """An Embedding has a row for every token."""

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        for key in context.of_type(Embedding):
            layer, edge = context.layers[key], context.incoming[key].get("in")
            source = context.layers.get(edge.source_node) if edge else None
            if not isinstance(layer, Embedding) or not isinstance(source, Input) or source.vocabulary is None:
                continue
            if layer.vocabulary == source.vocabulary:
                continue
            few = layer.vocabulary < source.vocabulary
            yield context.issue(
                "vocabulary",
                f"{context.label(key)} has rows for {layer.vocabulary:,} tokens, but the data has {source.vocabulary:,}"
                + ("." if few else "; the others are never used."),
                key,
                severity="error" if few else "hint",
                fix=fixes.set_params(
                    context.name, key, {"vocabulary": source.vocabulary}, f"Set vocabulary to {source.vocabulary:,}"
                ),
            )


class ObjectiveFitsTarget:
    """The objective is known and the data has the target that it needs."""

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        objective = context.project.training.objective
        if objective not in TARGETS:
            known = ", ".join(TARGETS)
            yield context.issue("objective", f"There is no objective {objective[:60]!r}; choose one of {known}.")
            return
        if context.schema is None:
            return
        kind, needed = context.schema.target.kind, TARGETS[objective]
        if objective in REBUILDING and context.schema.inputs[0].kind == "tokens":
            yield context.issue(
                "objective",
                f"The objective {objective.replace('_', ' ')} gives back numbers, "
                f"but {context.schema.inputs[0].name} of the data holds tokens; choose pictures, tables or series.",
                fix=self._fix(kind),
            )
        if needed in (None, kind):
            return
        yield context.issue(
            "objective",
            f"The objective {objective.replace('_', ' ')} needs {_TARGET_NAMES[str(needed)]} to predict, "
            f"but the data has {_TARGET_NAMES[kind]}.",
            fix=self._fix(kind),
        )

    def _fix(self, kind: str) -> Fix | None:
        better = next((name for name, target in TARGETS.items() if target == kind), None)
        edit = {"kind": "project", "training": {"objective": better}}
        return Fix(f"Change the objective to {better.replace('_', ' ')}", edit) if better else None


class Width:
    """The answer has the shape that the target asks for."""

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        if context.project.training.objective == adversarial.OBJECTIVE:
            return  # it reads two Outputs, which have a rule of their own
        if context.schema and context.schema.target.kind == "action":
            return  # so has what acts
        if context.project.training.objective in APART:
            return
        outputs = context.of_type(Output)
        wanted = self._wanted(context)
        if context.schema and context.schema.target.kind == "class_and_tags":
            yield from self._both(context, context.schema.target)
            return
        if wanted is None or not outputs:
            return
        if len(outputs) > 1:
            yield context.issue("outputs", "Training reads one Output, this network has several.", outputs[1])
        spec = context.answer(outputs[0])
        if spec is None or spec.shape == wanted.shape:
            return
        schema = context.schema
        what, verb = "the target", "needs"
        if schema and context.project.training.objective in REBUILDING:
            what = f"the field {schema.inputs[0].name}"
        elif schema and context.project.training.objective == "binary_classification":
            what = "one logit for the two classes"
        elif schema and schema.target.kind == "labels":
            what, verb = f"the {len(schema.target.classes)} labels", "need"
        elif schema and schema.target.classes:
            what, verb = f"the {len(schema.target.classes)} classes", "need"
        yield context.issue(
            "width",
            f"{context.label(outputs[0])} gives {spec}, but {what} of the data {verb} {wanted}.",
            outputs[0],
            port="in",
            fix=self._fix(context, outputs[0], spec, wanted),
        )

    def _both(self, context: Context, target: TargetSpec) -> Iterator[Issue]:
        """The first Output gives the classes, the second the tags."""
        outputs = list(context.network.ports("Output"))
        if context.project.training.objective != target.kind or not outputs:
            return
        if len(outputs) != 2:
            message = "This objective reads two Outputs, first the classes and then the tags; this network has"
            yield context.issue("outputs", f"{message} {len(outputs)}.", outputs[-1])
            return
        for output, what, wanted in (
            (outputs[0], f"{len(target.classes)} classes", TensorSpec((None, len(target.classes)))),
            (outputs[1], f"{len(target.tags)} tags", TensorSpec((None, *target.shape, len(target.tags)))),
        ):
            spec = context.answer(output)
            if spec is None or spec.shape == wanted.shape:
                continue
            message = f"{context.label(output)} gives {spec}, but the {what} of the data need {wanted}."
            fix = self._fix(context, output, spec, wanted)
            yield context.issue("width", message, output, port="in", fix=fix)

    def _wanted(self, context: Context) -> TensorSpec | None:
        """The shape that the target asks for, where the data is known."""
        if context.schema is None:
            return None
        target = context.schema.target
        if context.project.training.objective in REBUILDING:
            field = context.schema.inputs[0]
            return None if field.kind == "tokens" else TensorSpec((None, *field.shape))
        if context.project.training.objective in ("binary_classification", "ranking"):
            return TensorSpec((None, 1))
        if target.kind in ("class", "labels"):
            return TensorSpec((None, len(target.classes)))
        if target.kind == "number":
            return TensorSpec((None, *target.shape)) if target.shape else TensorSpec((None, 1))
        if target.kind == "mask":
            return TensorSpec((None, len(target.classes), *target.shape))
        if target.kind == "tags":
            return TensorSpec((None, *target.shape, len(target.classes)))
        if target.kind in ("next_token", "sequence"):
            field = context.schema.inputs[-1 if target.kind == "sequence" else 0]
            return TensorSpec((None, *field.shape, field.vocabulary or 1))
        return None

    def _fix(self, context: Context, output: str, spec: TensorSpec, wanted: TensorSpec) -> Fix | None:
        edge, width = context.incoming[output]["in"], wanted.size(-1)
        if prod(length or 0 for length in spec.shape[1:]) == prod(length or 1 for length in wanted.shape[1:]):
            return fixes.insert(context.name, context.network, edge, "Reshape", {"shape": list(wanted.shape[1:])})
        if len(spec.shape) > len(wanted.shape) and len(wanted.shape) == 2:
            layer = "GlobalAvgPool" if spec.kind == "image" else "Flatten"
            return fixes.insert(context.name, context.network, edge, layer, {})
        if len(wanted.shape) == 4 and spec.shape[2:] == wanted.shape[2:]:
            params = {"filters": wanted.size(1), "kernel_size": 1, "padding": 0}
            return fixes.insert(context.name, context.network, edge, "Conv2d", params)
        if spec.shape[:-1] != wanted.shape[:-1]:
            return None
        linear = self._last_linear(context, output)
        if linear:
            title = f"Set {context.label(linear)} to {width} {'unit' if width == 1 else 'units'}"
            return fixes.set_params(context.name, linear, {"units": width}, title)
        return fixes.insert(context.name, context.network, edge, "Linear", {"units": width})

    def _last_linear(self, context: Context, output: str) -> str | None:
        """The Linear whose width is the answer's, seen through layers that keep the shape."""
        edge = context.incoming[output].get("in")
        while edge is not None:
            layer = context.layers.get(edge.source_node)
            if isinstance(layer, Linear):
                shared = context.graph.out_degree(edge.source_node) > 1
                return None if shared else edge.source_node
            if not isinstance(layer, (_Activation, Dropout)):
                return None
            edge = context.incoming[edge.source_node].get("in")
        return None
