"""Every format gives the app's answers, where nothing of Netloom is installed, and is refused where it does not."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load
from torch import nn

from netloom import export
from netloom.document import Project, loads
from netloom.export import tracing, verification
from netloom.export.formats.notebook import NOTEBOOK
from netloom.runs import TrainedRun, fit_here, predict
from tests.explain.models import network, source, trained
from tests.export import bare
from tests.networks import project

pytestmark = pytest.mark.usefixtures("operators")

NAMES = ("table", "image", "recurrent", "transformer", "series", "characters")
HOLDING = [kind.name for kind in export.export_formats() if kind.tolerance is not None]
BATCHES = (1, 5, 7)

# What each file answers that lies in a folder of its own.
ONNX = """
import json, os, sys
import numpy, onnxruntime
def ask(name):
    session = onnxruntime.InferenceSession(f"{name}/model.onnx", providers=["CPUExecutionProvider"])
    given = dict(numpy.load(f"{name}/inputs.npz"))
    found = {
        size: session.run(None, {item.name: given[item.name][: int(size)] for item in session.get_inputs()})[0].tolist()
        for size in sys.argv[1:]
    }
    about = {
        "inputs": [[item.name, item.shape] for item in session.get_inputs()],
        "outputs": [[item.name, item.shape] for item in session.get_outputs()],
        "metadata": session.get_modelmeta().custom_metadata_map,
        "torch": "torch" in sys.modules,
    }
    return found, about
print(json.dumps({name: ask(name) for name in os.listdir()}))
"""
PT2 = """
import json, os, sys
import numpy, torch
def ask(name):
    extra = {"preprocess.json": ""}
    network = torch.export.load(f"{name}/model.pt2", extra_files=extra).module()
    given = [torch.from_numpy(value) for value in numpy.load(f"{name}/inputs.npz").values()]
    with torch.no_grad():
        found = {size: network(*[value[: int(size)] for value in given]).tolist() for size in sys.argv[1:]}
    return found, json.loads(extra["preprocess.json"])
print(json.dumps({name: ask(name) for name in os.listdir()}))
"""
CELLS = """
import json
space = {"__name__": "__main__"}
for cell in json.load(open("network.ipynb", encoding="utf-8"))["cells"]:
    if cell["cell_type"] == "code":
        exec("".join(cell["source"]), space)
answers = space["predict"](space["network"], space["preprocess"], space["rows"])
print(json.dumps([space["rows"], answers]))
"""


@cache
def made(name: str, kind: str) -> tuple[bytes, export.Report]:
    """What people get for one of the trained networks, made once, as it takes seconds."""
    with tempfile.TemporaryDirectory() as folder:
        report = export.export(trained(name), kind, folder)
        assert list(Path(folder).iterdir()) == [report.path]
        return report.path.read_bytes(), report


def inputs(run: TrainedRun, count: int = max(BATCHES)) -> dict[str, torch.Tensor]:
    rows = run.data.split["test"][:count]
    return {name: run.data.inputs[name][rows] for name in run.fields}


def ask(python: bare.Interpreter, folder: Path, code: str, *arguments: object) -> Any:
    done = python.run(folder, "-c", code, *map(str, arguments))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def ask_all(python: bare.Interpreter, folder: Path, code: str, kind: str) -> dict[str, Any]:
    """What one interpreter says of the files of all networks."""
    for name in NAMES:
        run = trained(name)
        (folder / name).mkdir()
        (folder / name / f"model.{kind}").write_bytes(made(name, kind)[0])
        given = {key: value.numpy() for key, value in inputs(run).items()}
        np.savez(folder / name / "inputs.npz", **given)  # type: ignore[arg-type]
    found: dict[str, Any] = ask(python, folder, code, *BATCHES)
    assert set(found) == set(NAMES)
    return found


def assert_near(found: dict[str, Any], name: str, tolerance: float) -> None:
    run = trained(name)
    for size in BATCHES:
        expected = run.output(inputs(run, size))
        got = np.array(found[str(size)])
        assert got.shape == tuple(expected.shape), name
        off = np.abs(got - expected.numpy()).max()
        assert off <= tolerance * max(1, float(expected.abs().max())), (name, size)


def test_which_formats_hold_a_network() -> None:
    assert HOLDING == ["bundle", "notebook", "onnx", "pt2"]


@pytest.mark.parametrize("kind", HOLDING)
@pytest.mark.parametrize("name", NAMES)
def test_each_is_compared_before_it_is_handed_out(name: str, kind: str) -> None:
    run = trained(name)
    before = run.output(inputs(run))
    _, report = made(name, kind)
    assert report.difference is not None
    assert report.tolerance == export.registry()[kind].tolerance
    assert 0 <= report.difference <= (report.tolerance or 0) / 10, "far below what is allowed"
    assert torch.equal(run.output(inputs(run)), before), "the network itself is as it was"


@pytest.mark.parametrize("kind", [kind.name for kind in export.export_formats()])
@pytest.mark.parametrize("name", ["table", "recurrent"])
def test_equal_networks_give_equal_bytes(name: str, kind: str) -> None:
    first, _ = made(name, kind)
    made("image", "onnx")  # another recording in between leaves no trace
    assert export.registry()[kind].content(trained(name)) == first


@pytest.mark.parametrize("kind", [kind.name for kind in export.export_formats()])
def test_nothing_names_folders_of_this_machine(kind: str) -> None:
    found, _ = made("transformer", kind)
    members = [found]
    if zipfile.is_zipfile(io.BytesIO(found)):
        with zipfile.ZipFile(io.BytesIO(found)) as archive:
            members = [archive.read(name) for name in archive.namelist()]
    for member in members:
        assert b"site-packages" not in member
        assert str(Path.home()).encode() + b"/" not in member
        assert str(Path(__file__).parents[2]).encode() not in member


def test_onnx_in_a_bare_runtime(runtime: bare.Interpreter, tmp_path: Path) -> None:
    for name, (found, about) in ask_all(runtime, tmp_path, ONNX, "onnx").items():
        run = trained(name)
        assert_near(found, name, 1e-4)
        assert not about["torch"]
        shapes = [[key, ["batch", *value.shape[1:]]] for key, value in inputs(run).items()]
        assert about["inputs"] == shapes, name
        assert about["outputs"] == [["output", ["batch", *run.output(inputs(run)).shape[1:]]]], name
        assert json.loads(about["metadata"]["preprocess"]) == {**run.data.preprocess, "arguments": run.fields}


# What a PyTorch program records, an ONNX file is made of: one of them is enough.
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, kind) for name in ("digits_resnet", "digits_vit", "tales_gpt") for kind in HOLDING if kind != "pt2"),
        ("tales_gpt", "pt2"),
    ],
)
def test_networks_within_networks(name: str, kind: str, tmp_path: Path) -> None:
    report = export.export(nested(name), kind, tmp_path)
    assert (report.difference or 0) <= 1e-5


@cache
def nested(name: str) -> TrainedRun:
    """A template whose networks stand in each other, with fresh weights and some of its data."""
    from netloom.compile import module
    from netloom.compile import source as written
    from netloom.data import prepare
    from netloom.templates import templates

    made = templates()[name].project
    text = written(made)
    torch.manual_seed(0)
    return TrainedRun(made, text, module(text).eval(), prepare(made.data))


def test_onnx_has_its_own_lstm_and_gru() -> None:
    """One operator of ONNX, not a loop over the steps in which each step is a node."""
    for name, operator in (("recurrent", "LSTM"), ("series", "GRU")):
        graph = onnx.load_from_string(made(name, "onnx")[0]).graph
        operators = [node.op_type for node in graph.node]
        assert operators.count(operator) == 1
        assert "Loop" not in operators


def test_pt2_in_a_bare_interpreter(python: bare.Interpreter, tmp_path: Path) -> None:
    for name, (found, preprocess) in ask_all(python, tmp_path, PT2, "pt2").items():
        assert_near(found, name, 1e-5)
        assert preprocess == {**trained(name).data.preprocess, "arguments": trained(name).fields}, name


def test_pt2_holds_no_row_of_the_data() -> None:
    program = torch.export.load(io.BytesIO(made("table", "pt2")[0]))
    (example,) = program.example_inputs[0]
    assert not example.any()


@pytest.mark.parametrize("name", [*NAMES, "regression"])
def test_the_cells_of_the_notebook_in_a_bare_interpreter(name: str, python: bare.Interpreter, tmp_path: Path) -> None:
    run = trained(name)
    zipfile.ZipFile(io.BytesIO(made(name, "notebook")[0])).extractall(tmp_path)
    rows, answers = ask(python, tmp_path, CELLS)
    expected = predict(run, [run.data.row(row) for row in run.data.split["test"][:3].tolist()])
    assert len(rows) == len(answers) == len(expected) == 3
    for answer, wanted in zip(answers, expected, strict=True):
        if isinstance(wanted["prediction"], str):
            assert answer["prediction"] == wanted["prediction"]
            assert answer["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-6)
        else:
            assert answer["prediction"] == pytest.approx(wanted["prediction"], abs=1e-4)


def test_the_notebook_is_of_format_4_5() -> None:
    name = "# <script>alert(1)</script> $x$ **b**\n[l](javascript:x)"
    run = trained("table")
    run = replace(run, project=run.project.model_copy(update={"name": name}))
    archive = zipfile.ZipFile(io.BytesIO(export.content(run, "notebook")))
    assert archive.namelist() == [NOTEBOOK, "weights.safetensors"]
    for key, value in load(archive.read("weights.safetensors")).items():
        assert torch.equal(value, run.model.state_dict()[key])
    value = json.loads(archive.read(NOTEBOOK))
    assert (value["nbformat"], value["nbformat_minor"]) == (4, 5)
    assert value.keys() == {"cells", "metadata", "nbformat", "nbformat_minor"}
    assert len({cell["id"] for cell in value["cells"]}) == len(value["cells"])
    for cell in value["cells"]:
        assert cell["cell_type"] in ("markdown", "code")
        extra = {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert cell.keys() == {"cell_type", "id", "metadata", "source"} | extra
        assert all(line.endswith("\n") for line in cell["source"][:-1])
        assert all("\n" not in line[:-1] for line in cell["source"])
    assert value["cells"][0]["source"][0] == (
        r"# \# \<script\>alert\(1\)\</script\> \$x\$ \*\*b\*\* \[l\]\(javascript\:x\)" "\n"
    )
    assert "".join(value["cells"][2]["source"]) == run.source.strip("\n")


def test_the_project_alone() -> None:
    run = trained("table")
    assert loads(export.content(run, "project")) == run.project


def altered(run: TrainedRun) -> TrainedRun:
    """The same network with one weight a little off."""
    from netloom.compile import module

    model = module(run.source)
    model.load_state_dict(run.model.state_dict())
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] += 0.5
    model.eval()
    return replace(run, model=model)


@pytest.mark.parametrize("kind", HOLDING)
def test_a_file_that_answers_otherwise_is_not_handed_out(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained("table")
    wrong = export.registry()[kind].content(altered(run))
    monkeypatch.setattr(type(export.registry()[kind]), "content", lambda *_: wrong)
    with pytest.raises(export.ExportError, match=r"the outputs of the file differ .* was discarded\.$"):
        export.export(run, kind, tmp_path)
    with pytest.raises(export.ExportError, match="differ"):
        export.content(run, kind)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", HOLDING)
def test_a_file_that_does_not_run_is_not_handed_out(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained("table")
    monkeypatch.setattr(type(export.registry()[kind]), "content", lambda *_: b"nothing of the kind")
    with pytest.raises(export.ExportError) as caught:
        export.export(run, kind, tmp_path)
    assert "does not run" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_notebook_whose_cell_fails_is_not_handed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netloom.export.formats.notebook._prediction", lambda: "def predict(*_):\n    1 / 0")
    with pytest.raises(export.ExportError, match=r"one of its cells fails: ZeroDivisionError"):
        export.export(trained("table"), "notebook", tmp_path)
    assert not list(tmp_path.iterdir())


class Choosy(nn.Module):
    """Cannot be recorded, as its way depends on its numbers."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :2] if bool(x.sum() > 0) else x[:, 2:4]


class Odd(nn.Module):
    """Can be recorded, but there is nothing like it in ONNX."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = torch.special.airy_ai(x)
        return answer


class Biased(nn.Module):
    """Attention with a learned bias, which PyTorch computes in other steps while gradients are on, and buffers that are
    views of one tensor, which are no weights."""

    first: torch.Tensor
    second: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(1, 8)
        self.bias = nn.Parameter(torch.randn(1, 2, 16, 16))
        first, second = torch.triu_indices(8, 8, 1)
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("second", second, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heads = self.project(x).reshape(x.shape[0], 16, 2, 4).transpose(1, 2)
        mixed = nn.functional.scaled_dot_product_attention(heads, heads, heads, self.bias + 0)
        vector = mixed.transpose(1, 2).flatten(2).mean(1)
        return vector[:, self.first] * vector[:, self.second]


@pytest.mark.parametrize("kind", ["onnx", "pt2"])
def test_attention_with_a_learned_bias_and_shared_buffers(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    report = export.export(replace(trained("series"), model=Biased().eval()), kind, tmp_path)
    assert (report.difference or 0) < 1e-6


@pytest.mark.parametrize(("model", "kind"), [(Choosy(), "pt2"), (Choosy(), "onnx"), (Odd(), "onnx")])
def test_what_cannot_be_written_is_said_in_a_sentence(model: nn.Module, kind: str, tmp_path: Path) -> None:
    with pytest.raises(export.ExportError, match=r"cannot (record|write) this network.*\.$") as caught:
        export.export(replace(trained("table"), model=model), kind, tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("got", "wanted", "expected"),
    [
        ([[1.0, 2.0]], [[1.0, 2.0]], 0.0),
        ([[1.0, 2.5]], [[1.0, 2.0]], 0.25),  # relative to the largest answer
        ([[0.1, 0.2]], [[0.1, 0.3]], 0.1),  # but not to one below 1
        ([[float("nan"), float("-inf")]], [[float("nan"), float("-inf")]], 0.0),
        ([[float("nan"), 1.0]], [[1.0, 1.0]], float("inf")),
        ([[1.0, 1.0]], [[float("nan"), 1.0]], float("inf")),
        ([[float("inf")]], [[float("-inf")]], float("inf")),
        ([1.0, 2.0], [[1.0, 2.0]], float("inf")),
        (None, [[1.0]], float("inf")),
        ([[1.0]], None, float("inf")),
    ],
)
def test_the_measure(got: Any, wanted: Any, expected: float) -> None:
    tensors = [None if value is None else torch.tensor(value) for value in (got, wanted)]
    assert verification.distance(*tensors) == pytest.approx(expected)


def test_a_file_that_mixes_the_examples_of_a_batch_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained("table")
    kind = export.registry()["bundle"]

    def mixing(_: object, content: bytes, batches: list[export.Batch]) -> list[export.Batch]:
        answers = verification.run(run.model, batches)
        return [tuple(value.roll(1, 0) for value in answer) for answer in answers]

    monkeypatch.setattr(type(kind), "answers", mixing)
    with pytest.raises(export.ExportError, match="differ"):
        export.content(run, "bundle")


def named(output: str) -> Project:
    """A network whose output is called as values inside may be called."""
    made = trained("table").project
    main = made.main_network
    nodes = dict(main.nodes)
    nodes["output_1"] = nodes["output_1"].model_copy(update={"params": {"name": output}})
    return made.with_network("main", main.model_copy(update={"nodes": nodes}))


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("relu", "relu"),
        ("linear", "linear"),
        ("features", "output_1"),  # is the input's
        ("linear_1", "output_1"),  # is a layer's
        ("Größe in %", "Gr_e_in"),
        ('"</script>\n', "script"),
        ("漢字", "output_1"),
        ("1st", "output_1"),
    ],
)
def test_the_names_are_those_that_people_gave(output: str, expected: str) -> None:
    assert tracing.names(named(output)) == (["features"], [expected])


@pytest.mark.parametrize(("output", "expected"), [("relu", "relu"), ("linear_1", "output_1")])
def test_the_names_in_onnx(output: str, expected: str) -> None:
    run = replace(trained("table"), project=named(output))
    graph = onnx.load_from_string(export.registry()["onnx"].content(run)).graph
    assert [item.name for item in graph.input] == ["features"]
    assert [item.name for item in graph.output] == [expected]


def test_two_inputs_that_read_one_field(tmp_path: Path) -> None:
    """The names stay apart, and the order of the arguments is kept."""
    base = network("breast_cancer", epochs=1)
    field = source("breast_cancer")
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": field, "input_2": field, "a": ("Linear", {"units": 2}), "b": ("Linear", {"units": 2}),
        "join": ("Add", {}), "output_1": ("Output", {}),
    }  # fmt: skip
    edges = [("input_1", "a"), ("input_2", "b"), ("a", "join.a"), ("b", "join.b"), ("join", "output_1")]
    run = fit_here(project(nodes, edges, data=base.data, training=base.training))
    for kind in HOLDING:
        report = export.export(run, kind, tmp_path)
        assert (report.difference or 0) <= 1e-6
    graph = onnx.load(tmp_path / export.filename(run, "onnx")).graph
    assert [item.name for item in graph.input] == ["features", "input_2"]
