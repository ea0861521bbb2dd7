"""Boxes of objects are refused by a sentence that names them where they would be read as something else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from netloom.core.errors import DataError
from netloom.data.uploads import add_file, fitting, open_source
from tests.data.brought import bars, png
from tests.data.crafted import make_csv, make_zip

PIXELS, LABELS = bars(12)
IMAGES = {f"images/{i}.png": png(PIXELS[i]) for i in range(12)}
COCO = json.dumps({"images": [{"id": 0}], "annotations": [{"image_id": 0, "bbox": [4, 8, 16, 12]}] * 2})
VOC = "<annotation><object><name>cat</name><bndbox><xmin>4</xmin></bndbox></object></annotation>"
LABELME = json.dumps({"shapes": [{"label": "a", "points": [[1, 2], [3, 4]]}], "imagePath": "0.png"})
CREATEML = json.dumps([{"image": "0.png", "annotations": [{"label": "a", "coordinates": {"x": 1}}]}])
YOLO = "0 0.5 0.5 0.2 0.25\n1 0.1 0.9 1 1.0\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("annotations.json", COCO),
        ("boxes/0.xml", VOC),
        ("labels/0.txt", YOLO),
        ("boxes/0.json", LABELME),
        ("boxes.json", CREATEML),
    ],
    ids=["COCO", "Pascal VOC", "YOLO", "LabelMe", "Create ML"],
)
@pytest.mark.parametrize("kind", ["picture_folders", "table"])
def test_files_of_boxes_are_refused_by_name(name: str, content: str, kind: str, home: Path) -> None:
    boxes = {name.replace("0", str(i)): content.encode() for i in range(12)}
    with pytest.raises(DataError, match=rf"'{name}' has the boxes of objects.*images with objects \(objects\)"):
        add_file(make_zip({**IMAGES, **boxes}), "photos.zip", home, kind=kind)


@pytest.mark.parametrize("columns", ["xmin,ymin,xmax,ymax", "bbox_x,bbox_y,bbox_width,bbox_height", "x1,y1,x2,y2",
                                     "x_center,y_center,width,height", "cx,cy,w,h"])  # fmt: skip
def test_columns_of_boxes_are_refused_as_labels_unless_a_target_is_named(columns: str, home: Path) -> None:
    rows = [f"{i}.png,4,8,20,{20 + i},{'cat' if label else 'dog'}" for i, label in enumerate(LABELS)]
    files = make_zip({**IMAGES, "boxes.csv": make_csv(f"file,{columns},kind", rows)})
    with pytest.raises(DataError, match=f"boxes of objects \\('{columns.split(',')[0]}', "):
        add_file(files, "photos.zip", home, kind="labeled_pictures")
    info = add_file(files, "photos.zip", home, target="kind")
    assert (info.rows, info.task) == (12, "classification")
    assert fitting(open_source(files, "photos.zip"))[0].name == "objects"


@pytest.mark.parametrize("column", ["bboxes", "bounding_box"])
def test_a_column_of_boxes_is_refused_as_labels(column: str, home: Path) -> None:
    rows = [f"{i}.png,{i} 8 20 {20 + i},{'cat' if label else 'dog'}" for i, label in enumerate(LABELS)]
    files = make_zip({**IMAGES, "boxes.csv": make_csv(f"file,{column},kind", rows)})
    with pytest.raises(DataError, match=f"boxes of objects \\('{column}'\\)"):
        add_file(files, "photos.zip", home, kind="labeled_pictures")


def test_a_column_may_be_the_number_of_a_box(home: Path) -> None:
    rows = [f"{i}.png,{i % 3},{'cat' if label else 'dog'}" for i, label in enumerate(LABELS)]
    info = add_file(make_zip({**IMAGES, "boxes.csv": make_csv("file,box,kind", rows)}), "photos.zip", home)
    assert (info.rows, info.task) == (12, "classification")


@pytest.mark.parametrize(
    ("name", "content"),
    [("boxes.json", COCO), ("boxes/0.xml", VOC), ("boxes/0.json", LABELME)],
)
def test_boxes_without_their_images_are_refused(name: str, content: str, home: Path) -> None:
    boxes = {name.replace("0", str(i)): content.encode() for i in range(12)}
    with pytest.raises(DataError, match=f"'{name}' has the boxes of objects, but their images are missing"):
        add_file(make_zip(boxes), "boxes.zip", home)
