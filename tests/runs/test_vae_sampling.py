"""What a variational autoencoder makes of noise, against the same noise through its weights by hand."""

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
from netloom.runs.vae_sampling import from_prior
from tests.networks import IMAGE, TABLE, project


def autoencoder(given: tuple[str, dict[str, Any]] = IMAGE, skip: bool = False, **training: Any) -> Project:
    """A latent vector of three numbers and a decoder that is linear; `skip`: what came in is added to its answer."""
    table, options = given is TABLE, {"objective": "reconstruction", "epochs": 1, "device": "cpu", **training}
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": given,
        "flatten_1": ("Flatten", {}),
        "mean": ("Linear", {"units": 3}),
        "log_variance": ("Linear", {"units": 3}),
        "latent": ("Reparameterise", {"coefficient": 0.01}),
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
    """The network as it begins: what is made of noise hangs on no training."""
    torch.manual_seed(3)
    text = source(document)
    return TrainedRun(document, text, module(text).eval(), prepare(document.data))


@pytest.mark.parametrize("split", ["train", "test"])
def test_pictures_out_of_noise_are_those_of_the_decoder_alone(split: str) -> None:
    run = untrained(autoencoder())
    found = evaluate(run, split)
    assert list(found.samples) == ["Generated from noise", "From the data"]
    noise = torch.randn(64, 3, generator=torch.Generator().manual_seed(0)).numpy()
    weights = {name: value.numpy() for name, value in run.model.state_dict().items()}
    field = run.data.image_field("image")
    made = (noise @ weights["decoder.weight"].T + weights["decoder.bias"]) * field.std + field.mean
    np.testing.assert_allclose(
        np.array(found.samples["Generated from noise"]), made.clip(0, 1).reshape(64, 1, 8, 8), atol=0.0006
    )
    shown = [run.data.example(int(row)).image for row in run.data.split[split][:64]]
    np.testing.assert_allclose(np.array(found.samples["From the data"])[:, 0], shown, atol=0.0006)


def test_other_measures_stay_and_so_does_the_state_of_torch() -> None:
    run = untrained(autoencoder())
    state, latent = torch.random.get_rng_state(), run.model.get_submodule("latent")
    first, second = evaluate(run), evaluate(run)
    assert first == second
    assert torch.equal(state, torch.random.get_rng_state())
    rows = run.data.split["test"]
    plain = replace(first, samples={}, reference=None, intervals={})
    assert plain == run.objective.evaluate(run.output_of("test"), run.data, rows, "test")
    with pytest.raises(ZeroDivisionError), from_prior([latent]):
        raise ZeroDivisionError
    given = torch.ones(2, 3)
    assert latent(given, given) is given, "no noise comes out of it any more"


@pytest.mark.parametrize("split", ["train", "test"])
def test_there_are_none_where_the_answer_depends_on_what_comes_in(split: str) -> None:
    assert not evaluate(untrained(autoencoder(skip=True)), split).samples


def test_there_are_none_of_tables_and_of_anomalies() -> None:
    assert not evaluate(untrained(autoencoder(TABLE))).samples
    assert not evaluate(untrained(autoencoder(objective="anomaly_detection"))).samples
