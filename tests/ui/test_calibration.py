"""The calibration of a run on the Runs page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import streamlit as st
from streamlit.testing.v1 import AppTest

from netloom import runs
from netloom.runs import load_run, predict
from netloom.store import open_store
from netloom.templates import templates
from tests.calibration.examples import misleading_validation_rows
from tests.networks import with_rows
from tests.runs.examples import trained_here


def _page(run_id: str) -> None:
    from netloom.ui.runs.calibration import calibration
    from netloom.ui.shell import session

    store = session.store()
    calibration(store, store.run(run_id))


def trained_run(home: Path, template: str, rows: int = 0) -> str:
    st.cache_resource.clear()
    store, project = open_store(home), templates()[template].project
    project = with_rows(project, rows) if rows else project
    short = project.model_copy(update={"training": project.training.model_copy(update={"epochs": 2})})
    with trained_here():
        return runs.start(store, store.create_project(short), short)


def opened(run_id: str) -> AppTest:
    app = AppTest.from_function(_page, args=(run_id,), default_timeout=120).run()
    assert not app.exception
    return app


def test_calibration_is_measured_applied_and_reset(home: Path) -> None:
    run_id = trained_run(home, "breast_cancer_binary")
    app = opened(run_id)
    artifacts = open_store(home).artifacts(run_id)
    assert [button.label for button in app.button] == ["Measure calibration"]
    app.selectbox(key=f"calibrate abstain {run_id}").set_value("risk")
    app.button[0].click().run()
    assert not app.exception
    assert not app.error, [item.value for item in app.error]
    assert "On the test rows, the ECE changes from" in "".join(item.value for item in app.markdown)
    measures = app.dataframe[0].value
    assert list(measures["Measure"])[:2] == ["Log loss (NLL)", "Brier score"]
    assert "Before" in measures
    assert "After" in measures
    assert "Lower is better." in "".join(item.value for item in app.caption)
    assert artifacts.calibration_stamp() is None
    app.button(key=f"calibrate apply {run_id}").click().run()
    assert artifacts.calibration_stamp() is not None
    assert "Predictions of this run are calibrated" in "".join(item.value for item in app.markdown)
    artifacts.save_calibration({**(artifacts.calibration() or {}), "weights": "those of another epoch"})
    app.run()
    assert "belongs to other weights" in "".join(item.value for item in app.markdown)
    app.button(key=f"calibrate reset {run_id}").click().run()
    assert artifacts.calibration_stamp() is None


def test_a_calibration_that_is_worse_is_applied_on_request_only(home: Path) -> None:
    st.cache_resource.clear()
    store, project = open_store(home), misleading_validation_rows(home)
    with trained_here():
        run_id = runs.start(store, store.create_project(project), project)
    app = opened(run_id)
    app.button[0].click().run()
    assert not app.exception
    assert "worse, so it is not recommended" in "".join(item.value for item in app.markdown)
    assert app.button(key=f"calibrate apply {run_id}").disabled
    app.checkbox(key=f"calibrate worse {run_id}").check().run()
    app.button(key=f"calibrate apply {run_id}").click().run()
    assert store.artifacts(run_id).calibration_stamp() is not None


def test_a_detector_chooses_the_method_alone_and_keeps_its_objects(home: Path) -> None:
    run_id = trained_run(home, "shapes_detector", rows=300)
    app = opened(run_id)
    assert "probability that it matches a true object of its class" in app.caption[0].value
    assert [box.label for box in app.selectbox] == ["Method"]
    app.selectbox(key=f"calibrate method {run_id}").set_value("platt")
    app.button[0].click().run()
    assert not app.exception
    assert not app.error, [item.value for item in app.error]
    captions = "".join(item.value for item in app.caption)
    assert "the threshold with the best F1 on the validation rows" in captions
    assert "mAP50–95" in captions
    app.button(key=f"calibrate apply {run_id}").click().run()
    store = open_store(home)
    trained = load_run(store, run_id)
    assert trained.applied is not None
    rows = [trained.data.row(int(row)) for row in trained.data.split["test"][:9]]
    before, after = (predict(run, rows) for run in (replace(trained, applied=None), trained))
    assert [len(answer["prediction"]) for answer in before] == [len(answer["prediction"]) for answer in after]
    assert before != after


def test_task_without_probabilities_says_why(home: Path) -> None:
    store = open_store(home)
    st.cache_resource.clear()
    project = templates()["digits_autoencoder"].project
    run = store.create_run(store.create_project(project), project)
    store.update_run(run.id, summary={"objective": "reconstruction"})
    app = opened(run.id)
    assert not app.button
    assert "not a probability" in app.caption[0].value
