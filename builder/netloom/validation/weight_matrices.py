"""The weight matrices and biases in the module of a layer, which an initialization sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netloom.layers import Layer

if TYPE_CHECKING:
    from torch import nn


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


def module_weights(layer: Layer, module: nn.Module) -> InitialWeights:
    """The weights that an initialization sets in the module of a layer.

    They are those of dense, convolutional, recurrent and embedding layers, also inside a block. Norms, position tables,
    class tokens, state spaces, experts and learned tensors keep their own initialization.
    """
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
