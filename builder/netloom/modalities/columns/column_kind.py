"""The base of all kinds of table columns. A new module in this package with a class derived from it adds a kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from netloom.core.errors import DataError
from netloom.modalities.encoding.column_encoder import ColumnEncoder, ColumnState
from netloom.modalities.labels import Labels
from netloom.modalities.row_field import RowField
from netloom.modalities.settings import Settings
from netloom.modalities.widgets import Field, Widget

if TYPE_CHECKING:
    import pandas as pd


class ColumnSource(ABC):
    """A column of an imported table.

    Attributes:
        settings: The column's settings in the document.
        is_chosen: Whether the document names the kind, instead of it being inferred.
        decimal: The decimal mark of cells that are still texts.
        warnings: A list to which warnings are appended.
        column_names: The names of all columns, which derived columns must not use.
    """

    name: str
    settings: Mapping[str, Any]
    is_chosen: bool
    decimal: str
    warnings: list[str]
    column_names: Collection[str]

    @property
    @abstractmethod
    def values(self) -> pd.Series:
        """The cells, in memory."""

    @abstractmethod
    def stored_numbers(self) -> np.ndarray | None:
        """Return the numbers (R,) of a memory-mapped column that needs no conversion; None for other columns."""

    @abstractmethod
    def keep_numbers(self, numbers: np.ndarray, conversion: str = "") -> np.ndarray:
        """Return numbers (R,) read from the cells, memory-mapped if the table is. `conversion` names the conversion."""

    @abstractmethod
    def keep_labels(self, labels: Labels) -> Labels:
        """Return labels read from the cells, memory-mapped if the table is."""

    @abstractmethod
    def texts(self) -> Sequence[str]:
        """Return the cells as texts, empty where one is missing."""


@dataclass(frozen=True)
class ReadColumn:
    """A column, or a part of one, with an entry per row.

    Attributes:
        kind: The name of the kind that fits it.
        settings: Settings in addition to those of the document.
    """

    name: str
    kind: str
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NumberColumn(ReadColumn):
    """Numbers (R,), NaN where one is missing. Numbers derived from a date have its column and the part as `date`."""

    values: np.ndarray = field(default_factory=lambda: np.zeros(0))
    date: tuple[str, str] | None = None


@dataclass(frozen=True)
class LabelColumn(ReadColumn):
    """Labels, empty where one is missing, that become features of the table field."""

    values: Labels = field(default_factory=lambda: Labels.of(()))


@dataclass(frozen=True)
class EmbeddedColumn(LabelColumn):
    """Labels that become indices of an embedding, in a field shared with other columns or in a separate field."""

    is_shared: bool = True


@dataclass(frozen=True)
class TextColumn(ReadColumn):
    """Texts that become a field of tokens."""

    values: Sequence[str] = ()


@dataclass(frozen=True)
class TrainingColumn:
    """The input of `ColumnKind.fit`.

    Attributes:
        values: The values of all rows.
        rows: The row numbers of the training split.
        date: For a part of a date, the date's column and the part.
        written: The format of the cells, as named in `coercion`.
    """

    name: str
    values: Any
    rows: np.ndarray
    settings: Mapping[str, Any]
    date: tuple[str, str] | None = None
    written: str = ""


@dataclass(frozen=True)
class Preprocessing:
    """The main preprocessing choice of a kind.

    Attributes:
        setting: The name of the setting; None if there is no choice.
        labels: The values of the setting by label.
        default: The value if the document has none; None for the project's default for numbers.
    """

    setting: str | None
    labels: Mapping[str, str]
    default: str | None


class ColumnKind(ABC):
    """The kind of values in a table column.

    Args:
        name: The name in documents.
        synonyms: Other words for it, which the command line accepts.
        order: The position in lists.
        priority: Kinds with a lower priority are tried first when the kind of a column is inferred.
        settings: The settings that a column of this kind takes.
        preprocessing: The choice on the data page.
        missing_label: The default treatment of missing values, for the data page.
        constant: The default replacement of missing values by a constant.
        is_number: Values are quantities, which can also be regression targets.
        is_numeric: Values can be one of several numeric targets.
        is_text: Values are free text, which becomes a separate field.
        can_be_target: A network can predict it.
        has_one_value: A cell holds one value, which can be counted and compared as a whole.
        is_settled_on_import: The kind is inferred when a file is imported, and stored with it. Kinds that were added
            later need this, so that earlier uploads keep their kinds.
    """

    name: ClassVar[str]
    synonyms: ClassVar[tuple[str, ...]] = ()
    order: ClassVar[int]
    priority: ClassVar[int]
    settings: ClassVar[type[Settings]]
    preprocessing: ClassVar[Preprocessing]
    missing_label: ClassVar[str | None] = None
    constant: ClassVar[float | str] = 0.0  # the replacement of missing values until another one is chosen
    is_number: ClassVar[bool] = False
    is_numeric: ClassVar[bool] = False
    is_text: ClassVar[bool] = False
    can_be_target: ClassVar[bool] = True
    has_one_value: ClassVar[bool] = True
    is_settled_on_import: ClassVar[bool] = False
    encoders: ClassVar[tuple[type[ColumnEncoder], ...]] = ()

    @abstractmethod
    def matches(self, values: pd.Series) -> bool:
        """Return whether a column appears to be of this kind. Kinds with a lower priority did not match."""

    @abstractmethod
    def read(self, source: ColumnSource) -> Sequence[ReadColumn]:
        """Return the column converted to this kind: none, one, or several parts.

        Raises:
            DataError: it contains values of another kind.
        """

    def fit(self, column: TrainingColumn) -> ColumnState:
        """Return the state of the encoder, fitted on the training rows only."""
        raise NotImplementedError

    def row_field(self, column: ColumnEncoder) -> RowField:
        """Return the key of a raw row that a fitted column reads."""
        return RowField(column.name, {"type": ["string", "null"]})

    def refuse(self, name: str, settings: Mapping[str, Any]) -> None:
        """Check the settings of a column.

        Raises:
            DataError: this kind does not support a setting.
        """
        for setting in sorted(set(settings) - set(self.settings.model_fields)):
            raise DataError(
                f"The column {name[:80]!r} is read as a {self.name}, which has no setting {setting!r}; remove it."
            )
        if settings.get("impute") == "constant" and settings.get("fill") is None:
            raise DataError(f"Set 'fill' to the value that replaces missing values in {name[:80]!r}.")

    def details(self, settings: Mapping[str, Any]) -> list[Field]:
        """Return widgets for the settings that the table of columns does not show."""
        return []

    def describes(self, column: ColumnEncoder) -> bool:
        """Return whether a fitted column is of this kind."""
        return isinstance(column, self.encoders)

    def widget(self, column: ColumnEncoder, name: str, value: Any) -> Widget:
        """Return the widget for the value of a fitted column; `name` is its key in a raw row."""
        raise NotImplementedError


def free_name(name: str, used_names: Collection[str]) -> str:
    """Return the name, with as many primes appended as needed to be unique."""
    while name in used_names:
        name += "'"
    return name
