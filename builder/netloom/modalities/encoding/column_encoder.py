"""The base of all encoders of table columns; a class registers itself by the type under which a column is stored."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from netloom.modalities.encoding.cells import EncodeError, value_of

COLUMN_ENCODERS: dict[str, type["ColumnEncoder"]] = {}


@dataclass
class CsvColumn:
    """The cells of one column of a CSV file. `cells` are without blanks around them, None where one is missing;
    `written` are as they stand in the file. `unreadable` collects, by row, the cells that hold nothing of the column's
    kind."""

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
        """A value for each cell; None where it is missing or cannot be read.

        Raises:
            EncodeError: the column as a whole is of another kind than in training.
        """


class ColumnEncoder(CellReader):
    """One column of a table as numbers, with what was fitted on the training rows.

    Args:
        column: The fitted state as plain JSON. `type` names the class, `name` the column.
    """

    type: ClassVar[str]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "type" in vars(cls):
            COLUMN_ENCODERS[cls.type] = cls

    def __init__(self, column: dict[str, Any]) -> None:
        self.column = column
        self.name = str(column["name"])

    @property
    @abstractmethod
    def width(self) -> int:
        """How many numbers the column becomes."""

    @property
    @abstractmethod
    def feature_names(self) -> list[str]:
        """The name of each of these numbers."""

    @abstractmethod
    def encode(self, rows: list[dict[str, Any]]) -> np.ndarray:
        """The numbers of raw rows, (N, width)."""

    @abstractmethod
    def encode_array(self, values: Any) -> np.ndarray:
        """The numbers of values that are in memory as import read them, (N, width)."""

    @abstractmethod
    def restore(self, encoded: np.ndarray) -> Any:
        """The value in the units of the data that numbers (width,) stand for."""

    @property
    def date_column(self) -> str | None:
        """The column of dates that this one is a part of; None for most."""
        return self.column.get("date")

    @property
    def parts(self) -> list[str]:
        """The part of the column that each number belongs to, as people change, hide and read parts; usually all belong
        to the column itself."""
        return [self.date_column or self.name] * self.width

    @property
    def cell_readers(self) -> dict[str, CellReader]:
        """The columns of a file that can give this one, and how the cells of each are read."""
        return {self.name: self}

    def unknown(self, value: Any) -> str:
        """What of a value training did not have, as text; empty where it had all."""
        return ""

    @property
    def is_ordered(self) -> bool:
        """Whether a larger first number stands for a larger value."""
        return False

    @property
    def is_continuous(self) -> bool:
        """Whether the first number can be changed by a little and still stands for a value."""
        return False

    @property
    def is_linear(self) -> bool:
        """Whether a step of the first number is equally long in the units of the data, wherever it begins."""
        return False

    @property
    def step(self) -> float:
        """The length of a step of one in the units of the data, where it is equally long everywhere."""
        return float(self.column.get("std", 1.0))

    @property
    def is_bounded(self) -> bool:
        """Whether values beyond those of the training rows cannot be told apart."""
        return False

    @property
    def is_exclusive(self) -> bool:
        """Whether exactly one of the numbers is 1 and all others are 0."""
        return False


class LabelEncoder(ColumnEncoder):
    """A column of texts, each of which becomes numbers on its own."""

    def encode(self, rows: list[dict[str, Any]]) -> np.ndarray:
        return self.encode_array([value_of(row, self.name) for row in rows])

    def table(self, texts: list[str]) -> np.ndarray:
        """What `fill` needs of each distinct text, (distinct, …)."""
        return self.encode_array(texts)

    def fill(self, target: np.ndarray, table: np.ndarray, codes: np.ndarray) -> None:
        """Write the numbers of rows into `target` (N, width), which holds zeros; `codes` (N,) say the text of each."""
        target[:] = table[codes]


def column_encoder(column: dict[str, Any]) -> ColumnEncoder:
    """The encoder of a fitted column.

    Raises:
        EncodeError: there is no such type.
    """
    encoder = COLUMN_ENCODERS.get(column["type"])
    if encoder is None:
        raise EncodeError(f"The column {column['name']!r} is of the unknown type {str(column['type'])[:40]!r}.")
    return encoder(column)


def columns_of(encoders: Sequence[ColumnEncoder]) -> list[str]:
    """The columns of raw rows that these encoders can read, dates in place of their parts."""
    return list(dict.fromkeys(encoder.date_column or encoder.name for encoder in encoders))
