"""Samples of a variational autoencoder, against the same noise multiplied with its weights in NumPy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from netloom.compile import module, source
from netloom.data import prepare
from netloom.document import DataChoice, Project, Training
from netloom.runs import TrainedRun, evaluate
from netloom.runs.prediction.vae_sampling import from_prior
from tests.networks import IMAGE, TABLE, project


def autoencoder(input_layer: tuple[str, dict[str, Any]] = IMAGE, skip: bool = False, **training: Any) -> Project:
    """A latent vector of size 3 and a linear decoder; with `skip`, the input is added to the output."""
    table, options = input_layer is TABLE, {"objective": "reconstruction", "epochs": 1, "device": "cpu", **training}
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": input_layer,
        "flatten_1": ("Flatten", {}),
        "mean": ("Linear", {"units": 3}),
        "log_variance": ("Linear", {"units": 3}),
        "latent": ("Reparameterize", {"coefficient": 0.01}),
        "decoder": ("Linear", {"units": 30 if table else 64}),
        "picture": ("Reshape", {"shape": [30] if table else [1, 8, 8]}),
        "output_1": ("Output", {}),
    }
    edges = [
        ("input_1", "flatten_1"),
        ("flatten_1", "mean"),
        ("flatten_1", "log_variance"),
        ("mean", "latent.mean"),
        ("log_variance", "latent.log_variance"),
        ("latent", "decoder"),
        ("decoder", "picture"),
        ("picture", "output_1"),
    ]
    if skip:
        nodes["sum"] = ("Add", {})
        edges[-1:] = [("picture", "sum.a"), ("input_1", "sum.b"), ("sum", "output_1")]
    data = DataChoice(dataset="breast_cancer" if table else "digits")
    return project(nodes, edges, data=data, training=Training(**options))


def untrained(document: Project) -> TrainedRun:
    """The untrained network: the samples do not depend on training."""
    torch.manual_seed(3)
    code = source(document)
    return TrainedRun(document, code, module(code).eval(), prepare(document.data))


@pytest.mark.parametrize("split", ["train", "test"])
def test_generated_images_match_the_decoder(split: str) -> None:
    run = untrained(autoencoder())
    evaluation = evaluate(run, split)
    assert list(evaluation.samples) == ["Generated from noise", "From the data"]
    noise = torch.randn(64, 3, generator=torch.Generator().manual_seed(0)).numpy()
    weights = {name: value.numpy() for name, value in run.model.state_dict().items()}
    field = run.data.image_field("image")
    generated = (noise @ weights["decoder.weight"].T + weights["decoder.bias"]) * field.std + field.mean
    np.testing.assert_allclose(
        np.array(evaluation.samples["Generated from noise"]), generated.clip(0, 1).reshape(64, 1, 8, 8), atol=0.0006
    )
    originals = [run.data.example(int(row)).image for row in run.data.split[split][:64]]
    np.testing.assert_allclose(np.array(evaluation.samples["From the data"])[:, 0], originals, atol=0.0006)


def test_sampling_changes_no_metric_and_no_rng_state() -> None:
    run = untrained(autoencoder())
    state, latent = torch.random.get_rng_state(), run.model.get_submodule("latent")
    first, second = evaluate(run), evaluate(run)
    assert first == second
    assert torch.equal(state, torch.random.get_rng_state())
    rows = run.data.split["test"]
    without_samples = replace(first, samples={}, reference=None, intervals={})
    assert without_samples == run.objective.evaluate(run.output_of("test"), run.data, rows, "test")
    with pytest.raises(ZeroDivisionError), from_prior([latent]):
        raise ZeroDivisionError
    values = torch.ones(2, 3)
    assert latent(values, values) is values, "no noise comes out of it any more"


@pytest.mark.parametrize("split", ["train", "test"])
def test_no_samples_when_the_output_depends_on_the_input(split: str) -> None:
    assert not evaluate(untrained(autoencoder(skip=True)), split).samples


def test_no_samples_for_tables_and_anomaly_detection() -> None:
    assert not evaluate(untrained(autoencoder(TABLE))).samples
    assert not evaluate(untrained(autoencoder(objective="anomaly_detection"))).samples
