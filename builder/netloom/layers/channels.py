"""How the weights of a layer are laid out by channels, so that single channels can be removed from a network.

A layer without weights needs no declaration: `netloom.compression.probe` finds out which channels it passes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TensorAxis:
    """An axis of a weight, along which each channel has `block` consecutive indices in each of `tiles` equal parts.

    The rows of an LSTM have four tiles, one for each gate; those of an attention have a block for each head.
    """

    tensor: str
    axis: int = 0
    tiles: int = 1
    block: int = 1


@dataclass(frozen=True)
class Read:
    """The weights that multiply the channels of the tensor at a port, whose channels are along `axis`."""

    axis: int
    weights: tuple[TensorAxis, ...]
    port: str = "in"


@dataclass(frozen=True)
class Width:
    """Channels that the layer makes: `parameter` sets their number, `weights` make them.

    `outputs` are the ports that have them, each with the axis, along which they are repeated `copies` times. `reads`
    are weights of the same layer that multiply them, as in a recurrent layer or between the two parts of a feed-forward
    network. `fixed` are parameters that have to be written into the document when the number changes, because their
    default depends on it.
    """

    parameter: str
    count: int
    weights: tuple[TensorAxis, ...]
    outputs: Mapping[str, int] = field(default_factory=dict)
    reads: tuple[TensorAxis, ...] = ()
    fixed: Mapping[str, int] = field(default_factory=dict)
    copies: int = 1


@dataclass(frozen=True)
class PreservedChannels:
    """Channels along `axis` (None: any) that the layer passes on, each computed from the same channel, or from its
    group of `together` neighbors. Each becomes `multiplier` channels of the output.

    `weights` have an index for each channel of the output. `counts` are the parameters that count channels or groups
    of the input, each with the number of channels that count as one.
    """

    axis: int | None
    weights: tuple[TensorAxis, ...] = ()
    together: int = 1
    multiplier: int = 1
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Channels:
    """The channels of a layer: those that it reads, those that it makes, and those that it passes on."""

    reads: tuple[Read, ...] = ()
    widths: tuple[Width, ...] = ()
    preserved: PreservedChannels | None = None


def axes(*tensors: str, axis: int = 0) -> tuple[TensorAxis, ...]:
    """The same axis of several weights."""
    return tuple(TensorAxis(name, axis) for name in tensors)
