"""A changed example beside the original: the answers, the shares, and what both rest on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from netloom.explain.robustness.what_if import background, pixels, raw_picture, raw_row, target_request, what_if
from tests.explain.models import trained


def test_a_linear_network_moves_by_its_weight_times_the_change() -> None:
    run = trained("regression")
    raw = raw_row(run.data, 7)
    column = run.data.fields[0].columns[2]
    found = what_if(run, 7, raw | {column.name: raw[column.name] + 2 * column.step})
    weight = float(run.model.state_dict()["linear_1.weight"][0, 2]) * run.data.fitted_numbers.std[0]
    assert found.moved == pytest.approx(2 * weight, rel=1e-4)
    apart = found.after.attributions["features"] - found.before.attributions["features"]
    assert apart[2] == pytest.approx(2 * weight, rel=1e-3)
    np.testing.assert_allclose(np.delete(apart, 2), 0, atol=1e-3)


def test_what_is_not_changed_answers_as_before_and_the_same_number_is_explained() -> None:
    for name in ("table", "image", "series", "transformer"):
        run = trained(name)
        found = what_if(run, 11, raw_row(run.data, 11), "saliency", proofs=False)
        assert found.moved == pytest.approx(0, abs=1e-5)
        assert not found.another
        for field, values in found.before.attributions.items():
            np.testing.assert_allclose(values, found.after.attributions[field], atol=1e-5)
        assert found.before.target == found.after.target
        assert all(one == pytest.approx(other, abs=1e-6) for one, other in found.shares.values())


def test_other_words_change_the_shares_to_what_the_network_says() -> None:
    run = trained("transformer")
    found = what_if(run, 3, {"text": "turn off the kitchen light"}, "saliency", proofs=False)
    with torch.no_grad():
        shares = run.model(*run.data.encode({"text": "turn off the kitchen light"}).values()).softmax(1)[0]
    for place, name in enumerate(run.data.schema.target.classes):
        assert found.shares[name][1] == pytest.approx(float(shares[place]), abs=1e-5)
    assert found.after.target.index == found.before.target.index, "the class that was answered before"


def test_a_target_is_asked_for_again() -> None:
    for name in ("table", "regression"):
        run = trained(name)
        found = what_if(run, 2, raw_row(run.data, 2), "saliency", proofs=False)
        again = what_if(
            run, 2, raw_row(run.data, 2), "saliency", target=target_request(found.before.target), proofs=False
        )
        assert again.before.target == found.before.target


def test_pictures_go_to_cells_and_back() -> None:
    data = trained("image").data
    raw = raw_row(data, 4)
    picture = pixels(data, "image", raw)
    assert 0 <= picture.min() <= picture.max() <= 1
    np.testing.assert_allclose(raw_picture(data, "image", picture), np.asarray(raw["image"]).reshape(picture.shape))
    encoded = data.encode({"image": raw_picture(data, "image", picture)})["image"]
    torch.testing.assert_close(encoded, data.inputs["image"][4:5])
    ground = background(data, "image")
    assert ground.shape == (picture.shape[0],)
    edge = np.concatenate([np.atleast_3d(data.example(row).image)[0] for row in range(40)])
    np.testing.assert_allclose(ground, np.median(edge, axis=0), atol=0.05)
