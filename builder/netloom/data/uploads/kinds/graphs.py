"""Graphs in tables of nodes with features, of edges, and of labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from netloom.core.errors import DataError
from netloom.core.plain_json import JsonObject
from netloom.core.progress import ProgressCallback
from netloom.data.limits import MAX_CELLS
from netloom.data.multi_field import Matrices, MultiFieldDataset
from netloom.data.raw_dataset import RawDataset, RawTarget
from netloom.data.splits.given_splits import split_column
from netloom.data.uploads.file_labels.filetables import MAX_TABLES
from netloom.data.uploads.files.joining import PART, concatenated, tables_in_parts
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.label_separators import separators_meta, with_separators
from netloom.data.uploads.tabular import SPLIT, TASK, known_rows, parts_of_column, target_of
from netloom.data.uploads.upload_kind import (
    PREVIEWED,
    Answers,
    Question,
    Reader,
    StoredUpload,
    check_options,
    with_default,
)
from netloom.data.uploads.upload_meta import ReaderMeta, UploadMeta
from netloom.modalities.columns.category import CATEGORY_LIMIT

if TYPE_CHECKING:
    import pandas as pd

MAX_NODES = 200
_GRAPH = re.compile(r"(?i)(graph|molecule|network|compound|sample|mol)([ _-]?(id|no|number))?")
_NODE = re.compile(r"(?i)(node|atom|vertex)([ _-]?(id|no|number|index))?|id|index")
_FROM = re.compile(r"(?i)(source|from|start|src|u|node[ _-]?1|a|first)([ _-]?(node|id))?")
_TO = re.compile(r"(?i)(target|to|end|dst|v|node[ _-]?2|b|second|destination)([ _-]?(node|id))?")
_WEIGHT = re.compile(r"(?i)(weight|value|strength|order)")
TARGET = Question("target", "Column to predict", "choice", "The target of a graph")


class Graphs(Reader):
    """Many graphs with one label each, as tables."""

    name = "graphs"
    title = "Graphs"
    about = (
        "A zip of tables: nodes (graph, node, features …), edges (graph, source, target) and, unless the label is a "
        "column of the nodes, graphs (graph, label)."
    )
    kind = "graph"
    target_question = "target"

    def likely(self, source: Source) -> float:
        # Nodes and edges are two tables, so a single file is not parsed for them
        return 0.9 if not source.alone and _tables(source, quiet=True) else 0.0

    def questions(self, source: Source, answers: Answers) -> list[Question]:
        labels = _labels(_tables(source))
        return target_questions(labels)

    def learned(self, source: Source, answers: Answers) -> str:
        return f"Predict {answers.get('target')!r} of a graph from its nodes and edges."

    def preview(self, source: Source, answers: Answers) -> pd.DataFrame:
        return _tables(source)["nodes"].head(PREVIEWED)

    def keep(self, source: Source, answers: Answers, folder: Path, progress: ProgressCallback) -> StoredUpload:
        progress(0.1, "Reading the tables")
        tables = _tables(source)
        labels = _labels(tables)
        notes: list[str] = []
        features, bonds, names = _matrices(tables, labels, answers, notes)
        progress(0.7, "Saving them")
        np.savez_compressed(folder / "graphs.npz", nodes=features, bonds=bonds)
        labels.reset_index(drop=True).to_parquet(folder / "labels.parquet")
        extra: ReaderMeta = {"features": names, **separators_meta(labels)}
        summary = f"{len(labels):,} graphs of up to {features.shape[1]} nodes; predicts {answers['target']}"
        return StoredUpload(len(labels), summary, list(labels.columns), notes, extra)

    def raw(self, folder: Path, meta: UploadMeta, options: JsonObject) -> RawDataset:
        import pandas as pd

        from netloom.data.uploads.images.image_questions import load_arrays

        labels = with_separators(pd.read_parquet(folder / "labels.parquet"), meta)
        columns = list(labels.columns)
        questions = [with_default(TARGET, meta["options"]["target"], columns), TASK]
        questions.append(with_default(SPLIT, meta["options"].get("split"), columns))
        chosen = check_options(options, questions, meta["title"], "Graphs")
        warnings: list[str] = []
        labeled = known_rows(labels, [chosen.choice("target")], warnings)
        target = target_of(labeled[chosen.choice("target")], chosen.optional_choice("task"), meta["title"])
        arrays = load_arrays(folder, "graphs.npz")
        rows = labeled.index.to_numpy()
        nodes, bonds = arrays["nodes"][rows].astype(np.float64), arrays["bonds"][rows].astype(np.float64)
        target_fields: RawTarget = {"target": target["target"], "target_kind": target["target_kind"]}
        node_counts = tuple(f"{int((abs(matrix).sum(1) > 0).sum())} nodes" for matrix in nodes)
        edge_lists = tuple(", ".join(f"{a}–{b}" for a, b in np.argwhere(np.triu(matrix))[:200]) for matrix in bonds)
        parts = (
            Matrices(name="nodes", values=nodes, words=node_counts, **target_fields),
            Matrices(name="edges", values=bonds, words=edge_lists, **target_fields),
        )
        split = parts_of_column(labeled, chosen.optional_choice("split"), None)
        return MultiFieldDataset(name="", parts=parts, warnings=warnings, given=split, **target)


def target_questions(labels: pd.DataFrame) -> list[Question]:
    """Return the questions about the table of possible targets of graphs."""
    columns, split = list(map(str, labels.columns)), split_column(labels)
    candidates = [name for name in columns if name != split]
    if not candidates:
        raise DataError("The graphs have a split column, but no other to predict; add one.")
    return [with_default(TARGET, candidates[-1], columns), TASK, with_default(SPLIT, split, columns)]


def _tables(source: Source, quiet: bool = False) -> dict[str, pd.DataFrame]:
    """Return the tables of nodes and edges, and of graphs if there is one.

    Tables of the parts of a split, such as train/nodes.csv and test/nodes.csv, are concatenated; their graphs have the
    column `PART`.

    Args:
        quiet: Whether to return {} instead of an error if a table is missing.

    Raises:
        DataError: A table is missing.
    """
    tables: dict[str, list[tuple[str, pd.DataFrame]]] = {}
    for name in source.tables()[:MAX_TABLES]:
        try:
            table, _ = source.table(name)
        except DataError:
            continue
        table = table.rename(columns=lambda column: str(column).strip())
        graph = next((column for column in table.columns if _GRAPH.fullmatch(column)), None)
        if graph is None:
            continue
        table = table.rename(columns={graph: "graph"})
        source_column, target_column = _ends(table)
        if source_column and target_column:
            tables.setdefault("edges", []).append(
                (name, table.rename(columns={source_column: "source", target_column: "target"}))
            )
        else:
            tables.setdefault("graphs" if table["graph"].is_unique else "nodes", []).append((name, table))
    if {"nodes", "edges"} <= set(tables):
        return _of_parts(tables)
    if quiet:
        return {}
    raise DataError(
        "Graphs need two tables with a column named graph: nodes (graph, node, and features) and edges (graph, source, "
        "target); the label is a column of the nodes, or of a third table (graph, label)."
    )


def _of_parts(tables_of_kind: Mapping[str, list[tuple[str, pd.DataFrame]]]) -> dict[str, pd.DataFrame]:
    """Return a table of each kind: the first, or those of all parts of a split, concatenated.

    If graphs of two parts have the same name, the names are prefixed with the parts.
    """
    part_of = tables_in_parts([name for tables in tables_of_kind.values() for name, _ in tables]).parts
    if not part_of:
        return {table_kind: tables[0][1] for table_kind, tables in tables_of_kind.items()}
    joined_tables: dict[str, pd.DataFrame] = {}
    for kind, tables in tables_of_kind.items():
        in_parts = [(name, table) for name, table in tables if name in part_of]
        if kind != "graphs" and {part_of[name] for name, _ in in_parts} != set(part_of.values()):
            raise DataError(
                f"Each part of the split needs a table of {kind}; some of train, validation and test lack it."
            )
        if in_parts:
            names = [name for name, _ in in_parts]
            joined_tables[kind] = concatenated(
                [table for _, table in in_parts], names, [part_of[name] for name in names]
            )
    nodes = joined_tables["nodes"]
    if (nodes.groupby("graph")[PART].nunique() > 1).any():
        for table in joined_tables.values():
            table["graph"] = table[PART].astype(str) + " " + table["graph"].astype(str)
    if "graphs" in joined_tables:
        # The targets are those of the graphs then, so only their table needs the part.
        joined_tables["nodes"] = nodes.drop(columns=PART)
    joined_tables["edges"] = joined_tables["edges"].drop(columns=PART)
    return joined_tables


def _ends(table: pd.DataFrame) -> tuple[str | None, str | None]:
    source_column = next((column for column in table.columns if _FROM.fullmatch(column)), None)
    target_column = next(
        (column for column in table.columns if _TO.fullmatch(column) and column != source_column), None
    )
    return source_column, target_column


def _node_column(nodes: pd.DataFrame) -> str | None:
    return next((column for column in nodes.columns if column != "graph" and _NODE.fullmatch(column)), None)


def _labels(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the possible targets, indexed by graph: columns of the graphs, or columns of nodes that are constant."""
    if "graphs" in tables:
        labels = tables["graphs"].dropna(subset=["graph"]).set_index("graph")
    else:
        nodes = tables["nodes"]
        grouped = nodes.groupby("graph", sort=True)
        constant = [
            name for name in nodes.columns if name != "graph" and (grouped[name].nunique(dropna=False) == 1).all()
        ]
        # A column with one value for all graphs tells nothing.
        constant = [name for name in constant if nodes[name].nunique() > 1]
        labels = grouped[constant].first()
    if not len(labels.columns):
        raise DataError(
            "Graphs need a target: add a table (graph, label), or a column of the nodes that is equal for all nodes of "
            "a graph."
        )
    return labels


def _matrices(
    tables: Mapping[str, pd.DataFrame], labels: pd.DataFrame, answers: Answers, notes: list[str]
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Features (R, V, D), adjacencies (R, V, V), feature names; smaller graphs are padded with isolated nodes."""
    import pandas as pd

    nodes = tables["nodes"]
    nodes = nodes[nodes["graph"].isin(labels.index)]
    sizes = nodes.groupby("graph").size().reindex(labels.index).fillna(0).astype(int)
    most = int(sizes.max())
    if most > MAX_NODES or (sizes == 0).any():
        problem = f"has {most:,} nodes; at most {MAX_NODES} can be read" if most > MAX_NODES else "has no nodes"
        name = sizes.idxmax() if most > MAX_NODES else sizes.idxmin()
        raise DataError(f"The graph {str(name)[:60]!r} {problem}.")
    key = _node_column(nodes)
    columns = [name for name in nodes.columns if name not in ("graph", key) and name not in labels.columns]
    features, names = _features(nodes, columns)
    width = features.shape[1]
    if len(labels) * most * (width + most) > MAX_CELLS:
        raise DataError(f"{len(labels):,} graphs of {most} nodes do not fit into memory; upload a part of them.")
    index = nodes.groupby("graph").cumcount().to_numpy()
    graph = labels.index.get_indexer(pd.Index(nodes["graph"]))
    filled = np.zeros((len(labels), most, width), dtype=np.float32)
    filled[graph, index] = features  # (nodes, D) -> (R, V, D)
    names_of = nodes[key] if key else nodes.groupby("graph").cumcount()
    index_of = {(g, str(n)): p for g, n, p in zip(graph.tolist(), names_of.tolist(), index.tolist(), strict=True)}
    bonds = _bonds(tables["edges"], labels, index_of, most)
    if (sizes < most).any():
        notes.append(f"Graphs with fewer than {most} nodes are padded with isolated nodes.")
    return filled, bonds, names


def _features(nodes: pd.DataFrame, columns: list[str]) -> tuple[np.ndarray, list[str]]:
    """Features of nodes (N, D) with their names: numbers as they are, categories one-hot."""
    import pandas as pd

    features: list[np.ndarray] = []
    names: list[str] = []
    for name in columns:
        values = nodes[name]
        if pd.api.types.is_numeric_dtype(values):
            features.append(values.fillna(0).to_numpy(dtype=np.float32).clip(-1e30, 1e30))
            names.append(name)
            continue
        texts = values.fillna("").astype(str)
        kinds = sorted(texts.unique())
        if len(kinds) > CATEGORY_LIMIT:
            raise DataError(f"The nodes' column {name!r} has {len(kinds):,} different values, too many for categories.")
        features += [(texts == kind).to_numpy(dtype=np.float32) for kind in kinds]
        names += [f"{name} = {kind}" for kind in kinds]
    if not features:
        return np.ones((len(nodes), 1), dtype=np.float32), ["node"]
    return np.column_stack(features), names


def _bonds(edges: pd.DataFrame, labels: pd.DataFrame, index_of: Mapping[tuple[int, str], int], most: int) -> np.ndarray:
    import pandas as pd

    weight = next((column for column in edges.columns if _WEIGHT.fullmatch(column)), None)
    bonds = np.zeros((len(labels), most, most), dtype=np.float32)
    graph = labels.index.get_indexer(pd.Index(edges["graph"]))
    weights = edges[weight].fillna(0).to_numpy(dtype=np.float32) if weight else np.ones(len(edges), dtype=np.float32)
    for row, (graph_index, source_name, target_name) in enumerate(
        zip(graph.tolist(), edges["source"], edges["target"], strict=True)
    ):
        if graph_index < 0:  # -1 for a graph without a label
            continue
        first, second = index_of.get((graph_index, str(source_name))), index_of.get((graph_index, str(target_name)))
        if first is None or second is None:
            missing = source_name if first is None else target_name
            raise DataError(
                f"An edge of the graph {str(labels.index[graph_index])[:60]!r} names a node {str(missing)[:40]!r} that "
                "does not exist; add it to the nodes, or remove the edge."
            )
        # Edges are undirected, so the adjacency is symmetric
        bonds[graph_index, first, second] = bonds[graph_index, second, first] = weights[row]
    return bonds
