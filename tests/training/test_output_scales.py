"""The same network with and without its final softmax or sigmoid gives equal answers everywhere."""

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
from netloom.training import checkpoints
from netloom.training.evaluation import compute_metrics
from netloom.training.objectives.objective import joined
from netloom.training.trainers.registry import build_trainer
from netloom.validation import analyse
from tests.networks import chain, network

ROWS = 40
# By template: the options of its data, and of each Output the axis of its classes, 0 for probabilities by themselves.
KINDS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "breast_cancer": ({}, (1,)),
    "breast_cancer_binary": ({}, (0,)),
    "digits_cnn": ({}, (1,)),
    "scenes_labels": ({"rows": 60}, (0,)),
    "requests_tagger": ({}, (2,)),
    "shapes_unet": ({"rows": 60}, (1,)),
    "tales": ({}, (2,)),
    "dates_gru": ({}, (2,)),
    "commands_joint": ({}, (1, 2)),
    "shapes_two_outputs": ({"rows": 60}, (1, -1)),
    "cartpole_reinforce": ({}, (1,)),
    "cartpole_ppo": ({}, (1, -1)),
}
# What takes many passes, and the same ones as others.
SLOW = (
    "deep_lift_shap",
    "gradient_shap",
    "smoothgrad",
    "internal_influence",
    "neuron_conductance",
    "lime",
    "occlusion",
)
# What a document may say about losses: it holds for logits, so also where the network ends in something else.
PRICED = {"label_smoothing": 0.1, "class_weights": "balanced", "positive_weight": "balanced"}
MATRIX = [name for name in KINDS if name != "digits_cnn"]  # which is a classification like another
TEACHER = "00000000-0000-4000-8000-000000000000"
Layers = list[tuple[str, dict[str, Any]]]


def endings(axis: int) -> dict[str, Layers]:
    """What may stand behind logits, by name: each gives probabilities or their logarithms."""
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


def ended(document: Project, output: str, layers: Layers, axis: int) -> Project:
    """The document with these layers before an Output of its main network."""
    main, edges = document.main_network, list(document.main_network.edges)
    place = next(number for number, edge in enumerate(edges) if edge.target_node == output)
    last, nodes = edges[place], dict(main.nodes)
    before = last.source
    for number, (kind, params) in enumerate(layers, 1):
        key = f"{output}_end_{number}"
        nodes[key] = Node(id=key, type=kind, params=params)
        edges.append(Edge(source=before, target=key))
        before = key
        if kind == "Subnetwork":
            outside = analyse(document).edge_spec(last)
            assert outside is not None
            inner = inside(outside.shape[1:], axis)
            nodes[key] = Node(id=key, type=kind, params={"network": f"end_{output}"})
            document = document.model_copy(update={"networks": {**document.networks, f"end_{output}": inner}})
    edges[place] = last.model_copy(update={"source": before})
    return document.with_network(document.main, main.model_copy(update={"nodes": nodes, "edges": tuple(edges)}))


def inside(shape: tuple[int | None, ...], axis: int) -> Network:
    """A network that is nothing but a softmax or a sigmoid."""
    end: tuple[str, dict[str, Any]] = ("Sigmoid", {}) if axis == 0 else ("Softmax", {"axis": axis})
    given = ("Input", {"kind": "tensor", "shape": list(shape)})
    return network({"input_1": given, "end_1": end, "output_1": ("Output", {})})


@cache
def data_of(name: str) -> Prepared:
    return prepare(templates()[name].project.data.model_copy(update={"options": options(name)}))


def options(name: str) -> dict[str, Any]:
    return {**templates()[name].project.data.options, **KINDS[name][0]}


@cache
def plain(name: str) -> TrainedRun:
    """A template with logits for answers, with weights by chance that make it sure of some of them."""
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
def other(name: str, ending: str) -> TrainedRun:
    """The same network with that ending at each Output that tells classes."""
    run = plain(name)
    document = run.project
    for output, axis in zip(list(document.main_network.ports("Output")), KINDS[name][1], strict=True):
        if axis >= 0:
            document = ended(document, output, endings(axis)[ending], axis)
    text = source(document)
    model = module(text)
    model.load_state_dict(run.model.state_dict())
    return TrainedRun(document, text, model.eval(), run.data)


def same(found: Any, expected: Any, where: str = "", tolerance: float = 1e-5) -> None:
    """Equal, where numbers may differ by a little."""
    if isinstance(expected, dict):
        assert list(found) == list(expected), where
        for key in expected:
            same(found[key], expected[key], f"{where}.{key}", tolerance)
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected), where
        for place, (one, two) in enumerate(zip(found, expected, strict=True)):
            same(one, two, f"{where}[{place}]", tolerance)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=tolerance, abs=tolerance, nan_ok=True), where
    elif isinstance(expected, np.ndarray):
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, err_msg=where)
    else:
        assert found == expected, where


def pairs(*, all_endings: bool = False, agents: bool = True) -> list[Any]:
    """The kinds of answers with some endings of each."""
    found = []
    for name in MATRIX if agents else (name for name in MATRIX if not name.startswith("cartpole")):
        known = list(endings(max(KINDS[name][1][0], 0)))
        found += [pytest.param(name, ending, id=f"{name}-{ending}") for ending in (known if all_endings else known[:2])]
    return found


@pytest.mark.parametrize(("name", "ending"), pairs(all_endings=True))
def test_the_network_that_is_worked_with_gives_logits(name: str, ending: str) -> None:
    one, two = plain(name), other(name, ending)
    assert one.scorer is one.model
    assert two.scorer is not two.model
    assert original_network(two.scorer) is two.model
    inputs = [one.data.inputs[field][:5] for field in one.fields]
    with torch.no_grad():
        expected, found = joined(one.model(*inputs)), joined(two.scorer(*inputs))
        left = joined(two.model(*inputs))
    assert not torch.allclose(left, expected, atol=1e-2)
    if ending == "clamped":  # computed from the probabilities, so only their shares are the same
        return
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("name", "ending"), pairs(agents=False))
def test_loss_gradient_and_measures_are_equal(name: str, ending: str) -> None:
    found = []
    for run in (plain(name), other(name, ending)):
        told = {name: value for name, value in PRICED.items() if name in run.objective.task.settings}
        training = run.project.training.model_copy(update=told)
        objective = run.objective.configured(training, run.data, "cpu")
        model = with_logits(run.project, module(run.source), run.data.schema).eval()
        model.load_state_dict(run.model.state_dict())
        rows = run.data.split["train"][:ROWS]
        inputs, target = [run.data.inputs[field][rows] for field in run.fields], objective.loss_targets(run.data)[rows]
        loss = objective.loss(joined(model(*inputs)), target)
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
        found.append(
            (loss.item(), [one.numpy() for one in gradients], compute_metrics(model, objective, inputs, target))
        )
    assert len(found[0][1]) > 1
    same(found[1], found[0])


@pytest.mark.parametrize(("name", "ending"), pairs())
def test_evaluations_and_predictions_are_equal(name: str, ending: str) -> None:
    one, two = plain(name), other(name, ending)
    same(two.calibration, one.calibration, "calibration")
    if not name.startswith("cartpole"):
        same(evaluate(two).as_json(), evaluate(one).as_json(), "evaluation", 1e-4)
    rows = [one.data.row(int(row)) for row in one.data.split["test"][:6]]
    same(predict(two, rows), predict(one, rows), "prediction")


@pytest.mark.parametrize(("name", "ending"), pairs())
def test_explanations_are_of_the_same_number(name: str, ending: str) -> None:
    one, two = plain(name), other(name, ending)
    row = int(one.data.split["test"][0])
    same(vars(predict_example(two, row).prediction), vars(predict_example(one, row).prediction), "answer")
    assert predict_example(two, row).target == predict_example(one, row).target
    if name in ("breast_cancer", "breast_cancer_binary", "scenes_labels", "shapes_two_outputs"):
        found = [explain(run, "saliency", row, proofs=False) for run in (one, two)]
        same(found[1].answer, found[0].answer, "F")
        same(found[1].attributions, found[0].attributions, "attributions")


@pytest.mark.parametrize("name", ["breast_cancer", "requests_tagger", "digits_cnn"])
def test_every_method_explains_the_same(name: str) -> None:
    """Availability, attributions, and the layer that is looked at where none is chosen."""
    one, two = plain(name), other(name, "moved")
    row = int(one.data.split["test"][0])
    assert methods(two) == methods(one)
    for method in methods(one):
        if not method.available or method.name in SLOW:
            continue
        found, expected = (explain(run, method.name, row, proofs=False) for run in (two, one))
        same(found.attributions, expected.attributions, method.name)
        same(found.nodes, expected.nodes, method.name)
        same([found.answer, found.ground], [expected.answer, expected.ground], method.name)


def test_the_activation_of_a_softmax_that_is_left_out_is_what_it_is_drawn_to_give() -> None:
    run = other("breast_cancer", "softmax")
    row = int(run.data.split["test"][0])
    found = explain(run, "layer_activation", row, proofs=False, node="output_1_end_1").nodes["output_1_end_1"]
    with torch.no_grad():
        said = run.model(*[run.data.inputs[field][row : row + 1] for field in run.fields])[0]
    np.testing.assert_allclose(found, said.numpy(), rtol=1e-6)


def answers_of(run: TrainedRun, format_: str, folder: Path) -> list[dict[str, Any]]:
    """What a file says of the first test rows, without Netloom."""
    content = export.content(run, format_)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(folder)
    rows = [run.data.row(int(row)) for row in run.data.split["test"][:3]]
    plain_rows = json.loads(json.dumps(rows, default=lambda value: value.tolist()))
    if format_ == "bundle":
        (folder / "rows.json").write_text(json.dumps(plain_rows))
        told = subprocess.run(
            [sys.executable, "predict.py", "rows.json"], cwd=folder, capture_output=True, text=True, check=True
        )
        found: list[dict[str, Any]] = json.loads(told.stdout)
        return found
    space: dict[str, Any] = {"print": lambda *_: None}
    for cell in json.loads((folder / "network.ipynb").read_text())["cells"]:
        if cell["cell_type"] == "code":
            code = "".join(cell["source"]).replace('"weights.safetensors"', repr(str(folder / "weights.safetensors")))
            exec(compile(code, "cell", "exec", dont_inherit=True), space)
    made: list[dict[str, Any]] = space["predict"](space["network"], space["preprocess"], plain_rows)
    return made


def worded(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return json.loads(json.dumps(answers, default=lambda value: value.tolist()))  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", MATRIX)
def test_a_notebook_answers_as_the_app_does(name: str, tmp_path: Path) -> None:
    ending = "sigmoid" if KINDS[name][1][0] == 0 else "softmax"
    run = other(name, ending)
    rows = [run.data.row(int(row)) for row in run.data.split["test"][:3]]
    same(answers_of(run, "notebook", tmp_path), worded(predict(plain(name), rows)), "notebook")


@pytest.mark.parametrize("name", ["breast_cancer_binary"])
def test_the_bundle_answers_as_the_app_does_in_a_process_of_its_own(name: str, tmp_path: Path) -> None:
    ending = "log sigmoid" if KINDS[name][1][0] == 0 else "log softmax"
    run = other(name, ending)
    rows = [run.data.row(int(row)) for row in run.data.split["test"][:3]]
    found = answers_of(run, "bundle", tmp_path)
    assert "gives log-probabilities" in (tmp_path / "README.md").read_text(encoding="utf-8")
    same(found, worded(predict(plain(name), rows)), "bundle")
    # And what it says is what the network says: its own output, exponentiated.
    with torch.no_grad():
        said = run.model(*[run.data.inputs[field][run.data.split["test"][:3]] for field in run.fields]).exp()
    shares = [list(answer["probabilities"].values())[-1] for answer in found]
    assert shares == pytest.approx(said[:, -1].tolist(), rel=1e-5)


@pytest.mark.parametrize("name", ["breast_cancer", "breast_cancer_binary"])
def test_attacks_and_influence_are_equal(name: str) -> None:
    one, two = plain(name), other(name, "sigmoid" if KINDS[name][1][0] == 0 else "softmax")
    found = [robustness(run, "pgd", strengths=(0.0, 0.2), rows=20) for run in (one, two)]
    same(found[1].scores, found[0].scores, "attack")
    row = int(one.data.split["test"][0])
    told = [influence(run, row) for run in (one, two)]
    same(told[1].influences, told[0].influences, "influence", 1e-4)
    assert (told[1].answer, told[1].looked_by) == (told[0].answer, told[0].looked_by)


def teacher_files(folder: Path, run: TrainedRun) -> Any:
    from safetensors.torch import save_file

    from netloom.runs.distillation import TeacherFiles
    from netloom.validation.output_scales import scales

    save_file(run.model.state_dict(), folder / "weights.safetensors")
    (folder / "model.py").write_text(run.source, encoding="utf-8")
    scale = next(iter(scales(run.project)), None)
    return TeacherFiles(folder / "weights.safetensors", folder / "model.py", tuple(run.fields), scale)


def test_a_teacher_that_ends_in_a_softmax_teaches_the_same(tmp_path: Path) -> None:
    from netloom.training.objectives import OBJECTIVES

    losses = []
    for place, run in enumerate((plain("breast_cancer"), other("breast_cancer", "softmax"))):
        folder, kept = tmp_path / str(place), tmp_path / f"kept {place}"
        folder.mkdir()
        kept.mkdir()
        freeze_teacher(teacher_files(folder, run), RunArtifacts.in_directory(kept))
        taught = frozen_teacher(RunArtifacts.in_directory(kept))
        assert taught is not None
        rows = run.data.split["train"][:ROWS]
        inputs, training = [run.data.inputs[field][rows] for field in run.fields], Training(objective="distillation")
        objective: Any = OBJECTIVES["distillation"].configured(training, run.data, "cpu")
        objective.teacher = Teacher(taught, run.fields, "cpu")
        _, goal = objective.prepare_batch(inputs, run.data.target[rows], ())
        output = torch.randn(ROWS, 2, generator=torch.Generator().manual_seed(0))
        losses.append(objective.loss(output, goal).item())
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_a_teacher_that_was_frozen_before_scales_were_is_read_from_its_run(tmp_path: Path) -> None:
    run = other("breast_cancer", "softmax")
    kept, teacher = tmp_path / "student", tmp_path / TEACHER
    kept.mkdir()
    teacher.mkdir()
    freeze_teacher(teacher_files(teacher, run), RunArtifacts.in_directory(kept))
    told = json.loads((kept / "teacher.json").read_text())
    assert told.pop("scale") == ["probabilities", "softmax"]
    (kept / "teacher.json").write_text(json.dumps(told))
    learning = Training(objective="distillation", teacher=f"run:{TEACHER}")
    write(kept / "project.json", run.project.model_copy(update={"training": learning}))
    for there, scale in ((False, None), (True, ("probabilities", "softmax"))):
        if there:
            write(teacher / "project.json", run.project)
        taught = frozen_teacher(RunArtifacts.in_directory(kept))
        assert taught is not None
        assert taught.scale == scale


def gan(*end: tuple[str, dict[str, Any]]) -> Project:
    """The template of a GAN whose discriminator ends so."""
    document = templates()["digits_gan"].project
    inner = document.networks["discriminator"]
    edges, nodes = list(inner.edges), dict(inner.nodes)
    output = next(iter(inner.ports("Output")))
    place = next(number for number, edge in enumerate(edges) if edge.target_node == output)
    before = edges[place].source
    for number, (kind, params) in enumerate(end):
        nodes[f"end_{number}"] = Node(id=f"end_{number}", type=kind, params=params)
        edges.append(Edge(source=before, target=f"end_{number}"))
        before = f"end_{number}"
    edges[place] = edges[place].model_copy(update={"source": before})
    made = inner.model_copy(update={"nodes": nodes, "edges": tuple(edges)})
    return document.with_network("discriminator", made)


@pytest.mark.parametrize("end", [[("Sigmoid", {})], [("Sigmoid", {}), ("Clamp", {"low": 0.0, "high": 1.0})]])
def test_a_discriminator_may_end_in_a_sigmoid(end: Layers) -> None:
    data = prepare(templates()["digits_gan"].project.data)
    found = []
    for document in (gan(), gan(*end)):
        loop: Any = build_trainer(document, source(document), data)
        found.append(loop.evaluate("validation"))
        torch.manual_seed(1)
        inputs, target = loop.loader.train
        found[-1]["turns"] = float(loop.train_step([inputs[0][:64]], target[:64]))
    same(found[1], found[0])


def moons(*end: tuple[str, dict[str, Any]]) -> Project:
    layers: Layers = [("Linear", {"units": 8}), ("ReLU", {}), ("Linear", {"units": 2}), *end]
    given = ("Input", {"field": "features", "kind": "vector", "shape": [2]})
    how = Training(epochs=2, batch_size=64, learning_rate=0.05, device="cpu")
    return chain(given, *layers, data=DataChoice(dataset="moons"), training=how)


@pytest.mark.parametrize("end", ["Softmax", "LogSoftmax"])
def test_training_is_the_same_to_the_last_bit(end: str) -> None:
    one, two = fit_here(moons()), fit_here(moons((end, {})))
    assert all(torch.equal(two.model.state_dict()[name], value) for name, value in one.model.state_dict().items())
    inputs = two.data.inputs["features"][:4]
    with torch.no_grad():
        said = two.model(inputs) if end == "Softmax" else two.model(inputs).exp()
        torch.testing.assert_close(said, one.model(inputs).softmax(1))
    evaluated = evaluate(two)
    assert evaluated == evaluate(one)
    assert evaluated.metrics["accuracy"] > 0.8


def test_a_run_from_before_is_measured_anew(tmp_path: Path) -> None:
    """One whose loss had a second softmax applied: its folder says what its network ends in."""
    document = moons(("Softmax", {}))
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
    found = evaluation(store, run.id)
    assert found is not None
    same(found.as_json(), json.loads(json.dumps(right.as_json())))
    assert json.loads((folder / "evaluation.json").read_text())["metrics"] == pytest.approx(right.metrics)
    checkpoints.weights_file(
        RunArtifacts.in_directory(folder), checkpoints.chosen(RunArtifacts.in_directory(folder))
    ).unlink()
    assert evaluation(store, run.id) is not None, "it is measured once"
    store.close()
