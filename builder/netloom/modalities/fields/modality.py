"""The base class of modalities. A new module in this package with a subclass adds a modality."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from netloom.core.plain_json import JsonObject
from netloom.document import ImageNormalization, Preparation
from netloom.modalities.encoding.field_encoder import FieldEncoder, FieldState
from netloom.modalities.field_spec import FieldSpec, Kind
from netloom.modalities.row_field import FileKind, RowField, array_schema
from netloom.modalities.settings import Settings

TrainingValuesT = TypeVar("TrainingValuesT")


class Editor(Enum):
    """The widget that edits the value of a field in a raw row."""

    COLUMNS = auto()
    IMAGE = auto()
    SERIES = auto()
    TEXT = auto()
    NONE = auto()  # the network generates the value


class Modality(ABC, Generic[TrainingValuesT]):
    """A kind of input field. `TrainingValuesT` is the type of the values that `fit` takes.

    Args:
        order: The position in lists.
        kind: The kind of tensor that the network receives, as in the Input layer.
        encoders: The encoders of such fields.
        editor: The widget that edits an example.
        phrase: The end of a sentence such as "this network reads …".
        rows_phrase: The rows of such data, in "the mean of the training …".
        settings: The settings of such fields in documents.
        scale_setting: The name of the setting that scales numbers; empty if there is none.
        usual_baseline_phrase: The result of `usual_baseline`, as the end of "compared with …".
        center_phrase: The same for `center`, in "the … of the training rows".
        has_padding: Positions can be padding, and a baseline can consist of padding only.
        has_words: Tokens are parts of a natural text, and some of them can be removed.
        has_brightness: Values are between black and white, and spatial neighbors are similar.
        is_blendable: A mixture of examples is a valid example, so that means of rows are meaningful.
        file_kind: The kind of file that can hold a value, see `file_kind_of`.
    """

    name: ClassVar[str]
    order: ClassVar[int]
    kind: ClassVar[Kind]
    encoders: ClassVar[tuple[type[FieldEncoder[Any]], ...]]
    editor: ClassVar[Editor]
    phrase: ClassVar[str]
    rows_phrase: ClassVar[str] = "rows"
    settings: ClassVar[type[Settings]] = Settings
    scale_setting: ClassVar[str] = ""
    usual_baseline_phrase: ClassVar[str] = "the mean of the training rows"
    center_phrase: ClassVar[str] = "mean"
    has_padding: ClassVar[bool] = False
    has_words: ClassVar[bool] = False
    has_brightness: ClassVar[bool] = False
    is_blendable: ClassVar[bool] = True
    file_kind: ClassVar[FileKind | None] = None

    @abstractmethod
    def fit(self, name: str, values: TrainingValuesT, settings: Mapping[str, Any]) -> FieldState:
        """Return the state of the encoder of the field `name`, fitted on the training rows only."""

    @abstractmethod
    def preprocessing(self, encoder: FieldEncoder[Any]) -> str:
        """Return a description of the preprocessing for the page of a dataset."""

    def spec(self, encoder: FieldEncoder[Any], names: Sequence[str] = ()) -> FieldSpec:
        """Return the field as the network receives it. `names` are those along the last axis, if the data has any."""
        columns = encoder.feature_names or tuple(names)
        return FieldSpec(encoder.name, self.kind, encoder.shape, encoder.vocabulary_size, columns)

    def row_fields(self, encoder: FieldEncoder[Any]) -> tuple[RowField, ...]:
        """Return the keys of a raw row that a fitted field reads."""
        shape = encoder.raw_shape
        description = f"{self.phrase.capitalize()} of the shape {'×'.join(map(str, shape))}"
        return (RowField(encoder.source_column or encoder.name, array_schema(shape, description), "FP64", shape),)

    def file_kind_of(self, encoder: FieldEncoder[Any]) -> FileKind | None:
        """Return the kind of file that can hold a value of a fitted field; None if there is none. `raw_value` converts
        its decoded content."""
        return self.file_kind

    def raw_value(self, encoder: FieldEncoder[Any], decoded: Any) -> Any:
        """Return the value in a raw row for the decoded content of a file of `file_kind`: pixels (S, S, 3) from 0 to
        255, samples (L,) at the sampling rate of the field, or a text."""
        return decoded

    def default_settings(
        self, name: str, prepare: Preparation | ImageNormalization, shape: Sequence[int]
    ) -> JsonObject:
        """Return the settings for the default preprocessing of a document, for raw values of `shape`.

        Raises:
            DataError: it does not match such values.
        """
        return {}

    def describes(self, encoder: FieldEncoder[Any]) -> bool:
        """Return whether a fitted field is of this modality."""
        return isinstance(encoder, self.encoders)

    def usual_baseline(self, rows: np.ndarray) -> np.ndarray:
        """Return the default baseline of attributions, an encoded example (1, …), from encoded training rows (R, …)."""
        return self.center(rows)

    def center(self, rows: np.ndarray) -> np.ndarray:
        """Return the mean of encoded rows (R, …), or the nearest equivalent, (1, …)."""
        # A mean in float32 loses digits over thousands of rows.
        return np.asarray(rows.mean(0, keepdims=True, dtype=np.float64).astype(rows.dtype))

    def median(self, encoder: FieldEncoder[Any], rows: np.ndarray) -> np.ndarray:
        """Return the median over encoded rows (R, …), (1, …)."""
        return lower_median(rows)

    def distances(self, rows: np.ndarray, example: np.ndarray) -> np.ndarray:
        """Return the distances (R,) of encoded rows (R, …) from one example (1, …)."""
        apart: np.ndarray = np.square(rows - example).reshape(len(rows), -1).mean(1)
        return apart

    def summaries(self, encoder: FieldEncoder[Any], rows: np.ndarray, training: np.ndarray) -> dict[str, np.ndarray]:
        """Return numbers (R,) by name that summarize encoded rows (R, …), to notice when such data changes.

        `training` are encoded training rows.
        """
        flat = rows.reshape(len(rows), -1).astype(np.float64)
        return {"mean": flat.mean(1), "spread": flat.std(1), "largest value": flat.max(1)}

    def units(self, encoder: FieldEncoder[Any], example: np.ndarray) -> np.ndarray:
        """Return the unit of each number of an encoded example, from 0, in its shape; -1 is padding.

        Explanations perturb the numbers of a unit together.
        """
        return np.arange(example.size).reshape(example.shape)


def lower_median(rows: np.ndarray) -> np.ndarray:
    """Return the median over the first axis (1, …); for an even count the lower one, a value that occurs."""
    middle = (len(rows) - 1) // 2
    return np.partition(rows, middle, axis=0)[middle : middle + 1]
