"""Importing a model: the dialog on Home, and the starting weights on the Train page."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
import torch
from safetensors.torch import load_file, save
from streamlit.testing.v1 import AppTest

from netloom import runs, training
from netloom.compile import module
from netloom.compile.importers import ImportedModel
from netloom.data import schema
from netloom.document import DataChoice, Project, dumps
from netloom.store import Store, open_store, weights
from netloom.training import save_import
from netloom.training.pretrained import folder as folders
from netloom.ui.train.state import Key
from tests.networks import digits_mlp
from tests.runs.examples import trained_here
from tests.store.states import put
from tests.training.test_pretrained import BERT, bert_weights, small_bert, written

ROOT = Path(__file__).parents[2]
KERAS = ROOT / "tests" / "compile" / "keras" / "mlp.json"


@pytest.fixture(autouse=True)
def _clear_caches(home: Path) -> None:
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def store(home: Path) -> Store:
    return open_store(home)


def open_app(page: str = "") -> AppTest:
    app_test = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    return app_test.switch_page(f"pages/{page}.py").run() if page else app_test


def button(shown: AppTest, label: str) -> Any:
    return next(item for item in shown.button if item.label == label)


def dialog() -> None:
    """The content of the dialog as a page: AppTest cannot draw a dialog a second time."""
    import streamlit as st

    from netloom.ui.home.import_form import ask
    from netloom.ui.shell import session

    ask(session.store(), lambda project_id: st.session_state.update(opened=project_id))


def import_file(name: str, content: bytes, *others: tuple[str, bytes]) -> AppTest:
    """The dialog after importing a file, with others that belong to it."""
    shown: AppTest = AppTest.from_function(dialog, default_timeout=60).run()
    assert button(shown, "Import").disabled
    files = [(filename, data, "application/octet-stream") for filename, data in ((name, content), *others)]
    shown.file_uploader[0].set_value(files if others else files[0]).run()
    button(shown, "Import").click().run()
    return shown


def create_imported_project(store: Store, **rest: Any) -> str:
    """A project with imported weights whose input names no field, like one from another tool."""
    source_project = digits_mlp()
    main = source_project.main_network
    input_node = main.nodes["input_1"]
    unassigned_input = input_node.model_copy(
        update={"params": {key: value for key, value in input_node.params.items() if key != "field"}}
    )
    network = main.model_copy(update={"nodes": {**main.nodes, "input_1": unassigned_input}})
    project = source_project.with_network("main", network).model_copy(update={"data": DataChoice(), **rest})
    torch.manual_seed(1)
    return save_import(store, ImportedModel(project, dict(module(digits_mlp()).state_dict())))


def test_home_dialog_accepts_model_files() -> None:
    shown = open_app()
    button(shown, "Import a model").click().run()
    assert not shown.exception
    assert shown.file_uploader[0].allowed_type == [
        ".onnx",
        ".data",
        ".onnx_data",
        ".pt2",
        ".keras",
        ".json",
        ".safetensors",
        ".pt",
        ".pth",
    ]


def test_dialog_imports_a_keras_model(store: Store) -> None:
    shown = import_file("My model.json", KERAS.read_bytes())
    assert not shown.error
    assert not shown.exception
    assert "has no weights" in shown.success[0].value
    (row,) = store.list_projects()
    assert row.name == "My model"
    button(shown, "Open project").click().run()
    assert not shown.exception
    assert shown.session_state["opened"] == row.id


def test_dialog_imports_a_project(store: Store) -> None:
    shown = import_file("saved.json", dumps(digits_mlp()).encode())
    assert "Digits is now one of your projects" in shown.success[0].value
    assert store.load(store.list_projects()[0].id).project == digits_mlp()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.onnx", b"\x80" * 50, "ONNX"),
        ("x.onnx.data", b"\x80" * 50, "choose both files together"),
        ("x.json", b"[1, 2]", "JSON object"),
        ("x.json", b'{"a": 1}', "neither a Keras model nor a Netloom project"),
        ("x.json", b'{"networks": {}, "a": 1}', "networks"),
        ("x.pt2", pickle.dumps({"weight": [1.0]}), "torch\\.save"),
        ("x.pt2", b"PK\x03\x04 cut", "damaged"),
        ("x.json", json.dumps({"class_name": "Sequential", "config": {"layers": 3}}).encode(), "layers"),
        ("x.keras", b"PK\x03\x04 cut", ""),
    ],
)
def test_invalid_file_shows_an_error_and_creates_nothing(
    name: str, content: bytes, sentence: str, store: Store
) -> None:
    shown = import_file(name, content)
    (message,) = [item.value for item in shown.error]
    assert sentence in message
    assert message.endswith("\\.")
    assert "Netloom itself failed" not in message
    assert "/tmp" not in message
    assert store.list_projects() == []


@pytest.mark.parametrize("in_two_files", [False, True])
def test_onnx_import_loads_the_weights(in_two_files: bool, store: Store) -> None:
    """A file from another library with one matrix product."""
    from onnx import TensorProto, helper
    from onnx.external_data_helper import set_external_data

    matrix = helper.make_tensor("w", TensorProto.FLOAT, [3, 2], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [matrix],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    others = []
    if in_two_files:
        values = np.array(matrix.float_data, np.float32).tobytes()
        tensor = model.graph.initializer[0]
        tensor.ClearField("float_data")
        tensor.raw_data = values
        set_external_data(tensor, "small.onnx.data")
        tensor.ClearField("raw_data")
        others = [("small.onnx.data", values)]
    shown = import_file("small.onnx", model.SerializeToString(), *others)
    assert "its 6 weights are saved" in shown.success[0].value
    project_id = store.list_projects()[0].id
    project = store.load(project_id).project
    assert training.imported_weights(store, project_id) == [project.training.initial_weights]
    loaded_model = module(project)
    loaded_model.load_state_dict(
        load_file(weights.path(store.home, project.training.initial_weights.removeprefix("weights:")))
    )
    assert loaded_model(torch.tensor([[1.0, 10.0, 100.0]])).tolist() == [[531.0, 642.0]]


def test_train_page_lists_the_starting_weights(store: Store) -> None:
    project_id = create_imported_project(store, training=digits_mlp(device="cpu").training)
    start = store.load(project_id).project.training.initial_weights
    failed_run = store.create_run(project_id, digits_mlp(), "Begun")
    put(store, failed_run.id, "failed", reason="The worker process was killed.")
    shown = open_app("train")
    assert not shown.exception
    choice = next(item for item in shown.selectbox if item.label == "Start from")
    assert choice.value == start
    assert choice.options[:2] == ["Random initialization", "Imported weights (4 tensors)"]
    assert choice.options[2].endswith("(no weights yet)")

    next(item for item in shown.selectbox if item.label == "Data").set_value("digits").run()
    project = store.load(project_id).project
    assert project.main_network.nodes["input_1"].params["field"] == "image"
    assert any("match all 2 layers" in item.value for item in shown.caption)
    assert not button(shown, "Evaluate only").disabled

    shown.session_state[Key.DATA.of(True)] = True  # it closes when the data is chosen
    shown.run()
    choice = next(item for item in shown.selectbox if item.label == "Start from")
    choice.set_value(f"run:{failed_run.id}").run()
    assert "has no weights yet" in shown.error[0].value
    assert button(shown, "Start training").disabled
    choice = next(item for item in shown.selectbox if item.label == "Start from")
    choice.set_value("").run()
    assert store.load(project_id).project.training.initial_weights == ""
    assert [item.label for item in shown.button if item.label == "Evaluate only"] == []
    choice = next(item for item in shown.selectbox if item.label == "Start from")
    assert choice.options[1] == "Imported weights (4 tensors)"


def test_partially_matching_weights_show_a_warning(store: Store, home: Path) -> None:
    head = {name: value for name, value in module(digits_mlp()).state_dict().items() if "linear_1" in name}
    digest = weights.keep(home, save(head))
    store.create_project(digits_mlp(initial_weights=f"weights:{digest}"))
    shown = open_app("train")
    assert "linear\\_2" in shown.warning[0].value
    assert not button(shown, "Start training").disabled
    weights.path(home, digest).unlink()
    shown.run()
    assert "import the model again" in shown.error[0].value
    assert button(shown, "Start training").disabled


def test_evaluate_only_creates_a_run_without_editing_the_document(store: Store) -> None:
    project_id = create_imported_project(
        store, data=DataChoice(dataset="digits"), training=digits_mlp(device="cpu").training
    )
    _assign_input_fields(store, project_id)
    before = store.load(project_id).project
    shown = open_app("train")
    with trained_here():
        button(shown, "Evaluate only").click().run()
    assert not shown.exception
    (run,) = store.runs(project_id)
    assert run.state == "finished", run.reason
    assert store.load(project_id).project == before
    evaluation = runs.evaluation(store, run.id)
    assert evaluation is not None
    torch.manual_seed(1)
    assert all(
        torch.equal(value, runs.load_run(store, run.id).model.state_dict()[name])
        for name, value in module(digits_mlp()).state_dict().items()
    )
    shown.run()
    assert not shown.error
    assert shown.metric[0].label == "Accuracy"


def _assign_input_fields(store: Store, project_id: str) -> None:
    from netloom.document import apply
    from netloom.validation.fields import field_edits

    saved = store.load(project_id)
    project: Project = saved.project
    for edit in field_edits(project, schema(project.data, store.home)):
        project = apply(project, edit)
    store.save(project_id, project, saved.epoch, 1, {}, saved.stamp)


def test_resume_error_appears_only_in_its_tab(store: Store) -> None:
    project_id = store.create_project(digits_mlp())
    run = store.create_run(project_id, digits_mlp())
    put(store, run.id, "failed", reason="Gone.")
    first, second = open_app("train"), open_app("train")
    put(store, run.id, "finished", reason="")
    button(first, "Resume").click().run()
    assert any("only a run that failed" in item.value for item in first.error)
    second.run()
    assert not second.error


def test_model_folder_weights_load_and_hostile_config_is_rejected(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    state, project_id = bert_weights(), store.create_project(small_bert(4))
    folder = written(tmp_path / "tiny", BERT, state)
    files = [(path.name, path.read_bytes(), "application/octet-stream") for path in sorted(folder.iterdir())]

    def refuse(*_: Any) -> None:
        raise AssertionError("The folder is read in the process of the web server.")

    monkeypatch.setattr(folders, "read_json", refuse)
    shown = open_app("train")
    uploader = next(item for item in shown.file_uploader if item.label == "Model files")
    uploader.set_value(
        [(name, b"[" * 10**6 if name == "config.json" else content, kind) for name, content, kind in files]
    )
    button(shown.run(), "Load matching weights").click().run()
    assert not shown.exception
    assert "config.json cannot be read (RecursionError)." in [item.value.replace("\\", "") for item in shown.error]
    assert store.load(project_id).project.training.initial_weights == ""
    next(item for item in shown.file_uploader if item.label == "Model files").set_value(files)
    button(shown.run(), "Load matching weights").click().run()
    assert not shown.exception
    start = store.load(project_id).project.training.initial_weights
    loaded = load_file(weights.path(store.home, start.removeprefix("weights:")))
    assert torch.equal(loaded["words.weight"], state["bert.embeddings.word_embeddings.weight"])


def test_weights_without_a_network_are_assigned_to_the_chosen_one(store: Store) -> None:
    project = digits_mlp()
    store.create_project(project)
    state = {name: torch.randn_like(value) for name, value in module(project).state_dict().items()}
    shown = AppTest.from_function(dialog, default_timeout=60).run()
    shown.file_uploader[0].upload("trained.safetensors", save(state)).run()
    button(shown, "Import").click().run()
    assert "Which network is it for?" in shown.markdown[0].value
    assert shown.selectbox[0].options[0] == f"Project {project.name} (fits by names and shapes)"
    button(shown, "Create project").click().run()
    assert not shown.exception
    row = next(row for row in store.list_projects() if row.name == "trained")
    start = store.load(row.id).project.training.initial_weights.removeprefix("weights:")
    saved = load_file(weights.path(store.home, start))
    assert all(torch.equal(saved[name], value) for name, value in state.items())
