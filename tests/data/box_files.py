"""The same objects in images, written in all formats of boxes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tests.data.brought import png

WIDTH, HEIGHT = 40, 20
PARTS = ("train", "train", "train", "valid", "test")
ROWS = 20
# The class and the edges of each object in pixels, for each image; every fourth image has none
Objects = list[list[tuple[str, int, int, int, int]]]
NAMES = ("zebra", "cat", "dog")  # by index and id, neither sorted
IDS = (90, 3, 41)


def objects() -> Objects:
    random = np.random.default_rng(0)
    rows: Objects = []
    for row in range(ROWS):
        rows.append([])
        for _ in range(row % 4):
            x, y = int(random.integers(0, WIDTH - 12)), int(random.integers(0, HEIGHT - 8))
            width, height = int(random.integers(4, 12)), int(random.integers(4, 8))
            rows[-1].append((NAMES[int(random.integers(3))], x, y, x + width, y + height))
    rows[3][0] = ("dog", 0, 0, WIDTH, HEIGHT)
    return rows


def part(row: int) -> str:
    return PARTS[row % len(PARTS)]


def image(row: int) -> bytes:
    return png(np.full((HEIGHT, WIDTH, 3), 10 * row, np.uint8))


def coco(rows: Objects, path: Callable[[int], str] = lambda row: f"{row:02}.png") -> Mapping[str, Any]:
    """COCO for the images whose file `path` names; "" leaves an image out."""
    numbers = {row: 1000 - 7 * row for row in range(len(rows)) if path(row)}
    return {
        "images": [
            {"id": number, "file_name": path(row), "width": WIDTH, "height": HEIGHT} for row, number in numbers.items()
        ],
        "annotations": [
            {"id": row, "image_id": numbers[row], "category_id": IDS[NAMES.index(name)], "iscrowd": 0,
             "bbox": [x, y, right - x, bottom - y]}
            for row in numbers for name, x, y, right, bottom in rows[row]
        ],
        "categories": [{"id": number, "name": name} for number, name in zip(IDS, NAMES, strict=True)],
    }  # fmt: skip


def as_json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document).encode()


def voc(row: int, own: list[tuple[str, int, int, int, int]]) -> bytes:
    boxes = "".join(
        f"<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{x + 1}</xmin><ymin>{y + 1}</ymin>"
        f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
        for name, x, y, right, bottom in own
    )
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    return f"<annotation><filename>{row:02}.png</filename>{size}{boxes}</annotation>".encode()


def yolo(own: list[tuple[str, int, int, int, int]]) -> bytes:
    lines = (
        f"{NAMES.index(name)} {(x + right) / 2 / WIDTH:.9f} {(y + bottom) / 2 / HEIGHT:.9f} "
        f"{(right - x) / WIDTH:.9f} {(bottom - y) / HEIGHT:.9f}\n"
        for name, x, y, right, bottom in own
    )
    return "".join(lines).encode()


YAML = b"train: ../train/images\nval: ../valid/images\nnc: 3\nnames: ['zebra', 'cat', 'dog']\n"


def roboflow_coco(rows: Objects) -> dict[str, bytes]:
    files = {f"{part(row)}/{row:02}.png": image(row) for row in range(ROWS)}
    for name in {*PARTS}:
        document = coco(rows, lambda row, name=name: f"{row:02}.png" if part(row) == name else "")  # type: ignore[misc]
        files[f"{name}/_annotations.coco.json"] = as_json(document)
    return files


def coco_of_years(rows: Objects) -> dict[str, bytes]:
    """Numbered from 0 in each part, so that the images of parts have the same names."""
    numbers = {row: sum(part(before) == part(row) for before in range(row)) for row in range(ROWS)}
    files = {f"coco/{part(row)}2017/{numbers[row]:03}.png": image(row) for row in range(ROWS)}
    for name in {*PARTS}:
        document = coco(rows, lambda row, name=name: f"{numbers[row]:03}.png" if part(row) == name else "")  # type: ignore[misc]
        files[f"coco/annotations/instances_{name}2017.json"] = as_json(document)
    return files


def voc_with_lists(rows: Objects) -> dict[str, bytes]:
    files = {f"VOC2007/JPEGImages/{row:02}.png": image(row) for row in range(ROWS)}
    files |= {f"VOC2007/Annotations/{row:02}.xml": voc(row, own) for row, own in enumerate(rows)}
    for name, file in (("train", "train"), ("valid", "val"), ("test", "test")):
        lines = "\n".join(f"{row:02}" for row in range(ROWS) if part(row) == name)
        files[f"VOC2007/ImageSets/Main/{file}.txt"] = lines.encode()
        files[f"VOC2007/ImageSets/Layout/{file}.txt"] = b"00\n01\n"
        files[f"VOC2007/ImageSets/Main/cat_{file}.txt"] = lines.replace("\n", " -1\n").encode()
    return files


def voc_beside(rows: Objects) -> dict[str, bytes]:
    files = {f"{part(row)}/{row:02}.png": image(row) for row in range(ROWS)}
    return files | {f"{part(row)}/{row:02}.xml": voc(row, own) for row, own in enumerate(rows)}


def yolo_of_parts(rows: Objects) -> dict[str, bytes]:
    files = {f"images/{part(row)}/{row:02}.png": image(row) for row in range(ROWS)}
    # Without a file for one image without objects, and an empty one for others
    files |= {f"labels/{part(row)}/{row:02}.txt": yolo(own) for row, own in enumerate(rows) if row != 4}
    return {**files, "data.yaml": YAML}


def roboflow_yolo(rows: Objects) -> dict[str, bytes]:
    files = {f"set/{part(row)}/images/{row:02}.png": image(row) for row in range(ROWS)}
    files |= {f"set/{part(row)}/labels/{row:02}.txt": yolo(own) for row, own in enumerate(rows)}
    return {**files, "set/data.yaml": YAML, "set/README.roboflow.txt": b"Exported\n"}


def darknet(rows: Objects) -> dict[str, bytes]:
    files = {f"obj_train_data/{row:02}.png": image(row) for row in range(ROWS)}
    files |= {f"obj_train_data/{row:02}.txt": yolo(own) for row, own in enumerate(rows)}
    for name in {*PARTS}:
        lines = "\n".join(f"data/obj_train_data/{row:02}.png" for row in range(ROWS) if part(row) == name)
        files[f"{name}.txt"] = lines.encode()
    return {**files, "obj.names": "\n".join(NAMES).encode(), "obj.data": b"classes = 3\n"}


def _rows(rows: Objects, line: Callable[[int, str, tuple[int, int, int, int]], str], empty: str) -> list[str]:
    lines = []
    for row, own in enumerate(rows):
        lines += [line(row, name, (x, y, right, bottom)) for name, x, y, right, bottom in own] or [
            empty.format(row=row, part=part(row))
        ]
    return lines


def kaggle_csv(rows: Objects) -> dict[str, bytes]:
    lines = _rows(
        rows,
        lambda row, name, box: f"{row:02}.png,{box[0]},{box[1]},{box[2] - box[0]},{box[3] - box[1]},{name},{part(row)}",
        "{row:02}.png,,,,,,{part}",
    )
    files = {f"photos/{row:02}.png": image(row) for row in range(ROWS)}
    return {**files, "boxes.csv": "\n".join(["file,x,y,width,height,label,split", *lines]).encode()}


def retinanet_csv(rows: Objects) -> dict[str, bytes]:
    """Without column names, one table for each part."""
    files = {f"photos/p{row:02}.png": image(row) for row in range(ROWS)}
    for name in {*PARTS}:
        own = [one if part(row) == name else None for row, one in enumerate(rows)]
        lines = [
            line
            for row, one in enumerate(own)
            if one is not None
            for line in (
                [f"C:\\data\\photos\\p{row:02}.png,{x},{y},{r},{b},{label}" for label, x, y, r, b in one]
                or [f"C:\\data\\photos\\p{row:02}.png,,,,,"]
            )
        ]
        files[f"{name}.csv"] = "\n".join(lines).encode()
    return files


def tensorflow_csv(rows: Objects) -> dict[str, bytes]:
    lines = _rows(
        rows,
        lambda row, name, box: (
            f"{row:02}.png,{2 * WIDTH},{2 * HEIGHT},{name}," + ",".join(str(2 * side) for side in box)
        ),
        "{row:02}.png,,,,,,,",
    )
    files = {f"{part(row)}/{row:02}.png": image(row) for row in range(ROWS)}
    return {**files, "all.csv": "\n".join(["filename,width,height,class,xmin,ymin,xmax,ymax", *lines]).encode()}


def shares_csv(rows: Objects) -> dict[str, bytes]:
    """As Open Images writes them, with names without suffixes."""
    lines = _rows(
        rows,
        lambda row, name, box: (
            f"i{row:02},{name},{box[0] / WIDTH:.8f},{box[2] / WIDTH:.8f},{box[1] / HEIGHT:.8f},{box[3] / HEIGHT:.8f}"
        ),
        "i{row:02},,,,,",
    )
    files = {f"{part(row)}/i{row:02}.png": image(row) for row in range(ROWS)}
    return {**files, "all.csv": "\n".join(["ImageID,LabelName,XMin,XMax,YMin,YMax", *lines]).encode()}


def cells_csv(rows: Objects) -> dict[str, bytes]:
    """A box in each cell, as in Kaggle's wheat heads."""
    lines = _rows(
        rows,
        lambda row, name, box: (
            f'i{row:02},{WIDTH},{HEIGHT},"[{box[0]}, {box[1]}, {box[2] - box[0]}.0, {box[3] - box[1]}.0]",{name}'
        ),
        "i{row:02},40,20,,",
    )
    files = {f"{part(row)}/i{row:02}.png": image(row) for row in range(ROWS)}
    return {**files, "all.csv": "\n".join(["image_id,width,height,bbox,class_name", *lines]).encode()}


def ultralytics_folders(rows: Objects) -> dict[str, bytes]:
    """Folders that are not named after the parts, of another computer, and names by their index."""
    folders = {"train": ("may/images", "june/images"), "valid": ("cam b/images",), "test": ("late/images",)}
    files: dict[str, bytes] = {}
    for row, own in enumerate(rows):
        places = folders[part(row)]
        folder = f"farm/{places[row % len(places)]}"
        files[f"{folder}/{row:02}.png"] = image(row)
        files[f"{folder.replace('images', 'labels')}/{row:02}.txt"] = yolo(own)
    content = (
        "path: ../datasets/farm\ntrain:\n  - may/images\n  - june/images\nval: 'cam b/images'\n"
        "test: /home/me/farm/late/images\nnames:\n  0: zebra\n  1: cat\n  2: dog\n"
    )
    return {**files, "farm.yaml": content.encode()}


def ultralytics_lists(rows: Objects) -> dict[str, bytes]:
    """Lists with other names, one of them with names that have blanks."""
    files = {f"d/images/a {row:02}.png": image(row) for row in range(ROWS)}
    files |= {f"d/labels/a {row:02}.txt": yolo(own) for row, own in enumerate(rows)}
    for name, file in (("train", "one"), ("valid", "two"), ("test", "three")):
        lines = "\n".join(f"./images/a {row:02}.png" for row in range(ROWS) if part(row) == name)
        files[f"d/{file}.txt"] = lines.encode()
    yaml = b"path: .\ntrain: one.txt\nval: two.txt\ntest: [three.txt]\nnc: 3\nnames: ['zebra', 'cat', 'dog']\n"
    return {**files, "d/data.yaml": yaml}


def voc_with_joined_list(rows: Objects) -> dict[str, bytes]:
    """Without a list of training, which is the rest of the list of both; names with blanks and labels."""
    files = {f"V/JPEGImages/{row:02} a.png": image(row) for row in range(ROWS)}
    files |= {f"V/Annotations/{row:02} a.xml": voc(row, own) for row, own in enumerate(rows)}
    for file, names in (("trainval", ("train", "valid")), ("val", ("valid",)), ("test", ("test",))):
        lines = "\n".join(f"{row:02} a" for row in range(ROWS) if part(row) in names)
        files[f"V/ImageSets/Main/{file}.txt"] = lines.encode()
    return files


def labelme(row: int, own: list[tuple[str, int, int, int, int]]) -> bytes:
    shapes: list[dict[str, Any]] = [
        {"label": name, "points": [[right, y], [x, bottom]], "group_id": None, "shape_type": "rectangle", "flags": {}}
        for name, x, y, right, bottom in own
    ]
    return as_json({"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": f"..\\photos\\{row:02}.png",
                    "imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH})  # fmt: skip


def labelme_of_parts(rows: Objects) -> dict[str, bytes]:
    files = {f"{part(row)}/photos/{row:02}.png": image(row) for row in range(ROWS)}
    return files | {f"{part(row)}/json/{row:02}.json": labelme(row, own) for row, own in enumerate(rows)}


def createml_entry(row: int, own: list[tuple[str, int, int, int, int]]) -> dict[str, Any]:
    return {"image": f"{row:02}.png", "annotations": [
        {"label": name, "coordinates": {"x": (x + right) / 2, "y": (y + bottom) / 2, "width": right - x,
                                        "height": bottom - y}}
        for name, x, y, right, bottom in own
    ]}  # fmt: skip


def createml(rows: Objects) -> dict[str, bytes]:
    """As Roboflow exports it."""
    files = {f"{part(row)}/{row:02}.png": image(row) for row in range(ROWS)}
    for name in {*PARTS}:
        entries = [createml_entry(row, own) for row, own in enumerate(rows) if part(row) == name]
        files[f"{name}/_annotations.createml.json"] = json.dumps(entries).encode()
    return files


LAYOUTS: dict[str, Callable[[Objects], dict[str, bytes]]] = {
    "Roboflow's COCO": roboflow_coco,
    "COCO 2017": coco_of_years,
    "Pascal VOC": voc_with_lists,
    "Pascal VOC beside images": voc_beside,
    "YOLO": yolo_of_parts,
    "Roboflow's YOLO": roboflow_yolo,
    "Darknet": darknet,
    "Kaggle": kaggle_csv,
    "RetinaNet": retinanet_csv,
    "TensorFlow": tensorflow_csv,
    "Open Images": shares_csv,
    "boxes in cells": cells_csv,
    "Ultralytics with folders": ultralytics_folders,
    "Ultralytics with lists": ultralytics_lists,
    "Pascal VOC with trainval": voc_with_joined_list,
    "LabelMe": labelme_of_parts,
    "Create ML": createml,
}
