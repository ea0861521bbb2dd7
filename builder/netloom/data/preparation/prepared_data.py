"""Data ready for training: tensors, split, and the decoding to raw values."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data.caching.memmap_cache import Mapped
from netloom.data.preparation.lazy_tensors import LazyTensors, as_arrays
from netloom.data.preparation.preprocess import Preprocess
from netloom.data.raw.series import forecast_of
from netloom.data.raw_dataset import RawDataset
from netloom.data.schema import Example, Schema
from netloom.data.targets import target_of
from netloom.data.targets.fitted_target import FittedClasses, FittedNumbers, FittedTarget, FittedTargets
from netloom.modalities.encoding.cells import EncodeError, RawRow
from netloom.modalities.encoding.field_encoder import FieldEncoder, field_encoder
from netloom.modalities.encoding.image_field import ImageEncoder, image_encoder
from netloom.modalities.encoding.text_fields import TokenEncoder, token_encoder

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ForecastScales:
    """The standard deviation (C,) of each series over the training part, and the error (C,) of its naive forecast."""

    deviations: np.ndarray
    naive_errors: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """All rows, preprocessed with the state that was fitted on the training split only.

    Tensors can be given as arrays. They become tensors when they are first read, so that a process that only shows
    rows, such as the web server, does not import PyTorch.

    Attributes:
        inputs: float32 or int64 tensors (R, …) by field. Inputs that are too large for memory are mapped from `files`;
            they are read-only.
        target: Classes are int64 (R,). Numbers are float32 (R, k), in standard deviations of the training targets.
            Labels are float32 (R, labels), 0 or 1. Several targets are float32 (R, targets), classes by index. Next
            tokens, tags and answers that are texts are int64 (R, T), `IGNORE` after the end. Masks are int64 (R, H, W).
            A class with tags is int64 (R, 1 + T), class first.
        split: int64 row numbers by split.
        masks: (R, H, W), the object that determines the label, where it is known.
        weights: (R,), the sample weights, with mean 1 over the training rows.
    """

    schema: Schema
    inputs: LazyTensors[dict[str, torch.Tensor]] = LazyTensors()
    target: LazyTensors[torch.Tensor] = LazyTensors()
    split: LazyTensors[dict[str, torch.Tensor]] = LazyTensors()
    preprocess: Preprocess
    fingerprint: str
    raw: RawDataset
    masks: LazyTensors[torch.Tensor | None] = LazyTensors(None)
    weights: LazyTensors[torch.Tensor | None] = LazyTensors(None)
    files: Mapping[str, Mapped] = dataclasses.field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        """Return the values that another process needs: arrays instead of tensors, and files instead of their content.
        Cached properties are computed there."""
        state: dict[str, Any] = {}
        for entry in dataclasses.fields(self):
            value = as_arrays(self, entry.name)
            state[entry.name] = {**value, **self.files} if entry.name == "inputs" else value
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        inputs = {
            name: value.array() if isinstance(value, Mapped) else value for name, value in state["inputs"].items()
        }
        for name, value in {**state, "inputs": inputs}.items():
            object.__setattr__(self, name, value)  # the dataclass is frozen

    @property
    def monitored_split(self) -> str:
        """The split that measures progress: validation, or training in data without validation rows."""
        return "validation" if len(self.rows["validation"]) else "train"

    @property
    def rows(self) -> dict[str, np.ndarray]:
        """`split` as arrays."""
        rows: dict[str, np.ndarray] = as_arrays(self, "split")
        return rows

    def split_of(self, row: int) -> str:
        """Return the split that contains a row; "" if none does."""
        return next((name for name, rows in self.rows.items() if bool((rows == row).any())), "")

    def input_values(self, name: str) -> np.ndarray:
        """Return `inputs` of a field as an array."""
        values: np.ndarray = as_arrays(self, "inputs")[name]
        return values

    @property
    def target_values(self) -> np.ndarray:
        """`target` as an array."""
        values: np.ndarray = as_arrays(self, "target")
        return values

    @cached_property
    def fields(self) -> tuple[FieldEncoder[Any], ...]:
        """Return the encoders of the input fields, in the order of the schema."""
        return tuple(map(field_encoder, self.preprocess.fields))

    def field(self, name: str) -> FieldEncoder[Any]:
        """Return the encoder of a field."""
        return next(field for field in self.fields if field.name == name)

    def image_field(self, name: str) -> ImageEncoder:
        """Return the encoder of a field of images.

        Raises:
            TypeError: it does not contain images.
        """
        return image_encoder(self.field(name))

    def token_field(self, name: str) -> TokenEncoder[Any]:
        """Return the encoder of a field of tokens.

        Raises:
            TypeError: it does not contain tokens.
        """
        return token_encoder(self.field(name))

    @property
    def text_fields(self) -> list[FieldEncoder[Any]]:
        """Return the encoders of the fields with input texts, without texts that a network generates."""
        return [field for field in self.fields if field.is_text]

    @property
    def fitted_target(self) -> FittedTarget:
        """Return the fitted state of the target."""
        return self.preprocess.target

    @property
    def fitted_numbers(self) -> FittedNumbers:
        """Return the fitted state of a numeric target.

        Raises:
            TypeError: the target is not numeric.
        """
        if not isinstance(self.fitted_target, FittedNumbers):
            raise TypeError("The target does not consist of numbers.")
        return self.fitted_target

    @property
    def fitted_targets(self) -> tuple[FittedClasses | FittedNumbers, ...]:
        """Return the fitted state of each of several targets.

        Raises:
            TypeError: there is only one target.
        """
        if not isinstance(self.fitted_target, FittedTargets):
            raise TypeError("The data has one target.")
        return self.fitted_target.parts

    @property
    def warnings(self) -> list[str]:
        return self.raw.warnings

    @cached_property
    def forecast_scales(self) -> ForecastScales | None:
        """Return the units of errors of forecasts, from the training part; None if the target is not a forecast."""
        forecast = forecast_of(self.raw)
        if forecast is None:
            return None
        train = self.rows["train"]
        return ForecastScales(forecast.deviations(train), forecast.naive_errors(train))

    def row(self, index: int) -> RawRow:
        """Return a raw row, the argument of `encode`."""
        return self.raw.row(index)

    def example(self, index: int) -> Example:
        """Return a row for display, with its target in words."""
        example = self.raw.example(index, self.target_text(index))
        row = self.raw.row(index)
        tokens: dict[str, tuple[str, ...]] = {}
        for field in self.fields:
            shown = field.shown_encoded(row)
            shown_tokens = shown.pop("tokens", None)
            if shown_tokens is not None:
                tokens[field.name] = shown_tokens
            example = replace(example, **shown)
        if len(tokens) == 1:
            return replace(example, tokens=next(iter(tokens.values())))
        return replace(example, words=tokens)

    def target_text(self, index: int) -> str:
        """Return the target of a row in words."""
        spec = self.schema.target
        return target_of(spec.kind).text(spec, self.fitted_target, self.target_values[index], self.raw, index)

    def encode(self, row: Mapping[str, Any], only: Collection[str] | None = None) -> dict[str, torch.Tensor]:
        """Return a raw row as tensors (1, …) by field; with `only`, of these fields, so the row needs no others.

        Raises:
            DataError: the row lacks a value, or has an invalid one.
        """
        import torch

        return {name: torch.from_numpy(array) for name, array in self.encode_arrays(row, only).items()}

    def encode_arrays(self, row: Mapping[str, Any], only: Collection[str] | None = None) -> dict[str, np.ndarray]:
        """Return a raw row as arrays; see `encode`."""
        fields = [field for field in self.fields if only is None or field.name in only]
        try:
            return {field.name: field.encode([dict(row)]) for field in fields}
        except EncodeError as error:
            raise DataError(str(error)) from None

    def restore(self, values: torch.Tensor) -> torch.Tensor:
        """Return outputs (…, k) of the network in the units of the data."""
        if not isinstance(self.fitted_target, FittedNumbers):
            return values
        restored: torch.Tensor = self.fitted_target.restore(values)
        return restored

    def decode(self, tokens: torch.Tensor) -> str:
        """Return token numbers (T,) as text."""
        field = self.token_field(self.fields[0].name)
        return field.joined([field.vocabulary[int(token)] for token in tokens])
