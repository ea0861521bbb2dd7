"""What-if: a changed example next to the original, with scores, probabilities and attributions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from netloom.explain.robustness.what_if import background, pixels, raw_picture, raw_row, target_request, what_if
from tests.explain.models import trained


def test_linear_score_changes_by_weight_times_input_change() -> None:
    run = trained("regression")
    raw = raw_row(run.data, 7)
    column = run.data.fields[0].columns[2]
    comparison = what_if(run, 7, raw | {column.name: raw[column.name] + 2 * column.step})
    weight = float(run.model.state_dict()["linear_1.weight"][0, 2]) * run.data.fitted_numbers.std[0]
    assert comparison.score_change == pytest.approx(2 * weight, rel=1e-4)
    difference = comparison.after.attributions["features"] - comparison.before.attributions["features"]
    assert difference[2] == pytest.approx(2 * weight, rel=1e-3)
    np.testing.assert_allclose(np.delete(difference, 2), 0, atol=1e-3)


def test_unchanged_example_keeps_score_and_target() -> None:
    for name in ("table", "image", "series", "transformer"):
        run = trained(name)
        comparison = what_if(run, 11, raw_row(run.data, 11), "saliency", proofs=False)
        assert comparison.score_change == pytest.approx(0, abs=1e-5)
        assert not comparison.is_prediction_changed
        for field, values in comparison.before.attributions.items():
            np.testing.assert_allclose(values, comparison.after.attributions[field], atol=1e-5)
        assert comparison.before.target == comparison.after.target
        assert all(before == pytest.approx(after, abs=1e-6) for before, after in comparison.probabilities.values())


def test_changed_text_gets_the_networks_probabilities() -> None:
    run = trained("transformer")
    comparison = what_if(run, 3, {"text": "turn off the kitchen light"}, "saliency", proofs=False)
    with torch.no_grad():
        shares = run.model(*run.data.encode({"text": "turn off the kitchen light"}).values()).softmax(1)[0]
    for index, name in enumerate(run.data.schema.target.classes):
        assert comparison.probabilities[name][1] == pytest.approx(float(shares[index]), abs=1e-5)
    assert comparison.after.target.index == comparison.before.target.index, (
        "both explain the class predicted before the change"
    )


def test_target_request_round_trips() -> None:
    for name in ("table", "regression"):
        run = trained(name)
        comparison = what_if(run, 2, raw_row(run.data, 2), "saliency", proofs=False)
        again = what_if(
            run, 2, raw_row(run.data, 2), "saliency", target=target_request(comparison.before.target), proofs=False
        )
        assert again.before.target == comparison.before.target


def test_images_round_trip_through_raw_rows() -> None:
    data = trained("image").data
    raw = raw_row(data, 4)
    picture = pixels(data, "image", raw)
    assert 0 <= picture.min() <= picture.max() <= 1
    np.testing.assert_allclose(raw_picture(data, "image", picture), np.asarray(raw["image"]).reshape(picture.shape))
    encoded = data.encode({"image": raw_picture(data, "image", picture)})["image"]
    torch.testing.assert_close(encoded, data.inputs["image"][4:5])
    background_color = background(data, "image")
    assert background_color.shape == (picture.shape[0],)
    edge = np.concatenate([np.atleast_3d(data.example(row).image)[0] for row in range(40)])
    np.testing.assert_allclose(background_color, np.median(edge, axis=0), atol=0.05)
