"""Imported networks are grouped: few nodes, the same outputs, the same number of parameters."""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from netloom.compile import module
from netloom.compile.importers.imported_model import ImportedModel
from netloom.compile.importers.onnx import import_bytes
from netloom.compile.importers.repeats import group_repeats
from netloom.document import Project, apply, dumps, loads
from netloom.document.expression import evaluate
from netloom.document.network import SUBNETWORK
from netloom.templates import architectures
from netloom.validation import analyze
from tests.networks import network, networks

pytestmark = pytest.mark.usefixtures("operators")


class Layer(nn.Module):
    """A Transformer layer with handwritten attention, so that exported files contain its single operators."""

    def __init__(self, width: int, masked: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.masked = masked

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        rows, steps, width = x.shape
        parts = self.qkv(self.norm1(x)).split(width, 2)
        q, k, v = (part.reshape(rows, steps, 4, width // 4).transpose(1, 2) for part in parts)
        scores = q @ k.transpose(-1, -2) * (width // 4) ** -0.5
        if self.masked:
            scores = scores + torch.triu(torch.full((steps, steps), -1e4), 1)
        if mask is not None:
            scores = scores + mask[:, None, None, :]
        x = x + self.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(rows, steps, width))
        result: torch.Tensor = x + self.fc2(F.gelu(self.fc1(self.norm2(x))))
        return result


class Gpt(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(50, 16), nn.Parameter(torch.randn(1, 6, 16))
        self.h = nn.ModuleList(Layer(16, True) for _ in range(4))
        self.ln_f, self.head = nn.LayerNorm(16), nn.Linear(16, 50)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.wte(tokens) + self.wpe
        for layer in self.h:
            x = layer(x)
        result: torch.Tensor = self.head(self.ln_f(x))
        return result


class Bert(nn.Module):
    """An encoder with a mask as its second input, which every layer reads."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.norm = nn.Embedding(50, 16), nn.LayerNorm(16)
        self.encoder = nn.ModuleList(Layer(16, False) for _ in range(4))
        self.pooler, self.head = nn.Linear(16, 16), nn.Linear(16, 3)

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x, mask = self.norm(self.words(tokens)), (1 - mask) * -1e4
        for layer in self.encoder:
            x = layer(x, mask)
        result: torch.Tensor = self.head(torch.tanh(self.pooler(x[:, 0])))
        return result


class Vit(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch, self.token = nn.Conv2d(3, 16, 4, 4), nn.Parameter(torch.randn(1, 1, 16))
        self.place = nn.Parameter(torch.randn(1, 17, 16))
        self.blocks = nn.Sequential(*(Layer(16, False) for _ in range(4)))
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.place
        result: torch.Tensor = self.head(self.norm(self.blocks(x))[:, 0])
        return result


def _tokens(rows: int) -> tuple[torch.Tensor, ...]:
    return (torch.randint(0, 50, (rows, 6)),)


def _masked(rows: int) -> tuple[torch.Tensor, ...]:
    mask = (torch.rand(rows, 6) > 0.3).float()
    mask[:, 0] = 1.0  # the softmax over hidden tokens alone depends on how they are hidden
    return *_tokens(rows), mask


def _image(rows: int) -> tuple[torch.Tensor, ...]:
    return (torch.randn(rows, 3, 16, 16),)


def _small_image(rows: int) -> tuple[torch.Tensor, ...]:
    return (torch.randn(rows, 3, 32, 32),)


Rows = Callable[[int], tuple[torch.Tensor, ...]]
EXPORTED: dict[str, tuple[Callable[[], nn.Module], Rows, str]] = {
    "gpt": (Gpt, _tokens, "encoder_layer"),
    "bert": (Bert, _masked, "encoder_layer"),
    "vit": (Vit, _image, "encoder_layer"),
    "resnet18": (lambda: module(architectures()["resnet18"].project), _small_image, "residual_block"),
    "mobilenet": (lambda: module(architectures()["mobilenet_v2"].project), _small_image, "inverted_residual"),
}


def _perturbed(network: nn.Module) -> nn.Module:
    """Perturb statistics, scales and biases, which are equal in every layer of a new network."""
    for name, value in network.state_dict().items():
        if "running_var" in name:
            nn.init.uniform_(value, 0.5, 1.5)
        elif value.dtype == torch.float32 and value.ndim == 1:
            value += 0.1 * torch.randn_like(value)
    return network.eval()


def _export_onnx(network: nn.Module, rows: tuple[torch.Tensor, ...]) -> bytes:
    names = [f"x{number}" for number, _ in enumerate(rows)]
    content = io.BytesIO()
    target: Any = content
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(  # in the current mode and without folding, so that batch norms stay separate operators
            *(network, rows, target),
            dynamo=False,
            input_names=names,
            dynamic_axes={name: {0: "n"} for name in names},
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
        )
    return content.getvalue()


# Both have blocks that others here have: those of "bert", and those of the ResNet in test_import_pt2.
SIMILAR = ("vit", "resnet18")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if name in SIMILAR else []) for name in EXPORTED]
)
def test_import_groups_blocks_and_matches_onnxruntime(name: str) -> None:
    torch.manual_seed(1)
    build, rows, block = EXPORTED[name]
    source_network = _perturbed(build())
    content = _export_onnx(source_network, rows(2))
    imported = import_bytes(content, name)
    assert len(imported.project.main_network.nodes) <= 25
    assert block in imported.project.networks
    built = module(loads(dumps(imported.project)))
    built.load_state_dict(imported.weights, strict=False)
    assert all(key.endswith("num_batches_tracked") for key in built.state_dict() if key not in imported.weights)
    inputs = rows(3)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    feeds = {entry.name: value.numpy() for entry, value in zip(session.get_inputs(), inputs, strict=True)}
    with torch.no_grad():
        answer = built.eval()(*inputs)
    assert float(np.abs(answer.numpy() - session.run(None, feeds)[0]).max()) < 1e-4
    expected_count = sum(part.numel() for part in source_network.parameters())
    count = sum(part.numel() for part in built.parameters() if part.requires_grad)
    assert count == {"resnet18": 11_689_512, "mobilenet": 3_504_872}.get(name, expected_count)


def _ungrouped(project: Project) -> Project:
    """The project with every subnetwork ungrouped in place."""
    while inner := [key for key, node in project.main_network.nodes.items() if node.type == SUBNETWORK]:
        project = apply(project, {"kind": "unpack", "node": inner[0]})
    main = project.main_network
    nodes = {
        key: node.model_copy(update={"params": {name: _evaluated(name, value) for name, value in node.params.items()}})
        for key, node in main.nodes.items()
    }
    return project.model_copy(update={"networks": {"main": main.model_copy(update={"nodes": nodes})}})


def _evaluated(name: str, value: Any) -> Any:
    return evaluate(value, {}) if name == "filters" and isinstance(value, str) else value


@pytest.mark.parametrize(
    ("name", "most", "expected_names"),
    [
        ("resnet18", 12, {"residual_block", "projection_block", "stage"}),
        ("resnet50", 12, {"residual_block", "projection_block", "stage"}),
        ("vgg16", 40, set()),
        ("alexnet", 25, set()),
        ("bert_base", 25, set()),
    ],
)
def test_grouping_published_networks_keeps_their_parameters(name: str, most: int, expected_names: set[str]) -> None:
    published = architectures()[name]
    flat = _ungrouped(published.project)
    with torch.device("meta"):
        weights = module(flat).state_dict()
    grouped = group_repeats(ImportedModel(flat, weights))
    assert len(grouped.project.main_network.nodes) <= most
    assert expected_names <= set(grouped.project.networks)
    analysis = analyze(grouped.project)
    assert not analysis.errors
    assert analysis.totals.parameters == published.parameters
    assert sum(value.numel() for value in grouped.weights.values()) == sum(value.numel() for value in weights.values())


def _group_and_compare(flat: Project, rows: torch.Tensor, **options: bool) -> ImportedModel:
    """Group the document and check that its outputs match those of the flat one."""
    reference = _perturbed(module(flat))
    grouped = group_repeats(ImportedModel(flat, dict(reference.state_dict())), **options)
    built = module(grouped.project)
    built.load_state_dict(grouped.weights)
    with torch.no_grad():
        assert torch.allclose(built.eval()(rows), reference(rows), atol=1e-5)
    return grouped


def test_grouping_is_deterministic() -> None:
    flat = _ungrouped(architectures()["resnet50"].project)
    assert dumps(group_repeats(ImportedModel(flat)).project) == dumps(group_repeats(ImportedModel(flat)).project)


Step = tuple[str, dict[str, Any]]


def _chain(*steps: Step) -> Project:
    nodes: dict[str, Step] = {"input_1": ("Input", {"kind": "vector", "shape": [8]})}
    nodes |= {f"step_{number}": step for number, step in enumerate(steps, 1)}
    return networks(main=network({**nodes, "output_1": ("Output", {})}))


DENSE: list[Step] = [("Linear", {"units": 8}), ("BatchNorm1d", {}), ("ReLU", {})]


def test_equal_blocks_become_a_repeated_subnetwork() -> None:
    grouped = _group_and_compare(_chain(*DENSE * 5), torch.randn(4, 8))
    blocks = [node.params for node in grouped.project.main_network.nodes.values() if node.type == SUBNETWORK]
    assert blocks == [{"network": "dense_block", "repeat": 5}]


def test_blocks_of_different_widths_use_one_parameterized_network() -> None:
    steps: list[Step] = []
    for width in (8, 16, 16, 32, 32):
        steps += [("Linear", {"units": width}), ("LayerNorm", {}), ("Linear", {"units": 2 * width}), ("ReLU", {})]
    grouped = _group_and_compare(_chain(*steps), torch.randn(4, 8))
    assert set(grouped.project.networks) == {"main", "dense_block"}
    block = grouped.project.networks["dense_block"]
    assert block.parameters == {"width": 8}
    assert [node.params["units"] for node in block.nodes.values() if node.type == "Linear"] == ["width", "width * 2"]


def test_small_or_unrepeated_networks_stay_flat() -> None:
    small = _chain(*DENSE * 3)
    mixed = _chain(*(("Linear", {"units": 8 + number}) for number in range(14)))
    for flat in (small, mixed):
        imported = ImportedModel(flat, dict(module(flat).state_dict()))
        assert group_repeats(imported) is imported


def _tied(all_layers: bool) -> Project:
    flat = _chain(*[("Linear", {"units": 8}), ("Tanh", {}), ("Linear", {"units": 8}), ("ReLU", {})] * 5)
    for number in range(4, 20, 4):
        flat = apply(flat, {"kind": "update", "node": f"step_{number + 1}", "shares": "step_1"})
        if all_layers:
            flat = apply(flat, {"kind": "update", "node": f"step_{number + 3}", "shares": "step_3"})
    return flat


def test_blocks_with_tied_weights_become_a_shared_repetition() -> None:
    grouped = _group_and_compare(_tied(all_layers=True), torch.randn(4, 8))
    assert analyze(grouped.project).totals.parameters == 2 * 72
    assert any(node.params.get("shared") for node in grouped.project.main_network.nodes.values())


def test_partly_tied_weights_stay_tied_unless_untie_is_set() -> None:
    flat = _tied(all_layers=False)
    imported = ImportedModel(flat, dict(module(flat).state_dict()))
    assert analyze(group_repeats(imported).project).totals.parameters == 6 * 72
    untied = _group_and_compare(flat, torch.randn(4, 8), untie=True)
    assert analyze(untied.project).totals.parameters == 10 * 72
    assert any("its own weights" in remark for remark in untied.remarks)


def test_grouping_a_thousand_nodes_takes_under_five_seconds() -> None:
    """Residual blocks of changing widths."""
    nodes: dict[str, Step] = {"input_1": ("Input", {"kind": "image", "shape": [4, 8, 8]})}
    edges: list[tuple[str, str]] = []
    last = "input_1"
    for number in range(140):
        width = 4 + number // 20
        conv: Step = ("Conv2d", {"filters": width, "kernel_size": 3, "padding": 1})
        side: Step = ("Conv2d", {"filters": width, "kernel_size": 1, "padding": 0})
        keys = [f"{kind}_{number}" for kind in ("conv_a", "norm_a", "relu_a", "conv_b", "norm_b")]
        steps: tuple[Step, ...] = (conv, ("BatchNorm2d", {}), ("ReLU", {}), conv, ("BatchNorm2d", {}))
        nodes |= dict(zip(keys, steps, strict=True)) | {f"side_{number}": side, f"add_{number}": ("Add", {})}
        edges += [*pairwise([last, *keys]), (keys[-1], f"add_{number}.a")]
        edges += [(last, f"side_{number}"), (f"side_{number}", f"add_{number}.b")]
        last = f"add_{number}"
    nodes["output_1"] = ("Output", {})
    flat = networks(main=network(nodes, [*edges, (last, "output_1")]))
    analyze(flat)
    start = time.process_time()
    grouped = group_repeats(ImportedModel(flat))
    assert time.process_time() - start < 5
    assert len(grouped.project.main_network.nodes) <= 25
