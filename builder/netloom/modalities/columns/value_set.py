"""Columns with several values per cell, such as the genres Action|Comedy or the tags a;b;c."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field as Bounds

from netloom.modalities.columns import conversion
from netloom.modalities.columns.column_kind import (
    ColumnKind,
    ColumnSource,
    LabelColumn,
    Preprocessing,
    ReadColumn,
    TrainingColumn,
)
from netloom.modalities.encoding.cells import items_of
from netloom.modalities.encoding.column_encoder import ColumnEncoder
from netloom.modalities.encoding.set_column import SetEncoder, SetState, members
from netloom.modalities.row_field import RowField
from netloom.modalities.settings import Settings
from netloom.modalities.widgets import Field, MultiSelect, NumberInput, TextInput, Widget

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = ("|", ";", ",")
VALUES_LIMIT = 200
_SAMPLED_CELLS = 1_000  # cells from which the kind is inferred
_MAX_CELLS = 0.5  # the share of cells that hold a separator
_MIN_MEAN_COUNT = 4  # how often a value occurs on average
_MAX_LENGTH = 40  # characters of a value


class SetSettings(Settings):
    """The separator of the values in a cell, and the number of values that are encoded, the most frequent ones."""

    separator: Annotated[str, Bounds(min_length=1, max_length=10)] | None = None
    values: Annotated[int, Bounds(ge=1, le=4_096)] | None = None


class ValueSet(ColumnKind):
    name, order, priority = "set", 15, 40
    settings = SetSettings
    preprocessing = Preprocessing(None, {"Multi-hot": "multi_hot"}, "multi_hot")
    missing_label = "Empty set"
    has_one_value = False
    is_settled_on_import = True
    encoders = (SetEncoder,)

    def matches(self, values: pd.Series) -> bool:
        import pandas as pd

        if not pd.api.types.is_string_dtype(values):
            return False
        cells = values.dropna().head(_SAMPLED_CELLS).tolist()
        return any(_are_sets(cells, separator) for separator in SEPARATORS)

    def read(self, source: ColumnSource) -> Sequence[ReadColumn]:
        labels, _ = conversion.labels(source.values, source.name)
        return [LabelColumn(source.name, self.name, values=source.keep_labels(labels))]

    def fit(self, column: TrainingColumn) -> SetState:
        """Return the fitted state, with the most frequent values of the training rows."""
        counts = column.values.counts(column.rows)
        texts = [text for text, _ in counts]
        separator = column.settings.get("separator") or _separator(texts)
        has_lists = any(items_of(text) is not None for text in texts)
        times = Counter[str]()
        for text, count in counts:
            times.update(dict.fromkeys(members(text, separator), count))
        # Ties by name, so that the choice does not depend on the order of rows
        common = sorted(times, key=lambda value: (-times[value], value))
        values = sorted(common[: column.settings.get("values", VALUES_LIMIT)])
        return SetState(name=column.name, type=SetEncoder.type, separator=separator, has_lists=has_lists, values=values)

    def details(self, settings: Mapping[str, Any]) -> list[Field]:
        most = NumberInput(settings.get("values", VALUES_LIMIT), 1, 4_096, step=1)
        return [
            Field("separator", "Separator", TextInput(settings.get("separator", "")), "Inferred if empty", unset=""),
            Field("values", "Max values", most, "The most frequent values are used, the others ignored"),
        ]

    def row_field(self, column: ColumnEncoder) -> RowField:
        separator = _sets(column).separator
        description = f"Values separated by {separator!r}, or a list of values"
        texts = {"type": "array", "items": {"type": "string"}}
        return RowField(column.name, {"anyOf": [{"type": ["string", "null"]}, texts], "description": description})

    def widget(self, column: ColumnEncoder, name: str, value: Any) -> Widget:
        separator, known = _sets(column).separator, _sets(column).values
        chosen = _sets(column).members(value)
        return MultiSelect(
            chosen, [*known, *(value_name for value_name in chosen if value_name not in known)], separator
        )


def _sets(column: ColumnEncoder) -> SetEncoder:
    if not isinstance(column, SetEncoder):
        raise TypeError(f"The column {column.name!r} does not hold sets.")
    return column


def _are_sets(cells: Sequence[str], separator: str) -> bool:
    """Return whether most cells contain the separator, in varying numbers, and the values between them recur, also in
    other combinations: without any, or with fewer combinations than values, the separator is part of a name."""
    are_lists = bool(cells) and all(items_of(cell) is not None for cell in cells)
    # First, as cells of most columns need not be divided then
    if not are_lists and sum(separator in cell for cell in cells) <= _MAX_CELLS * len(cells):
        return False
    parted = [members(cell, separator) for cell in cells]
    times = Counter(value for values in parted for value in values)
    if not times:
        return False
    recur = times.total() >= _MIN_MEAN_COUNT * len(times)
    is_short = max(map(len, times)) <= _MAX_LENGTH
    # A fixed number of parts is a record, such as a city and its state, and commas stand within numbers.
    varies = are_lists or len({len(values) for values in parted}) > 1
    distinct = set(map(frozenset, parted))
    combinations = Counter(value for values in distinct for value in values)
    recombine = max(combinations.values()) > 1 and len(distinct) >= len(times)
    return recur and is_short and varies and recombine and not all(value.replace(".", "").isdigit() for value in times)


def _separator(cells: Sequence[str]) -> str:
    """Return the separator that is in most of these cells; of lists, one that is in none of their items."""
    lists = [items for cell in cells if (items := items_of(cell)) is not None]
    if lists:
        return next((mark for mark in SEPARATORS if not any(mark in item for items in lists for item in items)), ",")
    return max(SEPARATORS, key=lambda mark: sum(mark in cell for cell in cells))
