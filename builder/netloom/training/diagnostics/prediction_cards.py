"""The cards of the prediction history: examples and predictions in a form that a page can draw.

There are six kinds: images, masks, objects, series, texts and numbers. In files, each has a key that the others lack.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NotRequired, Required, Self, TypedDict, cast

import numpy as np

from netloom.data.boxes import ImageObject, image_objects
from netloom.modalities.encoding.tags import IGNORE

# Limits of stored examples: pixels per side of an image, characters of a text, points of a series, objects.
SIDE, LETTERS, POINTS, OBJECTS = 64, 200, 200, 30


class PackedImage(TypedDict):
    """Integers from 0 to 255 (H, W) or (H, W, channels): `shape`, and the bytes in base64."""

    shape: list[int]
    data: str


class ClassMask(TypedDict):
    """A mask (H, W) of class numbers, and the names of the classes."""

    classes: PackedImage
    names: list[str]


class ObjectBoxes(TypedDict):
    """The class number and the box of each object (objects, 5), as in `netloom.data.boxes`, and the class names."""

    boxes: list[list[float]]
    names: list[str]


class CardJson(TypedDict, total=False):
    """A card in files: the keys of its kind."""

    picture: PackedImage
    classes: PackedImage
    names: list[str]
    boxes: list[list[float]]
    scores: list[float]
    series: list[list[float]]
    text: str
    share: float
    values: list[float]


class ExampleJson(CardJson):
    """An example in files: its row, the card of its input, and its target."""

    row: Required[int]
    true: Required[str]
    truth: NotRequired[ClassMask | ObjectBoxes]


@dataclass(frozen=True)
class ImageCard:
    """An image (H, W, channels)."""

    key: ClassVar[str] = "picture"
    image: PackedImage

    @classmethod
    def of(cls, values: np.ndarray) -> Self:
        """Return the card of an image (H, W) or (H, W, 1 or 3) with values from 0 to 1, subsampled to at most `SIDE`
        pixels per side."""
        image = values[:, :, None] if values.ndim == 2 else values
        return cls(packed((np.nan_to_num(image).clip(0, 1) * 255).round()))

    @classmethod
    def from_json(cls, state: CardJson) -> Self:
        return cls(state["picture"])

    def to_json(self) -> CardJson:
        return {"picture": self.image}


@dataclass(frozen=True)
class MaskCard:
    """A class for each pixel (H, W): indices of `names`, or beyond them for void pixels."""

    key: ClassVar[str] = "classes"
    classes: PackedImage
    names: tuple[str, ...]

    @classmethod
    def of(cls, values: np.ndarray, names: tuple[str, ...]) -> Self:
        """Return the card of class indices (H, W), below 0 for void pixels."""
        return cls(packed(np.where(values < 0, len(names), values)), names)

    def numbers(self) -> np.ndarray:
        """Return the class indices (H, W), `IGNORE` for void pixels."""
        values = unpacked(self.classes).astype(np.int64)
        return np.where(values < len(self.names), values, IGNORE)

    @classmethod
    def from_json(cls, state: CardJson) -> Self:
        return cls(state["classes"], tuple(state["names"]))

    def to_json(self) -> CardJson:
        return {"classes": self.classes, "names": list(self.names)}


@dataclass(frozen=True)
class ObjectsCard:
    """The objects in an image: the class number and the box of each (objects, 5), the names of all classes, and the
    scores of predicted objects."""

    key: ClassVar[str] = "boxes"
    boxes: list[list[float]]
    names: tuple[str, ...]
    scores: list[float] | None = None

    @property
    def objects(self) -> tuple[ImageObject, ...]:
        """The objects with their names."""
        return image_objects(self.boxes, self.names, self.scores)

    @classmethod
    def of(cls, objects: Sequence[ImageObject], names: tuple[str, ...]) -> Self:
        """Return the card of predicted objects, highest score first; of many, the first."""
        few = objects[:OBJECTS]
        boxes = [[item.number, *(round(side, 4) for side in item.box)] for item in few]
        return cls(boxes, names, [round(item.score or 0.0, 4) for item in few])

    @classmethod
    def from_json(cls, state: CardJson) -> Self:
        return cls(state["boxes"], tuple(state["names"]), state.get("scores"))

    def to_json(self) -> CardJson:
        shown: CardJson = {"boxes": self.boxes, "names": list(self.names)}
        return shown if self.scores is None else {**shown, "scores": self.scores}


@dataclass(frozen=True)
class SeriesCard:
    """A series (T, channels)."""

    key: ClassVar[str] = "series"
    values: list[list[float]]

    @classmethod
    def of(cls, values: np.ndarray) -> Self:
        """Return the card of a series (T, channels), subsampled to at most `POINTS` steps."""
        apart = max(1, -(-len(values) // POINTS))
        return cls(values[::apart].round(5).tolist())

    @classmethod
    def from_json(cls, state: CardJson) -> Self:
        return cls(state["series"])

    def to_json(self) -> CardJson:
        return {"series": self.values}


@dataclass(frozen=True)
class TextCard:
    """A text, such as the name of a class. `share` is the probability of a predicted class."""

    key: ClassVar[str] = "text"
    text: str
    share: float | None = None

    @classmethod
    def from_json(cls, state: CardJson) -> Self:
        return cls(state["text"], state.get("share"))

    def to_json(self) -> CardJson:
        return {"text": self.text} if self.share is None else {"text": self.text, "share": self.share}


@dataclass(frozen=True)
class NumbersCard:
    """Numbers in the units of the data."""

    key: ClassVar[str] = "values"
    values: list[float]

    @classmethod
    def from_json(cls, state: CardJson) -> Self:
        return cls(state["values"])

    def to_json(self) -> CardJson:
        return {"values": self.values}


Card = ImageCard | MaskCard | ObjectsCard | SeriesCard | TextCard | NumbersCard
InputCard = ImageCard | SeriesCard | TextCard
TargetCard = MaskCard | ObjectsCard | NumbersCard


def input_card(state: CardJson) -> InputCard | None:
    """Return the input in the JSON of an example; None if it has no input, as for an image made from noise."""
    kinds = (ImageCard, SeriesCard, TextCard)
    return next((kind.from_json(state) for kind in kinds if kind.key in state), None)


def prediction_card(state: CardJson) -> Card:
    """Return the prediction in its JSON.

    Raises:
        ValueError: it is none of the kinds of cards.
    """
    for kind in (ImageCard, MaskCard, ObjectsCard, SeriesCard, TextCard, NumbersCard):
        if kind.key in state:
            return kind.from_json(state)
    raise ValueError(f"A prediction has one of the kinds of cards, received the keys {sorted(state)}.")


@dataclass(frozen=True)
class ExampleCard:
    """An example: the number of its row, its input, and its true target, as text and as a mask, objects or numbers.

    `true` is empty if there is not one right answer.
    """

    row: int
    true: str
    input: InputCard | None = None
    target: TargetCard | None = None

    @property
    def is_generated(self) -> bool:
        """Whether it is generated from noise, and unrelated to the row of the data."""
        return self.input is None and self.target is None

    @classmethod
    def from_json(cls, state: ExampleJson) -> Self:
        """Return the example of a file."""
        target: TargetCard | None = None
        if "truth" in state:
            truth = cast(CardJson, state["truth"])
            target = ObjectsCard.from_json(truth) if ObjectsCard.key in truth else MaskCard.from_json(truth)
        elif NumbersCard.key in state:
            target = NumbersCard.from_json(state)
        return cls(int(state["row"]), state["true"], input_card(state), target)

    def to_json(self) -> ExampleJson:
        """Return the example as plain JSON."""
        shown = self.input.to_json() if self.input is not None else CardJson()
        state = cast(ExampleJson, {"row": self.row, **shown, "true": self.true})
        match self.target:
            case MaskCard(classes, names):
                state["truth"] = {"classes": classes, "names": list(names)}
            case ObjectsCard(boxes, names):
                state["truth"] = {"boxes": boxes, "names": list(names)}
            case NumbersCard(values):
                state["values"] = values
        return state


def packed(values: np.ndarray) -> PackedImage:
    """Encode integers from 0 to 255 as text, subsampled if a side has more than `SIDE`."""
    apart = -(-max(values.shape[:2]) // SIDE)
    few = np.ascontiguousarray(values[::apart, ::apart].clip(0, 255).astype(np.uint8))
    return {"shape": list(few.shape), "data": base64.b64encode(few.tobytes()).decode()}


def unpacked(value: PackedImage) -> np.ndarray:
    """Decode the text of `packed`.

    Raises:
        ValueError: its length does not match its shape.
    """
    return np.frombuffer(base64.b64decode(value["data"]), np.uint8).reshape(value["shape"])
