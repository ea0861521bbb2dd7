"""The check of a large document against its budget."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from builder.cli.bench.ratio import Ratio, ratio
from builder.graph import Edge, Network, Node, Project, dumps, loads

NODES = 300
BUDGET_S = 1.0
WIDTH = 64


@dataclass(frozen=True)
class CheckTime:
    """How much of its budget the check of a document takes, after everything is imported."""

    nodes: int
    budget_s: float
    share: Ratio


def measure_check(repeats: int) -> CheckTime:
    """Read and analyse documents that have not been seen before, so that nothing is remembered from the last."""
    from builder.check import analyse

    analyse(large(0))
    took = []
    for repeat in range(1, repeats + 1):
        text = dumps(large(repeat))
        start = time.process_time()
        analysis = analyse(loads(text))
        took.append(time.process_time() - start)
        if analysis.errors:
            raise ValueError(f"The document of the benchmark is wrong: {analysis.errors[0].message}")
    return CheckTime(NODES, BUDGET_S, ratio(took, [BUDGET_S] * len(took)))


def large(variant: int) -> Project:
    """A residual network of 300 nodes in which no two blocks are equal, nor two variants."""
    nodes: list[tuple[str, str, dict[str, Any]]] = [
        ("input_1", "Input", {"field": "features", "kind": "vector", "shape": [WIDTH]})
    ]
    edges: list[tuple[str, str]] = []
    before = "input_1"
    for block in range(1, (NODES - 3) // 4 + 1):
        names = [f"{kind}_{block}" for kind in ("wide", "act", "narrow", "add")]
        wide, act, narrow, add = names
        units = WIDTH + block + 100 * variant
        nodes += [
            (wide, "Linear", {"units": units}),
            (act, "GELU", {}),
            (narrow, "Linear", {"units": WIDTH}),
            (add, "Add", {}),
        ]
        edges += [(before, wide), (wide, act), (act, narrow), (before, f"{add}.a"), (narrow, f"{add}.b")]
        before = add
    fill = NODES - len(nodes) - 1
    for place in range(1, fill + 1):
        nodes.append((f"tail_{place}", "Linear", {"units": WIDTH + place}))
        edges.append((before, f"tail_{place}"))
        before = f"tail_{place}"
    nodes.append(("output_1", "Output", {}))
    edges.append((before, "output_1"))
    network = Network(
        nodes={key: Node(id=key, type=kind, params=params) for key, kind, params in nodes},
        edges=tuple(Edge(source=source, target=target) for source, target in edges),
    )
    return Project(name=f"Large {variant}", networks={"main": network})
