"""True labels that arrive after a prediction: which values they can have, and how wrong the prediction was.

A task declares the kind of its labels (`Task.true_label`). The model server checks labels, and monitoring measures
errors, by these declarations alone.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from netloom.core.errors import DataError
from netloom.core.text import number
from netloom.modalities.encoding.cells import EncodeError
from netloom.modalities.encoding.tags import IGNORE

if TYPE_CHECKING:
    from netloom.data import Prepared

_MOST_CHARACTERS = 10_000  # of a text
_MOST_TAGS = 10_000  # of a text
_SHOWN = 20  # classes that a message lists


class TrueLabel(ABC):
    """One kind of labels.

    Attributes:
        title: the measure of predictions with such labels.
        is_share: whether a prediction is right or wrong, with the error 0 or 1; otherwise, the error is a distance.
        hint: how a person types a label; "" if labels are chosen from a list, or are single numbers.
    """

    title: ClassVar[str]
    is_share: ClassVar[bool]
    hint: ClassVar[str] = ""

    @property
    def painted(self) -> PaintedLabel | None:
        """The label as one that is painted on the image of its row; None for other labels."""
        return None

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

    @abstractmethod
    def of_rows(self, data: Prepared, rows: np.ndarray) -> list[Any]:
        """Return the labels of rows of the data, given by number (n,)."""

    def check_row(self, data: Prepared, row: Mapping[str, Any], label: Any) -> None:
        """Check that a label fits a raw row.

        Raises:
            DataError: it does not.
        """
        return

    def proposed(self, data: Prepared, row: Mapping[str, Any]) -> Any:
        """Return a label from which a person starts to type that of a raw row; None for nothing."""
        return None

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
        return f"{1 - error:.1%}" if self.is_share else number(error)


class PaintedLabel(TrueLabel):
    """The class of each pixel, which people paint on the image of a row.

    Attributes:
        names: the names of the classes by number.
        shape: the height and the width of a mask.
    """

    names: tuple[str, ...]
    shape: tuple[int, int]

    @property
    def painted(self) -> PaintedLabel:
        return self

    @abstractmethod
    def read_image(self, content: bytes, filename: str) -> list[list[int]]:
        """Return the label in an image file.

        Raises:
            DataError: it cannot be read, or has other values.
        """


@dataclass(frozen=True)
class ClassLabel(TrueLabel):
    """The name of one class."""

    names: tuple[str, ...]
    title: ClassVar[str] = "Accuracy"
    is_share: ClassVar[bool] = True

    @property
    def schema(self) -> Mapping[str, Any]:
        return {"type": "string", "enum": list(self.names)}

    def check(self, label: Any) -> str:
        if not isinstance(label, str) or label not in self.names:
            raise DataError(f"{_shown(label)} is not a class of the model; the classes are {_listed(self.names)}.")
        return label

    def error(self, prediction: Any, label: Any) -> float:
        return float(prediction != label)

    def of_rows(self, data: Prepared, rows: np.ndarray) -> list[str]:
        # A class with tags is the first of the numbers of a row
        return [self.names[int(values.flatten()[0])] for values in data.target[rows]]


@dataclass(frozen=True)
class LabelSet(TrueLabel):
    """The names of all labels that apply."""

    names: tuple[str, ...]
    title: ClassVar[str] = "Subset accuracy"
    is_share: ClassVar[bool] = True

    @property
    def schema(self) -> Mapping[str, Any]:
        return {"type": "array", "items": {"type": "string", "enum": list(self.names)}}

    def check(self, label: Any) -> list[str]:
        if not isinstance(label, list) or not all(isinstance(name, str) for name in label):
            raise DataError(f"The label is a list of the names that apply, received {_shown(label)}.")
        if unknown := [name for name in label if name not in self.names]:
            raise DataError(f"{_shown(unknown[0])} is not a label of the model; it has {_listed(self.names)}.")
        return sorted(set(label))

    def text(self, label: Any) -> str:
        return ", ".join(map(str, label)) if isinstance(label, (list, tuple)) else str(label)

    def in_short(self, label: Any) -> str:
        return self.text(label) or "no label"

    def parse(self, text: str) -> list[str]:
        return self.check([name for name in map(str.strip, text.split(",")) if name])

    def error(self, prediction: Any, label: Any) -> float:
        return float(set(prediction or ()) != set(label))

    def of_rows(self, data: Prepared, rows: np.ndarray) -> list[list[str]]:
        chosen = data.target[rows].numpy() > 0.5
        return [sorted(name for name, applies in zip(self.names, row, strict=True) if applies) for row in chosen]


@dataclass(frozen=True)
class NumberLabel(TrueLabel):
    """One number, in the unit of the data."""

    title: ClassVar[str] = "Mean absolute error"
    is_share: ClassVar[bool] = False

    @property
    def schema(self) -> Mapping[str, Any]:
        return {"type": "number"}

    def check(self, label: Any) -> float:
        if isinstance(label, bool) or not isinstance(label, (int, float)) or not abs(label) < math.inf:
            raise DataError(f"The label is a number, received {_shown(label)}.")
        try:
            return float(label)
        except OverflowError:
            raise DataError("The label is a number that is too large.") from None

    def parse(self, text: str) -> float:
        numbers = _typed_numbers(text)
        if len(numbers) != 1:
            raise DataError(f"The label is one number, received {_shown(text.strip())}.")
        return self.check(numbers[0])

    def error(self, prediction: Any, label: Any) -> float:
        """Return the distance; infinity if the prediction is not a finite number."""
        return _distance([prediction], [label])

    def of_rows(self, data: Prepared, rows: np.ndarray) -> list[float]:
        return [float(value) for value in data.restore(data.target[rows]).flatten().tolist()]


@dataclass(frozen=True)
class WordTags(TrueLabel):
    """The tag of each word of a text, in order. `length` is the number of words that the network reads at most."""

    names: tuple[str, ...]
    length: int
    title: ClassVar[str] = "Exact match"
    is_share: ClassVar[bool] = True
    hint: ClassVar[str] = "One tag for each word and punctuation mark, separated by spaces, such as O O B-place"

    @property
    def schema(self) -> Mapping[str, Any]:
        tag = {"type": "string", "enum": list(self.names)}
        return {"type": "array", "items": tag, "minItems": 1, "maxItems": _MOST_TAGS}

    def check(self, label: Any) -> list[str]:
        if not isinstance(label, list) or not label or not all(isinstance(name, str) for name in label):
            raise DataError(f"The label is a list with one tag for each word, received {_shown(label)}.")
        if unknown := [name for name in label if name not in self.names]:
            raise DataError(f"{_shown(unknown[0])} is not a tag of the model; it has {_listed(self.names)}.")
        if len(label) > _MOST_TAGS:
            raise DataError(f"The label has {len(label):,} tags; a label has at most {_MOST_TAGS:,}.")
        self._check_continued(label)
        return label

    def _check_continued(self, tags: list[str]) -> None:
        """Check that each I- tag continues an entity of its kind: an upload would change it to a B- tag.

        Raises:
            DataError: one does not.
        """
        if not all(name == "O" or name[:2] in ("B-", "I-") for name in self.names):
            return  # such as parts of speech
        for before, tag in zip(["O", *tags], tags, strict=False):
            begin = f"B-{tag[2:]}"
            if tag.startswith("I-") and before not in (begin, tag) and begin in self.names:
                raise DataError(f"{tag[:60]} follows neither {begin[:60]} nor {tag[:60]}; write {begin[:60]}.")

    def check_row(self, data: Prepared, row: Mapping[str, Any], label: Any) -> None:
        words = self._words(data, row)
        if len(label) != words:
            raise DataError(f"The text has {words:,} words and punctuation marks, but the label {len(label):,} tags.")

    def proposed(self, data: Prepared, row: Mapping[str, Any]) -> list[str]:
        return [self.names[0]] * self._words(data, row)

    def text(self, label: Any) -> str:
        return " ".join(map(str, label)) if isinstance(label, (list, tuple)) else str(label)

    def parse(self, text: str) -> list[str]:
        return self.check(text.split())

    def error(self, prediction: Any, label: Any) -> float:
        # Words beyond the length of the network have no predicted tag
        return float(list(prediction) != list(label)[: self.length])

    def of_rows(self, data: Prepared, rows: np.ndarray) -> list[list[str]]:
        return [data.target_text(int(row)).split() for row in rows]

    def _words(self, data: Prepared, row: Mapping[str, Any]) -> int:
        field = data.token_field(data.fields[0].name)
        try:
            return len(field.tokens(field.raw_text(dict(row))))
        except EncodeError as error:
            raise DataError(str(error)) from None


@dataclass(frozen=True)
class ClassWithTags(TrueLabel):
    """The class of a text, and the tag of each of its words: `{"class": NAME, "tags": [TAG, …]}`.

    A class alone measures a prediction, too; a training row needs both.
    """

    classes: ClassLabel
    tags: WordTags
    title: ClassVar[str] = ClassLabel.title
    is_share: ClassVar[bool] = ClassLabel.is_share
    hint: ClassVar[str] = (
        "The class; in the line below, one tag for each word and punctuation mark, such as O O B-place"
    )

    @property
    def schema(self) -> Mapping[str, Any]:
        properties = {"class": self.classes.schema, "tags": self.tags.schema}
        return {"anyOf": [self.classes.schema, {"type": "object", "properties": properties, "required": ["class"]}]}

    def check(self, label: Any) -> Any:
        if not isinstance(label, Mapping):
            return self.classes.check(label)
        if set(label) != {"class", "tags"}:
            raise DataError(f"The label is a class, or has the keys class and tags, received {_shown(label)}.")
        return {"class": self.classes.check(label["class"]), "tags": self.tags.check(label["tags"])}

    def check_row(self, data: Prepared, row: Mapping[str, Any], label: Any) -> None:
        if isinstance(label, Mapping):
            self.tags.check_row(data, row, label["tags"])

    def proposed(self, data: Prepared, row: Mapping[str, Any]) -> Any:
        return {"class": "", "tags": self.tags.proposed(data, row)}

    def text(self, label: Any) -> str:
        if not isinstance(label, Mapping):
            return self.classes.text(label)
        return f"{label.get('class', '')}\n{self.tags.text(label.get('tags', ()))}"

    def in_short(self, label: Any) -> str:
        return self.text(label).replace("\n", ": ")

    def parse(self, text: str) -> Any:
        name, _, tags = text.partition("\n")
        label = name.strip()
        return self.check({"class": label, "tags": tags.split()} if tags.strip() else label)

    def error(self, prediction: Any, label: Any) -> float:
        predicted, expected = (value["class"] if isinstance(value, Mapping) else value for value in (prediction, label))
        return self.classes.error(predicted, expected)

    def of_rows(self, data: Prepared, rows: np.ndarray) -> list[dict[str, Any]]:
        labels = []
        for name, (_, *tags) in zip(self.classes.of_rows(data, rows), data.target[rows].tolist(), strict=True):
            labels.append({"class": name, "tags": [self.tags.names[tag] for tag in tags if tag != IGNORE]})
        return labels

    def is_comparable(self, other: TrueLabel) -> bool:
        return isinstance(other, ClassWithTags) and self.classes.is_comparable(other.classes)


@dataclass(frozen=True)
class TextLabel(TrueLabel):
    """The right text."""

    title: ClassVar[str] = "Exact match"
    is_share: ClassVar[bool] = True
    hint: ClassVar[str] = "The right text"

    @property
    def schema(self) -> Mapping[str, Any]:
        return {"type": "string", "minLength": 1, "maxLength": _MOST_CHARACTERS}

    def check(self, label: Any) -> str:
        if not isinstance(label, str) or not 0 < len(label.strip()) <= _MOST_CHARACTERS:
            raise DataError(f"The label is a text of 1 to {_MOST_CHARACTERS:,} characters, received {_shown(label)}.")
        return label

    def error(self, prediction: Any, label: Any) -> float:
        return float(str(prediction).split() != str(label).split())

    def of_rows(self, data: Prepared, rows: np.ndarray) -> list[str]:
        return [data.target_text(int(row)) for row in rows]


@dataclass(frozen=True)
class ForecastLabel(TrueLabel):
    """The next `horizon` values of each of `series`, in the form of predictions: a list for a single series; otherwise
    an object by series, with lists, or with numbers if the horizon is 1."""

    series: tuple[str, ...]
    horizon: int
    title: ClassVar[str] = "Mean absolute error"
    is_share: ClassVar[bool] = False
    hint: ClassVar[str] = "The numbers of the steps, separated by spaces; one line for each series, such as open: 1.5 2"

    @property
    def schema(self) -> Mapping[str, Any]:
        steps = {"type": "array", "items": {"type": "number"}, "minItems": self.horizon, "maxItems": self.horizon}
        if len(self.series) == 1:
            return steps
        part = {"type": "number"} if self.horizon == 1 else steps
        properties = dict.fromkeys(self.series, part)
        return {"type": "object", "properties": properties, "required": list(self.series)}

    def check(self, label: Any) -> Any:
        return self._formed(self.steps(label))

    def steps(self, label: Any) -> list[list[float]]:
        """Return the values (series, horizon) of a label or a prediction.

        Raises:
            DataError: it has another form.
        """
        by_series = {self.series[0]: label} if len(self.series) == 1 else label
        if not isinstance(by_series, Mapping) or set(by_series) != set(self.series):
            raise DataError(f"The label has the numbers of {_listed(self.series)} by name, received {_shown(label)}.")
        rows = []
        for name in self.series:
            value = by_series[name]
            numbers = value if isinstance(value, list) else [value]
            if len(numbers) != self.horizon:
                raise DataError(
                    f"The label needs {_numbers(self.horizon)} for {name[:60]!r}, one for each step, received "
                    f"{len(numbers)}."
                )
            rows.append([NumberLabel().check(step) for step in numbers])
        return rows

    def is_comparable(self, label: TrueLabel) -> bool:
        return isinstance(label, ForecastLabel) and super().is_comparable(label) and self.horizon == label.horizon

    def text(self, label: Any) -> str:
        return self._lines(label, lambda step: repr(step).removesuffix(".0"))

    def in_short(self, label: Any) -> str:
        return self._lines(label, "{:.6g}".format)

    def _lines(self, label: Any, written: Callable[[float], str]) -> str:
        try:
            rows = self.steps(label)
        except DataError:
            return str(label)
        lines = [" ".join(map(written, row)) for row in rows]
        return lines[0] if len(lines) == 1 else "\n".join(map("{}: {}".format, self.series, lines))

    def parse(self, text: str) -> Any:
        steps: dict[str, list[float]] = {}
        lines = [line for line in text.splitlines() if line.strip()]
        if len(self.series) == 1 and len(lines) != 1:
            raise DataError(f"The label has one line of numbers, received {len(lines)}.")
        for line in lines:
            series_text, colon, cells = line.rpartition(":")
            name = series_text.strip() if colon or len(self.series) > 1 else self.series[0]
            if name not in self.series:
                raise DataError(f"{_shown(name)} is not a series of the model; it has {_listed(self.series)}.")
            if name in steps:
                raise DataError(f"{_shown(name)} has two lines.")
            steps[name] = _typed_numbers(cells)
        return self.check(steps[self.series[0]] if len(self.series) == 1 else steps)

    def error(self, prediction: Any, label: Any) -> float:
        """Return the mean distance of the steps; infinity if the prediction does not consist of finite numbers."""
        by_series = {self.series[0]: prediction} if len(self.series) == 1 else prediction
        if not isinstance(by_series, Mapping):
            return math.inf
        predicted: list[Any] = [by_series.get(name) for name in self.series]
        return _distance([[step] if self.horizon == 1 and np.ndim(step) == 0 else step for step in predicted],
                         self.steps(label))  # fmt: skip

    def of_rows(self, data: Prepared, rows: np.ndarray) -> list[Any]:
        values = data.restore(data.target[rows]).reshape(len(rows), len(self.series), self.horizon)
        return [self._formed(row) for row in values.tolist()]

    def _formed(self, steps: list[list[float]]) -> Any:
        if len(self.series) == 1:
            return steps[0]
        parts = [row[0] for row in steps] if self.horizon == 1 else steps
        return dict(zip(self.series, parts, strict=True))


def _names(schema: Mapping[str, Any]) -> set[str]:
    """Return the classes, labels, tags or series; none for a number, a text, or the steps of one series."""
    return set(schema.get("enum", schema.get("properties", schema.get("items", {}).get("enum", ()))))


def _distance(prediction: Any, label: Any) -> float:
    """Return the mean distance of numbers; infinity if the prediction has another shape, or is not finite numbers."""
    try:
        predicted = np.asarray(prediction, dtype=np.float64)
    except (TypeError, ValueError):
        return math.inf
    if predicted.shape != np.shape(label) or not np.isfinite(predicted).all():
        return math.inf
    return float(np.abs(predicted - np.asarray(label, dtype=np.float64)).mean())


def _typed_numbers(text: str) -> list[float]:
    """Return the numbers of a line.

    Raises:
        DataError: a part of it is not a number.
    """
    if re.search(r"\d,\d", text):
        raise DataError(f"Separate the numbers by spaces, received {_shown(text.strip())}; write 1.5 with a point.")
    try:
        return [float(cell) for cell in re.split(r"[\s,;]+", text.strip())]
    except ValueError:
        raise DataError(f"The label consists of numbers, received {_shown(text.strip())}.") from None


def _numbers(count: int) -> str:
    return f"{count} number{'s' * (count != 1)}"


def _shown(label: Any) -> str:
    return repr(label)[:60]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:_SHOWN])) + (", …" if len(names) > _SHOWN else "")
