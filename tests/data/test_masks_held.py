"""Segmentation masks are stored as uint8, an eighth of the int64 size, without changing any result."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch

from netloom.data import Prepared, add_file, prepare
from netloom.data.augmentation.augmenter import Augmenter
from netloom.document import Augment, DataChoice, Training
from netloom.training.objectives.segmentation import Segmentation
from tests.data import brought


def _masks(home: Path) -> Prepared:
    return prepare(DataChoice(dataset=add_file(brought.masks(), "squares.zip", home).name), home)


def test_mask_uses_uint8_without_a_copy(home: Path) -> None:
    data = _masks(home)
    assert data.target.dtype == torch.uint8
    assert data.target.data_ptr() == data.raw.target.ctypes.data
    names = [data.schema.target.classes[number] for number in np.unique(data.target[0].numpy()) if number]
    assert data.target_text(0) == ", ".join(names)


def test_mask_fingerprint_matches_the_int64_fingerprint(home: Path) -> None:
    raw = _masks(home).raw
    content = b"".join(raw.content()) + raw.target.astype(np.int64).tobytes()
    assert raw.fingerprint() == hashlib.sha256(content).hexdigest()


def test_uint8_masks_give_bitwise_equal_loss_and_scores(home: Path) -> None:
    data = _masks(home)
    objective = Segmentation().configured(Training(class_weights="balanced"), data, "cpu")
    rows = data.split["train"][:8]
    output = torch.randn(8, len(data.schema.target.classes), *data.schema.target.shape)
    compact, wide = data.target[rows], data.target[rows].long()
    assert objective.loss(output, compact).equal(objective.loss(output, wide))
    assert float(objective.mass(compact)) == float(objective.mass(wide))
    first, second = objective.scores(output, compact), objective.scores(output, wide)
    assert all(float(first.sums[name]) == float(value) for name, value in second.sums.items())


def test_uint8_mask_transforms_like_an_int64_mask(home: Path) -> None:
    data = _masks(home)
    fields = [data.schema.inputs[0].name]
    augmenter = Augmenter((Augment(kind="rotate"), Augment(kind="crop")), data, fields, data.target)
    pictures, mask = data.inputs[fields[0]][:6], data.target[:6]
    moved = augmenter([pictures], mask, (0, 0, 0))[1]
    assert moved.dtype == torch.uint8
    assert moved.equal(augmenter([pictures], mask.long(), (0, 0, 0))[1].to(torch.uint8))
    assert not moved.equal(mask)
