"""Smaller networks as runs, weights packed to few bits, and the sensitivity of layers."""

from __future__ import annotations

import copy
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from netloom.api import load_run
from netloom.compression import CompressionError, measure, registry
from netloom.compression.methods.low_rank import LowRank, factorize
from netloom.compression.methods.weight_only import with_int8_embeddings, with_matrix_products
from netloom.compression.sensitivity import sensitivity
from netloom.compression.smaller_runs import finished_smaller_runs, smaller_runs
from netloom.document import updated
from netloom.export.model_card.collect import collect
from netloom.runs import TrainedRun, evaluate, fit_here, predict
from netloom.runs.control import start
from netloom.store import open_store
from netloom.store.run_summary import Compressed
from netloom.templates import templates
from netloom.training.weights.weight_files import read_weights
from tests.cli.conftest import Console, Trained, training_here
from tests.compression.test_compression import by_method
from tests.networks import IMAGE, chain, with_rows

pytestmark = pytest.mark.usefixtures("operators")


@pytest.fixture
def own_home(trained: Trained, tmp_path: Path) -> Path:
    """A copy of the data folder, in which a test can start runs."""
    return Path(shutil.copytree(trained.home, tmp_path / "own"))


@pytest.mark.usefixtures("_training_here")
def test_pruned_and_distilled_runs_are_ordinary_runs(console: Console, trained: Trained, own_home: Path) -> None:
    methods = ("--method", "structured_pruning", "--method", "distillation", "--epochs", 1, "--amount", 0.25)
    answer = console("optimize", trained.run, "--home", own_home, *methods, "--json")
    assert answer.code == 0, answer.err
    store = open_store(own_home)
    original = store.run(trained.run)
    runs = {
        run.about.start.method: run for run in smaller_runs(store, original) if isinstance(run.about.start, Compressed)
    }
    assert set(runs) == {"structured_pruning", "distillation"}
    rows = {str(row["method"]): row for row in answer.value["measured"]}
    for method, run in runs.items():
        assert (run.state, run.project_id) == ("finished", original.project_id)
        assert run.title.endswith(f"{registry()[method].title.lower()} 25%")
        loaded = load_run(run.id, home=own_home)
        assert loaded.project.main_network.nodes["linear_1"].params["units"] == 96
        row = rows[f"run:{run.id}"]
        assert row["run"] == run.id
        assert row["score"] == pytest.approx(evaluate(loaded).metrics["accuracy"])
        assert row["size"] == sum(value.nbytes for value in loaded.model.state_dict().values())
        assert predict(loaded, [loaded.data.row(0)])[0]["prediction"] in loaded.data.schema.target.classes
    assert "Trained for 1 epoch as a run." in str(rows[f"run:{runs['structured_pruning'].id}"]["note"])
    # The student learned from this run, and the pruned network began with its weights.
    assert load_run(runs["distillation"].id, home=own_home).project.training.teacher == f"run:{trained.run}"
    assert by_method_score(rows, "structured_pruning") > 0.5
    pruned = load_run(runs["structured_pruning"].id, home=own_home)
    assert pruned.project.training.initial_weights.startswith("weights:")
    card = dict(collect(store, pruned, measure=False).training)
    assert card["Origin"].startswith(f"A smaller network made from the run {trained.run[:8]}. Removed 25% of the ")
    assert "Origin" not in dict(collect(store, load_run(trained.run, home=own_home), measure=False).training)
    finished = finished_smaller_runs(store, load_run(trained.run, home=own_home))
    assert {run.run.id for run in finished if run.run} == {run.id for run in runs.values()}
    check_teacher_of_a_student(console, own_home, runs["distillation"].id)


def check_teacher_of_a_student(console: Console, home: Path, student: str) -> None:
    """A student of a student learns from it, and not from its teacher, whose copy is in its folder."""
    answer = console("optimize", student, "--home", home, "--method", "distillation", "--epochs", 1, "--amount", 0.5)
    assert answer.code == 0, answer.err
    store = open_store(home)
    [run] = smaller_runs(store, store.run(student))
    teacher = read_weights(store.artifacts(run.id).teacher_weights)
    assert teacher["linear_1.weight"].shape == (96, 64)
    assert load_run(run.id, home=home).project.main_network.nodes["linear_1"].params["units"] == 48


def test_a_drawn_student_is_measured_beside_its_teacher(console: Console, trained: Trained, own_home: Path) -> None:
    store = open_store(own_home)
    teacher = load_run(trained.run, home=own_home)
    assert teacher.run is not None
    training = updated(
        teacher.project.training,
        {"objective": "distillation", "teacher": f"run:{trained.run}", "epochs": 1, "temperature": 2.0},
    )
    drawn = chain(
        IMAGE, ("Flatten", {}), ("Linear", {"units": 24}), ("ReLU", {}), ("Linear", {"units": 10})
    ).model_copy(update={"training": training, "data": teacher.project.data})
    with training_here():
        student = start(store, teacher.run.project_id, drawn, title="Drawn by hand")
        # It learned from another run, and so does not appear.
        other = updated(training, {"teacher": f"run:{student}"})
        start(store, teacher.run.project_id, drawn.model_copy(update={"training": other}), title="Student of a student")
    assert [run.id for run in smaller_runs(store, store.run(trained.run))] == [student]
    answer = console("optimize", trained.run, "--home", own_home, "--method", "onnx", "--json")
    assert answer.code == 0, answer.err
    rows = {str(row["method"]): row for row in answer.value["measured"]}
    assert set(rows) == {"original", "onnx", f"run:{student}"}
    row, loaded = rows[f"run:{student}"], load_run(student, home=own_home)
    assert (row["title"], row["run"]) == ("Drawn by hand", student)
    assert row["note"] == "Learned from this run by knowledge distillation. Trained for 1 epoch as a run."
    assert row["score"] == pytest.approx(evaluate(loaded).metrics["accuracy"])
    assert row["size"] == sum(value.nbytes for value in loaded.model.state_dict().values()) < rows["original"]["size"]
    assert "Drawn by hand" in console("optimize", trained.run, "--home", own_home, "--method", "onnx").out


def test_a_student_that_reads_more_than_its_teacher_is_measured_on_the_same_rows(tmp_path: Path) -> None:
    """It reads the field of its teacher last."""
    store, project = open_store(tmp_path), templates()["parts_multimodal"].project
    project = with_rows(project.model_copy(update={"training": updated(project.training, {"epochs": 1})}), 300)
    narrow = chain(
        ("Input", {"field": "measured", "kind": "vector", "shape": [2]}),
        ("Linear", {"units": 2}),
        data=project.data,
        training=project.training,
    )
    project_id = store.create_project(project)
    with training_here():
        first = start(store, project_id, narrow)
        taught = updated(project.training, {"objective": "distillation", "teacher": f"run:{first}"})
        second = start(store, project_id, project.model_copy(update={"training": taught}))
    teacher = load_run(first, home=tmp_path)
    [student] = finished_smaller_runs(store, teacher)
    assert (student.run.id if student.run else "", student.fields[-1:]) == (second, teacher.fields)
    rows = by_method(measure(teacher, ["onnx"], runs=[student], repeats=2)[0])
    assert rows[f"run:{second}"].score == pytest.approx(evaluate(student).metrics["accuracy"])
    assert rows["original"].score == pytest.approx(evaluate(teacher).metrics["accuracy"])
    assert rows["onnx"].agreement == 1.0


def by_method_score(rows: dict[str, dict[str, float]], method: str) -> float:
    return float(rows[method]["score"])


def test_settings_that_nobody_uses_are_refused(console: Console, trained: Trained) -> None:
    for options, text in (
        (("--method", "onnx", "--amount", 0.5), "--amount has no effect with onnx"),
        (("--method", "distillation", "--criterion", "taylor"), "--criterion has no effect with distillation"),
        (("--method", "dynamic_int8", "--epochs", 5), "--epochs has no effect with dynamic_int8"),
        (("--sensitivity", "--epochs", 0), "--epochs has no effect"),
        (("--sensitivity", "--threads", 2), "--threads has no effect"),
        (("--amount", 1), "between 0 and 1"),
        (("--method", "distillation", "--epochs", 0), "at least one epoch"),
    ):
        answer = console("optimize", "last", "--home", trained.home, *options)
        assert answer.code != 0
        assert text in answer.err


def test_students_learn_from_classes_only(digits: TrainedRun) -> None:
    regression = digits.project.training.model_copy(update={"objective": "regression"})
    other = replace(digits, project=digits.project.model_copy(update={"training": regression}))
    with pytest.raises(CompressionError, match="one class for each row"):
        registry()["distillation"].smaller(other)  # type: ignore[attr-defined]
    with pytest.raises(CompressionError, match="without weights"):
        registry()["distillation"].compress(digits)


def test_factorized_document_computes_what_the_factorized_file_computes(digits: TrainedRun) -> None:
    smaller = LowRank().smaller(digits)
    from netloom.compile import module

    model, other = module(smaller.project), copy.deepcopy(digits.model)
    assert smaller.state is not None
    model.load_state_dict(smaller.state)
    factorize(other, other)
    inputs = digits.data.inputs["image"][:20]
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(inputs), other(inputs))
    nodes = smaller.project.main_network.nodes
    assert len(nodes) > len(digits.project.main_network.nodes)


@pytest.fixture(scope="module")
def intents() -> TrainedRun:
    """The template with one block."""
    project = templates()["intents_transformer"].project
    nodes = project.main_network.nodes
    keys = ("input_1", "embedding_1", "positionalembedding_1", "transformerencoderblock_1", "mean_1", "linear_1")
    training = project.training.model_copy(update={"epochs": 0})
    return fit_here(
        chain(*((nodes[key].type, nodes[key].params) for key in keys), data=project.data, training=training)
    )


def test_packed_weights_predict_like_the_original(intents: TrainedRun) -> None:
    report, variants = measure(intents, ["weight_only_int8", "weight_only_int4"], repeats=3)
    rows, files = by_method(report), {variant.method: variant for variant in variants}
    assert rows["weight_only_int8"].difference < 0.02
    assert rows["weight_only_int4"].difference < 0.3
    assert rows["weight_only_int4"].size < rows["weight_only_int8"].size < 0.5 * rows["original"].size
    for name, bits in (("weight_only_int8", 8), ("weight_only_int4", 4)):
        model = onnx.load_from_string(files[name].content)
        packed = [node for node in model.graph.node if node.op_type == "MatMulNBits"]
        assert {item.i for node in packed for item in node.attribute if item.name == "bits"} == {bits}
        assert "linear layers and 1 embedding" in files[name].note
        assert "preprocess" in {item.key for item in model.metadata_props}


def test_rows_of_an_embedding_have_a_scale_each() -> None:
    from onnx import TensorProto, helper

    table = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "ids"], ["out"])],
        "lookup",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, [3])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [3, 4])],
        [numpy_helper.from_array(table, "table")],
    )
    model = with_int8_embeddings(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))
    import onnxruntime  # type: ignore[import-untyped]

    model.ir_version = 9
    session = onnxruntime.InferenceSession(model.SerializeToString())
    [result] = session.run(None, {"ids": np.array([4, 0, 4])})
    scales = np.abs(table).max(1, keepdims=True) / 127
    assert np.abs(result - table[[4, 0, 4]]).max() <= (scales / 2).max() * 1.001
    assert result == pytest.approx((np.round(table / scales) * scales)[[4, 0, 4]], rel=1e-5)


def test_matrix_products_equal_the_original(digits: TrainedRun) -> None:
    from netloom.compression.method import as_onnx

    model = as_onnx(digits)
    assert "Gemm" in {node.op_type for node in model.graph.node}
    changed = with_matrix_products(model)
    assert "Gemm" not in {node.op_type for node in changed.graph.node}
    inputs = {model.graph.input[0].name: digits.data.inputs["image"][:9].numpy()}
    import onnxruntime

    results = [onnxruntime.InferenceSession(item.SerializeToString()).run(None, inputs)[0] for item in (model, changed)]
    assert results[0] == pytest.approx(results[1], abs=1e-5)


def test_network_without_matrices_has_nothing_to_pack() -> None:
    project = templates()["digits_denoising"].project
    run = fit_here(project.model_copy(update={"training": project.training.model_copy(update={"epochs": 0})}))
    report, _ = measure(run, ["weight_only_int4"], repeats=2)
    assert [name for name, _ in report.failures] == ["weight_only_int4"]
    assert "no linear layers or embeddings" in report.failures[0][1]


def test_sensitivity_is_printed(console: Console, trained: Trained) -> None:
    answer = console("optimize", "last", "--home", trained.home, "--sensitivity")
    assert answer.code == 0, answer.err
    lines = [line for line in answer.out.splitlines() if "linear_" in line or "Logits" in line]
    assert len(lines) == 3
    assert "half of the channels removed" in answer.out
    refused = console("optimize", "last", "--home", trained.home, "--sensitivity", "--method", "onnx")
    assert "--sensitivity, which makes no variants" in refused.err


def test_sensitivity_is_the_change_of_the_loss(digits: TrainedRun) -> None:
    shares: list[float] = []
    measured = sensitivity(digits, shares.append)
    assert shares[-1] == 1.0
    rows = digits.data.split[measured.split]
    inputs, target = digits.data.inputs["image"][rows], digits.data.target[rows]

    def loss(model: torch.nn.Module) -> float:
        with torch.no_grad():
            return float(torch.nn.functional.cross_entropy(model(inputs), target))

    assert measured.loss == pytest.approx(loss(digits.model), rel=1e-5)
    first, second, last = measured.layers
    model = copy.deepcopy(digits.model)
    with torch.no_grad():
        weight = model.get_parameter("linear_1.weight")
        scale = weight.abs().amax(1, keepdim=True) / 127
        weight.copy_((weight / scale).round() * scale)
    assert first.int8 == pytest.approx(loss(model) - measured.loss, abs=1e-6)
    assert abs(first.int8) > 0
    # Without half of the units of the first layer: the second one does not read those with the smallest weights.
    model = copy.deepcopy(digits.model)
    with torch.no_grad():
        norms = digits.model.get_parameter("linear_1.weight").abs().sum(1)
        model.get_parameter("linear_2.weight")[:, norms.argsort()[: len(norms) // 2]] = 0.0
    assert first.pruned == pytest.approx(loss(model) - measured.loss, abs=1e-5)
    assert second.pruned is not None
    assert last.pruned is None  # the classes
