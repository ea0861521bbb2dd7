"""Import of torch.export programs: same outputs as the source, and damaged files raise readable errors."""

from __future__ import annotations

import io
import json
import random
import stat
import warnings
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from netloom.compile import module
from netloom.compile.importers import ImportedModel, UnreadableModelError, read_model
from netloom.core.torch_internals import correct_lstm_states
from netloom.document import SUBNETWORK, dumps, loads, read
from netloom.export.tracing import quiet
from netloom.validation import validate


class BasicBlock(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.downsample: nn.Module | None = None
        if stride > 1 or inside != outside:
            self.downsample = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += x if self.downsample is None else self.downsample(x)
        result: torch.Tensor = self.relu(y)
        return result


class ResNet(nn.Module):
    def __init__(self, blocks: tuple[int, ...] = (2, 2, 2, 2), width: int = 64, classes: int = 1000) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        inside, stages = width, []
        for index, number in enumerate(blocks):
            outside = width * 2**index
            first = BasicBlock(inside, outside, 2 if index else 1)
            stages.append(nn.Sequential(first, *(BasicBlock(outside, outside) for _ in range(number - 1))))
            inside = outside
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(inside, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        result: torch.Tensor = self.fc(torch.flatten(self.avgpool(x), 1))
        return result


class CausalAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.c_attn, self.c_proj, self.heads = nn.Linear(width, 3 * width), nn.Linear(width, width), heads

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, d = x.shape
        q, k, v = (
            part.view(n, t, self.heads, d // self.heads).transpose(1, 2) for part in self.c_attn(x).split(d, dim=2)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        result: torch.Tensor = self.c_proj(y.transpose(1, 2).contiguous().view(n, t, d))
        return result


class Layer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1, self.attn, self.ln_2 = nn.LayerNorm(width), CausalAttention(width, heads), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(0.1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.ln_1(x))
        result: torch.Tensor = x + self.mlp(self.ln_2(x))
        return result


class Gpt(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(50, 16), nn.Embedding(8, 16)
        self.h = nn.ModuleList(Layer(16, 4) for _ in range(3))
        self.ln_f, self.lm_head = nn.LayerNorm(16), nn.Linear(16, 50, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.size(1)))
        for layer in self.h:
            x = layer(x)
        result: torch.Tensor = self.lm_head(self.ln_f(x))
        return result


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.LSTM | nn.GRU], layers: int, both: bool) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.rnn = kind(8, 6, layers, batch_first=True, bidirectional=both)
        self.head = nn.Linear(12 if both else 6, 3)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        y, state = self.rnn(self.embed(tokens))
        last = state[0] if isinstance(state, tuple) else state
        features = torch.cat([last[-2], last[-1]], 1) if self.rnn.bidirectional else last[-1] + y[:, -1]
        result: torch.Tensor = self.head(features)
        return result


class Double(nn.Module):
    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            *(nn.Conv2d(inside, outside, 3, padding=1), nn.BatchNorm2d(outside), nn.ReLU(True)),
            *(nn.Conv2d(outside, outside, 3, padding=1), nn.BatchNorm2d(outside), nn.ReLU(True)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.net(x)
        return result


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2, self.deep = Double(3, 8), Double(8, 16), Double(16, 32)
        self.pool, self.up1, self.join1 = nn.MaxPool2d(2), nn.ConvTranspose2d(32, 16, 2, 2), Double(32, 16)
        self.up2, self.join2 = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), Double(24, 8)
        self.out = nn.Conv2d(8, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.down1(x)
        b = self.down2(self.pool(a))
        y = self.join1(torch.cat([self.up1(self.deep(self.pool(b))), b], 1))
        result: torch.Tensor = self.out(self.join2(torch.cat([a, self.up2(y)], 1)))
        return result


class Separable(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.deep, self.norm1 = nn.Conv2d(inside, inside, 3, stride, 1, groups=inside), nn.BatchNorm2d(inside)
        self.wide, self.norm2 = nn.Conv2d(inside, outside, 1, bias=False), nn.BatchNorm2d(outside)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = F.hardswish(self.norm2(self.wide(F.relu6(self.norm1(self.deep(x))))))
        return result


class Twins(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = BasicBlock(3, 4)
        self.two = BasicBlock(4, 4)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = (self.two(self.one(a)) - self.two(self.one(b))).abs().mean((2, 3))
        return result


class Shapes(nn.Module):
    """Operators without a corresponding torch.nn module."""

    seen: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.randn(6, 1))
        self.register_buffer("seen", torch.tril(torch.ones(4, 4)).view(1, 1, 4, 4))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        a, b, c = x.view(x.shape[0], 4, 3, 6).unbind(2)
        scores = (a.unsqueeze(1) @ b.unsqueeze(1).transpose(-1, -2) * 0.5).masked_fill(self.seen == 0, float("-inf"))
        y = (scores.softmax(-1) @ c.unsqueeze(1)).squeeze(1) @ (self.scale * torch.eye(6))
        y = torch.where(y > 0, y, 0.5 - y) / (1 + y.pow(2))
        z = torch.stack([y[:, ::2, 1:4], y[:, 1::2, :3].flip(1)], dim=-1).permute(0, 3, 1, 2).flatten(2)
        return F.pad(y, (1, 2)), z.amax(-1), y.std(dim=(1, 2), keepdim=True).expand(-1, 2, 2)


def encoder(**options: Any) -> nn.Module:
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, **options)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


def separable() -> nn.Module:
    blocks = (Separable(8, 16, 2), Separable(16, 16, 1), Separable(16, 16, 1))
    return nn.Sequential(nn.Conv2d(3, 8, 3), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))


def image(side: int = 16) -> torch.Tensor:
    return torch.randn(2, 3, side, side)


def tokens() -> torch.Tensor:
    return torch.randint(0, 20, (2, 8))


def few_tokens() -> torch.Tensor:
    """Three tokens each: recurrent layers are exported step by step, which takes long."""
    return tokens()[:, :3]


Case = tuple[Callable[[], nn.Module], Callable[[], tuple[torch.Tensor, ...]]]
CASES: dict[str, Case] = {
    "mlp": (mlp, lambda: (torch.randn(2, 4),)),
    "resnet": (lambda: ResNet((1, 2, 3, 2), 4, 5), lambda: (image(32),)),
    "encoder": (encoder, lambda: (torch.randn(2, 5, 16),)),
    "encoder, norm first": (
        lambda: encoder(norm_first=True, activation="gelu"),
        lambda: (torch.randn(2, 5, 16),),
    ),
    "lstm": (lambda: Recurrent(nn.LSTM, 2, True), lambda: (few_tokens(),)),
    "gru": (lambda: Recurrent(nn.GRU, 1, False), lambda: (few_tokens(),)),
    "gpt": (Gpt, lambda: (tokens(),)),
    "unet": (UNet, lambda: (image(),)),
    "separable": (separable, lambda: (image(),)),
    "twins": (Twins, lambda: (image(8), image(8))),
    "shapes": (Shapes, lambda: (torch.randn(2, 12, 6),)),
}


def initialized_network(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a network with random batch norm statistics, so that normalization changes its values."""
    torch.manual_seed(0)
    network = build()
    for part in network.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            state = part.state_dict()
            nn.init.normal_(state["running_mean"])
            nn.init.uniform_(state["running_var"], 0.5, 2.0)
            nn.init.normal_(part.weight, 1.0, 0.2)
            nn.init.normal_(part.bias)
    return network.eval()


def export_program(network: nn.Module, inputs: tuple[torch.Tensor, ...], dynamic: bool = True) -> bytes:
    correct_lstm_states()
    shapes = tuple({0: torch.export.Dim.DYNAMIC} for _ in inputs) if dynamic else None
    target = io.BytesIO()
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(network, inputs, dynamic_shapes=shapes), target)
    return target.getvalue()


@cache
def exported_case(name: str) -> bytes:
    """The exported program of a case; cached because an export takes a second. Half of the cases are exported with a
    fixed batch size of 2; the imported document accepts any batch size."""
    build, make_inputs = CASES[name]
    return export_program(initialized_network(build), make_inputs(), dynamic=list(CASES).index(name) % 2 == 0)


def import_archive(content: bytes, folder: Path) -> ImportedModel:
    path = folder / "model.pt2"
    path.write_bytes(content)
    return read_model(path)


def run_imported(model: ImportedModel, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    built = module(loads(dumps(model.project)))
    built.load_state_dict(model.weights)
    with torch.no_grad():
        result = built.eval()(*inputs)
    return result if isinstance(result, tuple) else (result,)


def assert_same_outputs(network: nn.Module, model: ImportedModel, inputs: tuple[torch.Tensor, ...]) -> None:
    with torch.no_grad():
        expected_outputs = network(*inputs)
    for actual, expected in zip(
        run_imported(model, inputs),
        expected_outputs if isinstance(expected_outputs, tuple) else (expected_outputs,),
        strict=True,
    ):
        assert actual.shape == expected.shape
        assert torch.allclose(actual, expected, atol=1e-4), (actual - expected).abs().max()


# Other tests compare the outputs of such networks too: of a deeper ResNet below, of layers that normalize last in
# `test_batch_on_another_axis_moves_to_the_first`, and of bidirectional LSTMs with two layers in test_import_recurrent.
SIMILAR = ("resnet", "encoder", "lstm")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if name in SIMILAR else []) for name in CASES]
)
def test_imported_network_matches_the_source_outputs(name: str, tmp_path: Path) -> None:
    build, make_inputs = CASES[name]
    model = import_archive(exported_case(name), tmp_path)
    assert not [issue for issue in validate(model.project) if issue.severity == "error"]
    assert_same_outputs(
        initialized_network(build), model, tuple(torch.cat([value, value[:1]]) for value in make_inputs())
    )


class Numbers(nn.Module):
    """Operators whose results depend on large numbers and on integers."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        whole = x.sign().long()
        hidden = x.masked_fill(x > 0, -1e10) * self.scale
        return hidden, x.clamp(-1e10, 1e10), x.clamp(max=-1e11), x.clamp(0, 6), whole / 2, whole / (whole + 3)


def test_large_numbers_and_divided_integers_are_exact(tmp_path: Path) -> None:
    network = initialized_network(Numbers)
    rows = torch.tensor([[1e11, -1e11, -1e12, 7.0], [3.0, -2.0, 1e12, 0.0], [1.0, 1.0, 1.0, 1.0]])
    model = import_archive(export_program(network, (rows[:2],)), tmp_path)
    for actual, expected in zip(run_imported(model, (rows,)), network(rows), strict=True):
        assert torch.equal(actual, expected)


def test_same_padding_of_even_kernels_matches_pytorch(tmp_path: Path) -> None:
    network = initialized_network(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, (4, 3), padding="same", dilation=(1, 1)), nn.Conv2d(4, 2, 2, padding="same", dilation=3)
        )
    )
    assert_same_outputs(network, import_archive(export_program(network, (image(9),)), tmp_path), (image(9),))


def subnetwork_names(model: ImportedModel, name: str) -> list[str]:
    """The names of the subnetworks in a network, with repetitions."""
    nodes = model.project.networks[name].nodes.values()
    return [str(node.params["network"]) for node in nodes if node.type == SUBNETWORK]


def test_resnet_imports_as_stages_and_blocks(tmp_path: Path) -> None:
    network = initialized_network(lambda: ResNet(width=8))
    model = import_archive(export_program(network, (image(32),)), tmp_path)
    built = module(model.project)
    assert sum(map(torch.numel, built.parameters())) == sum(map(torch.numel, network.parameters()))
    main = model.project.main_network.nodes
    assert len(main) == 13
    assert main["layer1"].params == {"network": "basic_block", "values": {"filters": 8}, "repeat": 2}
    assert [main[f"layer{index}"].params["values"] for index in (2, 3, 4)] == [{"filters": 8 * 2**n} for n in (1, 2, 3)]
    assert subnetwork_names(model, "layer") == ["basic_block_2", "basic_block"]
    assert {"conv1", "bn1", "relu", "conv2", "bn2", "add"} <= set(model.project.networks["basic_block"].nodes)
    assert_same_outputs(network, model, (image(32),))


def test_transformers_import_as_attention_layers(tmp_path: Path) -> None:
    model = import_archive(exported_case("gpt"), tmp_path)
    main = model.project.main_network.nodes
    assert main["h"].params == {"network": "layer", "repeat": 3}
    assert main["lm_head"].shares == "wte"
    assert main["wpe"].type == "Learned"
    kinds = [node.type for node in model.project.networks["layer"].nodes.values()]
    assert kinds.count("MultiHeadAttention") == 1
    assert "Reshape" not in kinds
    model = import_archive(exported_case("encoder"), tmp_path)
    assert "MultiHeadAttention" in {n.type for n in model.project.networks["transformer_encoder_layer"].nodes.values()}


def test_reused_module_shares_its_weights(tmp_path: Path) -> None:
    network = initialized_network(Twins)
    model = import_archive(exported_case("twins"), tmp_path)
    built = module(model.project)
    assert sum(weight.numel() for weight in built.parameters()) == sum(part.numel() for part in network.parameters())
    assert sorted(
        node.shares or "" for node in model.project.main_network.nodes.values() if node.type == SUBNETWORK
    ) == [*("", "", "one", "two")]


def test_batch_on_another_axis_moves_to_the_first(tmp_path: Path) -> None:
    layer = nn.TransformerEncoderLayer(16, 4, 32)
    network = initialized_network(lambda: nn.TransformerEncoder(layer, 1, enable_nested_tensor=False))
    inputs = torch.randn(5, 2, 16)
    target = io.BytesIO()
    with quiet():
        program = torch.export.export(network, (inputs,), dynamic_shapes=({1: torch.export.Dim.DYNAMIC},))
        torch.export.save(program, target)
    model = import_archive(target.getvalue(), tmp_path)
    assert "axis 2" in " ".join(model.remarks)
    with torch.no_grad():
        assert torch.allclose(
            run_imported(model, (inputs.transpose(0, 1),))[0], network(inputs).transpose(0, 1), atol=1e-5
        )


# The handwritten networks above have the residual blocks of the first and the repeated blocks of the second.
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("digits_resnet", marks=pytest.mark.long),
        pytest.param("tales_gpt", marks=pytest.mark.long),
        "same_digits_siamese",
    ],
)
def test_exported_templates_import_with_the_same_outputs(name: str, tmp_path: Path) -> None:
    project = read(Path(__file__).parents[2] / "builder" / "netloom" / "templates" / f"{name}.json")
    network = initialized_network(lambda: module(project))
    inputs = []
    for node in sorted((n for n in project.main_network.nodes.values() if n.type == "Input"), key=lambda n: n.id):
        shape: Any = node.params.get("shape", [16])
        size = (2, *shape)
        whole = node.params.get("kind") in ("tokens", "indices")
        inputs.append(
            torch.randint(0, int(str(node.params.get("vocabulary") or 4)), size) if whole else torch.randn(size)
        )
    model = import_archive(export_program(network, tuple(inputs)), tmp_path)
    assert_same_outputs(network, model, tuple(inputs))


# Refusals.


def change_members(content: bytes, change: Callable[[str, bytes], bytes | None]) -> bytes:
    """Return the archive with changed members."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            data = change(info.filename, old.read(info))
            if data is not None:
                new.writestr(info.filename, data)
    return target.getvalue()


def edit_json_member(content: bytes, member: str, edit: Callable[[Any], None]) -> bytes:
    """Return the archive with one edited JSON member."""

    def change(name: str, data: bytes) -> bytes:
        if not name.endswith(member):
            return data
        value = json.loads(data)
        edit(value)
        return json.dumps(value).encode()

    return change_members(content, change)


@pytest.fixture(scope="module")
def small() -> bytes:
    return exported_case("mlp")


def refusal_message(content: bytes, folder: Path) -> str:
    with pytest.raises(UnreadableModelError) as raised:
        import_archive(content, folder)
    text = str(raised.value)
    assert "\n" not in text
    assert len(text) < 1_500
    return text


MODEL, WEIGHTS = "models/model.json", "model_weights_config.json"


def _graph(value: Any) -> Any:
    return value["graph_module"]["graph"]


def test_import_error_names_all_unknown_operators(small: bytes, tmp_path: Path) -> None:
    def edit(value: Any) -> None:
        _graph(value)["nodes"][0]["target"] = "torch.ops.aten.made_up.default"
        _graph(value)["nodes"][1]["target"] = "os.system\n'rm'"

    text = refusal_message(edit_json_member(small, MODEL, edit), tmp_path)
    assert "made_up" in text
    assert "os.system" in text


def _cycle(value: Any) -> None:
    nodes = _graph(value)["nodes"]
    nodes[0]["inputs"][0]["arg"] = {"as_tensor": {"name": nodes[-1]["outputs"][0]["as_tensor"]["name"]}}


def _duplicate_output(value: Any) -> None:
    nodes = _graph(value)["nodes"]
    nodes[1]["outputs"] = nodes[0]["outputs"]


@pytest.mark.parametrize(
    ("member", "edit", "message"),
    [
        (MODEL, _cycle, "no earlier operator computes"),
        (MODEL, _duplicate_output, "twice"),
        (MODEL, lambda value: value.pop("graph_module"), "not have the format of torch.export"),
        (MODEL, lambda value: _graph(value)["nodes"].extend(_graph(value)["nodes"][:1] * 20_000), "operators"),
        (WEIGHTS, lambda value: value["config"]["0.weight"].update(use_pickle=True), "pickle"),
        (
            WEIGHTS,
            lambda value: value["config"]["0.weight"]["tensor_meta"].update(sizes=[{"as_int": 10**12}]),
            "0.weight",
        ),
        (
            WEIGHTS,
            lambda value: value["config"]["0.weight"]["tensor_meta"].update(strides=[{"as_int": 99}] * 2),
            "a different number",
        ),
        (
            WEIGHTS,
            lambda value: value["config"]["0.weight"]["tensor_meta"].update(storage_offset={"as_int": -4}),
            "shape",
        ),
        (WEIGHTS, lambda value: value["config"]["0.weight"].update(path_name="../../etc"), "etc"),
        (WEIGHTS, lambda value: value["config"].pop("0.weight"), "not in the file"),
    ],
)
def test_damaged_programs_are_refused(
    member: str, edit: Callable[[Any], None], message: str, small: bytes, tmp_path: Path
) -> None:
    assert message in refusal_message(edit_json_member(small, member, edit), tmp_path)


def test_damaged_archives_are_refused(small: bytes, tmp_path: Path) -> None:
    refusal_message(b"", tmp_path)
    refusal_message(b"PK\x03\x04 no zip", tmp_path)
    refusal_message(small[: len(small) // 2], tmp_path)
    assert "JSON" in refusal_message(
        change_members(small, lambda name, data: b"{" if name.endswith(MODEL) else data), tmp_path
    )
    assert "deeply" in refusal_message(
        change_members(small, lambda name, data: b"[" * 10**5 if name.endswith(MODEL) else data), tmp_path
    )
    pickled = change_members(small, lambda name, data: data if not name.endswith(MODEL) else None)
    assert "model.json" in refusal_message(pickled, tmp_path)
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(small)) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, b" " * 10**8 if info.filename.endswith(MODEL) else old.read(info))
    assert "unpack" in refusal_message(target.getvalue(), tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda info: setattr(info, "external_attr", (stat.S_IFLNK | 0o777) << 16), "link"),
        (lambda info: setattr(info, "flag_bits", info.flag_bits | 1), "without a password"),
    ],
)
def test_archives_with_links_or_passwords_are_refused(
    change: Callable[[zipfile.ZipInfo], None], message: str, small: bytes, tmp_path: Path
) -> None:
    target = io.BytesIO(small)
    with zipfile.ZipFile(target, "a") as archive:
        for info in archive.infolist():
            change(info)
        # Adding a member makes zipfile rewrite the central directory
        archive.writestr(f"{archive.infolist()[0].filename.partition('/')[0]}/more", b"")
    assert message in refusal_message(target.getvalue(), tmp_path)


def test_archive_of_an_older_pytorch_is_refused(tmp_path: Path) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as new:
        new.writestr("serialized_exported_program.json", b"{}")
        new.writestr("serialized_state_dict.pt", b"\x80\x02}q\x00.")
    assert "older PyTorch" in refusal_message(target.getvalue(), tmp_path)


def test_node_titles_contain_no_control_characters(small: bytes, tmp_path: Path) -> None:
    text = json.dumps("x\"'\n\u202e<b>;import os")[1:-1].encode()
    content = change_members(
        small,
        lambda name, data: data.replace(b'"L__self__', b'"L__self__').replace(b",0,torch", b"," + text + b",torch"),
    )
    model = import_archive(content, tmp_path)
    assert_same_outputs(initialized_network(mlp), model, (torch.randn(3, 4),))
    for node in model.project.main_network.nodes.values():
        assert "\n" not in node.title
        assert "\u202e" not in node.title


def _leaves(value: Any, leaves: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        leaves.append((value, key))
        _leaves(part, leaves)
    return leaves


def test_randomly_edited_json_imports_or_is_refused(small: bytes, tmp_path: Path) -> None:
    """Any change of the JSON leads to an import or to a one-line error."""
    random_source = random.Random(0)
    wrong: list[Any] = [
        None,
        -1,
        2**70,
        1e400,
        "x" * 300,
        [],
        {},
        [[]],
        True,
        {"as_int": -7},
        {"as_tensor": {"name": "linear"}},
    ]
    members = {}
    with zipfile.ZipFile(io.BytesIO(small)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for _ in range(60):
        suffix = random_source.choice([MODEL, MODEL, WEIGHTS])
        member = next(name for name in members if name.endswith(suffix))
        value = json.loads(members[member])
        for holder, key in random_source.sample(_leaves(value, []), 2):
            if isinstance(holder, dict):
                holder[key] = random_source.choice(wrong)
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as new:
            for name, data in members.items():
                new.writestr(name, json.dumps(value).encode() if name == member else data)
        message = ""
        try:
            import_archive(target.getvalue(), tmp_path)
        except UnreadableModelError as error:
            message = str(error)
        assert "\n" not in message


class Plain(nn.Module):
    """Residual blocks of plain parameters, without submodules."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.ParameterList(nn.Parameter(torch.randn(4, 4, 3, 3) * 0.1) for _ in range(8))
        self.head = nn.Parameter(torch.randn(3, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for first, second in zip(self.weights[::2], self.weights[1::2], strict=True):
            x = F.relu(x + F.conv2d(F.relu(F.conv2d(x, first, padding=1)), second, padding=1))
        return F.linear(x.mean((2, 3)), self.head)


def test_repeated_blocks_without_modules_become_a_subnetwork(tmp_path: Path) -> None:
    network, inputs = initialized_network(Plain), (torch.randn(2, 4, 6, 6),)
    model = import_archive(export_program(network, inputs), tmp_path)
    blocks = [node for node in model.project.main_network.nodes.values() if node.type == SUBNETWORK]
    assert [node.params["repeat"] for node in blocks] == [4]
    assert_same_outputs(network, model, inputs)
