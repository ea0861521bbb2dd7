"""Places inside a network at which values can be read and replaced."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from netloom.explain.core.context import ExplanationContext
from netloom.explain.core.errors import ExplainError
from netloom.explain.core.nodes import InnerNode, output_port


class HookedLayer(nn.Module):
    """A module whose output of one port goes through a `place` of its own; `seen` is what went through last."""

    def __init__(self, inner: nn.Module, port: int) -> None:
        super().__init__()
        self.module, self.identity, self.port = inner, nn.Identity(), port
        self.activation: torch.Tensor | None = None
        self.context: ExplanationContext | None = None

    def forward(self, *values: torch.Tensor) -> Any:
        outputs = self.module(*values)
        if not isinstance(outputs, tuple):
            self.activation = self.identity(self._with_zero_path(outputs))
            return self.activation
        self.activation = self.identity(self._with_zero_path(outputs[self.port]))
        return (*outputs[: self.port], self.activation, *outputs[self.port + 1 :])

    def _with_zero_path(self, output: torch.Tensor) -> torch.Tensor:
        """The same; with a `context`, so that a field that does not lead here gets the gradient 0 and no refusal."""
        zero_path = self.context.zero_path if self.context is not None else None
        if zero_path is None or len(zero_path) != len(output):
            return output
        return output + zero_path.view(-1, *[1] * (output.ndim - 1))


def hook_layer(context: ExplanationContext, node: InnerNode) -> HookedLayer:
    """Put a tap behind a node of the context's own copy.

    Raises:
        ExplainError: the node gives whole numbers, which have no gradient.
    """
    owner, _, leaf = node.path.rpartition(".")
    hooked = HookedLayer(context.model.get_submodule(node.path), output_port(context.project, node))
    setattr(context.model.get_submodule(owner) if owner else context.model, leaf, hooked)
    with torch.no_grad():
        context.forward(context.inputs)
    if hooked.activation is None or not hooked.activation.is_floating_point():
        raise ExplainError(f"{node.title} gives whole numbers, which have no gradient; choose another node.")
    return hooked


def affects_score(context: ExplanationContext, hooked: HookedLayer) -> bool:
    """Whether F depends on what goes through the tap, and that on the example."""
    values = tuple(point.value.clone().requires_grad_() for point in context.points)
    score = context.point_score(*values).sum()
    if hooked.activation is None or not hooked.activation.requires_grad:
        return False
    (gradient,) = torch.autograd.grad(score, hooked.activation, allow_unused=True)
    return gradient is not None
