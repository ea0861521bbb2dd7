"""Narrower networks: fewer channels in the document, and the weights of those that stay.

The narrow network computes what the original computes whose removed channels no weight reads; this is verified on rows
of the data, layer by layer. A layer for which it does not hold keeps all of its channels.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.compile import module, source
from netloom.compression.channel_graph import MIXED, ChannelGraph, Labels
from netloom.compression.importance import Importance
from netloom.compression.method import CompressionError
from netloom.document.network import SUBNETWORK
from netloom.training.streaming import take
from netloom.validation import Issue, analyze

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.document import Network, Project
    from netloom.runs import TrainedRun

# The largest difference of an output, relative to its largest value but at least 1
TOLERANCE = 1e-5
ROWS = 8
# Each attempt keeps the channels of at least one more node.
MAX_ATTEMPTS = 40
NodeKey = tuple[str, str]
# The output of each layer, by the path of its module
Outputs = list[tuple[str, "torch.Tensor"]]


@dataclass(frozen=True)
class Narrowed:
    """A document with fewer channels, its source and weights. `widths` are the parameters that changed, with their
    values before and after, by network, node and parameter."""

    project: Project
    source: str
    state: dict[str, torch.Tensor]
    widths: dict[tuple[str, str, str], tuple[int, int]]

    def model(self) -> nn.Module:
        """Return the network with its weights, in evaluation mode."""
        model = module(self.source)
        model.load_state_dict(self.state)
        return model.eval()


def narrowed(trained: TrainedRun, amount: float, importance: Importance) -> Narrowed:
    """Remove a share of the channels of each layer, the least important ones first.

    Raises:
        CompressionError: there is no channel that can be removed.
    """
    fixed_nodes: set[NodeKey] = set()
    for document, graph, removed in _documents(trained, amount, importance, fixed_nodes, frozenset()):
        result = _attempt(trained, document, graph, removed)
        if isinstance(result, Narrowed):
            return result
        if result <= fixed_nodes:
            break
        fixed_nodes |= result
    raise CompressionError(
        "This network has no layer whose channels can be removed: their number is given by the data, or a layer such "
        "as layer norm depends on all channels at once."
    )


def narrow_student(trained: TrainedRun, amount: float) -> Project:
    """Return the document with a share fewer channels in each layer, for training from random weights. It needs not
    compute what the original computes, so it also narrows layers that depend on all channels at once.

    Raises:
        CompressionError: there is no layer that can become narrower.
    """
    fixed_nodes: set[NodeKey] = set()
    for document, _, _ in _documents(trained, amount, lambda graph: {}, fixed_nodes, frozenset({MIXED})):
        errors = analyze(document, trained.data.schema).network_errors
        if not errors:
            return document
        wrong = _places(errors)
        if wrong <= fixed_nodes:
            break
        fixed_nodes |= wrong
    raise CompressionError("This network has no layer that can become narrower: all sizes are given by the data.")


def _documents(
    trained: TrainedRun, amount: float, importance: Importance, fixed_nodes: set[NodeKey], ignored: frozenset[str]
) -> Iterator[tuple[Project, ChannelGraph, set[int]]]:
    """Yield narrow documents with their removed channels, while the caller adds to `fixed_nodes`, which keep theirs."""
    if not 0 < amount < 1:
        raise CompressionError(f"The share of channels to remove is between 0 and 1, received {amount:g}.")
    project = trained.project
    for _ in range(MAX_ATTEMPTS):
        graph = ChannelGraph(analyze(project, trained.data.schema).context, trained.model, frozenset(fixed_nodes))
        removed = least_important(graph, amount, importance(graph), ignored)
        if not removed:
            return
        narrow = narrow_document(project, graph, removed)
        if not isinstance(narrow, set):
            yield narrow, graph, removed
            continue
        # Uses of a network that need different sizes get a network each; a repeated one keeps its channels.
        separate = with_separate_networks(project, {name for name, _ in narrow})
        if separate == project:
            fixed_nodes |= narrow
        project = separate


def narrow_document(project: Project, graph: ChannelGraph, removed: set[int]) -> Project | set[NodeKey]:
    """Return the document without the removed channels, or the nodes for which it would need several sizes at once."""
    values: dict[tuple[str, str, str], int] = {}
    changes: dict[NodeKey, dict[str, int]] = {}
    conflicts: set[NodeKey] = set()
    for setting in graph.settings:
        node_key, left = (setting.network, setting.node), _left(graph, setting.numbers, removed)
        value = left // setting.each
        if values.setdefault((*node_key, setting.parameter), value) != value:
            conflicts.add(node_key)
        if left < len(setting.numbers):
            changes.setdefault(node_key, {}).update({setting.parameter: value, **setting.fixed})
    if conflicts:
        return conflicts
    networks = dict(project.networks)
    for (name, key), params in changes.items():
        networks[name] = with_params(networks[name], key, params)
    return project.model_copy(update={"networks": networks})


def with_separate_networks(project: Project, names: set[str]) -> Project:
    """Return the document with a network for every node that uses one of these networks; the first use keeps it."""
    networks, visited = dict(project.networks), set[str]()
    for owner in project.networks:
        for key, node in project.networks[owner].nodes.items():
            name = str(node.params.get("network", ""))
            if node.type != SUBNETWORK or name not in names:
                continue
            if name in visited:
                free = next(f"{name}_{number}" for number in count(2) if f"{name}_{number}" not in networks)
                networks[free] = project.networks[name]
                networks[owner] = with_params(networks[owner], key, {"network": free})
            visited.add(name)
    return project.model_copy(update={"networks": networks})


def with_params(network: Network, key: str, params: Mapping[str, Any]) -> Network:
    """Return a network with other parameters of a node."""
    node = network.nodes[key]
    nodes = {**network.nodes, key: node.model_copy(update={"params": {**node.params, **params}})}
    return network.model_copy(update={"nodes": nodes})


def masked(model: nn.Module, graph: ChannelGraph, removed: set[int]) -> nn.Module:
    """Return a copy of the original network in which the weights that read removed channels are zero."""
    import torch

    model = copy.deepcopy(model)
    state = model.state_dict()
    with torch.no_grad():
        for item in graph.slices:
            if item.reads:
                positions = np.flatnonzero(np.isin(graph.roots(item.numbers), list(removed)))
                state[item.tensor].index_fill_(item.axis, torch.from_numpy(positions), 0.0)
    return model


def least_important(
    graph: ChannelGraph, amount: float, scores: Mapping[int, float], ignored: frozenset[str] = frozenset()
) -> set[int]:
    """Return a share of the channels of each group of layers that have their channels in common. Reasons to keep them
    that are `ignored` do not count."""
    layers: dict[int, set[int]] = {}
    for number, setting in enumerate(graph.settings):
        if setting.is_width:
            for root in graph.roots(setting.numbers).tolist():
                layers.setdefault(root, set()).add(number)
    groups: dict[frozenset[int], list[int]] = {}
    for root, members in layers.items():
        groups.setdefault(frozenset(members), []).append(root)
    removed: set[int] = set()
    for roots in groups.values():
        free = [root for root in roots if not graph.reasons(root) - ignored]
        free.sort(key=lambda root: (scores.get(root, 0.0), root))
        removed |= set(free[: min(int(amount * len(roots)), len(roots) - 1)])
    return removed


def _attempt(
    trained: TrainedRun, project: Project, graph: ChannelGraph, removed: set[int]
) -> Narrowed | frozenset[NodeKey]:
    """Return the narrow network of a document, or the nodes that have to keep their channels."""
    analysis = analyze(project, trained.data.schema)
    if analysis.network_errors:
        return _places(analysis.network_errors)
    text = source(project, analysis)
    model, state = module(text).eval(), _sliced(trained.model.state_dict(), graph, removed)
    rows = take(trained.data, trained.fields, trained.data.split["train"].numpy()[:ROWS])
    inputs = [rows[name] for name in trained.fields]
    expected = [
        (path, _without(output, graph.labels.get(path), graph, removed))
        for path, output in _outputs(masked(trained.model, graph, removed), inputs, graph)
    ]
    # First the shapes, with any weights: a layer that selects other channels than expected is to blame, and not the
    # one after it, whose weights do not match.
    wrong = _first(expected, _outputs(model, inputs, graph), _has_same_shape, graph)
    wrong = wrong or _wrong_shapes(model, state, graph)
    if not wrong:
        model.load_state_dict(state)
        wrong = _first(expected, _outputs(model, inputs, graph), _is_close, graph)
    return wrong or Narrowed(project, text, state, _widths(graph, removed))


def _places(errors: Iterable[Issue]) -> frozenset[NodeKey]:
    return frozenset((issue.network, issue.node) for issue in errors if issue.node)


def _sliced(state: Mapping[str, torch.Tensor], graph: ChannelGraph, removed: set[int]) -> dict[str, torch.Tensor]:
    import torch

    tensors = dict(state)
    for item in graph.slices:
        left = torch.from_numpy(np.flatnonzero(~np.isin(graph.roots(item.numbers), list(removed))))
        tensors[item.tensor] = tensors[item.tensor].index_select(item.axis, left)
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def _wrong_shapes(model: nn.Module, state: Mapping[str, torch.Tensor], graph: ChannelGraph) -> frozenset[NodeKey]:
    """Return the nodes whose sliced weights do not have the shapes of the narrow network."""
    expected = {name: value.shape for name, value in model.state_dict().items()}
    names = [name for name in {**expected, **state} if name not in state or expected.get(name) != state[name].shape]
    return frozenset(
        node_key for name in names for path, node_key in graph.where.items() if name.startswith(f"{path}.")
    )


def _first(
    expected: Outputs, outputs: Outputs, is_equal: Callable[[torch.Tensor, torch.Tensor], bool], graph: ChannelGraph
) -> frozenset[NodeKey]:
    """Return the first node whose output differs from the expected one; empty if there is none."""
    for (path, first), (_, second) in zip(expected, outputs, strict=True):
        if not is_equal(first, second):
            return frozenset({graph.where[path]})
    return frozenset()


def _has_same_shape(first: torch.Tensor, second: torch.Tensor) -> bool:
    return first.shape == second.shape


def _is_close(first: torch.Tensor, second: torch.Tensor) -> bool:
    import torch

    scale = max(float(first.abs().max()) if first.numel() else 0.0, 1.0)
    return first.shape == second.shape and torch.allclose(first, second, rtol=0, atol=TOLERANCE * scale)


def _outputs(model: nn.Module, inputs: list[torch.Tensor], graph: ChannelGraph) -> Outputs:
    """Return the first output of each layer, in the order of execution."""
    import torch

    outputs: Outputs = []

    def note(path: str, result: torch.Tensor | tuple[torch.Tensor, ...]) -> None:
        outputs.append((path, (result[0] if isinstance(result, tuple) else result).float()))

    hooks = [
        model.get_submodule(path).register_forward_hook(lambda _, __, result, path=path: note(path, result))
        for path in graph.where
    ]
    with torch.no_grad():
        model(*inputs)
    for hook in hooks:
        hook.remove()
    return outputs


def _without(output: torch.Tensor, labels: Labels | None, graph: ChannelGraph, removed: set[int]) -> torch.Tensor:
    import torch

    if labels is None:
        return output
    left = torch.from_numpy(np.flatnonzero(~np.isin(graph.roots(labels.numbers), list(removed))))
    return output.index_select(labels.axis, left)


def _left(graph: ChannelGraph, numbers: np.ndarray, removed: set[int]) -> int:
    """Return how many of these channels stay."""
    return sum(root not in removed for root in graph.roots(numbers).tolist())


def _widths(graph: ChannelGraph, removed: set[int]) -> dict[tuple[str, str, str], tuple[int, int]]:
    widths = {}
    for setting in graph.settings:
        left = _left(graph, setting.numbers, removed)
        if setting.is_width and left < len(setting.numbers):
            widths[setting.network, setting.node, setting.parameter] = (len(setting.numbers), left)
    return widths
