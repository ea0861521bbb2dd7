"""Corruptions suit the field, and leave values that a network can read."""

from __future__ import annotations

import torch

from netloom.calibration import CalibrationSettings, calibrate
from netloom.calibration.corruptions import CORRUPTIONS, corrupted
from netloom.modalities.field_spec import FieldSpec
from tests.calibration.examples import trained

BY_TITLE = {corruption.title: corruption for corruption in CORRUPTIONS}


def test_categories_stay_in_their_column() -> None:
    # Each column has its own vocabulary, so that a value of another column could be out of range.
    report = calibrate(trained("clicks_deepfm"), CalibrationSettings("none", measure_ood=True))
    assert {item.other for item in report.scores[0].separates} == {"Shuffled columns"}
    field = FieldSpec("shown", "tokens", (2,), 9, ("color", "size"))
    rows = torch.tensor([[1, 10], [2, 20], [3, 30], [4, 40]])
    changed = corrupted({"shown": rows}, [field], BY_TITLE["Shuffled columns"])
    assert changed is not None
    assert not torch.equal(changed["shown"], rows)
    assert torch.equal(changed["shown"].sort(0).values, rows)
    assert corrupted({"shown": rows}, [field], BY_TITLE["Shuffled order"]) is None


def test_padding_of_texts_stays_at_the_end() -> None:
    rows = torch.tensor([[5, 6, 7, 8, 0, 0]] * 20)
    changed = corrupted({"text": rows}, [FieldSpec("text", "tokens", (6,), 9)], BY_TITLE["Shuffled order"])
    assert changed is not None
    assert not torch.equal(changed["text"], rows)
    assert torch.equal(changed["text"][:, 4:], rows[:, 4:])
    assert torch.equal(changed["text"][:, :4].sort(1).values, rows[:, :4])


def test_noise_of_one_row_is_finite() -> None:
    rows = torch.tensor([[1.0, 2.0]])
    changed = corrupted({"features": rows}, [FieldSpec("features", "vector", (2,))], BY_TITLE["Noise"])
    assert changed is not None
    assert changed["features"].isfinite().all()
