"""The base class of encoders of fields. Subclasses register themselves by their `encoding`."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeAlias, TypedDict, TypeVar

import numpy as np

from netloom.modalities.encoding.cells import EncodeError, RawRow, value_of
from netloom.modalities.encoding.column_encoder import CellReader, ColumnEncoder, CsvColumn
from netloom.modalities.encoding.fitted import FittedState

FIELD_ENCODERS: dict[str, type["FieldEncoder[Any]"]] = {}


@dataclass(frozen=True, kw_only=True)
class FieldState(FittedState):
    """The fitted state of a field. `encoding` names the encoder, which declares its state beside its class; other code
    uses the properties of the encoder."""

    encoding: str


class RowDisplay(TypedDict, total=False):
    """What a raw row shows of a field: an image (H, W) or (H, W, C), a series (T, D), a text with its tokens, the
    values of columns, or the answer so far."""

    image: np.ndarray | None
    series: np.ndarray
    text: str
    tokens: tuple[str, ...]
    columns: dict[str, Any]
    answer: str


FieldStateT = TypeVar("FieldStateT", bound=FieldState)


class VerbatimReader(CellReader):
    """Reads cells without changes."""

    def read(self, column: CsvColumn) -> list[Any]:
        return ["" if cell is None else cell for cell in column.written]


class ListReader(CellReader):
    """Reads cells with nested lists of numbers as JSON."""

    def read(self, column: CsvColumn) -> list[Any]:
        return [self._list(cell, column.name) for cell in column.cells]

    def _list(self, cell: str | None, name: str) -> Any:
        try:
            return json.loads(cell or "", parse_constant=refuse_constant)
        except (ValueError, RecursionError):
            raise EncodeError(f"A cell of {name!r} does not hold a list of numbers in JSON.") from None


class FieldEncoder(ABC, Generic[FieldStateT]):
    """Encodes one input of a network as an array, with the state that was fitted on the training rows.

    Args:
        state: The fitted state. `encoding` names the class, `name` the field.
    """

    encoding: ClassVar[str]
    state_type: ClassVar[type[FieldState]]
    is_required: ClassVar[bool] = True  # whether a file must contain it
    is_text: ClassVar[bool] = False  # whether a value is a whole text, other than a block of a longer one
    is_verbatim: ClassVar[bool] = False  # whether a value consists of tokens that are substrings of its text

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "encoding" in vars(cls):
            FIELD_ENCODERS[cls.encoding] = cls

    def __init__(self, state: FieldStateT) -> None:
        self.state = state
        self.name = state.name

    @abstractmethod
    def encode(self, rows: list[RawRow]) -> np.ndarray:
        """Return raw rows as an array (N, …): float32, or int64 for tokens."""

    @abstractmethod
    def shown(self, row: RawRow) -> RowDisplay:
        """Return a raw row for display."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of an encoded example, without the batch dimension."""

    @property
    def raw_shape(self) -> tuple[int, ...]:
        """The shape of a value in a raw row, if it is an array."""
        return self.shape

    @property
    def vocabulary_size(self) -> int | None:
        """The number of distinct indices; None for real numbers."""
        return None

    @property
    def vocabulary(self) -> Sequence[str]:
        """The tokens in the order of their indices; empty if a value does not consist of tokens."""
        return ()

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names along the last axis, if the state has any."""
        return ()

    @property
    def rate(self) -> float:
        """The number of steps of an encoded example per second; 0 without a time scale."""
        return 0.0

    @property
    def sample_rate(self) -> int:
        """The sampling rate of a sound in Hz; 0 for other values."""
        return 0

    def shown_encoded(self, row: RawRow) -> RowDisplay:
        """Return what a raw row shows in addition to its values, such as its tokens."""
        return {}

    def restore(self, values: np.ndarray) -> list[Any]:
        """Return rows (N, …) that a network outputs, as nested lists in the units of the data."""
        rows: list[Any] = values.tolist()
        return rows

    @property
    def is_word_list(self) -> bool:
        """Whether the data gives the words of a text, so that a value is a list of them."""
        return False

    @property
    def columns(self) -> list[ColumnEncoder]:
        """The encoders of the columns of a table; empty for other fields."""
        return []

    @property
    def cell_readers(self) -> list[dict[str, CellReader]]:
        """For each part of this field, the file columns from which it can be read, with the readers of their cells."""
        names = dict.fromkeys((self.name, self.source_column or self.name))
        return [dict.fromkeys(names, self.cell_reader)]

    @property
    def cell_reader(self) -> CellReader:
        """The reader of a file column that contains the whole field."""
        return VerbatimReader()

    def joined_cells(self, names: Sequence[str], lines: Sequence[Sequence[str]]) -> tuple[list[str], list[str]]:
        """Return the columns of a file that hold the field in parts, and its cell in each line; none if there are none.

        Args:
            names: The names of the columns.
            lines: The cells of each line, "" for missing ones, with points in numbers.
        """
        return [], []

    @property
    def can_be_joined(self) -> bool:
        """Whether a file can hold the field in parts, for `joined_cells`."""
        return not self.columns and not self.is_text

    @property
    def takes_unnamed_numbers(self) -> bool:
        """Whether `joined_cells` takes lines of numbers without a header."""
        return False

    @property
    def step_columns(self) -> tuple[str, ...]:
        """The columns of a file with one time step per line, whose last lines are this field; empty for others."""
        return ()

    @property
    def time_column(self) -> str:
        """The column of such a file that ordered the time steps of training; "" if there is none."""
        return ""

    @property
    def series_column(self) -> str:
        """The column of such a file that names the series of a step, if training had several; "" if it had one."""
        return ""

    def step_reader(self, column: str) -> CellReader:
        """Return the reader of the cells of one of the `step_columns`."""
        return self.cell_reader

    @property
    def source_column(self) -> str | None:
        """The table column that the field comes from, an alternative key in raw rows; None for other fields."""
        return None

    def raw_value(self, row: RawRow) -> Any:
        """Return the value of a row, by the name of the field or of its source column.

        Raises:
            EncodeError: the row has neither.
        """
        column = self.source_column
        if column is not None and self.name not in row and column in row:
            return row[column]
        return value_of(row, self.name)


# An offset or a divisor: one number for all, one per channel, or one per channel of an image, (C, 1, 1).
Scaling: TypeAlias = float | Sequence[float] | Sequence[Sequence[Sequence[float]]]


class Scaled(Protocol):
    """Numbers of a `shape` that are scaled as (x - `mean`) / `std`."""

    @property
    def shape(self) -> Sequence[int]: ...
    @property
    def mean(self) -> Scaling: ...
    @property
    def std(self) -> Scaling: ...


class ScaledEncoder(FieldEncoder[FieldStateT]):
    """Encodes real numbers with a fitted scaling."""

    @property
    @abstractmethod
    def scaled(self) -> Scaled:
        """The state as scaled numbers."""

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.scaled.shape)

    @property
    def mean(self) -> np.ndarray:
        """The offset, float64, in a shape that broadcasts with `shape`."""
        return np.array(self.scaled.mean, dtype=np.float64)

    @property
    def std(self) -> np.ndarray:
        """The divisor, float64, in a shape that broadcasts with `shape`."""
        return np.array(self.scaled.std, dtype=np.float64)

    def unscaled(self, values: np.ndarray) -> np.ndarray:
        """Return scaled numbers (…, *shape) in the units of the data, float64."""
        restored: np.ndarray = values.astype(np.float64) * self.std + self.mean
        return restored

    def restore(self, values: np.ndarray) -> list[Any]:
        rows: list[Any] = self.unscaled(values).tolist()
        return rows


def field_state(field: Mapping[str, Any]) -> FieldState:
    """Return the fitted state of a field from its JSON.

    Raises:
        EncodeError: the encoding does not exist, or a value is missing.
    """
    encoder = FIELD_ENCODERS.get(field["encoding"])
    if encoder is None:
        raise EncodeError(f"The field {field['name']!r} has the unknown encoding {str(field['encoding'])[:40]!r}.")
    return encoder.state_type.from_json(field)


def field_encoder(field: Mapping[str, Any] | FieldState) -> FieldEncoder[Any]:
    """Return the encoder of a fitted field, from its state or the JSON of its state.

    Raises:
        EncodeError: the encoding does not exist, or a value is missing.
    """
    state = field if isinstance(field, FieldState) else field_state(field)
    return FIELD_ENCODERS[state.encoding](state)


def refuse_constant(name: str) -> float:
    """Refuse NaN and infinities, which are not JSON but which Python's `json` accepts.

    Raises:
        ValueError: always, as the `parse_constant` of `json.loads`.
    """
    raise ValueError(f"{name} is not a number in JSON")
