"""Low-rank factorization: a linear layer becomes two smaller ones, from its singular value decomposition.

Denton et al. 2014, https://arxiv.org/abs/1404.0736
"""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from netloom.compression.channel_graph import ChannelGraph
from netloom.compression.method import CompressionError, DocumentMethod, Smaller, Variant, as_onnx
from netloom.document import Edge, Node
from netloom.layers.dense import Linear
from netloom.validation import analyze

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.document import Network
    from netloom.runs import TrainedRun

# The share of the squared singular values that is kept
ENERGY = 0.9
# The distance of a new layer from the layer that reads it, in pixels on the canvas
ABOVE = 90.0


class LowRank(DocumentMethod):
    """Linear layers become pairs of smaller layers where that saves parameters. A file also has factorized layers
    inside attention and other blocks, which are not layers of the document."""

    name = "low_rank"
    title = "Low rank"
    summary = "Linear layers become pairs of smaller ones that keep 90% of the energy of their weights"
    order = 30

    def compress(self, trained: TrainedRun) -> Variant:
        model, replaced = _factorized(trained.model)
        if not replaced:
            raise CompressionError("No linear layer of this network becomes smaller by factorization.")
        content = as_onnx(trained, model).SerializeToString(deterministic=True)
        return self.variant(content, _note(replaced, _size(trained.model), _size(model)))

    def in_pytorch(self, trained: TrainedRun, content: bytes) -> TrainedRun | None:
        return replace(trained, model=_factorized(trained.model)[0])

    def smaller(self, trained: TrainedRun) -> Smaller:
        before = after = _size(trained.model)
        networks, state = dict(trained.project.networks), dict(trained.model.state_dict())
        uses = _linear_layers(trained)
        for (name, key), paths in uses.items():
            weights = [state[f"{path}.weight"] for path in paths]
            # All uses of a network have the same layers, so they get the largest rank.
            rank = max(map(rank_of, weights))
            networks[name], added = with_factor(networks[name], key, rank)
            for path, weight in zip(paths, weights, strict=True):
                around = path.removesuffix(key)
                state[f"{path}.weight"], state[f"{around}{added}.weight"] = factors(weight, rank)
                after += rank * sum(weight.shape) - weight.numel()
        if not uses:
            raise CompressionError("No linear layer of this document becomes smaller by factorization.")
        project = trained.project.model_copy(update={"networks": networks})
        return Smaller(project, state, _note(len(uses), before, after))


def _linear_layers(trained: TrainedRun) -> dict[tuple[str, str], list[str]]:
    """Return the linear layers that become smaller, by network and node, with the paths of their modules."""
    analysis = analyze(trained.project, trained.data.schema)
    weights = dict(trained.model.named_parameters(remove_duplicate=False))
    uses: dict[tuple[str, str], list[str]] = {}
    for path, (name, key) in ChannelGraph(analysis.context, trained.model).where.items():
        if isinstance(analysis.networks[name].layers[key], Linear):
            uses.setdefault((name, key), []).append(path)
    return {
        node_key: paths
        for node_key, paths in uses.items()
        if all(
            _saves(rank_of(weights[f"{path}.weight"]), weights[f"{path}.weight"])
            and not _is_tied(trained.model, weights[f"{path}.weight"])
            for path in paths
        )
    }


def _factorized(model: nn.Module) -> tuple[nn.Module, int]:
    """Return a copy of a network with factorized layers, and how many there are."""
    model = copy.deepcopy(model)
    return model, sum(factorize(model, layer) for layer in list(model.modules()))


def factorize(model: nn.Module, module: nn.Module) -> int:
    """Replace the linear layers directly within a module of a model by two smaller ones each, except those with tied
    weights. Returns how many were replaced."""
    import torch
    from torch import nn

    replaced = 0
    for name, layer in list(module.named_children()):
        if type(layer) is not nn.Linear or _is_tied(model, layer.weight):
            continue
        rank = rank_of(layer.weight)
        if not _saves(rank, layer.weight):
            continue
        outputs, inputs = layer.weight.shape
        first = nn.Linear(inputs, rank, bias=False)
        second = nn.Linear(rank, outputs, bias=layer.bias is not None)
        with torch.no_grad():
            left, right = factors(layer.weight, rank)
            first.weight.copy_(right)
            second.weight.copy_(left)
            if layer.bias is not None:
                second.bias.copy_(layer.bias)
        setattr(module, name, nn.Sequential(first, second).eval())
        replaced += 1
    return replaced


def rank_of(weight: torch.Tensor) -> int:
    """Return the smallest rank that keeps the share `ENERGY` of the squared singular values."""
    import torch

    squares = torch.linalg.svdvals(weight.detach().double()).square()
    return int((squares.cumsum(0) / squares.sum() < ENERGY).sum()) + 1


def factors(weight: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return two matrices, (outputs, rank) and (rank, inputs), whose product is the best approximation of a rank."""
    import torch

    left, values, right = torch.linalg.svd(weight.detach().double(), full_matrices=False)
    root = values[:rank].sqrt()
    return (left[:, :rank] * root).to(weight.dtype), (root[:, None] * right[:rank]).to(weight.dtype)


def with_factor(network: Network, key: str, rank: int) -> tuple[Network, str]:
    """Return a network with a Linear of `rank` units before the Linear `key`, and the id of the new node."""
    node = network.nodes[key]
    added = next(name for number in count(1) if (name := f"{key[:50]}_rank_{number}") not in network.nodes)
    first = Node(
        id=added,
        type=node.type,
        params={"units": rank, "bias": False},
        at=(node.at[0], node.at[1] - ABOVE),
        frozen=node.frozen,
    )
    edges = [edge.model_copy(update={"target": added}) if edge.target == key else edge for edge in network.edges]
    return network.with_nodes({**network.nodes, added: first}, [*edges, Edge(source=added, target=key)]), added


def _saves(rank: int, weight: torch.Tensor) -> bool:
    outputs, inputs = weight.shape
    return rank * (outputs + inputs) < outputs * inputs


def _is_tied(model: nn.Module, weight: torch.Tensor) -> bool:
    return sum(value is weight for _, value in model.named_parameters(remove_duplicate=False)) > 1


def _size(model: nn.Module) -> int:
    return sum(value.numel() for value in model.parameters())  # shared ones once


def _note(count: int, before: int, after: int) -> str:
    return f"Factorized {count} linear layer{'s' * (count > 1)}: {after:,} instead of {before:,} parameters."
