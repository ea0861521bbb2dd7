"""The view of data that quality checks share: a sample of large data, with the properties that several checks need."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.plain_json import JsonObject
from netloom.data.multi_field import Categories
from netloom.data.preparation.deduplication import row_codes, with_equal_bits
from netloom.data.preparation.prepared_data import Prepared
from netloom.data.raw.images import Images
from netloom.data.raw.series import Series
from netloom.data.raw.table import Table
from netloom.data.raw.texts import Characters, Texts
from netloom.data.raw_dataset import RawDataset
from netloom.modalities.columns.registry import column_kind
from netloom.modalities.encoding.set_column import SetEncoder
from netloom.modalities.labels import Labels

if TYPE_CHECKING:
    from netloom.document import DataChoice

MAX_ROWS = 10_000
MAX_VALUES = 4_000_000  # encoded numbers of all rows of the view, which bounds the rows of images and series
MAX_HASHED_BYTES = 2**29  # of encoded data, up to which all of its rows are compared
MAX_TABLE_BYTES = 200 * 2**20  # of an upload that is read again for its unread columns
SPLITS = ("train", "validation", "test")


class QualityView:
    """A sample of the rows of data, and properties of them.

    A *row* is a row number of the data; a *position* is an index into the sample, in which arrays have the length n.

    Attributes:
        used_rows: The rows of all splits, in ascending order. Dropped duplicates are in no split.
        rows: The rows of the sample (n,), in ascending order.
    """

    def __init__(
        self, data: Prepared, choice: DataChoice | None = None, home: Path | None = None, sample: int = MAX_ROWS
    ) -> None:
        self.data, self.choice, self.home = data, choice, home
        row_size = sum(int(np.prod(values.shape[1:])) for values in data.inputs.values())
        max_rows = max(1_000, min(sample, MAX_VALUES // max(row_size, 1)))
        self.used_rows = np.sort(np.concatenate([data.split[name].numpy() for name in SPLITS]))
        self.rows = self.used_rows
        if len(self.used_rows) > max_rows:
            self.rows = np.sort(np.random.default_rng(0).choice(self.used_rows, max_rows, replace=False))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def is_sample(self) -> bool:
        """Whether some of the used rows are not in the view."""
        return len(self.rows) < len(self.used_rows)

    @cached_property
    def fields(self) -> tuple[RawDataset, ...]:
        """The raw fields."""
        return self.data.raw.parts

    @cached_property
    def split_index(self) -> np.ndarray:
        """The split of each row (n,), as an index of `SPLITS`."""
        split_index = np.full(len(self.data.target), -1)
        for index, name in enumerate(SPLITS):
            split_index[self.data.split[name].numpy()] = index
        return np.asarray(split_index[self.rows])

    @cached_property
    def numbers(self) -> dict[str, np.ndarray]:
        """The numeric columns (n,); NaN where a value is missing."""
        return {
            name: np.asarray(values[self.rows], dtype=np.float64)
            for field in self.fields
            if isinstance(field, Table) and field.name != "noise"
            for name, values in field.numbers.items()
        }

    @cached_property
    def categories(self) -> dict[str, np.ndarray]:
        """The columns of categories and sets (n,), as objects; "" where a value is missing."""
        return {
            name: np.array(list(Labels.of(values).at(self.rows)), dtype=object)
            for field in self.fields
            for name, values in _label_columns(field).items()
        }

    @cached_property
    def single_valued(self) -> dict[str, np.ndarray]:
        """The columns of `categories` whose cells hold one value each."""
        multi_valued = {
            name
            for field in self.fields
            if isinstance(field, Table)
            for name in field.categories
            if not column_kind(field.kind_of(name)).has_one_value
        }
        return {name: values for name, values in self.categories.items() if name not in multi_valued}

    @cached_property
    def set_encoders(self) -> dict[str, SetEncoder]:
        """The fitted encoders of the columns whose cells hold sets of values."""
        encoders = [column for field in self.data.fields for column in field.columns]
        return {
            encoder.name: encoder
            for encoder in encoders
            if isinstance(encoder, SetEncoder) and encoder.name in self.categories
        }

    @cached_property
    def value_sets(self) -> dict[str, list[list[str]]]:
        """The values of each cell of each column of sets."""
        return {
            name: [encoder.members(cell) for cell in self.categories[name].tolist()]
            for name, encoder in self.set_encoders.items()
        }

    @cached_property
    def category_codes(self) -> dict[str, np.ndarray]:
        """The columns of `categories` as codes (n,), numbered in the order of their texts."""
        return {name: np.unique(values.astype(str), return_inverse=True)[1] for name, values in self.categories.items()}

    @cached_property
    def constant_columns(self) -> tuple[str, ...]:
        """The columns with one value, or with none."""
        numbers = [name for name, values in self.numbers.items() if len(np.unique(values[~np.isnan(values)])) < 2]
        return (*numbers, *(name for name, codes in self.category_codes.items() if codes.max() == 0))

    @cached_property
    def column_count(self) -> int:
        return len(self.numbers) + len(self.categories)

    @cached_property
    def removable_columns(self) -> frozenset[str]:
        """The columns that the document can leave out by name; the parts of a date have other names than its column."""
        if self.choice is None:
            return frozenset()
        tables = [field for field in self.fields if isinstance(field, Table)]
        date_parts = {name for field in tables for name in field.dates}
        return frozenset(
            name for field in tables for name in (*field.numbers, *field.categories) if name not in date_parts
        )

    def column_settings(self, name: str) -> JsonObject:
        """Return the settings of the document for a column."""
        columns = self.choice.options.get("columns") if self.choice is not None else None
        settings = columns.get(name) if isinstance(columns, dict) else None
        return dict(settings) if isinstance(settings, dict) else {}

    @cached_property
    def texts(self) -> list[str]:
        """The texts of the first text field; [] if there is none."""
        for field in self.fields:
            if isinstance(field, Texts):
                return [str(field.texts[row]) for row in self.rows.tolist()]
        return []

    @cached_property
    def labels(self) -> np.ndarray | None:
        """The class index of each row (n,); None if the target is not a class."""
        if self.data.schema.target.type.is_class:
            return np.asarray(self.data.target[self.rows].numpy())
        return None

    @cached_property
    def target_codes(self) -> np.ndarray | None:
        """A number for each row (n,), equal for rows with the same class, mask or objects; None for other targets."""
        if self.data.schema.target.type.is_in_image:
            return row_codes(self.data.target[self.rows].numpy())
        return self.labels

    @cached_property
    def target(self) -> np.ndarray | None:
        """The class index or the number of each row (n,), as float64; None for other targets."""
        if self.data.schema.target.type.is_single_value:
            values = self.data.target[self.rows].numpy().reshape(len(self.rows), -1)
            return np.asarray(values[:, 0], dtype=np.float64)
        return None

    @cached_property
    def classes(self) -> tuple[str, ...]:
        return self.data.schema.target.classes

    @cached_property
    def class_counts(self) -> dict[str, int]:
        """The number of used rows of each class, whether or not they are in the view; {} for other targets."""
        if not self.data.schema.target.type.is_class:
            return {}
        counts = np.bincount(self.data.target.numpy()[self.used_rows], minlength=len(self.classes))
        return {name: int(count) for name, count in zip(self.classes, counts, strict=True)}

    @cached_property
    def unread_columns(self) -> dict[str, np.ndarray]:
        """Text columns of an uploaded table that are not part of the data, as objects; "" where a value is missing.

        They have all rows of the table, which may be more than the rows of the data.
        """
        from netloom.data.builtin_registry import builtin
        from netloom.data.uploads import find_upload

        if self.home is None or self.choice is None or self.choice.dataset in builtin():
            return {}
        # A table larger than memory is an Arrow file instead; its unread columns are not worth another pass.
        path = find_upload(self.choice.dataset, self.home) / "table.parquet"
        if not path.is_file() or path.stat().st_size > MAX_TABLE_BYTES:
            return {}
        import pandas as pd

        table = pd.read_parquet(path)
        ignored = {name for name in table.columns if self.column_settings(str(name)).get("role") == "ignore"}
        excluded = {*self.numbers, *self.categories, *ignored, self.data.schema.target.name}
        return {
            str(name): values.astype("string").fillna("").to_numpy(dtype=object)
            for name, values in table.items()
            if str(name) not in excluded and pd.api.types.is_string_dtype(values)
        }

    @cached_property
    def is_complete(self) -> np.ndarray:
        """A mask of the rows without missing numbers (n,)."""
        is_complete = np.ones(len(self), dtype=bool)
        for values in self.numbers.values():
            is_complete &= ~np.isnan(values)
        return is_complete

    def fields_of_kind(self, kind: str) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the names and encoded values (n, …) of the fields of a kind."""
        for field in self.data.schema.inputs:
            if field.kind == kind:
                yield field.name, self.data.inputs[field.name][self.rows].numpy()

    @property
    def has_overlapping_rows(self) -> bool:
        """Whether rows are windows of one text or series, so that equal rows are expected."""
        return isinstance(self.data.raw, Characters) or bool(self.data.raw.contiguous)

    @cached_property
    def content_codes(self) -> np.ndarray:
        """Codes of the inputs of each row (n,), equal for equal inputs."""
        parts: list[np.ndarray] = []
        for field in self.fields:
            if isinstance(field, Texts):
                texts = [str(field.texts[row]) for row in self.rows.tolist()]
                parts.append(np.unique(np.array(texts, dtype=object).astype(str), return_inverse=True)[1])
            elif isinstance(field, (Images, Series)):
                parts.append(row_codes(np.ascontiguousarray(_raw_values(field)[self.rows])))
            elif not isinstance(field, (Table, Categories)) and field.name in self.data.inputs:
                parts.append(row_codes(self.data.inputs[field.name][self.rows].numpy()))
        parts += [row_codes(values[:, None]) for values in self.numbers.values()]
        parts += list(self.category_codes.values())
        return row_codes(np.column_stack(parts)) if parts else np.arange(len(self))

    @cached_property
    def row_hashes(self) -> np.ndarray | None:
        """A 64-bit hash of the inputs of each used row (used,); None if the data is too large to read all of it.

        With n rows, the probability of any collision is about n² / 2⁶⁵: one in thirty million for a million rows.
        """
        row_bytes = sum(values.element_size() * int(np.prod(values.shape[1:])) for values in self.data.inputs.values())
        if self.data.raw.large or row_bytes * len(self.used_rows) > MAX_HASHED_BYTES:
            return None
        hashes = np.zeros(len(self.used_rows), dtype=np.uint64)
        for values in self._used_inputs():
            hashed = _hash_cells(values) if values.ndim == 1 else _hash_rows(values)
            # Multiplied, so that equal values in exchanged columns give another hash; uint64 wraps around
            hashes = hashes * np.uint64(1_000_003) + hashed
        return hashes

    def _used_inputs(self) -> Iterator[np.ndarray]:
        """Yield the inputs of all used rows, by column or field: (used,) or (used, …)."""
        for field in self.fields:
            if isinstance(field, Texts):
                yield np.array([str(field.texts[row]) for row in self.used_rows.tolist()], dtype=object)
            elif isinstance(field, (Images, Series)):
                yield _raw_values(field)[self.used_rows]
            elif isinstance(field, (Table, Categories)):
                for values in (field.numbers if isinstance(field, Table) else {}).values():
                    yield with_equal_bits(np.asarray(values, dtype=np.float64)[self.used_rows])
                for labels in _label_columns(field).values():
                    yield Labels.of(labels).at(self.used_rows).codes.astype(np.int64)
            elif field.name in self.data.inputs:
                yield self.data.inputs[field.name][self.used_rows].numpy()

    @cached_property
    def expected_pairs(self) -> float:
        """The number of pairs of equal rows that chance alone would make, if columns were independent.

        It is the number of pairs times the product, over columns of the table, of the probability that two cells are
        equal; 0 for texts, images and series. The parts of a date, such as its day and weekday, are one column.
        """
        if any(not isinstance(field, (Table, Categories)) for field in self.fields):
            return 0.0
        probability = 1.0
        dates = {name: date for field in self.fields if isinstance(field, Table) for name, date in field.dates.items()}
        columns = dict[str, list[np.ndarray]]()
        for name, values in self.numbers.items():
            columns.setdefault(dates.get(name, (name, ""))[0], []).append(values)
        codes_of_columns = [row_codes(np.column_stack(parts)) for parts in columns.values()]
        for codes in (*codes_of_columns, *self.category_codes.values()):
            counts = np.bincount(codes).astype(np.float64)  # a row does not make a pair with itself
            probability *= float((counts * (counts - 1)).sum() / max(1, len(codes) * (len(codes) - 1)))
        return probability * len(self) * (len(self) - 1) / 2

    def row_numbers(self, positions: Any) -> tuple[int, ...]:
        """Return the row numbers at positions."""
        return tuple(int(row) for row in self.rows[np.asarray(positions, dtype=np.int64)])


def _label_columns(field: RawDataset) -> dict[str, Any]:
    """Return the columns of a field that hold texts from a vocabulary."""
    if isinstance(field, Table):
        return dict(field.categories)
    return dict(field.columns) if isinstance(field, Categories) else {}


def _raw_values(field: Images | Series) -> np.ndarray:
    return field.pixels if isinstance(field, Images) else field.windows


def _hash_cells(values: np.ndarray) -> np.ndarray:
    """Return a 64-bit hash of each cell of a column (rows,)."""
    import pandas as pd  # here, because images need no pandas, whose import takes half a second

    hashes: np.ndarray = pd.util.hash_array(values, categorize=False)
    return hashes


def _hash_rows(values: np.ndarray) -> np.ndarray:
    """Return a 64-bit hash of each row of (n, …)."""
    if values.dtype.kind == "f":
        values = with_equal_bits(values)
    digests = (blake2b(np.ascontiguousarray(row).tobytes(), digest_size=8).digest() for row in values)
    return np.array([int.from_bytes(digest, "little") for digest in digests], dtype=np.uint64)
