"""The weights of layers that an initialization sets, and the residual branches that it scales."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from netloom.layers import Layer, TensorSpec
from netloom.layers.operations.merge import Add
from netloom.layers.subnetwork import Subnetwork

if TYPE_CHECKING:
    from torch import nn

    from netloom.validation.context import Context

Specs = tuple[tuple[str, TensorSpec], ...]


@dataclass(frozen=True)
class WeightMatrix:
    """A weight by its name in the module of a layer.

    `padding` is the row of an embedding that stays 0. `is_stacked`: it holds several matrices, such as those of the
    gates of an LSTM. `is_transposed`: the first axis is that of the inputs, unlike in nn.Linear. `is_grouped`: it
    belongs to a grouped convolution. `axes` is its number of axes.
    """

    name: str
    axes: int
    padding: int | None = None
    is_stacked: bool = False
    is_transposed: bool = False
    is_grouped: bool = False


@dataclass(frozen=True)
class InitialWeights:
    """The weight matrices and the biases that an initialization sets; all other parameters keep the default."""

    matrices: tuple[WeightMatrix, ...] = ()
    biases: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return (*(matrix.name for matrix in self.matrices), *self.biases)

    def without(self, names: set[str]) -> InitialWeights:
        """The same weights without those of these names."""
        matrices = tuple(matrix for matrix in self.matrices if matrix.name not in names)
        return InitialWeights(matrices, tuple(name for name in self.biases if name not in names))


def node_weights(context: Context, key: str) -> InitialWeights:
    """The weights of a node that an initialization sets, without those that it shares with another node."""
    layer, measured = context.layers.get(key), context.measured.get(key)
    if layer is None or isinstance(layer, Subnetwork) or measured is None or not measured.parameters:
        return InitialWeights()
    weights = layer_weights(layer, tuple(context.specs(key).items()))
    source = context.measured.get(context.network.nodes[key].shares or "")
    if source is None:
        return weights
    shared = set(measured.weights) & set(source.weights)
    return weights.without({str(name) for name, _ in shared})


@lru_cache(maxsize=4_096)
def layer_weights(layer: Layer, specs: Specs) -> InitialWeights:
    """The weights that an initialization sets in the module of a layer.

    They are those of dense, convolutional, recurrent and embedding layers, also inside a block. Norms, position tables,
    class tokens, state spaces, experts and learned tensors keep their own initialization.
    """
    import torch

    call = layer.build(dict(specs))
    with torch.device("meta"):
        module = call.build()
    matrices: list[WeightMatrix] = []
    biases: list[str] = []
    for path, part in module.named_modules():
        if set(path.split(".")) & set(layer.own_initialization) or not _has_matrices(part):
            continue
        prefix = f"{path}." if path else ""
        for name, value in part.named_parameters(recurse=False):
            if value.dim() > 1 and "weight" in name:
                matrices.append(_matrix(part, f"{prefix}{name}", value))
            elif "bias" in name:
                biases.append(f"{prefix}{name}")
    return InitialWeights(tuple(matrices), tuple(biases))


def _has_matrices(part: nn.Module) -> bool:
    from torch import nn

    from netloom.nn.dense import TransposedLinear

    kinds = (nn.Linear, nn.Bilinear, nn.Embedding, nn.EmbeddingBag, nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention)
    return isinstance(part, (*kinds, TransposedLinear)) or _is_convolution(part)


def _is_convolution(part: nn.Module) -> bool:
    from torch import nn

    # Their common base class is private
    transposed = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    return isinstance(part, (nn.Conv1d, nn.Conv2d, nn.Conv3d, *transposed))


def _matrix(part: nn.Module, name: str, value: nn.Parameter) -> WeightMatrix:
    from torch import nn

    from netloom.nn.dense import TransposedLinear

    recurrent = isinstance(part, (nn.RNNBase, nn.RNNCellBase)) and value.shape[0] != part.hidden_size
    return WeightMatrix(
        name,
        value.dim(),
        getattr(part, "padding_idx", None),
        recurrent or name.endswith("in_proj_weight"),
        isinstance(part, TransposedLinear),
        _is_convolution(part) and int(getattr(part, "groups", 1)) > 1,
    )


def residual_ends(context: Context) -> dict[str, tuple[str, ...]]:
    """The last weights of each residual branch of a network, by node; those inside blocks are included."""
    ends: dict[str, tuple[str, ...]] = {}
    for key in context.order:
        layer = context.layers.get(key)
        initialization = context.network.nodes[key].initialization
        if layer is not None and layer.residual_weights:
            ends[key] = layer.residual_weights
        elif initialization is not None and initialization.residual:
            # Somebody who sets it on a layer means this layer, also where the graph does not show the branch.
            ends[key] = tuple(matrix.name for matrix in node_weights(context, key).matrices)
    for key in _branch_ends(context):
        ends.setdefault(key, tuple(matrix.name for matrix in node_weights(context, key).matrices))
    return ends


def count_branches(context: Context) -> int:
    """The number of residual branches in a network and the networks that it uses, with their repetitions."""
    count = sum(len(names) for names in residual_ends(context).values())
    for key, inner in context.inner.items():
        layer = context.layers[key]
        repeat = layer.repeat if isinstance(layer, Subnetwork) else 1
        count += repeat * count_branches(inner)
    return count


def _branch_ends(context: Context) -> Iterator[str]:
    """Yield the last node with weights on each path that an Add adds to the tensor where the path begins."""
    import networkx as nx

    for key in context.of_type(Add):
        if key in context.cycle_nodes:
            continue
        sources = [edge.source_node for edge in context.incoming[key].values()]
        for source in sources:
            before = nx.ancestors(context.graph, source)
            begins = {other for other in sources if other != source and other in before}
            end = _last_weights(context, source) if begins else None
            if end is None or end in begins:
                continue
            before_end = nx.ancestors(context.graph, end)
            if begins & before_end:
                yield end


def _last_weights(context: Context, key: str) -> str | None:
    """The nearest node with weight matrices at or before a node, past layers without parameters; None if none is."""
    while True:
        measured = context.measured.get(key)
        if node_weights(context, key).matrices:
            return key
        edges = list(context.incoming[key].values())
        if measured is None or measured.parameters or len(edges) != 1:
            return None
        key = edges[0].source_node
