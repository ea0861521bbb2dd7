"""Operators that public models contain, each in a small module with equal outputs, parameters and another export."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch._higher_order_ops.scan import scan
from torch.nn import functional as F  # noqa: N812

from netloom.cli.bench.imports.case import Outcome, Reference
from netloom.cli.bench.imports.measure import compare, measure_case
from netloom.cli.bench.imports.modules import as_module_case
from netloom.compile.importers import UnreadableModelError
from netloom.compile.importers.imported_model import ImportedModel
from netloom.compile.importers.torch_export import import_file
from netloom.compile.importers.torch_export.nested_graphs import inlined


class Model(nn.Module):
    """A network whose forward pass is a function of itself and its input, followed by a learned scale."""

    def __init__(self, forward: Callable[[Any, torch.Tensor], torch.Tensor], **parts: object) -> None:
        super().__init__()
        self.function, self.scale = forward, nn.Parameter(torch.tensor([1.5, -0.5]).repeat(64))
        for name, part in parts.items():
            if isinstance(part, torch.Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result = self.function(self, x)
        return result * self.scale[: result.shape[-1]]


def measured(function: Callable[[Any, torch.Tensor], torch.Tensor], shape: tuple[int, ...], **parts: object) -> Outcome:
    torch.manual_seed(0)
    rows = torch.randn(shape)
    return measure_case("own", as_module_case("own", lambda: (Model(function, **parts), (rows,))))


def shifted_windows(model: Any, x: torch.Tensor) -> torch.Tensor:
    """Windows of 2×2 with a mask, as in Swin: x is (N, 4, 6, C)."""
    n, height, width, channels = x.shape
    x = torch.roll(x, (-1, -1), (1, 2)).view(n, height // 2, 2, width // 2, 2, channels)
    x = x.permute(0, 1, 3, 2, 4, 5).reshape(n * 6, 4, channels)
    keys = F.normalize(x, dim=-1)
    scores = keys @ keys.transpose(1, 2) + model.table[model.places].view(4, 4, 1).permute(2, 0, 1)
    mask = x.new_zeros((height, width))
    mask[-2:-1, :] = 1
    mask[-1:, -1:] = 2
    mask = mask.view(2, 2, 3, 2).permute(0, 2, 1, 3).reshape(6, 4)
    mask = mask.unsqueeze(1) - mask.unsqueeze(2)
    mask = mask.masked_fill(mask != 0, -100.0).masked_fill(mask == 0, 0.0)
    x = (scores.view(n, 6, 4, 4) + mask).view(-1, 4, 4).softmax(-1) @ x
    x = x.view(n, 2, 3, 2, 2, channels).permute(0, 1, 3, 2, 4, 5).reshape(n, height, width, channels)
    return torch.roll(x, (1, 1), (1, 2))


def relative_scores(model: Any, x: torch.Tensor) -> torch.Tensor:
    """Scores of two heads against projected relative places, as in DeBERTa: x is (N, L, 2 · 3)."""
    n, length, _ = x.shape
    heads = x.view(n, length, 2, 3).permute(0, 2, 1, 3).reshape(n * 2, length, 3)
    places = model.linear(model.norm(model.table)[2:6].unsqueeze(0)).view(1, -1, 2, 3)
    places = places.permute(0, 2, 1, 3).reshape(-1, 4, 3).repeat(heads.size(0) // 2, 1, 1)
    return torch.bmm(heads, places.transpose(1, 2)).view(n, 2, length, -1)


def merged_batch(model: Any, x: torch.Tensor) -> torch.Tensor:
    return model.norm(x.flatten(0, 1)).reshape_as(x)  # type: ignore[no-any-return]


def columns(model: Any, x: torch.Tensor) -> torch.Tensor:
    return model.table[:, model.places] + x  # type: ignore[no-any-return]


def convolved_positions(model: Any, x: torch.Tensor) -> torch.Tensor:
    return x + model.convolution(model.positions.sin()).repeat(x.shape[0], 1, 1, 1)  # type: ignore[no-any-return]


def written_values(model: Any, x: torch.Tensor) -> torch.Tensor:
    bias = model.bias.clone()
    bias[1:2].zero_()
    hidden = F.linear(model.positions, model.weight).relu_()
    return F.linear(x, model.weight, bias) + hidden


def computed_bias(model: Any, x: torch.Tensor) -> torch.Tensor:
    return F.linear(x, model.weight, torch.cat((model.first, model.zeros, model.last)))


def folded(model: Any, x: torch.Tensor) -> torch.Tensor:
    patches = F.unfold(x, 3, padding=1, stride=2)
    return F.fold(patches * 2, x.shape[2:], 3, padding=1, stride=2)


def hidden_border(model: Any, x: torch.Tensor) -> torch.Tensor:
    shifted = F.pad(x, (-1, 1, -1, 1))
    return F.max_pool2d(F.pad(x + shifted, (0, 1, 0, 1), value=-torch.inf), 2)


def many_axes(model: Any, x: torch.Tensor) -> torch.Tensor:
    x = x.reshape(x.shape[0], 2, 2, 2, 2, 4).permute(0, 1, 3, 5, 2, 4)
    return model.linear(x.flatten(5).transpose(3, 4)).flatten(1)  # type: ignore[no-any-return]


def compared(model: Any, x: torch.Tensor) -> torch.Tensor:
    shifted = x.flip(1) + model.shift
    pairs = (F.cosine_similarity(x, shifted, -1), F.pairwise_distance(x, shifted), torch.cdist(x, shifted)[..., 0])
    return torch.cat((*pairs, model.bilinear(x, shifted).flatten(1)), 1)


def ranked(model: Any, x: torch.Tensor) -> torch.Tensor:
    x = F.rrelu(x.sort(1, descending=True)[0] + x.cumprod(2) + x.cummax(1)[0])
    return x.median(1)[0] + x.median(2, keepdim=True)[0][:, 0]


def stepped(model: Any, x: torch.Tensor) -> torch.Tensor:
    state = x.new_zeros(x.shape[0], 3)
    for step in range(3):
        state = model.gru(x[:, step], state)
    hidden, memory = model.lstm(x[:, 0], (state, torch.tanh(state)))
    return model.rnn(hidden, memory)  # type: ignore[no-any-return]


def bags(model: Any, x: torch.Tensor) -> torch.Tensor:
    return model.table((x > 0).any(2).long() + 2)  # type: ignore[no-any-return]


def fixed_projections(model: Any, x: torch.Tensor) -> torch.Tensor:
    """A buffer, and a matrix that the program computes, which no optimizer changes."""
    return F.linear(x, model.filters) @ (torch.eye(3) * 2)


def spatial_transformer(model: Any, x: torch.Tensor) -> torch.Tensor:
    """https://arxiv.org/abs/1506.02025, and the same image at fixed positions."""
    grid = F.affine_grid(model.locate(x.flatten(1)).view(-1, 2, 3), list(x.shape), align_corners=False)
    fixed = F.grid_sample(x, model.grid.expand(x.shape[0], -1, -1, -1), "nearest", "border", align_corners=True)
    return F.grid_sample(x, grid, align_corners=False) + fixed


def log_mel(model: Any, x: torch.Tensor) -> torch.Tensor:
    """As torchaudio computes it: a padded window, reflected borders, and a spectrum that is reshaped."""
    spectrum = torch.stft(x.reshape(-1, 40), 16, 8, 12, model.window, center=True, normalized=True, return_complex=True)
    power = spectrum.reshape(-1, 9, 6).abs().pow(2.0)
    parts = torch.view_as_real(spectrum).square().sum(-1)
    return torch.log10(torch.clamp((power + parts).transpose(1, 2) @ model.filters, min=1e-10))


def masked_positions(model: Any, x: torch.Tensor) -> torch.Tensor:
    rows, columns = torch.triu_indices(5, 6, 1)
    hidden = x.clone()
    hidden[:, model.steps] = 0.5
    hidden[hidden < -1] = 0
    parts = (x[:, model.steps].flatten(1), x[:, model.places], x[:, rows, columns], hidden.flatten(1))
    return torch.cat(parts, 1)


def written_parts(model: Any, x: torch.Tensor) -> torch.Tensor:
    """A temporal shift (https://arxiv.org/abs/1811.08383), single steps, and a view that is read after its write."""
    shifted = torch.zeros_like(x)
    shifted[:, :-1, :2] = x[:, 1:, :2]
    shifted[:, 1:, 2:4] = x[:, :-1, 2:4]
    shifted[:, :, 4:] = x[:, :, 4:]
    steps = torch.zeros(x.shape)
    for step in range(5):
        steps[:, step] = model.linear(x[:, step])
    view = x.clone()[:, 1:3]
    view[..., 0] = 1.0
    view += 1
    return torch.cat((shifted, steps, view), 1)


def copied_kinds(model: Any, x: torch.Tensor) -> torch.Tensor:
    """A copy into integers drops the fraction of floats, and a copy into booleans is true for all but 0."""
    fixed, counts, signs = torch.zeros(x.shape, dtype=torch.long), (x * 3).long(), x > 0
    fixed[:, 1] = x[:, 1] * 3.7
    counts[:, 1:3] = x[:, 1:3] * 3.7
    signs[:, 0] = x[:, 0] * 3.7
    return torch.cat((fixed, counts, signs.long()), 1).float()


def hidden_twice(model: Any, x: torch.Tensor) -> torch.Tensor:
    """A constant mask replaces infinite values, too."""
    scores = x.masked_fill(x > 0, -torch.inf).masked_fill(model.mask, -1e9).softmax(-1)
    return torch.cat((scores, (x * 3).long().masked_fill(model.mask, 4).float()), 1)


def shifted_tokens(model: Any, x: torch.Tensor) -> torch.Tensor:
    tokens = (x > 0).long() + 1
    shifted = tokens.new_zeros(tokens.shape)
    shifted[..., 1:] = tokens[..., :-1].clone()
    shifted[..., 0] = 4
    return model.table(shifted)  # type: ignore[no-any-return]


def hidden_rows(model: Any, x: torch.Tensor) -> torch.Tensor:
    """The softmax of a row of which all scores are hidden is not a number."""
    return x.masked_fill(x > 0, -torch.inf).softmax(-1)


def other_distances(model: Any, x: torch.Tensor) -> torch.Tensor:
    similar = F.cosine_similarity(x.unsqueeze(2), x.unsqueeze(1), dim=-1, eps=1e-6)
    return similar + torch.cdist(x, x + model.shift, p=1.0)


def stable_orders(model: Any, x: torch.Tensor) -> torch.Tensor:
    ties = (x > 0).float()
    return (ties.sort(dim=1, stable=True)[1] + ties.argsort(dim=1, descending=True, stable=True)).float()


def orders(model: Any, x: torch.Tensor) -> torch.Tensor:
    chosen = torch.gather(x, 1, x.argsort(1)) + x.cummin(1)[0]
    pooled = F.avg_pool2d(x.unsqueeze(1), 2, 1, 1, divisor_override=3).flatten(1)
    return torch.hstack((torch.diff(chosen, dim=1).flatten(1), pooled, F.group_norm(x, 5).flatten(1)))


class Relative(nn.Module):
    """Attention over relative positions, whose table the network owns."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor, table: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        heads = self.linear(x).view(-1, 4, 2, 2).transpose(1, 2).reshape(-1, 4, 2)  # (N · heads, T, width)
        positions = self.linear(table).view(-1, 2, 2).transpose(0, 1).repeat(x.shape[0], 1, 1)
        scores = torch.gather(heads @ positions.transpose(1, 2), 2, places.expand(heads.shape[0], 4, 4))
        mixed: torch.Tensor = scores.softmax(-1) @ heads
        return mixed.view(-1, 2, 4, 2).transpose(1, 2).flatten(2)


def relative_positions(model: Any, x: torch.Tensor) -> torch.Tensor:
    for layer in model.layers:
        x = x + layer(x, model.table, model.places)
    return x


def scanned(model: Any, x: torch.Tensor) -> torch.Tensor:
    """A network that is repeated along the steps (N, T, D), with two states."""

    def step(states: tuple[torch.Tensor, torch.Tensor], row: torch.Tensor) -> tuple[Any, torch.Tensor]:
        hidden, total = states
        hidden = torch.tanh(row + model.linear(hidden))
        return (hidden, total + hidden), hidden * 2

    zeros = x.new_zeros(x.shape[0], x.shape[2])
    (hidden, total), steps = scan(step, (zeros, zeros + 1), x.movedim(1, 0))
    return torch.cat((steps.movedim(0, 1).flatten(1), hidden, total), 1)


def scanned_twice(model: Any, x: torch.Tensor) -> torch.Tensor:
    """A scan over the steps (N, T, D) within each step of another one."""

    def step(state: torch.Tensor, row: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tanh(state + row), row.sin()

    def outer(state: torch.Tensor, row: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        state, _ = scan(step, state, x, dim=1)
        return torch.tanh(state + row), row.sin()

    result: torch.Tensor = scan(outer, x.new_zeros(x.shape[0], x.shape[2]), x, dim=1)[0]
    return result


def chosen(model: Any, x: torch.Tensor) -> torch.Tensor:
    """Values at computed places, as one-hot vectors, in triangles, and by rank."""
    ordered = torch.take_along_dim(x, x.argsort(1), 1) + F.one_hot(x.argmax(-1), 6)
    scores = (x @ x.transpose(1, 2)).tril(1) + (x @ x.transpose(1, 2)).triu(-1)
    return torch.cat((ordered + x.kthvalue(2, 1, keepdim=True)[0], scores), -1)


torch.manual_seed(0)  # the ReLU of the last cell below would be 0 with some weights
PLACES = torch.tensor([[0, 1, 2, 1], [1, 0, 1, 2], [2, 1, 0, 1], [1, 2, 1, 0]])
MODULES: dict[str, tuple[Any, tuple[int, ...], dict[str, Any]]] = {
    "shifted windows": (
        *(shifted_windows, (2, 4, 6, 4)),
        {"table": nn.Parameter(torch.randn(3, 1)), "places": PLACES.view(-1)},
    ),
    "normalization of a merged batch": (merged_batch, (2, 5, 4), {"norm": nn.BatchNorm1d(4)}),
    "normalization of merged images": (merged_batch, (2, 5, 4, 2, 3), {"norm": nn.BatchNorm2d(4, affine=False)}),
    "columns of a table": (columns, (2, 3, 4, 4), {"table": nn.Parameter(torch.randn(3, 5)), "places": PLACES}),
    "convolution of positions": (
        *(convolved_positions, (2, 4, 3, 2)),
        {"convolution": nn.Conv2d(2, 4, 1), "positions": torch.randn(1, 2, 3, 2)},
    ),
    "values written in place": (
        *(written_values, (2, 3, 3)),
        {
            "bias": nn.Parameter(torch.randn(3)),
            "weight": nn.Parameter(torch.randn(3, 3)),
            "positions": torch.randn(3, 3),
        },
    ),
    "a computed bias": (
        *(computed_bias, (2, 3, 5)),
        {
            "first": nn.Parameter(torch.randn(2)),
            "zeros": torch.zeros(2),
            "last": nn.Parameter(torch.randn(2)),
            "weight": nn.Parameter(torch.randn(6, 5)),
        },
    ),
    "distances and similarities": (
        *(compared, (2, 5, 4)),
        {"shift": nn.Parameter(torch.randn(4)), "bilinear": nn.Bilinear(4, 4, 3)},
    ),
    "local response normalization": (
        lambda model, x: model.pixels(x) + model.steps(x.flatten(2)).view(x.shape),
        (2, 6, 3, 4),
        {"pixels": nn.LocalResponseNorm(3, 0.5, 0.9, 2.0), "steps": nn.LocalResponseNorm(4)},
    ),
    "ranks": (ranked, (2, 5, 6), {}),
    "steps of recurrent cells": (
        *(stepped, (2, 3, 4)),
        {"gru": nn.GRUCell(4, 3), "lstm": nn.LSTMCell(4, 3), "rnn": nn.RNNCell(3, 3, nonlinearity="relu")},
    ),
    "bags of embeddings": (bags, (2, 5, 4), {"table": nn.EmbeddingBag(6, 4, mode="sum")}),
    "patches": (folded, (2, 2, 5, 7), {}),
    "a border that no maximum selects": (hidden_border, (2, 2, 5, 7), {}),
    "one table of relative positions in all layers": (
        *(relative_positions, (3, 4, 4)),
        {"layers": nn.ModuleList([Relative(), Relative()]), "table": nn.Parameter(torch.randn(3, 4)), "places": PLACES},
    ),
    "rectangular patches": (
        lambda model, x: F.unfold(x, (3, 2), padding=(1, 0), stride=(2, 1)),
        (2, 2, 5, 7),
        {},
    ),
    "fixed projections": (fixed_projections, (2, 5, 4), {"filters": torch.randn(3, 4)}),
    "a matrix computed from parameters": (
        lambda model, x: x @ model.linear(model.queries).T,
        (2, 5, 4),
        {"linear": nn.Linear(6, 4), "queries": nn.Parameter(torch.randn(3, 6))},
    ),
    "spatial transformer": (
        *(spatial_transformer, (2, 2, 4, 5)),
        {"locate": nn.Linear(40, 6), "grid": torch.rand(1, 4, 5, 2) * 2 - 1},
    ),
    "log-mel spectrogram": (
        *(log_mel, (2, 40)),
        {"window": torch.hann_window(12), "filters": torch.rand(9, 3)},
    ),
    "positions of masks": (
        *(masked_positions, (2, 5, 6)),
        {"steps": torch.tensor([True, False, True, True, False]), "places": torch.rand(5, 6) > 0.5},
    ),
    "parts that are written": (written_parts, (2, 5, 6), {"linear": nn.Linear(6, 6)}),
    "shifted tokens": (shifted_tokens, (2, 5), {"table": nn.Embedding(5, 3)}),
    "copies into other kinds of numbers": (copied_kinds, (2, 5, 6), {}),
    "rows without a visible score": (hidden_rows, (4, 3, 2), {}),
    "scores that two masks hide": (hidden_twice, (2, 5, 6), {"mask": torch.tensor([True, False, False] * 2)}),
    "stable orders": (stable_orders, (2, 50, 6), {}),
    "Manhattan distances and broadcast similarities": (
        *(other_distances, (2, 5, 4)),
        {"shift": nn.Parameter(torch.randn(4))},
    ),
    "orders and other means": (orders, (2, 5, 6), {}),
    "scores against projected places": (
        *(relative_scores, (2, 5, 6)),
        {"linear": nn.Linear(4, 6), "norm": nn.LayerNorm(4), "table": nn.Parameter(torch.randn(7, 4))},
    ),
    "a spectrum with a window of the program": (
        lambda model, x: torch.stft(x, 12, 4, window=torch.hamming_window(12), return_complex=True).abs().flatten(1),
        (2, 40),
        {},
    ),
    "chosen values": (chosen, (2, 5, 6), {}),
    "a transposed convolution with other borders": (
        lambda model, x: model.convolution(x),
        (2, 3, 4, 4),
        {"convolution": nn.ConvTranspose2d(3, 4, 3, (2, 1), (1, 0), (1, 0))},
    ),
    "a linear layer on five axes": (many_axes, (2, 4, 4, 4), {"linear": nn.Linear(2, 3)}),
}


# test_import_response_norm imports the first. The operators of the others are in modules that stay: the merged batch of
# vectors, the log-mel spectrogram, and shifted tokens and copies into other kinds, which write parts.
SIMILAR = (
    "local response normalization",
    "normalization of merged images",
    "a spectrum with a window of the program",
    "parts that are written",
)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if name in SIMILAR else []) for name in MODULES]
)
def test_operators_of_public_models_are_reproduced(name: str) -> None:
    function, shape, parts = MODULES[name]
    outcome = measured(function, shape, **parts)
    assert (outcome.state, outcome.reason) == ("reproduced", "")


def test_bags_of_tokens_are_reproduced() -> None:
    model = nn.Sequential(nn.EmbeddingBag(9, 4, mode="mean", padding_idx=0), nn.Linear(4, 2))
    tokens = torch.tensor([[0, 3, 5], [8, 0, 0]])
    outcome = measure_case("own", as_module_case("own", lambda: (model, (tokens,))))
    assert outcome.state == "reproduced", outcome.reason


def written_branch(model: Any, x: torch.Tensor, branch: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Writes into what a branch returns, which is memory of `start` in PyTorch."""
    start = x * 2
    end = branch(start)
    end.relu_()
    return torch.cat((start.flatten(1), end.flatten(1)), 1)


ALIASES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "dropout in evaluation mode": lambda y: F.dropout(y, 0.3, training=False),
    "swapaxes": lambda y: y.swapaxes(1, 2),
    "mT": lambda y: y.mT,
    "unfold": lambda y: y.unfold(1, 2, 2),
    "reshape_as": lambda y: y.reshape_as(y),
}


@pytest.mark.parametrize("name", ALIASES)
def test_writes_into_memory_with_two_names_are_refused(name: str) -> None:
    outcome = measured(lambda model, x: written_branch(model, x, ALIASES[name]), (2, 5, 6))
    assert (outcome.state, "writes into a part of a tensor" in outcome.reason) == ("refused", True), outcome.reason


def imported(function: Callable[[Any, torch.Tensor], torch.Tensor], path: Path, **parts: object) -> ImportedModel:
    """The import of a function of sequences (N, 5, 4), which reproduces the program."""
    torch.manual_seed(0)
    model, x = Model(function, **parts).eval(), torch.randn(2, 5, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.export of a scan warns about itself
        program = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
        torch.export.save(program, path)
        result, output = import_file(path), program.module()(x)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        # A layer is trained as a whole, so a layer of which only one parameter is frozen has more.
        count = sum(map(torch.numel, trained)) if len(trained) == len(list(model.parameters())) else None
        reason, difference = compare(result, Reference((x,), (output.detach(),), count))
    assert reason == ""
    assert difference <= 1e-6
    return result


def applied_along_an_axis(result: ImportedModel) -> list[str]:
    """The networks that are applied once for each step."""
    nodes = [node for network in result.project.networks.values() for node in network.nodes.values()]
    return sorted(str(node.params["network"]) for node in nodes if node.params.get("along") == "axis")


def test_a_scan_becomes_a_network_along_an_axis(tmp_path: Path) -> None:
    result = imported(scanned, tmp_path / "scan.pt2", linear=nn.Linear(4, 4))
    assert applied_along_an_axis(result) == ["step_1"]
    assert {name for name in result.weights if "cell" in name} == {
        f"scan.cell.linear.{kind}" for kind in ("bias", "weight")
    }
    assert not any("no place" in remark for remark in result.remarks)
    nested = imported(scanned_twice, tmp_path / "nested.pt2")
    assert applied_along_an_axis(nested) == ["step_1", "step_2"]


def test_a_scan_that_reads_a_frozen_parameter_is_unrolled(tmp_path: Path) -> None:
    frozen = nn.Linear(4, 4)
    frozen.weight.requires_grad_(False)
    result = imported(scanned, tmp_path / "scan.pt2", linear=frozen)
    assert applied_along_an_axis(result) == []
    assert sum(node.type == "Tanh" for node in result.project.main_network.nodes.values()) == 5


def scan_of_500_steps(nodes: list[dict[str, Any]], values: int) -> dict[str, Any]:
    """A graph of torch.export with a scan whose step returns its row, and has other values with shapes."""
    rows = {"sizes": [{"as_int": 500}, {"as_int": 3}], "strides": [{"as_int": 3}, {"as_int": 1}]}
    row, stack = ({"as_tensor": {"name": name}} for name in ("row", "stack"))
    shapes: dict[str, dict[str, Any]] = {f"value_{number}": {} for number in range(values)}
    step = {"nodes": nodes, "inputs": [row], "outputs": [row], "tensor_values": shapes}
    arguments = [{"as_graph": {"graph": step}}, {"as_tensors": []}, {"as_tensors": [{"name": "rows"}]}]
    inputs = [{"arg": argument} for argument in arguments]
    node = {"target": "torch.ops.higher_order.scan", "name": "stack", "inputs": inputs, "outputs": [stack]}
    return {"nodes": [node], "tensor_values": {"rows": rows}}


def test_a_scan_does_not_repeat_shapes_that_no_operator_computes() -> None:
    graph = inlined(scan_of_500_steps([], 90))
    assert len(graph["nodes"]) == 501  # a selection for each step, and the stack
    assert len(graph["tensor_values"]) == 501  # the sequence and each selection


def test_tensors_of_a_scan_have_a_limit() -> None:
    parts = [{"as_tensor": {"name": f"value_{number}"}} for number in range(50)]
    split = {"target": "torch.ops.aten.split.Tensor", "name": "split", "inputs": [], "outputs": parts}
    with pytest.raises(UnreadableModelError, match="more than 20,000 operators or tensors"):
        inlined(scan_of_500_steps([split], 50))


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda model, x: torch.slice_scatter(x, x[:, :3] * 2, 1, 0, 6, 2), "consecutive places"),
        (lambda model, x: torch.diff(x > 0, dim=1).float(), "differences of numbers"),
        (
            lambda model, x: torch.cond(x.sum() > 0, torch.sin, torch.cos, (x,)),
            "higher_order.cond. Compute both branches",
        ),
    ],
)
def test_unsupported_forms_are_refused(function: Any, reason: str) -> None:
    outcome = measured(function, (2, 5, 6))
    assert outcome.state == "refused"
    assert reason in outcome.reason
