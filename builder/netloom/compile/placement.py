"""Positions of nodes on the canvas: layers from top to bottom, branches side by side.

A fixed grid is enough for imported and typed networks; the canvas itself arranges with ELK on request.
"""

from __future__ import annotations

from netloom.document import Network

ROW_HEIGHT, COLUMN_WIDTH = 110.0, 240.0


def place(network: Network) -> Network:
    """The network with a position for each node: below all of its inputs, in the free column closest to the first."""
    sources: dict[str, list[str]] = {key: [] for key in network.nodes}
    targets: dict[str, list[str]] = {key: [] for key in network.nodes}
    for edge in network.edges:
        sources[edge.target_node].append(edge.source_node)
        targets[edge.source_node].append(edge.target_node)
    unplaced_sources = {key: len(set(source_nodes)) for key, source_nodes in sources.items()}
    # Kahn's algorithm; the level of a node is the length of the longest path to it.
    level = {key: 0 for key, number in unplaced_sources.items() if not number}
    order = list(level)
    for key in order:
        for target in dict.fromkeys(targets[key]):
            level[target] = max(level.get(target, 0), level[key] + 1)
            unplaced_sources[target] -= 1
            if not unplaced_sources[target]:
                order.append(target)
    column: dict[str, float] = {}
    occupied: dict[int, set[float]] = {}
    for key in order:
        row = occupied.setdefault(level[key], set())
        source_columns = [column[source] for source in sources[key] if source in column]
        preferred = source_columns[0] if source_columns else 0.0
        # Columns in the order of their distance: 0, 1, -1, 2, -2, …
        shift = 0
        while (position := preferred + (shift + 1) // 2 * (1 if shift % 2 else -1)) in row:
            shift += 1
        column[key] = position
        row.add(position)
    nodes = {
        key: node.model_copy(update={"at": (column.get(key, 0.0) * COLUMN_WIDTH, level.get(key, 0) * ROW_HEIGHT)})
        for key, node in network.nodes.items()
    }
    return network.model_copy(update={"nodes": nodes})
