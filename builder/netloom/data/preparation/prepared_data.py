"""Data ready for training: tensors, split, and the way back to what people see."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypedDict

from netloom.core.errors import DataError
from netloom.data.preparation.memmap_cache import Mapped
from netloom.data.raw_dataset import RawDataset
from netloom.data.schema import Example, Schema
from netloom.data.targets import target_of
from netloom.data.targets.fitted_target import FittedClasses, FittedNumbers, FittedTarget, FittedTargets, TargetState
from netloom.modalities.encoding.cells import EncodeError
from netloom.modalities.encoding.field_encoder import FieldEncoder, FieldState, field_encoder
from netloom.modalities.encoding.image_field import ImageEncoder
from netloom.modalities.encoding.text_fields import TextEncoder, TokenEncoder

if TYPE_CHECKING:
    import torch


class Preprocess(TypedDict):
    """What was fitted on the training rows, as the JSON of run folders and bundles. `Prepared` gives access to it by
    names."""

    fields: list[FieldState]
    target: TargetState


@dataclass(frozen=True)
class Prepared:
    """All rows, preprocessed with what was fitted on the training split alone.

    `inputs` holds float32 or int64 tensors (R, …) by field. `target` is int64 (R,) for classes, float32 (R, k) for
    numbers in units of the training targets' standard deviation, float32 (R, labels) of 0 and 1 for labels, float32
    (R, targets) for several, of which a class is its number; int64 (R, T) for next tokens, for tags and for answers
    that are texts (`IGNORE` behind the last one), int64 (R, H, W) for masks; where a class and tags are asked for, the
    class stands before the tags, (R, 1 + T). `split` holds int64 row numbers. `masks` (R, H, W) says where the object
    is that decides the label, where that is known; `weights` (R,) how much a row counts, on average one in training.
    Inputs that are too large for memory are mapped from `files`, by field; they cannot be written to.
    """

    schema: Schema
    inputs: dict[str, torch.Tensor]
    target: torch.Tensor
    split: dict[str, torch.Tensor]
    preprocess: Preprocess
    fingerprint: str
    raw: RawDataset
    masks: torch.Tensor | None = None
    weights: torch.Tensor | None = None
    files: Mapping[str, Mapped] = dataclasses.field(default_factory=dict)

    @cached_property
    def fields(self) -> tuple[FieldEncoder[Any], ...]:
        """The inputs of a network, with what was fitted for each, in the order of the schema."""
        return tuple(map(field_encoder, self.preprocess["fields"]))

    def field(self, name: str) -> FieldEncoder[Any]:
        """The field of this name, with what was fitted for it."""
        return next(field for field in self.fields if field.name == name)

    def image_field(self, name: str) -> ImageEncoder:
        """The same for one that holds images.

        Raises:
            TypeError: it holds something else.
        """
        field = self.field(name)
        if not isinstance(field, ImageEncoder):
            raise TypeError(f"The field {name!r} does not hold images.")
        return field

    def token_field(self, name: str) -> TokenEncoder[Any]:
        """The same for one that consists of tokens.

        Raises:
            TypeError: it holds something else.
        """
        field = self.field(name)
        if not isinstance(field, TokenEncoder):
            raise TypeError(f"The field {name!r} does not consist of tokens.")
        return field

    @property
    def text_fields(self) -> list[TextEncoder[Any]]:
        """The fields that hold texts of people, rather than what a network writes."""
        return [field for field in self.fields if isinstance(field, TextEncoder)]

    @cached_property
    def fitted_target(self) -> FittedTarget:
        """What was fitted for the target."""
        state = self.preprocess["target"]
        fitted: FittedTarget = target_of(state["kind"]).fitted(state)
        return fitted

    @property
    def fitted_numbers(self) -> FittedNumbers:
        """The same where the target consists of numbers.

        Raises:
            TypeError: it is something else.
        """
        if not isinstance(self.fitted_target, FittedNumbers):
            raise TypeError("The target does not consist of numbers.")
        return self.fitted_target

    @property
    def fitted_targets(self) -> tuple[FittedClasses | FittedNumbers, ...]:
        """The same for each of several targets.

        Raises:
            TypeError: there is one target.
        """
        if not isinstance(self.fitted_target, FittedTargets):
            raise TypeError("The data has one target.")
        return self.fitted_target.parts

    @property
    def warnings(self) -> list[str]:
        return self.raw.warnings

    def row(self, index: int) -> dict[str, Any]:
        """A raw row, as `encode` takes it."""
        return self.raw.row(index)

    def example(self, index: int) -> Example:
        """A row as people see it, with its target in words."""
        example = self.raw.example(index, self.target_text(index))
        row = self.raw.row(index)
        tokens: dict[str, tuple[str, ...]] = {}
        for field in self.fields:
            shown = field.shown_encoded(row)
            if "tokens" in shown:
                tokens[field.name] = shown.pop("tokens")
            example = replace(example, **shown)
        if len(tokens) == 1:
            return replace(example, tokens=next(iter(tokens.values())))
        return replace(example, words=tokens)

    def target_text(self, index: int) -> str:
        """A row's target in words."""
        spec = self.schema.target
        return target_of(spec.kind).text(spec, self.fitted_target, self.target[index], self.raw, index)

    def encode(self, row: Mapping[str, Any], only: Collection[str] | None = None) -> dict[str, torch.Tensor]:
        """A raw row as tensors (1, …), by field; where `only` names some, the row needs no others.

        Raises:
            DataError: the row lacks something, or holds what does not fit.
        """
        import torch

        fields = [field for field in self.fields if only is None or field.name in only]
        try:
            arrays = {field.name: field.encode([dict(row)]) for field in fields}
        except EncodeError as error:
            raise DataError(str(error)) from None
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def restore(self, values: torch.Tensor) -> torch.Tensor:
        """Numbers (…, k) as the network gives them, in the data's own units."""
        if not isinstance(self.fitted_target, FittedNumbers):
            return values
        restored: torch.Tensor = self.fitted_target.restore(values)
        return restored

    def decode(self, tokens: torch.Tensor) -> str:
        """Token numbers (T,) as text."""
        field = self.token_field(self.fields[0].name)
        return field.joined([field.vocabulary[int(token)] for token in tokens])
