"""Rows of another dataset, encoded for a network that was not trained on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.core.errors import UsageError
from netloom.data import DataError, prepare
from netloom.document import DataChoice

if TYPE_CHECKING:
    import torch

    from netloom.modalities.field_spec import FieldSpec
    from netloom.runs import TrainedRun


def encoded_rows(trained: TrainedRun, choice: DataChoice, home: Path | None, count: int) -> dict[str, torch.Tensor]:
    """Return up to `count` test rows of another dataset as inputs (N, …) by field.

    Fields of the same name are read; if there is none of that name, the first field of the same kind and shape.

    Raises:
        DataError: the dataset cannot be read.
        UsageError: it has no field that fits.
    """
    import torch

    dataset = prepare(choice, home)
    input_fields = [field for field in trained.data.schema.inputs if field.name in trained.fields]
    names = {field.name: _like(field, dataset.schema.inputs) for field in input_fields}
    rows = [dataset.row(int(row)) for row in dataset.split["test"][:count]]
    encoded = []
    for row in rows:
        renamed = {**row, **{name: row[source] for name, source in names.items() if source in row}}
        try:
            encoded.append(trained.data.encode(renamed, trained.fields))
        except DataError as error:
            raise UsageError(f"A row of the dataset {choice.dataset!r} cannot be read by this run: {error}") from None
    if not encoded:
        raise UsageError(f"The dataset {choice.dataset!r} has no test rows.")
    return {name: torch.cat([row[name] for row in encoded]) for name in trained.fields}


def _like(input_field: FieldSpec, fields: Sequence[FieldSpec]) -> str:
    """Return the name of the field that fits a field of the run."""
    fitting = [field for field in fields if field.kind == input_field.kind and _fits(field, input_field)]
    if not fitting:
        available = ", ".join(f"{field.name} {field.kind} {field.shape}" for field in fields)
        raise UsageError(
            f"The network reads {input_field.name}, {input_field.kind} {input_field.shape}, but the other "
            f"dataset has {available}; choose a dataset with inputs of the same shape."
        )
    return next((field.name for field in fitting if field.name == input_field.name), fitting[0].name)


def _fits(field: FieldSpec, input_field: FieldSpec) -> bool:
    """Return whether a field has the shape of another one; texts are cut to the length that the network reads."""
    return field.shape == input_field.shape or (field.vocabulary is not None and input_field.vocabulary is not None)
