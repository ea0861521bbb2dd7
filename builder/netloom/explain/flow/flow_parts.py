"""The parts of an attribution flow: what goes along edges, through nodes and across cuts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EdgeFlow:
    """How much of the answer goes along an edge: from `source` to `target`, as the document names both ports.

    `path` says in which use of a network: empty for the main one, `block_1`, or `block_1.0` for the first repetition.
    `value` is None where nothing can go: whole numbers, masks, and what else does not follow the example.
    """

    path: str
    source: str
    target: str
    value: float | None


@dataclass(frozen=True)
class NodeFlow:
    """How much goes through a node: what comes in, or where nothing does, what starts there."""

    path: str
    key: str
    network: str
    type: str
    title: str
    value: float | None


@dataclass(frozen=True)
class Cut:
    """A cut through a network: all edges from what acts up to the node `after` to what acts later.

    `sum` of what goes along them is to be `expected`: F(x) − F(baseline), or within a network what goes through it.
    `relative_error` is the gap between the two over |F(x) − F(baseline)|; None where that is next to nothing.
    """

    path: str
    after: str
    edges: tuple[str, ...]
    sum: float
    expected: float
    relative_error: float | None
