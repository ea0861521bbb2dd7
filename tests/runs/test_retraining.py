"""Runs that go on from the weights of another one, on a version of its data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from netloom import runs
from netloom.data import Prepared, add_file, prepare
from netloom.data.dataset_version import make_version
from netloom.document import DataChoice, Project, updated
from netloom.runs.retraining import retrain, why_not
from netloom.store import open_store
from netloom.templates import templates
from netloom.templates.starting import fit
from netloom.training.initialization import StartError
from netloom.training.weight_files import read_weights
from tests.runs.examples import trained_here


def project_of(home: Path) -> Project:
    random = np.random.default_rng(0)
    x = random.normal(size=200)
    frame = pd.DataFrame({"x": x, "group": random.choice(["a", "b"], 200), "label": np.where(x > 0, "yes", "no")})
    info = add_file(frame.to_csv(index=False).encode(), "rows.csv", home, target="label")
    fitted = fit(templates()["breast_cancer"].project, DataChoice(dataset=info.name), "Rows", home)
    assert fitted is not None
    return fitted.project.model_copy(update={"training": updated(fitted.project.training, {"epochs": 1})})


def version_of(project: Project, home: Path, group: str = "a") -> str:
    data = prepare(project.data, home)
    return make_version(data, [({"x": 0.1, "group": group}, "no")] * 5, home, f"More {group}").name


def test_run_starts_from_the_weights_on_the_same_test_rows(home: Path) -> None:
    store, project = open_store(home), project_of(home)
    with trained_here():
        first = runs.start(store, store.create_project(project), project)
        second = retrain(store, first, version_of(project, home))
    assert store.run(second).state == "finished"
    assert store.run(second).title.endswith(", retrained")
    before, after = store.artifacts(first), store.artifacts(second)
    start = read_weights(after.start_weights)
    best = read_weights(before.best_weights)
    assert all(torch.equal(start[name], values) for name, values in best.items())
    old, new = (prepare(item.project().data, home) for item in (before, after))
    assert len(new.split["train"]) == len(old.split["train"]) + 5
    for split in ("validation", "test"):
        rows = [[data.row(place) for place in sorted(data.split[split].tolist())] for data in (old, new)]
        assert rows[0] == rows[1]


def test_weights_are_not_used_for_other_classes_categories_or_scales(home: Path) -> None:
    store, project = open_store(home), project_of(home)
    with trained_here():
        first = runs.start(store, store.create_project(project), project)
    with pytest.raises(StartError, match="categories"):
        retrain(store, first, version_of(project, home, group="new"))
    assert len(store.runs(store.run(first).project_id)) == 1

    def data_of(name: str, prepare_as: str = "standardize") -> tuple[Prepared, Prepared]:
        choice = templates()[name].project.data.model_copy(update={"prepare": prepare_as})
        data = prepare(choice, home)
        info = make_version(data, [], home, f"{name} {prepare_as}")
        return data, prepare(choice.model_copy(update={"dataset": info.name, "split": "given"}), home)

    assert "in their order" in why_not(*data_of("breast_cancer"))
    assert why_not(*data_of("digits_mlp")) == ""
    assert "scaled differently" in why_not(*data_of("digits_mlp", "scale"))
    numbers = prepare(templates()["diabetes"].project.data, home)
    info = make_version(numbers, [(numbers.row(0), 1e6)], home, "an extreme label")
    choice = templates()["diabetes"].project.data.model_copy(update={"dataset": info.name, "split": "given"})
    assert "target of the new data is scaled" in why_not(numbers, prepare(choice, home))
