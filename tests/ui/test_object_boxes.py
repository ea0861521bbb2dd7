"""Images with the boxes of objects: what is read on them, and what is read aloud."""

from __future__ import annotations

import re

import numpy as np
import pytest

from netloom.data.boxes import MAX_OBJECTS, ImageObject, image_objects, predicted_objects
from netloom.explain.plots.class_colors import COLORS, object_color, text_color
from netloom.explain.plots.figures import picture
from netloom.explain.plots.object_shapes import with_objects
from netloom.training.diagnostics.prediction_cards import ExampleJson, packed
from netloom.ui.components.examples.box_input import sent_boxes
from netloom.ui.components.examples.object_boxes import described, objects_html
from netloom.ui.train.prediction_history import cards

CLASSES = ("cat", "<b>dog</b>")
FOUND = image_objects([[0, 0.1, 0.05, 0.3, 0.4], [1, 0.55, 0.5, 0.95, 1.0]], CLASSES, [0.987, 0.25])


def test_objects_of_a_target_and_of_a_prediction_are_the_same() -> None:
    prediction = [
        {"class": "cat", "score": 0.987, "box": [0.1, 0.05, 0.3, 0.4]},
        {"class": "<b>dog</b>", "score": 0.25, "box": [0.55, 0.5, 0.95, 1.0]},
    ]
    assert predicted_objects(prediction, CLASSES) == FOUND
    assert image_objects([[1, 0, 0, 1, 1]], CLASSES)[0].title == "<b>dog</b>"


def test_an_image_says_its_objects_in_words() -> None:
    assert described(FOUND, "Predicted") == "Predicted: cat 99% at the top left, <b>dog</b> 25% at the bottom right"
    assert described((), "Predicted") == "Predicted: no object"
    many = described(FOUND[:1] * 15, "True")
    assert many.endswith("and 3 more")
    assert many.count("cat") == 12


def test_labels_stay_within_the_image() -> None:
    html = objects_html("data:,", FOUND, "Predicted")
    assert "<b>" not in html
    upper, lower = re.findall(r"<span aria-hidden[^>]*>", html)[::-1]  # of the smaller box, and of the larger one
    assert "left:10.00%" in upper
    assert "translateY" not in upper  # there is no room above it
    assert "right:5.00%" in lower
    assert "translateY(-100%)" in lower
    assert "aria-hidden" not in objects_html("data:,", FOUND, "Predicted", is_labeled=False)


def luminance(color: str) -> float:
    parts = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("color", sorted({object_color(number) for number in range(30)}))
def test_the_text_of_each_label_has_the_larger_contrast(color: str) -> None:
    assert color in COLORS[1:]
    light, dark = 1.05 / (luminance(color) + 0.05), (luminance(color) + 0.05) / 0.05
    assert text_color(color) == ("#ffffff" if light > dark else "#000000")
    assert max(light, dark) >= 4.5


def test_cards_during_training_have_true_and_predicted_objects() -> None:
    image = packed(np.full((4, 4, 1), 128))
    row: ExampleJson = {
        "row": 1,
        "picture": image,
        "true": "cat",
        "truth": {"boxes": [[0, 0.1, 0.1, 0.3, 0.4]], "names": list(CLASSES)},
    }
    predicted = {"boxes": [[1, *FOUND[1].box]] * 9, "names": list(CLASSES), "scores": [0.9] * 9}
    html = cards([row], [predicted])  # type: ignore[list-item]
    assert html.count("<img") == 2
    assert 'alt="True: cat at the top left"' in html
    assert "&lt;b&gt;dog&lt;/b&gt; 90%" in html
    assert "and 3 more" in html
    assert "<b>dog" not in html
    assert "no object" in cards([row], [{"boxes": [], "names": list(CLASSES), "scores": []}])


def test_boxes_of_a_figure_are_in_its_pixels() -> None:
    figure = with_objects(picture(np.zeros((10, 20))), (10, 20), FOUND, FOUND[:1])
    true, first, second = figure.layout.shapes
    assert (true.line.dash, first.line.dash) == ("dash", "solid")
    assert [second.x0, second.y0, second.x1, second.y1] == pytest.approx([10.5, 4.5, 18.5, 9.5])
    assert [label.text for label in figure.layout.annotations] == ["cat 99%", "&lt;b>dog&lt;/b> 25%"]
    assert [label.xanchor for label in figure.layout.annotations] == ["left", "right"]
    assert ImageObject(0, "x" * 60, (0, 0, 1, 1)).title == "x" * 60


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "boxes",
        [[0, 0.1, 0.1, 0.5]],
        [[3, 0.1, 0.1, 0.5, 0.5]],
        [[-1, 0.1, 0.1, 0.5, 0.5]],
        [[0.0, 0.1, 0.1, 0.5, 0.5]],
        [[0, 0.5, 0.1, 0.1, 0.5]],
        [[0, 0.1, 0.1, 0.5, 1.5]],
        [[0, 0.1, 0.1, 0.5, float("nan")]],
        [[0, 0.1, 0.1, 0.5, "0.5"]],
    ],
)
def test_anything_but_boxes_from_the_browser_is_ignored(sent: object) -> None:
    valid = [2, 0, 0.25, 1, 0.5]
    assert sent_boxes([valid], classes=3) == [(2, 0.0, 0.25, 1.0, 0.5)]
    assert sent_boxes([], classes=3) == []
    assert len(sent_boxes([valid] * 1_000, classes=3) or []) == MAX_OBJECTS + 1
    assert sent_boxes([valid, *sent] if isinstance(sent, list) else sent, classes=3) is None
