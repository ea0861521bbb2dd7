"""The training settings on the train page: what is shown, and what a change writes to the document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import streamlit as st
import torch
from streamlit.testing.v1 import AppTest

from netloom.document import Project, Training, apply, write
from netloom.document.optimizer_settings import OPTIMIZERS, SCHEDULES, SETTINGS
from netloom.document.training_settings import FieldDescription, describe_field
from netloom.store import RunArtifacts, open_store
from netloom.templates import templates
from netloom.training.weights.checkpoints import save_best
from netloom.ui.components.metric_texts import measured
from netloom.ui.components.settings import differing
from netloom.ui.train.state import Key

FULL: dict[str, Any] = {
    "schedule": "cosine_restarts",
    "warmup": 0.1,
    "ema_decay": 0.9,
    "class_weights": [1.0, 2.0],
    "layer_lr_multipliers": {"linear_1": 0.5},
    "optimizer": "muon",
    "monitor": "accuracy",
}


@pytest.fixture(autouse=True)
def _clear_caches(home: Path) -> None:
    st.cache_resource.clear()
    st.cache_data.clear()


def open_train_page(home: Path, name: str, **training: Any) -> tuple[AppTest, str]:
    store = open_store(home)
    project = apply(templates()[name].project, {"kind": "project", "training": training})
    key = store.create_project(project)
    page = Path(__file__).parents[2] / "pages" / "train.py"
    app = AppTest.from_file(str(page), default_timeout=60)
    app.query_params["project"] = key
    app.run()
    assert not app.exception
    return app, key


def open_groups(app: AppTest, *titles: str) -> None:
    """Open groups of the advanced settings."""
    for title in titles:
        app.session_state[Key.GROUP.of(title, False)] = True
    app.run()
    assert not app.exception


def labels(app: AppTest) -> set[str]:
    return {item.label for kind in (app.number_input, app.selectbox, app.toggle, app.text_input) for item in kind}


def saved(home: Path, key: str) -> Project:
    return open_store(home).load(key).project


def test_training_settings_are_written_to_the_document(home: Path) -> None:
    app, key = open_train_page(home, "spirals", **FULL)
    assert not app.error
    groups = [item.label for item in app.expander if item.label not in ("Data and objective", "LR range test")]
    open_groups(app, *groups)
    settings = {*OPTIMIZERS["muon"].settings, *SCHEDULES["cosine_restarts"].settings}
    assert {SETTINGS[name].title for name in settings} <= labels(app)
    assert {
        describe_field(name).title
        for name in ("ema_decay", "gradient_accumulation_steps", "precision", "checkpoint", "label_smoothing")
    } <= labels(app)
    choose = {item.label: item for item in app.selectbox}
    choose["LR schedule"].set_value("plateau").run()
    {item.label: item for item in app.number_input}["Patience in epochs"].set_value(7).run()
    {item.label: item for item in app.selectbox}["Optimizer"].set_value("sgd").run()
    assert not app.exception
    training = saved(home, key).training
    assert (training.schedule, training.schedule_settings, training.optimizer) == ("plateau", {"patience": 7}, "sgd")
    assert SETTINGS["dampening"].title in {item.label for item in app.number_input}


def test_closed_group_is_not_drawn_and_lists_its_changes_below(home: Path) -> None:
    app, key = open_train_page(home, "digits_mlp", ema_decay=0.99)
    assert {"EMA", "Weight decay", "Precision", "Objective"}.isdisjoint(labels(app))
    assert "EMA 0\\.99" in {item.value for item in app.caption}
    open_groups(app, "Regularization")
    assert {"EMA", "Weight decay"} <= labels(app)
    assert "Precision" not in labels(app)
    # A change keeps the group open: its title, which identifies it, stays the same.
    {item.label: item for item in app.number_input}["Weight decay"].set_value(0.5).run()
    assert saved(home, key).training.weight_decay == 0.5
    assert "weight decay 0\\.5, EMA 0\\.99" in {item.value for item in app.caption}
    assert "EMA" in labels(app)


def test_search_opens_the_group_of_a_setting(home: Path) -> None:
    app, _ = open_train_page(home, "digits_mlp")
    groups = {"LR schedule", "Regularization", "Device and performance"}
    assert groups <= {item.label for item in app.expander}
    search = next(box for box in app.selectbox if box.label == "Advanced settings")
    names = {"LR schedule", "Gradient accumulation (Optimizer details)", "EMA (Regularization)", "Class weights"}
    assert names <= set(search.options)
    search.select("EMA (Regularization)").run()
    assert not app.exception
    opened = {item.label for item in app.expander if item.proto.expanded}
    assert opened == {"Regularization"}
    assert "EMA" in labels(app)
    assert not groups - {"Regularization"} & {item.label for item in app.expander}


def test_active_run_folds_the_form_to_one_line(home: Path) -> None:
    app, key = open_train_page(home, "digits_mlp", epochs=7, learning_rate=0.003)
    assert not [item for item in app.expander if item.label.startswith("Next run")]
    store = open_store(home)
    store.create_run(key, store.load(key).project, "Waits")
    app.run()
    assert not app.exception
    (folded,) = (item for item in app.expander if item.label.startswith("Next run"))
    assert folded.label == "Next run: Adam · 7 epochs · batch size 64 · learning rate 0.003"
    assert not folded.proto.expanded


def test_invalid_monitor_shows_an_error_and_disables_start(home: Path) -> None:
    app, _ = open_train_page(home, "diabetes", monitor="accuracy")
    (error,) = app.error
    assert "no metric 'accuracy' to monitor" in error.value
    assert next(item for item in app.button if item.label == "Start training").disabled


def test_teacher_list_contains_matching_runs_of_other_projects(home: Path) -> None:
    store = open_store(home)
    for name in ("digits_mlp", "digits_autoencoder", "spirals"):  # only the first one has matching classes
        project = templates()[name].project
        run = store.create_run(store.create_project(project), project, f"Run of {name}")
        store.update_run(run.id, summary={"objective": project.training.objective})
        folder = store.artifacts(run.id).local_directory()
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / "project.json", project)
        save_best(RunArtifacts.in_directory(folder), {"w": torch.zeros(1)}, {})
    app, _ = open_train_page(home, "digits_cnn", objective="distillation")
    app.session_state[Key.DATA.of(True)] = True
    app.run()
    first, *others = next(box for box in app.selectbox if box.label == "Teacher").options
    assert first == "Choose a run"
    assert [other.split(" · ")[0] for other in others] == ["Digits with an MLP: Run of digits_mlp"]
    next(box for box in app.selectbox if box.label == "Teacher").select_index(1).run()
    assert not app.error


def test_accuracy_label_matches_the_curves_of_the_run(home: Path) -> None:
    store, project = open_store(home), templates()["requests_tagger"].project
    run = store.create_run(store.create_project(project), project)
    assert measured("accuracy", 0.5, run) == ("Accuracy", "50.0%")  # an old run without titles
    for title, shown in (("Token accuracy", "Token accuracy"), ("Accuracy at ½", "Accuracy")):
        store.update_run(run.id, summary={"titles": {"accuracy": title}})
        assert measured("accuracy", 0.5, store.run(run.id)) == (shown, "50.0%")


def test_group_titles_summarize_changed_settings() -> None:
    training = Training(
        ema_decay=0.99, precision="bf16", layer_lr_multipliers={"a": 0.1}, class_weights="balanced", monitor="mae"
    )
    assert differing(training, Training.model_fields.keys() - {"agent", "augment"}).count(",") == 4
    assert differing(training, ["ema_decay"]) == "EMA 0.99"
    assert differing(training, ["layer_lr_multipliers", "class_weights"]) == "1 custom, balanced"
    assert differing(Training(), Training.model_fields.keys() - {"agent"}) == ""


def test_field_descriptions_match_their_declarations() -> None:
    clip = FieldDescription(
        "gradient_clip",
        "Clip by norm",
        "Maximum norm of the gradient; empty: no clipping",
        "number",
        None,
        0,
        1e6,
        above=True,
        optional=True,
    )
    assert describe_field("gradient_clip") == clip
    assert describe_field("device").choices == ("auto", "cpu", "cuda")
    assert (describe_field("seed").high, describe_field("seed").below) == (2**31, True)
