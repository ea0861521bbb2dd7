"""Templates on data of another kind: they fit and train, or say what the data lacks."""

from __future__ import annotations

from math import prod
from pathlib import Path

import pytest

from netloom.data import schema
from netloom.document import DataChoice, apply
from netloom.runs import evaluate, fit_here
from netloom.templates import templates
from netloom.templates.starting import fit
from netloom.validation.applied_fixes import FixedProject
from netloom.validation.project_check import check_project, refit_edits


def fitted(name: str, dataset: str, home: Path) -> FixedProject:
    result = fit(templates()[name].project, DataChoice(dataset=dataset), "Fitted", home)
    assert result is not None
    return result


@pytest.mark.parametrize(
    ("name", "dataset", "metric", "at_most"),
    [
        ("digits_autoencoder", "shapes", "mse", 1.2),  # inputs have a variance of 1
        pytest.param("digits_vae", "shapes", "mse", 1.2, marks=pytest.mark.long),  # decodes like the autoencoder
        ("digits_mlp", "reviews", "loss", 0.75),  # tokens behind a Flatten; log 2 is 0.69
    ],
)
def test_templates_train_on_data_of_other_sizes(
    name: str, dataset: str, metric: str, at_most: float, home: Path
) -> None:
    result = fitted(name, dataset, home)
    assert not [issue for issue in result.remaining if issue.severity == "error"]
    training = result.project.training.model_copy(update={"epochs": 2, "device": "cpu"})
    trained = fit_here(result.project.model_copy(update={"training": training}), home)
    assert evaluate(trained).metrics[metric] < at_most


@pytest.mark.parametrize("dataset", ["shapes", "breast_cancer"])
def test_decoder_of_an_autoencoder_gets_the_size_of_the_examples(dataset: str, home: Path) -> None:
    nodes = fitted("digits_autoencoder", dataset, home).project.main_network.nodes
    field = schema(DataChoice(dataset=dataset), home).inputs[0]  # type: ignore[union-attr]
    assert nodes["reshape_1"].params["shape"] == list(field.shape)
    assert nodes["linear_4"].params["units"] == prod(field.shape)
    assert "GlobalAvgPool" not in {node.type for node in nodes.values()}
    assert nodes["linear_3"].params == templates()["digits_autoencoder"].project.main_network.nodes["linear_3"].params


def test_embedding_behind_a_flatten_has_the_vocabulary_of_the_data(home: Path) -> None:
    nodes = fitted("digits_mlp", "intents", home).project.main_network.nodes
    vocabulary = schema(DataChoice(dataset="intents"), home).inputs[0].vocabulary  # type: ignore[union-attr]
    assert [node.params for node in nodes.values() if node.type == "Embedding"] == [{"vocabulary": vocabulary}]


def test_gan_on_images_without_a_noise_field_gets_one(home: Path) -> None:
    result = fitted("digits_gan", "digits", home)
    assert result.project.data.options["noise_size"] == 16
    assert result.project.main_network.nodes["input_1"].params["field"] == "noise"
    assert not [issue for issue in result.remaining if issue.severity == "error"]


def test_a_network_for_pairs_does_not_read_one_field_twice(home: Path) -> None:
    messages = [issue.message for issue in fitted("same_digits_siamese", "shapes", home).remaining]
    expected = (
        "The network reads 2 different fields, but the data has only the field image; choose data with more fields."
    )
    assert expected in messages


def test_decoder_follows_a_split_that_changes_the_columns(home: Path) -> None:
    project = fitted("digits_autoencoder", "breast_cancer", home).project
    fewer = {"columns": {"mean radius": {"role": "ignore"}}}
    project = project.model_copy(update={"data": project.data.model_copy(update={"options": fewer})})
    project = apply(project, {"kind": "batch", "edits": refit_edits(project, home)})
    assert project.main_network.nodes["reshape_1"].params["shape"] == [29]
    assert not [issue for issue in check_project(project, home)[1] if issue.severity == "error"]
