"""The base class of encoders of table columns. Subclasses register themselves by their `type`."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np

from netloom.modalities.encoding.cells import EncodeError, RawRow, value_of
from netloom.modalities.encoding.fitted import FittedState

COLUMN_ENCODERS: dict[str, type["ColumnEncoder"]] = {}


@dataclass(frozen=True, kw_only=True)
class ColumnState(FittedState):
    """The fitted state of a column.

    `type` names the encoder, which declares its state beside its class. Categories of an embedding have no type,
    because their field names the encoder.
    """

    type: str = ""


# Not within the class of encoders, which has an attribute `type`
StateType: TypeAlias = type[ColumnState]


@dataclass
class CsvColumn:
    """The cells of one column of a CSV file.

    Attributes:
        cells: The cells without surrounding whitespace, None where one is missing.
        written: The cells without changes.
        decimal: The decimal mark of the file.
        unreadable: For each row, the cells that cannot be read, by column; readers add to it.
    """

    name: str
    cells: list[str | None]
    written: list[str | None]
    decimal: str
    unreadable: list[dict[str, str]]

    @property
    def known(self) -> list[str]:
        """The cells that are not missing."""
        return [cell for cell in self.cells if cell is not None]


class CellReader(ABC):
    """Reads the cells of a CSV column as values of raw rows."""

    @abstractmethod
    def read(self, column: CsvColumn) -> Iterable[Any]:
        """Return a value for each cell; None where it is missing or cannot be read.

        Raises:
            EncodeError: the column contains values of another kind than in training.
        """


class ColumnEncoder(CellReader):
    """Encodes one table column as numbers, with the state that was fitted on the training rows.

    Args:
        state: The fitted state, whose `type` names the class.
    """

    type: ClassVar[str]
    state_type: ClassVar[StateType]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "type" in vars(cls):
            COLUMN_ENCODERS[cls.type] = cls

    def __init__(self, state: ColumnState) -> None:
        self.state = state
        self.name = state.name

    @property
    @abstractmethod
    def width(self) -> int:
        """The number of features."""

    @property
    @abstractmethod
    def feature_names(self) -> list[str]:
        """The name of each feature."""

    @abstractmethod
    def encode(self, rows: list[RawRow]) -> np.ndarray:
        """Return the features of raw rows, float (N, width)."""

    @abstractmethod
    def encode_array(self, values: Any) -> np.ndarray:
        """Return the features of imported values (N,), float (N, width)."""

    @abstractmethod
    def restore(self, encoded: np.ndarray) -> Any:
        """Return the value of features (width,) in the units of the data."""

    @property
    def date_column(self) -> str | None:
        """The date column that this one is a part of; None for most columns."""
        return None

    @property
    def parts(self) -> list[str]:
        """For each feature, the unit that explanations perturb and report; by default, the column for all features."""
        return [self.date_column or self.name] * self.width

    @property
    def cell_readers(self) -> dict[str, CellReader]:
        """The file columns from which this one can be read, each with the reader of its cells."""
        return {self.name: self}

    def plain_cells(self, row: RawRow) -> dict[str, Any]:
        """Return the cells of a raw row that depend on the formats of the training file in plain form, by column.

        Raises:
            EncodeError: a cell does not fit the column.
        """
        return {}

    @property
    def takes_lists(self) -> bool:
        """Whether a value can be a list."""
        return False

    def comparable(self, value: Any) -> Any:
        """Return a value in a form that is equal for all spellings that are encoded equally; None if it is missing."""
        return value

    def unknown(self, value: Any) -> str:
        """Return the part of a value that training did not have, as text; empty if there is none."""
        return ""

    @property
    def is_ordered(self) -> bool:
        """Whether the first feature increases with the value."""
        return False

    @property
    def is_continuous(self) -> bool:
        """Whether the first feature remains valid after a small change."""
        return False

    @property
    def is_linear(self) -> bool:
        """Whether the first feature is linear in the value."""
        return False

    @property
    def step(self) -> float:
        """The change of the value, in the units of the data, per unit of a linear feature."""
        return 1.0

    @property
    def is_bounded(self) -> bool:
        """Whether all values beyond the range of the training rows have equal features."""
        return False

    @property
    def is_exclusive(self) -> bool:
        """Whether exactly one feature is 1 and all others are 0."""
        return False


class LabelEncoder(ColumnEncoder):
    """Encodes a column of texts, each independently of the others."""

    def encode(self, rows: list[RawRow]) -> np.ndarray:
        return self.encode_array([value_of(row, self.name) for row in rows])

    def table(self, texts: list[str]) -> np.ndarray:
        """Return the argument of `fill` for distinct texts, (distinct, …)."""
        return self.encode_array(texts)

    def fill(self, target: np.ndarray, table: np.ndarray, codes: np.ndarray) -> None:
        """Write features into `target` (N, width), which contains zeros; `codes` (N,) are indices of `table`."""
        target[:] = table[codes]


def column_state(column: Mapping[str, Any]) -> ColumnState:
    """Return the fitted state of a column from its JSON.

    Raises:
        EncodeError: the type does not exist, or a value is missing.
    """
    kind = str(column.get("type"))
    encoder = COLUMN_ENCODERS.get(kind)
    if encoder is None:
        raise EncodeError(f"The column {column['name']!r} is of the unknown type {kind[:40]!r}.")
    return encoder.state_type.from_json(column)


def column_encoder(state: ColumnState) -> ColumnEncoder:
    """Return the encoder of a fitted column."""
    return COLUMN_ENCODERS[state.type](state)


def columns_of(encoders: Sequence[ColumnEncoder]) -> list[str]:
    """Return the columns of raw rows that these encoders read, with dates instead of their parts."""
    return list(dict.fromkeys(encoder.date_column or encoder.name for encoder in encoders))
