"""Source of nested networks: one class per network, with shared weights."""

from __future__ import annotations

import ast
from typing import Any

import pytest
import torch

from netloom.compile import module, source
from tests.compile.allowed import check
from tests.compile.published import OUT, gpt2, resnet18
from tests.networks import network, networks

FOUR: tuple[str, dict[str, Any]] = ("Input", {"kind": "vector", "shape": [4]})


def test_source_has_one_class_per_network_with_arguments() -> None:
    text = source(resnet18())
    check(text)
    class_names = [node.name for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    assert [name for name in class_names if name in ("Basic", "Down", "Main")] == ["Basic", "Down", "Main"]
    assert len(class_names) == len(set(class_names))
    assert "def __init__(self, width: int) -> None:" in text
    assert "self.stage_1 = Repeated([Basic(width=64) for _ in range(2)])" in text


def test_network_parameter_can_be_named_repeat() -> None:
    inner = network({"input_1": FOUR, "linear_1": ("Linear", {"units": "repeat"}), "output_1": OUT}, repeat=4)
    params = {"network": "inner", "repeat": 3, "values": {"repeat": 4}}
    main = network({"input_1": FOUR, "inner_1": ("Subnetwork", params), "output_1": OUT})
    assert sum(parameter.numel() for parameter in module(networks(main=main, inner=inner)).parameters()) == 3 * 20


def test_compiled_resnet_matches_handwritten_forward() -> None:
    torch.manual_seed(0)
    built = module(resnet18()).eval()
    x = torch.randn(2, 3, 64, 64)
    part: dict[str, Any] = dict(built.named_modules())

    def basic(block: Any, value: torch.Tensor) -> torch.Tensor:
        inner = torch.relu(block.norm_1(block.conv_1(value)))
        return torch.relu(block.norm_2(block.conv_2(inner)) + value)

    def down(block: Any, value: torch.Tensor) -> torch.Tensor:
        inner = torch.relu(block.norm_1(block.conv_1(value)))
        return torch.relu(block.norm_2(block.conv_2(inner)) + block.norm_3(block.conv_3(value)))

    with torch.no_grad():
        y = torch.max_pool2d(torch.relu(part["norm_1"](part["conv_1"](x))), 3, 2, 1)
        y = basic(part["stage_1.1"], basic(part["stage_1.0"], y))
        for stage in (2, 3, 4):
            y = basic(part[f"stage_{stage}"], down(part[f"down_{stage}"], y))
        y = part["linear_1"](y.mean(dim=(2, 3)))
        torch.testing.assert_close(built(x), y, rtol=1e-5, atol=1e-6)


def test_tied_weights_stay_one_tensor_during_training() -> None:
    text = source(gpt2(16, 2, 2, 11, 5))
    check(text)
    built = module(text)
    head, embedding = built.get_submodule("head"), built.get_submodule("embedding_1")
    assert head.weight is embedding.weight
    before = embedding.weight.detach().clone()  # type: ignore[operator]
    optimizer = torch.optim.SGD(built.parameters(), lr=0.1)
    built(torch.randint(0, 11, (3, 5))).square().mean().backward()
    optimizer.step()
    assert head.weight is embedding.weight
    assert not torch.equal(before, embedding.weight)  # type: ignore[arg-type]


@pytest.mark.parametrize(("shared", "copies"), [(False, 3), (True, 1)])
def test_repeated_network_matches_a_loop(shared: bool, copies: int) -> None:
    block = network({"input_1": FOUR, "linear_1": ("Linear", {"units": 4}), "act": ("Tanh", {}), "output_1": OUT})
    node = ("Subnetwork", {"network": "block", "repeat": 3, "shared": shared})
    text = source(networks(main=network({"input_1": FOUR, "stack": node, "output_1": OUT}), block=block))
    check(text)
    built = module(text)
    layers = [part for part in built.modules() if isinstance(part, torch.nn.Linear)]
    assert len(layers) == copies
    x = torch.randn(4, 4)
    y = x
    for number in range(3):
        y = torch.tanh(layers[number % copies](y))
    torch.testing.assert_close(built(x), y)


def test_repetition_feeds_its_output_back_into_the_first_input() -> None:
    step = network(
        {
            "input_1": FOUR,
            "input_2": FOUR,
            "add_1": ("Add", {}),
            "twice": ("Add", {}),
            "output_1": OUT,
            "output_2": ("Output", {"name": "sum"}),
        },
        [
            ("input_1", "add_1.a"),
            ("input_2", "add_1.b"),
            ("add_1", "output_1"),
            ("add_1", "twice.a"),
            ("add_1", "twice.b"),
            ("twice", "output_2"),
        ],
    )
    main = network(
        {
            "input_1": FOUR,
            "input_2": FOUR,
            "steps": ("Subnetwork", {"network": "step", "repeat": 3}),
            "linear_1": ("Linear", {}),
            "output_1": OUT,
            "output_2": ("Output", {"name": "other"}),
            "output_3": ("Output", {"name": "third"}),
        },
        [
            ("input_1", "steps"),
            ("input_2", "steps.input_2"),
            ("steps", "output_1"),
            ("steps.output_2", "output_2"),
            ("steps", "linear_1"),
            ("linear_1", "output_3"),
        ],
    )
    text = source(networks(main=main, step=step))
    check(text)
    x, memory = torch.randn(2, 4), torch.randn(2, 4)
    first, second, _ = module(text)(x, memory)
    torch.testing.assert_close(first, x + 3 * memory)
    torch.testing.assert_close(second, 2 * (x + 3 * memory))


@pytest.mark.parametrize(
    ("ids", "ports"),
    [
        (["a", "out"], ["out", "out_2"]),
        (["a", "out", "out_2"], ["out", "out_3", "out_2"]),
        (["out", "a"], ["out", "a"]),
        (["a", "b" * 32 + "_c", "b" * 32 + "_d", "b" * 32], ["out", "b" * 32, "b" * 30 + "_2", "b" * 30 + "_3"]),
    ],
)
def test_each_output_gets_a_unique_port_name(ids: list[str], ports: list[str]) -> None:
    scales: dict[str, Any] = {
        f"scale_{number}": ("ScaleShift", {"scale": float(number)}) for number in range(1, len(ids) + 1)
    }
    output_nodes: dict[str, Any] = {key: ("Output", {"name": key[-40:]}) for key in ids}
    inner = network(
        {"x": FOUR, **scales, **output_nodes},
        [*(("x", scale) for scale in scales), *zip(scales, ids, strict=True)],
    ).ordered(outputs=ids)
    assert list(inner.ports("Output").values()) == ports
    main = network(
        {"x": FOUR, "inner": ("Subnetwork", {"network": "inner"}), "head": ("Linear", {"units": 1}), **output_nodes},
        [("x", "inner"), ("x", "head"), *((f"inner.{port}", key) for port, key in zip(ports, ids, strict=True))],
    ).ordered(outputs=ids)
    results = module(networks(main=main, inner=inner))(torch.ones(1, 4))
    assert [float(result[0, 0]) for result in results] == list(range(1, len(ids) + 1))


def test_varying_sizes_become_named_constructor_arguments() -> None:
    inner = network(
        {
            "input_1": FOUR,
            "wide": ("Linear", {"units": "width * 2"}),
            "narrow": ("Linear", {"units": "width"}),
            "output_1": OUT,
        },
        width=3,
    )
    nodes: dict[str, tuple[str, dict[str, Any]]] = {"input_1": FOUR}
    for width in (5, 6):
        nodes[f"inner_{width}"] = ("Subnetwork", {"network": "inner", "values": {"width": width}})
    text = source(networks(main=network({**nodes, "output_1": OUT}), inner=inner))
    check(text)
    assert "self.wide = nn.Linear(wide_in_features, width * 2)" in text
    assert "self.narrow = nn.Linear(width * 2, width)" in text
    assert "self.inner_6 = Inner(wide_in_features=5, width=6)" in text
    assert module(text)(torch.randn(2, 4)).shape == (2, 6)


def test_network_parameters_can_be_named_like_builtins() -> None:
    inner = network({"input_1": FOUR, "linear_1": ("Linear", {"units": "range"}), "output_1": OUT}, range=4, int=2)
    main = network(
        {
            "input_1": FOUR,
            "a": ("Subnetwork", {"network": "main_1", "repeat": 2}),
            "b": ("Subnetwork", {"network": "main_1", "values": {"range": 7}}),
            "output_1": OUT,
        }
    )
    text = source(networks(main=main, main_1=inner))
    check(text)
    assert module(text)(torch.randn(2, 4)).shape == (2, 7)


def test_uses_with_different_layers_become_two_classes() -> None:
    image: tuple[str, dict[str, Any]] = ("Input", {"kind": "image", "shape": [2, 6, 6]})
    inner = network({"input_1": image, "conv_1": ("Conv2d", {"filters": 2, "padding": "p"}), "output_1": OUT}, p=1)
    main = network(
        {
            "input_1": image,
            "one": ("Subnetwork", {"network": "inner"}),
            "two": ("Subnetwork", {"network": "inner", "values": {"p": 0}}),
            "output_1": OUT,
        }
    )
    text = source(networks(main=main, inner=inner))
    check(text)
    assert "class Inner(nn.Module)" in text
    assert "class Inner2(nn.Module)" in text
    assert module(text)(torch.randn(3, 2, 6, 6)).shape == (3, 2, 4, 4)
