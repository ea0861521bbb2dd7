"""Embedding maps: projections, neighbors and separation against scikit-learn and known answers, for every template."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from netloom.explain import ExplainError
from netloom.explain.core.network.channel_axis import channel_axis
from netloom.explain.core.network.nodes import InnerNode
from netloom.explain.dataset.embedding_map import EmbeddingMap, embedding_map, unavailable_reason
from netloom.explain.dataset.neighborhood import (
    PROJECTIONS,
    Projection,
    mean_r2,
    nearest_rows,
    project,
    trustworthiness,
    vote_accuracy,
)
from netloom.explain.plots.embedding_plots import by_layer, plane
from netloom.runs import fit_here
from netloom.templates import templates
from tests.explain.models import trained, untrained_run
from tests.networks import chain, network, with_rows


def test_scores_of_neighbors_match_scikit_learn() -> None:
    random = np.random.default_rng(0)
    points = random.normal(size=(120, 5))
    labels = np.array(["a", "b", "c"])[(points[:, 0] > 0).astype(int) + (random.random(120) < 0.2)]
    values = points[:, 0] + random.normal(size=120) / 3
    neighbors = nearest_rows(points)
    votes = cross_val_predict(KNeighborsClassifier(10), points, labels, cv=LeaveOneOut())
    means = cross_val_predict(KNeighborsRegressor(10), points, values, cv=LeaveOneOut())
    assert vote_accuracy(neighbors, labels.tolist()) == accuracy_score(labels, votes)
    assert mean_r2(neighbors, values) == pytest.approx(r2_score(values, means), abs=1e-12)
    assert np.isnan(mean_r2(neighbors, np.full(120, 0.1)))


def test_random_labels_are_not_separated() -> None:
    random = np.random.default_rng(1)
    points = random.normal(size=(2_000, 3))
    assert vote_accuracy(nearest_rows(points), random.choice(list("abcd"), 2_000).tolist()) == pytest.approx(
        0.25, abs=0.04
    )
    assert mean_r2(nearest_rows(points), random.normal(size=2_000)) < 0


def test_identical_rows_are_neighbors_of_each_other_and_not_of_themselves() -> None:
    points = np.repeat(np.eye(4), 5, axis=0)
    neighbors = nearest_rows(points)
    assert not (neighbors == np.arange(20)[:, None]).any()
    assert {frozenset(neighbors[row, :4].tolist()) | {row} for row in range(5)} == {frozenset(range(5))}


def test_pca_is_the_singular_value_decomposition_and_keeps_a_plane() -> None:
    random = np.random.default_rng(2)
    plane_points = random.normal(size=(60, 2)) * [3, 1]
    rotation, _ = np.linalg.qr(random.normal(size=(6, 6)))
    activations = np.pad(plane_points, ((0, 0), (0, 4))) @ rotation + 5
    points, variance = project(activations, "pca")
    left, singular, _ = np.linalg.svd(activations - activations.mean(0), full_matrices=False)
    assert np.abs(points) == pytest.approx(np.abs(left[:, :2] * singular[:2]), abs=1e-9)
    assert variance == pytest.approx(singular[:2] ** 2 / (singular**2).sum())
    assert sum(variance or ()) == pytest.approx(1)
    assert trustworthiness(activations, points) == 1
    assert trustworthiness(activations, random.normal(size=(60, 2))) < 0.7


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_a_layer_with_one_or_equal_activations_is_projected(projection: Projection) -> None:
    equal = np.tile([0.1, 0.7, 1.3], (20, 1))  # as those of a layer that ignores its input
    for activations in (np.arange(20.0)[:, None], equal):
        points, variance = project(activations, projection)
        assert points.shape == (20, 2)
        assert np.isfinite(points).all()
    assert variance is None
    assert not points.any()


def test_tsne_keeps_groups_together_and_depends_on_the_seed_alone() -> None:
    random = np.random.default_rng(3)
    group = np.repeat([0, 1, 2], 30)
    activations = random.normal(size=(90, 60)) + 20 * np.eye(3, 60)[group]
    points, variance = project(activations, "tsne", seed=1)
    assert variance is None
    assert vote_accuracy(nearest_rows(points), group.astype(str).tolist()) == 1
    assert np.array_equal(points, project(activations, "tsne", seed=1)[0])


def test_map_of_a_trained_network(tmp_path: Path) -> None:
    run = trained("table")
    embeddings = embedding_map(run, split="train", rows=100, folder=tmp_path)
    assert set(embeddings.rows.tolist()) <= set(run.data.split["train"].tolist())
    assert embeddings.points.shape == (100, 2)
    assert embeddings.available_rows == len(run.data.split["train"])
    assert embeddings.labels == tuple(run.data.target_text(int(row)) for row in embeddings.rows)
    assert embeddings.is_wrong is not None
    assert (1 - embeddings.is_wrong.mean()) > 0.8
    # The network separates what it was trained to tell apart.
    assert embeddings.separation[-1].score is not None
    assert embeddings.separation[-1].score > embeddings.chance + 0.1
    assert set(embeddings.neighbors.ravel().tolist()) <= set(embeddings.rows.tolist())
    again = embedding_map(run, split="train", rows=100, folder=tmp_path)
    assert again.seconds == embeddings.seconds  # read from the cache
    assert np.array_equal(again.points, embeddings.points)
    other = embedding_map(run, split="train", rows=100, seed=1, folder=tmp_path)
    assert not np.array_equal(other.rows, embeddings.rows)


def test_the_first_linear_layer_has_its_own_outputs() -> None:
    """A layer without pooling is mapped as it is: its outputs by hand have the same neighbors."""
    import torch

    run = trained("table")
    (first, *_) = embedding_map(run).separation
    embeddings = embedding_map(run, first.path)
    captured: list[torch.Tensor] = []
    hook = run.model.get_submodule(first.path).register_forward_hook(lambda *call: captured.append(call[2]))
    try:
        with torch.no_grad():
            run.model(*[run.data.inputs[name][torch.from_numpy(embeddings.rows)] for name in run.fields])
    finally:
        hook.remove()
    activations = captured[0].double().numpy()
    assert embeddings.features == activations.shape[1]
    assert np.array_equal(embeddings.neighbors, embeddings.rows[nearest_rows(activations)])
    assert np.abs(embeddings.points) == pytest.approx(np.abs(project(activations, "pca")[0]), abs=1e-4)


@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("cbf_fcn", {"permute_1": 1, "conv1d_1": 32, "relu_2": 64}),
        ("intents_lstm", {"embedding_1": 48, "lstm_1": 128}),
        ("digits_vit", {"patchembedding_1": 48, "block_1.1.transformerencoderblock_1": 48}),
    ],
)
def test_sequences_are_averaged_over_their_steps(name: str, features: dict[str, int]) -> None:
    """The steps follow the channels of a convolution, and precede those of other layers."""
    run = untrained_run(with_rows(templates()[name].project, 200))
    for path, count in features.items():
        assert embedding_map(run, path, split="train", rows=12).features == count


def test_the_channels_of_a_sequence_are_found_across_subnetworks() -> None:
    steps = network({"in_1": ("Input", {}), "conv1d_1": ("Conv1d", {"filters": 6}), "relu_1": ("ReLU", {}),
                     "out_1": ("Output", {})})  # fmt: skip
    document = chain(
        ("Input", {"field": "series", "kind": "sequence", "shape": [16, 3]}),
        ("Transpose", {}),
        ("Subnetwork", {"network": "steps"}),
        ("Dropout", {}),
        ("Permute", {"order": [2, 1]}),
        ("LSTM", {"hidden_size": 5}),
    )
    document = document.model_copy(update={"networks": {**document.networks, "steps": steps}})
    axes = {
        "transpose_1": 1, "subnetwork_1": 1, "subnetwork_1.relu_1": 1, "dropout_1": 1, "permute_1": 2, "lstm_1": 2,
    }  # fmt: skip
    for path, axis in axes.items():
        key = path.rpartition(".")[2]
        name = "steps" if "." in path else "main"
        assert channel_axis(document, InnerNode(path, key, name, "", "", cut=True)) == axis


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": "nothing"}, "There is no layer 'nothing'"),
        ({"projection": "umap"}, "choose one of pca, tsne"),
        ({"split": "all"}, "choose one of test, validation, train"),
    ],
)
def test_unknown_choices_are_refused(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ExplainError, match=message):
        embedding_map(trained("table"), **arguments)  # type: ignore[arg-type]


def test_a_split_with_few_rows_is_refused() -> None:
    run = untrained_run(with_rows(templates()["shapes_residual"].project, 60))
    with pytest.raises(ExplainError, match=r"needs at least 12 rows, but the test split has \d"):
        embedding_map(run)


def test_numbers_are_colored_by_value_and_wrong_classes_are_crosses() -> None:
    numbers = embedding_map(untrained_run(templates()["diabetes"].project))
    assert numbers.values is not None
    assert numbers.is_wrong is None
    (trace,) = plane(numbers, numbers.labels).data
    assert np.array_equal(trace.marker.color, numbers.values)
    classes = embedding_map(trained("table"))
    figure = plane(classes, classes.labels, marked=int(classes.rows[3]))
    symbols = [symbol for trace in figure.data[:-2] for symbol in trace.marker.symbol]
    assert classes.is_wrong is not None
    assert symbols.count("x") == classes.is_wrong.sum()
    ring, nearest = figure.data[-2:]
    assert (ring.x[0], ring.y[0]) == tuple(classes.points[3])
    assert len(nearest.x) == classes.neighbors.shape[1]
    assert list(by_layer(classes).data[0].x) == [layer.score for layer in classes.separation]


def _with_texts(labels: tuple[str, ...], predictions: tuple[str, ...]) -> EmbeddingMap:
    return replace(
        embedding_map(trained("table"), rows=len(labels)),
        labels=labels,
        predictions=predictions,
        is_wrong=np.array(labels) != np.array(predictions),
    )


def test_a_class_has_the_same_color_as_a_label_and_as_a_prediction() -> None:
    labels, predictions = ("a", "b", "c") * 8, ("b", "b", "c") * 8  # a is never predicted
    embeddings = _with_texts(labels, predictions)
    by_label, by_prediction = (
        {trace.name: trace.marker.color for trace in plane(embeddings, texts).data} for texts in (labels, predictions)
    )
    assert by_prediction == {name: by_label[name] for name in "bc"}


def test_classes_that_begin_alike_have_different_names_in_the_legend() -> None:
    labels = ("balance_not_updated_after_cheque", "balance_not_updated_after_transfer") * 12
    assert len({trace.name for trace in plane(_with_texts(labels, labels), labels).data}) == 2


def test_other_classes_have_another_symbol_and_the_legend_that_of_right_predictions() -> None:
    labels = tuple(f"class {number:02d}" for number in range(12)) * 3
    predictions = ("class 01", *labels[1:])
    others, *classes = plane(_with_texts(labels, predictions), labels).data
    assert others.name == "others"
    assert {*others.marker.symbol} <= {"circle-open", "x-open"}
    assert [trace.marker.symbol[0] for trace in classes] == ["circle"] * 10
    assert classes[0].marker.symbol[-1] == "x"


def test_equal_numbers_are_not_separated_by_any_layer() -> None:
    run = untrained_run(templates()["diabetes"].project)
    data = replace(run.data, target=run.data.target * 0)
    embeddings = embedding_map(replace(run, data=data))
    assert [layer.score for layer in embeddings.separation] == [None] * len(embeddings.separation)
    assert embeddings.separation_sentence == ""


def test_predictions_of_several_targets_are_words() -> None:
    embeddings = embedding_map(untrained_run(with_rows(templates()["shapes_two_outputs"].project, 120)), split="train")
    assert re.fullmatch(r"shape: \w+, area: [\d.]+", embeddings.predictions[0])
    assert re.fullmatch(r"shape: \w+, area: [\d.]+", embeddings.labels[0])


@pytest.mark.parametrize(
    "name",
    [
        name if name in ("digits_cnn", "ratings_bpr", "requests_tagger", "shapes_detector", "shapes_simclr", "tales")
        else pytest.param(name, marks=pytest.mark.long)
        for name in templates()
    ],
)  # fmt: skip
def test_every_template_is_mapped_or_refused_with_a_reason(name: str) -> None:
    project = with_rows(templates()[name].project, 200)
    run = untrained_run(project)
    if reason := unavailable_reason(run):
        assert reason.endswith(".")
        return
    epochless = fit_here(project.model_copy(update={"training": project.training.model_copy(update={"epochs": 1})}))
    embeddings = embedding_map(epochless, split="train")
    assert isinstance(embeddings, EmbeddingMap)
    assert np.isfinite(embeddings.points).all()
    assert 0 <= embeddings.trustworthiness <= 1
    assert embeddings.as_json()["sentence"] == embeddings.sentence
    assert len(embeddings.table()) == len(embeddings.rows)
    plane(embeddings, embeddings.labels).to_json()
