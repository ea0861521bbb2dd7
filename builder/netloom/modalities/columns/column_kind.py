"""The base of all kinds of table columns. A new module in this package with a class derived from it adds a kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from netloom.core.errors import DataError
from netloom.modalities.encoding.column_encoder import ColumnEncoder
from netloom.modalities.labels import Labels
from netloom.modalities.settings import Settings
from netloom.modalities.widgets import Field, Widget

if TYPE_CHECKING:
    import pandas as pd

Fitted = dict[str, Any]


class ColumnSource(ABC):
    """A column as it lies in a table that was imported. `is_chosen`: a document names its kind."""

    name: str
    settings: Mapping[str, Any]
    is_chosen: bool
    decimal: str
    warnings: list[str]
    column_names: Collection[str]

    @property
    @abstractmethod
    def values(self) -> pd.Series:
        """The cells, read into memory."""

    @abstractmethod
    def stored_numbers(self) -> np.ndarray | None:
        """The numbers of a column that lies in a file and needs no conversion; None for all others."""

    @abstractmethod
    def keep_numbers(self, numbers: np.ndarray, conversion: str = "") -> np.ndarray:
        """Numbers that were read from the cells, in a file where the table lies in one. `conversion` names how."""

    @abstractmethod
    def keep_labels(self, labels: Labels) -> Labels:
        """The same for labels."""

    @abstractmethod
    def texts(self) -> Sequence[str]:
        """The cells as texts, empty where one is missing."""


@dataclass(frozen=True)
class ReadColumn:
    """A column, or a part of one, as import read it: one entry per row. `kind` names the kind that fits it, `settings`
    go beside those of the document."""

    name: str
    kind: str
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NumberColumn(ReadColumn):
    """Numbers (R,), NaN where one is missing. Those made from a date have `date`: its column, and the part of it."""

    values: np.ndarray = field(default_factory=lambda: np.zeros(0))
    date: tuple[str, str] | None = None


@dataclass(frozen=True)
class LabelColumn(ReadColumn):
    """Labels, empty where one is missing, that become features of the table."""

    values: Labels = field(default_factory=lambda: Labels.of(()))


@dataclass(frozen=True)
class EmbeddedColumn(LabelColumn):
    """Labels that become numbers for an embedding: in one field with others, or in a field of their own."""

    is_shared: bool = True


@dataclass(frozen=True)
class TextColumn(ReadColumn):
    """Texts that become a field of tokens."""

    values: Sequence[str] = ()


@dataclass(frozen=True)
class TrainingColumn:
    """A column from which a kind fits its state. `rows` are those of the training split; `written` is how the cells
    were written, as `coercion` names it."""

    name: str
    values: Any
    rows: np.ndarray
    settings: Mapping[str, Any]
    date: tuple[str, str] | None = None
    written: str = ""


@dataclass(frozen=True)
class Preprocessing:
    """The main choice for a kind: a setting, and its values by label. There is no setting where there is no choice.
    `default` is used where a document says nothing; None stands for what the project does with all numbers."""

    setting: str | None
    labels: Mapping[str, str]
    default: str | None


class ColumnKind(ABC):
    """What a column of a table holds.

    Args:
        name: As documents store it.
        order: The place in lists.
        priority: Kinds with a smaller one are tried first on a column that no document describes.
        settings: The settings that a column of this kind takes.
        preprocessing: The choice on the data page.
        missing_label: How missing values are treated by default, for the data page.
        is_number: Values are amounts, which a target of numbers takes as well.
        is_numeric: Values can be one of several targets that are numbers.
        is_text: Values are free text, which becomes a field of its own.
        can_be_target: A network can predict it.
        has_one_value: A cell holds one value, which can be counted and compared as a whole.
        is_settled_on_import: The kind is inferred when a file is added and stored with it. This is for kinds that came
            later, so that columns which were added before stay what they were.
    """

    name: ClassVar[str]
    order: ClassVar[int]
    priority: ClassVar[int]
    settings: ClassVar[type[Settings]]
    preprocessing: ClassVar[Preprocessing]
    missing_label: ClassVar[str | None] = None
    constant: ClassVar[float | str] = 0.0  # what stands for missing values until people choose something else
    is_number: ClassVar[bool] = False
    is_numeric: ClassVar[bool] = False
    is_text: ClassVar[bool] = False
    can_be_target: ClassVar[bool] = True
    has_one_value: ClassVar[bool] = True
    is_settled_on_import: ClassVar[bool] = False
    encoders: ClassVar[tuple[type[ColumnEncoder], ...]] = ()

    @abstractmethod
    def matches(self, values: pd.Series) -> bool:
        """Whether a column looks like this kind. Kinds with a smaller priority did not match."""

    @abstractmethod
    def read(self, source: ColumnSource) -> Sequence[ReadColumn]:
        """The column as training reads it.

        Raises:
            DataError: it holds something else.
        """

    def fit(self, column: TrainingColumn) -> Fitted:
        """What an encoder needs, as plain JSON, from the training rows alone."""
        raise NotImplementedError

    def refuse(self, name: str, settings: Mapping[str, Any]) -> None:
        """Raises:
        DataError: a setting does not fit a column of this kind.
        """
        for setting in sorted(set(settings) - set(self.settings.model_fields)):
            raise DataError(
                f"The column {name[:80]!r} is read as a {self.name}, which has no setting {setting!r}; remove it."
            )
        if settings.get("impute") == "constant" and settings.get("fill") is None:
            raise DataError(f"Say in 'fill' what stands for missing values in {name[:80]!r}.")

    def details(self, settings: Mapping[str, Any]) -> list[Field]:
        """The settings that have no place in the table of columns, as widgets."""
        return []

    def describes(self, column: ColumnEncoder) -> bool:
        """Whether a fitted column is of this kind."""
        return isinstance(column, self.encoders)

    def widget(self, column: ColumnEncoder, name: str, value: Any) -> Widget:
        """The widget for a value of a fitted column, which stands under `name` in a raw row."""
        raise NotImplementedError


def free_name(name: str, taken: Collection[str]) -> str:
    """A name that is not taken: the same, with as many primes as it needs."""
    while name in taken:
        name += "'"
    return name
