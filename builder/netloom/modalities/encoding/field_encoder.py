"""The base of all encoders of fields; a class registers itself by the encoding under which a field is stored."""

import json
from abc import ABC, abstractmethod
from enum import Enum, auto
from typing import Any, ClassVar

import numpy as np

from netloom.modalities.encoding.cells import EncodeError, value_of
from netloom.modalities.encoding.column_encoder import CellReader, ColumnEncoder, CsvColumn

FIELD_ENCODERS: dict[str, type["FieldEncoder"]] = {}


class VerbatimReader(CellReader):
    """Cells as they stand in the file, letter by letter."""

    def read(self, column: CsvColumn) -> list[Any]:
        return ["" if cell is None else cell for cell in column.written]


class ListReader(CellReader):
    """Cells that hold rows of numbers as JSON."""

    def read(self, column: CsvColumn) -> list[Any]:
        return [self._list(cell, column.name) for cell in column.cells]

    def _list(self, cell: str | None, name: str) -> Any:
        try:
            return json.loads(cell or "", parse_constant=refuse_constant)
        except (ValueError, RecursionError):
            raise EncodeError(f"A cell of {name!r} does not hold a list of numbers in JSON.") from None


class Editor(Enum):
    """How people change the value of a field in a raw row."""

    COLUMNS = auto()
    IMAGE = auto()
    SERIES = auto()
    TEXT = auto()
    NONE = auto()  # the network writes it itself


class FieldEncoder(ABC):
    """One input of a network as an array, with what was fitted on the training rows.

    Args:
        field: The fitted state as plain JSON. `encoding` names the class, `name` the field.
    """

    encoding: ClassVar[str]
    editor: ClassVar[Editor]
    is_required: ClassVar[bool] = True  # whether a file has to have it

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "encoding" in vars(cls):
            FIELD_ENCODERS[cls.encoding] = cls

    def __init__(self, field: dict[str, Any]) -> None:
        self.field = field
        self.name = str(field["name"])

    @abstractmethod
    def encode(self, rows: list[dict[str, Any]]) -> np.ndarray:
        """Raw rows as an array (N, …): float32, or int64 for tokens."""

    @abstractmethod
    def shown(self, row: dict[str, Any]) -> dict[str, Any]:
        """The value of a raw row as people see it: some of `image`, `series`, `text`, `tokens`, `columns`, `answer`."""

    def restore(self, values: np.ndarray) -> list[Any]:
        """Rows as a network gives them back (N, …), in the units of the data: nested lists."""
        restored = values.astype(np.float64) * np.array(self.field["std"]) + np.array(self.field["mean"])
        rows: list[Any] = (restored / self.field.get("scale", 1.0)).tolist()
        return rows

    @property
    def columns(self) -> list[ColumnEncoder]:
        """The encoders of the columns that a table consists of; none for all else."""
        return []

    @property
    def cell_readers(self) -> list[dict[str, CellReader]]:
        """The columns of a file that can give each part of this field, and how their cells are read."""
        names = dict.fromkeys((self.name, self.field.get("column", self.name)))
        return [dict.fromkeys(names, self.cell_reader)]

    @property
    def cell_reader(self) -> CellReader:
        """How the cells of a file's column are read that gives the whole field."""
        return VerbatimReader()

    def raw_value(self, row: dict[str, Any]) -> Any:
        """The value of a row, under the name of the field or under that of the column that it came from."""
        column = self.field.get("column")
        if column is not None and self.name not in row and column in row:
            return row[column]
        return value_of(row, self.name)


def field_encoder(field: dict[str, Any]) -> FieldEncoder:
    """The encoder of a fitted field.

    Raises:
        EncodeError: there is no such encoding.
    """
    encoder = FIELD_ENCODERS.get(field["encoding"])
    if encoder is None:
        raise EncodeError(f"The field {field['name']!r} has the unknown encoding {str(field['encoding'])[:40]!r}.")
    return encoder(field)


def refuse_constant(name: str) -> float:
    """Raises:
    ValueError: JSON holds NaN or an infinity, which Python would read.
    """
    raise ValueError(f"{name} is not a number in JSON")
