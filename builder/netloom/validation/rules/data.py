"""Whether the network matches the chosen data: fields and vocabulary."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from netloom.layers import TensorSpec
from netloom.layers.catalogue import AUTO, is_auto, numeric
from netloom.layers.io import Input
from netloom.layers.table import CategoricalEmbedding
from netloom.layers.text import Embedding
from netloom.modalities.field_spec import FieldSpec
from netloom.validation import fixes
from netloom.validation.context import Context
from netloom.validation.facts import Totals
from netloom.validation.issue import Issue
from netloom.validation.rule import Rule, Stage
from netloom.validation.token_inputs import token_input


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


class AutomaticSizes(Rule):
    """Sizes that are auto are filled in from the data."""

    stage = Stage.DATA

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        for key, node in context.network.nodes.items():
            if not any(is_auto(value) for value in node.params.values()):
                continue
            sizes = numeric([node.type]).get(node.type, [])
            names = [name for name in sizes if is_auto(node.params.get(name)) and AUTO not in context.values]
            if not names:
                continue
            subject = f"{context.label(key)}: {' and '.join(names)} {'is' if len(names) == 1 else 'are'} auto"
            if context.schema is None:
                yield context.issue(
                    "auto", f"{subject}, which the data fills in; choose a dataset.", key, field=names[0]
                )
                continue
            params = self._sizes(context, key, names)
            if params is None:
                message = (
                    f"{subject}, but the data does not determine {'it' if len(names) == 1 else 'them'}; set a number."
                )
                yield context.issue("auto", message, key, field=names[0])
                continue
            title = f"Fill in {', '.join(f'{name} {value}' for name, value in params.items())}"
            fix = fixes.set_params(context.name, key, params, title)
            yield context.issue("auto", f"{subject}; fill in the size of the data.", key, field=names[0], fix=fix)

    def _sizes(self, context: Context, key: str, names: list[str]) -> dict[str, Any] | None:
        """Return the parameters that the data determines; None if it does not determine one of them."""
        layer = context.layers.get(key)
        if not isinstance(layer, Input):
            vocabulary = self._vocabulary(context, key)
            return {"vocabulary": vocabulary} if names == ["vocabulary"] and vocabulary is not None else None
        field = self._field(context, layer)
        if field is None:
            return None
        params = {name: value for name, value in field.parameters().items() if name in names}
        shape = context.network.nodes[key].params.get("shape")
        if "shape" in names and isinstance(shape, list) and len(shape) == len(field.shape):
            axes = zip(shape, field.shape, strict=True)
            params["shape"] = [size if setting == AUTO else setting for setting, size in axes]
        return params if layer.field else {"field": field.name, **params}

    def _field(self, context: Context, layer: Input) -> FieldSpec | None:
        """Return the field that an Input reads, or without a name the only one of its kind."""
        fields = context.schema.inputs if context.schema else ()
        suitable = [
            field for field in fields if layer.field == field.name or (not layer.field and field.kind == layer.kind)
        ]
        return suitable[0] if len(suitable) == 1 else None

    def _vocabulary(self, context: Context, key: str) -> int | None:
        """Return the vocabulary of the Input of a layer, or the only one of the data."""
        edge = context.incoming[key].get("in")
        source = context.layers.get(edge.source_node) if edge else None
        field = self._field(context, source) if isinstance(source, Input) else None
        if field is not None:
            return field.vocabulary
        sizes = {field.vocabulary for field in context.schema.inputs if field.vocabulary} if context.schema else set()
        return sizes.pop() if len(sizes) == 1 else None


class Vocabulary(Rule):
    """An Embedding has a row for every token."""

    stage = Stage.DATA

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        for key in context.of_type(Embedding):
            layer, source = context.layers[key], token_input(context, context.incoming[key].get("in"))
            if not isinstance(layer, Embedding) or source is None or source.vocabulary is None:
                continue
            if layer.vocabulary == source.vocabulary or is_auto(context.network.nodes[key].params.get("vocabulary")):
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


class CategorySizes(Rule):
    """A CategoricalEmbedding has a table for each column of categories, none of which is certainly too small.

    A field knows the size of its largest column alone, so that the fix gives this size to all columns.
    """

    stage = Stage.DATA

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        for key in context.of_type(CategoricalEmbedding):
            layer, edge = context.layers[key], context.incoming[key].get("in")
            source = context.layers.get(edge.source_node) if edge else None
            if not isinstance(layer, CategoricalEmbedding) or not isinstance(source, Input) or not source.vocabulary:
                continue
            if any(map(is_auto, source.shape)):
                continue
            columns = prod(source.shape)
            if len(layer.sizes) == columns and max(layer.sizes) >= source.vocabulary:
                continue
            yield context.issue(
                "vocabulary",
                f"{context.label(key)} has {len(layer.sizes)} columns of at most {max(layer.sizes):,} categories, but "
                f"the data has {columns} of at most {source.vocabulary:,}.",
                key,
                field="sizes",
                fix=fixes.set_params(
                    context.name, key, {"sizes": [source.vocabulary] * columns}, f"Set sizes to {source.vocabulary:,}"
                ),
            )
