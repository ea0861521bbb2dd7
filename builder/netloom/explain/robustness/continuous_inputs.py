"""Continuous inputs: images, series, and the numeric columns of tables. Tokens are discrete.

All fields are flattened into one vector whose values have a common unit: brightness from 0 to 1 if all inputs are
images, otherwise standard deviations of the training rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from netloom.compile import input_fields
from netloom.core.plain_json import JsonObject
from netloom.data import FieldSpec, Prepared
from netloom.explain.core.baselines import brightest
from netloom.explain.core.requirements import nothing_to_explain
from netloom.modalities.encoding.column_encoder import ColumnEncoder
from netloom.modalities.encoding.field_encoder import FieldEncoder, ScaledEncoder

if TYPE_CHECKING:
    from netloom.document import Project

BRIGHTNESS, DEVIATIONS = "brightness, from 0 (black) to 1 (white)", "standard deviations of the training rows"
MAX_ROWS = 2_048


def unchangeable_reason(project: Project, data: Prepared) -> str:
    """Return why the input cannot be perturbed by gradient steps, as a sentence; empty if it can.

    Tokens, binary sequences and tables without a numeric column are discrete.
    """
    if reason := nothing_to_explain(project):
        return reason
    specs = {spec.name: spec for spec in data.schema.inputs if spec.name in input_fields(project)}
    for spec in specs.values():
        if spec.is_tokens:
            return (
                f"the field {spec.name!r} consists of tokens, which are discrete, so it cannot be changed in small "
                "steps; replace single tokens in the view Edit instead."
            )
        rows = data.inputs[spec.name][data.split["train"][:MAX_ROWS]]
        # A binary sequence, such as the adjacency matrix of a graph
        if spec.is_sequence and bool(((rows == 0) | (rows == 1)).all()):
            return f"the field {spec.name!r} has only the values 0 and 1, so it cannot be changed in small steps."
    if not any(bool(_changeable(data, spec).any()) for spec in specs.values()):
        return "all of its columns are categorical or binary, so none can be changed in small steps."
    return ""


@dataclass(frozen=True)
class FieldSpace:
    """The bounds and the scale of one field; all tensors have the shape of the field, (1, …).

    `scale` is the size of one common unit in the input of the network. `free` marks values that may change. `low` and
    `high` bound the valid values, `least` and `most` the values of the training rows. `pixel` is the brightest pixel
    value before normalization.
    """

    spec: FieldSpec
    field: FieldEncoder[Any]
    scale: torch.Tensor
    free: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor
    least: torch.Tensor
    most: torch.Tensor
    pixel: float

    def shown(self, value: torch.Tensor) -> Any:
        """Convert an input (…) of the network to the units of the data.

        Images (C, H, W) are in [0, 1]; a table becomes a value by column.
        """
        if not isinstance(self.field, ScaledEncoder):
            return self.field.restore(value.unsqueeze(0).numpy())[0]
        values = self.field.unscaled(value.numpy())
        return values / self.pixel if self.spec.is_image else values


class InputSpace:
    """The inputs of a network as flat rows (N, D) in a common unit; see the module docstring."""

    def __init__(self, project: Project, data: Prepared) -> None:
        self.arguments = input_fields(project)
        specs = [spec for spec in data.schema.inputs if spec.name in self.arguments]
        pictures = all(spec.is_image for spec in specs)
        self.unit = BRIGHTNESS if pictures else DEVIATIONS
        self.parts = {spec.name: _field_space(data, spec, pictures=pictures) for spec in specs}
        self.free = self._joined("free").bool()
        self.low, self.high = self.flat_of(self._joined("low")), self.flat_of(self._joined("high"))

    def _joined(self, name: str) -> torch.Tensor:
        return torch.cat([getattr(part, name).flatten(1) for part in self.parts.values()], dim=1)

    def flat_of(self, values: torch.Tensor) -> torch.Tensor:
        """Convert concatenated inputs (N, D) of the network to the common unit."""
        return values / self._joined("scale")

    def flat(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Flatten inputs by field (N, …) to rows (N, D) in the common unit."""
        return self.flat_of(torch.cat([inputs[name].flatten(1) for name in self.parts], dim=1))

    def fields(self, flat: torch.Tensor) -> dict[str, torch.Tensor]:
        """Convert flat rows (N, D) to inputs by field, (N, …)."""
        values = flat * self._joined("scale")
        sizes = [int(np.prod(part.spec.shape)) for part in self.parts.values()]
        pieces = torch.split(values, sizes, dim=1)
        return {
            name: piece.reshape(-1, *part.spec.shape)
            for (name, part), piece in zip(self.parts.items(), pieces, strict=True)
        }

    def bound(self, flat: torch.Tensor) -> torch.Tensor:
        """Clip flat rows (N, D) to valid values, such as brightness between 0 and 1."""
        return torch.minimum(torch.maximum(flat, self.low), self.high)

    def shown(self, inputs: Mapping[str, torch.Tensor]) -> JsonObject:
        """Convert one row (1, …) by field to the units of the data."""
        return {name: part.shown(inputs[name][0]) for name, part in self.parts.items()}

    @property
    def scales(self) -> dict[str, float]:
        """The size of one common unit in the units of the data, by column or channel, where the encoding is linear."""
        step_by_name: dict[str, float] = {}
        for name, part in self.parts.items():
            if self.unit == BRIGHTNESS or part.spec.is_image:
                continue
            if not isinstance(part.field, ScaledEncoder):
                columns = [column for column in part.field.columns if column.is_linear]
                step_by_name |= {column.name: column.step for column in columns}
            else:
                stds = np.broadcast_to(part.field.std.ravel(), part.spec.shape[-1:])
                names = [name] if len(stds) == 1 else [f"{name} {index + 1}" for index in range(len(stds))]
                step_by_name |= dict(zip(names, stds.tolist(), strict=True))
        return step_by_name


def _field_space(data: Prepared, spec: FieldSpec, *, pictures: bool) -> FieldSpace:
    field = data.field(spec.name)
    rows = data.inputs[spec.name][data.split["train"][:MAX_ROWS]]
    least, most = rows.amin(0, keepdim=True), rows.amax(0, keepdim=True)
    low, high = torch.full_like(least, -torch.inf), torch.full_like(most, torch.inf)
    scale, pixel = torch.ones_like(least), 1.0
    if spec.is_image:
        image = data.image_field(spec.name)
        mean, std = (torch.tensor(values, dtype=torch.float32) for values in (image.mean, image.std))
        # Unnormalized images from 0 to 255 have mean 0 and std 1, so the range comes from the brightest pixel.
        pixel = brightest(data, spec.name)
        low, high = ((torch.full_like(least, end * pixel) - mean) / std for end in (0.0, 1.0))
        # One unit is the range from black to white; beside other kinds of input, it stays one of the normalized input.
        scale = torch.full_like(least, pixel) / std if pictures else scale
        least, most = low, high
    elif spec.is_vector:
        is_bounded = torch.tensor(_for_each_number(field, lambda column: column.is_bounded)).unsqueeze(0)
        low, high = torch.where(is_bounded, least, low), torch.where(is_bounded, most, high)
    return FieldSpace(spec, field, scale, _changeable(data, spec), low, high, least, most, pixel)


def _changeable(data: Prepared, spec: FieldSpec) -> torch.Tensor:
    """Return which values may change, (1, …): all but categories, flags and missing indicators of a table."""
    free = torch.ones(1, *spec.shape, dtype=torch.bool)
    field = data.field(spec.name)
    if spec.is_vector and (columns := field.columns):
        is_continuous = _for_each_number(field, lambda column: column.is_continuous)
        # The second value of a column is its missing indicator.
        is_missing_flag = [index > 0 for column in columns for index in range(column.width)]
        free = torch.tensor(is_continuous).unsqueeze(0) & ~torch.tensor(is_missing_flag).unsqueeze(0)
    return free


def _for_each_number(field: FieldEncoder[Any], holds: Callable[[ColumnEncoder], bool]) -> list[bool]:
    """Return a property of each column, repeated for each value that encodes the column."""
    return [holds(column) for column in field.columns for _ in range(column.width)]
