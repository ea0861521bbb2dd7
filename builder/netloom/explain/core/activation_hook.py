"""Hooks inside a network at which activations can be read and replaced."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from netloom.explain.core.context import ExplanationContext
from netloom.explain.core.errors import ExplainError
from netloom.explain.core.network.channel_axis import channel_axis
from netloom.explain.core.network.nodes import InnerNode, output_port


class HookedLayer(nn.Module):
    """A module whose output of one port passes through an `identity` module; `activation` is its last value, with
    channels along `channel_axis`.

    Captum hooks `identity`, because it needs a module with a single tensor as output.
    """

    def __init__(self, inner: nn.Module, port: int, channel_axis: int) -> None:
        super().__init__()
        self.module, self.identity, self.port, self.channel_axis = inner, nn.Identity(), port, channel_axis
        self.activation: torch.Tensor | None = None
        self.context: ExplanationContext | None = None

    def forward(self, *values: torch.Tensor) -> Any:
        """Run the module, and pass the output of the port through `identity`."""
        outputs = self.module(*values)
        if not isinstance(outputs, tuple):
            self.activation = self.identity(self._with_zero_path(outputs))
            return self.activation
        self.activation = self.identity(self._with_zero_path(outputs[self.port]))
        return (*outputs[: self.port], self.activation, *outputs[self.port + 1 :])

    def _with_zero_path(self, output: torch.Tensor) -> torch.Tensor:
        """Add a zero that depends on all points, so that fields that do not lead here get the gradient 0 instead of an
        error."""
        zero_path = self.context.zero_path if self.context is not None else None
        if zero_path is None or len(zero_path) != len(output):
            return output
        return output + zero_path.view(-1, *[1] * (output.ndim - 1))  # (N,) -> (N, 1, …)


def hook_layer(context: ExplanationContext, node: InnerNode) -> HookedLayer:
    """Install a hook on the output of a node in the context's private copy, and run the example once.

    Raises:
        ExplainError: The output of the node is not floating-point, so it has no gradient.
    """
    owner, _, leaf = node.path.rpartition(".")
    project = context.project
    hooked = HookedLayer(
        context.model.get_submodule(node.path), output_port(project, node), channel_axis(project, node)
    )
    setattr(context.model.get_submodule(owner) if owner else context.model, leaf, hooked)
    with torch.no_grad():
        context.forward(context.inputs)
    if hooked.activation is None or not hooked.activation.is_floating_point():
        raise ExplainError(
            f"The output of {node.title} consists of integers, which do not have a gradient; choose another node."
        )
    return hooked


def affects_score(context: ExplanationContext, hooked: HookedLayer) -> bool:
    """Return whether F depends on the hooked output, and the hooked output on the input."""
    values = tuple(point.value.clone().requires_grad_() for point in context.points)
    score = context.point_score(*values).sum()
    if hooked.activation is None or not hooked.activation.requires_grad:
        return False
    (gradient,) = torch.autograd.grad(score, hooked.activation, allow_unused=True)
    return gradient is not None
