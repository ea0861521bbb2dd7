"""Data ready for training: tensors, split, and the way back to what people see."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from netloom.core.errors import DataError
from netloom.data.preparation.memmap_cache import Mapped
from netloom.data.preparation.spectrogram import LOG_MEL, spectrogram
from netloom.data.raw_dataset import RawDataset
from netloom.data.schema import Example, Schema
from netloom.data.targets import target_of
from netloom.modalities.encoding.cells import EncodeError
from netloom.modalities.encoding.rows import encode
from netloom.modalities.encoding.text_fields import text_encoders, token_encoder

if TYPE_CHECKING:
    import torch


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
    preprocess: dict[str, Any]
    fingerprint: str
    raw: RawDataset
    masks: torch.Tensor | None = None
    weights: torch.Tensor | None = None
    files: Mapping[str, Mapped] = dataclasses.field(default_factory=dict)

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
        for field in self.preprocess["fields"]:
            if field["encoding"] == LOG_MEL:
                example = replace(example, series=spectrogram(field, row[field["name"]]))
        tokens = {text.name: tuple(text.readable(row[text.name])) for text in text_encoders(self.preprocess["fields"])}
        if len(tokens) == 1:
            return replace(example, tokens=next(iter(tokens.values())))
        return replace(example, words=tokens)

    def target_text(self, index: int) -> str:
        """A row's target in words."""
        spec, fitted = self.schema.target, self.preprocess["target"]
        return target_of(spec.kind).text(spec, fitted, self.target[index], self.raw, index)

    def encode(self, row: Mapping[str, Any], only: Collection[str] | None = None) -> dict[str, torch.Tensor]:
        """A raw row as tensors (1, …), by field; where `only` names some, the row needs no others.

        Raises:
            DataError: the row lacks something, or holds what does not fit.
        """
        import torch

        fields = [field for field in self.preprocess["fields"] if only is None or field["name"] in only]
        try:
            arrays = encode({**self.preprocess, "fields": fields}, dict(row))
        except EncodeError as error:
            raise DataError(str(error)) from None
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def restore(self, values: torch.Tensor) -> torch.Tensor:
        """Numbers (…, k) as the network gives them, in the data's own units."""
        import torch

        target = self.preprocess["target"]
        if not self.schema.target.type.is_number:
            return values
        return values * torch.tensor(target["std"]) + torch.tensor(target["mean"])

    def decode(self, tokens: torch.Tensor) -> str:
        """Token numbers (T,) as text."""
        field = self.preprocess["fields"][0]
        return token_encoder(field).joined([field["vocabulary"][int(token)] for token in tokens])
