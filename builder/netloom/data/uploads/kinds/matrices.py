"""Graphs as matrices: for each its adjacency and the features of its nodes, in arrays or in records."""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data import file_types
from netloom.data.limits import MAX_CELLS
from netloom.data.uploads.arrayfiles import as_column, read_array, shape_of
from netloom.data.uploads.kinds.graphs import MOST_NODES, Graphs, asked_of
from netloom.data.uploads.source import Source
from netloom.data.uploads.upload_kind import PREVIEWED, Answers, Kept, Question, Tell

if TYPE_CHECKING:
    import pandas as pd

_ADJACENCY = re.compile(r"(?i)(adj|adjacency|adjacencies|bonds)([ _-]?(matrix|matrices))?|a")
_FEATURES = re.compile(r"(?i)(node[ _-]?)?(features?|attributes|nodes?)|x")
_SUFFIX = ".npy"


class GraphMatrices(Graphs):
    """Many graphs with a label each."""

    name = "graph_matrices"
    title = "Graphs as matrices"
    about = (
        "NPZ arrays adjacency (graphs × nodes × nodes), features (graphs × nodes × features) and labels (graphs); or "
        "JSON with one record per graph, such as {adjacency: [[0, 1], [1, 0]], features: [[1], [2]], label: ring}."
    )
    kind = "graph"

    def likely(self, source: Source) -> float:
        return 0.95 if _holds_matrices(source) else 0.0

    def questions(self, source: Source, answers: Answers) -> list[Question]:
        return asked_of(_labels(source))

    def learned(self, source: Source, answers: Answers) -> str:
        return f"Predict {answers.get('target')!r} of a graph from its nodes and edges."

    def preview(self, source: Source, answers: Answers) -> pd.DataFrame:
        labels = _labels(source).head(PREVIEWED)
        adjacency = [_matrix(one, "adjacency", row) for row, one in enumerate(_of(source, "adjacency")[:PREVIEWED], 1)]
        found = labels.assign(
            nodes=[len(one) for one in adjacency], joined=[int((one != 0).sum()) for one in adjacency]
        )
        return found[["nodes", "joined", *labels.columns]]

    def keep(self, source: Source, answers: Answers, folder: Path, tell: Tell) -> Kept:
        tell(0.1, "Reading the graphs")
        labels = _labels(source)
        notes: list[str] = []
        nodes, bonds = _filled(_of(source, "adjacency"), _of(source, "features"), labels, notes)
        tell(0.7, "Keeping them")
        np.savez_compressed(folder / "graphs.npz", nodes=nodes, bonds=bonds)
        labels.to_parquet(folder / "labels.parquet")
        summary = f"{len(labels):,} graphs of up to {nodes.shape[1]} nodes; predicts {answers['target']}"
        names = [f"feature {place}" for place in range(1, nodes.shape[2] + 1)]
        return Kept(len(labels), summary, list(labels.columns), notes, {"features": names})


def _named(source: Source) -> dict[str, str]:
    """What holds the adjacency and the features: the names of arrays or of columns; nothing where one is missing."""
    found: dict[str, str] = {}
    for name in _candidates(source):
        for what, pattern in (("adjacency", _ADJACENCY), ("features", _FEATURES)):
            if pattern.fullmatch(PurePosixPath(name).name.removesuffix(_SUFFIX)):
                found.setdefault(what, name)
    return found if len(found) == 2 else {}


def _holds_matrices(source: Source) -> bool:
    """Whether what is called so is a matrix for each graph, as columns of a table may be called a and x as well."""
    named = _named(source)
    if not named:
        return False
    if source.members.of(file_types.NPY):
        shape, _ = shape_of(source, named["adjacency"])
        return len(shape) == 3 or (len(shape) == 2 and shape[0] == shape[1])  # of a single graph it is said why not
    first = str(next(iter(_records(source)[named["adjacency"]].dropna()), ""))
    return first.replace(" ", "").startswith("[[")


def _candidates(source: Source) -> list[str]:
    arrays = source.members.of(file_types.NPY)
    if arrays:
        return arrays
    files = [name for name in source.names if source.members.form(name) == file_types.TEXT]
    if source.large is not None or not files:
        return []
    if source.members.head(files[0]).lstrip()[:1] not in (b"{", b"["):
        return []
    try:
        return list(map(str, _records(source).columns))
    except DataError:
        return []


def _records(source: Source) -> pd.DataFrame:
    """A row for each graph; those of train.json and test.json are below each other."""
    return source.table()[0] if source.alone else source.together()[0]


def _of(source: Source, what: str) -> Any:
    """The matrices of all graphs, as an array or as texts in JSON."""
    named = _named(source)
    if not named:
        raise DataError(
            "Graphs as matrices need an array or a name of each record called adjacency, and one called features."
        )
    if source.members.of(file_types.NPY):
        found = read_array(source, named[what])
        if found.ndim != 3:
            shape = " × ".join(f"{length:,}" for length in found.shape) or "a single number"
            raise DataError(
                f"The {what} of graphs is of shape graphs × nodes × {'nodes' if what == 'adjacency' else 'features'}, "
                f"received {shape}; bring many graphs, or choose to read the file as arrays."
            )
        return found
    return list(_records(source)[named[what]])


def _labels(source: Source) -> pd.DataFrame:
    """What may be predicted of each graph."""
    import pandas as pd

    named = set(_named(source).values())
    if not source.members.of(file_types.NPY):
        table = _records(source)
        found = table[[column for column in table.columns if str(column) not in named]]
    else:
        adjacency = _of(source, "adjacency")
        rest = {name: read_array(source, name) for name in source.members.of(file_types.NPY) if name not in named}
        found = pd.DataFrame(
            {
                PurePosixPath(name).name.removesuffix(_SUFFIX): as_column(array)
                for name, array in rest.items()
                if array.ndim == 1 and adjacency.ndim and len(array) == len(adjacency)
            }
        )
    if not len(found.columns):
        raise DataError(
            "Nothing says what is to be predicted of each graph: bring labels beside adjacency and features, one for "
            "each graph."
        )
    return found


def _matrix(value: Any, what: str, number: int) -> np.ndarray:
    """A matrix of a graph.

    Raises:
        DataError: it is none.
    """
    found: np.ndarray
    try:
        found = np.array(json.loads(value) if isinstance(value, str) else value, dtype=np.float32)
    except (ValueError, TypeError, RecursionError, OverflowError):
        found = np.zeros(0)
    found = found[:, None] if what == "features" and found.ndim == 1 and len(found) else found
    if found.ndim != 2 or not found.size:
        raise DataError(
            f"The {what} of graph {number:,} is no matrix of numbers; each graph has a row for each of its nodes, all "
            "of the same length."
        )
    if not np.isfinite(found).all() or abs(found).max() > 1e30:
        raise DataError(f"The {what} of graph {number:,} holds missing, infinite or far too large numbers; mend them.")
    if what == "adjacency" and found.shape[0] != found.shape[1]:
        raise DataError(
            f"The adjacency of graph {number:,} has {found.shape[0]} rows and {found.shape[1]} columns, but is square: "
            "a row and a column for each node; mend it, or save it again."
        )
    return found


def _filled(adjacency: Any, features: Any, labels: pd.DataFrame, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Features (R, V, D) and adjacencies (R, V, V); graphs with fewer nodes are filled with nodes of nothing."""
    if len(adjacency) != len(features) or len(adjacency) != len(labels):
        raise DataError(
            f"There are {len(adjacency):,} adjacencies, {len(features):,} features and {len(labels):,} labels; there "
            "has to be one of each for every graph."
        )
    bonds: list[np.ndarray] = []
    nodes: list[np.ndarray] = []
    for number, (one, two) in enumerate(zip(adjacency, features, strict=True), 1):
        bonds.append(_matrix(one, "adjacency", number))
        nodes.append(_matrix(two, "features", number))
        _refuse_shapes(bonds[-1], nodes[-1], nodes[0], number)
    most, width = max(map(len, bonds)), nodes[0].shape[1]
    if len(bonds) * most * (width + most) > MAX_CELLS:
        raise DataError(f"{len(bonds):,} graphs of {most} nodes do not fit into memory; bring a part of them.")
    filled = np.zeros((len(nodes), most, width), dtype=np.float32)
    joined = np.zeros((len(nodes), most, most), dtype=np.float32)
    for place, (one, two) in enumerate(zip(nodes, bonds, strict=True)):
        filled[place, : len(one)] = one
        joined[place, : len(two), : len(two)] = two
    if min(map(len, bonds)) < most:
        notes.append(f"Graphs with fewer than {most} nodes are filled up with nodes that are joined to nothing.")
    return filled, joined


def _refuse_shapes(bonds: np.ndarray, nodes: np.ndarray, first: np.ndarray, number: int) -> None:
    if len(bonds) > MOST_NODES:
        raise DataError(f"Graph {number:,} has {len(bonds):,} nodes; at most {MOST_NODES} can be read.")
    if len(nodes) != len(bonds):
        raise DataError(
            f"Graph {number:,} has features of {len(nodes):,} nodes and an adjacency of {len(bonds):,}; both have a "
            "row for each node."
        )
    if nodes.shape[1] != first.shape[1]:
        raise DataError(
            f"Graph {number:,} has {nodes.shape[1]:,} features for each node where the first has {first.shape[1]:,}; "
            "all graphs have the same."
        )
