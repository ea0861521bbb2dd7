"""Source of networks that are applied once for each step along an axis."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from netloom.compile import module, source
from tests.compile.allowed import check
from tests.loops import FEATURES, HIDDEN, OUT, STEPS, gru_cell, leaky_cell, looped, sequence, vector
from tests.networks import network, networks


def _copy_gru(cell: Any, gru: nn.GRU) -> dict[str, torch.Tensor]:
    """Give a drawn cell the weights of a GRU. Returns the parameters of the cell by the name and gate of the GRU's."""
    parameters = {}
    for name, source_name in (("ih", "x"), ("hh", "h")):
        for kind in ("weight", "bias"):
            parts = getattr(gru, f"{kind}_{name}_l0").detach().chunk(3)
            for gate, part in zip("rzn", parts, strict=True):
                parameter = getattr(cell.get_submodule(f"{source_name}{gate}"), kind)
                parameter.data.copy_(part)
                parameters[f"{kind}_{name}_l0.{gate}"] = parameter
    return parameters


@pytest.mark.parametrize("initial", ["zeros", "input", "learned"])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_drawn_gru_equals_that_of_pytorch(direction: str, initial: str) -> None:
    torch.manual_seed(0)
    built = module(looped(gru_cell(), direction=direction, initial={"hidden": initial}))
    gru = nn.GRU(FEATURES, HIDDEN, batch_first=True)
    parameters = _copy_gru(built.get_submodule("cell_1.cell"), gru)
    x = torch.randn(3, STEPS, FEATURES, requires_grad=True)
    start = torch.zeros(3, HIDDEN) if initial == "zeros" else torch.randn(3, HIDDEN)
    if initial == "learned":
        start = start[:1].expand(3, HIDDEN)
        built.get_parameter("cell_1.initial_hidden").data.copy_(start[0])
    results, final = built(x, start) if initial == "input" else built(x)
    weighting = torch.randn(3, STEPS, HIDDEN)
    ((results * weighting).sum() + final.square().sum()).backward()
    x_gradient, x.grad = x.grad, None
    order = [1] if direction == "reverse" else []
    expected, last = gru(x.flip(order), start[None].contiguous())
    expected = expected.flip(order)
    ((expected * weighting).sum() + last.square().sum()).backward()
    torch.testing.assert_close(results, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(final, last[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(x_gradient, x.grad, rtol=1e-6, atol=1e-6)
    for name, parameter in parameters.items():
        owner, gate = name.split(".")
        gradient = getattr(gru, owner).grad.chunk(3)["rzn".index(gate)]
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-6, atol=2e-6)


def test_source_is_a_loop_with_named_states() -> None:
    text = source(looped(leaky_cell()))
    check(text)
    assert "for x_step in x.unbind(1):" in text
    assert "following = self.cell(x_step, hidden)\n            hidden = following\n" in text
    assert "self.cell_1 = CellLoop(Cell(), hidden_shape=(4,))" in text
    assert text == source(looped(leaky_cell()))


def test_learned_state_receives_a_gradient_and_zeros_are_not_saved() -> None:
    learned, zeros = module(looped(leaky_cell(), initial={"hidden": "learned"})), module(looped(leaky_cell()))
    learned(torch.randn(2, STEPS, FEATURES))[1].sum().backward()
    gradient = learned.get_parameter("cell_1.initial_hidden").grad
    assert gradient is not None
    assert gradient.abs().sum() > 0
    assert set(learned.state_dict()) - set(zeros.state_dict()) == {"cell_1.initial_hidden"}
    assert zeros.double()(torch.randn(2, STEPS, FEATURES).double())[0].dtype == torch.float64


def test_several_inputs_states_and_outputs() -> None:
    """Two sequences, one constant input, and two states that exchange their places."""
    cell = network(
        {
            **{name: vector(2) for name in ("a", "b", "reversed", "zip", "cell")},
            "sum": ("Add", {"count": 3}),
            "total": ("Output", {"name": "total"}),
            "first": ("Output", {"name": "first"}),
            "second": ("Output", {"name": "second"}),
        },
        [
            *zip(("a", "b", "cell"), ("sum.a", "sum.b", "sum.c"), strict=True),
            *[("sum", "total"), ("zip", "first"), ("reversed", "second")],
        ],
    ).ordered(["a", "b", "reversed", "zip", "cell"], ["total", "first", "second"])
    settings = {
        "network": "step",
        "along": "axis",
        "states": {"zip": "second", "reversed": "first"},
        "initial": {"zip": "input"},
        "constant": ["cell"],
    }
    inputs = {"x": sequence(3, 2), "y": sequence(3, 2), "start": vector(2), "always": vector(2)}
    ports = ("out", "first", "second", "final_reversed", "final_zip")
    nodes = {**inputs, "loop": ("Subnetwork", settings)}
    nodes |= {f"o{number}": ("Output", {"name": port}) for number, port in enumerate(ports)}
    edges = [("x", "loop.in"), ("y", "loop.b"), ("start", "loop.zip"), ("always", "loop.cell")]
    edges += [(f"loop.{port}", f"o{number}") for number, port in enumerate(ports)]
    text = source(networks(main=network(nodes, edges).ordered(list(inputs)), step=cell))
    check(text)
    x, y, start, always = torch.randn(4, 3, 2), torch.randn(4, 3, 2), torch.randn(4, 2), torch.randn(4, 2)
    total, first, second, final_reversed, final_zip = module(text)(x, y, start, always)
    torch.testing.assert_close(total, x + y + always[:, None])
    zeros = torch.zeros_like(start)
    assert torch.equal(first, torch.stack([start, zeros, start], 1))
    assert torch.equal(second, torch.stack([zeros, start, zeros], 1))
    assert torch.equal(final_reversed, start)
    assert torch.equal(final_zip, zeros)


def test_uses_of_different_sizes_share_a_class() -> None:
    """A state whose shape is a parameter of the cell, in a network that is used with two values of it."""
    settings = {"network": "cell", "along": "axis", "states": {"hidden": "out"}, "values": {"units": "width"}}
    layer = network({"input_1": sequence(), "cell_1": ("Subnetwork", settings), "output_1": OUT}, width=2)
    wide, narrow = (("Subnetwork", {"network": "layer", "values": {"width": width}}) for width in (6, 2))
    nodes = {"input_1": sequence(), "wide": wide, "narrow": narrow, "all": OUT, "other": ("Output", {"name": "b"})}
    edges = [("input_1", "wide"), ("input_1", "narrow"), ("wide", "all"), ("narrow", "other")]
    text = source(networks(main=network(nodes, edges), layer=layer, cell=leaky_cell("units")))
    check(text)
    assert text.count("class CellLoop") == 1
    first, second = module(text)(torch.randn(2, STEPS, FEATURES))
    assert (first.shape[-1], second.shape[-1]) == (6, 2)


def test_auxiliary_losses_are_summed_over_the_steps() -> None:
    cell = network(
        {"x": vector(FEATURES), "draw": ("Reparameterize", {}), "output_1": OUT},
        [("x", "draw.mean"), ("x", "draw.log_variance"), ("draw", "output_1")],
    )
    settings = ("Subnetwork", {"network": "cell", "along": "axis"})
    built = module(networks(main=network({"input_1": sequence(), "cell_1": settings, "output_1": OUT}), cell=cell))
    x = torch.randn(2, STEPS, FEATURES)
    built(x)
    draw: Any = built.get_submodule("cell_1.cell.draw")
    expected = torch.stack([draw.divergence(step, step) for step in x.unbind(1)]).sum()
    torch.testing.assert_close(draw.auxiliary_loss, draw.coefficient * expected)
