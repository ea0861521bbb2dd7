"""Comparison of runs: documents, tables, curves and confidence intervals, from stores filled by hand."""

from __future__ import annotations

import csv
import io
import math
import statistics
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from netloom.document import Augment, Project, apply, blank, write
from netloom.runs.derived.reproduction import compare_runs
from netloom.runs.history.comparison import (
    as_csv,
    best_finished,
    curve,
    difference,
    differing_paths,
    metrics,
    settings,
    smoothed,
    table,
)
from netloom.runs.history.setting_titles import setting_title, setting_value
from netloom.runs.history.snapshots import epoch_snapshots, save_snapshot, spacing
from netloom.runs.search.confidence_interval import spread, spreads
from netloom.store import Points, Run, RunArtifacts, Store, open_store
from tests.runs.examples import moons
from tests.store.states import put


def finished_run(store: Store, project: Project, title: str, loss: float) -> Run:
    run = store.create_run(store.create_project(project), project, title)
    folder = store.artifacts(run.id).local_directory()
    folder.mkdir(parents=True)
    write(folder / "project.json", project)
    summary = {"best": {"loss": loss}, "test": {"accuracy": 1 - loss}}
    put(store, run.id, "finished", summary=summary, ended_at=datetime.now(UTC))
    return store.run(run.id)


def test_table_shows_only_differing_settings_and_metric_deltas(home: Path) -> None:
    store = open_store(home)
    wide = apply(moons(), {"kind": "set", "node": "linear_1", "params": {"units": 32}})
    runs = [finished_run(store, moons(), "Narrow", 0.5), finished_run(store, wide, "Wide", 0.25)]
    rows = table(store, runs, runs[0].id)
    assert [list(row) for row in rows] == [
        [
            "run",
            "title",
            "state",
            "main.linear_1.units",
            "validation loss",
            "Δ validation loss",
            "test accuracy",
            "Δ test accuracy",
        ]
    ] * 2
    assert [row["main.linear_1.units"] for row in rows] == ["16", "32"]
    assert [row["Δ validation loss"] for row in rows] == [0.0, -0.25]
    assert [row["Δ test accuracy"] for row in rows] == [0.0, 0.25]
    assert table(store, runs[:1]) == [{key: rows[0][key] for key in rows[0] if "Δ" not in key and "units" not in key}]
    (store.artifacts(runs[0].id).local_directory() / "project.json").unlink()
    assert table(store, runs)[0]["main.linear_1.units"] == "–"
    store.close()


def test_difference_lists_node_edge_and_setting_changes() -> None:
    old = moons()
    edits = [
        {"kind": "remove", "nodes": ["dropout_1"]},
        {"kind": "add", "nodes": [{"id": "gelu_1", "type": "GELU"}]},
        {"kind": "connect", "source": "relu_1", "target": "gelu_1"},
        {"kind": "set", "node": "linear_1", "params": {"units": 8}},
        {"kind": "project", "training": {"learning_rate": 0.5}, "data": {"seed": 3}},
    ]
    diff = difference(old, apply(old, {"kind": "batch", "edits": edits}))
    assert (diff.added, diff.removed) == (("main.gelu_1 (GELU)",), ("main.dropout_1 (Dropout)",))
    assert diff.edges_added == ("main: relu_1 to gelu_1",)
    assert set(diff.edges_removed) == {"main: relu_1 to dropout_1", "main: dropout_1 to batchnorm1d_1"}
    changes = [(item.path, item.old, item.new) for item in (*diff.parameters, *diff.training, *diff.data)]
    assert changes == [("main.linear_1.units", 16, 8), ("training.learning_rate", 0.01, 0.5), ("data.seed", 0, 3)]
    assert "main.linear_1.units: 16 → 8" in diff.lines()
    assert difference(old, old).lines() == []


def test_differing_paths_are_in_natural_order() -> None:
    columns: list[dict[str, Any]] = [
        {"main.b_10.x": 1, "main.b_2.x": 1, "training.seed": 1, "same": 0},
        {"main.b_2.x": None, "same": 0},
    ]
    assert differing_paths(columns) == ["training.seed", "main.b_2.x", "main.b_10.x"]
    assert "main.linear_1.units" in settings(moons())
    frozen = apply(moons(), {"kind": "update", "node": "linear_1", "frozen": True})
    assert differing_paths([settings(moons()), settings(frozen)]) == ["main.linear_1.frozen"]


def test_csv_export_escapes_formulas() -> None:
    rows: list[dict[str, Any]] = [
        {"title": '=HYPERLINK("http://x")', "loss": -0.5, "note": 'a,"b"\nc'},
        {"title": "-3", "loss": None},
    ]
    parsed = list(csv.reader(io.StringIO(as_csv(rows))))
    assert parsed[1:] == [['\'=HYPERLINK("http://x")', "-0.5", 'a,"b"\nc'], ["-3", "", ""]]


def test_curve_x_axes_are_step_epoch_and_time() -> None:
    points = Points(
        [5, 10, 10, 20, 20],
        [0, 0, 0, 1, 1],
        ["train", "train", "validation", "train", "validation"],
        ["batch_loss", "loss", "loss", "loss", "loss"],
        [9.0, 4.0, 3.0, 2.0, 1.0],
        [100.0, 101.5, 101.5, 103.0, 103.0],
        5,
    )
    assert curve(points, "validation", "loss") == ([10.0, 20.0], [3.0, 1.0])
    assert curve(points, "validation", "loss", "epoch") == ([1.0, 2.0], [3.0, 1.0])
    assert curve(points, "train", "batch_loss", "epoch") == ([0.5], [9.0])
    assert curve(points, "train", "loss", "time") == ([1.5, 3.0], [4.0, 2.0])
    assert curve(points, "test", "loss") == ([], [])


def test_smoothing_is_bias_corrected() -> None:
    assert smoothed([3.0] * 5, 0.9) == pytest.approx([3.0] * 5)
    values = [1.0, 5.0, 2.0, 8.0]
    weights = [[0.9 ** (index - earlier) for earlier in range(index + 1)] for index in range(4)]
    expected = [sum(w * v for w, v in zip(row, values, strict=False)) / sum(row) for row in weights]
    assert smoothed(values, 0.9) == pytest.approx(expected)
    assert smoothed(values, 0.0) == values


def test_confidence_interval_matches_students_t() -> None:
    values = [0.91, 0.93, 0.90, 0.95, 0.92]
    interval = spread("accuracy", values)
    half_width = 2.776445 * statistics.stdev(values) / math.sqrt(5)  # the tabulated t for 4 degrees of freedom
    assert (interval.mean, interval.deviation) == pytest.approx((statistics.mean(values), statistics.stdev(values)))
    assert (interval.low, interval.high) == pytest.approx(
        (interval.mean - half_width, interval.mean + half_width), rel=1e-6
    )
    assert math.isnan(spread("accuracy", [1.0]).deviation)
    assert spread("accuracy", [1.0]).sentence() == "accuracy: 1 over 1 run"
    assert spread("accuracy", [0.9, 0.9]).sentence() == "accuracy: 0.9 over 2 runs"
    (area,) = spreads([{"roc_auc": 0.5}, {"roc_auc": math.nan}, {"roc_auc": 0.7}, {"f1": math.nan}])
    assert area.count == 2, "one split had no positive rows"
    assert area.mean == pytest.approx(0.6)
    wide = [0.99, 0.9, 1.0]
    assert spread("test accuracy", wide).high == 1.0, "no share is above 1"
    assert spread("test accuracy (color)", wide).high == 1.0
    assert spread("test loss", wide).high > 1.0


def test_snapshots_are_evenly_spaced_and_capped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    weights = {"weight": torch.zeros(250)}  # 1,000 bytes
    for epoch in range(1, 25):
        save_snapshot(RunArtifacts.in_directory(tmp_path), epoch, epoch * 3, weights)
        epochs = [item.epoch for item in epoch_snapshots(RunArtifacts.in_directory(tmp_path))]
        assert len(epochs) <= 10
        steps = {later - earlier for earlier, later in pairwise(epochs)}
        assert len(steps) <= 1, "evenly spaced"
    assert [item.epoch for item in epoch_snapshots(RunArtifacts.in_directory(tmp_path))] == [4, 8, 12, 16, 20, 24]
    assert [item.step for item in epoch_snapshots(RunArtifacts.in_directory(tmp_path))][:2] == [12, 24]
    monkeypatch.setenv("NETLOOM_KEPT_BYTES", "3500")
    for epoch in range(25, 33):
        save_snapshot(RunArtifacts.in_directory(tmp_path), epoch, epoch, weights)
    assert [item.epoch for item in epoch_snapshots(RunArtifacts.in_directory(tmp_path))] == [16, 32]
    monkeypatch.setenv("NETLOOM_KEPT_BYTES", "10")
    save_snapshot(RunArtifacts.in_directory(tmp_path), 64, 64, weights)
    assert [item.epoch for item in epoch_snapshots(RunArtifacts.in_directory(tmp_path))] == [16, 32]
    assert spacing(5, 0) == 0


def test_agent_metric_is_the_return_not_the_loss(home: Path) -> None:
    store = open_store(home)
    run = store.create_run(store.create_project(moons()), moons())
    best = {"loss": -206.4, "epoch": 2, "step": 9, "measure": "loss"}
    store.update_run(run.id, summary={"objective": "dqn", "best": best})
    assert metrics(store.run(run.id)) == {"validation return": 206.4}
    store.update_run(run.id, summary={"objective": "classification", "best": best})
    assert metrics(store.run(run.id)) == {"validation loss": -206.4}


def test_best_finished_run_has_the_best_value_of_the_newest_metric(home: Path) -> None:
    store = open_store(home)
    project_id = store.create_project(moons())

    def run(value: float | None, measure: str = "accuracy", state: str = "finished") -> Run:
        created = store.create_run(project_id, moons())
        best = {} if value is None else {"best": {"loss": value, "measure": measure}}
        put(store, created.id, state, summary={"objective": "classification", **best})
        return store.run(created.id)

    high, low, crashed = run(0.9), run(0.7), run(0.99, state="failed")
    assert best_finished([crashed, low, high]) == high
    other_metric, unmeasured = run(0.5, "loss"), run(math.nan)
    assert best_finished([unmeasured, low, other_metric, high]) == high
    assert best_finished([run(0.6, "loss"), low, other_metric, high]) == other_metric
    assert best_finished([crashed]) is None


@pytest.mark.parametrize("name", ["batch_loss", "weighted_loss", "turns_loss"])
def test_reproduced_run_ignores_steps_of_averaged_losses(home: Path, name: str) -> None:
    """A training loss is averaged over the steps of a quarter of a second, so its points are at other steps each
    time."""
    store = open_store(home)
    runs = [finished_run(store, moons(), "Run", 0.2) for _ in "ab"]
    for number, run in enumerate(runs):
        store.add_points(run.id, [(10 + number, 0, "train", name, 0.5, 1.0), (20, 0, "validation", "loss", 0.2, 2.0)])
    comparison = compare_runs(store, *runs)
    assert (comparison.points, comparison.equal) == (1, 1)
    assert "length of the curves" not in " ".join(comparison.causes)


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("training.learning_rate", "Learning rate"),
        ("training.agent.update_epochs", "Epochs per update"),
        ("training.optimizer_settings.momentum", "Momentum"),
        ("data.validation", "Validation share"),
        ("data.options.target_column", "Target column"),
        ("main.conv1.out_channels", "main.conv1.out_channels"),
        ("main.parameters.width", "main.parameters.width"),
    ],
)
def test_titles_of_settings(path: str, title: str) -> None:
    assert setting_title(path) == title


def test_titles_of_choices() -> None:
    assert setting_value("training.optimizer", "adamw") == "AdamW"
    assert setting_value("training.augment", "[]") == "None"
    assert setting_value("data.split", "adamw") == "adamw"


def test_augmentations_are_named_with_their_parameters() -> None:
    project = blank("x")
    chosen = (Augment(kind="rotate", params={"degrees": 40.0}), Augment(kind="cutout", field="image"))
    augmented = project.model_copy(update={"training": project.training.model_copy(update={"augment": chosen})})
    assert settings(augmented)["training.augment"] == "rotate, degrees 40; cutout of image"
    assert difference(project, augmented).lines() == ["training.augment: none → rotate, degrees 40; cutout of image"]
