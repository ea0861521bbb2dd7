"""Images with boxes: the same objects in all formats, and what is left out, corrected or refused."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from netloom.core.errors import DataError
from netloom.data import prepare
from netloom.data.boxes import padded
from netloom.data.dataset_version import make_version
from netloom.data.quality.checks.duplicate_rows import DuplicateRows
from netloom.data.quality.quality_view import QualityView
from netloom.data.raw.images import Images
from netloom.data.uploads import add_file, fitting, open_source, read_upload, readers
from netloom.data.uploads.files.members import counted_files
from netloom.document import DataChoice
from tests.data.box_files import (
    HEIGHT,
    LAYOUTS,
    ROWS,
    WIDTH,
    as_json,
    coco,
    createml_entry,
    image,
    kaggle_csv,
    labelme,
    objects,
    part,
    voc,
    yolo,
)
from tests.data.crafted import make_zip

BOXES = objects()
IMAGES = {f"images/{row:02}.png": image(row) for row in range(ROWS)}
VOC = {**IMAGES, **{f"ann/{row:02}.xml": voc(row, own) for row, own in enumerate(BOXES)}}
YOLO = {**IMAGES, **{f"labels/{row:02}.txt": yolo(own) for row, own in enumerate(BOXES)}}
CSV = {"boxes.csv": kaggle_csv(BOXES)["boxes.csv"], **IMAGES}
LABELME = {**IMAGES, **{f"json/{row:02}.json": labelme(row, own) for row, own in enumerate(BOXES)}}
CREATEML = {**IMAGES, "a.json": json.dumps([createml_entry(row, own) for row, own in enumerate(BOXES)]).encode()}
# Folders that are not named after the parts of a split
FOLDERS = {name.replace("/", "/b/" if "19" in name else "/a/"): content for name, content in YOLO.items()}
Change = Callable[[dict[str, Any]], object]


def _read(files: Mapping[str, bytes], home: Path, choice: Mapping[str, Any] | None = None, **options: Any) -> Images:
    info = add_file(make_zip(dict(files)), "photos.zip", home, kind="objects", options=options or None)
    raw = read_upload(DataChoice(dataset=info.name, options={**choice} if choice else {}), home)
    assert isinstance(raw, Images)
    return raw


def _coco(change: Change) -> dict[str, bytes]:
    document = json.loads(as_json(coco(BOXES)))
    change(document)
    return {**IMAGES, "a.json": as_json(document)}


def _box(box: Any) -> dict[str, bytes]:
    return _coco(lambda document: document["annotations"][2].update(bbox=box))


def _xml(old: bytes, new: bytes) -> dict[str, bytes]:
    assert old in VOC["ann/01.xml"]
    return {**VOC, "ann/01.xml": VOC["ann/01.xml"].replace(old, new)}


def _lines(lines: bytes, names: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    return {**YOLO, "labels/01.txt": lines, **(names or {"classes.txt": b"zebra\ncat\ndog\n"})}


def _shape(**shape: Any) -> dict[str, bytes]:
    """LabelMe with another shape instead of the only one of image 1, from 24 to 31 and from 10 to 14."""
    document = json.loads(LABELME["json/01.json"])
    document["shapes"][0].update(shape)
    return {**LABELME, "json/01.json": as_json(document), "json/settings.json": b'{"imagePath": 1}'}


def _createml(change: Callable[[list[Any]], object]) -> dict[str, bytes]:
    content = json.loads(CREATEML["a.json"])
    change(content)
    return {**CREATEML, "a.json": json.dumps(content).encode()}


def _yaml(text: str) -> dict[str, bytes]:
    return {**FOLDERS, "data.yaml": f"names: [zebra, cat, dog]\n{text}".encode()}


def _row(row: str) -> dict[str, bytes]:
    return {**CSV, "boxes.csv": CSV["boxes.csv"] + f"\n{row}".encode()}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_objects_are_read_from_every_format(layout: str, home: Path) -> None:
    info = add_file(make_zip(LAYOUTS[layout](BOXES)), "photos.zip", home)
    assert (info.task, info.rows) == ("detection", ROWS)
    raw = read_upload(DataChoice(dataset=info.name), home)
    assert isinstance(raw, Images)
    assert raw.classes == ("cat", "dog", "zebra")
    scale = np.array([1, WIDTH, HEIGHT, WIDTH, HEIGHT])
    expected = padded(
        [np.array([(raw.classes.index(name), *box) for name, *box in own]).reshape(-1, 5) / scale for own in BOXES]
    )
    numbers = raw.pixels[:, 0, 0, 0] // 10  # of the images
    assert sorted(numbers.tolist()) == [*range(ROWS)]
    np.testing.assert_allclose(raw.target, expected[numbers], atol=1e-6)
    assert raw.given is not None
    assert raw.given.tolist() == [("train", "valid", "test").index(part(row)) for row in numbers.tolist()]


REFUSED: dict[str, tuple[dict[str, bytes], str]] = {
    "cut JSON": ({**IMAGES, "a.json": as_json(coco(BOXES))[:-9]}, "'a.json' is not valid JSON: .* at character"),
    "deep JSON": ({**IMAGES, "a.json": b'{"images": [], "bbox":' + b"[" * 100_000}, "nested too deeply"),
    "no list": (_coco(lambda document: document.pop("images")), "'a.json' has boxes, but not in the layout of COCO"),
    "no file name": (
        _coco(lambda document: document["images"][3].pop("file_name")), "Image 4 of 'a.json' has no 'file_name'",
    ),
    "no dictionary": (_coco(lambda document: document.update(images=[1])), "'images' of 'a.json' has to be a list"),
    "text": (_box([1, 2, "a", 4]), "Annotation 3 of 'a.json' has 'a' in its box"),
    "NaN": (_box([1, 2, float("nan"), 4]), "Annotation 3 of 'a.json' has 'nan' in its box"),
    "huge integer": (_box([1, 2, 10**400, 4]), "Annotation 3 of 'a.json' has '1000.*' in its box"),
    "three numbers": (_box([1, 2, 3]), r"Annotation 3 of 'a.json' has the bbox \[1, 2, 3\]; expected 4"),
    "unknown category": (
        _coco(lambda document: document["annotations"][0].update(category_id=7)),
        "Annotation 1 of 'a.json' has the category '7', but 'categories' has the ids 90, 3, 41",
    ),
    "missing images": (
        _coco(lambda document: [entry.update(file_name=f"q{entry['id']}") for entry in document["images"]]),
        "'a.json' belongs to none of the images, which have names such as 'images/00.png'.* missing: 20, such as 'q",
    ),
    "the same image twice": (
        _coco(lambda document: document["images"].append({**document["images"][0], "id": 1})), "lists .* twice",
    ),
    "many objects": (
        _coco(lambda document: document["annotations"].extend(
            {**document["annotations"][0], "bbox": [number / 10, 1, 3, 4]} for number in range(205))),
        "'images/01.png' has 206 objects; at most 200 can be read per image",
    ),
    "cut XML": (_xml(b"</annotation>", b""), "'ann/01.xml' is not valid XML: no element found: line 1"),
    "entities": (
        _xml(b"<annotation>", b'<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;">]><annotation>'), "document type",
    ),
    "external entity": (_xml(b"<annotation>", b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation>'), "DOCTYPE"),
    "text in XML": (_xml(b"<xmin>", b"<xmin>a"), "An object of 'ann/01.xml' has 'a24' in its box"),
    "no corner": (_xml(b"xmax", b"right"), "An object of 'ann/01.xml' has an empty number in its box"),
    "no class": (_xml(b"<name>zebra</name>", b""), "An object of 'ann/01.xml' has no name of a class"),
    "four numbers": (_lines(b"0 .5 .5 .1\n"), "Line 1 of 'labels/01.txt' has 4 numbers; expected 5"),
    "no index": (_lines(b"\ncat .5 .5 .1 .1"), "Line 2 of 'labels/01.txt' begins with 'cat'; expected the index"),
    "negative index": (_lines(b"-1 .5 .5 .1 .1"), "begins with '-1'"),
    "unknown index": (_lines(b"7 .5 .5 .1 .1"), "has the class 7, but the file of names has 3, from 0 to 2"),
    "pixels": (_lines(b"0 12 50 10 10"), "Line 1 of 'labels/01.txt' has 50; expected shares"),
    "infinite share": (_lines(b"0 1e400 .5 .1 .1"), "'1e400'"),
    "broken YAML": (_lines(b"", {"data.yaml": b"names: [a, b"}), "'data.yaml' is not valid YAML"),
    "growing YAML": (
        _lines(b"", {"data.yaml": b"a: &a [x, x]\nb: &b [*a, *a]\nnames: [*b, *b]"}), "'names' in 'data.yaml' has",
    ),
    "text in a table": (_row("00.png,1,2,x,4,cat,train"), "Row 36 of 'boxes.csv' has 'x' in its box"),
    "empty side": (_row("00.png,1,2,,4,cat,train"), "Row 36 of 'boxes.csv' has a box with an empty side"),
    "no file": (_row(",1,2,3,4,cat,train"), "Row 36 of 'boxes.csv' names no file in 'file'"),
    "no class in a table": (_row("00.png,1,2,3,4,,train"), "Row 36 of 'boxes.csv' has no name of a class"),
    "two parts": (_row("00.png,1,2,3,4,cat,test"), "puts 'images/00.png' into test, but an earlier row into train"),
    "several boxes": (
        {**IMAGES, "b.csv": b"file,bboxes\n" + b"".join(b'%02d.png,"[[1,2,3,4],[5,6,7]]"\n' % row for row in range(9))},
        "Row 1 of 'b.csv' has the box .* Write one row for each object",
    ),
    "LabelMe without points": (_shape(points=[[1, 2]]), r"Shape 1 .* has the points \[\[1, 2\]\]; expected"),
    "text in LabelMe": (_shape(points=[[1, 2], [3, "a"]]), "Shape 1 of 'json/01.json' has 'a' in its box"),
    "LabelMe without label": (_shape(label=" "), "Shape 1 of 'json/01.json' has no name of a class"),
    "cut LabelMe": ({**LABELME, "json/01.json": LABELME["json/01.json"][:-5]}, "'json/01.json' is not valid JSON"),
    "Create ML without coordinates": (
        _createml(lambda images: images[1]["annotations"][0].pop("coordinates")),
        "Annotation 1 of image 2 of 'a.json' has the coordinates None; expected 4 finite numbers",
    ),
    "Create ML without a side": (
        _createml(lambda images: images[1]["annotations"][0]["coordinates"].pop("x")), "has an empty number in its box",
    ),
    "Create ML without file": (_createml(lambda images: images[4].pop("image")), "Image 5 of 'a.json' has no file"),
    "Create ML of texts": (_createml(lambda images: images.append("x")), "'a.json' has to be a list of objects"),
    "growing list of a part": (
        _yaml("a: &a [x, x]\nb: &b [*a, *a]\ntrain: [*b, *b]\nval: images/b"), "'train' in 'data.yaml' has to",
    ),
    "overlapping folders": (
        _yaml("train: images\nval: images/b"), "puts 'images/b/19.png' into two parts of the split, as 'val' has",
    ),
    "folders of one name": (
        {**_yaml("train: a\nval: images/b"), "other/a/30.png": image(3)}, "names 'a', but there are '.*/a' and '.*/a'",
    ),
    "no boxes": (IMAGES, "The upload has no boxes of objects; add JSON files of COCO"),
    "no images": ({"a.json": as_json(coco(BOXES)), "b.txt": b"words\n"}, "but their images are missing"),
    "two images of one name": ({**YOLO, "images/01.jpg": image(1)}, "there are 'images/01.jpg' and 'images/01.png'"),
    "two files for an image": ({**VOC, "other/01.xml": voc(1, BOXES[1])}, "both have the objects of 'images/01.png'"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_invalid_files_are_refused_by_a_sentence(case: str, home: Path) -> None:
    files, message = REFUSED[case]
    with pytest.raises(DataError, match=message):
        add_file(make_zip(files), "photos.zip", home, kind="objects")


# The files, the number of images and of objects that remain, and the note
NOTED: dict[str, tuple[dict[str, bytes], int, int, str]] = {
    "huge box": (
        _box([1e308, 2, 1e308, 4]),
        20,
        29,
        "Boxes without an area inside of the image left out: 1, in 'images/0",
    ),
    "box outside": (_box([-5, -5, 20, 20]), 20, 30, "Boxes clipped to the image: 1, in 'images/02.png'."),
    "swapped corners": (
        _box([10, 10, -5, -5]),
        20,
        30,
        "Boxes whose corners were in another order: 1, in 'images/02.png'.",
    ),
    "empty box": (_box([]), 20, 29, "Annotations without a box left out: 1, in 'a.json'."),
    "crowd": (
        _coco(lambda document: document["annotations"][0].update(iscrowd=1)),
        20,
        29,
        "Boxes of crowds .* 1, in 'a.json'.",
    ),
    "unknown image": (
        _coco(lambda document: document["annotations"][0].update(image_id=7)),
        20,
        29,
        "images that are not listed",
    ),
    "missing image": (
        _coco(lambda document: document["images"][0].update(file_name="x/99.png")),
        19,
        30,
        "missing: 1, 'x/99.png'",
    ),
    "unlisted image": (
        _coco(lambda document: document["images"].pop(0)),
        19,
        30,
        "1 image without a label, such as 'images/00.png'",
    ),
    "repetition": (
        _coco(lambda document: document["annotations"].append(document["annotations"][0])),
        20,
        30,
        "same object left out: 1",
    ),
    "unused class": (
        _coco(lambda document: document["categories"].append({"id": 0, "name": "x"})),
        20,
        30,
        "without objects left out: 1, 'x'",
    ),
    "other shape": (
        _coco(lambda document: document["images"][2].update(width=30, height=30)),
        20,
        30,
        "another shape .*: 1, 'images/02.png'",
    ),
    "spellings": (_xml(b"<name>zebra", b"<name>Zebra"), 20, 30, "'Zebra'.*'zebra'|'zebra'.*'Zebra'"),
    "difficult": (_xml(b"<difficult>0", b"<difficult>1"), 20, 29, "Difficult objects left out: 1, in 'ann/01.xml'."),
    "from zero": (_xml(b"<xmin>24", b"<xmin>0"), 20, 30, "counted from 0, not from 1 .* 'images/01.png' has 0."),
    "no annotation": (
        {name: content for name, content in VOC.items() if name != "ann/05.xml"},
        19,
        29,
        "1 image without a label",
    ),
    "polygon": (
        _lines(b"0 .1 .1 .5 .1 .5 .6"),
        20,
        30,
        "Polygons read as the boxes around them: 1, in 'labels/01.txt'.",
    ),
    "without names": (YOLO, 20, 30, "5 of 20 images have no object"),
    "orphan": (
        {**YOLO, "labels/99.txt": yolo(BOXES[1])},
        20,
        30,
        "Files of boxes without an image: 1, 'labels/99.txt'.",
    ),
    "unlabeled folder": (
        {**YOLO, **{f"images/more/{row}.png": image(3) for row in range(30, 33)}},
        20,
        30,
        "3 images without a label",
    ),
    "missing in table": (
        _row("99.png,1,2,3,4,cat,train"),
        20,
        30,
        "Rows that name missing images left out: 1, '99.png'.",
    ),
}

NOTED |= {
    "LabelMe polygon": (
        _shape(shape_type="polygon", points=[[1, 2], [9, 3], [4, 8]]), 20, 30,
        "Polygons read as the boxes around them: 1, in 'json/01.json'.",
    ),
    "LabelMe point": (
        _shape(shape_type="point", points=[[1, 2]]), 20, 29, "Points, lines and other shapes without an area left",
    ),
    "LabelMe without image": (
        {name: content for name, content in LABELME.items() if name != "images/02.png"}, 19, 28,
        "missing: 1, '.*02.png'",
    ),
    "Create ML without image": (
        _createml(lambda images: images.append({"image": "x.png", "annotations": []})), 20, 30, "missing: 1, 'x.png'",
    ),
    "equal parts": (
        _yaml("train: images/a\nval: images/a\ntest: images/b"), 20, 30,
        "'val' and 'train' in 'data.yaml' name the same images; 'val' was left out.",
    ),
    "missing part": (
        _yaml("train: images/a\nval: images/b\ntest: images/c"), 20, 30,
        "'test' names 'images/c' in 'data.yaml', where no image was found.$",
    ),
    "no part": (_yaml("train: x\nval: y.txt"), 20, 30, "'train' names 'x' .* found; only folders and lists named"),
}  # fmt: skip


@pytest.mark.parametrize("case", NOTED)
def test_what_is_left_out_or_corrected_is_noted(case: str, home: Path) -> None:
    files, images, count, note = NOTED[case]
    raw = _read(files, home)
    assert len(raw) == images
    assert (raw.target[..., 0] >= 0).sum() == count
    assert (raw.target[..., 1:] >= 0).all()
    assert (raw.target[..., 1:] <= 1).all()
    assert any(re.search(note, warning) for warning in raw.warnings), raw.warnings


def test_shapes_of_labelme_become_boxes_and_groups_one_object(home: Path) -> None:
    files = _shape(shape_type="circle", points=[[10, 10], [13, 14]], group_id=3)
    document = json.loads(files["json/01.json"])
    document["shapes"].append({**document["shapes"][0], "shape_type": "polygon", "points": [[20, 2], [30, 8], [24, 6]]})
    raw = _read({**files, "json/01.json": as_json(document)}, home)
    np.testing.assert_allclose(raw.target[1, 0, 1:], [5 / WIDTH, 2 / HEIGHT, 30 / WIDTH, 15 / HEIGHT], atol=1e-6)
    assert (raw.target[..., 0] >= 0).sum() == 30
    assert any("Groups of shapes read as one object: 1, in 'json/01.json'." in note for note in raw.warnings)


@pytest.mark.parametrize("empty", ["", "null", "~", "[]"])
def test_a_part_without_a_value_in_data_yaml_is_not_missing(empty: str, home: Path) -> None:
    raw = _read(_yaml(f"train: images/a\nval: images/b\ntest: {empty}"), home)
    assert raw.given is not None
    assert "data.yaml" not in " ".join(raw.warnings)


def test_an_empty_file_of_yolo_says_that_there_is_no_object(home: Path) -> None:
    raw = _read(YOLO, home)
    assert b"" in YOLO.values()
    assert not [warning for warning in raw.warnings if "unknown type" in warning]
    assert raw.classes == ("class 0", "class 1", "class 2")


@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 7, 8])
@pytest.mark.parametrize("stated", ["stored", "shown", "nothing"])
def test_boxes_follow_the_exif_orientation_of_their_image(orientation: int, stated: str, home: Path) -> None:
    """Sizes that differ from those of the shown image say that the boxes belong to the pixels as stored."""
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[3:9, 20:32] = 255
    exif, stream = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(stream, "PNG", exif=exif)
    turned = orientation >= 5
    width, height = (HEIGHT, WIDTH) if turned else (WIDTH, HEIGHT)
    box = [20, 3, 12, 6]
    if stated != "stored" or not turned:
        width_box, height_box = (6, 12) if turned else (12, 6)
        x = {1: 20, 3: 8, 5: 3, 6: 11, 7: 11, 8: 3}[orientation]
        y = {1: 3, 3: 11, 5: 20, 6: 20, 7: 8, 8: 8}[orientation]
        box = [x, y, width_box, height_box]
    size = {"stored": {"width": WIDTH, "height": HEIGHT}, "shown": {"width": width, "height": height}, "nothing": {}}
    document = {
        "images": [{"id": row, "file_name": f"{row}.png", **size[stated]} for row in range(10)],
        "annotations": [{"image_id": row, "category_id": 1, "bbox": box} for row in range(10)],
        "categories": [{"id": 1, "name": "bar"}],
    }
    raw = _read({**{f"{row}.png": stream.getvalue() for row in range(10)}, "a.json": as_json(document)}, home, size=40)
    lines, columns = np.nonzero(raw.pixels[0, 0] > 127)
    edges = np.array([columns.min(), lines.min(), columns.max() + 1, lines.max() + 1]) / 40
    np.testing.assert_allclose(raw.target[0, 0, 1:], edges, atol=0.03)
    assert not raw.warnings


def test_size_and_color_are_those_of_the_document(home: Path) -> None:
    raw = _read(_box([1, 2, 1.5, 12]), home)
    assert raw.pixels.shape == (ROWS, 1, 40, 40)
    assert "1 of 30 objects is smaller than 2 pixels in images of 40 × 40" in " ".join(raw.warnings)
    larger = _read(_box([1, 2, 1.5, 12]), home, {"size": 96, "grayscale": False})
    assert larger.pixels.shape == (ROWS, 3, 96, 96)
    assert not [warning for warning in larger.warnings if "smaller" in warning]
    np.testing.assert_array_equal(larger.target, raw.target)


def test_the_format_and_the_class_can_be_chosen(home: Path) -> None:
    files = {**VOC, "boxes.csv": b"file,xmin,ymin,xmax,ymax,color,name\n" + b"".join(
        b"%02d.png,1,2,9,9,%s,cat\n" % (row, (b"red", b"blue")[row % 2]) for row in range(ROWS))}  # fmt: skip
    assert (_read(files, home).target[..., 0] >= 0).sum() == 30
    assert _read(files, home, format="table").classes == ("cat",)
    assert _read(files, home, format="table", category="color").classes == ("blue", "red")
    one = _read(files, home, format="table", category=None)
    assert one.classes == ("object",)
    assert "as no column of 'boxes.csv' was chosen as their class; there is 'color', 'name'" in one.warnings[0]


def test_the_preview_shows_boxes_and_the_summary_what_is_learned() -> None:
    reader, source = readers()["objects"], open_source(make_zip(LAYOUTS["Roboflow's YOLO"](BOXES)), "photos.zip")
    answers = reader.answered(source, {})
    assert reader.learned(source, answers) == "Find objects of 3 classes in 20 images."
    preview = reader.preview(source, answers)
    assert len(preview) == 8
    assert preview["image"].str.startswith("data:image/png").all()
    assert preview["objects"].str.contains("cat|dog|zebra").all()


def test_images_of_other_annotations_of_the_same_images_are_not_doubled(home: Path) -> None:
    keypoints = {**coco(BOXES), "categories": [{"id": number, "name": "person"} for number in (90, 3, 41)]}
    files = {
        **IMAGES,
        "a/instances_2017.json": as_json(coco(BOXES)),
        "a/keypoints_2017.json": as_json(keypoints),
    }
    raw = _read(files, home)
    assert raw.classes == ("cat", "dog", "zebra")
    assert raw.warnings[0].startswith("'a/keypoints_2017.json' was left out")


def test_parts_of_coco_may_lack_objects_and_classes(home: Path) -> None:
    """A part without any object has unlabeled images otherwise, and classes of another part would be called unused."""
    objects = [own if part(row) == "train" else [] for row, own in enumerate(BOXES)]
    documents = {name: json.loads(as_json(coco(objects))) for name in ("train", "valid", "test")}
    for name, document in documents.items():
        document["images"] = [item for item in document["images"] if part(item["id"]) == name]
        document["annotations"] = document["annotations"] if name == "train" else []
    raw = _read({**IMAGES, **{f"{name}.json": as_json(document) for name, document in documents.items()}}, home)
    assert len(raw.pixels) == ROWS
    assert raw.given is not None
    assert sorted(set(raw.given.tolist())) == [0, 1, 2]
    assert [text for text in raw.warnings if "without" in text] == []


@pytest.mark.parametrize("columns", ["x,y,width,height", "xmin,ymin,xmax,ymax"])
def test_a_table_without_images_remains_a_table(columns: str) -> None:
    rows = [f"{row}.png,{row},2,9,9,{'ab'[row % 2]}" for row in range(12)]
    source = open_source("\n".join([f"file,{columns},kind", *rows]).encode(), "boxes.csv")
    assert [reader.name for reader in fitting(source)] == ["table"]


def test_masks_remain_the_first_guess_beside_boxes() -> None:
    masks = {f"masks/{row:02}.png": image(row) for row in range(ROWS)}
    assert (
        fitting(open_source(make_zip({**IMAGES, **masks, "a.json": as_json(coco(BOXES))}), "a.zip"))[0].name == "masks"
    )


def test_equal_images_with_other_objects_are_conflicts_and_not_duplicates(home: Path) -> None:
    """Images 4 and 8 have no objects; 1 and 2 have different ones."""
    files = {**YOLO, "images/08.png": image(4), "images/01.png": image(2)}
    choice = DataChoice(dataset=add_file(make_zip(files), "photos.zip", home).name)
    findings = {finding.code: finding for finding in DuplicateRows().check(QualityView(prepare(choice, home)))}
    assert findings["duplicate_rows"].pairs == ((4, 8),)
    assert findings["conflicting_labels"].pairs == ((1, 2),)
    assert "but another target." in findings["conflicting_labels"].message


@pytest.mark.parametrize(
    ("split", "message"),
    [("stratified", "Only classes and numbers"), ("group", "no groups"), ("given", "no given split")],
)
def test_splits_that_need_more_than_images_are_refused(split: str, message: str, home: Path) -> None:
    info = add_file(make_zip(YOLO), "photos.zip", home)
    with pytest.raises(DataError, match=message):
        prepare(DataChoice.model_validate({"dataset": info.name, "split": split}), home)


def test_images_with_objects_get_a_version_with_examples(home: Path) -> None:
    data = prepare(DataChoice(dataset=add_file(make_zip(YOLO), "photos.zip", home).name), home)
    label = [{"class": data.schema.target.classes[0], "box": [0.1, 0.2, 0.5, 0.75]}]
    image = np.asarray(data.row(0)["image"]).tolist()
    info = make_version(data, [({"image": image}, label), ({"image": image}, [])], home, "More")
    version = prepare(DataChoice(dataset=info.name, split="given"), home)
    assert version.schema.target.classes == data.schema.target.classes
    assert len(version.split["train"]) == len(data.split["train"]) + 2
    texts = [version.target_text(int(row)) for row in version.split["train"]]
    assert {"no object", data.schema.target.classes[0]} <= set(texts)


def test_an_archive_may_have_a_file_of_boxes_for_each_image() -> None:
    assert counted_files([f"images/{row}.jpg" for row in range(9)] + [f"labels/{row}.txt" for row in range(9)]) == (
        9,
        0,
    )
    assert counted_files(["a/1.jpg", "b/1.XML", "c\\1.txt", "2.txt", "boxes.csv"]) == (2, 2)
