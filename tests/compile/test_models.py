"""Compiled networks against handwritten modules: equal weights give equal outputs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from netloom.compile import module
from netloom.document import Project, apply
from tests.networks import IMAGE, TABLE, TOKENS, chain, digits_mlp, project


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.inner = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = torch.relu(x + self.norm(self.inner(x)))
        head: torch.Tensor = self.head(x.mean((2, 3)))
        return head


class LastState(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 8)
        self.lstm = nn.LSTM(8, 6, num_layers=2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(12, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, (hidden, _) = self.lstm(self.embedding(x))
        head: torch.Tensor = self.head(torch.cat((hidden[-2], hidden[-1]), 1))
        return head


def residual() -> Project:
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": IMAGE,
        "conv2d_1": ("Conv2d", {"filters": 4}),
        "conv2d_2": ("Conv2d", {"filters": 4}),
        "batchnorm2d_1": ("BatchNorm2d", {}),
        "add_1": ("Add", {}),
        "relu_1": ("ReLU", {}),
        "globalavgpool_1": ("GlobalAvgPool", {}),
        "linear_1": ("Linear", {"units": 10}),
        "output_1": ("Output", {}),
    }
    edges = [("input_1", "conv2d_1"), ("conv2d_1", "conv2d_2"), ("conv2d_2", "batchnorm2d_1")]
    edges += [("conv2d_1", "add_1.a"), ("batchnorm2d_1", "add_1.b"), ("add_1", "relu_1")]
    edges += [("relu_1", "globalavgpool_1"), ("globalavgpool_1", "linear_1"), ("linear_1", "output_1")]
    return project(nodes, edges)


def lstm_last_state() -> Project:
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": TOKENS,
        "embedding_1": ("Embedding", {"vocabulary": 50, "dim": 8}),
        "lstm_1": ("LSTM", {"hidden_size": 6, "layers": 2, "bidirectional": True}),
        "linear_1": ("Linear", {"units": 3}),
        "output_1": ("Output", {}),
    }
    edges = [("input_1", "embedding_1"), ("embedding_1", "lstm_1"), ("lstm_1.state", "linear_1")]
    return project(nodes, [*edges, ("linear_1", "output_1")])


def mlp_by_hand() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def cnn() -> Project:
    return chain(
        IMAGE,
        ("Conv2d", {"filters": 6, "kernel_size": 3, "padding": 0, "stride": 2, "bias": False}),
        ("BatchNorm2d", {"momentum": 0.2}),
        ("LeakyReLU", {"slope": 0.2}),
        ("MaxPool2d", {"kernel_size": 2, "stride": 1}),
        ("Flatten", {}),
        ("Dropout", {"rate": 0.3}),
        ("Linear", {"units": 10}),
        ("LayerNorm", {"epsilon": 1e-3}),
    )


def cnn_by_hand() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, stride=2, bias=False),
        nn.BatchNorm2d(6, momentum=0.2),
        nn.LeakyReLU(0.2),
        nn.MaxPool2d(2, 1),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(24, 10),
        nn.LayerNorm(10, eps=1e-3),
    )


IMAGES = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
WORDS = torch.randint(0, 50, (5, 12), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("document", "by_hand", "x"),
    [
        (digits_mlp(), mlp_by_hand(), IMAGES),
        (cnn(), cnn_by_hand(), IMAGES),
        (residual(), Residual(), IMAGES),
        (lstm_last_state(), LastState(), WORDS),
    ],
    ids=["mlp", "cnn", "residual", "lstm"],
)
@pytest.mark.parametrize("training", [True, False])
def test_compiled_network_matches_handwritten_module(
    document: Project, by_hand: nn.Module, x: torch.Tensor, training: bool
) -> None:
    built = module(document)
    names, values = list(built.state_dict()), list(by_hand.state_dict().values())
    built.load_state_dict(dict(zip(names, (value.clone() for value in values), strict=True)))
    built.train(training)
    by_hand.train(training)
    torch.manual_seed(1)
    output = built(x)
    torch.manual_seed(1)
    expected = by_hand(x)
    assert torch.equal(output, expected)
    for parameter, reference in zip(built.parameters(), by_hand.parameters(), strict=True):
        parameter.grad = reference.grad = None
    output.square().sum().backward()
    expected.square().sum().backward()
    for parameter, reference in zip(built.parameters(), by_hand.parameters(), strict=True):
        assert parameter.grad is not None
        assert reference.grad is not None
        torch.testing.assert_close(parameter.grad, reference.grad)


def test_frozen_layers_get_no_gradient() -> None:
    document = apply(digits_mlp(), {"kind": "update", "node": "linear_1", "frozen": True})
    built = module(apply(document, {"kind": "update", "node": "relu_1", "frozen": True}))
    trainable = [name for name, weight in built.named_parameters() if weight.requires_grad]
    assert trainable == ["linear_2.weight", "linear_2.bias"]
    built(IMAGES).sum().backward()
    assert all(weight.grad is None for weight in built.get_submodule("linear_1").parameters())


def test_inputs_and_outputs_are_in_natural_order_of_ids() -> None:
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_2": ("Input", {"shape": [3]}),
        "input_1": ("Input", {"shape": [5]}),
        "concat_1": ("Concat", {}),
        "output_2": ("Output", {"name": "joined"}),
        "output_1": ("Output", {"name": "doubled"}),
        "add_1": ("Add", {}),
    }
    edges = [("input_2", "concat_1.a"), ("input_1", "concat_1.b"), ("concat_1", "output_2")]
    edges += [("input_1", "add_1.a"), ("input_1", "add_1.b"), ("add_1", "output_1")]
    nodes["linear_1"] = ("Linear", {"units": 2})
    nodes["output_3"] = ("Output", {"name": "learned"})
    built = module(project(nodes, [*edges, ("concat_1", "linear_1"), ("linear_1", "output_3")]))
    five, three = torch.rand(4, 5), torch.rand(4, 3)
    doubled, joined, learned = built(five, three)
    assert torch.equal(doubled, 2 * five)
    assert torch.equal(joined, torch.cat((three, five), 1))
    assert learned.shape == (4, 2)


def test_module_weights_depend_only_on_the_seed() -> None:
    document = chain(TABLE, ("Linear", {"units": 4}))
    torch.manual_seed(3)
    first, second = module(document), module(document)
    torch.manual_seed(3)
    again = module(document)
    assert torch.equal(first.get_parameter("linear_1.weight"), again.get_parameter("linear_1.weight"))
    assert not torch.equal(first.get_parameter("linear_1.weight"), second.get_parameter("linear_1.weight"))
    assert type(first) is type(again)


def test_single_rows_match_the_whole_batch() -> None:
    for document, x in ((residual(), IMAGES), (lstm_last_state(), WORDS)):
        built = module(document).eval()
        whole = built(x)
        torch.testing.assert_close(torch.cat([built(x[i : i + 1]) for i in range(len(x))]), whole)
