"""Global attribution: which inputs a network relies on over many rows."""

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
from netloom.explain.dataset.global_attribution import ROWS, SLOW_METHOD_ROWS, default_row_count, global_attribution
from netloom.explain.dataset.sample_attributions import BATCHED_METHOD
from netloom.runs import evaluate
from tests.explain.models import fresh, network, trained, untrained_run


def linear_attributions(rows: list[int]) -> np.ndarray:
    """w·(x − mean) of the linear regression for each row, in target units."""
    run = trained("regression")
    weights: Any = run.model.get_submodule("linear_1").weight
    x = run.data.inputs["features"]
    scale = run.data.fitted_numbers.std[0]
    parts: np.ndarray = (weights[0] * (x[rows] - x[run.data.split["train"]].mean(0)) * scale).detach().numpy()
    return parts


def test_linear_model_attributions_match_its_weights() -> None:
    run = trained("regression")
    summary = global_attribution(run, "test")
    rows = [row.row for row in summary.rows]
    assert rows == run.data.split["test"].tolist()
    parts = linear_attributions(rows)
    names = run.data.schema.inputs[0].columns
    features = {part.name: part for part in summary.parts}
    scale = run.data.fitted_numbers.std[0]
    sizes, means = np.abs(parts).mean(0), parts.mean(0)
    for index, name in enumerate(names):
        assert features[name].mean / scale == pytest.approx(sizes[index] / scale, abs=1e-5)
        assert features[name].signed / scale == pytest.approx(means[index] / scale, abs=1e-5)
        np.testing.assert_allclose(features[name].points, parts[:, index], atol=1e-4 * scale)
    assert [part.mean for part in summary.parts] == sorted(sizes, reverse=True) or np.allclose(
        [part.mean for part in summary.parts], sorted(sizes, reverse=True), atol=1e-4
    )
    assert summary.converged == 1.0


@pytest.mark.parametrize("name", ["table", "image", "series", "transformer", "recurrent"])
def test_batched_attributions_match_single_ones(name: str) -> None:
    run = trained(name) if name == "table" else fresh(name)
    summary = global_attribution(run, "test", rows=4, seed=1)
    for index, row in enumerate(summary.rows):
        single = explain(run, BATCHED_METHOD, row.row, proofs=False)
        assert row.target == single.target.name
        completeness = single.proofs.completeness
        assert completeness is not None
        near = 0.02 * abs(completeness.score - completeness.baseline_score) + 1e-4
        for field, values in single.attributions.items():
            if field in summary.row_maps:
                assert np.corrcoef(summary.row_maps[field][index].ravel(), values.ravel())[0, 1] > 0.98
                assert summary.row_maps[field][index].sum() == pytest.approx(values.sum(), abs=2 * near)
    if name in ("transformer", "recurrent"):
        means = {part.name: part.mean for part in summary.parts}
        token_sizes: dict[str, list[float]] = {}
        for row in summary.rows:
            single = explain(run, BATCHED_METHOD, row.row, proofs=False)
            for word, value in zip(single.labels["text"], single.attributions["text"], strict=True):
                token_sizes.setdefault(word.lower(), []).append(abs(float(value)))
        frequent = {
            word: sizes for word, sizes in token_sizes.items() if len(sizes) >= MIN_TOKEN_COUNT and word in means
        }
        assert frequent
        for word, sizes in frequent.items():
            assert means[word] == pytest.approx(np.mean(sizes), rel=0.1, abs=0.02)


def test_global_attribution_agrees_with_permutation_importance() -> None:
    """Permutation importance: how much the score changes when a column is shuffled, without gradients."""
    run = trained("table")
    summary = global_attribution(run, "test", target=0)
    rows = [row.row for row in summary.rows]
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
    importances = {part.name: part.mean for part in summary.parts}
    names = run.data.schema.inputs[0].columns
    assert spearmanr([importances[name] for name in names], moved).statistic > 0.8


def test_target_class_restricts_the_groups() -> None:
    run = trained("table")
    predicted, malignant = global_attribution(run, "test"), global_attribution(run, "test", target="malignant")
    assert set(predicted.groups) == {"benign", "malignant"}
    assert malignant.groups == ("malignant",)
    assert malignant.counts == (len(malignant.rows),)
    assert sum(predicted.counts) == len(predicted.rows)
    part = predicted.parts[0]
    weighted_mean = sum(
        part.by_group[name] * count for name, count in zip(predicted.groups, predicted.counts, strict=True)
    )
    assert weighted_mean / len(predicted.rows) == pytest.approx(part.mean)
    levels = malignant.parts[0].levels
    assert levels.min() == 0.0
    assert levels.max() == 1.0
    counts = dict(zip(predicted.groups, predicted.counts, strict=True))
    assert predicted.maps["features"].shape == (2, 30)
    assert counts["benign"] > counts["malignant"]


def test_images_have_a_mean_map_per_class() -> None:
    run = fresh("image")
    summary = global_attribution(run, "test", rows=20, method="saliency")
    assert summary.parts == ()
    assert summary.maps["image"].shape[0] == len(summary.groups)
    for index, name in enumerate(summary.groups):
        rows = [number for number, row in enumerate(summary.rows) if row.target == name]
        np.testing.assert_allclose(summary.maps["image"][index], summary.row_maps["image"][rows].mean(0), atol=1e-5)
        np.testing.assert_allclose(
            summary.magnitudes["image"][index], np.abs(summary.row_maps["image"][rows]).mean(0), atol=1e-5
        )


def test_worst_rows_are_those_with_the_largest_loss() -> None:
    run = trained("table")
    summary = global_attribution(run, "worst")
    worst = evaluate(run, "test").worst
    assert [(row.row, row.loss, row.prediction) for row in summary.rows] == [
        (w.row, w.loss, w.predicted) for w in worst
    ]
    assert "largest loss" in summary.sentence
    assert all(len(row.top_features) == 4 for row in summary.rows)
    name, _, value = summary.rows[0].top_features[0].rpartition(" ")
    place = run.data.schema.inputs[0].columns.index(name)
    assert float(value) == pytest.approx(summary.row_maps["features"][0, place], rel=0.06)
    assert abs(float(value)) == pytest.approx(np.abs(summary.row_maps["features"][0]).max(), rel=0.06)


def test_sample_is_bounded_seeded_and_reported(tmp_path: Path) -> None:
    run = trained("table")
    first = global_attribution(run, "train", rows=20, seed=1, folder=tmp_path)
    rows = [row.row for row in first.rows]
    assert len(set(rows)) == 20
    assert set(rows) <= set(run.data.split["train"].tolist())
    assert f"over 20 of {len(run.data.split['train'])} train rows sampled with seed 1" in first.sentence
    shares: list[float] = []
    cached = global_attribution(run, "train", rows=20, seed=1, folder=tmp_path, progress=shares.append)
    assert cached.seconds == first.seconds, "it was not computed a second time"
    assert not shares
    assert cached.table() == first.table()
    other = global_attribution(run, "train", rows=20, seed=2, folder=tmp_path, progress=shares.append)
    assert [row.row for row in other.rows] != rows
    assert shares[-1] == 1.0
    assert shares == sorted(shares)
    assert json.dumps(other.as_json(), allow_nan=False)


def test_unbatched_method_matches_single_rows_and_can_be_cancelled() -> None:
    run = trained("table")
    summary = global_attribution(run, "test", method="occlusion", rows=4)
    assert summary.converged is None
    for index, row in enumerate(summary.rows):
        single = explain(run, "occlusion", row.row, proofs=False).attributions["features"]
        np.testing.assert_allclose(summary.row_maps["features"][index], single, atol=1e-6)

    class EndedError(Exception):
        pass

    def cancel(share: float) -> None:
        raise EndedError

    for method in (BATCHED_METHOD, "occlusion"):
        with pytest.raises(EndedError):
            global_attribution(run, "test", method=method, rows=4, progress=cancel)


def test_unknown_rows_method_or_empty_split_is_refused() -> None:
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


def test_fewer_rows_are_sampled_for_per_row_targets() -> None:
    masks = untrained_run(
        network("shape_masks", ("Conv2d", {"filters": 5}), options={"rows": 60}, objective="segmentation")
    )
    assert (
        default_row_count(masks.data, "integrated_gradients")
        == default_row_count(masks.data, "saliency")
        == SLOW_METHOD_ROWS
    )
    assert default_row_count(fresh("table").data, "integrated_gradients") == ROWS > SLOW_METHOD_ROWS
