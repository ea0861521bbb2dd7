"""The base of all modalities. A new module in this package with a class derived from it adds one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from netloom.document import ImageNormalization, Preparation
from netloom.modalities.encoding.field_encoder import FieldEncoder
from netloom.modalities.field_spec import FieldSpec, Kind
from netloom.modalities.settings import Settings

Fitted = dict[str, Any]
TrainingValuesT = TypeVar("TrainingValuesT")


class Editor(Enum):
    """The widget with which people change the value of a field in a raw row."""

    COLUMNS = auto()
    IMAGE = auto()
    SERIES = auto()
    TEXT = auto()
    NONE = auto()  # the network writes the value itself


class Modality(ABC, Generic[TrainingValuesT]):
    """What an input field of a network holds. `TrainingValuesT` are the values from which `fit` learns.

    Args:
        order: The place in lists.
        kind: The kind of tensor that the network receives, as an Input layer declares it.
        encoders: The encodings under which such a field is stored.
        editor: The widget that changes an example.
        phrase: What a network reads, as the end of a sentence such as "this network reads …".
        rows_phrase: The rows of such data, in "the mean of the training …".
        settings: The settings that a document may give for such a field.
        scale_setting: The one of them that says how its numbers are scaled; empty where nothing is scaled by a field.
        usual_baseline_phrase: What `usual_baseline` returns, as the end of "compared with …".
        center_phrase: The same for `center`, in "the … of the training rows".
        has_padding: Places may be empty, and a baseline may consist of nothing else.
        has_words: Tokens are parts of a text of people, which can do without some of them.
        has_brightness: Values are between black and white, and neighbors in space are alike.
        is_blendable: A mixture of examples is again such an example, so that means of rows make sense.
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

    @abstractmethod
    def fit(self, name: str, values: TrainingValuesT, settings: Mapping[str, Any]) -> Fitted:
        """What the encoder of the field `name` needs, as plain JSON, from the training rows alone."""

    @abstractmethod
    def preprocessing(self, encoder: FieldEncoder[Any]) -> str:
        """How raw values become numbers, in words, for people who read about a dataset."""

    def spec(self, encoder: FieldEncoder[Any], names: Sequence[str] = ()) -> FieldSpec:
        """The field as a network sees it. `names` are those of the last axis where the data has them."""
        columns = encoder.feature_names or tuple(names)
        return FieldSpec(encoder.name, self.kind, encoder.shape, encoder.vocabulary_size, columns)

    def default_settings(
        self, name: str, prepare: Preparation | ImageNormalization, shape: Sequence[int]
    ) -> dict[str, Any]:
        """The settings that follow from what a document does to all numbers and pixels, for raw values of `shape`.

        Raises:
            DataError: it does not fit such values.
        """
        return {}

    def describes(self, encoder: FieldEncoder[Any]) -> bool:
        """Whether a fitted field is of this modality."""
        return isinstance(encoder, self.encoders)

    def usual_baseline(self, rows: np.ndarray) -> np.ndarray:
        """The encoded example (1, …) that stands for "nothing", from encoded training rows (R, …)."""
        return self.center(rows)

    def center(self, rows: np.ndarray) -> np.ndarray:
        """The mean of encoded rows (R, …), or what comes nearest to it, (1, …)."""
        # A mean in float32 loses digits over thousands of rows.
        return np.asarray(rows.mean(0, keepdims=True, dtype=np.float64).astype(rows.dtype))

    def median(self, encoder: FieldEncoder[Any], rows: np.ndarray) -> np.ndarray:
        """The median of each number of encoded rows (R, …), (1, …)."""
        return lower_median(rows)

    def distances(self, rows: np.ndarray, other: np.ndarray) -> np.ndarray:
        """How far encoded rows (R, …) are from one example (1, …), (R,)."""
        apart: np.ndarray = np.square(rows - other).reshape(len(rows), -1).mean(1)
        return apart

    def units(self, encoder: FieldEncoder[Any], example: np.ndarray) -> np.ndarray:
        """The parts of an encoded example (…) that belong together, as numbers from 0 in its shape; -1 is padding."""
        return np.arange(example.size).reshape(example.shape)


def lower_median(rows: np.ndarray) -> np.ndarray:
    """The median over the first axis (1, …); of an even count the lower one, so that it is a value that occurs."""
    middle = (len(rows) - 1) // 2
    return np.partition(rows, middle, axis=0)[middle : middle + 1]
