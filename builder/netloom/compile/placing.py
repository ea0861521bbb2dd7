"""Where nodes lie on the canvas: layers from top to bottom, branches side by side."""

from __future__ import annotations

from netloom.document import Network

DOWN, ACROSS = 110.0, 240.0


def place(network: Network) -> Network:
    """The network with a position for each node: below all that it reads, in a column near them."""
    sources: dict[str, list[str]] = {key: [] for key in network.nodes}
    targets: dict[str, list[str]] = {key: [] for key in network.nodes}
    for edge in network.edges:
        sources[edge.target_node].append(edge.source_node)
        targets[edge.source_node].append(edge.target_node)
    waiting = {key: len(set(found)) for key, found in sources.items()}
    level = {key: 0 for key, number in waiting.items() if not number}
    order = list(level)
    for key in order:
        for target in dict.fromkeys(targets[key]):
            level[target] = max(level.get(target, 0), level[key] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                order.append(target)
    column: dict[str, float] = {}
    taken: dict[int, set[float]] = {}
    for key in order:
        row = taken.setdefault(level[key], set())
        near = [column[source] for source in sources[key] if source in column]
        wanted = near[0] if near else 0.0
        shift = 0
        while (found := wanted + (shift + 1) // 2 * (1 if shift % 2 else -1)) in row:
            shift += 1
        column[key] = found
        row.add(found)
    nodes = {
        key: node.model_copy(update={"at": (column.get(key, 0.0) * ACROSS, level.get(key, 0) * DOWN)})
        for key, node in network.nodes.items()
    }
    return network.model_copy(update={"nodes": nodes})
