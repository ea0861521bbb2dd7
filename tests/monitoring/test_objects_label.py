"""True labels of objects in images: what people type, draw and send."""

from __future__ import annotations

from typing import Any

import pytest

from netloom.core.errors import DataError
from netloom.tasks.true_labels import ObjectsLabel

LABEL = ObjectsLabel(("car", "traffic light"))


def item(name: str, *box: float) -> dict[str, Any]:
    return {"class": name, "box": list(box)}


def test_typed_objects_are_read_and_written() -> None:
    objects = [item("traffic light", 0.1, 0.2, 0.3, 0.4), item("car", 0.0, 0.0, 1.0, 1.0)]
    assert LABEL.text(objects) == "traffic light 0.1 0.2 0.3 0.4\ncar 0 0 1 1"
    assert LABEL.parse(LABEL.text(objects)) == objects
    assert LABEL.parse("\n  car 0 .25  1e-1 1 \n") == [item("car", 0.0, 0.25, 0.1, 1.0)]
    assert LABEL.parse(LABEL.text([])) == []
    assert LABEL.in_short([*objects, objects[1]]) == "2 × car, traffic light"
    assert LABEL.written(0.0598) == "6.0%"


def test_a_prediction_becomes_a_valid_label() -> None:
    predicted = [
        {**item("car", -0.1, 0.2, 0.3, 1.2), "score": 0.9},
        {**item("car", 1.0, 0.2, 1.3, 0.4), "score": 0.4},  # outside of the image
        {**item("car", 0.5, 0.2, 0.500_041, 0.4), "score": 0.3},  # a sixth of a pixel in an image of 4,000
        {**item("car", 0.5, 0.2, 0.500_001, 0.4), "score": 0.2},  # cannot be typed
    ]
    label = [item("car", 0.0, 0.2, 0.3, 1.0), item("car", 0.5, 0.2, 0.50004, 0.4)]
    assert LABEL.as_label(predicted) == LABEL.check(label) == LABEL.parse(LABEL.text(label)) == label
    assert LABEL.check([{**item("car", 0, 0, 1, 1), "score": 0.9}]) == [item("car", 0.0, 0.0, 1.0, 1.0)]


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("car", "list of objects"),
        (None, "list of objects"),
        ([["car", 0, 0, 1, 1]], "keys class and box"),
        ([{"class": "car"}], "keys class and box"),
        ([{**item("car", 0, 0, 1, 1), "id": 1}], "keys class and box"),
        ([item("bus", 0, 0, 1, 1)], "'bus' is not a class; the classes are 'car', 'traffic light'"),
        ([item("car", 0, 0, 1)], "four numbers"),
        ([item("car", 0, 0, 1, float("nan"))], "four numbers"),
        ([item("car", 0.5, 0, 0.5, 1)], "x_min below x_max"),
        ([item("car", 0, 0, 20, 30)], "from 0 to 1"),
        ([item("car", 0, 0, 1, 1)] * 201, "at most 200 objects; the label has 201"),
    ],
)
def test_other_labels_are_refused_in_words(label: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        LABEL.check(label)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("car", "four numbers"),
        ("car 0 0 1", "four numbers"),
        ("car 0 0 1 x", "'car 0 0 1 x' is not a class and four numbers"),
        ("bus 0 0 1 1", "'bus' is not a class"),
        ("no object\ncar 0 0 1 1", "is not a class and four numbers"),
    ],
)
def test_typed_lines_are_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        LABEL.parse(text)
