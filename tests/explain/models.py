"""Small networks for every kind of input, trained briefly on real data."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from netloom.data import prepare, schema
from netloom.document import DataChoice, Project, Training
from netloom.runs import TrainedRun, fit_here
from tests.networks import chain

Layer = tuple[str, dict[str, Any]]

# Options that make every method fast but still exercise all of its code.
QUICK: dict[str, dict[str, Any]] = {
    "smoothgrad": {"samples": 4},
    "gradient_shap": {"references": 4, "max_samples": 16},
    "deep_lift_shap": {"references": 3},
    "feature_ablation": {"groups": 6},
    "feature_permutation": {"groups": 6, "others": 2},
    "shapley_sampling": {"groups": 6, "orders": 2},
    "shapley": {"groups": 4},
    "kernel_shap": {"groups": 6, "samples": 24},
    "lime": {"groups": 6, "samples": 30},
    "layer_conductance": {"max_steps": 32},
    "layer_integrated_gradients": {"max_steps": 32},
    "internal_influence": {"n_steps": 8},
    "neuron_conductance": {"n_steps": 8},
}


def source(dataset: str, **options: Any) -> Layer:
    """An Input layer for the only field of a dataset."""
    dataset_schema = schema(DataChoice(dataset=dataset, options=options))
    if dataset_schema is None:
        raise ValueError(f"{dataset} has no schema")
    field = dataset_schema.inputs[0]
    params = {"field": field.name, "kind": field.kind, "shape": list(field.shape)}
    return "Input", params | ({"vocabulary": field.vocabulary} if field.vocabulary else {})


def network(dataset: str, *layers: Layer, options: dict[str, Any] | None = None, **training: Any) -> Project:
    """A chain of layers on a dataset."""
    options = options or {}
    return chain(
        source(dataset, **options),
        *layers,
        data=DataChoice(dataset=dataset, options=options),
        training=Training(**training),
    )


def train_without_max_pooling(data: DataChoice, home: Path) -> TrainedRun:
    """Train a convolutional network without max pooling on images of two classes."""
    field = prepare(data, home).schema.inputs[0]
    layers: list[Layer] = [
        ("Input", {"field": field.name, "kind": "image", "shape": list(field.shape)}),
        ("Conv2d", {"filters": 8}),
        ("ReLU", {}),
        ("Conv2d", {"filters": 12, "stride": 2}),
        ("ReLU", {}),
        ("GlobalAvgPool", {}),
        ("Linear", {"units": 2}),
    ]
    return fit_here(chain(*layers, data=data, training=Training(epochs=12, learning_rate=0.02)), home)


def table() -> Project:
    return network("breast_cancer", ("Linear", {"units": 16}), ("ReLU", {}), ("Linear", {"units": 2}), epochs=10)


def regression() -> Project:
    return network("diabetes", ("Linear", {"units": 1}), epochs=30, learning_rate=0.03, objective="regression")


def image() -> Project:
    return network(
        "shapes",
        ("Conv2d", {"filters": 8}),
        ("BatchNorm2d", {}),
        ("ReLU", {}),
        ("MaxPool2d", {}),
        ("Conv2d", {"filters": 16}),
        ("ReLU", {}),
        ("GlobalMaxPool", {}),
        ("Linear", {"units": 4}),
        options={"rows": 800},
        epochs=6,
        learning_rate=0.01,
        batch_size=32,
    )


def strided() -> Project:
    """Convolutions without max pooling, which DeepLift supports."""
    return network(
        "shapes",
        ("Conv2d", {"filters": 12, "stride": 2}),
        ("ReLU", {}),
        ("Conv2d", {"filters": 24, "stride": 2}),
        ("ReLU", {}),
        ("Conv2d", {"filters": 24}),
        ("ReLU", {}),
        ("GlobalAvgPool", {}),
        ("Linear", {"units": 4}),
        options={"rows": 800},
        epochs=12,
        learning_rate=0.01,
        batch_size=32,
    )


def series() -> Project:
    gru: Layer = ("GRU", {"hidden_size": 12})
    head: Layer = ("Linear", {"units": 1})
    return network("sine", gru, ("Mean", {}), head, options={"window": 16}, epochs=3, objective="regression")


def words(*body: Layer, epochs: int) -> Project:
    embedding = ("Embedding", {"vocabulary": source("intents")[1]["vocabulary"], "dim": 16})
    dataset_schema = schema(DataChoice(dataset="intents"))
    classes = len(dataset_schema.target.classes) if dataset_schema else 0
    head: Layer = ("Linear", {"units": classes})
    return network("intents", embedding, *body, head, epochs=epochs, learning_rate=0.01, batch_size=64)


def transformer() -> Project:
    block: Layer = ("TransformerEncoderBlock", {"heads": 2, "hidden": 32})
    return words(("PositionalEmbedding", {}), block, block, ("Mean", {}), epochs=4)


def recurrent() -> Project:
    return words(("LSTM", {"hidden_size": 16}), ("Max", {}), epochs=4)


def characters() -> Project:
    options = {"length": 24}
    size = source("tales", **options)[1]["vocabulary"]
    return network(
        "tales",
        ("Embedding", {"vocabulary": size, "dim": 16}),
        ("PositionalEmbedding", {}),
        ("TransformerEncoderBlock", {"heads": 2, "hidden": 32, "causal": True}),
        ("MultiHeadAttention", {"heads": 4, "causal": True}),
        ("Linear", {"units": size}),
        options=options,
        epochs=2,
        learning_rate=0.01,
        batch_size=32,
        objective="language_modeling",
    )


PROJECTS = {
    "table": table,
    "regression": regression,
    "image": image,
    "series": series,
    "transformer": transformer,
    "recurrent": recurrent,
    "characters": characters,
}


@cache
def trained(name: str) -> TrainedRun:
    """One of these networks, trained; cached."""
    return fit_here({**PROJECTS, "strided": strided}[name]())


@cache
def fresh(name: str) -> TrainedRun:
    """One of these networks with untrained weights, for tests that do not depend on them; cached."""
    return untrained_run(PROJECTS[name]())


def untrained_run(project: Project) -> TrainedRun:
    """A network with untrained weights."""
    import torch

    from netloom import compile as compiling
    from netloom.data import prepare

    text = compiling.source(project)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return TrainedRun(project, text, compiling.module(text).eval(), prepare(project.data))
