"""The initial weights that generated code sets."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from netloom.compile import module, source
from netloom.compile.formula import FormulaError, network_of, text_of
from netloom.document import EditError, Project, apply, dumps, loads
from netloom.document.initialization import METHODS, Initialization
from netloom.templates import architectures, templates
from netloom.validation import analyze
from tests.compile.allowed import check
from tests.networks import chain, network, networks

WIDE = chain(("Input", {"shape": [400]}), ("Linear", {"units": 300}), ("Linear", {"units": 300}))


def initialized(project: Project, value: Any, **place: str) -> Project:
    """The project with another initialization of its main network, or of a node."""
    kind = "update" if "node" in place else "initialize"
    return apply(project, {"kind": kind, "initialization": value, **place})


def weights_of(project: Project) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {name: value.detach() for name, value in module(project).named_parameters()}


def std(value: torch.Tensor) -> float:
    return float(value.std())


# The weight (300, 400) of the first layer: its expected standard deviation, and its greatest absolute value.
@pytest.mark.parametrize(
    ("value", "spread", "bound"),
    [
        ({"method": "normal", "std": 0.05}, 0.05, math.inf),
        # 0.8796 is the standard deviation of a standard normal variable that is cut at ±2.
        ({"method": "truncated_normal", "std": 0.05}, 0.05 * 0.8796, 0.1),
        ({"method": "uniform", "bound": 0.3}, 0.3 / math.sqrt(3), 0.3),
        ("xavier_uniform", math.sqrt(2 / 700), math.sqrt(6 / 700)),
        ({"method": "xavier_normal", "gain": 2.0}, 2 * math.sqrt(2 / 700), math.inf),
        ("kaiming_normal", math.sqrt(2 / 400), math.inf),
        ({"method": "kaiming_uniform", "fan": "out"}, math.sqrt(2 / 300), math.sqrt(6 / 300)),
        ({"method": "kaiming_normal", "gain": 0.5}, 0.5 / math.sqrt(400), math.inf),
        ({"method": "orthogonal", "gain": 3.0}, 3.0 / math.sqrt(400), math.inf),
        ("zeros", 0.0, 0.0),
    ],
)
def test_method_draws_weights_of_its_distribution(value: Any, spread: float, bound: float) -> None:
    weights = weights_of(initialized(WIDE, value))
    assert std(weights["linear_1.weight"]) == pytest.approx(spread, rel=0.02)
    assert weights["linear_1.weight"].abs().max() <= bound * (1 + 1e-6)
    assert not weights["linear_1.bias"].any()


def test_orthogonal_weights_have_orthogonal_rows() -> None:
    rows = weights_of(initialized(WIDE, "orthogonal"))["linear_1.weight"]
    torch.testing.assert_close(rows @ rows.T, torch.eye(300), atol=1e-4, rtol=0)


def test_identity_passes_the_input_on() -> None:
    layers = (("Conv2d", {"filters": 4, "groups": 2}), ("Linear", {"units": 8}))
    project = initialized(chain(("Input", {"kind": "image", "shape": [4, 8, 8]}), *layers), "identity")
    image = torch.randn(2, 4, 8, 8)
    torch.testing.assert_close(module(project)(image), image)


def test_default_biases_stay_when_chosen() -> None:
    assert weights_of(initialized(WIDE, {"method": "normal", "bias": "default"}))["linear_1.bias"].all()


@pytest.mark.parametrize("name", list(METHODS))
def test_source_of_every_method_is_allowed_and_builds_without_memory(name: str) -> None:
    image = ("Input", {"kind": "image", "shape": [2, 8, 8]})
    text = source(initialized(chain(image, ("Conv2d", {}), ("Flatten", {}), ("Linear", {})), name))
    check(text)
    with torch.device("meta"):
        assert isinstance(module(text), nn.Module)


def test_setting_of_a_layer_precedes_that_of_its_network_and_of_main() -> None:
    block = network({"input_1": ("Input", {"shape": [64]}), "linear_1": ("Linear", {}), "output_1": ("Output", {})})
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": ("Input", {"shape": [64]}),
        "first": ("Subnetwork", {"network": "plain"}),
        "second": ("Subnetwork", {"network": "own"}),
        "linear_1": ("Linear", {}),
        "output_1": ("Output", {}),
    }
    project = networks(main=network(nodes), plain=block, own=block)
    project = initialized(project, {"method": "normal", "std": 0.5})
    project = initialized(project, {"method": "normal", "std": 0.25}, network="own")
    project = initialized(project, {"method": "normal", "std": 2.0}, node="linear_1")
    weights = weights_of(project)
    spreads = [std(weights[f"{name}.weight"]) for name in ("first.linear_1", "second.linear_1", "linear_1")]
    assert spreads == pytest.approx([0.5, 0.25, 2.0], rel=0.05)


def test_gpt2_starts_as_published() -> None:
    text = source(architectures()["gpt2"].project)
    assert "nn.init.normal_(weight, std=0.02 / math.sqrt(24))" in text  # two branches in each of 12 blocks
    assert "nn.init.normal_(self.embedding_1.weight, std=0.02)" in text


def test_residual_scaling_finds_the_last_layer_of_drawn_branches() -> None:
    drawn = network_of("""x = Input(kind="sequence", shape=(4, 32))
up = Linear(LayerNorm(x), units=64)
down = Linear(GELU(up), units=32)
y = x + Dropout(down)
z = y + Linear(y, units=32)
return Linear(z, units=8)
""")
    project = initialized(Project(name="x", networks={"main": drawn}), {"method": "normal", "std": 1, "residual": True})
    spreads = {name: std(value) for name, value in weights_of(project).items() if name.endswith("weight")}
    ends = [name for name, value in spreads.items() if value == pytest.approx(math.sqrt(0.5), rel=0.1)]
    assert ends == ["down.weight", "linear_1.weight"]


def tied(width: int) -> Project:
    text = f"""x = Input(kind="tokens", shape=(16,), vocabulary=65)
embedding = Embedding(x, vocabulary=65, dim={width})
normed = LayerNorm(embedding)
return Linear(normed, units=65, shares=embedding)
"""
    return Project(name="x", networks={"main": network_of(text)})


def first_loss(project: Project) -> float:
    torch.manual_seed(0)
    tokens = torch.randint(65, (64, 16))
    logits = module(project)(tokens)
    return functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()).item()


def test_tied_head_is_named_and_its_fix_brings_the_first_loss_to_a_guess() -> None:
    project = tied(64)
    (issue,) = [issue for issue in analyze(project).issues if issue.code == "tied_head"]
    assert issue.node == "embedding"
    assert issue.fix is not None
    fixed = apply(project, issue.fix.edit)
    assert first_loss(project) > 5 * math.log(65)
    assert first_loss(fixed) == pytest.approx(math.log(65), rel=0.05)
    assert not [issue for issue in analyze(fixed).issues if issue.code == "tied_head"]


def test_padding_vector_stays_zero() -> None:
    project = tied(8)
    project = apply(project, {"kind": "set", "node": "embedding", "params": {"padding_token": 3}})
    weight = weights_of(initialized(project, "normal", node="embedding"))["embedding.weight"]
    assert not weight[3].any()
    assert weight[2].all()


def test_layers_that_share_a_class_may_have_other_weights() -> None:
    block = network(
        {
            "input_1": ("Input", {"kind": "image", "shape": [4, 8, 8]}),
            "residual": ("ResidualBlock", {"filters": "width"}),
            "output_1": ("Output", {}),
        },
        width=4,
    )
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": ("Input", {"kind": "image", "shape": [4, 8, 8]}),
        "same": ("Subnetwork", {"network": "block"}),
        "wider": ("Subnetwork", {"network": "block", "values": {"width": 8}}),  # has a shortcut with weights
        "output_1": ("Output", {}),
    }
    weights = weights_of(initialized(networks(main=network(nodes), block=block), "zeros"))
    assert not any(value.any() for name, value in weights.items() if value.dim() > 1)


def test_formula_round_trip_keeps_initializations() -> None:
    text = "\n".join(
        [
            "initialization = {'method': 'normal', 'std': 0.05}",
            "x = Input(shape=(8,))",
            "first = Linear(x, units=4, initialization='orthogonal')",
            "second = Linear(first, units=2, initialization={'method': 'uniform', 'bound': 0.2})",
            "return second",
            "",
        ]
    )
    assert text_of(network_of(text)) == text


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("'xaver'", "method must be 'normal', 'truncated_normal'"),
        ("{'method': 'orthogonal', 'std': 0.1}", "orthogonal has no option std; it has gain, residual, bias"),
        ("{'method': 'normal', 'std': 0}", "std must be greater than 0"),
    ],
)
def test_wrong_initialization_is_refused_by_name(value: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        network_of(f"x = Input()\nreturn Linear(x, initialization={value})")


def test_edit_refuses_an_option_that_the_method_does_not_read() -> None:
    with pytest.raises(EditError, match="normal has no option gain"):
        initialized(WIDE, {"method": "normal", "gain": 2.0})


def test_identity_of_gates_is_refused_and_setting_without_weights_has_a_hint() -> None:
    project = chain(("Input", {"kind": "sequence", "shape": [4, 8]}), ("LSTM", {}), ("ReLU", {}))
    project = initialized(initialized(project, "identity", node="lstm_1"), "normal", node="relu_1")
    issues = {issue.node: issue for issue in analyze(project).issues if issue.code == "initialization"}
    assert "weight_ih_l0 holds the matrices of several gates" in issues["lstm_1"].message
    assert issues["relu_1"].severity == "hint"
    for issue in issues.values():
        assert issue.fix is not None
        project = apply(project, issue.fix.edit)
    assert not analyze(project).errors
    assert project.main_network.nodes["lstm_1"].initialization == Initialization(method="orthogonal")


def test_grouping_and_ungrouping_keep_the_initialization() -> None:
    project = initialized(WIDE, {"method": "normal", "std": 0.3})
    grouped = apply(project, {"kind": "group", "nodes": ["linear_1"], "name": "part"})
    assert std(weights_of(grouped)["part_1.linear_1.weight"]) == pytest.approx(0.3, rel=0.05)
    initialized_part = initialized(grouped, "zeros", network="part")
    assert not weights_of(apply(initialized_part, {"kind": "unpack", "node": "part_1"}))["linear_1.weight"].any()


def test_document_keeps_its_initialization_and_older_ones_keep_their_bytes() -> None:
    project = initialized(WIDE, {"method": "normal", "std": 0.3}, node="linear_1")
    assert loads(dumps(project)) == project
    assert "initialization" not in dumps(WIDE)
    assert "init." not in source(templates()["digits_cnn"].project)
