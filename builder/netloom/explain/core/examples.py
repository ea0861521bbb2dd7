"""The explained example: its tensors, and its display."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.data import Example, Prepared
from netloom.explain.core.errors import UnknownChoiceError
from netloom.explain.core.parts.columns import column_names
from netloom.modalities.encoding.text_fields import DecoderInputEncoder, write, written
from netloom.modalities.encoding.tokenization import START

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.document import Project


def read_example(data: Prepared, row_or_raw: int | Mapping[str, Any]) -> tuple[dict[str, torch.Tensor], Example]:
    """Return tensors (1, …) by field, and the example for display. A raw row has number -1 and no target.

    Raises:
        ExplainError: The row does not exist.
        DataError: The raw row lacks a field, or has a value that the data cannot encode.
    """
    if isinstance(row_or_raw, Mapping):
        return data.encode(row_or_raw), shown_example(data, row_or_raw)
    example = shown_example(data, row_or_raw)
    row = int(row_or_raw)
    return {name: values[row : row + 1] for name, values in data.inputs.items()}, example


def shown_example(data: Prepared, row_or_raw: int | Mapping[str, Any]) -> Example:
    """Return the example for display, as `read_example` does, without tensors.

    Raises:
        ExplainError: The row does not exist.
        DataError: The raw row lacks a field.
    """
    if not isinstance(row_or_raw, Mapping):
        row, rows = int(row_or_raw), data.schema.rows
        if not 0 <= row < rows:
            raise UnknownChoiceError(f"There is no example {row}; the data has 0 to {rows - 1}.")
        return data.example(row)
    parts: dict[str, Any] = {}
    texts = [field.name for field in data.text_fields]
    for field in data.fields:
        display = field.shown(dict(row_or_raw))
        # `Example.tokens` holds the tokens of one text; with several texts, each field has an entry in `words`.
        if len(texts) > 1 and field.name in texts:
            parts["words"] = {**parts.get("words", {}), field.name: display["tokens"]}
            display = {"columns": {field.name: display["text"]}}
        display["columns"] = parts.get("columns", {}) | display.get("columns", {})
        if display.get("image") is not None:
            parts["images"] = {**parts.get("images", {}), field.name: display["image"]}
        parts |= display
    return Example(-1, "", **parts)


def with_generated_answer(
    project: Project, model: nn.Module, data: Prepared, inputs: Mapping[str, torch.Tensor], example: Example
) -> tuple[dict[str, torch.Tensor], Example]:
    """Replace the true answer of an example by the one that the network generates, token by token."""
    import torch

    from netloom.compile import input_fields

    # The decoder input is the last field.
    field, names = data.token_field(data.fields[-1].name), input_fields(project)

    def scores(tokens: np.ndarray) -> np.ndarray:
        # `tokens` is a view of the buffer to which `write` appends, and `from_numpy` would share it.
        network_inputs = {**inputs, field.name: torch.from_numpy(tokens.copy())}
        with torch.no_grad():
            logits: np.ndarray = model(*[network_inputs[name] for name in names]).numpy()
        return logits

    text = written(field.vocabulary, write(field.length, 1, scores)[0].tolist())
    decoder_input = field.encode([{field.name: text}])
    return {**inputs, field.name: torch.from_numpy(decoder_input)}, replace(example, answer=text)


def labels(data: Prepared, example: Example) -> dict[str, tuple[str, ...]]:
    """Return names for the positions of each attribution: columns, channels, or tokens."""
    names: dict[str, tuple[str, ...]] = {}
    for spec, field in zip(data.schema.inputs, data.fields, strict=True):
        if spec.columns:
            names[spec.name] = column_names(data, spec) or spec.columns
        elif field.vocabulary:
            length = spec.shape[0]
            is_answer = isinstance(field, DecoderInputEncoder)
            tokens = example.words.get(spec.name, example.tokens)
            # The decoder input is shifted right: position t holds token t − 1, and the first one the start token.
            words = (field.vocabulary[START], *example.answer)[:length] if is_answer else tokens[:length]
            names[spec.name] = (*words, *("" for _ in range(length - len(words))))
    return names
