"""Columns of categories as indices of an embedding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from netloom.modalities.columns.category import fit_index
from netloom.modalities.columns.registry import row_fields
from netloom.modalities.encoding.field_encoder import FieldEncoder
from netloom.modalities.encoding.table_fields import CategoriesEncoder, CategoriesState
from netloom.modalities.fields.modality import Editor, Modality
from netloom.modalities.labels import Labels
from netloom.modalities.row_field import RowField

VALUES_LIMIT = 100_000


@dataclass(frozen=True)
class TrainingCategories:
    """The input of `fit`: columns of categories, and the row numbers of the training split."""

    columns: Mapping[str, Labels]
    rows: np.ndarray


class CategoriesModality(Modality[TrainingCategories]):
    """Columns of categories as indices. The settings are by column, see `netloom.modalities.columns`."""

    name, order = "categories", 80
    kind = "tokens"
    encoders = (CategoriesEncoder,)
    editor = Editor.COLUMNS
    phrase = "categories"
    usual_baseline_phrase = "the most frequent categories of the training rows"
    center_phrase = "most frequent categories"
    is_blendable = False

    def fit(self, name: str, values: TrainingCategories, settings: Mapping[str, Any]) -> CategoriesState:
        columns = [
            fit_index(column, labels, values.rows, settings.get(column, {}), VALUES_LIMIT)
            for column, labels in values.columns.items()
        ]
        return CategoriesState(name=name, encoding=CategoriesEncoder.encoding, columns=columns)

    def row_fields(self, encoder: FieldEncoder[Any]) -> tuple[RowField, ...]:
        return row_fields(encoder.columns)

    def preprocessing(self, encoder: FieldEncoder[Any]) -> str:
        return "categories of the training rows, as whole numbers"

    def center(self, rows: np.ndarray) -> np.ndarray:
        """Return the most frequent category of each column (1, F); the embedding of index 0 may be untrained."""
        return np.array([[np.bincount(column).argmax() for column in rows.T]], dtype=rows.dtype)

    def distances(self, rows: np.ndarray, example: np.ndarray) -> np.ndarray:
        return np.asarray((rows != example).mean(1))
