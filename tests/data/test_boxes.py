"""Data sets for object detection are refused by a sentence that names their boxes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from netloom.core.errors import DataError
from netloom.data.uploads import add_file
from tests.data.brought import bars, png
from tests.data.crafted import make_csv, make_zip

PIXELS, LABELS = bars(12)
IMAGES = {f"images/{i}.png": png(PIXELS[i]) for i in range(12)}
COCO = json.dumps({"images": [{"id": 0}], "annotations": [{"image_id": 0, "bbox": [4, 8, 16, 12]}]})
VOC = "<annotation><object><name>cat</name><bndbox><xmin>4</xmin></bndbox></object></annotation>"


@pytest.mark.parametrize(
    ("name", "content"),
    [("annotations.json", COCO), ("boxes/0.xml", VOC), ("labels/0.txt", "0 0.5 0.5 0.2 0.25\n1 0.1 0.9 1 1.0\n")],
    ids=["COCO", "Pascal VOC", "YOLO"],
)
def test_files_of_boxes_are_refused_by_name(name: str, content: str, home: Path) -> None:
    boxes = {name.replace("0", str(i)): content.encode() for i in range(12)}
    with pytest.raises(DataError, match=f"'{name}' has the boxes of objects.*does not detect objects"):
        add_file(make_zip({**IMAGES, **boxes}), "photos.zip", home)


@pytest.mark.parametrize("columns", ["xmin,ymin,xmax,ymax", "bbox_x,bbox_y,bbox_width,bbox_height", "x1,y1,x2,y2",
                                     "x_center,y_center,width,height", "cx,cy,w,h"])  # fmt: skip
def test_columns_of_boxes_are_refused_unless_a_target_is_named(columns: str, home: Path) -> None:
    rows = [f"{i}.png,4,8,20,{20 + i},{'cat' if label else 'dog'}" for i, label in enumerate(LABELS)]
    files = make_zip({**IMAGES, "boxes.csv": make_csv(f"file,{columns},kind", rows)})
    with pytest.raises(DataError, match=f"boxes of objects \\('{columns.split(',')[0]}', "):
        add_file(files, "photos.zip", home)
    assert add_file(files, "photos.zip", home, target="kind").rows == 12


@pytest.mark.parametrize("column", ["bboxes", "bounding_box"])
def test_a_column_of_boxes_is_refused(column: str, home: Path) -> None:
    rows = [f"{i}.png,{i} 8 20 {20 + i},{'cat' if label else 'dog'}" for i, label in enumerate(LABELS)]
    with pytest.raises(DataError, match=f"boxes of objects \\('{column}'\\)"):
        add_file(make_zip({**IMAGES, "boxes.csv": make_csv(f"file,{column},kind", rows)}), "photos.zip", home)


def test_a_column_may_be_the_number_of_a_box(home: Path) -> None:
    rows = [f"{i}.png,{i % 3},{'cat' if label else 'dog'}" for i, label in enumerate(LABELS)]
    assert add_file(make_zip({**IMAGES, "boxes.csv": make_csv("file,box,kind", rows)}), "photos.zip", home).rows == 12


def test_boxes_beside_the_images_of_each_part_are_refused(home: Path) -> None:
    """As Roboflow exports COCO"""
    parts = {i: "train" if i < 8 else "valid" for i in range(12)}
    images = {f"{part}/{i}.png": png(PIXELS[i]) for i, part in parts.items()}
    boxes = {f"{part}/_annotations.coco.json": COCO.encode() for part in ("train", "valid")}
    with pytest.raises(DataError, match=r"'train/_annotations\.coco\.json' has the boxes of objects"):
        add_file(make_zip({**images, **boxes}), "photos.zip", home)
