"""The validation of large documents against its time budget."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from netloom.cli.bench.ratio import Ratio, ratio
from netloom.document import Edge, Network, Node, Project, apply, dumps, loads

# Seconds for a document that is new to the caches, and for one edit in it, by the number of nodes.
BUDGET_S = {300: (1.0, 0.25), 1_000: (1.0, 0.25)}
WIDTH = 64


@dataclass(frozen=True)
class CheckTime:
    """The share of their budgets that the validation of a document and of one edit take, without imports."""

    nodes: int
    budget_s: float
    share: Ratio
    edit_budget_s: float
    edit_share: Ratio


def measure_check(repeats: int) -> list[CheckTime]:
    """Read and analyze documents that all differ, so that no cache has an entry for them."""
    from netloom.validation import analyze

    analyze(large(0))
    results = []
    for size_index, (nodes, (budget, edit_budget)) in enumerate(BUDGET_S.items()):
        check_times, edit_times = [], []
        for repeat in range(1, repeats + 1):
            text = dumps(large(size_index * repeats + repeat, nodes))
            start = time.process_time()
            project = loads(text)
            analysis = analyze(project)
            check_times.append(time.process_time() - start)
            if analysis.errors:
                raise ValueError(f"The document of the benchmark has errors: {analysis.errors[0].message}")
            start = time.process_time()
            analyze(apply(project, {"kind": "set", "node": "wide_1", "params": {"units": 7 + repeat}}))
            edit_times.append(time.process_time() - start)
        check_share, edit_share = ratio(check_times, [budget] * repeats), ratio(edit_times, [edit_budget] * repeats)
        results.append(CheckTime(nodes, budget, check_share, edit_budget, edit_share))
    return results


def large(variant: int, size: int = 300) -> Project:
    """Return a residual network of `size` nodes; all blocks differ, and so do all variants."""
    nodes: list[tuple[str, str, dict[str, Any]]] = [
        ("input_1", "Input", {"field": "features", "kind": "vector", "shape": [WIDTH]})
    ]
    edges: list[tuple[str, str]] = []
    previous = "input_1"
    for block in range(1, (size - 3) // 4 + 1):
        names = [f"{kind}_{block}" for kind in ("wide", "act", "narrow", "add")]
        wide, act, narrow, add = names
        units = WIDTH + block + 1_000 * variant
        nodes += [
            (wide, "Linear", {"units": units}),
            (act, "GELU", {}),
            (narrow, "Linear", {"units": WIDTH}),
            (add, "Add", {}),
        ]
        edges += [(previous, wide), (wide, act), (act, narrow), (previous, f"{add}.a"), (narrow, f"{add}.b")]
        previous = add
    tail_length = size - len(nodes) - 1
    for number in range(1, tail_length + 1):
        nodes.append((f"tail_{number}", "Linear", {"units": WIDTH + number}))
        edges.append((previous, f"tail_{number}"))
        previous = f"tail_{number}"
    nodes.append(("output_1", "Output", {}))
    edges.append((previous, "output_1"))
    network = Network(
        nodes={key: Node(id=key, type=kind, params=params) for key, kind, params in nodes},
        edges=tuple(Edge(source=source, target=target) for source, target in edges),
    )
    return Project(name=f"Large {variant}", networks={"main": network})
