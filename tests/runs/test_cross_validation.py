"""In each fold of a cross-validation, the network fits the state that was fitted to its training rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netloom import api
from netloom.data import add_file, prepare
from netloom.runs import fit_here
from netloom.runs.search import sweeps
from netloom.runs.search.search_space import assign, grid
from netloom.store import open_store
from netloom.validation.project_check import check_project
from tests.data.brought import EXAMPLE_FILES
from tests.data.crafted import make_csv

FOLDS = 4
RARE = "rare.csv"


def rare_categories() -> bytes:
    """Cities that mostly occur in one or two rows, so that no two training parts have the same set."""
    random = np.random.default_rng(0)
    rows = [f"{size:.3f},c{random.integers(40)},{'yes' if size > 0 else 'no'}" for size in random.normal(size=80)]
    return make_csv("size,city,label", rows)


FILES = {RARE: rare_categories} | {
    name: EXAMPLE_FILES[name][0] for name in ("reviews.zip", "names.conll", "numbers.tsv", "stars.csv", "book.txt")
}


@pytest.mark.parametrize("name", FILES)
def test_each_fold_passes_validation(home: Path, name: str) -> None:
    info = add_file(FILES[name](), name, home)
    project, sweep_plan = sweeps.folds(api.create_project(info.name, home=home), FOLDS)
    shapes = set()
    for values in grid(sweep_plan["space"]):
        fold = assign(project, values, home)
        assert [issue.message for issue in check_project(fold, home)[1] if issue.severity == "error"] == []
        fields = prepare(fold.data, home).schema.inputs
        shapes.add(tuple((field.shape, field.vocabulary) for field in fields))
    if name == RARE:
        assert len(shapes) == FOLDS  # otherwise no network had to be adapted


def test_folds_with_rare_categories_train(home: Path) -> None:
    info = add_file(rare_categories(), RARE, home)
    start = api.create_project(info.name, home=home)
    short = start.model_copy(update={"training": start.training.model_copy(update={"epochs": 1})})
    project, plan = sweeps.folds(short, FOLDS)
    tested: list[int] = []
    for values in grid(plan["space"]):
        run = fit_here(assign(project, values, home), home)
        tested += run.data.split["test"].tolist()
    assert sorted(tested) == list(range(80))  # every row once


def test_failed_folds_are_reported(home: Path) -> None:
    store = open_store(home)
    project, plan = sweeps.folds(api.create_project("wine", home=home), FOLDS)
    sweep = store.create_sweep(store.find_or_create_project(project), project, plan, title="", owner="")
    assert sweeps.missing_results(sweep, store.trials(sweep.id)) == ""
    store.fail_trial(sweep.id, 0, {"data.fold": 0}, "no reason")
    sentence = "1 of 4 folds failed and are not part of these statistics."
    assert sweeps.missing_results(sweep, store.trials(sweep.id)) == sentence
