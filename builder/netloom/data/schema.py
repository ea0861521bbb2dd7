"""The interface of a dataset: its fields, its target, and examples."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

from netloom.data.mask_values import MaskValues
from netloom.modalities.field_spec import FieldSpec

TargetKind = Literal[
    "class",
    "number",
    "labels",
    "several",
    "next_token",
    "mask",
    "boxes",
    "tags",
    "class_and_tags",
    "sequence",
    "action",
]


@dataclass(frozen=True)
class TargetType:
    """The properties of one kind of target. Its values are fitted, encoded and written in `netloom.data.targets`.

    Args:
        phrase: What is predicted, as the end of a sentence such as "the data has …".
        usual_task: The default task of data with such a target, a name of `netloom.tasks`.
        is_class: Each row has one of several classes.
        is_multi_label: Each row has any number of labels.
        is_number: Each row has numbers.
        is_action: A row is a step of an agent, and its target the action that was taken.
        is_per_pixel: Each pixel has a class.
        is_boxes: An image has any number of objects, each with a box and a class.
        is_per_token: Each token has a tag.
        is_text: The target is a text, such as an answer.
        continues_text: The target is the text itself, one token later.
        has_class: The target includes one class for the whole row.
        is_several: A row has several targets, each a class or a number.
    """

    phrase: str
    usual_task: str
    is_class: bool = False
    is_multi_label: bool = False
    is_number: bool = False
    is_action: bool = False
    is_per_pixel: bool = False
    is_boxes: bool = False
    is_per_token: bool = False
    is_text: bool = False
    continues_text: bool = False
    has_class: bool = False
    is_several: bool = False

    @property
    def is_one_of(self) -> bool:
        """Whether the target of a row is the number of one of `classes`."""
        return self.is_class or self.is_action

    @property
    def counted(self) -> str:
        """What has a class of its own, as the name of a number of them."""
        if self.is_boxes:
            return "objects"
        return "words" if self.is_tags else "rows"

    @property
    def is_in_image(self) -> bool:
        """Whether the target consists of places in an image, which move with it."""
        return self.is_per_pixel or self.is_boxes

    @property
    def is_label_set(self) -> bool:
        """Whether a row as a whole has some of `classes`."""
        return self.is_class or self.is_multi_label

    @property
    def is_row_level(self) -> bool:
        """Whether a row as a whole has classes, labels or numbers."""
        return self.is_label_set or self.is_number or self.is_several

    @property
    def is_single_value(self) -> bool:
        """Whether the target of a row is a class or a number."""
        return self.is_class or self.is_number

    @property
    def is_tags(self) -> bool:
        """Whether there is a tag for each token, and nothing else."""
        return self.is_per_token and not self.has_class

    @property
    def is_per_position(self) -> bool:
        """Whether there is a target for each position of a text."""
        return self.continues_text or self.is_text or self.is_tags


TARGET_TYPES: dict[str, TargetType] = {
    "class": TargetType("classes", "classification", is_class=True, has_class=True),
    "number": TargetType("numbers", "regression", is_number=True),
    "labels": TargetType("labels, any number of which apply", "multi_label", is_multi_label=True),
    "several": TargetType("several targets side by side", "several_outputs", is_several=True),
    "next_token": TargetType("the next token", "language_modeling", continues_text=True),
    "mask": TargetType("a class for each pixel", "segmentation", is_per_pixel=True),
    "boxes": TargetType("objects, each with a box and a class", "detection", is_boxes=True),
    "tags": TargetType("a tag for each word", "tagging", is_per_token=True),
    "class_and_tags": TargetType(
        "a class, and a tag for each word", "class_and_tags", is_per_token=True, has_class=True
    ),
    "sequence": TargetType("a text as the answer", "seq2seq", is_text=True),
    "action": TargetType("actions to choose from", "dqn", is_action=True),
}


def target_type_of_task(task: object) -> TargetType | None:
    """Return the kind of target whose default task this is; None if there is none."""
    return next((target_type for target_type in TARGET_TYPES.values() if target_type.usual_task == task), None)


@dataclass(frozen=True)
class ForecastTarget:
    """The next `horizon` values of each of `series`: the numbers of the target, one series after the other."""

    series: tuple[str, ...]
    horizon: int

    @property
    def numbers(self) -> tuple[str, ...]:
        """The name of each number, such as "price +3"."""
        if self.horizon == 1:
            return self.series
        return tuple(f"{name} +{step}" for name in self.series for step in range(1, self.horizon + 1))


@dataclass(frozen=True)
class TargetSpec:
    """The target of a dataset.

    One of `classes`; numbers of the given shape; the next token; one of `classes` for each pixel (mask) or each token
    (tags), of the given shape; at most `shape[0]` objects with a box and one of `classes` each; one of `classes` for
    the row with one of `tags` for each token; or a text of tokens (sequence), which the last field contains as far as
    it is written. For labels, any number of `classes`; for several targets, `parts`, which are classes and numbers.
    `forecast` tells which future values the numbers are, if they are, and `columns` the column of each of several
    numbers. `mask_values` are those of the classes in the
    files of masks, where they are known.
    """

    kind: TargetKind
    name: str = "target"
    classes: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    tags: tuple[str, ...] = ()
    parts: tuple[TargetSpec, ...] = ()
    forecast: ForecastTarget | None = None
    columns: tuple[str, ...] = ()
    mask_values: MaskValues | None = None

    @property
    def number_names(self) -> tuple[str, ...]:
        """The name of each of the numbers; () if the target does not consist of numbers."""
        if self.forecast is not None:
            return self.forecast.numbers
        count = prod(self.shape)
        if not self.type.is_number:
            return ()
        if self.columns:
            return self.columns
        return (self.name,) if count == 1 else tuple(f"{self.name} {number + 1}" for number in range(count))

    @property
    def form(self) -> tuple[object, ...]:
        """What is predicted, as a value that is equal for targets that differ in the order of their classes alone."""
        parts = tuple(part.form for part in self.parts)
        return self.kind, frozenset(self.classes), frozenset(self.tags), self.number_names, self.forecast, parts

    @property
    def type(self) -> TargetType:
        """The properties of this kind of target."""
        return TARGET_TYPES[self.kind]


@dataclass(frozen=True)
class Schema:
    """The fields, the target and the number of rows."""

    inputs: tuple[FieldSpec, ...]
    target: TargetSpec
    rows: int

    def has_form_of(self, other: Schema) -> bool:
        """Return whether raw rows of both data have the same fields and the same target, as those of a version have.

        The sizes of vectors and texts follow from the training rows, so they may differ, as may the order of classes.
        """
        fields = [[(field.name, field.kind) for field in one.inputs] for one in (self, other)]
        images = [[field.shape for field in one.inputs if field.is_image] for one in (self, other)]
        return fields[0] == fields[1] and images[0] == images[1] and self.target.form == other.target.form


@dataclass(frozen=True)
class DatasetInfo:
    """A dataset in a list. `name` is the name in the data section of documents, `known_as` the one others use."""

    name: str
    title: str
    kind: str
    task: str
    summary: str
    rows: int | None = None
    builtin: bool = True
    columns: tuple[str, ...] = ()
    known_as: str = ""

    @property
    def label(self) -> str:
        """The title with the name that others use."""
        return f"{self.title} ({self.known_as})" if self.known_as else self.title


@dataclass(frozen=True)
class Example:
    """One row for display. The kind of data determines which attributes are set.

    `image` is (H, W) or (H, W, 3) with values from 0 to 1, `mask` (H, W) the class of each pixel, `boxes` (objects, 5)
    the number of one of `classes` and the box of each object as in `data.boxes`; `series` is (T, D) in the units of the
    data; `tags` belong to the words of the text. `images` are by field for data with several fields. `answer` is the
    text generated so far. `words` are the tokens by field for data with several texts.
    """

    row: int
    target: str
    image: Any = None
    columns: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    tokens: tuple[str, ...] = ()
    series: Any = None
    mask: Any = None
    boxes: Any = None
    classes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    images: dict[str, Any] = field(default_factory=dict)
    answer: str = ""
    words: dict[str, tuple[str, ...]] = field(default_factory=dict)
