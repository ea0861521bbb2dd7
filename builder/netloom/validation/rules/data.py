"""Whether the network matches the chosen data: fields and vocabulary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from netloom.layers import TensorSpec
from netloom.layers.io import Input
from netloom.layers.text import Embedding
from netloom.validation import fixes
from netloom.validation.context import Context, Totals
from netloom.validation.issue import Issue
from netloom.validation.rule import Rule, Stage


class Fields(Rule):
    """Every Input reads a field of the data in the shape of this field."""

    stage = Stage.DATA
    is_for_main_only = True

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
            choice = (
                f"the field {layer.field!r}, which the data does not have" if layer.field else "no field of the data"
            )
            return f"{context.label(key)} reads {choice}; choose one of the fields of the data: {names}."
        declared, expected = f"{layer.kind} {layer.spec()}", f"{field.kind} {_shape(field)}"
        if layer.vocabulary != field.vocabulary:
            declared, expected = declared + _tokens(layer.vocabulary), expected + _tokens(field.vocabulary)
        return f"{context.label(key)} is declared as {declared}, but the field {field.name} of the data is {expected}."


def _tokens(vocabulary: int | None) -> str:
    return "" if vocabulary is None else f" with a vocabulary of {vocabulary:,}"


def _shape(field: Any) -> str:
    return str(TensorSpec((None, *field.shape)))


class Vocabulary(Rule):
    """An Embedding has a row for every token."""

    stage = Stage.DATA

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
                + ("." if few else "; the other rows are never used."),
                key,
                severity="error" if few else "hint",
                fix=fixes.set_params(
                    context.name, key, {"vocabulary": source.vocabulary}, f"Set vocabulary to {source.vocabulary:,}"
                ),
            )
