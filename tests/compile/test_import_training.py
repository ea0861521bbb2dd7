"""Imports keep training behavior or name it in a remark: tables, tied weights, dropout, statistics, freezing."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils import parametrizations

from netloom.cli.custom_module import record
from netloom.cli.custom_module_training import training_facts
from netloom.compile import module
from netloom.compile.importers import ImportedModel, TrainingFacts, read_model
from netloom.compile.importers.imported_model import EVALUATION, ONNX_EVALUATION, ONNX_FIXED
from netloom.compile.importers.keras import read_keras
from netloom.compile.importers.onnx import import_bytes
from netloom.export.tracing import quiet
from netloom.validation import analyze

pytestmark = pytest.mark.usefixtures("operators")

WORDS = torch.randint(0, 20, (3, 6), generator=torch.Generator().manual_seed(0))
STEPS, ROWS = torch.randn(3, 6, 8), torch.randn(3, 8)


class LearnedPositions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.last = nn.Parameter(torch.randn(1, 32, 8)), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> Any:
        return self.last(x + self.table[:, : x.size(1)])


class LookedUpPositions(nn.Module):
    """Position embeddings as in GPT-2, or with an offset as in OPT."""

    def __init__(self, first: int = 0) -> None:
        super().__init__()
        self.words, self.places, self.first = nn.Embedding(20, 8), nn.Embedding(34, 8), first

    def forward(self, tokens: torch.Tensor) -> Any:
        x = self.words(tokens) + self.places(torch.arange(tokens.size(1)) + self.first)
        return x @ self.words.weight.T  # tied, but written as a product


class TwoStretches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.last = nn.Parameter(torch.randn(32, 8)), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> Any:
        return self.last((x + self.table[:6]) * self.table[10:16, :])


class TiedAutoencoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.shift = nn.Linear(8, 3), nn.Parameter(torch.randn(8))

    def forward(self, x: torch.Tensor) -> Any:
        return F.linear(torch.tanh(self.encoder(x)), self.encoder.weight.t(), self.shift)


class SquareAutoencoder(nn.Module):
    """Both layers have a bias of the same shape, which sharing by name would tie as well."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.shift = nn.Linear(8, 8), nn.Parameter(torch.randn(8))

    def forward(self, x: torch.Tensor) -> Any:
        return F.linear(torch.tanh(self.encoder(x)), self.encoder.weight.t(), self.shift)


class Variational(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mean, self.spread, self.decoder = nn.Linear(8, 3), nn.Linear(8, 3), nn.Linear(3, 8)

    def forward(self, x: torch.Tensor) -> Any:
        mean, spread = self.mean(x), self.spread(x)
        return self.decoder(mean + torch.randn_like(mean) * torch.exp(spread / 2) if self.training else mean)


class Auxiliary(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.side, self.head = nn.Linear(8, 8), nn.Linear(8, 2), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> Any:
        x = F.relu(self.body(x))
        return (self.head(x), self.side(x)) if self.training else self.head(x)


class Attention(nn.Module):
    """Two attention layers, one from PyTorch and one handwritten, each with dropout on its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.own = nn.MultiheadAttention(8, 2, dropout=0.3, batch_first=True)
        self.project, self.head = nn.Linear(8, 24), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> Any:
        x = self.own(x, x, x)[0]
        q, k, v = (part.view(*x.shape[:2], 2, 4).transpose(1, 2) for part in self.project(x).chunk(3, -1))
        x = F.scaled_dot_product_attention(q, k, v, dropout_p=0.25 if self.training else 0.0)
        return self.head(x.transpose(1, 2).flatten(2))


class WeightNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = parametrizations.weight_norm(nn.Linear(8, 8)), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> Any:
        return self.last(F.relu(self.first(x)))


class Statistics(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3, momentum=0.02, eps=1e-3)
        self.plain, self.last = nn.BatchNorm2d(3, affine=False, momentum=0.3), nn.Linear(3, 2)
        self.conv.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> Any:
        return self.last(self.plain(self.norm(self.conv(x))).mean((2, 3)))


def import_pt2(model: nn.Module, x: torch.Tensor, path: Path) -> ImportedModel:
    """Import the program exported after model.eval() and check that its outputs match the model."""
    with quiet():
        program = torch.export.export(model.eval(), (x,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
        torch.export.save(program, path / "model.pt2")
    imported = read_model(path / "model.pt2")
    built = module(imported.project).eval()
    built.load_state_dict(imported.weights)
    torch.testing.assert_close(built(x), model(x), atol=1e-5, rtol=1e-5)
    return imported


def remarks_without_preparation(imported: ImportedModel) -> list[str]:
    """The remarks without the one about input preparation."""
    return [remark for remark in imported.remarks if not remark.startswith("Inputs: ")]


def parameter_count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("make", "x"),
    [
        (LearnedPositions, STEPS),
        (TwoStretches, STEPS),
        (LookedUpPositions, WORDS),
        (lambda: LookedUpPositions(2), WORDS),
        (TiedAutoencoder, ROWS),
        pytest.param(Attention, STEPS, marks=pytest.mark.long),  # imported below, too
    ],
)
def test_pt2_import_keeps_exactly_the_programs_parameters(
    make: Callable[[], nn.Module], x: torch.Tensor, tmp_path: Path
) -> None:
    model = make()
    imported = import_pt2(model, x, tmp_path)
    assert parameter_count(module(imported.project)) == parameter_count(model)
    assert analyze(imported.project).totals.parameters == parameter_count(model)
    assert remarks_without_preparation(imported) == [EVALUATION]


def test_tied_weights_get_the_gradients_of_the_source(tmp_path: Path) -> None:
    model = TiedAutoencoder()
    built = module(import_pt2(model, ROWS, tmp_path).project)
    built.load_state_dict(import_pt2(model, ROWS, tmp_path).weights)
    for network in (model, built):
        network(ROWS).square().sum().backward()
    gradients = [{p.shape: p.grad for p in network.parameters()} for network in (model, built)]
    for shape, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][shape], gradient)


def test_weights_that_cannot_be_tied_get_a_remark(tmp_path: Path) -> None:
    imported = import_pt2(SquareAutoencoder(), ROWS, tmp_path)
    assert sum("in the file; after the import, each has its own" in remark for remark in imported.remarks) == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            Variational,
            "2 parameters of the program (spread.weight, spread.bias: 27 numbers) have no place in the imported",
        ),
        (
            Auxiliary,
            "2 parameters of the program (side.weight, side.bias: 18 numbers) have no place in the imported",
        ),
        (WeightNorm, "(weight normalization); further training updates the computed weights directly"),
    ],
)
def test_unused_parameters_get_exactly_one_remark(make: Callable[[], nn.Module], message: str, tmp_path: Path) -> None:
    imported = import_pt2(make(), ROWS, tmp_path)
    assert sum(message in remark for remark in imported.remarks) == 1
    assert imported.remarks[-1] == EVALUATION


def test_import_keeps_batch_norm_momentum_and_frozen_parameters(tmp_path: Path) -> None:
    model = Statistics()
    built = module(import_pt2(model, torch.randn(3, 1, 8, 8), tmp_path).project)
    norms = [part for part in built.modules() if isinstance(part, nn.BatchNorm2d)]
    assert [(part.momentum, part.eps, part.affine) for part in norms] == [(0.02, 1e-3, True), (0.3, 1e-5, False)]
    trained = {tuple(p.shape) for p in built.parameters() if p.requires_grad}
    assert trained == {tuple(p.shape) for p in model.parameters() if p.requires_grad}
    frozen_model = model.requires_grad_(False)
    imported = import_pt2(frozen_model, torch.randn(3, 1, 8, 8), tmp_path)
    assert "All parameters are frozen in the program; after the import, all of them are trainable." in imported.remarks


@pytest.fixture
def import_custom_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[type[nn.Module], torch.Tensor], ImportedModel]:
    """Run `netloom import MODULE:NAME` for a model of this file."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def import_module(kind: type[nn.Module], x: torch.Tensor) -> ImportedModel:
        this_module = importlib.import_module(__name__)
        monkeypatch.setattr(this_module, "example_inputs", x, raising=False)
        model_name, facts = record(f"{__name__}:{kind.__name__}", [], tmp_path / "own.pt2")
        assert model_name == kind.__name__
        assert facts is not None
        return read_model(tmp_path / "own.pt2", model_name, facts)

    return import_module


def test_custom_module_keeps_attention_dropout(
    import_custom_module: Callable[[type[nn.Module], torch.Tensor], ImportedModel],
) -> None:
    imported = import_custom_module(Attention, STEPS)
    nodes = [node for network in imported.project.networks.values() for node in network.nodes.values()]
    rates = {node.type: node.params.get("dropout") for node in nodes if "Attention" in node.type}
    assert rates == {"MultiHeadAttention": 0.3, "DotProductAttention": 0.25}
    assert remarks_without_preparation(imported) == []


@pytest.mark.parametrize(
    ("kind", "message"),
    [(Variational, "draws random numbers (randn_like)"), (Auxiliary, "gives 2 outputs, and 1 in evaluation")],
)
def test_custom_module_remarks_name_train_eval_differences(
    kind: type[nn.Module], message: str, import_custom_module: Callable[[type[nn.Module], torch.Tensor], ImportedModel]
) -> None:
    imported = import_custom_module(kind, ROWS)
    assert sum(message in remark for remark in imported.remarks) == 1
    assert EVALUATION not in imported.remarks
    assert remarks_without_preparation(import_custom_module(TiedAutoencoder, ROWS)) == []


def test_module_that_trains_as_it_is_evaluated_is_exported_once() -> None:
    model, x = Statistics().eval(), torch.randn(3, 1, 8, 8)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with quiet():
        program = torch.export.export(model, (x,))
    facts = training_facts(model, (x,), program, lambda: pytest.fail("it was exported in training mode"))
    assert facts == TrainingFacts((), {}, ())
    assert not model.training
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())


def onnx_file(nodes: list[Any], source: tuple[str, int, list[Any]], **tensors: np.ndarray) -> bytes:
    """An ONNX file that computes y from its only input."""
    ends = [helper.make_tensor_value_info(*source), helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph(
        nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(value, name) for name, value in tensors.items()]
    )
    # Without a version, ONNX writes its newest one, which ONNX Runtime may not know yet.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    content: bytes = model.SerializeToString()
    return content


RNG = np.random.default_rng(0)
MATRIX = RNG.standard_normal((8, 3)).astype(np.float32)
TABLE = RNG.standard_normal((1, 32, 8)).astype(np.float32)
WIDE = RNG.standard_normal((20, 8)).astype(np.float32)
node = helper.make_node
ROW, STEP, TOKEN = (
    ("x", TensorProto.FLOAT, ["N", 8]),
    ("x", TensorProto.FLOAT, ["N", 6, 8]),
    ("x", TensorProto.INT64, ["N", 6]),
)
FILES = {
    "turned by an operator": (
        onnx_file(
            [node("MatMul", ["x", "w"], ["a"]), node("Transpose", ["w"], ["t"], perm=[1, 0]),
             node("MatMul", ["a", "t"], ["y"])], ROW, w=MATRIX,
        ), MATRIX.size,
    ),
    "written a second time, turned": (
        onnx_file([node("MatMul", ["x", "w"], ["a"]), node("MatMul", ["a", "v"], ["y"])], ROW,
                w=MATRIX, v=MATRIX.T.copy()),
        MATRIX.size,
    ),
    "used twice": (
        onnx_file([node("MatMul", ["x", "w"], ["a"]), node("Tanh", ["a"], ["b"]), node("MatMul", ["b", "w"], ["y"])],
                  ROW, w=WIDE[:8]),
        64,
    ),
    "a stretch of a table": (
        onnx_file([node("Slice", ["p", "s", "e", "ax"], ["q"]), node("Add", ["x", "q"], ["y"])], STEP,
                p=TABLE, s=np.array([2]), e=np.array([8]), ax=np.array([1])),
        TABLE.size,
    ),
    "places of a table, and words as they come and go": (
        onnx_file([node("Gather", ["w", "x"], ["a"]), node("Gather", ["p", "i"], ["b"]), node("Add", ["a", "b"], ["c"]),
                 node("Transpose", ["w"], ["t"], perm=[1, 0]), node("MatMul", ["c", "t"], ["y"])], TOKEN,
                w=WIDE, p=TABLE[0], i=np.arange(6)[None]),
        WIDE.size + TABLE.size,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_onnx_import_keeps_exactly_the_files_parameters(name: str) -> None:
    content, count = FILES[name]
    imported = import_bytes(content)
    model = module(imported.project).eval()
    model.load_state_dict(imported.weights)
    assert parameter_count(model) == count
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    takes_tokens = "int" in session.get_inputs()[0].type
    x = WORDS if takes_tokens else STEPS if "a stretch" in name else ROWS
    expected = session.run(None, {"x": x.numpy()})[0]
    np.testing.assert_allclose(model(x).detach().numpy(), expected, atol=1e-5)
    tables = [key for key, node in imported.project.main_network.nodes.items() if node.type == "Learned"]
    assert imported.remarks == (ONNX_EVALUATION, *(f"{key}: {ONNX_FIXED}" for key in tables))


def test_onnx_import_keeps_dropout_and_momentum() -> None:
    ones = np.ones(8, np.float32)
    content = onnx_file(
        [
            node("MatMul", ["x", "w"], ["a"]),
            node("BatchNormalization", ["a", "s", "b", "m", "v"], ["c"], momentum=0.99, epsilon=1e-3),
            node("Dropout", ["c", "r"], ["d"]),
            node("MatMul", ["d", "w"], ["y"]),
        ],
        ROW, w=WIDE[:8], s=ones, b=ones, m=ones, v=ones, r=np.array(0.3, np.float32),
    )  # fmt: skip
    imported = import_bytes(content)
    parts = list(module(imported.project).modules())
    assert [part.momentum for part in parts if isinstance(part, nn.BatchNorm1d)] == [0.01]
    assert [round(part.p, 6) for part in parts if isinstance(part, nn.Dropout)] == [0.3]
    assert imported.remarks == ()


def test_coincidentally_equal_weights_are_not_tied() -> None:
    content = onnx_file(
        [node("MatMul", ["x", "w"], ["a"]), node("MatMul", ["a", "v"], ["y"])],
        ROW, w=np.ones((8, 3), np.float32), v=np.ones((3, 8), np.float32),
    )  # fmt: skip
    assert parameter_count(module(import_bytes(content).project)) == 48


def test_keras_import_remarks_regularizers_and_keeps_frozen_layers(tmp_path: Path) -> None:
    def dense(name: str, **config: Any) -> dict[str, Any]:
        config = {"name": name, "units": 4, "activation": "relu", "use_bias": True, **config}
        return {"class_name": "Dense", "config": config}

    penalty = {"class_name": "L2", "config": {"l2": 0.01}}
    layers = [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 4], "name": "x"}},
        dense("first", trainable=False, kernel_regularizer=penalty),
        dense("second", kernel_regularizer=penalty),
    ]
    path = tmp_path / "model.json"
    path.write_text(json.dumps({"class_name": "Sequential", "config": {"name": "plain", "layers": layers}}))
    imported = read_keras(path)
    assert sum("Kernel regularizer of 2 layers is not imported" in remark for remark in imported.remarks) == 1
    assert [key for key, layer in imported.project.main_network.nodes.items() if layer.frozen] == ["first"]
    layers[2]["config"]["trainable"] = False
    path.write_text(json.dumps({"class_name": "Sequential", "config": {"name": "plain", "layers": layers}}))
    imported = read_keras(path)
    assert sum("All layers are frozen" in remark for remark in imported.remarks) == 1
    assert not any(layer.frozen for layer in imported.project.main_network.nodes.values())


def test_program_exported_in_training_mode_keeps_dropout(tmp_path: Path) -> None:
    class Dropped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.drop = nn.Linear(8, 2), nn.Dropout(0.4)

        def forward(self, x: torch.Tensor) -> Any:
            return self.drop(self.first(x))

    with quiet():
        torch.export.save(torch.export.export(Dropped().train(), (ROWS,)), tmp_path / "x.pt2")
    imported = read_model(tmp_path / "x.pt2")
    assert [part.p for part in module(imported.project).modules() if isinstance(part, nn.Dropout)] == [0.4]
    assert EVALUATION not in imported.remarks
