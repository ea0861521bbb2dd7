"""Data × task × split × encoding × export: each combination works to the export, or is rejected with a message."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from netloom import api
from netloom.data import DataError, add_file, prepare, schema
from netloom.document import DataChoice, Project, apply
from netloom.explain import explain, methods
from netloom.modalities.columns.registry import column_kinds
from netloom.runs import TrainedRun, fit_here
from netloom.tasks import tasks
from netloom.templates import templates
from netloom.templates.starting import start, starters
from netloom.validation.project_check import check_project, refit_edits, with_fields
from tests.data.brought import EXAMPLE_FILES

# Small built-in datasets for the cases that no file of `EXAMPLE_FILES` covers.
BUILT_IN: dict[str, dict[str, Any]] = {
    "digits": {"noise_size": 16},
    "scenes": {"rows": 60},
    "shape_facts": {"rows": 60},
    "pulses": {"rows": 200},
    "station": {"hours": 400},
    "parts": {},
    "clicks": {},
    "cartpole": {},
}
# Settings of uploads that their files do not tell.
OPTIONS: dict[str, dict[str, Any]] = {
    "targets.csv": {
        "task": "several_outputs",
        "columns": {
            "person": {"role": "group"},
            "part": {"role": "split"},
            "level": {"role": "target"},
            "score": {"role": "target"},
        },
    },
}
# The tasks that each dataset supports; all others are rejected. Update this when a combination is added or lost.
CELLS: dict[str, str] = {
    "people.xlsx": "classification binary_classification reconstruction anomaly_detection",
    "people.jsonl": "classification binary_classification reconstruction anomaly_detection",
    "films.csv": "classification binary_classification reconstruction anomaly_detection",
    "bars.npz": (
        "classification ordinal_classification binary_classification reconstruction anomaly_detection contrastive"
    ),
    "mnist.zip": (
        "classification ordinal_classification binary_classification reconstruction anomaly_detection contrastive"
    ),
    "waves.tsv": "classification binary_classification reconstruction anomaly_detection",
    "bars.csv": (
        "classification ordinal_classification binary_classification reconstruction anomaly_detection contrastive"
    ),
    "bright.zip": "classification binary_classification reconstruction anomaly_detection contrastive",
    "pairs.zip": "classification binary_classification siamese",
    "squares.zip": "segmentation reconstruction contrastive",
    "boxes.zip": "detection reconstruction contrastive",
    "reviews.zip": "classification binary_classification contrastive",
    "lines.zip": "classification binary_classification contrastive",
    "names.conll": "tagging",
    "intents.zip": "class_and_tags",
    "numbers.tsv": "seq2seq",
    "questions.csv": "classification ordinal_classification binary_classification siamese",
    "targets.csv": "several_outputs reconstruction",
    "triplets.csv": "classification binary_classification siamese",
    "triplets.zip": "classification binary_classification siamese",
    "tones.zip": "classification binary_classification reconstruction anomaly_detection",
    "wave.csv": "regression reconstruction",
    "stars.csv": "regression ranking",
    "graphs.zip": "classification binary_classification",
    "rings.npz": "classification ordinal_classification binary_classification",
    "rings.jsonl": "classification binary_classification",
    "book.txt": "language_modeling",
    "digits": "classification reconstruction gan contrastive",
    "scenes": "multi_label reconstruction contrastive",
    "shape_facts": "several_outputs reconstruction contrastive",
    "station": "regression reconstruction",
    "pulses": "classification binary_classification reconstruction anomaly_detection",
    "parts": "classification binary_classification reconstruction contrastive",
    "clicks": "classification binary_classification",
    "cartpole": "reconstruction dqn reinforce ppo",
}
SPLITS = ("random", "stratified", "group", "time", "given", "folds")
FORMATS = ("bundle", "notebook", "pt2", "onnx")
# The logarithm of bands that are silent in pure tones amplifies the rounding of float32: the outputs of ONNX Runtime
# differ by 1.4e-4 from the app's, and those of the app by 2e-5 from float64, so the file may be refused.
ROUNDED = {("tones.zip", "binary_classification"), ("tones.zip", "classification")}
MAX_FIXES = 25
# Templates with the same task and the same kinds of inputs, of 23 for classification.
MAX_ALIKE = 2


@dataclass(frozen=True)
class Cell:
    """One dataset with one task: a project that passes the check, or the message that rejects it."""

    project: Project | None
    refusal: str = ""


@pytest.fixture(scope="session")
def uploads_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder for all uploads."""
    return tmp_path_factory.mktemp("matrix")


@cache
def data_choice(name: str, home: Path) -> DataChoice:
    if name in BUILT_IN:
        return DataChoice(dataset=name, options=dict(BUILT_IN[name]))
    return DataChoice(dataset=add_file(EXAMPLE_FILES[name][0](), name, home).name, options=OPTIONS.get(name, {}))


@cache
def proposed_networks(name: str, home: Path) -> list[Project]:
    """The networks that the app proposes for the data."""
    data = data_choice(name, home)
    fields = schema(data, home)
    assert fields is not None
    started = (start(template, data, "matrix", home) for template in starters(data, fields)[:2])
    return [project for project in started if project is not None]


@cache
def templates_of(task: str) -> list[Project]:
    """The templates with this task, at most `MAX_ALIKE` with the same kinds of inputs, the smallest first."""
    alike: dict[tuple[str, ...], list[Project]] = {}
    projects = [template.project for template in templates().values() if template.project.training.objective == task]
    for project in sorted(projects, key=lambda project: sum(len(part.nodes) for part in project.networks.values())):
        inputs = (str(node.params["kind"]) for node in project.main_network.nodes.values() if node.type == "Input")
        alike.setdefault(tuple(sorted(inputs)), []).append(project)
    return [project for projects in alike.values() for project in projects[:MAX_ALIKE]]


def candidates(name: str, task: str, home: Path) -> Iterator[Project]:
    """Networks that a user might choose: those proposed for this data first, then templates with this task."""
    yield from proposed_networks(name, home)
    for project in templates_of(task):
        yield project.model_copy(update={"data": data_choice(name, home)})


def with_fixes(project: Project, home: Path) -> Cell:
    """The project after the fixes that the check offers, as long as these do not change the task."""
    objective, refusal = project.training.objective, ""
    for _ in range(MAX_FIXES):
        errors = [issue for issue in check_project(project, home)[1] if issue.severity == "error"]
        if not errors:
            return Cell(project)
        refusal = refusal or errors[0].message
        fix = next((issue.fix for issue in errors if issue.fix is not None), None)
        if fix is None:
            break
        project = apply(project, fix.edit)
        if project.training.objective != objective:
            break
    return Cell(None, refusal)


@cache
def cell(name: str, task: str, home: Path) -> Cell:
    refusal = ""
    for project in candidates(name, task, home):
        training = project.training.model_copy(
            update={"objective": task, "epochs": 1, "device": "cpu", "seed": 0, "compile": "off"}
        )
        fixed_cell = with_fixes(with_fields(project.model_copy(update={"training": training}), home), home)
        if fixed_cell.project is not None:
            return fixed_cell
        refusal = refusal or fixed_cell.refusal
    return Cell(None, refusal or "There is no network for this data.")


def assert_usable(run: TrainedRun, formats: tuple[str, ...], folder: Path) -> None:
    """Evaluation, prediction, explanation and export work, with finite numbers."""
    evaluation = api.evaluate(run)
    assert evaluation.metrics
    assert all(math.isfinite(value) for value in evaluation.metrics.values()), evaluation.metrics
    rows = run.data.split["test"][:2].tolist()
    answers = api.predict(run, [run.data.raw.row(row) for row in rows])
    assert len(json.loads(json.dumps(answers))) == len(rows)
    available = [method for method in methods(run) if method.available]
    if run.objective.task.explained:
        explanation = explain(run, available[0].name, rows[0])
        assert all(np.isfinite(values).all() for values in explanation.attributions.values())
    for name in formats:
        report = api.export_run(run, name, folder / f"network.{name}")
        assert report.difference is None or report.difference <= (report.tolerance or 0)


def assert_is_sentence(refusal: DataError) -> None:
    assert str(refusal).endswith(".")


# Another dataset with the same kinds of fields and the same tasks covers these.
SIMILAR = {
    "people.jsonl": "people.xlsx",
    "films.csv": "people.xlsx",
    "lines.zip": "reviews.zip",
    "mnist.zip": "bars.npz",
    "bars.csv": "bars.npz",
    "waves.tsv": "pulses",
    "triplets.zip": "pairs.zip",
    "rings.jsonl": "graphs.zip",
    "station": "wave.csv",
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long) if name in SIMILAR else name for name in CELLS]
)
def test_every_task_is_accepted_or_rejected_with_a_message(name: str, uploads_home: Path) -> None:
    cells = {task: cell(name, task, uploads_home) for task in tasks()}
    assert {task for task, task_cell in cells.items() if task_cell.project is not None} == set(CELLS[name].split())
    for task, task_cell in cells.items():
        assert task_cell.project is not None or task_cell.refusal.endswith("."), (task, task_cell.refusal)


def test_matrix_covers_all_data_and_tasks() -> None:
    assert set(CELLS) == {*EXAMPLE_FILES, *BUILT_IN}
    assert all(CELLS[name] == CELLS[other] for name, other in SIMILAR.items())
    needs_earlier_run = {name for name, task in tasks().items() if task.learns_from_teacher}
    assert set(" ".join(CELLS.values()).split()) == set(tasks()) - needs_earlier_run


ALL = [(name, task) for name, accepted in CELLS.items() for task in accepted.split()]
# Each task, and each dataset that no other one covers, at least once.
SOME = list({task: (name, task) for name, task in reversed(ALL)}.values())
SOME += [(name, accepted.split()[0]) for name, accepted in CELLS.items() if name not in {*dict(SOME), *SIMILAR}]


@pytest.mark.parametrize(("name", "task"), SOME)
def test_accepted_combination_trains_and_exports(name: str, task: str, uploads_home: Path, tmp_path: Path) -> None:
    project = cell(name, task, uploads_home).project
    assert project is not None
    assert_usable(fit_here(project, uploads_home), ("bundle",), tmp_path)


def with_split(project: Project, method: str, home: Path) -> Project:
    """The project with another split, as the Data page changes it."""
    change = {"folds": 3} if method == "folds" else {"split": method}
    project = project.model_copy(update={"data": project.data.model_copy(update=change)})
    for edit in refit_edits(project, home):
        project = apply(project, edit)
    return project


@pytest.mark.parametrize("method", SPLITS)
@pytest.mark.parametrize("name", CELLS)
def test_split_is_applied_or_rejected_with_a_message(name: str, method: str, uploads_home: Path) -> None:
    data = data_choice(name, uploads_home).model_copy(update={"folds": 3} if method == "folds" else {"split": method})
    try:
        prepared = prepare(data, uploads_home)
    except DataError as error:
        assert_is_sentence(error)
        return
    parts = {part: set(rows.tolist()) for part, rows in prepared.split.items()}
    assert all(parts.values())
    assert len(set.union(*parts.values())) == sum(map(len, parts.values()))  # no row is in two parts
    groups, times = prepared.raw.groups, prepared.raw.times
    if method == "given":
        given = prepared.raw.given
        assert given is not None
        place_of_validation = 1 if (given == 1).any() else 0  # without a given validation, it is a share of training
        for part, place in (("train", 0), ("validation", place_of_validation), ("test", 2)):
            assert set(given[list(parts[part])]) == {place}
    if method == "group":
        assert groups is not None
        group_sets = [set(groups[list(rows)].tolist()) for rows in parts.values()]
        assert len(set.union(*group_sets)) == sum(map(len, group_sets))
    if method == "time" and times is not None:
        train, validation, test = (times[list(parts[part])] for part in ("train", "validation", "test"))
        assert train.max() < validation.min()
        assert validation.max() < test.min()


def encodings() -> Iterator[dict[str, Any]]:
    """Each kind of column with each of its encodings, as the settings of a column."""
    for name, kind in column_kinds().items():
        setting = kind.preprocessing.setting
        for value in kind.preprocessing.labels.values():
            yield {"kind": name, **({setting: value} if setting else {})}


@pytest.mark.parametrize("settings", list(encodings()), ids=lambda settings: "-".join(settings.values()))
@pytest.mark.parametrize("name", ["people.xlsx", "films.csv", "questions.csv"])
def test_every_encoding_is_applied_or_rejected_with_a_message(
    name: str, settings: dict[str, Any], uploads_home: Path
) -> None:
    choice = data_choice(name, uploads_home)
    usual = prepare(choice, uploads_home)
    for column in usual.raw.row(0):
        changed = choice.model_copy(update={"options": {"columns": {column: settings}}})
        try:
            prepared = prepare(changed, uploads_home)
        except DataError as error:
            assert_is_sentence(error)
            continue
        finite = [bool(torch.isfinite(tensor.double()).all()) for tensor in prepared.inputs.values()]
        assert all(finite), column
        assert {len(tensor) for tensor in prepared.inputs.values()} == {len(usual.target)}


@pytest.mark.long
@pytest.mark.timeout(1_800)
@pytest.mark.usefixtures("operators")
@pytest.mark.parametrize(("name", "task"), ALL)
def test_every_combination_works_with_every_split_and_export(
    name: str, task: str, uploads_home: Path, tmp_path: Path
) -> None:
    project = cell(name, task, uploads_home).project
    assert project is not None
    formats = FORMATS if (name, task) not in ROUNDED else tuple(one for one in FORMATS if one != "onnx")
    assert_usable(fit_here(project, uploads_home), formats, tmp_path)
    for method in SPLITS:
        try:
            assert_usable(fit_here(with_split(project, method, uploads_home), uploads_home), (), tmp_path)
        except DataError as error:
            assert_is_sentence(error)
