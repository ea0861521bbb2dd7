"""The operators that PyTorch records for local response normalization become one layer again."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from netloom.compile import module
from netloom.compile.importers import read_model
from netloom.compile.importers.imported_model import ImportedModel

pytestmark = pytest.mark.usefixtures("operators")


class AlexNet(nn.Module):
    """The first layers of AlexNet and GoogLeNet: normalization before and after pooling, on images and on sequences."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 5, stride=2), nn.Conv2d(8, 12, 3, padding=1, groups=2)
        self.norm = nn.LocalResponseNorm(5, alpha=1e-2, beta=0.75, k=2.0)
        self.classifier = nn.Linear(12, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(self.norm(F.relu(self.first(x))), 3, 2)
        x = F.local_response_norm(F.relu(self.second(x)).flatten(2), 4, alpha=0.1, beta=0.5, k=1.5)
        return self.classifier(x.mean(2))  # type: ignore[no-any-return]


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(8, 8, 3, padding=1), nn.LocalResponseNorm(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(F.relu(self.convolution(x)))  # type: ignore[no-any-return]


class Averaged(nn.Module):
    """Normalization as it was written before PyTorch had a layer for it."""

    def __init__(self) -> None:
        super().__init__()
        self.average = nn.AvgPool3d((3, 1, 1), stride=1, padding=(1, 0, 0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        divisor = self.average(x.pow(2).unsqueeze(1)).squeeze(1).mul(0.5).add(2.0).pow(0.75)
        return x.div(divisor)


def written(model: nn.Module, x: torch.Tensor, path: Path) -> Path:
    """The file of a network for batches of any size."""
    shapes = ({0: torch.export.Dim.DYNAMIC},)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporters about themselves
        if path.suffix == ".onnx":
            torch.onnx.export(model, (x,), path, dynamo=True, verbose=False, dynamic_shapes=shapes, external_data=False)
        else:
            torch.export.save(torch.export.export(model, (x,), dynamic_shapes=shapes), path)
    return path


def layers(imported: ImportedModel) -> list[str]:
    return [node.type for network in imported.project.networks.values() for node in network.nodes.values()]


def trained_once(model: Any, x: torch.Tensor) -> list[torch.Tensor]:
    """The outputs before and after a step, and the gradient of the input."""
    x = x.clone().requires_grad_()
    before = model(x)
    before.square().sum().backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 0.1 * parameter.grad
        return [before.detach(), model(x).detach(), x.grad]


@pytest.mark.parametrize("suffix", ["pt2", "onnx"])
def test_response_normalizations_become_one_layer_each(suffix: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = AlexNet().eval(), torch.randn(3, 3, 20, 20)
    imported = read_model(written(model, x, tmp_path / f"alexnet.{suffix}"))
    norms = [node for node in imported.project.main_network.nodes.values() if node.type == "LocalResponseNorm"]
    assert [node.params for node in norms] == [
        {"size": 5, "alpha": 0.01, "beta": 0.75, "k": 2.0},
        {"size": 4, "alpha": 0.1, "beta": 0.5, "k": 1.5},
    ]
    assert not {"Power", "Divide", "ScaleShift", "AvgPool2d", "AvgPool3d", "ZeroPad2d", "ZeroPad3d"} & {
        *layers(imported)
    }
    network = module(imported.project)
    network.load_state_dict(imported.weights)
    for mine, original in zip(trained_once(network.eval(), x), trained_once(model, x), strict=True):
        torch.testing.assert_close(mine, original, rtol=1e-6, atol=1e-6)


def test_repeated_blocks_with_a_normalization_become_networks(tmp_path: Path) -> None:
    model, x = nn.Sequential(Block(), Block(), nn.Flatten()), torch.randn(2, 8, 4, 4)
    imported = read_model(written(model.eval(), x, tmp_path / "blocks.pt2"))
    assert layers(imported).count("LocalResponseNorm") == 1
    assert len(imported.project.networks) == 2


@pytest.mark.parametrize("suffix", ["pt2", "onnx"])
def test_a_handwritten_normalization_becomes_a_layer(suffix: str, tmp_path: Path) -> None:
    x = torch.randn(2, 6, 3, 4)
    imported = read_model(written(Averaged().eval(), x, tmp_path / f"averaged.{suffix}"))
    assert layers(imported) == ["Input", "LocalResponseNorm", "Output"]
    torch.testing.assert_close(module(imported.project)(x), Averaged()(x), rtol=1e-6, atol=1e-6)


def divided(squares: Callable[[torch.Tensor], torch.Tensor]) -> nn.Module:
    class Divided(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x / (squares(x) * 0.5 + 2).pow(0.75)

    return Divided()


def within(x: torch.Tensor, sides: list[int], window: tuple[int, ...]) -> torch.Tensor:
    padded = F.pad((x * x).unsqueeze(1), sides)
    return F.avg_pool3d(padded, window, stride=1).squeeze(1)


@pytest.mark.parametrize(
    "squares",
    [
        lambda x: within(x, [0, 0, 0, 0, 2, 0], (3, 1, 1)),  # a window that ends at the channel
        lambda x: within(x, [0, 0, 1, 1, 0, 0], (1, 3, 1)),  # neighboring pixels
        lambda x: within(x, [0, 0, 0, 0, 1, 1], (3, 1, 1)) * x,  # something else
        lambda x: within(x + 1, [0, 0, 0, 0, 1, 1], (3, 1, 1)),  # squares of another tensor
        lambda x: F.avg_pool3d((x * x).unsqueeze(1), (3, 1, 1), 1, (1, 0, 0), count_include_pad=False).squeeze(1),
    ],
)
def test_similar_formulas_stay_as_they_are(squares: Callable[[torch.Tensor], torch.Tensor], tmp_path: Path) -> None:
    model, x = divided(squares).eval(), torch.randn(2, 6, 6, 4).abs()
    imported = read_model(written(model, x, tmp_path / "divided.pt2"))
    assert "LocalResponseNorm" not in layers(imported)
    torch.testing.assert_close(module(imported.project)(x), model(x), rtol=1e-6, atol=1e-6)
