"""`netloom import`: an ONNX file becomes a document with weights, or a project."""

from __future__ import annotations

import io
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save
from torch import nn

from netloom.compile import module
from netloom.compile.importers.imported_model import ONNX_EVALUATION
from netloom.document import read, write
from netloom.store import Store, open_store, weights
from netloom.templates import templates
from tests.cli.conftest import Console, Trained


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).eval()


@pytest.fixture
def file(network: nn.Module, tmp_path: Path) -> Path:
    buffer = io.BytesIO()
    stream: Any = buffer
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the legacy exporter is faster
        torch.onnx.export(
            network, (torch.zeros(1, 4),), stream, dynamo=False, dynamic_axes={"x": {0: "n"}}, input_names=["x"]
        )
    path = tmp_path / "small.onnx"
    path.write_bytes(buffer.getvalue())
    return path


def test_import_writes_document_and_weights(console: Console, file: Path, network: nn.Module, tmp_path: Path) -> None:
    target = tmp_path / "drawn.json"
    answer = console("import", file, "--to", target, "--json")
    assert answer.code == 0, answer.err
    assert answer.value["file"] == str(target)
    assert answer.value["remarks"][1:] == [ONNX_EVALUATION]
    assert answer.value["remarks"][0].startswith("Inputs: numbers are fed as they are in the data. The file does not")
    imported = module(read(target))
    imported.load_state_dict(load_file(tmp_path / "drawn.safetensors"))
    rows = torch.randn(5, 4)
    assert torch.allclose(imported.eval()(rows), network(rows), atol=1e-6)


def test_import_overwrites_only_with_force(console: Console, file: Path, tmp_path: Path) -> None:
    (tmp_path / "drawn.safetensors").write_bytes(b"mine")
    answer = console("import", file, "--to", tmp_path / "drawn.json")
    assert answer.code == 2
    assert "--force" in answer.err
    assert (tmp_path / "drawn.safetensors").read_bytes() == b"mine"
    assert not (tmp_path / "drawn.json").exists()
    assert console("import", file, "--to", tmp_path / "drawn.json", "--force").code == 0
    assert (tmp_path / "drawn.safetensors").read_bytes() != b"mine"


def test_imported_project_starts_from_its_weights(console: Console, file: Path, network: nn.Module) -> None:
    answer = console("import", file, "--name", "My network", "--json")
    assert answer.code == 0, answer.err
    store = open_store(console.home)
    (row,) = store.list_projects()
    project = store.load(row.id).project
    assert (row.name, row.id) == ("My network", answer.value["project"])
    assert project.training.initial_weights == answer.value["initial_weights"]
    tensors = load_file(weights.path(console.home, project.training.initial_weights.removeprefix("weights:")))
    imported = module(project)
    imported.load_state_dict(tensors)
    rows = torch.randn(5, 4)
    assert torch.allclose(imported.eval()(rows), network(rows), atol=1e-6)


def test_invalid_initial_weights_are_refused(console: Console, tmp_path: Path) -> None:
    document = tmp_path / "digits.json"
    assert console("templates", "--write", "digits_mlp", document).code == 0
    foreign_weights = tmp_path / "other.safetensors"
    foreign_weights.write_bytes(save({"linear_1.weight": torch.zeros(3, 3)}))
    zipped = tmp_path / "zip.safetensors"
    zipped.write_bytes(b"PK")
    cases = {
        foreign_weights: "None of these weights match this network: Linear",
        zipped: "not a safetensors file",
        tmp_path / "missing.safetensors": "cannot be read",
        "1234": "no runs yet",
    }
    for start, sentence in cases.items():
        answer = console("train", document, "--from", start)
        assert answer.code == (1 if start in (foreign_weights, zipped) else 2)
        assert sentence in answer.err
    assert open_store(console.home).runs() == []


@pytest.mark.usefixtures("_training_here")
def test_exported_network_imports_with_equal_metrics(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exported, imported, evaluated, explained, and fine-tuned with a frozen layer."""
    home = tmp_path / "home"  # a copy, as the other tests expect a single run
    shutil.copytree(trained.home, home)
    console = Console(home, capsys)
    model, document, tuned = tmp_path / "model.onnx", tmp_path / "again.json", tmp_path / "tuned.json"
    assert console("export", trained.run, "--format", "onnx", "--to", model).code == 0
    assert console("import", model, "--to", document).code == 0
    options = ("--data", "digits", "--device", "cpu", "--json")
    evaluated = console("train", document, "--epochs", 0, "--from", document.with_suffix(".safetensors"), *options)
    assert evaluated.code == 0, evaluated.err
    assert "match all" in evaluated.err
    before, after = trained.answer.value["test"], evaluated.value["test"]
    assert after["accuracy"] == before["accuracy"]
    assert after["loss"] == pytest.approx(before["loss"], abs=1e-5)
    explained = console("explain", evaluated.value["run"], "--method", "integrated_gradients", "--example", 5, "--json")
    assert explained.code == 0, explained.err

    imported = read(document)
    main = imported.main_network
    first = next(key for key, node in main.nodes.items() if node.type == "Linear")
    nodes = {**main.nodes, first: main.nodes[first].model_copy(update={"frozen": True})}
    write(tuned, imported.with_network("main", main.model_copy(update={"nodes": nodes})))
    fine_tuned = console("train", tuned, "--epochs", 1, "--from", evaluated.value["run"], *options)
    assert fine_tuned.code == 0, fine_tuned.err
    old = load_file(Path(evaluated.value["folder"]) / "best.safetensors")
    new = load_file(Path(fine_tuned.value["folder"]) / "best.safetensors")
    changed = {name.partition(".")[0] for name in old if not torch.equal(old[name], new[name])}
    assert first not in changed
    assert changed
    store = open_store(home)
    losses = [_first_loss(store, run) for run in (trained.run, fine_tuned.value["run"])]
    assert losses[1] < 0.9 * losses[0]


def _first_loss(store: Store, run_id: str) -> float:
    """The validation loss after one epoch."""
    points = store.points(run_id)
    named = zip(points.split, points.name, points.value, strict=True)
    return next(value for split, name, value in named if (split, name) == ("validation", "loss"))


def test_damaged_model_file_is_refused(console: Console, tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"\x80" * 50)
    answer = console("import", path, "--to", tmp_path / "x.json")
    assert answer.code == 1
    assert answer.err.strip().endswith("export it again.")
    assert not (tmp_path / "x.json").exists()
    assert console("import", tmp_path / "missing.onnx").code == 2
    assert console("import", path, "--to", tmp_path / "no" / "x.json").code == 2


def mlp_weights() -> dict[str, torch.Tensor]:
    return module(templates()["digits_mlp"].project).state_dict()


def test_a_state_dict_asks_for_its_network_and_lists_the_ones_that_fit(console: Console, tmp_path: Path) -> None:
    path = tmp_path / "mlp.pt"
    torch.save({"epoch": 3, "model_state_dict": mlp_weights()}, path)
    answer = console("import", path)
    assert answer.code != 0
    assert "Which network is it for?" in answer.err
    assert "--network digits_mlp" in answer.err
    assert "fits by names and shapes" in answer.err


def test_a_state_dict_with_other_names_is_assigned_by_shapes(console: Console, tmp_path: Path) -> None:
    path, target = tmp_path / "mlp.pth", tmp_path / "again.json"
    mlp = mlp_weights()
    torch.save({f"module.{number}": value for number, value in enumerate(mlp.values())}, path)
    answer = console("import", path, "--network", "digits_mlp", "--to", target, "--json")
    assert answer.code == 0, answer.err
    assert "assigned by their shapes" in answer.value["remarks"][0]
    written = load_file(answer.value["weights_file"])
    assert all(torch.equal(written[name], value) for name, value in mlp.items())


def test_a_state_dict_that_fits_no_network_says_what_to_do(console: Console, tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    path.write_bytes(save({"odd.weight": torch.zeros(3, 71)}))
    answer = console("import", path)
    assert answer.code != 0
    assert "No project and no template has these shapes" in answer.err


def test_a_pickled_module_is_refused(console: Console, network: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "module.pt"
    torch.save(network, path)
    answer = console("import", path)
    assert answer.code != 0
    assert "torch.save(model.state_dict(), path)" in answer.err
