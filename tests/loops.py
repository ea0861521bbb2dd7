"""Networks that are applied once for each step along an axis, for tests."""

from __future__ import annotations

from typing import Any

from netloom.document import DataChoice, Network, Project, Training
from tests.networks import network, networks

OUT: tuple[str, dict[str, Any]] = ("Output", {})
STEPS, FEATURES, HIDDEN = 5, 3, 4


def vector(size: int | str) -> tuple[str, dict[str, Any]]:
    """An Input of vectors."""
    return "Input", {"kind": "vector", "shape": [size]}


def sequence(steps: int = STEPS, features: int = FEATURES) -> tuple[str, dict[str, Any]]:
    """An Input of sequences."""
    return "Input", {"kind": "sequence", "shape": [steps, features]}


def leaky_cell(state: int | str = HIDDEN, features: int = FEATURES) -> Network:
    """tanh(W x + U h), with the state at the port `hidden` and the next one at `out`."""
    nodes = {
        "x": vector(features),
        "hidden": vector(state),
        "a": ("Linear", {"units": "units"}),
        "b": ("Linear", {"units": "units"}),
        "sum": ("Add", {}),
        "act": ("Tanh", {}),
        "following": OUT,
    }
    edges = [("x", "a"), ("hidden", "b"), ("a", "sum.a"), ("b", "sum.b"), ("sum", "act"), ("act", "following")]
    return network(nodes, edges, units=HIDDEN).ordered(["x", "hidden"])


def gru_cell() -> Network:
    """The cell of torch.nn.GRU from the layers of the catalog."""
    nodes: dict[str, tuple[str, dict[str, Any]]] = {"x": vector(FEATURES), "hidden": vector(HIDDEN)}
    edges: list[tuple[str, str]] = []
    for gate in "rzn":
        nodes |= {f"{source}{gate}": ("Linear", {"units": HIDDEN}) for source in "xh"}
        edges += [("x", f"x{gate}"), ("hidden", f"h{gate}")]
    for gate in "rz":
        nodes |= {f"sum_{gate}": ("Add", {}), gate: ("Sigmoid", {})}
        edges += [(f"x{gate}", f"sum_{gate}.a"), (f"h{gate}", f"sum_{gate}.b"), (f"sum_{gate}", gate)]
    nodes |= {"reset": ("Multiply", {}), "sum_n": ("Add", {}), "n": ("Tanh", {})}
    edges += [("r", "reset.a"), ("hn", "reset.b"), ("xn", "sum_n.a"), ("reset", "sum_n.b"), ("sum_n", "n")]
    # (1 − z) n + z h = n + z (h − n)
    nodes |= {"change": ("Subtract", {}), "part": ("Multiply", {}), "next": ("Add", {}), "following": OUT}
    edges += [("hidden", "change.a"), ("n", "change.b"), ("z", "part.a"), ("change", "part.b")]
    edges += [("n", "next.a"), ("part", "next.b"), ("next", "following")]
    return network(nodes, edges).ordered(["x", "hidden"])


def looped(cell: Network, source: tuple[str, dict[str, Any]] | None = None, **params: Any) -> Project:
    """A main network with one node that applies a cell along axis 1, and Outputs for all results and the last state."""
    settings = {"network": "cell", "along": "axis", "states": {"hidden": "out"}, **params}
    nodes = {"input_1": source or sequence(), "cell_1": ("Subnetwork", settings), "all": OUT, "last": OUT}
    edges = [("input_1", "cell_1"), ("cell_1", "all"), ("cell_1.final_hidden", "last")]
    nodes["last"] = ("Output", {"name": "last"})
    if settings.get("initial", {}).get("hidden") == "input":
        nodes["start"] = vector(HIDDEN)
        edges.append(("start", "cell_1.hidden"))
    return networks(main=network(nodes, edges).ordered(["input_1", "start"], ["all", "last"]), cell=cell)


def diabetes(cell: Network | None = None, **params: Any) -> Project:
    """A regression of a table whose ten features are read as five steps of two."""
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": ("Input", {"field": "features", "kind": "vector", "shape": [10]}),
        "steps": ("Reshape", {"shape": [STEPS, 2]}),
        "cell_1": ("Subnetwork", {"network": "cell", "along": "axis", "states": {"hidden": "out"}, **params}),
        "head": ("Linear", {"units": 1}),
        "output_1": OUT,
    }
    edges = [("input_1", "steps"), ("steps", "cell_1"), ("cell_1.final_hidden", "head"), ("head", "output_1")]
    document = networks(main=network(nodes, edges), cell=cell or leaky_cell(features=2))
    training = Training(objective="regression", epochs=2, learning_rate=0.01)
    return document.model_copy(update={"data": DataChoice(dataset="diabetes"), "training": training})
