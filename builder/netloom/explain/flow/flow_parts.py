"""The parts of an attribution flow: flows along edges, through nodes and across cuts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EdgeFlow:
    """The flow along an edge from `source` to `target`, the ports as the document names them.

    `path` is the use of a network: empty for the main network, `block_1`, or `block_1.0` for the first repetition.
    `value` is None where no gradient exists, as for integers and masks.
    """

    path: str
    source: str
    target: str
    value: float | None


@dataclass(frozen=True)
class NodeFlow:
    """The flow through a node: the sum of its inputs, or of its outputs if no flow comes in."""

    path: str
    key: str
    network: str
    type: str
    title: str
    value: float | None


@dataclass(frozen=True)
class Cut:
    """A cut through a network: all edges from the nodes up to `after`, in execution order, to later nodes.

    `sum` is the flow across the cut. It should equal `expected`, which is F(x) − F(baseline), or inside a subnetwork
    the flow through it. `relative_error` is their difference divided by |F(x) − F(baseline)|; None if both are about 0.
    """

    path: str
    after: str
    edges: tuple[str, ...]
    sum: float
    expected: float
    relative_error: float | None
