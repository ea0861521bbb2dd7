"""Graphs as adjacency and feature matrices, in arrays or in records."""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.core.progress import ProgressCallback
from netloom.data import file_types
from netloom.data.limits import MAX_CELLS
from netloom.data.uploads.arrays.arrayfiles import as_column, read_array, shape_of
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.kinds.graphs import MAX_NODES, Graphs, target_questions
from netloom.data.uploads.label_separators import separators_meta
from netloom.data.uploads.upload_kind import PREVIEWED, Answers, Question, StoredUpload
from netloom.data.uploads.upload_meta import ReaderMeta

if TYPE_CHECKING:
    import pandas as pd

_ADJACENCY = re.compile(r"(?i)(adj|adjacency|adjacencies|bonds)([ _-]?(matrix|matrices))?|a")
_FEATURES = re.compile(r"(?i)(node[ _-]?)?(features?|attributes|nodes?)|x")
# Graphs as lists of nodes and edges in JSON, which other programs write
_LISTS = re.compile(rb'(?i)"(nodes|edge_index)"\s*:\s*\[\s*[\[{]')
_SUFFIX = ".npy"
_RECORD = '{"adjacency": [[0, 1], [1, 0]], "features": [[1], [2]], "label": "ring"}'


class GraphMatrices(Graphs):
    """Many graphs with one label each, as matrices."""

    name = "graph_matrices"
    title = "Graphs as matrices"
    about = (
        "NPZ arrays adjacency (graphs × nodes × nodes), features (graphs × nodes × features) and labels (graphs); or "
        f"JSON with one record per graph, such as {_RECORD}."
    )
    kind = "graph"

    def likely(self, source: Source) -> float:
        # `_of` explains why lists are refused; as a table, they would be texts
        return 0.95 if _holds_matrices(source) or _lists(source) else 0.0

    def questions(self, source: Source, answers: Answers) -> list[Question]:
        return target_questions(_labels(source))

    def learned(self, source: Source, answers: Answers) -> str:
        return f"Predict {answers.get('target')!r} of a graph from its nodes and edges."

    def preview(self, source: Source, answers: Answers) -> pd.DataFrame:
        labels = _labels(source).head(PREVIEWED)
        adjacency = [
            _matrix(value, "adjacency", row) for row, value in enumerate(_of(source, "adjacency")[:PREVIEWED], 1)
        ]
        preview = labels.assign(
            nodes=[len(value) for value in adjacency], joined=[int((value != 0).sum()) for value in adjacency]
        )
        return preview[["nodes", "joined", *labels.columns]]

    def keep(self, source: Source, answers: Answers, folder: Path, progress: ProgressCallback) -> StoredUpload:
        progress(0.1, "Reading the graphs")
        labels = _labels(source)
        notes: list[str] = []
        nodes, bonds = _filled(_of(source, "adjacency"), _of(source, "features"), labels, notes)
        progress(0.7, "Saving them")
        np.savez_compressed(folder / "graphs.npz", nodes=nodes, bonds=bonds)
        labels.to_parquet(folder / "labels.parquet")
        summary = f"{len(labels):,} graphs of up to {nodes.shape[1]} nodes; predicts {answers['target']}"
        names = [f"feature {number}" for number in range(1, nodes.shape[2] + 1)]
        extra: ReaderMeta = {"features": names, **separators_meta(labels)}
        return StoredUpload(len(labels), summary, list(labels.columns), notes, extra)


def _named(source: Source) -> dict[str, str]:
    """Return the arrays or columns that hold the adjacency and the features; {} if one is missing."""
    names: dict[str, str] = {}
    for name in _candidates(source):
        for role, pattern in (("adjacency", _ADJACENCY), ("features", _FEATURES)):
            if pattern.fullmatch(PurePosixPath(name).name.removesuffix(_SUFFIX)):
                names.setdefault(role, name)
    return names if len(names) == 2 else {}


def _holds_matrices(source: Source) -> bool:
    """Return whether the named columns hold a matrix per graph: columns of any table may be named a and x."""
    named = _named(source)
    if not named:
        return False
    if source.members.of(file_types.NPY):
        shape, _ = shape_of(source, named["adjacency"])
        return len(shape) == 3 or (
            len(shape) == 2 and shape[0] == shape[1]
        )  # a single graph: `_of` explains why it is refused
    first = str(next(iter(_records(source)[named["adjacency"]].dropna()), ""))
    return first.replace(" ", "").startswith("[[")


def _lists(source: Source) -> str:
    """Return the name of the JSON file if it has lists of nodes and edges instead of matrices; "" otherwise."""
    name = _json_file(source)
    return name if name and not _named(source) and _LISTS.search(source.members.head(name)) else ""


def _json_file(source: Source) -> str:
    """Return the name of the first text file if it is JSON in memory; "" otherwise."""
    files = [name for name in source.names if source.members.form(name) == file_types.TEXT]
    if source.large is not None or not files:
        return ""
    return files[0] if source.members.head(files[0]).lstrip()[:1] in (b"{", b"[") else ""


def _candidates(source: Source) -> list[str]:
    arrays = source.members.of(file_types.NPY)
    if arrays:
        return arrays
    if not _json_file(source):
        return []
    try:
        return list(map(str, _records(source).columns))
    except DataError:
        return []


def _records(source: Source) -> pd.DataFrame:
    """Return the table with a row per graph; those of train.json and test.json are concatenated."""
    return source.table()[0] if source.alone else source.together()[0]


def _of(source: Source, role: str) -> Any:
    """Return the matrices of all graphs, as an array or as JSON texts."""
    named = _named(source)
    if not named:
        raise DataError(
            "Graphs as matrices need an array, or a key of each record, named adjacency, and one named features."
        )
    if source.members.of(file_types.NPY):
        array = read_array(source, named[role])
        if array.ndim != 3:
            shape = " × ".join(f"{length:,}" for length in array.shape) or "a single number"
            raise DataError(
                f"The {role} of graphs is of shape graphs × nodes × {'nodes' if role == 'adjacency' else 'features'}, "
                f"received {shape}; upload many graphs, or choose to read the file as arrays."
            )
        return array
    return list(_records(source)[named[role]])


def _labels(source: Source) -> pd.DataFrame:
    """Return the possible targets of the graphs.

    Raises:
        DataError: There are none, or no matrices.
    """
    import pandas as pd

    if name := _lists(source):
        raise DataError(
            f"{name[:60]!r} has lists of nodes and edges, but graphs in JSON are read as matrices. Save one record "
            f"per graph, such as {_RECORD}, or upload a zip with tables of nodes, edges and graphs."
        )
    named = set(_named(source).values())
    if not source.members.of(file_types.NPY):
        table = _records(source)
        labels = table[[column for column in table.columns if str(column) not in named]]
    else:
        adjacency = _of(source, "adjacency")
        arrays = {name: read_array(source, name) for name in source.members.of(file_types.NPY) if name not in named}
        labels = pd.DataFrame(
            {
                PurePosixPath(name).name.removesuffix(_SUFFIX): as_column(array)
                for name, array in arrays.items()
                if array.ndim == 1 and adjacency.ndim and len(array) == len(adjacency)
            }
        )
    if not len(labels.columns):
        raise DataError("Graphs need a target: add labels beside adjacency and features, one for each graph.")
    return labels


def _matrix(value: Any, role: str, number: int) -> np.ndarray:
    """Return a matrix of one graph, parsed.

    Raises:
        DataError: It is not a matrix of finite numbers.
    """
    matrix: np.ndarray
    try:
        matrix = np.array(json.loads(value) if isinstance(value, str) else value, dtype=np.float32)
    except (ValueError, TypeError, RecursionError, OverflowError):
        matrix = np.zeros(0)
    # A single feature per node may be a list: (V,) -> (V, 1)
    matrix = matrix[:, None] if role == "features" and matrix.ndim == 1 and len(matrix) else matrix
    if matrix.ndim != 2 or not matrix.size:
        raise DataError(
            f"The {role} of graph {number:,} is not a matrix of numbers; a graph needs one row per node, all of the "
            "same length."
        )
    if not np.isfinite(matrix).all() or abs(matrix).max() > 1e30:
        raise DataError(f"The {role} of graph {number:,} holds missing, infinite or far too large numbers; fix them.")
    if role == "adjacency" and matrix.shape[0] != matrix.shape[1]:
        raise DataError(
            f"The adjacency of graph {number:,} has {matrix.shape[0]} rows and {matrix.shape[1]} columns, but has to "
            "be square: a row and a column for each node; fix it, or save it again."
        )
    return matrix


def _filled(adjacency: Any, features: Any, labels: pd.DataFrame, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Features (R, V, D) and adjacencies (R, V, V); smaller graphs are padded with isolated nodes."""
    if len(adjacency) != len(features) or len(adjacency) != len(labels):
        raise DataError(
            f"There are {len(adjacency):,} adjacencies, {len(features):,} features and {len(labels):,} labels; there "
            "has to be one of each for every graph."
        )
    adjacencies: list[np.ndarray] = []
    feature_matrices: list[np.ndarray] = []
    for number, (adjacency_value, feature_value) in enumerate(zip(adjacency, features, strict=True), 1):
        adjacencies.append(_matrix(adjacency_value, "adjacency", number))
        feature_matrices.append(_matrix(feature_value, "features", number))
        _refuse_shapes(adjacencies[-1], feature_matrices[-1], feature_matrices[0], number)
    max_nodes, width = max(map(len, adjacencies)), feature_matrices[0].shape[1]
    if len(adjacencies) * max_nodes * (width + max_nodes) > MAX_CELLS:
        raise DataError(
            f"{len(adjacencies):,} graphs of {max_nodes} nodes do not fit into memory; upload a part of them."
        )
    padded_features = np.zeros((len(feature_matrices), max_nodes, width), dtype=np.float32)
    padded_adjacency = np.zeros((len(feature_matrices), max_nodes, max_nodes), dtype=np.float32)
    for graph_index, (node_features, matrix) in enumerate(zip(feature_matrices, adjacencies, strict=True)):
        padded_features[graph_index, : len(node_features)] = node_features
        padded_adjacency[graph_index, : len(matrix), : len(matrix)] = matrix
    if min(map(len, adjacencies)) < max_nodes:
        notes.append(f"Graphs with fewer than {max_nodes} nodes are padded with isolated nodes.")
    return padded_features, padded_adjacency


def _refuse_shapes(bonds: np.ndarray, nodes: np.ndarray, first: np.ndarray, number: int) -> None:
    if len(bonds) > MAX_NODES:
        raise DataError(f"Graph {number:,} has {len(bonds):,} nodes; at most {MAX_NODES} can be read.")
    if len(nodes) != len(bonds):
        raise DataError(
            f"Graph {number:,} has features of {len(nodes):,} nodes and an adjacency of {len(bonds):,}; both need one "
            "row per node."
        )
    if nodes.shape[1] != first.shape[1]:
        raise DataError(
            f"Graph {number:,} has {nodes.shape[1]:,} features per node, but the first graph has "
            f"{first.shape[1]:,}; all graphs need the same number."
        )
