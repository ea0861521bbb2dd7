"""Graphs in tables: their nodes with features, their edges, and a label for each graph."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data.limits import MAX_CELLS
from netloom.data.multi_field import Matrices, Several
from netloom.data.raw_dataset import RawDataset
from netloom.data.splits.given_splits import split_column
from netloom.data.uploads.filetables import MOST_TABLES
from netloom.data.uploads.joining import PART, below_each_other, tables_in_parts
from netloom.data.uploads.source import Source
from netloom.data.uploads.tabular import SPLIT, TASK, known_rows, parts_said, target_of
from netloom.data.uploads.upload_kind import (
    PREVIEWED,
    Answers,
    Kept,
    Question,
    Reader,
    Tell,
    check_options,
    with_default,
)
from netloom.modalities.columns.category import CATEGORY_LIMIT

if TYPE_CHECKING:
    import pandas as pd

MOST_NODES = 200
_GRAPH = re.compile(r"(?i)(graph|molecule|network|compound|sample|mol)([ _-]?(id|no|number))?")
_NODE = re.compile(r"(?i)(node|atom|vertex)([ _-]?(id|no|number|index))?|id|index")
_FROM = re.compile(r"(?i)(source|from|start|src|u|node[ _-]?1|a|first)([ _-]?(node|id))?")
_TO = re.compile(r"(?i)(target|to|end|dst|v|node[ _-]?2|b|second|destination)([ _-]?(node|id))?")
_WEIGHT = re.compile(r"(?i)(weight|value|strength|order)")
TARGET = Question("target", "Column to predict", "choice", "The target of a graph")


class Graphs(Reader):
    """Many graphs with a label each."""

    name = "graphs"
    title = "Graphs"
    about = (
        "A zip of tables: nodes (graph, node, features …), edges (graph, source, target) and, unless the label stands "
        "with the nodes, graphs (graph, label)."
    )
    kind = "graph"
    target_question = "target"

    def likely(self, source: Source) -> float:
        return 0.9 if _tables(source, quiet=True) else 0.0

    def questions(self, source: Source, answers: Answers) -> list[Question]:
        labels = _labels(_tables(source))
        return asked_of(labels)

    def learned(self, source: Source, answers: Answers) -> str:
        return f"Predict {answers.get('target')!r} of a graph from its nodes and edges."

    def preview(self, source: Source, answers: Answers) -> pd.DataFrame:
        return _tables(source)["nodes"].head(PREVIEWED)

    def keep(self, source: Source, answers: Answers, folder: Path, tell: Tell) -> Kept:
        tell(0.1, "Reading the tables")
        tables = _tables(source)
        labels = _labels(tables)
        notes: list[str] = []
        features, bonds, names = _matrices(tables, labels, answers, notes)
        tell(0.7, "Keeping them")
        np.savez_compressed(folder / "graphs.npz", nodes=features, bonds=bonds)
        labels.reset_index(drop=True).to_parquet(folder / "labels.parquet")
        summary = f"{len(labels):,} graphs of up to {features.shape[1]} nodes; predicts {answers['target']}"
        return Kept(len(labels), summary, list(labels.columns), notes, {"features": names})

    def raw(self, folder: Path, meta: Mapping[str, Any], options: dict[str, Any]) -> RawDataset:
        import pandas as pd

        from netloom.data.uploads.images import load_arrays

        labels = pd.read_parquet(folder / "labels.parquet")
        columns = list(labels.columns)
        asked = [with_default(TARGET, meta["options"]["target"], columns), TASK]
        asked.append(with_default(SPLIT, meta["options"].get("split"), columns))
        chosen = check_options(options, asked, str(meta["title"]), "Graphs")
        warnings: list[str] = []
        known = known_rows(labels, [chosen["target"]], warnings)
        target = target_of(known[chosen["target"]], chosen["task"], str(meta["title"]))
        arrays = load_arrays(folder, "graphs.npz")
        rows = known.index.to_numpy()
        nodes, bonds = arrays["nodes"][rows].astype(np.float64), arrays["bonds"][rows].astype(np.float64)
        rest = {"target": target["target"], "target_kind": target["target_kind"]}
        said = tuple(f"{int((abs(one).sum(1) > 0).sum())} nodes" for one in nodes)
        joined = tuple(", ".join(f"{a}–{b}" for a, b in np.argwhere(np.triu(one))[:200]) for one in bonds)
        parts = (
            Matrices(name="nodes", values=nodes, words=said, **rest),
            Matrices(name="edges", values=bonds, words=joined, **rest),
        )
        given = parts_said(known, chosen["split"], None)
        return Several(name="", parts=parts, warnings=warnings, given=given, **target)


def asked_of(labels: pd.DataFrame) -> list[Question]:
    """What is asked of a table with what may be predicted of each graph."""
    columns, split = list(map(str, labels.columns)), split_column(labels)
    rest = [name for name in columns if name != split]
    if not rest:
        raise DataError("Nothing but a split is said of each graph; bring what is to be predicted of it, too.")
    return [with_default(TARGET, rest[-1], columns), TASK, with_default(SPLIT, split, columns)]


def _tables(source: Source, quiet: bool = False) -> dict[str, pd.DataFrame]:
    """The tables of nodes and edges, and of graphs where there is one; none where `quiet`, rather than an error. Those
    of the parts of a split, such as train/nodes.csv and test/nodes.csv, are one, whose graphs have the column `PART`.
    """
    found: dict[str, list[tuple[str, pd.DataFrame]]] = {}
    for name in source.tables()[:MOST_TABLES]:
        try:
            table, _ = source.table(name)
        except DataError:
            continue
        table = table.rename(columns=lambda column: str(column).strip())
        graph = next((column for column in table.columns if _GRAPH.fullmatch(column)), None)
        if graph is None:
            continue
        table = table.rename(columns={graph: "graph"})
        one, two = _ends(table)
        if one and two:
            found.setdefault("edges", []).append((name, table.rename(columns={one: "source", two: "target"})))
        else:
            found.setdefault("graphs" if table["graph"].is_unique else "nodes", []).append((name, table))
    if {"nodes", "edges"} <= set(found):
        return _of_parts(found)
    if quiet:
        return {}
    raise DataError(
        "Graphs need two tables that have a column called graph: nodes (graph, node, and features) and edges (graph, "
        "source, target); the label stands with the nodes, or in a third table (graph, label)."
    )


def _of_parts(found: Mapping[str, list[tuple[str, pd.DataFrame]]]) -> dict[str, pd.DataFrame]:
    """A table of each kind: the first, or those of all parts of a split as one, in which a graph is named with its part
    where two parts call a graph alike."""
    told = tables_in_parts([name for tables in found.values() for name, _ in tables]).parts
    if not told:
        return {what: tables[0][1] for what, tables in found.items()}
    whole: dict[str, pd.DataFrame] = {}
    for what, tables in found.items():
        ours = [(name, table) for name, table in tables if name in told]
        if what != "graphs" and {told[name] for name, _ in ours} != set(told.values()):
            raise DataError(
                f"Each part of the split needs a table of {what}; some of train, validation and test lack it."
            )
        if ours:
            names = [name for name, _ in ours]
            whole[what] = below_each_other([table for _, table in ours], names, [told[name] for name in names])
    nodes = whole["nodes"]
    if (nodes.groupby("graph")[PART].nunique() > 1).any():
        for table in whole.values():
            table["graph"] = table[PART].astype(str) + " " + table["graph"].astype(str)
    if "graphs" in whole:
        whole["nodes"] = nodes.drop(columns=PART)
    whole["edges"] = whole["edges"].drop(columns=PART)
    return whole


def _ends(table: pd.DataFrame) -> tuple[str | None, str | None]:
    one = next((column for column in table.columns if _FROM.fullmatch(column)), None)
    two = next((column for column in table.columns if _TO.fullmatch(column) and column != one), None)
    return one, two


def _node_column(nodes: pd.DataFrame) -> str | None:
    return next((column for column in nodes.columns if column != "graph" and _NODE.fullmatch(column)), None)


def _labels(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """What may be predicted of each graph, by its name."""
    if "graphs" in tables:
        found = tables["graphs"].dropna(subset=["graph"]).set_index("graph")
    else:
        nodes = tables["nodes"]
        grouped = nodes.groupby("graph", sort=True)
        constant = [
            name for name in nodes.columns if name != "graph" and (grouped[name].nunique(dropna=False) == 1).all()
        ]
        constant = [name for name in constant if nodes[name].nunique() > 1]
        found = grouped[constant].first()
    if not len(found.columns):
        raise DataError(
            "Nothing says what is to be predicted of a graph: bring a table (graph, label), or a column of the nodes "
            "that is the same for all nodes of a graph."
        )
    return found


def _matrices(
    tables: Mapping[str, pd.DataFrame], labels: pd.DataFrame, answers: Answers, notes: list[str]
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Features (R, V, D) and adjacencies (R, V, V); graphs with fewer nodes are filled with nodes of nothing."""
    import pandas as pd

    nodes = tables["nodes"]
    nodes = nodes[nodes["graph"].isin(labels.index)]
    sizes = nodes.groupby("graph").size().reindex(labels.index).fillna(0).astype(int)
    most = int(sizes.max())
    if most > MOST_NODES or (sizes == 0).any():
        wrong = f"has {most:,} nodes; at most {MOST_NODES} can be read" if most > MOST_NODES else "has no nodes"
        name = sizes.idxmax() if most > MOST_NODES else sizes.idxmin()
        raise DataError(f"The graph {str(name)[:60]!r} {wrong}.")
    key = _node_column(nodes)
    columns = [name for name in nodes.columns if name not in ("graph", key) and name not in labels.columns]
    features, names = _features(nodes, columns)
    width = features.shape[1]
    if len(labels) * most * (width + most) > MAX_CELLS:
        raise DataError(f"{len(labels):,} graphs of {most} nodes do not fit into memory; bring a part of them.")
    place = nodes.groupby("graph").cumcount().to_numpy()
    graph = labels.index.get_indexer(pd.Index(nodes["graph"]))
    filled = np.zeros((len(labels), most, width), dtype=np.float32)
    filled[graph, place] = features
    names_of = nodes[key] if key else nodes.groupby("graph").cumcount()
    where = {(g, str(n)): p for g, n, p in zip(graph.tolist(), names_of.tolist(), place.tolist(), strict=True)}
    bonds = _bonds(tables["edges"], labels, where, most)
    if (sizes < most).any():
        notes.append(f"Graphs with fewer than {most} nodes are filled up with nodes that are joined to nothing.")
    return filled, bonds, names


def _features(nodes: pd.DataFrame, columns: list[str]) -> tuple[np.ndarray, list[str]]:
    """Numbers as they are, and a place for each category."""
    import pandas as pd

    found: list[np.ndarray] = []
    names: list[str] = []
    for name in columns:
        values = nodes[name]
        if pd.api.types.is_numeric_dtype(values):
            found.append(values.fillna(0).to_numpy(dtype=np.float32).clip(-1e30, 1e30))
            names.append(name)
            continue
        texts = values.fillna("").astype(str)
        kinds = sorted(texts.unique())
        if len(kinds) > CATEGORY_LIMIT:
            raise DataError(f"The nodes' column {name!r} has {len(kinds):,} different values, too many for categories.")
        found += [(texts == kind).to_numpy(dtype=np.float32) for kind in kinds]
        names += [f"{name} = {kind}" for kind in kinds]
    if not found:
        return np.ones((len(nodes), 1), dtype=np.float32), ["node"]
    return np.column_stack(found), names


def _bonds(edges: pd.DataFrame, labels: pd.DataFrame, where: Mapping[tuple[int, str], int], most: int) -> np.ndarray:
    import pandas as pd

    weight = next((column for column in edges.columns if _WEIGHT.fullmatch(column)), None)
    bonds = np.zeros((len(labels), most, most), dtype=np.float32)
    graph = labels.index.get_indexer(pd.Index(edges["graph"]))
    weights = edges[weight].fillna(0).to_numpy(dtype=np.float32) if weight else np.ones(len(edges), dtype=np.float32)
    for row, (number, one, two) in enumerate(zip(graph.tolist(), edges["source"], edges["target"], strict=True)):
        if number < 0:
            continue
        first, second = where.get((number, str(one))), where.get((number, str(two)))
        if first is None or second is None:
            missing = one if first is None else two
            raise DataError(
                f"An edge of the graph {str(labels.index[number])[:60]!r} names a node {str(missing)[:40]!r}, "
                "which is not there; add it to the nodes, or remove the edge."
            )
        bonds[number, first, second] = bonds[number, second, first] = weights[row]
    return bonds
