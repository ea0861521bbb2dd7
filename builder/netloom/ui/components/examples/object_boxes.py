"""Images with the boxes of objects, as HTML: the labels have one size of font, however large the image is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import streamlit as st
from numpy.typing import ArrayLike

from netloom.core.text import cut
from netloom.data.boxes import ImageObject, image_objects
from netloom.data.schema import Example
from netloom.explain.plots.class_colors import object_color, text_color
from netloom.ui.components.examples.image_urls import enlarged
from netloom.ui.components.words import region_name

# The upper share of an image in which the label of a box is below its upper side, as it would leave the image above it.
_TOP = 0.12
_MAX_LETTERS, _MAX_IN_WORDS = 24, 12
_EDGE = "0 0 0 1px rgba(0,0,0,.5)"  # beside a line, so that it is seen on an image of its own color


def show_objects(picture: ArrayLike, objects: Sequence[ImageObject], title: str, *, width: int | None = None) -> None:
    """Draw an image (H, W) or (H, W, 3) with the boxes of its objects, as wide as its column or at most `width`."""
    st.html(objects_html(enlarged(picture), objects, title, width=width))


def show_example_objects(example: Example, title: str, *, width: int | None = None) -> None:
    """Draw the image of a row with its true objects."""
    show_objects(example.image, example_objects(example), title, width=width)


def example_objects(example: Example) -> tuple[ImageObject, ...]:
    """Return the true objects of a row, none if its data has no objects."""
    return () if example.boxes is None else image_objects(np.asarray(example.boxes).tolist(), example.classes)


def objects_html(
    url: str, objects: Sequence[ImageObject], title: str, *, width: int | None = None, is_labeled: bool = True
) -> str:
    """Return the HTML of an image with the boxes of its objects, with their names and scores if it `is_labeled`."""
    # Larger boxes first, so that smaller ones are not hidden, and all labels above all boxes
    ordered = sorted(objects, key=lambda item: -_area(item))
    marks = [_box(item) for item in ordered] + ([_label(item) for item in ordered] if is_labeled else [])
    size = f"max-width:{width}px;" if width else ""
    return (
        f'<div style="{size}container-type:inline-size"><div style="position:relative;overflow:hidden">'
        f'<img src="{url}" alt="{escape(described(objects, title))}" style="display:block;width:100%;border-radius:4px"'
        f">{''.join(marks)}</div></div>"
    )


def described(objects: Sequence[ImageObject], title: str) -> str:
    """Return the objects of an image in words, for people who do not see it."""
    named = [f"{item.title} at the {_place(item)}" for item in objects[:_MAX_IN_WORDS]]
    if len(objects) > _MAX_IN_WORDS:
        named.append(f"and {len(objects) - _MAX_IN_WORDS} more")
    return f"{title}: {', '.join(named) or 'no object'}"


def swatch(number: int) -> str:
    """Return the HTML of a small square in the color of a class of objects."""
    return (
        f'<span aria-hidden="true" style="display:inline-block;width:.7em;height:.7em;border-radius:2px;'
        f'background:{object_color(number)};margin-right:.3em"></span>'
    )


def _area(item: ImageObject) -> float:
    x_min, y_min, x_max, y_max = item.box
    return (x_max - x_min) * (y_max - y_min)


def _place(item: ImageObject) -> str:
    x_min, y_min, x_max, y_max = item.box
    row, column = (min(int(1.5 * (low + high)), 2) for low, high in ((y_min, y_max), (x_min, x_max)))
    return region_name(row, column)


def _box(item: ImageObject) -> str:
    x_min, y_min, x_max, y_max = item.box
    return (
        f'<span style="position:absolute;box-sizing:border-box;left:{x_min:.2%};top:{y_min:.2%};'
        f"width:{x_max - x_min:.2%};height:{y_max - y_min:.2%};border:2px solid {object_color(item.number)};"
        f'border-radius:2px;box-shadow:{_EDGE},inset {_EDGE}"></span>'
    )


def _label(item: ImageObject) -> str:
    """Return the name and the score above a box, or below its upper side at the top of the image; at its right side if
    it is in the right half, so that a long name does not leave the image."""
    x_min, y_min, x_max, _ = item.box
    across = f"right:{1 - x_max:.2%}" if x_min + x_max > 1 else f"left:{x_min:.2%}"
    down = "" if y_min < _TOP else "transform:translateY(-100%);"
    score = "" if item.score is None else f" {item.score:.0%}"
    background = object_color(item.number)
    return (
        f'<span aria-hidden="true" style="position:absolute;{across};top:{y_min:.2%};{down}max-width:100%;'
        f"overflow:hidden;text-overflow:ellipsis;white-space:nowrap;padding:0 3px;border-radius:2px;"
        f"font-size:clamp(9px,4.5cqw,13px);line-height:1.35;background:{background};color:{text_color(background)}"
        f'">{escape(cut(item.name, _MAX_LETTERS))}{score}</span>'
    )
