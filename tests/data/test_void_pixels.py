"""Void pixels: the value 255 beside class indices is not a class, in files, arrays and versions."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from netloom.data import DataError, Prepared, add_file, prepare
from netloom.data.dataset_version import make_version
from netloom.document import DataChoice
from netloom.modalities.encoding.tags import IGNORE
from netloom.tasks.registry import task
from netloom.tasks.true_labels import MaskLabel
from netloom.training.diagnostics.prediction_cards import MaskCard
from tests.data import brought
from tests.data.samples import import_and_prepare, make_deflated_zip

COUNT, SIDE = 14, 12


def outlined(number: int, values: tuple[int, ...] = (0, 1, 2), void: int = 255) -> np.ndarray:
    """A mask with a square of each class but the first, in an outline of void pixels, as in Pascal VOC."""
    mask = np.full((SIDE, SIDE), values[0], dtype=np.int64)
    for kind, column in zip(values[1:], (0, 6), strict=False):
        row = (number * 3 + kind) % 7
        mask[row : row + 5, column : column + 5] = void
        mask[row + 1 : row + 4, column + 1 : column + 4] = kind
    return mask


def files(values: tuple[int, ...] = (0, 1, 2), void: int = 255) -> bytes:
    members = {}
    for number in range(COUNT):
        mask = outlined(number, values, void)
        members[f"images/{number:02}.png"] = brought.png((mask % 3 * 90).astype(np.uint8))
        members[f"masks/{number:02}.png"] = brought.png(mask.astype(np.uint8))
    return make_deflated_zip(members)


def imported(home: Path, values: tuple[int, ...] = (0, 1, 2), marked: int = 255, **options: Any) -> Prepared:
    info = add_file(files(values, marked), "masks.zip", home, options=options)
    return prepare(DataChoice(dataset=info.name), home)


def mask_label(data: Prepared) -> MaskLabel:
    label = task("segmentation").true_label(data.schema)
    assert isinstance(label, MaskLabel)
    return label


def png(mask: np.ndarray) -> bytes:
    return brought.png(mask.astype(np.uint8))


def test_255_beside_class_indices_is_void_and_noted(home: Path) -> None:
    data = imported(home)
    assert data.schema.target.classes == ("ground", "class 1", "class 2")
    masks = np.stack([outlined(number) for number in range(COUNT)])
    assert (data.target.numpy() == np.where(masks == 255, IGNORE, masks)).all()
    (note,) = data.warnings
    assert note.startswith(f"The value 255 marks void pixels, {(masks == 255).mean():.2%} of all")
    assert note.endswith("If it is a class, add the data again with the option void=false.")
    assert data.target_text(0) == "class 1, class 2"


def test_an_option_makes_the_void_value_a_class_or_names_another(home: Path) -> None:
    assert imported(home, void=False).schema.target.classes[-1] == "class 255"
    other = imported(home, (0, 1, 2), 9, void_value=9)
    assert other.schema.target.classes == ("ground", "class 1", "class 2")
    assert int((other.target < 0).sum()) == sum(int((outlined(number) == 255).sum()) for number in range(COUNT))
    with pytest.raises(DataError, match="No mask has the value 77, which void_value names"):
        imported(home, void_value=77)


@pytest.mark.parametrize(("values", "void"), [((0, 128), 255), ((0, 255), 255), ((0, 1, 2), 3)])
def test_gray_values_and_other_class_indices_have_no_void_pixels(
    values: tuple[int, ...], void: int, home: Path
) -> None:
    data = imported(home, values, void)
    assert len(data.schema.target.classes) == len({*values, void})
    assert not (data.target < 0).any()
    assert not data.warnings


@pytest.mark.parametrize("void", [255, -100])
def test_arrays_of_masks_have_void_pixels_too(void: int, home: Path) -> None:
    masks = np.stack([outlined(number, void=void) for number in range(COUNT)]).astype(np.int16)
    content = io.BytesIO()
    np.savez(content, x_train=(masks % 3 * 90).astype(np.uint8), y_train=masks)
    data = import_and_prepare(content.getvalue(), home, "masks.npz")
    assert data.schema.target.classes == ("class 0", "class 1", "class 2")
    assert (data.target.numpy() == np.where(masks == void, IGNORE, masks)).all()
    assert data.warnings[0].startswith(f"The value {void} marks void pixels")
    info = add_file(content.getvalue(), "masks.npz", home, options={"void": False})
    assert len(prepare(DataChoice(dataset=info.name), home).schema.target.classes) == 4


def test_a_version_keeps_void_pixels_and_takes_collected_masks_with_them(home: Path) -> None:
    data = imported(home)
    collected = mask_label(data).read_image(png(outlined(3)), "a.png")
    version = prepare(DataChoice(dataset=make_version(data, [(data.row(0), collected)], home, "More").name), home)
    assert version.schema.target.classes == data.schema.target.classes
    assert len(version.target) == len(data.target) + 1
    assert int((version.target < 0).sum()) == int((data.target < 0).sum()) + int((outlined(3) == 255).sum())


def test_a_true_label_with_void_pixels_measures_the_others_alone(home: Path) -> None:
    label = mask_label(imported(home))
    expected = np.where(outlined(0) == 255, IGNORE, outlined(0))
    rows = label.check(expected.tolist())
    assert label.error(np.where(expected < 0, 1, expected).tolist(), rows) == 0
    wrong = np.where(expected == 1, 2, np.where(expected < 0, 0, expected))
    assert label.error(wrong.tolist(), rows) == pytest.approx((expected == 1).sum() / (expected >= 0).sum())
    assert label.text(rows).endswith(f"void {(expected < 0).mean():.0%}")
    with pytest.raises(DataError, match="No pixel of the mask has a class"):
        label.check(np.full((SIDE, SIDE), IGNORE).tolist())
    with pytest.raises(DataError, match=r"255 is not a class of the model; .* -100 is a pixel without a class"):
        label.check(outlined(0).tolist())
    assert json.loads(json.dumps(label.schema))["items"]["items"]["anyOf"][1] == {"const": IGNORE}


def test_masks_are_read_by_the_values_of_the_data(home: Path) -> None:
    label = mask_label(imported(home, (0, 7, 42)))
    assert label.names == ("ground", "class 7", "class 42")
    expected = np.where(outlined(2) == 255, IGNORE, outlined(2, (0, 1, 2)))
    places = outlined(2, (0, 7, 42))
    expected = np.select([places == 255, places == 7, places == 42], [IGNORE, 1, 2], 0)
    assert label.read_image(png(places), "a.png") == expected.tolist()
    single = np.where(places == 42, 42, 0)
    assert label.read_image(png(single), "a.png") == np.where(places == 42, 2, 0).tolist()
    numbers = np.where(expected < 0, 0, expected)
    assert label.read_image(png(numbers), "a.png") == numbers.tolist()
    with pytest.raises(DataError, match="save a PNG with the values 0, 7, 42 of the masks of the data, with the class"):
        label.read_image(png(np.where(places == 42, 9, 0)), "a.png")


def test_class_ids_without_zero_are_not_read_as_class_numbers(home: Path) -> None:
    """The file values 1 and 2 are the classes 0 and 1, although both are class numbers of the model, too."""
    label = mask_label(imported(home, (1, 2, 3)))
    assert label.read_image(png(outlined(0, (1, 2), 1)), "a.png") == (outlined(0, (1, 2), 1) - 1).tolist()


def test_palette_files_are_read_by_color_where_the_data_was(home: Path) -> None:
    label = mask_label(import_and_prepare(brought.masks("rgb"), home, "masks.zip"))
    mask = outlined(0, void=0)
    image = Image.frombytes("P", (SIDE, SIDE), mask.astype(np.uint8).tobytes())
    image.putpalette([0, 0, 0, 0, 0, 255, 255, 0, 0])  # blue before red, in another order than by value
    content = io.BytesIO()
    image.save(content, "PNG")
    blue = label.names.index("#0000ff")
    assert np.array_equal(np.array(label.read_image(content.getvalue(), "a.png")) == blue, mask == 1)


def test_void_pixels_of_a_card_survive_its_file() -> None:
    mask = np.array([[0, 1, IGNORE], [2, IGNORE, 0]])
    card = MaskCard.from_json(MaskCard.of(mask, ("a", "b", "c")).to_json())
    assert card.numbers().tolist() == mask.tolist()
