"""Training without validation rows: the metrics on training rows take their place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from netloom.data import DataError, prepare
from netloom.document import Project
from netloom.runs import evaluate, fit_here
from netloom.runs.search import sweeps
from netloom.runs.search.search_space import SpaceError
from netloom.store import open_store
from netloom.templates import templates
from netloom.training.loop import NO_VALIDATION
from tests.networks import with_rows
from tests.runs.examples import Recorder, loop, moons

ALL_ROWS: dict[str, Any] = {"validation": 0.0, "validation_of": "training"}


def unvalidated(project: Project) -> Project:
    return project.model_copy(update={"data": project.data.model_copy(update=ALL_ROWS)})


class Events(Recorder):
    def __init__(self) -> None:
        super().__init__()
        self.sentences: list[str] = []

    def log_event(self, kind: str, sentence: str) -> None:
        self.sentences.append(sentence)


def test_training_metrics_select_the_best_weights_and_stop_early(home: Path) -> None:
    settings: dict[str, Any] = {"learning_rate": 1e-9, "monitor": "accuracy", "early_stopping": 2, "epochs": 30}
    trainer, seen = loop(unvalidated(moons(**settings)), home), Events()
    assert trainer.fit(seen)
    assert {split for _, _, split, *_ in seen.points} == {"train"}
    assert trainer.best.value == max(seen.curve("train", "accuracy"))
    assert trainer.epoch < 30  # weights that hardly move cannot improve for long
    assert seen.sentences == [NO_VALIDATION]


# The thresholds of these tasks are chosen on validation rows, the views of the last are as many as validation rows.
@pytest.mark.parametrize("name", ["breast_cancer_binary", "scenes_labels", "pulses_anomaly", "shapes_simclr"])
def test_evaluation_calibrates_on_training_rows(name: str, home: Path) -> None:
    project = unvalidated(with_rows(templates()[name].project, 300))
    run = fit_here(project.model_copy(update={"training": project.training.model_copy(update={"epochs": 1})}), home)
    assert not len(run.data.split["validation"])
    assert bool(run.calibration) == run.objective.task.tunes_threshold
    assert evaluate(run).metrics
    with pytest.raises(DataError, match="no validation rows"):
        evaluate(run, "validation")


def test_search_without_validation_rows_is_refused(home: Path) -> None:
    store, project = open_store(home), unvalidated(moons())
    plan = sweeps.plan(project, {"training.learning_rate": {"choices": [0.1, 0.2]}}, sampler="grid")
    with pytest.raises(SpaceError, match="validation share of 0"):
        sweeps.start(store, store.create_project(project), project, plan)
    shares = sweeps.plan(moons(), {"data.validation": {"choices": [0.0, 0.2]}}, sampler="grid")
    with pytest.raises(SpaceError, match="validation share of 0"):
        sweeps.start(store, store.create_project(moons()), moons(), shares)
    store.close()


def test_monitored_split_of_given_validation_rows_is_validation(home: Path) -> None:
    assert prepare(moons().data, home).monitored_split == "validation"
    assert prepare(unvalidated(moons()).data, home).monitored_split == "train"
