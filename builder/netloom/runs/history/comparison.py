"""Comparison of runs: the differences between their documents, their metrics, and their curves."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from netloom.core.plain_json import JsonObject
from netloom.core.spreadsheets import safe_cell
from netloom.core.text import natural
from netloom.document import DocumentError, Network, Node, Project
from netloom.runs.caveats import caveats_of
from netloom.runs.history.setting_changes import change_label
from netloom.store import Points, Run, RunArtifacts, Store
from netloom.store.artifact_store import Stamp
from netloom.tasks import task
from netloom.tasks.training_losses import TRAINING_LOSSES
from netloom.training.objectives import OBJECTIVES
from netloom.training.weights.initialization import RUN

AXES = ("step", "epoch", "time")
CHANGED = "changed during the run"
CAVEATS = "caveats"
_ABSENT = "–"


@dataclass(frozen=True)
class Change:
    """A value that differs between two documents; None in a document that does not have it."""

    path: str
    old: Any
    new: Any


@dataclass(frozen=True)
class Difference:
    """The differences between two documents: nodes and edges by network, settings by path."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    edges_added: tuple[str, ...]
    edges_removed: tuple[str, ...]
    parameters: tuple[Change, ...]
    training: tuple[Change, ...]
    data: tuple[Change, ...]

    def as_json(self) -> JsonObject:
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the differences in words, one per line."""
        lines = [f"+ {node}" for node in self.added] + [f"- {node}" for node in self.removed]
        lines += [f"+ {edge}" for edge in self.edges_added] + [f"- {edge}" for edge in self.edges_removed]
        for change in (*self.parameters, *self.training, *self.data):
            lines.append(f"{change.path}: {shown(change.old)} → {shown(change.new)}")
        return lines


def document(store: Store, run_id: str) -> Project | None:
    """Return the document of a run as it was started; None if its folder is missing or unreadable."""
    artifacts = store.artifacts(run_id)
    stamp = artifacts.project_stamp()
    try:
        return _project(artifacts, stamp) if stamp else None
    except DocumentError:
        return None


@lru_cache(maxsize=512)  # a changed document has another stamp, and is read again
def _project(artifacts: RunArtifacts, stamp: Stamp) -> Project:
    return artifacts.project()


def settings(project: Project) -> JsonObject:
    """Return every setting of a document by its path: training, data, and the parameters of each node.

    The settings of agents are those that the task reads.
    """
    training = _training(project)
    read = task(project.training.objective).rl_settings
    training["agent"] = {name: value for name, value in training["agent"].items() if name in read}
    values_by_path = {f"training.{key}": value for key, value in _flat(training)}
    values_by_path |= {f"data.{key}": value for key, value in _flat(project.data.model_dump(mode="json"))}
    for name, network in project.networks.items():
        values_by_path |= {f"{name}.parameters.{key}": value for key, value in network.parameters.items()}
        if network.initialization is not None:
            values_by_path[f"{name}.initialization"] = network.initialization.sentence()
        for key, node in network.nodes.items():
            values_by_path[f"{name}.{key}"] = node.type
            if node.frozen:
                values_by_path[f"{name}.{key}.frozen"] = True
            if node.initialization is not None:
                values_by_path[f"{name}.{key}.initialization"] = node.initialization.sentence()
            values_by_path |= {f"{name}.{key}.{param}": value for param, value in _flat(node.params)}
    return values_by_path


def _training(project: Project) -> dict[str, Any]:
    """Return the training section as plain JSON, with augmentations in words."""
    words = "; ".join(augment.sentence() for augment in project.training.augment)
    return {**project.training.model_dump(mode="json"), "augment": words or []}


def differing_paths(columns: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the paths whose values are not equal in all columns, in natural order."""
    paths = dict.fromkeys(path for column in columns for path in column)
    missing = object()  # differs from None, which is a value of settings
    different = []
    for path in paths:
        values = [column.get(path, missing) for column in columns]
        if any(value is not values[0] and value != values[0] for value in values[1:]):
            different.append(path)
    order = {"training": 0, "data": 1}
    return sorted(different, key=lambda path: (order.get(path.partition(".")[0], 2), natural(path)))


def difference(old: Project, new: Project) -> Difference:
    """Return the differences between two documents."""
    names = dict.fromkeys([*old.networks, *new.networks])
    empty = Network()
    added, removed, more, fewer, changes = [], [], [], [], []
    for name in names:
        old_network, new_network = old.networks.get(name, empty), new.networks.get(name, empty)
        added += [
            f"{name}.{key} ({new_network.nodes[key].type})" for key in new_network.nodes if key not in old_network.nodes
        ]
        removed += [
            f"{name}.{key} ({old_network.nodes[key].type})" for key in old_network.nodes if key not in new_network.nodes
        ]
        old_edges, new_edges = set(old_network.edges), set(new_network.edges)
        more += [f"{name}: {edge.source} to {edge.target}" for edge in new_network.edges if edge not in old_edges]
        fewer += [f"{name}: {edge.source} to {edge.target}" for edge in old_network.edges if edge not in new_edges]
        changes += _parameters(name, old_network, new_network)
    return Difference(
        tuple(added),
        tuple(removed),
        tuple(more),
        tuple(fewer),
        tuple(changes),
        _changes("training", _training(old), _training(new)),
        _changes("data", old.data.model_dump(mode="json"), new.data.model_dump(mode="json")),
    )


def metrics(run: Run) -> dict[str, float]:
    """Return the metrics of a run as far as its worker has reported them: the best on the monitored rows, and
    test metrics."""
    values_by_name = {}
    value = _best_value(run)
    if value is not None:
        _, split, measure = _monitored(run)
        objective = OBJECTIVES.get(run.summary.objective)
        # The loss of an agent is its negative mean return.
        if objective is not None and objective.task.environment and measure == "loss":
            measure, value = "return", -value
        values_by_name[f"{split} {measure}"] = value
    return values_by_name | {f"test {name}": value for name, value in run.summary.test.items()}


def measure_of(column: str) -> str:
    """Return the metric that a column of a table of runs shows, such as accuracy for "test accuracy" and its
    difference "Δ test accuracy"; "" for a setting."""
    split, _, measure = column.removeprefix("Δ ").partition(" ")
    return measure if split in ("validation", "train", "test") else ""


def best_finished(runs: Sequence[Run]) -> Run | None:
    """Return the finished run with the best value of its monitored metric; None if no run has finished.

    `runs` are listed from the newest. Only runs with the task and the monitored metric of the newest one are
    comparable with it.
    """
    finished = [run for run in runs if run.state == "finished"]
    if not finished:
        return None
    kind = _monitored(finished[0])
    comparable = [run for run in finished if _monitored(run) == kind and _best_value(run) is not None]
    if not comparable:
        return finished[0]
    objective = OBJECTIVES.get(kind[0])
    rises = objective is not None and objective.task.higher_is_better(kind[-1])
    # Among equals, the first of the list, which is the newest.
    return min(comparable, key=lambda run: (-1 if rises else 1) * (_best_value(run) or 0.0))


def _monitored(run: Run) -> tuple[str, str, str]:
    """Return the task of a run, and the split and the metric that chose its best weights."""
    summary = run.summary
    return summary.objective, summary.monitored_split, summary.best.measure if summary.best else "loss"


def _best_value(run: Run) -> float | None:
    """Return the best value of the monitored metric; None if there is none, or it is not finite."""
    value = run.summary.best.loss if run.summary.best else None
    return value if value is not None and math.isfinite(value) else None


def table(store: Store, runs: Sequence[Run], baseline: str | None = None) -> list[JsonObject]:
    """Return one row per run: its properties, the settings that differ between runs, and its metrics; with a
    `baseline`, also the difference of each metric to it."""
    documents = [document(store, run.id) for run in runs]
    columns = [settings(project) if project else {} for project in documents]
    paths = differing_paths(columns)
    measures = [metrics(run) for run in runs]
    names = list(dict.fromkeys(name for metrics_of_run in measures for name in metrics_of_run))
    base = next((values for run, values in zip(runs, measures, strict=True) if run.id == baseline), None)
    changed, noted = [run.summary.changes for run in runs], [caveats_of(run) for run in runs]
    rows = []
    for run, column, values in zip(runs, columns, measures, strict=True):
        row: dict[str, Any] = {"run": run.id, "title": run.title, "state": run.state}
        row |= {path: shown(column.get(path)) for path in paths}
        if any(changed):
            row[CHANGED] = "; ".join(
                f"{change_label(change)} at step {change.step:,}" for change in run.summary.changes
            )
        if any(noted):
            row[CAVEATS] = "; ".join(caveat.code.replace("_", " ") for caveat in caveats_of(run))
        for name in names:
            row[name] = values.get(name)
            if base is not None:
                row[f"Δ {name}"] = values[name] - base[name] if name in values and name in base else None
        rows.append(row)
    return rows


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a table as CSV. Cells that a spreadsheet would run as a formula get a leading quote."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([safe_cell(name) for name in names])
    writer.writerows([[safe_cell("" if (value := row.get(name)) is None else value) for name in names] for row in rows])
    return text.getvalue()


def curve(points: Points, split: str, name: str, axis: str = "step") -> tuple[list[float], list[float]]:
    """Return a metric over steps, epochs, or seconds since the first point of the run."""
    chosen = [index for index, key in enumerate(zip(points.split, points.name, strict=True)) if key == (split, name)]
    values = [points.value[index] for index in chosen]
    if axis == "time":
        start = min(points.at, default=0.0)
        return [points.at[index] - start for index in chosen], values
    if axis == "epoch":
        return _epochs(points, chosen), values
    return [float(points.step[index]) for index in chosen], values


def smoothed(values: Sequence[float], share: float) -> list[float]:
    """Return the exponential moving average of values with decay `share` (0: no smoothing), corrected for its bias at
    the start."""
    if not 0 < share < 1:
        return list(values)
    means, mean, weight = [], 0.0, 0.0
    for value in values:
        mean, weight = share * mean + (1 - share) * value, share * weight + (1 - share)
        means.append(mean / weight)
    return means


def shown(value: Any) -> str:
    """Return a setting as text for display."""
    if value is None:
        return _ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, str) and value.startswith(RUN):
        return f"run {value.removeprefix(RUN)[:8]}"
    return ", ".join(map(shown, value)) or "none" if isinstance(value, (list, tuple)) else str(value)


def _epochs(points: Points, chosen: Sequence[int]) -> list[float]:
    """Return the completed epochs at each point. Points at the end of epochs give the steps per epoch."""
    monitored = "validation" if "validation" in points.split else "train"
    ends = [
        points.step[index] / (points.epoch[index] + 1)
        for index, (split, name) in enumerate(zip(points.split, points.name, strict=True))
        if split == monitored and name not in TRAINING_LOSSES
    ]
    # Batch losses have points within an epoch, whose fraction follows from the steps per epoch.
    each = ends[-1] if ends and ends[-1] > 0 else 0.0
    return [points.step[index] / each if each else float(points.epoch[index]) for index in chosen]


def _parameters(name: str, old: Network, new: Network) -> list[Change]:
    changes = list(_changes(f"{name}.parameters", dict(old.parameters), dict(new.parameters)))
    for kind in ("Input", "Output"):
        orders = [
            [key for key in network.order(kind) if key in old.nodes and key in new.nodes] for network in (old, new)
        ]
        if orders[0] != orders[1]:
            changes.append(Change(f"{name}.{kind.lower()}s", *(", ".join(order) for order in orders)))
    if old.initialization != new.initialization:
        changes.append(Change(f"{name}.initialization", *map(_initialization, (old, new))))
    for key, node in old.nodes.items():
        new_node = new.nodes.get(key)
        if new_node is not None and new_node is not node:
            changes += _changes(f"{name}.{key}", _node_settings(node), _node_settings(new_node))
    return changes


def _node_settings(node: Node) -> dict[str, Any]:
    node_fields = {
        "type": node.type,
        "frozen": node.frozen,
        "shares": node.shares,
        "initialization": _initialization(node),
    }
    return {**node_fields, **node.params}


def _initialization(part: Node | Network) -> str | None:
    return None if part.initialization is None else part.initialization.sentence()


def _changes(prefix: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    old_values, new_values = dict(_flat(old)), dict(_flat(new))
    paths = sorted({*old_values, *new_values}, key=natural)
    changed = [path for path in paths if old_values.get(path) != new_values.get(path)]
    return tuple(Change(f"{prefix}.{path}", old_values.get(path), new_values.get(path)) for path in changed)


def _flat(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return values by dotted path, with nested mappings flattened."""
    items: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            items += [(f"{key}.{inner}", item) for inner, item in _flat(value)]
        else:
            items.append((str(key), value))
    return items
