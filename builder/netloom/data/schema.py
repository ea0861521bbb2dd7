"""What a dataset looks like from outside: its fields, its target, one example."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["vector", "sequence", "image", "tokens"]
TargetKind = Literal[
    "class", "number", "labels", "several", "next_token", "mask", "tags", "class_and_tags", "sequence", "action"
]

# What data with each kind of target is used for unless a person chooses another task; the names are those of `tasks/`.
USUAL_TASKS: dict[str, str] = {
    "class": "classification",
    "number": "regression",
    "mask": "segmentation",
    "tags": "tagging",
    "class_and_tags": "class_and_tags",
    "sequence": "seq2seq",
    "next_token": "language_modelling",
    "labels": "multi_label",
    "several": "several_outputs",
    "action": "dqn",
}


class DataError(ValueError):
    """Data that cannot be read or used; the message is one sentence that says what, where and how to mend it."""


@dataclass(frozen=True)
class FieldSpec:
    """One input of an example. `shape` is without the batch axis; `columns` names the features of a vector."""

    name: str
    kind: Kind
    shape: tuple[int, ...]
    vocabulary: int | None = None
    columns: tuple[str, ...] = ()

    def parameters(self) -> dict[str, Any]:
        """The parameters of an Input that reads this field."""
        return {"field": self.name, "kind": self.kind, "shape": list(self.shape), "vocabulary": self.vocabulary}


@dataclass(frozen=True)
class TargetSpec:
    """What is to be predicted: one of `classes`, numbers of the given shape, the next token, one of `classes` for each
    pixel (mask) or each token (tags), of the given shape, both one of `classes` and one of `tags` for each token, or a
    text (sequence) of so many tokens, which the last field holds as far as it is written. Of labels, any number of
    `classes`; of several, each of `parts`, which are classes and numbers."""

    kind: TargetKind
    name: str = "target"
    classes: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    tags: tuple[str, ...] = ()
    parts: tuple[TargetSpec, ...] = ()


@dataclass(frozen=True)
class Schema:
    """The fields, the target and the number of rows."""

    inputs: tuple[FieldSpec, ...]
    target: TargetSpec
    rows: int


@dataclass(frozen=True)
class DatasetInfo:
    """A dataset in a list. `name` is what a document's data section holds."""

    name: str
    title: str
    kind: str
    task: str
    summary: str
    rows: int | None = None
    builtin: bool = True
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Example:
    """One row as people see it. Which of the fields is filled depends on the kind of data.

    `image` is (H, W) or (H, W, 3) with values from 0 to 1, `mask` (H, W) the class of each pixel; `series` is (T, D) in
    the data's own units; `tags` belong to the words of the text. `images` by field, where the data has several fields.
    `answer` is what is already written of an answer that is a text. `words` holds the tokens by field, where the data
    has several texts.
    """

    row: int
    target: str
    image: Any = None
    columns: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    tokens: tuple[str, ...] = ()
    series: Any = None
    mask: Any = None
    tags: tuple[str, ...] = ()
    images: dict[str, Any] = field(default_factory=dict)
    answer: str = ""
    words: dict[str, tuple[str, ...]] = field(default_factory=dict)
