"""The columns of a table with the boxes of objects, recognized by their names or, without names, by their places."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from netloom.data.uploads.boxes.box_annotations import Sides


def _corners(x_min: float, y_min: float, x_max: float, y_max: float) -> Sides:
    return x_min, y_min, x_max, y_max


def _sized(x: float, y: float, width: float, height: float) -> Sides:
    return x, y, x + width, y + height


def _centered(x: float, y: float, width: float, height: float) -> Sides:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


Layout = Callable[[float, float, float, float], Sides]
# Plain names of the columns with the sides of a box; the first that all occur. Beside corners or w and h, the columns
# width and height are those of the image.
_SIDES: tuple[tuple[tuple[str, str, str, str], Layout], ...] = (
    (("xmin", "ymin", "xmax", "ymax"), _corners),
    (("x1", "y1", "x2", "y2"), _corners),
    (("xmin", "ymin", "w", "h"), _sized),
    (("left", "top", "right", "bottom"), _corners),
    (("x", "y", "w", "h"), _sized),
    (("xcenter", "ycenter", "w", "h"), _centered),
    (("cx", "cy", "w", "h"), _centered),
    (("xmin", "ymin", "width", "height"), _sized),
    (("x", "y", "width", "height"), _sized),
    (("left", "top", "width", "height"), _sized),
    (("xcenter", "ycenter", "width", "height"), _centered),
    (("cx", "cy", "width", "height"), _centered),
)
_WHOLE = ("bbox", "bboxes", "boundingbox", "boundingboxes")  # not "box", which may be the number of one
_IMAGE_SIDES = (("imagewidth", "imageheight"), ("imgwidth", "imgheight"), ("imagew", "imageh"), ("imgw", "imgh"),
                ("originalwidth", "originalheight"), ("width", "height"))  # fmt: skip
_CLASSES = ("class", "classname", "label", "labelname", "category", "categoryname", "name", "object", "objectname",
            "objectclass", "species", "kind", "type", "labels", "target", "classid", "categoryid",
            "labelid")  # fmt: skip
_UNNAMED = 5  # columns of a table without names: the file and the corners, and perhaps the class


@dataclass(frozen=True)
class BoxColumns:
    """Columns by their meaning.

    Attributes:
        sides: The four columns of sides, or a single one with four numbers in each cell.
        layout: Converts the numbers to corners.
        size: The columns with the width and the height of the image; () if there are none.
        category: The column of classes; "" if there is none.
    """

    sides: tuple[str, ...]
    layout: Layout
    size: tuple[str, ...] = ()
    category: str = ""


def box_columns(columns: Sequence[str]) -> BoxColumns | None:
    """Return the columns with boxes; None if there are none."""
    plain = {re.sub(r"[ _.-]", "", column).lower(): column for column in columns}
    bare = {name.removeprefix("bbox") or name: column for name, column in plain.items()}
    layouts = ((names, layout) for names, layout in _SIDES if bare.keys() >= {*names})
    names, layout = next(layouts, ((), _sized))
    sides = tuple(bare[name] for name in names) or tuple(plain[name] for name in _WHOLE if name in plain)[:1]
    if not sides:
        return None
    sizes = (tuple(plain.get(name, "") for name in pair) for pair in _IMAGE_SIDES)
    size = next((pair for pair in sizes if all(pair) and not {*pair} & {*sides}), ())
    category = next((plain[name] for name in _CLASSES if name in plain), "")
    return BoxColumns(sides, layout, size, category)


def unnamed_box_columns(columns: Sequence[str]) -> BoxColumns | None:
    """Return the columns of a table without names, whose first column names the image; None if it is another table."""
    if not _UNNAMED <= len(columns) <= _UNNAMED + 1:
        return None
    return BoxColumns(tuple(columns[1:_UNNAMED]), _corners, (), "".join(columns[_UNNAMED:]))
