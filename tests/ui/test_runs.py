"""The runs page: queued runs, filters, and applying the best values of a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import streamlit as st
from streamlit.dataframe_util import convert_arrow_bytes_to_pandas_df
from streamlit.testing.v1 import AppTest

from netloom.document import apply, write
from netloom.runs.search import sweeps
from netloom.store import Store, open_store
from netloom.store.run_summary import RunOrigin, SweepTrial
from netloom.templates import templates
from netloom.ui.components.metric_texts import heading
from netloom.ui.runs.comparison import parallel_chart
from netloom.ui.runs.state import RunsState
from netloom.ui.shell import session
from netloom.ui.shell.run_picker import UNKNOWN_RUN
from tests.runs.examples import moons
from tests.store.states import put, put_sweep

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(home: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    st.cache_resource.clear()
    st.cache_data.clear()
    monkeypatch.setattr("netloom.runs.keep", lambda store: None)  # nothing trains; tests set the run states
    return open_store(home)


def open_page(page: str = "runs") -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / f"{page}.py"), default_timeout=60)
    app.run()
    assert not app.exception
    return app


def displayed(app: AppTest, number: int = 0) -> pd.DataFrame:
    """A table of the page as the browser shows it, formatted by a styler."""
    return convert_arrow_bytes_to_pandas_df(app.dataframe[number].proto.arrow_data.styler.display_values)


def table_titles(app: AppTest) -> list[str]:
    return list(app.dataframe[0].value["Title"])


def test_metrics_use_the_standard_names_and_formats(store: Store) -> None:
    run = store.create_run(store.create_project(moons()), moons(), "Several")
    put(store, run.id, "finished", summary={"test": {"accuracy (shape)": 0.5167, "roc_auc": 0.97684}})
    table = open_page().dataframe[0].value
    assert list(table["Accuracy (shape) (test)"]) == [0.5167]
    assert list(table["ROC-AUC (test)"]) == [0.97684]
    assert [heading(name) for name in ("roc_auc", "f1", "examples", "class")] == ["ROC-AUC", "F1", "Examples", "Class"]


def test_comparison_shows_differences_from_the_baseline(store: Store) -> None:
    """Metrics without values, or without a baseline value, are omitted."""
    project_id = store.create_project(moons())
    for loss in (0.25, 0.75, None):
        run = store.create_run(project_id, moons(), f"Run {loss}")
        summary = {"best": {"loss": loss}, "test": {"macro_f1": loss}} if loss else {}
        put(store, run.id, "finished", summary=summary)
    ids = {run.title: run.id for run in store.runs()}
    app = AppTest.from_function(_comparison_page, args=(list(ids.values()),), default_timeout=60)
    app.session_state[RunsState.name()] = RunsState(baseline=ids["Run 0.25"])
    app.run()
    assert not app.exception
    comparison = app.dataframe[0].value.set_index("Run")
    assert list(comparison.columns) == [
        "Loss (validation)",
        "Δ Loss (validation)",
        "Macro F1 (test)",
        "Δ Macro F1 (test)",
    ]
    assert list(comparison.loc["Run 0.75"]) == [0.75, 0.5, 0.75, 0.5]
    app.selectbox[0].set_value(ids["Run None"]).run()
    assert list(app.dataframe[0].value.columns) == ["Run", "Loss (validation)", "Macro F1 (test)"]


def test_curves_of_different_losses_are_not_presented_as_comparable(store: Store) -> None:
    project_id, ids = store.create_project(moons()), []
    for title, loss in (("First", "Cross-entropy"), ("Second", "Cross-entropy"), ("Third", "MSE")):
        run = store.create_run(project_id, moons(), title)
        put(store, run.id, "finished", summary={"titles": {"loss": loss}})
        store.add_points(run.id, [(1, 1, "validation", "loss", 0.5, 0.0)])
        ids.append(run.id)

    def captions(run_ids: list[str]) -> str:
        app = AppTest.from_function(_comparison_page, args=(run_ids,), default_timeout=60).run()
        assert not app.exception
        return " ".join(caption.value for caption in app.caption)

    assert "which cannot be compared: Cross\\-entropy, MSE" in captions(ids)
    assert "cannot be compared" not in captions(ids[:2])


def test_link_selects_its_run(store: Store) -> None:
    project_id = store.create_project(moons())
    first, _ = (store.create_run(project_id, moons(), title) for title in ("First", "Second"))
    app = AppTest.from_file(str(ROOT / "pages" / "runs.py"), default_timeout=60)
    app.query_params["run"] = first.id
    app.run()
    assert not app.exception
    assert app.session_state[RunsState.name()].chosen == [first.id]


def test_warning_of_an_unknown_run_ends_with_the_choice_of_a_run(store: Store) -> None:
    project_id = store.create_project(moons())
    first, _ = (store.create_run(project_id, moons(), title) for title in ("First", "Second"))
    app = AppTest.from_file(str(ROOT / "pages" / "train.py"), default_timeout=60)
    app.query_params["project"], app.query_params["run"] = project_id, "nonsense"
    app.run()
    assert [item.value for item in app.warning] == [UNKNOWN_RUN]
    next(item for item in app.selectbox if item.label == "Run").set_value(first.id).run()
    assert not app.exception
    assert not app.warning
    assert app.query_params["run"] == first.id


def _comparison_page(ids: list[str]) -> None:
    from netloom.ui.runs.comparison import comparison
    from netloom.ui.shell import session

    store = session.store()
    comparison(store, [store.run(run_id) for run_id in ids])


def test_runs_filter_by_project_state_tag_and_text(store: Store) -> None:
    project_id, other = store.create_project(moons()), store.create_project(moons())
    for number, (owner, state, tags) in enumerate(
        [(project_id, "finished", ["a"]), (project_id, "failed", ["a", "b"]), (other, "stopped", [])]
    ):
        run = store.create_run(owner, moons(), f"Run {number}", tags=tags)
        put(store, run.id, state, notes="Rare *words*" if number == 2 else "")
    app = open_page()
    assert table_titles(app) == ["Run 2", "Run 1", "Run 0"]
    app.selectbox(key="of").set_value(project_id).run()
    assert table_titles(app) == ["Run 1", "Run 0"]
    app.multiselect(key="tag of").set_value(["a", "b"]).run()
    assert table_titles(app) == ["Run 1"]
    app.multiselect(key="tag of").set_value([]).run()
    app.multiselect(key="state of").set_value(["finished"]).run()
    assert table_titles(app) == ["Run 0"]
    app.selectbox(key="of").set_value("").run()
    app.multiselect(key="state of").set_value([]).run()
    app.text_input(key="text of").set_value("rare *WORDS").run()
    assert table_titles(app) == ["Run 2"]
    app.multiselect(key="state of").set_value(["running"]).run()  # a state that no run has can be selected, too
    assert not app.dataframe
    app.button[0].click().run()
    assert table_titles(app) == ["Run 2", "Run 1", "Run 0"]
    assert not app.error


def test_selection_survives_table_changes(store: Store) -> None:
    """A new run, a filter that is set and cleared, and a deleted run."""
    project_id = store.create_project(moons())
    created = [store.create_run(project_id, moons(), f"Run {number}") for number in range(3)]
    for number, run in enumerate(created):
        put(store, run.id, "failed" if number == 1 else "finished")
    app = open_page()
    app.session_state[str(app.dataframe[0].key)] = {"selection": {"rows": [0, 1], "columns": [], "cells": []}}
    assert selected_titles(app.run()) == ["Run 2", "Run 1"]
    newest = store.create_run(project_id, moons(), "Run 3")
    put(store, newest.id, "finished")
    assert selected_titles(app.run()) == ["Run 2", "Run 1"]
    assert selected_titles(app.multiselect(key="state of").set_value(["failed"]).run()) == ["Run 1"]
    assert selected_titles(app.multiselect(key="state of").set_value([]).run()) == ["Run 2", "Run 1"]
    store.delete_run(created[2].id)
    assert selected_titles(app.run()) == ["Run 1"]
    assert not app.exception


def _three_runs(store: Store) -> None:
    """Runs with different learning rates, optimizers and accuracies, with their documents."""
    project_id = store.create_project(moons())
    for rate, optimizer, accuracy in ((0.1, "sgd", 0.5), (0.01, "adam", 0.75), (0.001, "adam", 0.25)):
        project = apply(moons(), {"kind": "project", "training": {"learning_rate": rate, "optimizer": optimizer}})
        run = store.create_run(project_id, project)
        folder = store.artifacts(run.id).local_directory()
        folder.mkdir(parents=True)
        write(folder / "project.json", project)
        put(store, run.id, "finished", summary={"test": {"accuracy": accuracy}})


def test_runs_are_compared_by_hyperparameter_columns_conditions_and_groups(store: Store) -> None:
    _three_runs(store)
    app = open_page()
    table = app.dataframe[0].value
    assert list(table["Title"]) == ["Moons 3", "Moons 2", "Moons"], "automatic names are unique"
    assert list(table["Learning rate"]) == [0.001, 0.01, 0.1]
    assert list(table["Optimizer"]) == ["Adam", "Adam", "SGD with momentum"]
    assert list(table["Accuracy (test)"]) == [0.25, 0.75, 0.5]
    assert list(displayed(app)["Accuracy (test)"]) == ["25.0%", "75.0%", "50.0%"], "as on the Train page"
    app.session_state[str(app.dataframe[0].key)] = {"selection": {"rows": [1], "columns": [], "cells": []}}
    app.run()
    box = next(item for item in app.multiselect if item.label == "Hyperparameters and metrics")
    box.unselect("training.optimizer").run()
    assert "Optimizer" not in app.dataframe[0].value
    assert selected_titles(app) == ["Moons 2"], "the selection survives another choice of columns"
    next(item for item in app.multiselect if item.label == "Conditions on columns").select("Accuracy (test)").run()
    next(item for item in app.number_input if item.label == "Accuracy (test) from").set_value(0.5).run()
    assert table_titles(app) == ["Moons 2", "Moons"]
    next(item for item in app.number_input if item.label == "Accuracy (test) from").set_value(None).run()
    next(item for item in app.selectbox if item.label == "Group by").select("training.optimizer").run()
    assert not app.exception
    groups = app.dataframe[0].value.set_index("Optimizer")
    assert list(groups.loc["Adam"]) == [2, "50.0% ± 35.4%"]
    assert list(groups.loc["SGD with momentum"]) == [1, "50.0%"]


def test_differences_name_settings_and_choices_by_title(store: Store) -> None:
    _three_runs(store)
    app = open_page()
    app.session_state[str(app.dataframe[0].key)] = {"selection": {"rows": [0, 2], "columns": [], "cells": []}}
    app.run()
    differences = app.dataframe[1].value
    assert list(differences["Learning rate"]) == ["0.001", "0.1"]
    assert list(differences["Optimizer"]) == ["Adam", "SGD with momentum"]
    assert list(displayed(app, 1)["Accuracy (test)"]) == ["25.0%", "50.0%"]
    assert list(displayed(app, 1)["Δ Accuracy (test)"]) == ["+0.0%", "+25.0%"]
    changes = next(item.value for item in app.dataframe if "Setting" in item.value)
    assert set(changes["Setting"]) == {"Learning rate", "Optimizer"}
    assert {"Adam", "SGD with momentum"} <= {*changes["Baseline"], *changes["Compared run"]}


def test_settings_of_agents_have_titles_and_come_after_those_of_all_runs(store: Store) -> None:
    _three_runs(store)
    agent = templates()["cartpole_ppo"].project
    run = store.create_run(store.create_project(agent), agent)
    folder = store.artifacts(run.id).local_directory()
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "project.json", agent)
    put(store, run.id, "finished", summary={"test": {"return": 20.0, "random_return": 9.0, "length": 20.0}})
    app = open_page()
    assert "Accuracy (test)" in app.dataframe[0].value, "as three runs have it, and one the metrics of an agent"
    box = next(item for item in app.multiselect if item.label == "Hyperparameters and metrics")
    assert "training.agent.update_epochs" not in box.value, "only one run has it"
    assert "Learning rate" in app.dataframe[0].value
    box.select("training.agent.update_epochs").run()
    assert list(app.dataframe[0].value["Epochs per update"].dropna()) == [agent.training.agent.update_epochs]


def selected_titles(app: AppTest) -> list[str]:
    """The titles of the rows that are selected in the table."""
    titles = table_titles(app)
    return [titles[row] for row in app.session_state[str(app.dataframe[0].key)]["selection"]["rows"]]


def test_queued_run_shows_its_position(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    project_id = store.create_project(moons())
    paused_run = store.create_run(project_id, moons(), "First")
    put(store, paused_run.id, "paused")
    for title in ("Second", "Third"):
        store.create_run(project_id, moons(), title)
    monkeypatch.setattr("netloom.runs.supervisor.tend", lambda store: None)
    states = list(open_page().dataframe[0].value["State"])
    assert states == ["Queued · 2nd in line", "Queued · next in line", "Paused"]


def test_grid_sweep_shows_its_number_of_combinations(store: Store) -> None:
    store.create_project(moons())
    app = open_page()
    app.segmented_control(key="runs part").set_value("sweeps").run()
    app.selectbox(key="sampler").set_value("grid").run()
    assert app.number_input(key="trials of 5").value == 5
    app.multiselect(key="sweep paths").set_value(["training.learning_rate", "training.checkpoint"]).run()
    assert app.number_input(key="trials of 10").value == 10
    app.number_input(key="points training.learning_rate").set_value(3).run()
    app.number_input(key="trials of 6").set_value(4).run()
    captions = [item.value for item in app.caption]
    assert "The grid has 6 combinations; this sweep tries 4 of them, spread over the grid." in captions
    assert not app.exception


@pytest.mark.parametrize(("kind", "label"), [("folds", "Folds"), ("seeds", "Seeds")])
def test_form_of_repetitions_asks_for_their_number(store: Store, kind: str, label: str) -> None:
    store.create_project(moons())
    app = open_page()
    app.segmented_control(key="runs part").set_value("sweeps").run()
    app.segmented_control(key="sweep kind").set_value(kind).run()
    assert sweeps.KINDS[kind].help in [item.value for item in app.caption]
    assert [item.label for item in app.number_input] == [label]
    assert "Search algorithm" not in [item.label for item in app.selectbox]
    assert not app.exception


def test_best_sweep_values_can_be_applied_and_undone(store: Store) -> None:
    project = moons()
    project_id = store.create_project(project)
    space = {"training.learning_rate": {"low": 0.001, "high": 0.1}, "main.linear_1.units": {"choices": [4, 8]}}
    sweep = store.create_sweep(project_id, project, sweeps.plan(project, space, trials=6))
    for number in range(6):
        assigned = {"training.learning_rate": 0.01 * (number + 1), "main.linear_1.units": 4 + 4 * (number % 2)}
        store.fail_trial(sweep.id, number, assigned, "")
        store.end_trial(sweep.id, store.trials(sweep.id)[number], "complete", abs(number - 3) / 10)
    put_sweep(store, sweep.id, "finished")
    store.create_run(project_id, moons())
    app = open_page()
    app.segmented_control(key="runs part").set_value("sweeps").run()
    assert not app.exception
    assert not app.error
    assert any("Best so far" in item.value and "(trial 4)" in item.value for item in app.markdown)
    app.button(key="use best").click().run()
    assert not app.error
    updated = store.load(project_id).project
    assert updated.training.learning_rate == pytest.approx(0.04)
    assert updated.main_network.nodes["linear_1"].params["units"] == 8
    live = session.live(project_id)
    live.apply({"kind": "undo"})
    assert live.project.training == project.training
    assert live.project.main_network == project.main_network


def test_trial_of_a_stopped_sweep_shows_its_run_state(store: Store) -> None:
    """The trial keeps its state for when the sweep resumes, but the page shows the state of its run."""
    project_id = store.create_project(moons())
    space = {"training.learning_rate": {"low": 0.001, "high": 0.1}}
    sweep = store.create_sweep(project_id, moons(), sweeps.plan(moons(), space, trials=2))
    run = store.create_run(
        project_id,
        moons(),
        about=RunOrigin(start=SweepTrial(sweep=sweep.id, number=0, assigned={"training.learning_rate": 0.01})),
    )
    put(store, run.id, "stopping")
    put_sweep(store, sweep.id, "stopped")
    app = open_page()
    app.segmented_control(key="runs part").set_value("sweeps").run()
    assert list(app.dataframe[0].value["State"]) == ["running"]
    put(store, run.id, "stopped")
    assert list(app.run().dataframe[0].value["State"]) == ["stopped"]
    assert not app.exception


def test_parallel_chart_handles_categories_and_missing_values() -> None:
    axes: dict[str, list[Any]] = {
        "optimizer": ["adam", "sgd", "adam"],
        "rate": [0.1, 0.2, 0.3],
        "loss": [1.0, None, 2.0],
    }
    (lines,) = parallel_chart(axes, "loss").data
    assert [list(item.values) for item in lines.dimensions] == [[0, 0], [0.1, 0.3], [1.0, 2.0]]
    assert list(lines.dimensions[0].ticktext) == ["adam"]
    assert list(lines.line.color) == [1.0, 2.0]
    (close,) = parallel_chart({"accuracy": [0.9815, 0.9852], "epochs": [3, 111]}, None).data
    written = [format(0.9825, item.tickformat.replace("~", "")) for item in close.dimensions]
    assert written == ["0.9825", "0.983"]  # no two ticks read the same
