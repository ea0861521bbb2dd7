"""The base of all encoders of fields; a class registers itself by the encoding under which a field is stored."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypedDict, TypeVar, cast

import numpy as np

from netloom.modalities.encoding.cells import EncodeError, value_of
from netloom.modalities.encoding.column_encoder import CellReader, ColumnEncoder, CsvColumn

FIELD_ENCODERS: dict[str, type["FieldEncoder[Any]"]] = {}


class FieldState(TypedDict):
    """What was fitted for a field, as the JSON of run folders and bundles. Each encoding adds keys of its own, which
    its encoder names as properties; all else asks the encoder."""

    name: str
    encoding: str


FieldStateT = TypeVar("FieldStateT", bound=FieldState)


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


class FieldEncoder(ABC, Generic[FieldStateT]):
    """One input of a network as an array, with what was fitted on the training rows.

    Args:
        field: The fitted state as plain JSON. `encoding` names the class, `name` the field.
    """

    encoding: ClassVar[str]
    is_required: ClassVar[bool] = True  # whether a file has to have it

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "encoding" in vars(cls):
            FIELD_ENCODERS[cls.encoding] = cls

    def __init__(self, field: FieldState) -> None:
        # `field_encoder` chose this class by the encoding, which decides what else the state holds.
        self.field = cast(FieldStateT, field)
        self.name = str(field["name"])

    @abstractmethod
    def encode(self, rows: list[dict[str, Any]]) -> np.ndarray:
        """Raw rows as an array (N, …): float32, or int64 for tokens."""

    @abstractmethod
    def shown(self, row: dict[str, Any]) -> dict[str, Any]:
        """The value of a raw row as people see it: some of `image`, `series`, `text`, `tokens`, `columns`, `answer`."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of an encoded example, without the batch axis."""

    @property
    def raw_shape(self) -> tuple[int, ...]:
        """The shape of a value in a raw row, where that is an array."""
        return self.shape

    @property
    def vocabulary_size(self) -> int | None:
        """How many different whole numbers there are; None where values are real numbers."""
        return None

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The name of each number along the last axis, where the state knows them."""
        return ()

    @property
    def rate(self) -> float:
        """How many steps of an encoded example are one second; 0 where it has no clock."""
        return 0.0

    @property
    def sample_rate(self) -> int:
        """How many samples of a sound are one second; 0 for all that is not a sound."""
        return 0

    def shown_encoded(self, row: dict[str, Any]) -> dict[str, Any]:
        """What people see of a raw row beyond the row itself, such as its tokens; keys as in `shown`."""
        return {}

    def restore(self, values: np.ndarray) -> list[Any]:
        """Rows as a network gives them back (N, …), in the units of the data: nested lists."""
        rows: list[Any] = values.tolist()
        return rows

    @property
    def columns(self) -> list[ColumnEncoder]:
        """The encoders of the columns that a table consists of; none for all else."""
        return []

    @property
    def cell_readers(self) -> list[dict[str, CellReader]]:
        """The columns of a file that can give each part of this field, and how their cells are read."""
        names = dict.fromkeys((self.name, self.source_column or self.name))
        return [dict.fromkeys(names, self.cell_reader)]

    @property
    def cell_reader(self) -> CellReader:
        """How the cells of a file's column are read that gives the whole field."""
        return VerbatimReader()

    @property
    def source_column(self) -> str | None:
        """The column of a table that the field came from, under which a row may give it too."""
        return None

    def raw_value(self, row: dict[str, Any]) -> Any:
        """The value of a row, under the name of the field or under that of the column that it came from."""
        column = self.source_column
        if column is not None and self.name not in row and column in row:
            return row[column]
        return value_of(row, self.name)


class ScaledState(FieldState):
    """Numbers from which `mean` is subtracted, before `std` divides them: one number for all, or one by channel."""

    shape: list[int]
    mean: Any
    std: Any


ScaledStateT = TypeVar("ScaledStateT", bound=ScaledState)


class ScaledEncoder(FieldEncoder[ScaledStateT]):
    """Real numbers that are scaled by what was fitted."""

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.field["shape"])

    @property
    def mean(self) -> np.ndarray:
        """What is subtracted, in a shape that broadcasts with `shape`."""
        return np.array(self.field["mean"], dtype=np.float64)

    @property
    def std(self) -> np.ndarray:
        """What the difference is divided by, in a shape that broadcasts with `shape`."""
        return np.array(self.field["std"], dtype=np.float64)

    def unscaled(self, values: np.ndarray) -> np.ndarray:
        """Numbers (…, *shape) as they were before they were scaled."""
        restored: np.ndarray = values.astype(np.float64) * self.std + self.mean
        return restored

    def restore(self, values: np.ndarray) -> list[Any]:
        rows: list[Any] = self.unscaled(values).tolist()
        return rows


def field_encoder(field: Mapping[str, Any] | FieldState) -> FieldEncoder[Any]:
    """The encoder of a fitted field.

    Raises:
        EncodeError: there is no such encoding.
    """
    state = cast(FieldState, field)
    encoder = FIELD_ENCODERS.get(state["encoding"])
    if encoder is None:
        raise EncodeError(f"The field {state['name']!r} has the unknown encoding {str(state['encoding'])[:40]!r}.")
    return encoder(state)


def refuse_constant(name: str) -> float:
    """Raises:
    ValueError: JSON holds NaN or an infinity, which Python would read.
    """
    raise ValueError(f"{name} is not a number in JSON")
