"""What a network goes by over many rows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from netloom.explain import ExplainError, explain
from netloom.explain.dataset.aggregation import MIN_TOKEN_COUNT
from netloom.explain.dataset.global_attribution import ROWS, ROWS_ONE_BY_ONE, default_row_count, global_attribution
from netloom.explain.dataset.sample_attributions import BATCHED_METHOD
from netloom.runs import evaluate
from tests.explain.models import fresh, network, trained, untrained_run


def linear(rows: list[int]) -> np.ndarray:
    """w·(x − mean) of the linear regression for each row, in the target's own units."""
    run = trained("regression")
    weights: Any = run.model.get_submodule("linear_1").weight
    x = run.data.inputs["features"]
    scale = run.data.fitted_numbers.std[0]
    parts: np.ndarray = (weights[0] * (x[rows] - x[run.data.split["train"]].mean(0)) * scale).detach().numpy()
    return parts


def test_a_linear_model_goes_by_its_weights() -> None:
    run = trained("regression")
    found = global_attribution(run, "test")
    rows = [row.row for row in found.rows]
    assert rows == run.data.split["test"].tolist()
    parts = linear(rows)
    names = run.data.schema.inputs[0].columns
    told = {part.name: part for part in found.parts}
    scale = run.data.fitted_numbers.std[0]
    sizes, means = np.abs(parts).mean(0), parts.mean(0)
    for place, name in enumerate(names):
        assert told[name].mean / scale == pytest.approx(sizes[place] / scale, abs=1e-5)
        assert told[name].signed / scale == pytest.approx(means[place] / scale, abs=1e-5)
        np.testing.assert_allclose(told[name].points, parts[:, place], atol=1e-4 * scale)
    assert [part.mean for part in found.parts] == sorted(sizes, reverse=True) or np.allclose(
        [part.mean for part in found.parts], sorted(sizes, reverse=True), atol=1e-4
    )
    assert found.converged == 1.0


@pytest.mark.parametrize("name", ["table", "image", "series", "transformer", "recurrent"])
def test_many_at_once_are_as_one_by_one(name: str) -> None:
    run = trained(name) if name == "table" else fresh(name)
    found = global_attribution(run, "test", rows=4, seed=1)
    for place, row in enumerate(found.rows):
        single = explain(run, BATCHED_METHOD, row.row, proofs=False)
        assert row.explained == single.target.name
        completeness = single.proofs.completeness
        assert completeness is not None
        near = 0.02 * abs(completeness.answer - completeness.baseline_answer) + 1e-4
        for field, values in single.attributions.items():
            if field in found.each:
                assert np.corrcoef(found.each[field][place].ravel(), values.ravel())[0, 1] > 0.98
                assert found.each[field][place].sum() == pytest.approx(values.sum(), abs=2 * near)
    if name in ("transformer", "recurrent"):
        means = {part.name: part.mean for part in found.parts}
        met: dict[str, list[float]] = {}
        for row in found.rows:
            single = explain(run, BATCHED_METHOD, row.row, proofs=False)
            for word, value in zip(single.labels["text"], single.attributions["text"], strict=True):
                met.setdefault(word.lower(), []).append(abs(float(value)))
        often = {word: sizes for word, sizes in met.items() if len(sizes) >= MIN_TOKEN_COUNT and word in means}
        assert often
        for word, sizes in often.items():
            assert means[word] == pytest.approx(np.mean(sizes), rel=0.1, abs=0.02)


def test_it_agrees_with_permuting_the_columns() -> None:
    """How far the answer moves when a column is shuffled is measured with no gradient at all."""
    run = trained("table")
    found = global_attribution(run, "test", target=0)
    rows = [row.row for row in found.rows]
    x = run.data.inputs["features"][rows]
    random = np.random.default_rng(0)
    with torch.no_grad():
        before = run.model(x)[:, 0]
        moved = []
        for column in range(x.shape[1]):
            changed = []
            for _ in range(8):
                other = x.clone()
                other[:, column] = x[random.permutation(len(x)), column]
                changed.append(float((run.model(other)[:, 0] - before).abs().mean()))
            moved.append(np.mean(changed))
    told = {part.name: part.mean for part in found.parts}
    names = run.data.schema.inputs[0].columns
    assert spearmanr([told[name] for name in names], moved).statistic > 0.8


def test_a_class_that_is_asked_for_and_groups() -> None:
    run = trained("table")
    own, asked = global_attribution(run, "test"), global_attribution(run, "test", target="malignant")
    assert set(own.groups) == {"benign", "malignant"}
    assert asked.groups == ("malignant",)
    assert asked.counts == (len(asked.rows),)
    assert sum(own.counts) == len(own.rows)
    part = own.parts[0]
    mixed = sum(part.by_group[name] * count for name, count in zip(own.groups, own.counts, strict=True))
    assert mixed / len(own.rows) == pytest.approx(part.mean)
    levels = asked.parts[0].levels
    assert levels.min() == 0.0
    assert levels.max() == 1.0
    shares = dict(zip(own.groups, own.counts, strict=True))
    assert own.maps["features"].shape == (2, 30)
    assert shares["benign"] > shares["malignant"]


def test_pictures_have_a_map_of_each_class() -> None:
    run = fresh("image")
    found = global_attribution(run, "test", rows=20, method="saliency")
    assert found.parts == ()
    assert found.maps["image"].shape[0] == len(found.groups)
    for place, name in enumerate(found.groups):
        rows = [number for number, row in enumerate(found.rows) if row.explained == name]
        np.testing.assert_allclose(found.maps["image"][place], found.each["image"][rows].mean(0), atol=1e-5)
        np.testing.assert_allclose(found.sizes["image"][place], np.abs(found.each["image"][rows]).mean(0), atol=1e-5)


def test_the_rows_with_the_greatest_loss() -> None:
    run = trained("table")
    found = global_attribution(run, "worst")
    worst = evaluate(run, "test").worst
    assert [(row.row, row.loss, row.said) for row in found.rows] == [(w.row, w.loss, w.predicted) for w in worst]
    assert "largest loss" in found.sentence
    assert all(len(row.tops) == 4 for row in found.rows)
    name, _, value = found.rows[0].tops[0].rpartition(" ")
    place = run.data.schema.inputs[0].columns.index(name)
    assert float(value) == pytest.approx(found.each["features"][0, place], rel=0.06)
    assert abs(float(value)) == pytest.approx(np.abs(found.each["features"][0]).max(), rel=0.06)


def test_a_sample_is_bounded_seeded_and_said(tmp_path: Path) -> None:
    run = trained("table")
    first = global_attribution(run, "train", rows=20, seed=1, folder=tmp_path)
    rows = [row.row for row in first.rows]
    assert len(set(rows)) == 20
    assert set(rows) <= set(run.data.split["train"].tolist())
    assert f"over 20 of {len(run.data.split['train'])} train rows sampled with seed 1" in first.sentence
    shares: list[float] = []
    again = global_attribution(run, "train", rows=20, seed=1, folder=tmp_path, progress=shares.append)
    assert again.seconds == first.seconds, "it was not worked out a second time"
    assert not shares
    assert again.table() == first.table()
    other = global_attribution(run, "train", rows=20, seed=2, folder=tmp_path, progress=shares.append)
    assert [row.row for row in other.rows] != rows
    assert shares[-1] == 1.0
    assert shares == sorted(shares)
    assert json.dumps(other.as_json(), allow_nan=False)


def test_other_methods_go_one_by_one_and_it_can_be_ended() -> None:
    run = trained("table")
    found = global_attribution(run, "test", method="occlusion", rows=4)
    assert found.converged is None
    for place, row in enumerate(found.rows):
        single = explain(run, "occlusion", row.row, proofs=False).attributions["features"]
        np.testing.assert_allclose(found.each["features"][place], single, atol=1e-6)

    class EndedError(Exception):
        pass

    def end(share: float) -> None:
        raise EndedError

    for method in (BATCHED_METHOD, "occlusion"):
        with pytest.raises(EndedError):
            global_attribution(run, "test", method=method, rows=4, progress=end)


def test_what_there_is_not_gets_a_sentence() -> None:
    run = trained("table")
    with pytest.raises(ExplainError, match="no rows named 'all'"):
        global_attribution(run, "all")  # type: ignore[arg-type]
    with pytest.raises(ExplainError, match="no method 'magic'"):
        global_attribution(run, "test", method="magic")
    empty = replace(
        run, data=replace(run.data, split={**run.data.split, "validation": torch.zeros(0, dtype=torch.long)})
    )
    with pytest.raises(ExplainError, match="validation split does not have rows"):
        global_attribution(empty, "validation")


def test_where_each_row_explains_a_number_of_its_own_fewer_rows_are_taken() -> None:
    masks = untrained_run(
        network("shape_masks", ("Conv2d", {"filters": 5}), options={"rows": 60}, objective="segmentation")
    )
    assert (
        default_row_count(masks.data, "integrated_gradients")
        == default_row_count(masks.data, "saliency")
        == ROWS_ONE_BY_ONE
    )
    assert default_row_count(fresh("table").data, "integrated_gradients") == ROWS > ROWS_ONE_BY_ONE
