"""Small modules as people write them: equal outputs for any batch, equal parameters, an equal step of training.

An ONNX file lacks what only training needs, so that some modules are compared as PyTorch programs alone.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from netloom.cli.custom_module import write_program
from netloom.compile import module
from netloom.compile.importers import UnreadableModelError, read_model
from netloom.compile.importers.imported_model import ImportedModel

pytestmark = pytest.mark.usefixtures("operators")


class Own(nn.Module):
    """A module whose forward pass is a function of itself and its inputs."""

    def __init__(self, function: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.function(self, *inputs)


class OwnOfOne(Own):
    """The same with one input, with which torch.export leaves the batch size free."""

    def forward(self, x: torch.Tensor) -> Any:  # type: ignore[override]
        return self.function(self, x)


def parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape) * 0.5)


def attention_pooling(m: Any, x: torch.Tensor) -> Any:
    states, (hidden, memory) = m.lstm(x)
    weights = (states @ m.query).softmax(1)
    return m.linear((states * weights.unsqueeze(-1)).sum(1) + hidden.squeeze(0) + memory[0])


def splines(m: Any, x: torch.Tensor) -> Any:
    """Learned functions on the edges, as in a Kolmogorov–Arnold network: https://arxiv.org/abs/2404.19756"""
    basis = torch.exp(-(((x[..., None] - torch.linspace(-2, 2, 5)) / 0.5) ** 2))
    return torch.einsum("bik,iok->bo", basis, m.table) + x @ m.table.mean(-1)


def experts(m: Any, x: torch.Tensor) -> Any:
    values, indices = m.gate(x).topk(2, -1)
    gates = torch.zeros(*x.shape[:-1], 4).scatter(-1, indices, values.softmax(-1))
    return torch.einsum("...e,...d,edf->...f", gates, x, m.experts)


def decays(m: Any, x: torch.Tensor) -> Any:
    """A linear recurrence as a sum over all earlier steps, whose weights are powers of learned numbers."""
    distance = torch.arange(6)[:, None] - torch.arange(6)
    decay = torch.sigmoid(m.rate)
    weights = torch.where((distance >= 0)[..., None], decay ** distance.clamp(min=0)[..., None], 0.0)
    return torch.einsum("tsd,bsd->btd", weights, m.linear(x))


def cosine_classifier(m: Any, x: torch.Tensor) -> Any:
    return F.linear(F.normalize(x, dim=-1), F.normalize(m.weight, dim=1), m.bias.clamp(-1, 1))


def modulated(m: Any, x: torch.Tensor, condition: torch.Tensor) -> Any:
    scale, shift = m.condition(condition).chunk(2, -1)
    result = torch.addcmul(shift, m.linear(x), 1 + scale)
    return result, torch.outer(x[:, 0], m.vector) * condition


def own_attention(m: Any, x: torch.Tensor) -> Any:
    n, steps, width = x.shape
    q, k, v = (part.view(n, steps, 2, width // 2) for part in m.linear(x).chunk(3, -1))
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k).masked_fill(~m.mask[:steps, :steps], float("-inf"))
    return torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), v).reshape(n, steps, width)


def moments(m: Any, x: torch.Tensor) -> Any:
    spread, mean = torch.std_mean(m.linear(x), dim=1, keepdim=True)
    return torch.cat([(x - mean) / (spread + 1e-5), mean, torch.logsumexp(x, 1, keepdim=True)], 1)


def own_recurrence(m: Any, x: torch.Tensor) -> Any:
    hidden, states = x.new_zeros(x.size(0), 4), []
    for step in x.unbind(1):
        hidden = torch.tanh(m.input(step) + m.hidden(hidden))
        states.append(hidden)
    return torch.stack(states, 1), hidden


def quantized(m: Any, x: torch.Tensor) -> Any:
    """A straight-through estimator: the gradient of the rounded values is that of the values."""
    x = m.linear(x)
    return x + (x.round() - x).detach()


def without_gradient(m: Any, x: torch.Tensor) -> Any:
    """A target that is computed without a gradient, as in self-distillation."""
    with torch.no_grad():
        target = m.linear(x)
    return m.linear(x) * target


def prototypes(m: Any, x: torch.Tensor) -> Any:
    """Distances to prototypes that only other terms train."""
    return x @ m.weight.detach().T + F.embedding(torch.arange(5), m.weight).sum()


def object_queries(m: Any, x: torch.Tensor) -> Any:
    """Learned queries that attend to each other and then to the input, as in DETR: https://arxiv.org/abs/2005.12872"""
    return m.linear(m.decoder(m.norm(m.queries).expand(x.size(0), -1, -1), x))


def latents(m: Any, x: torch.Tensor) -> Any:
    """The same in functions of PyTorch, with a mask, as in a Perceiver: https://arxiv.org/abs/2103.03206"""

    def heads(values: torch.Tensor) -> torch.Tensor:
        return values.view(values.size(0), -1, 2, 4).transpose(1, 2)

    queries = m.queries.repeat(x.size(0), 1, 1)
    attended = F.scaled_dot_product_attention(heads(m.q(queries)), heads(queries), heads(m.v(queries)), is_causal=True)
    queries = queries + attended.transpose(1, 2).flatten(2)
    attended = F.scaled_dot_product_attention(heads(m.q(queries)), heads(m.k(x)), heads(m.v(x)))
    return attended.transpose(1, 2).flatten(2)


ROWS, IMAGE = (3, 6, 8), (3, 8, 6, 5)
# Function, shapes of the inputs, parts, and whether an ONNX file has everything that training needs
MODULES: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...], Callable[[], dict[str, Any]], bool]] = {
    "attention pooling": (
        *(attention_pooling, (ROWS,)),
        lambda: {"lstm": nn.LSTM(8, 6, batch_first=True), "query": parameter(6), "linear": nn.Linear(6, 3)},
        True,
    ),
    "splines": (splines, ((3, 8),), lambda: {"table": parameter(8, 3, 5)}, False),
    "experts": (experts, (ROWS,), lambda: {"gate": nn.Linear(8, 4), "experts": parameter(4, 8, 8)}, True),
    "decays": (decays, (ROWS,), lambda: {"rate": parameter(8), "linear": nn.Linear(8, 8)}, False),
    "cosine classifier": (cosine_classifier, (ROWS,), lambda: {"weight": parameter(5, 8), "bias": parameter(5)}, False),
    "modulation": (
        *(modulated, ((3, 4), (3, 3))),
        lambda: {"condition": nn.Linear(3, 12), "linear": nn.Linear(4, 6), "vector": parameter(3)},
        True,
    ),
    "attention with a mask": (
        *(own_attention, (ROWS,)),
        lambda: {"linear": nn.Linear(8, 24), "mask": nn.Buffer(torch.ones(9, 9).tril().bool())},
        True,
    ),
    "moments": (moments, (ROWS,), lambda: {"linear": nn.Linear(8, 8)}, True),
    "own recurrence": (own_recurrence, (ROWS,), lambda: {"input": nn.Linear(8, 4), "hidden": nn.Linear(4, 4)}, True),
    "straight-through estimator": (quantized, (ROWS,), lambda: {"linear": nn.Linear(8, 8)}, False),
    "target without a gradient": (without_gradient, (ROWS,), lambda: {"linear": nn.Linear(8, 8)}, False),
    "prototypes without a gradient": (prototypes, ((3, 8),), lambda: {"weight": parameter(5, 8)}, False),
    "object queries": (
        *(object_queries, (ROWS,)),
        lambda: {
            "queries": parameter(4, 8),
            "norm": nn.LayerNorm(8),
            "decoder": nn.TransformerDecoderLayer(8, 2, 16, 0.0, batch_first=True),
            "linear": nn.Linear(8, 3),
        },
        False,
    ),
    "latents": (
        *(latents, (ROWS,)),
        lambda: {"queries": parameter(1, 4, 8), "q": nn.Linear(8, 8), "k": nn.Linear(8, 8), "v": nn.Linear(8, 8)},
        False,
    ),
}


# In a program with a fixed batch size, values that are repeated for each example are not recognized as such.
FREE_BATCH = ("object queries", "latents")


def tensors(value: Any) -> list[torch.Tensor]:
    return list(value) if isinstance(value, tuple) else [value]


def random_inputs(name: str, rows: int) -> tuple[torch.Tensor, ...]:
    return tuple(torch.randn(rows, *shape[1:]) for shape in MODULES[name][1])


def exported(name: str, path: Path) -> tuple[Any, ImportedModel]:
    """A module, and the import of its file for batches of any size."""
    if path.suffix == ".pt2":
        model = built(name)
        return model, read_model(path, name, write_program(model, random_inputs(name, 3), path, name))
    path.write_bytes(onnx_file(name))
    return built(name), read_model(path, name)


def built(name: str) -> Own:
    torch.manual_seed(0)
    function, _, parts, _ = MODULES[name]
    return (OwnOfOne if name in FREE_BATCH else Own)(function, **parts()).eval()


@cache
def onnx_file(name: str) -> bytes:
    """Cached because two tests read some of the files."""
    model, inputs = built(name), random_inputs(name, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about itself
        program = torch.onnx.export(
            *(model, inputs), dynamo=True, verbose=False, external_data=False,
            dynamic_shapes=(tuple({0: torch.export.Dim.DYNAMIC} for _ in inputs),),
        )  # fmt: skip
    assert program is not None
    content: bytes = program.model_proto.SerializeToString()
    return content


def trained_once(model: Any, inputs: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    """The outputs after a step of training, in which both models see the same rows."""
    outputs = [output for output in tensors(model(*inputs)) if output.requires_grad]
    torch.autograd.backward([output.square().mean() for output in outputs])
    with torch.no_grad():
        for weight in model.parameters():
            if weight.grad is not None:
                weight -= 0.1 * weight.grad
        return tensors(model(*inputs))


# Their operators are in other ONNX files too: here, in test_import_attention and in test_import_onnx.
SIMILAR_IN_ONNX = (
    "attention pooling",
    "cosine classifier",
    "attention with a mask",
    "own recurrence",
    "straight-through estimator",
    "target without a gradient",
    "prototypes without a gradient",
    "modulation",
    "splines",
    "decays",
)
FILES = [
    pytest.param(name, suffix, marks=[pytest.mark.long] if suffix == "onnx" and name in SIMILAR_IN_ONNX else [])
    for name in MODULES
    for suffix in ("pt2", "onnx")
    if suffix == "pt2" or name not in FREE_BATCH  # its layers of constants are not read from ONNX
]


@pytest.mark.parametrize(("name", "suffix"), FILES)
def test_modules_are_reproduced_and_train_alike(name: str, suffix: str, tmp_path: Path) -> None:
    model, imported = exported(name, tmp_path / f"module.{suffix}")
    network: Any = module(imported.project)
    network.load_state_dict(imported.weights)
    network.eval()
    for rows in (3, 5):
        inputs = random_inputs(name, rows)
        for mine, original in zip(tensors(network(*inputs)), tensors(model(*inputs)), strict=True):
            torch.testing.assert_close(mine, original, rtol=1e-5, atol=1e-5)
    if suffix == "onnx" and not MODULES[name][-1]:
        return
    counts = [sum(weight.numel() for weight in one.parameters() if weight.requires_grad) for one in (network, model)]
    assert counts[0] == counts[1]
    inputs = random_inputs(name, 4)
    results = zip(trained_once(network, inputs), trained_once(copy.deepcopy(model), inputs), strict=True)
    for mine, original in results:
        torch.testing.assert_close(mine, original, rtol=1e-4, atol=1e-5)


def test_a_stopped_gradient_is_a_setting_of_the_identity(tmp_path: Path) -> None:
    _, imported = exported("straight-through estimator", tmp_path / "module.pt2")
    (node,) = [node for node in imported.project.main_network.nodes.values() if node.type == "Identity"]
    assert node.params == {"stop_gradient": True}


def test_numbers_of_an_onnx_file_that_may_be_fixed_are_remarked(tmp_path: Path) -> None:
    _, imported = exported("experts", tmp_path / "module.onnx")
    assert any("does not say whether its numbers are trained" in remark for remark in imported.remarks)
    _, imported = exported("moments", tmp_path / "module.onnx")
    assert not any("does not say whether its numbers are trained" in remark for remark in imported.remarks)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda m, x: x[x.abs().sum(-1) > 1].sum() + x, r"index.*torch\.where"),
        (lambda m, x: x + torch.randn_like(x), r"aten\.randn_like.*noise layer"),
        (lambda m, x: torch.fft.irfft(torch.fft.rfft(x) * 2), r"aten\.fft_irfft.*complex"),
        (lambda m, x: m.linear(x), r"aten\.matrix_exp.*remove_parametrizations"),
        (lambda m, x: x - x.mean(0, keepdim=True), "mix the examples of a batch"),
        (lambda m, x: torch.einsum("btd,ctd->bct", x, x), "mix the examples of a batch"),
        (lambda m, x: torch.einsum("btd,btd->td", x, x), "mix the examples of a batch"),
    ],
)
def test_refusals_name_the_operator_and_what_to_do(function: Any, reason: str, tmp_path: Path) -> None:
    linear = nn.utils.parametrizations.orthogonal(nn.Linear(8, 8))
    path = tmp_path / "module.pt2"
    write_program(Own(function, linear=linear), (torch.randn(3, 6, 8),), path, "module")
    with pytest.raises(UnreadableModelError, match=reason):
        read_model(path)
