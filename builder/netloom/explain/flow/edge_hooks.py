"""Hooks on every edge of a network that integrate the gradient of the score along the edge."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

from netloom.compile.loop_class import is_loop
from netloom.document import Node
from netloom.explain.core.context import ExplanationContext
from netloom.explain.core.network.cost import measure_network
from netloom.validation import Context

# An edge in one use of its network: the path of the use (`block_1.0`, or empty for the main network), and its target.
EdgeKey = tuple[str, str]


class EdgeHooks:
    """Hooks on all edges of a context's private copy; each consumer of an output is a separate edge.

    After `passed`, `flows` holds the flow of each edge between consecutive rows, (rows − 1,), or None where no gradient
    exists, as for integers and masks. `whole` holds the same for each point where gradients start.
    """

    def __init__(self, context: ExplanationContext) -> None:
        self.context, self.analysis = context, measure_network(context.project)
        self.flows: dict[EdgeKey, torch.Tensor | None] = {}
        self.whole: list[torch.Tensor] = []
        self._node_path: list[str] = []
        self._rows, self._nothing = 0, torch.zeros(0, dtype=torch.float64)
        _ = context.points  # installs the embedding entry points, which must exist before the edge hooks
        self._tap_network(self.analysis, context.model)

    def passed(self, values: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Run values (N, …) of the points, record the flows, and return the scores F, (N,)."""
        self._rows, self._node_path, self.flows = len(values[0]), [], {}
        leaves = tuple(value.detach().clone().requires_grad_() for value in values)
        self._nothing = torch.zeros(max(0, self._rows - 1), dtype=torch.float64)
        self.whole = [self._nothing for _ in leaves]
        for number, leaf in enumerate(leaves):
            leaf.register_hook(partial(self._count_whole, number, leaf.detach()))  # type: ignore[no-untyped-call]
        with torch.enable_grad():
            score = self.context.point_score(*leaves)
            # The hooks record the gradients; those returned are not needed.
            torch.autograd.grad(score.sum(), leaves, allow_unused=True)
        return score.detach()

    def _tap_network(self, analysis: Context, network: nn.Module) -> None:
        """Hook the inputs of each node and the outputs of a network, and recurse into subnetworks."""
        for key, incoming in analysis.incoming.items():
            module = getattr(network, key, None)
            if not isinstance(module, nn.Module):
                continue
            # The connected ports, in the order of the arguments of the module
            names = [incoming[port.name].target for port in analysis.layers[key].inputs() if port.name in incoming]
            module.register_forward_pre_hook(partial(self._before, names))
            if key in analysis.inner:
                self._tap_inner(analysis.inner[key], analysis.network.nodes[key], module)
        ends = [edge.target for key in analysis.network.ports("Output") for edge in analysis.incoming[key].values()]
        network.register_forward_hook(partial(self._behind, ends))

    def _tap_inner(self, inner: Context, node: Node, module: nn.Module) -> None:
        """Hook a subnetwork, once or once for each repetition or step.

        Hooks run in registration order: inputs are recorded before the path is entered, and outputs before it is left.
        """
        module.register_forward_pre_hook(lambda *_: self._node_path.append(node.id))
        if type(module).__name__ == "Repeated" or is_loop(node):
            counter = _RepetitionCounter()
            module.register_forward_pre_hook(counter.start)
            for part in module.children():
                part.register_forward_pre_hook(lambda *_: self._node_path.append(counter.next()))
                self._tap_network(inner, part)
                part.register_forward_hook(self._leave)
        else:
            self._tap_network(inner, module)
        module.register_forward_hook(self._leave)

    def _leave(self, *_: Any) -> None:
        self._node_path.pop()

    def _before(self, names: list[str], module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(self._tap(name, value) for name, value in zip(names, inputs, strict=True))

    def _behind(self, names: list[str], module: nn.Module, inputs: Any, outputs: Any) -> Any:
        if isinstance(outputs, tuple):
            return tuple(self._tap(name, value) for name, value in zip(names, outputs, strict=True))
        return self._tap(names[0], outputs)

    def _tap(self, name: str, value: torch.Tensor) -> torch.Tensor:
        edge = (".".join(self._node_path), name)
        if not value.requires_grad:
            self.flows[edge] = None
            return value
        self.flows[edge] = self._nothing  # remains 0 if the score does not depend on this edge
        view = value.view_as(value)  # a separate tensor, so that its gradient is that of this consumer only
        view.register_hook(partial(self._count, edge, view.detach()))  # type: ignore[no-untyped-call]
        return view

    def _count(self, edge: EdgeKey, value: torch.Tensor, gradient: torch.Tensor) -> None:
        self.flows[edge] = self._between(value, gradient)

    def _count_whole(self, number: int, value: torch.Tensor, gradient: torch.Tensor) -> None:
        self.whole[number] = self._between(value, gradient)

    def _between(self, value: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        """Integrate the gradient along the values from each row to the next with the trapezoidal rule, (rows − 1,)."""
        values, gradients = value.reshape(self._rows, -1), gradient.reshape(self._rows, -1)
        steps = values[1:] - values[:-1]
        steps *= gradients[:-1] + gradients[1:]
        return 0.5 * steps.sum(1).double()  # torch uses pairwise summation, so single precision suffices


class _RepetitionCounter:
    """Number the repetitions or steps of a subnetwork in execution order."""

    def __init__(self) -> None:
        self._number = 0

    def start(self, *_: Any) -> None:
        """Start with repetition 0."""
        self._number = 0

    def next(self) -> str:
        """Return the number of the next repetition."""
        self._number += 1
        return str(self._number - 1)
