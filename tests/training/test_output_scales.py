"""A network with a final softmax or sigmoid gives the same results everywhere as the same network with logits."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from netloom import export
from netloom.compile import module, source
from netloom.compile.logit_network import original_network, with_logits
from netloom.core.plain_json import JsonObject
from netloom.data import Prepared, prepare
from netloom.document import DataChoice, Edge, Network, Node, Project, Training, write
from netloom.explain import explain, methods
from netloom.explain.core.prediction import predict_example
from netloom.explain.influence.influence import influence
from netloom.explain.robustness.robustness import robustness
from netloom.runs import TrainedRun, evaluate, evaluation, fit_here, predict
from netloom.runs.distillation import Teacher, freeze_teacher, frozen_teacher
from netloom.store import RunArtifacts, open_store
from netloom.templates import templates
from netloom.training.evaluation import compute_metrics
from netloom.training.objectives.objective import joined
from netloom.training.trainers.registry import build_trainer
from netloom.training.weights import checkpoints
from netloom.validation import analyze
from tests.explain.models import QUICK
from tests.networks import chain, network

ROWS = 40
# By template: the options of its data, and the class axis of each Output (0: independent probabilities, -1: none).
KINDS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "breast_cancer": ({}, (1,)),
    "breast_cancer_binary": ({}, (0,)),
    "digits_cnn": ({}, (1,)),
    "scenes_labels": ({"rows": 60}, (0,)),
    "requests_tagger": ({"rows": 400}, (2,)),
    "shapes_unet": ({"rows": 60}, (1,)),
    "tales": ({}, (2,)),
    "dates_gru": ({"rows": 400}, (2,)),
    "commands_joint": ({"rows": 400}, (1, 2)),
    "shapes_two_outputs": ({"rows": 60}, (1, -1)),
    "cartpole_reinforce": ({}, (1,)),
    "cartpole_ppo": ({}, (1, -1)),
}
# Methods that take many passes and share their code with others.
SLOW = (
    "deep_lift_shap",
    "gradient_shap",
    "smoothgrad",
    "internal_influence",
    "neuron_conductance",
    "lime",
    "occlusion",
)
# Loss settings, which apply to logits and therefore also to networks with another ending.
LOSS_SETTINGS = {"label_smoothing": 0.1, "class_weights": "balanced", "positive_weight": "balanced"}
MATRIX = [name for name in KINDS if name != "digits_cnn"]  # another plain classification
TEACHER = "00000000-0000-4000-8000-000000000000"
Layers = list[tuple[str, dict[str, Any]]]


def endings(axis: int) -> dict[str, Layers]:
    """Layers that may follow the logits, by name: each outputs probabilities or log-probabilities."""
    if axis == 0:
        return {
            "sigmoid": [("Sigmoid", {})],
            "log sigmoid": [("LogSigmoid", {})],
            "moved": [("Sigmoid", {}), ("Identity", {}), ("Dropout", {})],
            "log of it": [("Sigmoid", {}), ("Function", {"function": "log"})],
            "clamped": [("Sigmoid", {}), ("Clamp", {"low": 0.0, "high": 1.0})],
            "nested": [("Subnetwork", {})],
        }
    over = {"axis": axis}
    return {
        "softmax": [("Softmax", over)],
        "log softmax": [("LogSoftmax", over)],
        "moved": [("Softmax", over), ("Identity", {}), ("Dropout", {})],
        "log of it": [("Softmax", over), ("Function", {"function": "log"})],
        "exp of log": [("LogSoftmax", over), ("Function", {"function": "exp"})],
        "clamped": [("Softmax", over), ("Clamp", {"low": 0.0, "high": 1.0})],
        "nested": [("Subnetwork", {})],
    }


def with_ending(document: Project, output: str, layers: Layers, axis: int) -> Project:
    """The document with these layers before an Output of its main network."""
    main, edges = document.main_network, list(document.main_network.edges)
    edge_index = next(number for number, edge in enumerate(edges) if edge.target_node == output)
    last, nodes = edges[edge_index], dict(main.nodes)
    before = last.source
    for number, (kind, params) in enumerate(layers, 1):
        key = f"{output}_end_{number}"
        nodes[key] = Node(id=key, type=kind, params=params)
        edges.append(Edge(source=before, target=key))
        before = key
        if kind == "Subnetwork":
            outside = analyze(document).edge_spec(last)
            assert outside is not None
            inner = ending_network(outside.shape[1:], axis)
            nodes[key] = Node(id=key, type=kind, params={"network": f"end_{output}"})
            document = document.model_copy(update={"networks": {**document.networks, f"end_{output}": inner}})
    edges[edge_index] = last.model_copy(update={"source": before})
    return document.with_network(document.main, main.model_copy(update={"nodes": nodes, "edges": tuple(edges)}))


def ending_network(shape: tuple[int | None, ...], axis: int) -> Network:
    """A network that contains only a softmax or a sigmoid."""
    end: tuple[str, dict[str, Any]] = ("Sigmoid", {}) if axis == 0 else ("Softmax", {"axis": axis})
    source_layer = ("Input", {"kind": "tensor", "shape": list(shape)})
    return network({"input_1": source_layer, "end_1": end, "output_1": ("Output", {})})


@cache
def data_of(name: str) -> Prepared:
    return prepare(templates()[name].project.data.model_copy(update={"options": options(name)}))


def options(name: str) -> dict[str, Any]:
    return {**templates()[name].project.data.options, **KINDS[name][0]}


@cache
def logit_run(name: str) -> TrainedRun:
    """A template with logit outputs and random weights, scaled up so that some predictions are confident."""
    document = templates()[name].project
    document = document.model_copy(update={"data": document.data.model_copy(update={"options": options(name)})})
    torch.manual_seed(3)
    model = module(source(document)).eval()
    with torch.no_grad():
        output = next(iter(document.main_network.ports("Output")))
        last = next(edge.source_node for edge in document.main_network.edges if edge.target_node == output)
        for weight in model.get_submodule(last).parameters():
            weight.mul_(6)
    return TrainedRun(document, source(document), model, data_of(name))


@cache
def logit_evaluation(name: str) -> JsonObject:
    return evaluate(logit_run(name)).as_json()


@cache
def run_with_ending(name: str, ending: str) -> TrainedRun:
    """The same network with that ending at each Output with class scores."""
    run = logit_run(name)
    document = run.project
    for output, axis in zip(list(document.main_network.ports("Output")), KINDS[name][1], strict=True):
        if axis >= 0:
            document = with_ending(document, output, endings(axis)[ending], axis)
    text = source(document)
    model = module(text)
    model.load_state_dict(run.model.state_dict())
    return TrainedRun(document, text, model.eval(), run.data)


def assert_close(actual: Any, expected: Any, path: str = "", tolerance: float = 1e-5) -> None:
    """Assert that nested values are equal, numbers within a tolerance."""
    if isinstance(expected, dict):
        assert list(actual) == list(expected), path
        for key in expected:
            assert_close(actual[key], expected[key], f"{path}.{key}", tolerance)
    elif isinstance(expected, (list, tuple)):
        assert len(actual) == len(expected), path
        for index, (actual_item, expected_item) in enumerate(zip(actual, expected, strict=True)):
            assert_close(actual_item, expected_item, f"{path}[{index}]", tolerance)
    elif isinstance(expected, float):
        assert actual == pytest.approx(expected, rel=tolerance, abs=tolerance, nan_ok=True), path
    elif isinstance(expected, np.ndarray):
        np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance, err_msg=path)
    else:
        assert actual == expected, path


def matrix_pairs(*, all_endings: bool = False, agents: bool = True) -> list[Any]:
    """The templates with some endings each."""
    params = []
    for name in MATRIX if agents else (name for name in MATRIX if not name.startswith("cartpole")):
        names = list(endings(max(KINDS[name][1][0], 0)))
        params += [
            pytest.param(name, ending, id=f"{name}-{ending}") for ending in (names if all_endings else names[:2])
        ]
    return params


@pytest.mark.parametrize(("name", "ending"), matrix_pairs(all_endings=True))
def test_scorer_returns_logits(name: str, ending: str) -> None:
    logits_run, scaled_run = logit_run(name), run_with_ending(name, ending)
    assert logits_run.scorer is logits_run.model
    assert scaled_run.scorer is not scaled_run.model
    assert original_network(scaled_run.scorer) is scaled_run.model
    inputs = [logits_run.data.inputs[field][:5] for field in logits_run.fields]
    with torch.no_grad():
        expected, scorer_output = joined(logits_run.model(*inputs)), joined(scaled_run.scorer(*inputs))
        scaled_output = joined(scaled_run.model(*inputs))
    assert not torch.allclose(scaled_output, expected, atol=1e-2)
    if ending == "clamped":  # computed from the probabilities, so the logits may differ by a constant
        return
    torch.testing.assert_close(scorer_output, expected)


@pytest.mark.parametrize(("name", "ending"), matrix_pairs(agents=False))
def test_loss_gradients_and_metrics_match_logit_network(name: str, ending: str) -> None:
    results = []
    for run in (logit_run(name), run_with_ending(name, ending)):
        settings = {name: value for name, value in LOSS_SETTINGS.items() if name in run.objective.task.settings}
        training = run.project.training.model_copy(update=settings)
        objective = run.objective.configured(training, run.data, "cpu")
        model = with_logits(run.project, module(run.source), run.data.schema).eval()
        model.load_state_dict(run.model.state_dict())
        rows = run.data.split["train"][:ROWS]
        inputs, target = [run.data.inputs[field][rows] for field in run.fields], objective.loss_targets(run.data)[rows]
        loss = objective.loss(joined(model(*inputs)), target)
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
        results.append(
            (
                loss.item(),
                [gradient.numpy() for gradient in gradients],
                compute_metrics(model, objective, inputs, target),
            )
        )
    assert len(results[0][1]) > 1
    assert_close(results[1], results[0])


@pytest.mark.parametrize(("name", "ending"), matrix_pairs())
def test_evaluations_and_predictions_match_logit_network(name: str, ending: str) -> None:
    logits_run, scaled_run = logit_run(name), run_with_ending(name, ending)
    assert_close(scaled_run.calibration, logits_run.calibration, "calibration")
    if not name.startswith("cartpole"):
        assert_close(evaluate(scaled_run).as_json(), logit_evaluation(name), "evaluation", 1e-4)
    rows = [logits_run.data.row(int(row)) for row in logits_run.data.split["test"][:6]]
    assert_close(predict(scaled_run, rows), predict(logits_run, rows), "prediction")


@pytest.mark.parametrize(("name", "ending"), matrix_pairs())
def test_explanations_target_the_same_logit(name: str, ending: str) -> None:
    logits_run, scaled_run = logit_run(name), run_with_ending(name, ending)
    row = int(logits_run.data.split["test"][0])
    assert_close(
        vars(predict_example(scaled_run, row).prediction), vars(predict_example(logits_run, row).prediction), "answer"
    )
    assert predict_example(scaled_run, row).target == predict_example(logits_run, row).target
    if name in ("breast_cancer", "breast_cancer_binary", "scenes_labels", "shapes_two_outputs"):
        explanations = [explain(run, "saliency", row, proofs=False) for run in (logits_run, scaled_run)]
        assert_close(explanations[1].score, explanations[0].score, "F")
        assert_close(explanations[1].attributions, explanations[0].attributions, "attributions")


@pytest.mark.parametrize("name", ["breast_cancer", "requests_tagger", "digits_cnn"])
def test_every_method_matches_logit_network(name: str) -> None:
    """Availability, attributions, and the default layer."""
    logits_run, scaled_run = logit_run(name), run_with_ending(name, "moved")
    row = int(logits_run.data.split["test"][0])
    assert methods(scaled_run) == methods(logits_run)
    for method in methods(logits_run):
        if not method.available or method.name in SLOW:
            continue
        quick = QUICK.get(method.name, {})
        actual, expected = (explain(run, method.name, row, proofs=False, **quick) for run in (scaled_run, logits_run))
        assert_close(actual.attributions, expected.attributions, method.name)
        assert_close(actual.nodes, expected.nodes, method.name)
        assert_close([actual.score, actual.baseline_score], [expected.score, expected.baseline_score], method.name)


def test_removed_softmax_still_reports_its_activation() -> None:
    run = run_with_ending("breast_cancer", "softmax")
    row = int(run.data.split["test"][0])
    activation = explain(run, "layer_activation", row, proofs=False, node="output_1_end_1").nodes["output_1_end_1"]
    with torch.no_grad():
        expected = run.model(*[run.data.inputs[field][row : row + 1] for field in run.fields])[0]
    np.testing.assert_allclose(activation, expected.numpy(), rtol=1e-6)


def exported_predictions(run: TrainedRun, format_: str, folder: Path) -> list[dict[str, Any]]:
    """The predictions of an exported file for the first test rows."""
    content = export.content(run, format_)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(folder)
    rows = [run.data.row(int(row)) for row in run.data.split["test"][:3]]
    plain_rows = json.loads(json.dumps(rows, default=lambda value: value.tolist()))
    if format_ == "bundle":
        (folder / "rows.json").write_text(json.dumps(plain_rows))
        process = subprocess.run(
            [sys.executable, "predict.py", "rows.json"], cwd=folder, capture_output=True, text=True, check=True
        )
        script_predictions: list[dict[str, Any]] = json.loads(process.stdout)
        return script_predictions
    namespace: dict[str, Any] = {"print": lambda *_: None}
    for cell in json.loads((folder / "network.ipynb").read_text())["cells"]:
        if cell["cell_type"] == "code":
            code = "".join(cell["source"]).replace('"weights.safetensors"', repr(str(folder / "weights.safetensors")))
            exec(compile(code, "cell", "exec", dont_inherit=True), namespace)
    notebook_predictions: list[dict[str, Any]] = namespace["predict"](
        namespace["network"], namespace["preprocess"], plain_rows
    )
    return notebook_predictions


def json_values(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return json.loads(json.dumps(answers, default=lambda value: value.tolist()))  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", MATRIX)
def test_notebook_predictions_match_app(name: str, tmp_path: Path) -> None:
    ending = "sigmoid" if KINDS[name][1][0] == 0 else "softmax"
    run = run_with_ending(name, ending)
    rows = [run.data.row(int(row)) for row in run.data.split["test"][:3]]
    assert_close(
        exported_predictions(run, "notebook", tmp_path), json_values(predict(logit_run(name), rows)), "notebook"
    )


@pytest.mark.parametrize("name", ["breast_cancer_binary"])
def test_bundle_predictions_match_app_and_network(name: str, tmp_path: Path) -> None:
    ending = "log sigmoid" if KINDS[name][1][0] == 0 else "log softmax"
    run = run_with_ending(name, ending)
    rows = [run.data.row(int(row)) for row in run.data.split["test"][:3]]
    predictions = exported_predictions(run, "bundle", tmp_path)
    assert "gives log-probabilities" in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert_close(predictions, json_values(predict(logit_run(name), rows)), "bundle")
    # The predicted probabilities are the exponentials of the network's output.
    with torch.no_grad():
        probabilities = run.model(*[run.data.inputs[field][run.data.split["test"][:3]] for field in run.fields]).exp()
    predicted = [list(answer["probabilities"].values())[-1] for answer in predictions]
    assert predicted == pytest.approx(probabilities[:, -1].tolist(), rel=1e-5)


@pytest.mark.parametrize("name", ["breast_cancer", "breast_cancer_binary"])
def test_attacks_and_influence_match_logit_network(name: str) -> None:
    logits_run, scaled_run = logit_run(name), run_with_ending(name, "sigmoid" if KINDS[name][1][0] == 0 else "softmax")
    attacks = [robustness(run, "pgd", strengths=(0.0, 0.2), rows=20) for run in (logits_run, scaled_run)]
    assert_close(attacks[1].scores, attacks[0].scores, "attack")
    row = int(logits_run.data.split["test"][0])
    influences = [influence(run, row) for run in (logits_run, scaled_run)]
    assert_close(influences[1].influences, influences[0].influences, "influence", 1e-4)
    assert (influences[1].prediction, influences[1].parameters) == (influences[0].prediction, influences[0].parameters)


def teacher_files(folder: Path, run: TrainedRun) -> Any:
    from safetensors.torch import save_file

    from netloom.runs.distillation import TeacherFiles
    from netloom.validation.output_scales import scales

    save_file(run.model.state_dict(), folder / "weights.safetensors")
    (folder / "model.py").write_text(run.source, encoding="utf-8")
    scale = next(iter(scales(run.project)), None)
    return TeacherFiles(folder / "weights.safetensors", folder / "model.py", tuple(run.fields), scale)


def test_softmax_teacher_distills_like_logit_teacher(tmp_path: Path) -> None:
    from netloom.training.objectives import OBJECTIVES

    losses = []
    for index, run in enumerate((logit_run("breast_cancer"), run_with_ending("breast_cancer", "softmax"))):
        folder, student_folder = tmp_path / str(index), tmp_path / f"kept {index}"
        folder.mkdir()
        student_folder.mkdir()
        freeze_teacher(teacher_files(folder, run), RunArtifacts.in_directory(student_folder))
        teacher = frozen_teacher(RunArtifacts.in_directory(student_folder))
        assert teacher is not None
        rows = run.data.split["train"][:ROWS]
        inputs, training = [run.data.inputs[field][rows] for field in run.fields], Training(objective="distillation")
        objective: Any = OBJECTIVES["distillation"].configured(training, run.data, "cpu")
        objective.teacher = Teacher(teacher, run.fields, "cpu")
        _, targets = objective.prepare_batch(inputs, run.data.target[rows], ())
        output = torch.randn(ROWS, 2, generator=torch.Generator().manual_seed(0))
        losses.append(objective.loss(output, targets).item())
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_teacher_without_scale_falls_back_to_its_run(tmp_path: Path) -> None:
    run = run_with_ending("breast_cancer", "softmax")
    student, teacher = tmp_path / "student", tmp_path / TEACHER
    student.mkdir()
    teacher.mkdir()
    freeze_teacher(teacher_files(teacher, run), RunArtifacts.in_directory(student))
    metadata = json.loads((student / "teacher.json").read_text())
    assert metadata.pop("scale") == ["probabilities", "softmax"]
    (student / "teacher.json").write_text(json.dumps(metadata))
    learning = Training(objective="distillation", teacher=f"run:{TEACHER}")
    write(student / "project.json", run.project.model_copy(update={"training": learning}))
    for project_exists, scale in ((False, None), (True, ("probabilities", "softmax"))):
        if project_exists:
            write(teacher / "project.json", run.project)
        frozen = frozen_teacher(RunArtifacts.in_directory(student))
        assert frozen is not None
        assert frozen.scale == scale


def gan_with_ending(*end: tuple[str, dict[str, Any]]) -> Project:
    """The GAN template with these layers at the end of the discriminator."""
    document = templates()["digits_gan"].project
    inner = document.networks["discriminator"]
    edges, nodes = list(inner.edges), dict(inner.nodes)
    output = next(iter(inner.ports("Output")))
    edge_index = next(number for number, edge in enumerate(edges) if edge.target_node == output)
    before = edges[edge_index].source
    for number, (kind, params) in enumerate(end):
        nodes[f"end_{number}"] = Node(id=f"end_{number}", type=kind, params=params)
        edges.append(Edge(source=before, target=f"end_{number}"))
        before = f"end_{number}"
    edges[edge_index] = edges[edge_index].model_copy(update={"source": before})
    changed = inner.model_copy(update={"nodes": nodes, "edges": tuple(edges)})
    return document.with_network("discriminator", changed)


@pytest.mark.parametrize("end", [[("Sigmoid", {})], [("Sigmoid", {}), ("Clamp", {"low": 0.0, "high": 1.0})]])
def test_sigmoid_discriminator_trains_like_logit_discriminator(end: Layers) -> None:
    data = prepare(templates()["digits_gan"].project.data)
    metrics = []
    for document in (gan_with_ending(), gan_with_ending(*end)):
        trainer: Any = build_trainer(document, source(document), data)
        metrics.append(trainer.evaluate("validation"))
        torch.manual_seed(1)
        inputs, target = trainer.loader.train
        metrics[-1]["turns"] = float(trainer.train_step([inputs[0][:64]], target[:64]))
    assert_close(metrics[1], metrics[0])


def moons_project(*end: tuple[str, dict[str, Any]]) -> Project:
    layers: Layers = [("Linear", {"units": 8}), ("ReLU", {}), ("Linear", {"units": 2}), *end]
    source_layer = ("Input", {"field": "features", "kind": "vector", "shape": [2]})
    training = Training(epochs=2, batch_size=64, learning_rate=0.05, device="cpu")
    return chain(source_layer, *layers, data=DataChoice(dataset="moons"), training=training)


@pytest.mark.parametrize("end", ["Softmax", "LogSoftmax"])
def test_training_with_softmax_output_is_bit_identical(end: str) -> None:
    logits_run, scaled_run = fit_here(moons_project()), fit_here(moons_project((end, {})))
    assert all(
        torch.equal(scaled_run.model.state_dict()[name], value) for name, value in logits_run.model.state_dict().items()
    )
    inputs = scaled_run.data.inputs["features"][:4]
    with torch.no_grad():
        probabilities = scaled_run.model(inputs) if end == "Softmax" else scaled_run.model(inputs).exp()
        torch.testing.assert_close(probabilities, logits_run.model(inputs).softmax(1))
    evaluated = evaluate(scaled_run)
    assert evaluated == evaluate(logits_run)
    assert evaluated.metrics["accuracy"] > 0.8


def test_stale_evaluation_is_recomputed(tmp_path: Path) -> None:
    """An evaluation whose loss had a second softmax applied; the folder states the ending of the network."""
    document = moons_project(("Softmax", {}))
    store = open_store(tmp_path)
    run = store.create_run(store.create_project(document), document, "Before")
    trained, folder = fit_here(document, tmp_path), store.artifacts(run.id).local_directory()
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "project.json", document)
    (folder / "model.py").write_text(trained.source)
    checkpoints.save_best(RunArtifacts.in_directory(folder), dict(trained.model.state_dict()), {})
    right = evaluate(trained)
    wrong = {**right.as_json(), "metrics": {**right.metrics, "loss": 0.5}}
    (folder / "evaluation.json").write_text(json.dumps(wrong))
    stored = evaluation(store, run.id)
    assert stored is not None
    assert_close(stored.as_json(), json.loads(json.dumps(right.as_json())))
    assert json.loads((folder / "evaluation.json").read_text())["metrics"] == pytest.approx(right.metrics)
    checkpoints.weights_file(
        RunArtifacts.in_directory(folder), checkpoints.chosen(RunArtifacts.in_directory(folder))
    ).unlink()
    assert evaluation(store, run.id) is not None, "it is measured once"
    store.close()
