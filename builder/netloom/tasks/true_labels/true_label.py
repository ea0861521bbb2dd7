"""The contract of true labels: what a kind of labels can do, whether people type or paint them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from netloom.core.text import number

if TYPE_CHECKING:
    from netloom.data import Prepared


class TrueLabel(ABC):
    """One kind of labels.

    Attributes:
        title: the measure of predictions with such labels.
        is_share: whether a prediction is right or wrong, with the error 0 or 1; otherwise, the error is a distance.
        is_fraction: whether the errors are fractions from 0 to 1, such as that of wrong pixels.
        hint: how a person types a label; "" if labels are chosen from a list, or are single numbers.
        corrects_prediction: whether people correct the predicted label instead of entering all of it.
        has_parts: whether a label has parts that the prediction of a logged request lacks, see `completed`.
    """

    title: ClassVar[str]
    is_share: ClassVar[bool]
    is_fraction: ClassVar[bool] = False
    hint: ClassVar[str] = ""
    has_parts: ClassVar[bool] = False
    corrects_prediction: ClassVar[bool] = False

    @property
    def painted(self) -> PaintedLabel | None:
        """The label as one that is painted on the image of its row; None for other labels."""
        return None

    @property
    def boxed(self) -> BoxedLabel | None:
        """The label as one that consists of boxes in the image of its row; None for other labels."""
        return None

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns or series of a label, whose errors are reported one by one as well; () if there is
        one number at most."""
        return ()

    @property
    @abstractmethod
    def schema(self) -> Mapping[str, Any]:
        """The JSON schema of a label."""

    @abstractmethod
    def check(self, label: Any) -> Any:
        """Return a label from JSON.

        Raises:
            DataError: the data cannot have this label.
        """

    @abstractmethod
    def error(self, prediction: Any, label: Any) -> float:
        """Return how wrong a prediction is."""

    def differences(self, prediction: Any, label: Any) -> np.ndarray | None:
        """Return the differences of a prediction and a label, (columns, steps), in the units of `columns`; None without
        columns, and if the prediction does not consist of finite numbers."""
        return None

    def measured_with(self, data: Prepared) -> TrueLabel:
        """Return these labels with the scales of the data of a run, by which their errors are measured."""
        return self

    @abstractmethod
    def of_rows(self, data: Prepared, rows: np.ndarray) -> list[Any]:
        """Return the labels of rows of the data, given by number (n,)."""

    def check_row(self, data: Prepared, row: Mapping[str, Any], label: Any) -> None:
        """Check that a label fits a raw row.

        Raises:
            DataError: it does not.
        """
        return

    def proposed(self, data: Prepared, row: Mapping[str, Any], prediction: Any = None) -> Any:
        """Return a label from which a person starts to enter that of a raw row; None for nothing.

        Args:
            prediction: The prediction of the row, if it is known; see `corrects_prediction`.
        """
        return None

    def completed(self, label: Any, answer: Mapping[str, Any]) -> Any:
        """Return a label, or the prediction of a logged request, with the parts that it lacks from an answer of the run
        for its row: a person then corrects them instead of typing all of them."""
        return label

    def as_label(self, prediction: Any) -> Any:
        """Return a prediction as the label from which a person starts to correct it: a valid one, if it is close."""
        return prediction

    def text(self, label: Any) -> str:
        """Return a label or a prediction as a person reads and types it."""
        return str(label)

    def in_short(self, label: Any) -> str:
        """Return a label or a prediction for a caption, where numbers can be rounded."""
        return self.text(label)

    def parse(self, text: str) -> Any:
        """Return the label that a person typed.

        Raises:
            DataError: the data cannot have this label.
        """
        return self.check(text)

    def is_comparable(self, label: TrueLabel) -> bool:
        """Return whether the errors of predictions with labels of another kind can be compared with those of this."""
        return type(self) is type(label) and _names(self.schema) == _names(label.schema)

    def written(self, error: float) -> str:
        """Return a mean error as the measure that `title` names."""
        if self.is_share:
            return f"{1 - error:.1%}"
        return f"{error:.1%}" if self.is_fraction and math.isfinite(error) else number(error)


class PaintedLabel(TrueLabel):
    """The class of each pixel, which people paint on the image of a row.

    Attributes:
        names: the names of the classes by number.
        shape: the height and the width of a mask.
    """

    names: tuple[str, ...]
    shape: tuple[int, int]
    corrects_prediction: ClassVar[bool] = True

    @property
    def painted(self) -> PaintedLabel:
        return self

    def proposed(self, data: Prepared, row: Mapping[str, Any], prediction: Any = None) -> Any:
        return prediction

    @abstractmethod
    def read_image(self, content: bytes, filename: str) -> list[list[int]]:
        """Return the label in an image file.

        Raises:
            DataError: it cannot be read, or has other values.
        """


class BoxedLabel(TrueLabel):
    """Objects with a box and a class each, which people draw on the image of a row, or type.

    Attributes:
        names: the names of the classes.
    """

    names: tuple[str, ...]
    corrects_prediction: ClassVar[bool] = True

    @property
    def boxed(self) -> BoxedLabel:
        return self


def _names(schema: Mapping[str, Any]) -> set[str]:
    """Return the classes, labels, tags or series; none for a number, a text, or the steps of one series."""
    return set(schema.get("enum", schema.get("properties", schema.get("items", {}).get("enum", ()))))
