"""True labels of the words of a text: their tags, alone or beside the class of the text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from netloom.core.errors import DataError
from netloom.core.text import counted
from netloom.modalities.encoding.cells import EncodeError
from netloom.modalities.encoding.tags import IGNORE
from netloom.tasks.true_labels.classes import ClassLabel
from netloom.tasks.true_labels.messages import listed, shown
from netloom.tasks.true_labels.true_label import TrueLabel

if TYPE_CHECKING:
    from netloom.data import Prepared

_MAX_TAGS = 10_000  # of a text


@dataclass(frozen=True)
class WordTags(TrueLabel):
    """The tag of each word of a text, in order. `length` is the number of words that the network reads at most."""

    names: tuple[str, ...]
    length: int
    title: ClassVar[str] = "Exact match"
    is_share: ClassVar[bool] = True
    corrects_prediction: ClassVar[bool] = True
    hint: ClassVar[str] = "One tag for each word and punctuation mark, separated by spaces, such as O O B-place"

    @property
    def schema(self) -> Mapping[str, Any]:
        tag = {"type": "string", "enum": list(self.names)}
        return {"type": "array", "items": tag, "minItems": 1, "maxItems": _MAX_TAGS}

    def check(self, label: Any) -> list[str]:
        if not isinstance(label, list) or not label or not all(isinstance(name, str) for name in label):
            raise DataError(f"The label must be a list with one tag for each word, received {shown(label)}.")
        if unknown := [name for name in label if name not in self.names]:
            raise DataError(f"{shown(unknown[0])} is not a tag of the model; it has {listed(self.names)}.")
        if len(label) > _MAX_TAGS:
            raise DataError(f"The label has {len(label):,} tags; a label has at most {_MAX_TAGS:,}.")
        self._check_continued(label)
        return label

    def _check_continued(self, tags: list[str]) -> None:
        """Check that each I- tag continues an entity of its kind: an upload would change it to a B- tag.

        Raises:
            DataError: one does not.
        """
        for tag, begin in zip(tags, self._begun(tags), strict=True):
            if tag != begin:
                raise DataError(f"{tag[:60]} follows neither {begin[:60]} nor {tag[:60]}; write {begin[:60]}.")

    def _begun(self, tags: list[str]) -> list[str]:
        """Return the tags with a B- tag for each I- tag that does not continue an entity of its kind."""
        if not all(name == "O" or name[:2] in ("B-", "I-") for name in self.names):
            return tags  # such as parts of speech
        return [
            begin if tag.startswith("I-") and before not in (begin, tag) and begin in self.names else tag
            for before, tag in zip(["O", *tags], tags, strict=False)
            for begin in [f"B-{tag[2:]}"]
        ]

    def as_label(self, prediction: Any) -> Any:
        return self._begun(list(prediction)) if isinstance(prediction, (list, tuple)) else prediction

    def check_row(self, data: Prepared, row: Mapping[str, Any], label: Any) -> None:
        words = self._words(data, row)
        if len(label) != words:
            raise DataError(
                f"The text has {words:,} words and punctuation marks, but the label has {counted(len(label), 'tag')}."
            )

    def proposed(self, data: Prepared, row: Mapping[str, Any], prediction: Any = None) -> list[str]:
        words = self._words(data, row)
        tags = self._begun(list(prediction or ()))[:words]
        # Words beyond the length of the network have no predicted tag
        return tags + [self.names[0]] * (words - len(tags))

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
    has_parts: ClassVar[bool] = True
    corrects_prediction: ClassVar[bool] = True
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
            raise DataError(f"The label must be a class, or have the keys class and tags, received {shown(label)}.")
        return {"class": self.classes.check(label["class"]), "tags": self.tags.check(label["tags"])}

    def check_row(self, data: Prepared, row: Mapping[str, Any], label: Any) -> None:
        if isinstance(label, Mapping):
            self.tags.check_row(data, row, label["tags"])

    def proposed(self, data: Prepared, row: Mapping[str, Any], prediction: Any = None) -> Any:
        tags = prediction["tags"] if isinstance(prediction, Mapping) else None
        return {"class": "", "tags": self.tags.proposed(data, row, tags)}

    def completed(self, label: Any, answer: Mapping[str, Any]) -> Any:
        # The log has the class of an answer alone, and a reported label can be a class alone
        return label if isinstance(label, Mapping) else {"class": label, "tags": answer["tags"]}

    def as_label(self, prediction: Any) -> Any:
        if not isinstance(prediction, Mapping):
            return prediction
        return {**prediction, "tags": self.tags.as_label(prediction["tags"])}

    def text(self, label: Any) -> str:
        if not isinstance(label, Mapping):
            return self.classes.text(label)
        return f"{label.get('class', '')}\n{self.tags.text(label.get('tags', ()))}"

    def in_short(self, label: Any) -> str:
        return self.text(label).replace("\n", ": ")

    def parse(self, text: str) -> Any:
        name, _, tags = text.partition("\n")
        label = name.strip()
        if not label:
            raise DataError(f"Write the class in the first line; the classes are {listed(self.classes.names)}.")
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
