"""Bringing a model into the app: the dialog on Home, and what the Train page then starts from."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

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
from tests.networks import digits_mlp
from tests.runs.examples import trained_here
from tests.store.states import put
from tests.training.test_pretrained import BERT, bert_weights, small_bert, written

ROOT = Path(__file__).parents[2]
KERAS = ROOT / "tests" / "compile" / "keras" / "mlp.json"


@pytest.fixture(autouse=True)
def _fresh(home: Path) -> None:
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def store(home: Path) -> Store:
    return open_store(home)


def app(page: str = "") -> AppTest:
    opened = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    return opened.switch_page(f"pages/{page}.py").run() if page else opened


def button(shown: AppTest, label: str) -> Any:
    return next(item for item in shown.button if item.label == label)


def dialog() -> None:
    """What the dialog holds, as a page of its own: this kind of test cannot draw a dialog a second time."""
    import streamlit as st

    from netloom.ui.home.import_form import ask
    from netloom.ui.shell import session

    ask(session.store(), lambda project_id: st.session_state.update(opened=project_id))


def asked(name: str, content: bytes) -> AppTest:
    """The dialog after a file was given."""
    shown: AppTest = AppTest.from_function(dialog, default_timeout=60).run()
    assert button(shown, "Import").disabled
    shown.file_uploader[0].set_value((name, content, "application/octet-stream")).run()
    button(shown, "Import").click().run()
    return shown


def imported(store: Store, **rest: Any) -> str:
    """A project whose weights were imported; its Input names no field, as in one that comes from elsewhere."""
    drawn = digits_mlp()
    main = drawn.main_network
    entry = main.nodes["input_1"]
    bare = entry.model_copy(update={"params": {key: value for key, value in entry.params.items() if key != "field"}})
    network = main.model_copy(update={"nodes": {**main.nodes, "input_1": bare}})
    project = drawn.with_network("main", network).model_copy(update={"data": DataChoice(), **rest})
    torch.manual_seed(1)
    return save_import(store, ImportedModel(project, dict(module(digits_mlp()).state_dict())))


def test_home_asks_for_a_file() -> None:
    shown = app()
    button(shown, "Import a model").click().run()
    assert not shown.exception
    assert shown.file_uploader[0].allowed_type == [".onnx", ".pt2", ".keras", ".json", ".safetensors"]


def test_a_keras_model_from_the_dialog(store: Store) -> None:
    shown = asked("My model.json", KERAS.read_bytes())
    assert not shown.error
    assert not shown.exception
    assert "has no weights" in shown.success[0].value
    (row,) = store.list_projects()
    assert row.name == "My model"
    button(shown, "Open project").click().run()
    assert not shown.exception
    assert shown.session_state["opened"] == row.id


def test_a_project_from_the_dialog(store: Store) -> None:
    shown = asked("saved.json", dumps(digits_mlp()).encode())
    assert "Digits is now one of your projects" in shown.success[0].value
    assert store.load(store.list_projects()[0].id).project == digits_mlp()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.onnx", b"\x80" * 50, "ONNX"),
        ("x.json", b"[1, 2]", "JSON object"),
        ("x.json", b'{"a": 1}', "neither a Keras model nor a Netloom project"),
        ("x.json", b'{"networks": {}, "a": 1}', "networks"),
        ("x.pt2", pickle.dumps({"weight": [1.0]}), "torch\\.save"),
        ("x.pt2", b"PK\x03\x04 cut", "damaged"),
        ("x.json", json.dumps({"class_name": "Sequential", "config": {"layers": 3}}).encode(), "layers"),
        ("x.keras", b"PK\x03\x04 cut", ""),
    ],
)
def test_a_refused_file_is_a_sentence_and_makes_nothing(name: str, content: bytes, sentence: str, store: Store) -> None:
    shown = asked(name, content)
    (said,) = [item.value for item in shown.error]
    assert sentence in said
    assert said.endswith("\\.")
    assert "Netloom itself failed" not in said
    assert "/tmp" not in said
    assert store.list_projects() == []


def test_an_onnx_file_brings_its_weights(store: Store) -> None:
    """A file that another library wrote, of one matrix product."""
    from onnx import TensorProto, helper

    matrix = helper.make_tensor("w", TensorProto.FLOAT, [3, 2], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [matrix],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    shown = asked("small.onnx", model.SerializeToString())
    assert "its 6 weights are saved" in shown.success[0].value
    project_id = store.list_projects()[0].id
    project = store.load(project_id).project
    assert training.imported_weights(store, project_id) == [project.training.start]
    drawn = module(project)
    drawn.load_state_dict(load_file(weights.path(store.home, project.training.start.removeprefix("weights:"))))
    assert drawn(torch.tensor([[1.0, 10.0, 100.0]])).tolist() == [[531.0, 642.0]]


def test_the_train_page_offers_what_there_is(store: Store) -> None:
    project_id = imported(store, training=digits_mlp(device="cpu").training)
    start = store.load(project_id).project.training.start
    begun = store.create_run(project_id, digits_mlp(), "Begun")
    put(store, begun.id, "failed", reason="The worker process was killed.")
    shown = app("train")
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

    choice = next(item for item in shown.selectbox if item.label == "Start from")
    choice.set_value(f"run:{begun.id}").run()
    assert "has no weights yet" in shown.error[0].value
    assert button(shown, "Start training").disabled
    choice = next(item for item in shown.selectbox if item.label == "Start from")
    choice.set_value("").run()
    assert store.load(project_id).project.training.start == ""
    assert [item.label for item in shown.button if item.label == "Evaluate only"] == []
    choice = next(item for item in shown.selectbox if item.label == "Start from")
    assert choice.options[1] == "Imported weights (4 tensors)"


def test_weights_that_fit_in_part_are_a_warning(store: Store, home: Path) -> None:
    head = {name: value for name, value in module(digits_mlp()).state_dict().items() if "linear_1" in name}
    digest = weights.keep(home, save(head))
    store.create_project(digits_mlp(start=f"weights:{digest}"))
    shown = app("train")
    assert "linear\\_2" in shown.warning[0].value
    assert not button(shown, "Start training").disabled
    weights.path(home, digest).unlink()
    shown.run()
    assert "import the model again" in shown.error[0].value
    assert button(shown, "Start training").disabled


def test_evaluate_only_makes_a_run_and_leaves_the_document(store: Store) -> None:
    project_id = imported(store, data=DataChoice(dataset="digits"), training=digits_mlp(device="cpu").training)
    _read_image(store, project_id)
    before = store.load(project_id).project
    shown = app("train")
    with trained_here():
        button(shown, "Evaluate only").click().run()
    assert not shown.exception
    (run,) = store.runs(project_id)
    assert run.state == "finished", run.reason
    assert store.load(project_id).project == before
    found = runs.evaluation(store, run.id)
    assert found is not None
    torch.manual_seed(1)
    assert all(
        torch.equal(value, runs.load_run(store, run.id).model.state_dict()[name])
        for name, value in module(digits_mlp()).state_dict().items()
    )
    shown.run()
    assert not shown.error
    assert shown.metric[0].label == "Accuracy"


def _read_image(store: Store, project_id: str) -> None:
    from netloom.document import apply
    from netloom.validation.fields import field_edits

    saved = store.load(project_id)
    project: Project = saved.project
    for edit in field_edits(project, schema(project.data, store.home)):
        project = apply(project, edit)
    store.save(project_id, project, saved.epoch, 1, {}, saved.stamp)


def test_what_one_tab_could_not_resume_is_no_trouble_of_another(store: Store) -> None:
    project_id = store.create_project(digits_mlp())
    run = store.create_run(project_id, digits_mlp())
    put(store, run.id, "failed", reason="Gone.")
    one, other = app("train"), app("train")
    put(store, run.id, "finished", reason="")
    button(one, "Resume").click().run()
    assert any("only a run that failed" in item.value for item in one.error)
    other.run()
    assert not other.error


def test_the_train_page_takes_weights_from_a_folder_and_refuses_a_hostile_one(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    brought, project_id = bert_weights(), store.create_project(small_bert(4))
    folder = written(tmp_path / "tiny", BERT, brought)
    files = [(path.name, path.read_bytes(), "application/octet-stream") for path in sorted(folder.iterdir())]

    def refuse(*_: Any) -> None:
        raise AssertionError("The folder is read in the process of the web server.")

    monkeypatch.setattr(folders, "_json", refuse)
    shown = app("train")
    uploader = next(item for item in shown.file_uploader if item.label == "Model files")
    uploader.set_value([(name, b"[" * 10**6 if name == "config.json" else own, kind) for name, own, kind in files])
    button(shown.run(), "Load matching weights").click().run()
    assert not shown.exception
    assert "config.json cannot be read (RecursionError)." in [item.value.replace("\\", "") for item in shown.error]
    assert store.load(project_id).project.training.start == ""
    next(item for item in shown.file_uploader if item.label == "Model files").set_value(files)
    button(shown.run(), "Load matching weights").click().run()
    assert not shown.exception
    start = store.load(project_id).project.training.start
    found = load_file(weights.path(store.home, start.removeprefix("weights:")))
    assert torch.equal(found["words.weight"], brought["bert.embeddings.word_embeddings.weight"])
