"""Import of ONNX files: same outputs as onnxruntime, and damaged files raise readable errors."""

from __future__ import annotations

import io
import logging
import random
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional as F  # noqa: N812

from netloom.compile import module
from netloom.compile.importers.imported_model import ImportedModel, UnreadableModelError
from netloom.compile.importers.onnx import import_bytes, import_file
from netloom.document import dumps, loads
from netloom.validation import validate

pytestmark = pytest.mark.usefixtures("operators")

Case = tuple[Callable[[], nn.Module], Callable[[int], torch.Tensor]]


class Residual(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.down = nn.Conv2d(inside, outside, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        result: torch.Tensor = F.relu(self.bn2(self.conv2(y)) + self.down(x))
        return result


class Inverted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Sequential(nn.Conv2d(8, 16, 1), nn.BatchNorm2d(16), nn.ReLU6())
        self.deep = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.BatchNorm2d(16), nn.Hardswish())
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 4, 1), nn.SiLU(), nn.Conv2d(4, 16, 1))
        self.thin = nn.Conv2d(16, 8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.deep(self.wide(x))
        result: torch.Tensor = x + self.thin(y * F.hardsigmoid(self.gate(y)))
        return result


class Causal(nn.Module):
    """A small decoder by hand: positions, a class token, fused projections and a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.position = nn.Embedding(30, 16), nn.Parameter(torch.randn(1, 6, 16))
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.norm, self.qkv, self.out = nn.LayerNorm(16), nn.Linear(16, 48), nn.Linear(16, 16)
        self.feed = nn.Sequential(nn.Linear(16, 32), nn.GELU(approximate="tanh"), nn.Linear(32, 16))
        self.head = nn.Linear(16, 5)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens) + self.position
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1)
        q, k, v = self.qkv(self.norm(x)).reshape(x.shape[0], 7, 3, 4, 4).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-1, -2) / 2 + torch.triu(torch.full((7, 7), float("-inf")), 1)
        x = x + self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(x.shape[0], 7, 16))
        result: torch.Tensor = self.head((x + self.feed(x))[:, 0])
        return result


class Text(nn.Module):
    def __init__(self, kind: type[nn.LSTM] | type[nn.GRU], layers: int, both: bool) -> None:
        super().__init__()
        self.embed, self.read = nn.Embedding(30, 8), kind(8, 6, layers, batch_first=True, bidirectional=both)
        self.head = nn.Linear(12 if both else 6, 3)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.head(self.read(self.embed(tokens))[0][:, -1]).log_softmax(-1)
        return result


class Mixed(nn.Module):
    """A network with many different operators."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.up = nn.Conv2d(3, 8, (1, 7), padding=(0, 3)), nn.ConvTranspose2d(8, 4, 2, 2)
        self.norm, self.slope, self.scale = nn.GroupNorm(2, 4), nn.PReLU(4), nn.Parameter(torch.randn(4, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.slope(self.norm(self.up(self.conv(x))) * self.scale)
        a, b = y.chunk(2, 1)
        z = torch.cat([a * torch.sigmoid(b), F.gelu(a), b.clamp(-0.5, 0.5)], 1)
        z = F.interpolate(F.avg_pool2d(z, 2), scale_factor=2.0, mode="bilinear")
        z = z.pow(2).mean((2, 3), keepdim=True) * z
        chosen = torch.where(z.mean(1) > 0.1, z.amax(1), 1 / (2 + z.mean(1).abs()))
        return chosen.flatten(1).sum(1, keepdim=True) - z.mean((1, 2, 3)).unsqueeze(1).exp().sqrt()


def image(batch: int) -> torch.Tensor:
    return torch.randn(batch, 3, 16, 16)


def tokens(batch: int) -> torch.Tensor:
    return torch.randint(0, 30, (batch, 6))


def short_tokens(batch: int) -> torch.Tensor:
    """Two tokens each: recurrent layers are exported step by step, which takes long."""
    return tokens(batch)[:, :2]


CASES: dict[str, Case] = {
    "mlp": (
        lambda: nn.Sequential(nn.Linear(5, 8), nn.GELU(), nn.Dropout(), nn.Linear(8, 6), nn.Mish(), nn.Softmax(-1)),
        lambda batch: torch.randn(batch, 5),
    ),
    "cnn": (
        lambda: nn.Sequential(
            *(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.LeakyReLU(), nn.MaxPool2d(3, 2, 1)),
            *(nn.Dropout(), nn.ELU(), nn.BatchNorm2d(6), nn.Flatten(), nn.Linear(384, 4)),
        ),
        image,
    ),
    "residual": (
        lambda: nn.Sequential(
            *(nn.Conv2d(3, 8, 3), Residual(8, 8, 1), Residual(8, 8, 1), Residual(8, 16, 2)),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4)),
        ),
        image,
    ),
    "mobile": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3, 2), Inverted(), Inverted()), image),
    "attention": (
        lambda: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, norm_first=True, activation="gelu"),
            *(1, None, False),
        ),
        lambda batch: torch.randn(batch, 6, 16),
    ),
    "causal": (Causal, tokens),
    "lstm": (lambda: Text(nn.LSTM, 2, False), short_tokens),
    "bilstm": (lambda: Text(nn.LSTM, 1, True), short_tokens),
    "gru": (lambda: Text(nn.GRU, 1, False), short_tokens),
    "series": (
        lambda: nn.Sequential(
            *(nn.Conv1d(4, 8, 3, stride=2), nn.BatchNorm1d(8), nn.MaxPool1d(2), nn.InstanceNorm1d(8, affine=True)),
            *(nn.Flatten(), nn.Linear(56, 3)),
        ),
        lambda batch: torch.randn(batch, 4, 30),
    ),
    "mixed": (Mixed, image),
}


def export_onnx(network: nn.Module, rows: torch.Tensor, exporter: str) -> bytes:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        if exporter == "new":
            shapes = ({0: "batch"},)
            program = torch.onnx.export(network, (rows,), dynamo=True, verbose=False, dynamic_shapes=shapes)
            assert program is not None
            content: bytes = program.model_proto.SerializeToString()
            return content
        buffer = io.BytesIO()
        axes = {"x": {0: "n"}} if exporter == "old" else None
        target: Any = buffer
        torch.onnx.export(network, (rows,), target, dynamo=False, input_names=["x"], dynamic_axes=axes)
        return buffer.getvalue()


def max_difference(content: bytes, imported: ImportedModel, rows: torch.Tensor) -> float:
    """The largest absolute difference between the imported network and onnxruntime."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    expected_outputs = session.run(None, {session.get_inputs()[0].name: rows.numpy()})
    model = module(loads(dumps(imported.project)))
    model.load_state_dict(imported.weights, strict=True)
    with torch.no_grad():
        answer = model.eval()(rows)
    answers = answer if isinstance(answer, tuple) else (answer,)
    assert [tuple(item.shape) for item in answers] == [item.shape for item in expected_outputs]
    return max(
        float(np.abs(item.numpy() - expected).max()) for item, expected in zip(answers, expected_outputs, strict=True)
    )


def initialized_network(name: str) -> tuple[nn.Module, Callable[[int], torch.Tensor]]:
    torch.manual_seed(7)
    build, rows = CASES[name]
    network = build()
    for part in network.modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            state = part.state_dict()
            nn.init.uniform_(state["running_var"], 0.5, 1.5)
            nn.init.normal_(state["running_mean"], std=0.2)
    return network.eval(), rows


@cache
def exported_case(name: str, exporter: str) -> bytes:
    """The ONNX file of a case with a batch of 2, or a fixed batch of 1; cached because an export takes seconds."""
    network, rows = initialized_network(name)
    return export_onnx(network, rows(1 if exporter == "one" else 2), exporter)


# The new exporter writes each step of a recurrent layer, which takes seconds; "bilstm" covers "lstm" and "gru".
# test_import_attention covers "attention", and "mixed" and "residual" have the operators of "mobile" and "cnn". The
# other exporter writes those of "series".
LONG = [(name, "new") for name in ("lstm", "gru", "attention", "mobile", "cnn", "series")]
WAYS = [
    pytest.param(name, way, marks=[pytest.mark.long] if (name, way) in LONG else [])
    for name in CASES
    for way in ("new", "old", "one")
    if name != "attention" or way == "new"  # the old exporter cannot write attention
]


@pytest.mark.parametrize(("name", "batch_mode"), WAYS)
def test_imported_outputs_match_onnxruntime(name: str, batch_mode: str) -> None:
    network, rows = initialized_network(name)
    content = exported_case(name, batch_mode)
    imported = import_bytes(content, name)
    assert imported.project.name == name
    assert not [issue for issue in validate(imported.project) if issue.severity == "error" and issue.node]
    assert max_difference(content, imported, rows(1 if batch_mode == "one" else 3)) < 1e-4
    if batch_mode == "one":  # a file with a fixed batch of 1 accepts any batch size after import
        built = module(imported.project)
        built.load_state_dict(imported.weights)
        batch = rows(3)
        with torch.no_grad():
            assert torch.allclose(built.eval()(batch), network(batch), atol=1e-4)


@pytest.mark.parametrize("name", ["mlp", "bilstm", pytest.param("gru", marks=pytest.mark.long), "mixed"])
def test_import_keeps_the_number_of_parameters(name: str) -> None:
    network, _ = initialized_network(name)
    built = module(import_bytes(exported_case(name, "new")).project)
    count = sum(part.numel() for part in built.parameters())
    assert count == sum(part.numel() for part in network.parameters())


def test_decomposed_activations_become_one_layer() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.SiLU(), nn.Linear(4, 4), nn.GELU())
    content = export_onnx(network, torch.randn(2, 4), "old")
    types = [node.type for node in import_bytes(content).project.main_network.nodes.values()]
    assert types == ["Input", "Linear", "SiLU", "Linear", "GELU", "Output"]


def test_node_ids_follow_module_names() -> None:
    imported = import_bytes(exported_case("residual", "new")).project
    node_ids = " ".join(key for inner in imported.networks.values() for key in inner.nodes)
    assert "conv1" in node_ids
    assert len({node.at for node in imported.main_network.nodes.values()}) == len(imported.main_network.nodes)


def matmul_model(**changes: Any) -> onnx.ModelProto:
    """A model that multiplies x (N, 3) by a matrix, with the given changes."""
    weight = numpy_helper.from_array(np.eye(3, dtype=np.float32), changes.pop("weight", "w"))
    node = helper.make_node(changes.pop("operator", "MatMul"), ["x", weight.name], ["y"], name=changes.pop("name", "m"))
    shape = changes.pop("shape", ["n", 3])
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [weight],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def graph_bytes(*nodes: onnx.NodeProto, **constants: Any) -> bytes:
    """A file that computes y from x (N, 2) with these operators and constants, and multiplies it by a weight."""
    constant_nodes = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(value)))
        for name, value in constants.items()
    ]
    graph = helper.make_graph(
        [*constant_nodes, *nodes, helper.make_node("Mul", ["y", "weight"], ["z"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array([1, 0.5], np.float32), "weight")],
    )
    opset = helper.make_opsetid("", 18)
    content: bytes = helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString()
    return content


LARGE = torch.tensor([[1, -2], [2e10, -3e12], [-2e10, 3e12]])


@pytest.mark.parametrize("values", [[1e10, 2.0], [-1e10, -1e10], [3e38, 1.0]])
@pytest.mark.parametrize("kind", ["Add", "Mul", "Max"])
def test_large_constants_import_exactly(kind: str, values: list[float]) -> None:
    content = graph_bytes(helper.make_node(kind, ["x", "c"], ["y"]), c=np.array(values, np.float32))
    rows = LARGE.clamp(-1, 1) if max(values) > 1e38 else LARGE  # otherwise the product overflows
    assert max_difference(content, import_bytes(content), rows) == 0


@pytest.mark.parametrize("fill", [-1e10, 1e10, -3e38])
def test_masked_fill_value_is_exact(fill: float) -> None:
    content = graph_bytes(
        helper.make_node("Greater", ["x", "zero"], ["mask"]),
        helper.make_node("Where", ["mask", "x", "fill"], ["y"]),
        zero=np.float32(0),
        fill=np.float32(fill),
    )
    assert max_difference(content, import_bytes(content), LARGE) == 0


@pytest.mark.parametrize("limits", [(-1e10, 1e10), (-1e10, 5.0), (1e10, 1e11), (-3.4028234663852886e38, 6.0)])
def test_large_clip_limits_are_exact(limits: tuple[float, float]) -> None:
    low, high = (np.float32(limit) for limit in limits)
    content = graph_bytes(helper.make_node("Clip", ["x", "low", "high"], ["y"]), low=low, high=high)
    assert max_difference(content, import_bytes(content), LARGE) == 0


@pytest.mark.parametrize("number", [2**24 + 1, 2**31, 2**63 - 1])
def test_integers_that_float32_cannot_represent_are_refused(number: int) -> None:
    whole, real = (helper.make_node("Cast", [a], [b], to=to) for a, b, to in (("x", "i", 7), ("j", "y", 1)))
    content = graph_bytes(whole, helper.make_node("Add", ["i", "c"], ["j"]), real, c=np.array([number, 0]))
    assert "too large for float32" in refusal_message(content)


@pytest.mark.parametrize(
    ("dividends", "divisors"), [([-7, 7], [2, -2]), ([-7, 7], [-2, 2]), ([-6, 0], [3, -3]), ([-1, 1], [2, -2])]
)
@pytest.mark.parametrize("kind", ["Div", "Mod", "Mod of C"])
def test_constant_integer_division_matches_onnxruntime(kind: str, dividends: list[int], divisors: list[int]) -> None:
    attributes: dict[str, Any] = {"fmod": 1} if kind == "Mod of C" else {}
    content = graph_bytes(
        helper.make_node(kind.split()[0], ["a", "b"], ["i"], **attributes),
        helper.make_node("Cast", ["i"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["x", "f"], ["y"]),
        a=np.array(dividends),
        b=np.array(divisors),
    )
    assert max_difference(content, import_bytes(content), torch.zeros(1, 2)) == 0


@pytest.mark.parametrize("inputs", [("i", "several"), ("i", "one"), ("one", "i")])
def test_integer_division_matches_onnxruntime(inputs: tuple[str, str]) -> None:
    content = graph_bytes(
        helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT64),
        helper.make_node("Div", inputs, ["j"]),
        helper.make_node("Cast", ["j"], ["y"], to=TensorProto.FLOAT),
        several=np.array([2, -3]),
        one=np.array(20 if inputs[0] == "one" else -2),
    )
    rows = torch.tensor([[-7, 8], [7, -8], [-1, 1], [6, 6]])
    assert max_difference(content, import_bytes(content), rows.float()) == 0


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("MatMul", ["column", "row"]),
        ("Add", ["column", "row"]),
        ("Where", ["condition", "column", "row"]),
        ("Clip", ["column", "row"]),
        ("Gather", ["row", "zeros"]),
    ],
)
def test_huge_constant_results_are_refused(kind: str, names: list[str]) -> None:
    length = 2**20
    attributes: dict[str, Any] = {"axis": 0} if kind == "Gather" else {}
    content = graph_bytes(
        helper.make_node(kind, names, ["huge"], **attributes),
        helper.make_node("Add", ["x", "huge"], ["y"]),
        column=np.ones((length, 1), np.float32),
        row=np.ones((1, length), np.float32),
        condition=np.ones((length, 1), bool),
        zeros=np.zeros(length, np.int64),
    )
    assert "its result is too large" in refusal_message(content)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_auto_pad_matches_onnxruntime(mode: str, stride: int) -> None:
    generator = np.random.default_rng(0)
    weight = generator.standard_normal((2, 3, 4, 3), dtype=np.float32)
    convolution = helper.make_node("Conv", ["x", "weight"], ["y"], auto_pad=mode, strides=[stride, stride])
    graph = helper.make_graph(
        [convolution],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 10, 7])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    content = model.SerializeToString()
    assert max_difference(content, import_bytes(content), torch.randn(2, 3, 10, 7)) < 1e-5


def refusal_message(content: bytes) -> str:
    with pytest.raises(UnreadableModelError) as raised:
        import_bytes(content)
    sentence = str(raised.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


def test_response_normalization_of_an_even_size_is_refused() -> None:
    content = graph_bytes(helper.make_node("LRN", ["x"], ["y"], size=4))
    assert "its size is even (4)" in refusal_message(content)


def test_import_error_names_the_unknown_operator() -> None:
    assert "NonMaxSuppression" in refusal_message(matmul_model(operator="NonMaxSuppression").SerializeToString())


def test_weights_in_another_file_are_read(tmp_path: Path) -> None:
    path, model = tmp_path / "two.onnx", matmul_model()
    onnx.save(model, path, save_as_external_data=True, location="two.onnx.data", size_threshold=0)
    imported, expected = import_file(path), import_bytes(matmul_model().SerializeToString(), "two")
    assert imported.project == expected.project
    assert list(imported.weights) == list(expected.weights)
    assert all(torch.equal(imported.weights[name], tensor) for name, tensor in expected.weights.items())

    (tmp_path / "two.onnx.data").write_bytes(b"cut")
    with pytest.raises(
        UnreadableModelError, match=r"'two\.onnx\.data', which is missing or damaged; import both files"
    ):
        import_file(path)
    (tmp_path / "two.onnx.data").unlink()
    with pytest.raises(UnreadableModelError, match="missing or damaged"):
        import_file(path)
    with pytest.raises(UnreadableModelError, match="another file"):
        import_bytes(path.read_bytes())


@pytest.mark.parametrize("location", ["../secret", "link", "/etc/passwd", "folder/../../secret", ""])
def test_weights_outside_of_the_folder_are_refused(location: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(36))
    folder = tmp_path / "uploaded"
    (folder / "folder").mkdir(parents=True)
    (folder / "link").symlink_to(tmp_path / "secret")
    model = matmul_model()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    (folder / "x.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UnreadableModelError, match="another file"):
        import_file(folder / "x.onnx")


@pytest.mark.parametrize("dims", [[2**62, 2**62], [-1, 3], [10**6, 10**6], [5, 5]])
def test_impossible_weight_shapes_are_refused(dims: list[int]) -> None:
    model = matmul_model()
    model.graph.initializer[0].dims[:] = dims
    refusal_message(model.SerializeToString())


@pytest.mark.parametrize("shape", [["n"], ["n", 0], ["n", 2**40], ["n"] * 9])
def test_impossible_input_shapes_are_refused(shape: list[Any]) -> None:
    refusal_message(matmul_model(shape=shape).SerializeToString())


def test_huge_constant_of_shape_is_refused() -> None:
    model = matmul_model()
    sizes = numpy_helper.from_array(np.array([2**40, 2**20], np.int64), "sizes")
    model.graph.initializer.append(sizes)
    model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["sizes"], ["huge"]))
    model.graph.node.append(helper.make_node("Add", ["y", "huge"], ["z"]))
    model.graph.output[0].name = "z"
    refusal_message(model.SerializeToString())


@pytest.mark.parametrize("name", ["'; import os #", '"""\n', "</script>", "../../x", "é\u202e\x00", "", "a" * 5000])
def test_hostile_names_import_safely(name: str) -> None:
    imported = import_bytes(matmul_model(name=name, weight=name or "w").SerializeToString(), name)
    built = module(imported.project)
    built.load_state_dict(imported.weights)
    rows = torch.randn(2, 3)
    assert torch.allclose(built(rows), rows)


def test_damaged_files_import_or_are_refused() -> None:
    content = exported_case("causal", "old")
    random_source = random.Random(3)
    sentences: list[str] = []
    refusal_message(b"")
    refusal_message(bytes(random_source.randrange(256) for _ in range(5_000)))
    refusal_message(content[:1_000])
    for _ in range(60):
        broken = bytearray(content)
        for _ in range(random_source.randrange(1, 12)):
            broken[random_source.randrange(len(broken))] = random_source.randrange(256)
        try:
            import_bytes(bytes(broken))
        except UnreadableModelError as error:
            sentences.append(str(error))
    assert all(sentence.endswith(".") and "\n" not in sentence for sentence in sentences)
