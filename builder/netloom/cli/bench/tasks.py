"""The trained networks: a document each, and the same network handwritten with PyTorch layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from netloom.document import DataChoice, Edge, Network, Node, Project, Training

if TYPE_CHECKING:
    import torch
    from torch import nn

RATE = 1e-3


@dataclass(frozen=True)
class Task:
    """A document, the handwritten network, and the number of epochs of a measurement."""

    title: str
    project: Project
    twin: Callable[[], nn.Module]
    epochs: int


def tasks() -> list[Task]:
    """Return the networks of the benchmark, all trained with Adam at a constant learning rate in batches of 64."""
    return [
        small_mlp(),
        Task("28×28 CNN", _cnn(), _cnn_twin, epochs=1),
        Task("small Transformer", _template("intents_transformer"), _transformer_twin, epochs=2),
        Task("LSTM", _template("intents_lstm"), _lstm_twin, epochs=2),
    ]


def small_mlp(epochs: int = 10) -> Task:
    """Return the network with the shortest steps, where the overhead of a loop counts most."""
    return Task("digits MLP", _mlp(), _mlp_twin, epochs)


def _mlp() -> Project:
    image = {"field": "image", "kind": "image", "shape": [1, 8, 8]}
    return chain(
        DataChoice(dataset="digits"),
        ("Input", image),
        ("Flatten", {}),
        ("Linear", {"units": 128}),
        ("ReLU", {}),
        ("Dropout", {"rate": 0.2}),
        ("Linear", {"units": 64}),
        ("ReLU", {}),
        ("Linear", {"units": 10}),
    )


def _mlp_twin() -> nn.Module:
    from torch import nn

    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 128),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def _cnn() -> Project:
    image = {"field": "image", "kind": "image", "shape": [1, 28, 28]}
    return chain(
        DataChoice(dataset="shapes", options={"size": 28}),
        ("Input", image),
        ("Conv2d", {"filters": 16}),
        ("ReLU", {}),
        ("MaxPool2d", {}),
        ("Conv2d", {"filters": 32}),
        ("ReLU", {}),
        ("MaxPool2d", {}),
        ("Flatten", {}),
        ("Linear", {"units": 64}),
        ("ReLU", {}),
        ("Linear", {"units": 4}),
    )


def _cnn_twin() -> nn.Module:
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 64),
        nn.ReLU(),
        nn.Linear(64, 4),
    )


def _template(name: str) -> Project:
    from netloom.templates import templates

    project = templates()[name].project
    return project.model_copy(update={"training": Training(batch_size=64, learning_rate=RATE, device="cpu")})


def _transformer_twin() -> nn.Module:
    """Return the network of the template `intents_transformer`."""
    import torch
    from torch import nn

    document = _template("intents_transformer").main_network.nodes
    field, embedding = document["input_1"].params, document["embedding_1"].params
    block = document["transformerencoderblock_1"].params
    length, vocabulary, dim = _length(field["shape"]), _number(embedding["vocabulary"]), _number(embedding["dim"])

    class Twin(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(vocabulary, dim)
            self.position = nn.Parameter(torch.randn(length, dim) * 0.02)
            self.dropout = nn.Dropout(_rate(document["dropout_1"].params["rate"]))
            layer = nn.TransformerEncoderLayer(
                dim,
                _number(block["heads"]),
                _number(block["hidden"]),
                dropout=_rate(block["dropout"]),
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.head = nn.Sequential(
                nn.Dropout(_rate(document["dropout_2"].params["rate"])),
                nn.Linear(dim, _number(document["linear_1"].params["units"])),
            )

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            hidden = self.encoder(self.dropout(self.embedding(tokens) + self.position))
            answer: torch.Tensor = self.head(hidden.mean(dim=1))  # (N, T, D) -> (N, D)
            return answer

    return Twin()


def _lstm_twin() -> nn.Module:
    """Return the network of the template `intents_lstm`."""
    from torch import nn

    document = _template("intents_lstm").main_network.nodes
    embedding, recurrent = document["embedding_1"].params, document["lstm_1"].params
    vocabulary, dim, hidden = (_number(value) for value in (*_sizes(embedding), recurrent["hidden_size"]))
    both_ways = bool(recurrent.get("bidirectional", False))

    class Twin(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(vocabulary, dim)
            self.dropout = nn.Dropout(_rate(document["dropout_1"].params["rate"]))
            self.lstm = nn.LSTM(dim, hidden, batch_first=True, bidirectional=both_ways)
            self.head = nn.Sequential(
                nn.Dropout(_rate(document["dropout_2"].params["rate"])),
                nn.Linear(hidden * (2 if both_ways else 1), _number(document["linear_1"].params["units"])),
            )

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            states, _ = self.lstm(self.dropout(self.embedding(tokens)))
            answer: torch.Tensor = self.head(states.amax(dim=1))  # (N, T, D) -> (N, D)
            return answer

    return Twin()


def _sizes(embedding: dict[str, Any]) -> tuple[Any, Any]:
    return embedding["vocabulary"], embedding["dim"]


def _number(value: Any) -> int:
    return int(value)


def _rate(value: Any) -> float:
    return float(value)


def _length(value: Any) -> int:
    return int(value[0])


def chain(data: DataChoice, *layers: tuple[str, dict[str, Any]]) -> Project:
    """Return a document with a chain of layers and an Output at its end."""
    nodes = [
        Node(id=f"node_{place}", type=kind, params=params)
        for place, (kind, params) in enumerate([*layers, ("Output", {})])
    ]
    edges = tuple(Edge(source=a.id, target=b.id) for a, b in pairwise(nodes))
    network = Network(nodes={node.id: node for node in nodes}, edges=edges)
    training = Training(batch_size=64, learning_rate=RATE, device="cpu")
    return Project(name="Benchmark", networks={"main": network}, data=data, training=training)
