"""Categorical columns: one-hot, hashed, or as indices of an embedding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

import numpy as np
from pydantic import Field as Bounds

from netloom.core.errors import DataError
from netloom.modalities.columns import conversion
from netloom.modalities.columns.column_kind import (
    ColumnKind,
    ColumnSource,
    EmbeddedColumn,
    LabelColumn,
    Preprocessing,
    ReadColumn,
    TrainingColumn,
)
from netloom.modalities.columns.number import Fill, Impute
from netloom.modalities.encoding.category_column import (
    CategoryEncoder,
    CategoryState,
    HashedCategoryEncoder,
    HashState,
    IndexState,
    resolve_alias,
)
from netloom.modalities.encoding.column_encoder import ColumnEncoder
from netloom.modalities.labels import Labels
from netloom.modalities.settings import Settings
from netloom.modalities.widgets import Field, NumberInput, Select, TextInput, Widget

if TYPE_CHECKING:
    import pandas as pd

CATEGORY_LIMIT = 50
BUCKETS = 32
Encode = Literal["onehot", "hash", "index", "own"]
CODES: Mapping[str, Encode] = {
    "One-hot": "onehot", "Hashed": "hash", "Ordinal, shared field": "index", "Ordinal, separate field": "own",
}  # fmt: skip
_Name = Annotated[str, Bounds(max_length=200)]


class CategorySettings(Settings):
    """Imputation and encoding of a category. `aliases` maps a category to the one that replaces it."""

    impute: Impute | None = None
    fill: Fill | None = None
    encode: Encode | None = None
    buckets: Annotated[int, Bounds(ge=2, le=4_096)] | None = None
    aliases: Annotated[dict[_Name, _Name], Bounds(min_length=1, max_length=1_000)] | None = None


class Category(ColumnKind):
    name, order, priority = "category", 10, 100
    synonyms = ("categorical",)
    settings = CategorySettings
    preprocessing = Preprocessing("encode", CODES, "onehot")
    missing_label = "Separate category"
    constant = "missing"
    encoders = (CategoryEncoder,)

    def matches(self, values: pd.Series) -> bool:
        return True

    def read(self, source: ColumnSource) -> Sequence[ReadColumn]:
        labels, is_numeric = conversion.labels(source.values, source.name)
        labels = source.keep_labels(labels)
        settings = {"numeric": True} if is_numeric else {}
        encode = source.settings.get("encode")
        if encode in ("index", "own"):
            return [EmbeddedColumn(source.name, self.name, settings, labels, is_shared=encode == "index")]
        return [LabelColumn(source.name, self.name, settings, labels)]

    def fit(self, column: TrainingColumn) -> CategoryState:
        """Return the fitted state, with the most frequent categories of the training rows."""
        reading = _reading(column.values, column.rows, column.settings)
        if column.settings.get("encode") == "hash":
            buckets = column.settings.get("buckets", BUCKETS)
            return HashState(name=column.name, type=HashedCategoryEncoder.type, buckets=buckets, **reading)
        values = _frequent(column.values, column.rows, reading, CATEGORY_LIMIT)
        return CategoryState(name=column.name, type=CategoryEncoder.type, values=values, **reading)

    def refuse(self, name: str, settings: Mapping[str, Any]) -> None:
        impute = settings.get("impute")
        if impute not in (None, "most_frequent", "constant"):
            raise DataError(f"The categories in {name[:80]!r} have no {impute}; take the most frequent one.")
        super().refuse(name, settings)

    def details(self, settings: Mapping[str, Any]) -> list[Field]:
        fields = []
        if settings.get("fill") is not None:
            fields.append(Field("fill", "Imputation", TextInput(str(settings["fill"]))))
        if settings.get("encode") == "hash":
            buckets = NumberInput(settings.get("buckets") or BUCKETS, 2, 4_096, step=1)
            fields.append(Field("buckets", "Hash buckets", buckets))
        return fields

    def widget(self, column: ColumnEncoder, name: str, value: Any) -> Widget:
        text = "" if value is None else str(value)
        if not isinstance(column, CategoryEncoder) or isinstance(column, HashedCategoryEncoder):
            return TextInput(text)
        known = [str(item) for item in column.values]
        return Select(text, known if text in known else [text, *known])


def fit_index(name: str, labels: Labels, rows: np.ndarray, settings: Mapping[str, Any], limit: int) -> IndexState:
    """Return the state of categories of an embedding, with the `limit` most frequent ones of the training rows."""
    reading = _reading(labels, rows, settings)
    return IndexState(name=name, values=_frequent(labels, rows, reading, limit), **reading)


class _Reading(TypedDict, total=False):
    """The part of `CategoryState` by which cells are read as categories."""

    numeric: bool
    aliases: dict[str, str]
    logical: bool
    fill: str


def _reading(labels: Labels, rows: np.ndarray, settings: Mapping[str, Any]) -> _Reading:
    """Return how cells are read as categories; empty by default."""
    reading: _Reading = {"numeric": True} if settings.get("numeric") else {}
    if settings.get("aliases"):
        reading["aliases"] = dict(settings["aliases"])
    if set(labels.names) - {""} and set(labels.names) <= {"True", "False", ""}:
        reading["logical"] = True  # files write it as true, TRUE or True
    if settings.get("impute") == "constant":
        reading["fill"] = str(settings["fill"])
    elif settings.get("impute") == "most_frequent":
        reading["fill"] = next((name for name, _ in labels.counts(rows) if name), "")
    return reading


def _frequent(labels: Labels, rows: np.ndarray, reading: _Reading, limit: int) -> list[str]:
    """Return the `limit` most frequent categories of these rows, sorted by name, always with the fill value."""
    counts = Counter[str]()
    for name, count in labels.counts(rows):
        counts[resolve_alias(name, reading.get("aliases", {}))] += count
    common = [name for name, _ in counts.most_common()]
    fill = reading.get("fill")
    if fill:
        # Missing values get this category, which may be rare or absent in the training rows
        common = [fill, *(name for name in common if name not in ("", fill))]
    return sorted(common[:limit])
