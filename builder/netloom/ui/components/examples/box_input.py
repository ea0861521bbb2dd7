"""The objects of an image, which people draw as boxes on it or type, one in each line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from netloom.core.errors import DataError
from netloom.core.text import escape
from netloom.data.boxes import MAX_OBJECTS, predicted_objects
from netloom.data.images import channels_last
from netloom.explain.plots.class_colors import object_color, text_color
from netloom.ui.components.examples.image_urls import enlarged
from netloom.ui.components.page_state import has_value, set_value, value_of
from netloom.ui.components.state import Part

if TYPE_CHECKING:
    from netloom.tasks.true_labels import BoxedLabel

HEIGHT = 300  # of the image, in pixels, where its column is wide enough
TYPED_HEIGHT = 110
HELP = (
    "Drag on the image to add a box. Drag a box to move it, and its corners to resize it. With the keyboard, Tab "
    "selects a box, the arrow keys move it, Shift with the arrow keys resizes it, and Delete removes it."
)

HTML = """
<div data-part="stage" role="group" tabindex="-1">
  <img alt="The image of the row" draggable="false">
</div>
"""
CSS = """
[data-part=stage] { position: relative; touch-action: none; cursor: crosshair; user-select: none; margin: 2px; }
[data-part=stage][data-disabled] { cursor: not-allowed; opacity: 0.6; }
img { display: block; width: 100%; height: 100%; border-radius: 4px; pointer-events: none; }
.box { position: absolute; box-sizing: border-box; border: 2px solid; border-radius: 2px; cursor: move;
  box-shadow: 0 0 0 1px rgba(0,0,0,.5), inset 0 0 0 1px rgba(0,0,0,.5); }
.box:focus-visible, .selected { outline: 2px solid #fff; outline-offset: 1px;
  box-shadow: 0 0 0 1px rgba(0,0,0,.5), inset 0 0 0 1px rgba(0,0,0,.5), 0 0 0 5px #000; }
.name { position: absolute; top: 0; max-width: 12em; overflow: hidden; text-overflow: ellipsis; border-radius: 2px;
  white-space: nowrap; padding: 0 3px; font: 11px/1.35 var(--st-font); pointer-events: none; }
.above { top: auto; bottom: 100%; } .at-left { left: -2px; } .at-right { right: -2px; }
.corner { position: absolute; width: 24px; height: 24px; }
.corner::after { content: ""; position: absolute; inset: 7px; background: #fff; border: 1px solid #000; }
.top { top: -12px; } .bottom { bottom: -12px; } .left { left: -12px; } .right { right: -12px; }
.top.left, .bottom.right { cursor: nwse-resize; } .top.right, .bottom.left { cursor: nesw-resize; }
"""


def box_input(
    label: BoxedLabel,
    key: str,
    start: Any,
    picture: np.ndarray,
    *,
    title: str,
    on_change: Callable[[], None] | None = None,
) -> list[dict[str, Any]] | None:
    """Draw the input of the objects in an image, and return them; None if what is typed is not a list of objects.

    Args:
        start: The objects that are corrected, such as the prediction; None for no objects.
        picture: The image of the row (C, H, W), with values from 0 to 1.
    """
    if not has_value(key):
        set_value(key, label.text(start or []))
    objects, problem = _parsed(label, value_of(key))
    names = label.names
    name = st.pills(
        "Draw a box around", names, default=names[0], required=True, format_func=escape, key=Part.COLOR.within(key)
    )
    editor_key = Part.CANVAS.within(key)
    data = _editor_data(label, value_of(key), objects or [], picture)
    change, _ = _sent(editor_key)
    data |= {"chosen": names.index(str(name)), "disabled": bool(problem), "change": change}
    _component()(key=editor_key, data=data, on_boxes_change=partial(_take, label, key, editor_key, on_change))
    st.caption(HELP)
    st.text_area(title, key=key, on_change=on_change, help=label.hint, height=TYPED_HEIGHT)
    if problem:
        st.caption(f":material/error: {escape(problem)}")
    return objects


def objects_of(label: BoxedLabel, key: str) -> list[dict[str, Any]] | None:
    """Return the objects in the input of this key, for callbacks; None if it has none."""
    return _parsed(label, value_of(key, ""))[0]


def _parsed(label: BoxedLabel, text: str) -> tuple[list[dict[str, Any]] | None, str]:
    """Return the typed objects, None if they are not valid, and why not."""
    if not text.strip():
        return None, ""
    try:
        return label.parse(text), ""
    except DataError as error:
        return None, str(error)


def _editor_data(
    label: BoxedLabel, text: str, objects: Sequence[dict[str, Any]], picture: np.ndarray
) -> dict[str, Any]:
    """Return what the editor shows; it replaces its boxes when the `text` of the objects has changed."""
    height, width = picture.shape[1:]
    colors = [object_color(number) for number in range(len(label.names))]
    return {
        "picture": enlarged(channels_last(picture)),
        "width": round(HEIGHT * width / height),
        "ratio": width / height,
        "text": text,
        "boxes": [[item.number, *item.box] for item in predicted_objects(objects, label.names)],
        "classes": [
            {"name": name, "color": color, "text": text_color(color)}
            for name, color in zip(label.names, colors, strict=True)
        ],
    }


def _take(label: BoxedLabel, key: str, editor_key: str, on_change: Callable[[], None] | None) -> None:
    """Write the boxes of the editor as text. What is typed and cannot be read stays."""
    boxes = sent_boxes(_sent(editor_key)[1], len(label.names))
    if boxes is None or _parsed(label, value_of(key))[1]:
        return
    set_value(key, label.text([{"class": label.names[number], "box": sides} for number, *sides in boxes]))
    if on_change is not None:
        on_change()


def _sent(editor_key: str) -> tuple[int, object]:
    """Return the last change from the browser: its number, which the browser expects in the answer, and its boxes."""
    match (value_of(editor_key) or {}).get("boxes"):
        case {"change": int(change), "boxes": boxes}:
            return change, boxes
    return 0, None


def sent_boxes(sent: object, classes: int) -> list[tuple[int, float, float, float, float]] | None:
    """Return boxes from the browser as the number of a class, x_min, y_min, x_max and y_max; None if it sent something
    else. More than an image can have are cut to one too many, which the label then refuses."""
    boxes = []
    for box in sent[: MAX_OBJECTS + 1] if isinstance(sent, list) else [None]:
        match box:
            case [int(number), *sides] if 0 <= number < classes and len(sides) == 4 and all(map(_is_share, sides)):
                x_min, y_min, x_max, y_max = map(float, sides)
                if x_min >= x_max or y_min >= y_max:
                    return None
                boxes.append((number, x_min, y_min, x_max, y_max))
            case _:
                return None
    return boxes


def _is_share(value: object) -> bool:
    return isinstance(value, (int, float)) and 0 <= value <= 1


@cache
def _component() -> Any:
    # Registered when first shown, as a component cannot be registered before Streamlit runs.
    script = files("netloom.ui.components.examples").joinpath("box_editor.js").read_text(encoding="utf-8")
    return st.components.v2.component("netloom_box_editor", html=HTML, css=CSS, js=script)
