"""The Deploy page: the command of the server, variants, drift and the model card of a run."""

from __future__ import annotations

import json
import re
import socket
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from netloom import runs
from netloom.api import load_run
from netloom.compression import registry
from netloom.compression.variant_files import measured_variants, variant_file, write_variant
from netloom.data import add_file, prepare
from netloom.document import DataChoice, updated
from netloom.jobs import RunWeights
from netloom.jobs.request import Context
from netloom.jobs.requests.deployment import Optimize
from netloom.monitoring.log_reader import read_log
from netloom.serving.launched import launched
from netloom.serving.models.served_model import example_row
from netloom.store import open_store
from netloom.templates import templates
from netloom.ui.deploy.server import python_request
from netloom.ui.deploy.state import Key
from netloom.ui.shell.state import Key as ShellKey
from tests.runs.examples import trained_here
from tests.ui.page_texts import checked, texts

PAGE = Path(__file__).parents[2] / "pages" / "deploy.py"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a run, and a project without one."""
    folder: Path = tmp_path_factory.mktemp("deployed")
    store = open_store(folder)
    project = templates()["breast_cancer"].project
    training = project.training.model_copy(update={"epochs": 3})
    short = project.model_copy(update={"name": "trained", "training": training})
    with trained_here():
        runs.start(store, store.create_project(short), short)
    store.create_project(project.model_copy(update={"name": "new"}))
    return folder


@pytest.fixture(autouse=True)
def _use_trained_home(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETLOOM_HOME", str(trained))
    st.cache_resource.clear()
    st.cache_data.clear()


def open_page(name: str = "trained", part: str = "server") -> AppTest:
    [project] = [row.id for row in open_store().list_projects(limit=99) if row.name == name]
    app = AppTest.from_file(str(PAGE), default_timeout=300)
    app.query_params["project"] = project
    app.session_state[str(Key.MODE)] = part
    return checked(app.run())


def test_project_without_a_run_leads_to_train() -> None:
    app = open_page("new")
    assert "does not have a trained run yet" in texts(app)
    assert [button.label for button in app.button] == ["Go to Train"]
    store = open_store()
    [project] = [row for row in store.list_projects(limit=99) if row.name == "new"]
    run = store.create_run(project.id, store.load(project.id).project)
    assert "deploy it here as soon as the run has saved weights" in texts(app.run())
    store.delete_run(run.id)
    assert "does not have a trained run yet" in texts(app.run())


def test_server_command_and_requests_name_the_run_and_a_row() -> None:
    run = load_run(home=open_store().home)
    assert run.run is not None
    command, curl, source = (block.value for block in open_page().code)
    assert f"serve {run.run.id[:8]} --name trained" in command
    assert "-d @row.json" in curl, "the row has 30 columns"
    assert 'json.load(open("row.json"))' in source
    compile(source, "client", "exec")
    compile(python_request({"age": None, "name": "O'Neil"}), "client", "exec")


def test_server_command_has_the_chosen_backend() -> None:
    app = open_page()
    assert "--backend" not in app.code[0].value
    app = checked(app.selectbox(key=str(Key.BACKEND)).select("auto").run())
    assert app.code[0].value.endswith("--name trained --backend auto")


def test_the_page_starts_and_stops_a_server_that_outlives_it() -> None:
    run = load_run(home=open_store().home)
    assert run.run is not None
    key = str(Key.START.of(run.run.id))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        app = open_page()
        port = taken.getsockname()[1]
        app.number_input(key=str(Key.PORT.of(run.run.id))).set_value(port)
        app.button(key=key).click().run()
        assert f"The port {port} is taken" in " ".join(item.value for item in app.error)
    app = app.checkbox(key=str(Key.LOG_REQUESTS)).check().run()
    assert "--log-requests 1" in app.code[0].value
    app = checked(app.button(key=key).click().run())
    assert "**Starting**" in texts(app)
    [server] = [server for server in launched(open_store().home) if server.is_running]
    try:
        assert server.port == port
        until(lambda: server.is_ready)
        row = example_row(run.data, run.data.fields)
        source = next(block.value for block in open_page().code if "urllib" in block.value)  # as in another tab
        assert f"{server.address}/predict" in source
        request = urllib.request.Request(f"{server.address}/predict", json.dumps(row).encode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert json.load(answer) == runs.predict(run, [row])[0]
        assert [item.input for item in read_log(open_store().home, "trained", run.run.id, 9).rows] == [row]
        app = open_page()
        assert f"**Running** at [{server.address}]" in texts(app)
        assert key not in [button.key for button in app.button]
        checked(app.button(key=str(Key.STOP.of(str(port)))).click().run())
        until(lambda: not server.is_running)
        assert not server.has_failed
        assert "**Running**" not in texts(open_page())
    finally:
        server.stop()


def until(is_true: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_server_part_names_the_weights_that_are_served() -> None:
    run = load_run(home=open_store().home)
    assert run.run is not None
    app = open_page()
    assert "uses the best weights" not in texts(app)
    checked(app.segmented_control(key=f"weights {run.run.id}").set_value("last").run())
    assert "uses the best weights" in texts(app)


def test_example_of_a_request_has_the_columns_that_the_network_reads() -> None:
    """Also without test rows, and with null for a missing value."""
    run = load_run(home=open_store().home)
    [encoder] = run.data.fields
    empty = {name: rows[:0] if name == "test" else rows for name, rows in run.data.split.items()}
    row = example_row(replace(run.data, split=empty), [encoder])
    assert row == pytest.approx(run.data.row(int(run.data.split["validation"][0])))
    raw = {**run.data.row(0), "mean radius": float("nan"), "id": 7}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(run.data), "row", lambda data, number: raw)
        example = example_row(run.data, [encoder])
    assert example["mean radius"] is None
    assert "id" not in example


def test_example_of_a_request_has_the_column_of_a_text(tmp_path: Path) -> None:
    """The field of the only text is named text, whatever its column is."""
    messages = "".join(f"{'spam' if n % 3 else 'ham'},call {n} times now\n" for n in range(60))
    info = add_file(f"label,SMS\n{messages}".encode(), "spam.csv", tmp_path)
    data = prepare(DataChoice(dataset=info.name), tmp_path)
    row = example_row(data, data.fields)
    assert re.fullmatch(r"call \d+ times now", row.pop("SMS"))
    assert not row


def test_variants_are_measured_and_downloadable() -> None:
    app = open_page(part="optimize")
    [run] = open_store().runs()
    app.selectbox(key=str(Key.EXIT_AT.of(run.id))).set_value("relu_1")
    app.number_input(key=str(Key.EXIT_TOLERANCE)).set_value(5.0).run()
    [measure] = [button for button in app.button if button.label == "Measure variants"]
    checked(measure.click().run())
    table = app.dataframe[0].value
    assert list(table["Variant"][:2]) == ["PyTorch", "ONNX Runtime"]
    assert table["Verdict"][0] == "original"
    assert "Energy of 1,000 rows" in table
    assert "estimated from processor time" in texts(app)
    [exit_note] = table["What it changes"][table["Variant"] == "Early exit"]
    assert exit_note.startswith("An exit after")
    assert "with at most 5 points less accuracy" in exit_note
    labels = [item.proto.label for item in app.get("download_button")]
    assert "Dynamic int8" in labels
    checked(app.selectbox(key=str(Key.AXIS)).set_value("energy_j").run())
    [plot] = app.get("plotly_chart")
    figure = json.loads(plot.proto.spec)
    assert "joules" in figure["layout"]["xaxis"]["title"]["text"]
    assert figure["layout"]["yaxis"]["tickformat"] == ".1%", "as in the table"
    # Other settings of the early exit belong to another measurement.
    checked(app.number_input(key=str(Key.EXIT_TOLERANCE)).set_value(1.0).run())
    assert "The table has other settings of the early exit." in texts(app)
    assert "Measure again" in [button.label for button in app.button]
    app = open_page()
    assert "--model" not in app.code[0].value
    app = checked(app.selectbox(key=ShellKey.NETWORK.of(run.id)).set_value("early_exit").run())
    [file] = re.findall(r"--model (\S+)$", app.code[0].value)
    assert "early_exit_if" in {node.name for node in onnx.load(file).graph.node}
    assert "Backend" not in [box.label for box in app.selectbox]  # a file is computed by ONNX Runtime
    artifacts = open_store().artifacts(run.id)
    written = artifacts.weights_written_at()
    [checkpoint] = [name for name in ("", "best") if "early_exit" in measured_variants(artifacts, name, written)]
    for seconds in (-60.0, 60.0):  # measured while the run was trained further; weights that were older are back
        assert "early_exit" not in measured_variants(artifacts, checkpoint, written + seconds)
    assert not [path for path in Path(file).parent.iterdir() if path.name.startswith(".variant")]


def test_an_agent_is_told_why_it_has_no_variants() -> None:
    """Instead of a button that fails."""
    store, project = open_store(), templates()["cartpole_dqn"].project
    project = project.model_copy(update={"name": "agent", "training": updated(project.training, {"epochs": 0})})
    with trained_here():
        runs.start(store, store.create_project(project), project)
    try:
        app = open_page("agent", "optimize")
        assert "An agent is measured in episodes" in texts(app)
        assert not [button for button in app.button if button.label == "Measure variants"]
    finally:
        [row] = [row for row in store.list_projects(limit=99) if row.name == "agent"]
        store.delete_project(row.id)


def test_a_method_that_fails_leaves_no_file_of_an_earlier_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    [run], store = open_store().runs(), open_store()
    monkeypatch.setattr("netloom.jobs.requests.deployment.file_methods", lambda: [registry()["early_exit"]])
    weights, artifacts = RunWeights(run.id, "last"), store.artifacts(run.id)
    assert Optimize(weights, exit_at="relu_1", tolerance=0.05).compute(Context(store.home)).files
    assert list(measured_variants(artifacts, "last", 0.0)) == ["early_exit"]
    assert not Optimize(weights, exit_at="no such layer").compute(Context(store.home)).files
    assert not measured_variants(artifacts, "last", 0.0)


def test_smaller_run_is_started_and_listed() -> None:
    app = open_page(part="optimize")
    app.number_input(key=Key.SMALLER_EPOCHS.of("structured_pruning")).set_value(0)
    [start] = [button for button in app.button if button.label == "Start smaller run"]
    with trained_here():
        checked(start.click().run())
        assert "Started: Removed 50% of the channels" in texts(app)
        deadline = time.monotonic() + 60
        # A thread that looks after waiting runs can have started it
        while "structured pruning 50%**: Finished" not in texts(app):
            assert time.monotonic() < deadline, texts(app)
            time.sleep(0.2)
            checked(app.run())


def test_sensitivity_is_shown_for_each_layer() -> None:
    app = open_page(part="optimize")
    [measure] = [button for button in app.button if button.label == "Measure layers"]
    checked(measure.click().run())
    table = next(item.value for item in app.dataframe if "Rounded to 8 bits" in item.value)
    assert list(table["Parameters"]) == [992, 66]
    assert "Changes relative to a loss of" in texts(app)


def test_part_of_a_model_card_that_is_too_long_is_named() -> None:
    app = open_page(part="card")
    app.text_area[1].set_value("x" * 4_001)
    assert app.text_area[1].proto.max_chars == 0, "a pasted text above the limit would be ignored"
    [write] = [button for button in app.button if button.label == "Write model card"]
    [error] = write.click().run().error
    assert error.value == "Out of scope has 4,001 characters, but at most 4,000 are allowed\\. Shorten it\\."
    assert app.text_area[1].value == "x" * 4_001


def test_model_card_has_the_stated_use() -> None:
    app = open_page(part="card")
    app.text_area[0].set_value("Teaching *only*")
    [write] = [button for button in app.button if button.label == "Write model card"]
    checked(write.click().run())
    card = next(item.value for item in app.markdown if "## Intended use" in item.value)
    assert "Teaching \\*only\\*" in card
    assert "Scores by class" in card
    assert [item.proto.label for item in app.get("download_button")] == ["Download Markdown", "Download HTML"]


def test_drift_of_uploaded_rows_is_shown() -> None:
    from netloom.jobs.loaded_runs import RunWeights
    from netloom.jobs.request import Context
    from netloom.jobs.requests.deployment import MeasureDrift

    store = open_store()
    run = load_run(home=store.home)
    assert run.run is not None
    rows = [run.data.row(int(row)) for row in run.data.split["test"]]
    moved = [{name: value * 3 for name, value in row.items()} for row in rows]
    artifacts, weights = store.artifacts(run.run.id), RunWeights(run.run.id)
    for name, content, is_drift in (("same", rows, False), ("moved", moved, True)):
        artifacts.export_file(name).write_text(json.dumps(content, default=float))
        report = MeasureDrift(weights, name, f"{name}.json").compute(Context(store.home))
        assert report.is_drift is is_drift, report.sentence
    app = open_page(part="drift")
    assert "at most 5%" in texts(app)


def test_a_variant_is_tried_and_explained_like_its_run() -> None:
    store = open_store()
    run = store.runs()[-1]
    artifacts, trained = store.artifacts(run.id), load_run(run.id, home=store.home)
    for name in ("dynamic_int8", "weight_only_int4"):
        file = variant_file(artifacts, name, artifacts.default_weights())
        write_variant(file, registry()[name].compress(trained).content, artifacts.weights_written_at())
    key = ShellKey.NETWORK.of(run.id)

    def opened(page: str, method: str) -> AppTest:
        app = AppTest.from_file(str(PAGE.with_name(page)), default_timeout=300)
        app.query_params["project"], app.query_params["run"] = run.project_id, run.id
        return checked(checked(app.run()).selectbox(key=key).set_value(method).run())

    app = opened("playground.py", "dynamic_int8")
    compared = next(box for box in app.selectbox if box.label == "Compare with")
    assert len(compared.options) == 1 + len(open_store().runs(run.project_id))  # also the run itself
    checked(compared.set_value(run.id).run())
    assert len([item for item in app.markdown if item.value.startswith("### ")]) == 2
    app = opened("explain.py", "weight_only_int4")
    assert "Weights best, weight_only_int4 (" in texts(app).replace("\\", "")
    app = opened("explain.py", "dynamic_int8")
    assert "Weights best, dynamic_int8 (" in texts(app).replace("\\", "")
