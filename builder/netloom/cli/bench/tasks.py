"""The trained networks: a document each, and the same network handwritten with PyTorch layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from netloom.cli.bench.defaults import STEPS
from netloom.document import DataChoice, Edge, Network, Node, Project, Training, apply

if TYPE_CHECKING:
    import torch
    from torch import nn

RATE = 1e-3
# The batch of the large networks
LARGE_BATCH = 16
# The share of rows for training, with the default split
TRAINED = 0.7
GPT_LAYERS, GPT_WIDTH, GPT_HEADS = 4, 128, 4


@dataclass(frozen=True)
class Task:
    """A document, the handwritten network, and the number of epochs of a measurement.

    With `steps`, at most this number of training batches is used.
    """

    title: str
    project: Project
    twin: Callable[[], nn.Module]
    epochs: int
    steps: int | None = None


def tasks(steps: int = STEPS) -> list[Task]:
    """Return the networks of the benchmark, all trained with Adam at a constant learning rate: small ones in batches of
    64, and a ResNet and a GPT in batches of 16 for `steps` steps, in which their measurement takes seconds."""
    return [
        small_mlp(),
        Task("LeNet-5", _lenet(), _lenet_twin, epochs=1),
        Task("small Transformer", _template("intents_transformer"), _transformer_twin, epochs=2),
        Task("LSTM", _template("intents_lstm"), _lstm_twin, epochs=2),
        Task("ResNet-18 (32×32)", _resnet(steps), _resnet_twin, epochs=1),
        Task("4-layer GPT", _gpt(), _gpt_twin, epochs=1, steps=steps),
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


def _lenet() -> Project:
    image = {"field": "image", "kind": "image", "shape": [1, 28, 28]}
    return chain(
        DataChoice(dataset="shapes", options={"size": 28}),
        ("Input", image),
        ("Conv2d", {"filters": 6, "kernel_size": 5, "padding": 2}),
        ("ReLU", {}),
        ("MaxPool2d", {}),
        ("Conv2d", {"filters": 16, "kernel_size": 5, "padding": 0}),
        ("ReLU", {}),
        ("MaxPool2d", {}),
        ("Flatten", {}),
        ("Linear", {"units": 120}),
        ("ReLU", {}),
        ("Linear", {"units": 84}),
        ("ReLU", {}),
        ("Linear", {"units": 4}),
    )


def _lenet_twin() -> nn.Module:
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 5 * 5, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 4),
    )


def _resnet(steps: int) -> Project:
    """Return the ResNet-18 of the templates with the stem for small images: a 3 × 3 convolution without pooling."""
    from netloom.templates import architectures

    project = architectures()["resnet18"].project
    image = {"field": "image", "kind": "image", "shape": [1, 32, 32]}
    edits: list[dict[str, Any]] = [
        {"kind": "set", "node": "input_1", "params": image},
        {"kind": "set", "node": "conv_1", "params": {"kernel_size": 3, "stride": 1, "padding": 1}},
        {"kind": "set", "node": "linear_1", "params": {"units": 4}},
        {"kind": "remove", "nodes": ["pool_1"], "edges": []},
        {"kind": "connect", "source": "relu_1", "target": "stage_1"},
    ]
    rows = max(100, round(steps * LARGE_BATCH / TRAINED))
    return apply(project, {"kind": "batch", "edits": edits}).model_copy(
        update={"data": DataChoice(dataset="shapes", options={"size": 32, "rows": rows}), "training": _training()}
    )


def _resnet_twin() -> nn.Module:
    from torch import nn

    from netloom.cli.bench.forward_passes import BasicBlock

    layers: list[nn.Module] = [nn.Conv2d(1, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    channels = 64
    for filters, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [BasicBlock(channels, filters, stride), BasicBlock(filters, filters, 1)]
        channels = filters
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 4))


def _gpt() -> Project:
    from netloom.templates import templates

    project = templates()["tales_gpt"].project
    edits: list[dict[str, Any]] = [
        {"kind": "set", "node": "embedding_1", "params": {"dim": GPT_WIDTH}},
        {"kind": "set", "node": "block_1", "params": {"repeat": GPT_LAYERS}},
        {"kind": "set", "network": "block", "node": "input_1", "params": {"shape": [64, GPT_WIDTH]}},
    ]
    training = _training().model_copy(update={"objective": "language_modeling"})
    return apply(project, {"kind": "batch", "edits": edits}).model_copy(update={"training": training})


def _gpt_twin() -> nn.Module:
    import torch
    from torch import nn

    from netloom.cli.bench.forward_passes import GPTBlock

    field = _gpt().main_network.nodes["input_1"].params
    vocabulary, length = _number(field["vocabulary"]), _length(field["shape"])

    class Twin(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(vocabulary, GPT_WIDTH)
            self.places = nn.Parameter(torch.randn(length, GPT_WIDTH) * 0.02)
            self.blocks = nn.Sequential(*[GPTBlock(GPT_WIDTH, GPT_HEADS) for _ in range(GPT_LAYERS)])
            self.norm, self.head = nn.LayerNorm(GPT_WIDTH), nn.Linear(GPT_WIDTH, vocabulary)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.head(self.norm(self.blocks(self.tokens(tokens) + self.places)))
            return logits

    return Twin()


def _training() -> Training:
    return Training(batch_size=LARGE_BATCH, learning_rate=RATE, device="cpu")


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
    bidirectional = bool(recurrent.get("bidirectional", False))

    class Twin(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(vocabulary, dim)
            self.dropout = nn.Dropout(_rate(document["dropout_1"].params["rate"]))
            self.lstm = nn.LSTM(dim, hidden, batch_first=True, bidirectional=bidirectional)
            self.head = nn.Sequential(
                nn.Dropout(_rate(document["dropout_2"].params["rate"])),
                nn.Linear(hidden * (2 if bidirectional else 1), _number(document["linear_1"].params["units"])),
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
        Node(id=f"node_{index}", type=kind, params=params)
        for index, (kind, params) in enumerate([*layers, ("Output", {})])
    ]
    edges = tuple(Edge(source=a.id, target=b.id) for a, b in pairwise(nodes))
    network = Network(nodes={node.id: node for node in nodes}, edges=edges)
    training = Training(batch_size=64, learning_rate=RATE, device="cpu")
    return Project(name="Benchmark", networks={"main": network}, data=data, training=training)
