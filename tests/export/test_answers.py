"""Exported files match the app's outputs without Netloom installed; files that differ are rejected."""

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
from netloom.export.archive import python
from netloom.export.formats.notebook import NOTEBOOK
from netloom.runs import TrainedRun, fit_here, predict
from netloom.templates import templates
from tests.explain.models import network, source, trained
from tests.export import bare
from tests.networks import project

pytestmark = pytest.mark.usefixtures("operators")

NAMES = ("table", "image", "recurrent", "transformer", "series", "characters")
WEIGHT_FORMATS = [kind.name for kind in export.export_formats() if kind.tolerance is not None and kind.is_universal]
# Tracing takes seconds, as does reading a traced program in another process: one without a loop and the recurrent one
# pass through the code of "pt2" alike. The production file is the bundle beside a server.
TRACED = {
    "onnx": ("table", "image", "recurrent", "transformer", "series"),
    "pt2": ("recurrent",),
    "production": ("table",),
}


def marks(name: str, kind: str) -> tuple[pytest.MarkDecorator, ...]:
    """`long` for a network and a format that pass through the same code as others."""
    return () if name in TRACED.get(kind, NAMES) else (pytest.mark.long,)


def traced_networks(kind: str) -> list[Any]:
    return [pytest.param(name, marks=marks(name, kind)) for name in NAMES]


BATCHES = (1, 5, 7)

# These scripts print the outputs of the exported file in the folder.
ONNX = """
import json, sys
import numpy, onnxruntime
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
given = dict(numpy.load("inputs.npz"))
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
print(json.dumps([found, about]))
"""
PT2 = """
import json, sys, warnings
import numpy, torch
warnings.filterwarnings("ignore", "The given buffer is not writable")  # torch 2.11 about its own torch.export.load
extra = {"preprocess.json": ""}
network = torch.export.load("model.pt2", extra_files=extra).module()
given = [torch.from_numpy(value) for value in numpy.load("inputs.npz").values()]
with torch.no_grad():
    found = {size: network(*[value[: int(size)] for value in given]).tolist() for size in sys.argv[1:]}
print(json.dumps([found, json.loads(extra["preprocess.json"])]))
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
def exported(name: str, kind: str) -> tuple[bytes, export.Report]:
    """The exported file of a trained network and its report, cached because an export takes seconds."""
    with tempfile.TemporaryDirectory() as folder:
        report = export.export(trained(name), kind, folder)
        assert list(Path(folder).iterdir()) == [report.path]
        return report.path.read_bytes(), report


def inputs(run: TrainedRun, count: int = max(BATCHES)) -> dict[str, torch.Tensor]:
    rows = run.data.split["test"][:count]
    return {name: run.data.inputs[name][rows] for name in run.fields}


def run_json(python: bare.Interpreter, folder: Path, code: str, *arguments: object) -> Any:
    process = python.run(folder, "-c", code, *map(str, arguments))
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


def run_network(python: bare.Interpreter, folder: Path, code: str, name: str, kind: str) -> Any:
    """The outputs of the exported file of a network, and what the script says about it."""
    (folder / f"model.{kind}").write_bytes(exported(name, kind)[0])
    arrays = {key: value.numpy() for key, value in inputs(trained(name)).items()}
    np.savez(folder / "inputs.npz", **arrays)  # type: ignore[arg-type]
    return run_json(python, folder, code, *BATCHES)


def assert_outputs_close(outputs: dict[str, Any], name: str, tolerance: float) -> None:
    run = trained(name)
    for size in BATCHES:
        expected = run.output(inputs(run, size))
        got = np.array(outputs[str(size)])
        assert got.shape == tuple(expected.shape), name
        error = np.abs(got - expected.numpy()).max()
        assert error <= tolerance * max(1, float(expected.abs().max())), (name, size)


def test_formats_with_weights() -> None:
    assert WEIGHT_FORMATS == ["bundle", "notebook", "onnx", "production", "pt2"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [pytest.param(name, kind, marks=marks(name, kind)) for name in NAMES for kind in WEIGHT_FORMATS],
)
def test_export_reports_difference_far_below_tolerance(name: str, kind: str) -> None:
    run = trained(name)
    before = run.output(inputs(run))
    _, report = exported(name, kind)
    assert report.difference is not None
    assert report.tolerance == export.registry()[kind].tolerance
    assert 0 <= report.difference <= (report.tolerance or 0) / 10, "far below what is allowed"
    assert torch.equal(run.output(inputs(run)), before), "the network itself is as it was"


@pytest.mark.parametrize("kind", [kind.name for kind in export.export_formats()])
@pytest.mark.parametrize("name", ["table", pytest.param("recurrent", marks=pytest.mark.long)])
def test_export_is_deterministic(name: str, kind: str) -> None:
    first, _ = exported(name, kind)
    exported("image", "onnx")  # another trace in between has no effect
    assert export.registry()[kind].content(trained(name)) == first


@pytest.mark.parametrize("kind", [kind.name for kind in export.export_formats()])
def test_export_contains_no_local_paths(kind: str) -> None:
    content, _ = exported("table", kind)
    members = [content]
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [archive.read(name) for name in archive.namelist()]
    for member in members:
        assert b"site-packages" not in member
        assert str(Path.home()).encode() + b"/" not in member
        assert str(Path(__file__).parents[2]).encode() not in member


@pytest.mark.parametrize("name", traced_networks("onnx"))
def test_onnx_matches_app_without_torch(name: str, runtime: bare.Interpreter, tmp_path: Path) -> None:
    outputs, description = run_network(runtime, tmp_path, ONNX, name, "onnx")
    run = trained(name)
    assert_outputs_close(outputs, name, 1e-4)
    assert not description["torch"]
    assert description["inputs"] == [[key, ["batch", *value.shape[1:]]] for key, value in inputs(run).items()]
    assert description["outputs"] == [["output", ["batch", *run.output(inputs(run)).shape[1:]]]]
    assert json.loads(description["metadata"]["preprocess"]) == {
        **run.data.preprocess.to_json(),
        "arguments": run.fields,
    }


NESTED = [
    pytest.param(
        name,
        kind,
        marks=[] if kind in ("bundle", "notebook") else [pytest.mark.long],
    )
    for name in ("digits_resnet", "digits_vit", "tales_gpt")
    for kind in WEIGHT_FORMATS
]


@pytest.mark.parametrize(("name", "kind"), NESTED)
def test_nested_templates_export_within_tolerance(name: str, kind: str, tmp_path: Path) -> None:
    report = export.export(untrained_template(name), kind, tmp_path)
    assert report.difference is not None
    assert report.difference <= 1e-5


def test_network_that_reads_the_last_state_of_an_lstm_is_recorded(tmp_path: Path) -> None:
    document = templates()["sine"].project
    nodes = {
        key: node.model_copy(update={"type": "LSTM"}) if node.type == "GRU" else node
        for key, node in document.main_network.nodes.items()
    }
    networks = {**document.networks, "main": document.main_network.model_copy(update={"nodes": nodes})}
    report = export.export(untrained(document.model_copy(update={"networks": networks})), "pt2", tmp_path)
    assert report.difference is not None
    assert report.difference <= 1e-5


@cache
def untrained_template(name: str) -> TrainedRun:
    """A template with nested networks, with randomly initialized weights and its data."""
    return untrained(templates()[name].project)


def untrained(document: Project) -> TrainedRun:
    from netloom.compile import module
    from netloom.compile import source as network_source
    from netloom.data import prepare

    text = network_source(document)
    torch.manual_seed(0)
    return TrainedRun(document, text, module(text).eval(), prepare(document.data))


def test_onnx_uses_native_lstm_and_gru_operators() -> None:
    """One ONNX operator instead of an unrolled loop with one node per step."""
    for name, operator in (("recurrent", "LSTM"), ("series", "GRU")):
        graph = onnx.load_from_string(exported(name, "onnx")[0]).graph
        operators = [node.op_type for node in graph.node]
        assert operators.count(operator) == 1
        assert "Loop" not in operators


@pytest.mark.parametrize("name", traced_networks("pt2"))
def test_pt2_matches_app_without_netloom(name: str, python: bare.Interpreter, tmp_path: Path) -> None:
    outputs, preprocess = run_network(python, tmp_path, PT2, name, "pt2")
    assert_outputs_close(outputs, name, 1e-5)
    assert preprocess == {**trained(name).data.preprocess.to_json(), "arguments": trained(name).fields}


def test_pt2_example_inputs_are_zeros() -> None:
    program = torch.export.load(io.BytesIO(exported("table", "pt2")[0]))
    (example,) = program.example_inputs[0]
    assert not example.any()


@pytest.mark.parametrize("name", [*NAMES, "regression"])
def test_notebook_cells_match_app_without_netloom(name: str, python: bare.Interpreter, tmp_path: Path) -> None:
    run = trained(name)
    zipfile.ZipFile(io.BytesIO(exported(name, "notebook")[0])).extractall(tmp_path)
    rows, answers = run_json(python, tmp_path, CELLS)
    expected = predict(run, [run.data.row(row) for row in run.data.split["test"][:3].tolist()])
    assert len(rows) == len(answers) == len(expected) == 3
    for answer, expected_answer in zip(answers, expected, strict=True):
        if isinstance(expected_answer["prediction"], str):
            assert answer["prediction"] == expected_answer["prediction"]
            assert answer["probabilities"] == pytest.approx(expected_answer["probabilities"], abs=1e-6)
        else:
            assert answer["prediction"] == pytest.approx(expected_answer["prediction"], abs=1e-4)


def test_notebook_has_nbformat_4_5() -> None:
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


def test_project_export_round_trips() -> None:
    run = trained("table")
    assert loads(export.content(run, "project")) == run.project


def with_changed_weight(run: TrainedRun) -> TrainedRun:
    """The same network with one changed weight."""
    from netloom.compile import module

    model = module(run.source)
    model.load_state_dict(run.model.state_dict())
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] += 0.5
    model.eval()
    return replace(run, model=model)


@pytest.mark.parametrize("kind", WEIGHT_FORMATS)
def test_file_with_different_outputs_is_discarded(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained("table")
    wrong = export.registry()[kind].content(with_changed_weight(run))
    monkeypatch.setattr(type(export.registry()[kind]), "content", lambda *_: wrong)
    with pytest.raises(export.ExportError, match=r"the outputs of the file differ .* was discarded\.$"):
        export.export(run, kind, tmp_path)
    with pytest.raises(export.ExportError, match="differ"):
        export.content(run, kind)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", WEIGHT_FORMATS)
def test_file_that_does_not_run_is_discarded(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained("table")
    monkeypatch.setattr(type(export.registry()[kind]), "content", lambda *_: b"nothing of the kind")
    with pytest.raises(export.ExportError) as error:
        export.export(run, kind, tmp_path)
    assert "does not run" in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_notebook_with_failing_cell_is_discarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_failing_prediction(package: str, name: str, **options: bool) -> str:
        return "def predict(*_):\n    1 / 0" if name == "predict.py" else python(package, name, **options)

    monkeypatch.setattr("netloom.export.formats.notebook.python", with_failing_prediction)
    with pytest.raises(export.ExportError, match=r"one of its cells fails: ZeroDivisionError"):
        export.export(trained("table"), "notebook", tmp_path)
    assert not list(tmp_path.iterdir())


class Choosy(nn.Module):
    """Cannot be traced: its control flow depends on its values."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :2] if bool(x.sum() > 0) else x[:, 2:4]


class Odd(nn.Module):
    """Can be traced, but has no ONNX operator."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = torch.special.airy_ai(x)
        return answer


class Biased(nn.Module):
    """Attention with a learned bias, which PyTorch decomposes differently while gradients are enabled, and
    non-persistent buffers that are views of one tensor."""

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
def test_attention_with_learned_bias_and_shared_buffers_exports(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    report = export.export(replace(trained("series"), model=Biased().eval()), kind, tmp_path)
    assert report.difference is not None
    assert report.difference < 1e-6


@pytest.mark.parametrize(("model", "kind"), [(Choosy(), "pt2"), (Choosy(), "onnx"), (Odd(), "onnx")])
def test_unsupported_network_raises_one_line_export_error(model: nn.Module, kind: str, tmp_path: Path) -> None:
    with pytest.raises(export.ExportError, match=r"cannot (export|write) this network.*\.$") as error:
        export.export(replace(trained("table"), model=model), kind, tmp_path)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("got", "example", "expected"),
    [
        ([[1.0, 2.0]], [[1.0, 2.0]], 0.0),
        ([[1.0, 2.5]], [[1.0, 2.0]], 0.25),  # relative to the largest value
        ([[0.1, 0.2]], [[0.1, 0.3]], 0.1),  # but not to a value below 1
        ([[float("nan"), float("-inf")]], [[float("nan"), float("-inf")]], 0.0),
        ([[float("nan"), 1.0]], [[1.0, 1.0]], float("inf")),
        ([[1.0, 1.0]], [[float("nan"), 1.0]], float("inf")),
        ([[float("inf")]], [[float("-inf")]], float("inf")),
        ([1.0, 2.0], [[1.0, 2.0]], float("inf")),
        (None, [[1.0]], float("inf")),
        ([[1.0]], None, float("inf")),
    ],
)
def test_distance_is_relative_to_largest_expected_value(got: Any, example: Any, expected: float) -> None:
    tensors = [None if value is None else torch.tensor(value) for value in (got, example)]
    assert verification.distance(*tensors) == pytest.approx(expected)


def test_file_that_shuffles_batch_rows_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained("table")
    kind = export.registry()["bundle"]

    def rolled_outputs(_: object, content: bytes, batches: list[export.Batch]) -> list[export.Batch]:
        answers = verification.run(run.model, batches)
        return [tuple(value.roll(1, 0) for value in answer) for answer in answers]

    monkeypatch.setattr(type(kind), "answers", rolled_outputs)
    with pytest.raises(export.ExportError, match="differ"):
        export.content(run, "bundle")


def project_with_output_name(output: str) -> Project:
    """A network whose output has this name, which may collide with names inside the traced program."""
    document = trained("table").project
    main = document.main_network
    nodes = dict(main.nodes)
    nodes["output_1"] = nodes["output_1"].model_copy(update={"params": {"name": output}})
    return document.with_network("main", main.model_copy(update={"nodes": nodes}))


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("relu", "relu"),
        ("linear", "linear"),
        ("features", "output_1"),  # the name of the input
        ("linear_1", "output_1"),  # the name of a layer
        ("Größe in %", "Gr_e_in"),
        ('"</script>\n', "script"),
        ("漢字", "output_1"),
        ("1st", "output_1"),
    ],
)
def test_traced_names_follow_user_names(output: str, expected: str) -> None:
    assert tracing.names(project_with_output_name(output)) == (["features"], [expected])


def test_onnx_output_has_the_user_name() -> None:
    run = replace(trained("table"), project=project_with_output_name("relu"))
    graph = onnx.load_from_string(export.registry()["onnx"].content(run)).graph
    assert [item.name for item in graph.input] == ["features"]
    assert [item.name for item in graph.output] == ["relu"]


def test_two_inputs_reading_one_field_get_distinct_names(tmp_path: Path) -> None:
    """The argument order is preserved."""
    base = network("breast_cancer", epochs=1)
    field = source("breast_cancer")
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": field, "input_2": field, "a": ("Linear", {"units": 2}), "b": ("Linear", {"units": 2}),
        "join": ("Add", {}), "output_1": ("Output", {}),
    }  # fmt: skip
    edges = [("input_1", "a"), ("input_2", "b"), ("a", "join.a"), ("b", "join.b"), ("join", "output_1")]
    run = fit_here(project(nodes, edges, data=base.data, training=base.training))
    for kind in WEIGHT_FORMATS:
        report = export.export(run, kind, tmp_path)
        assert report.difference is not None
        assert report.difference <= 1e-6
    graph = onnx.load(tmp_path / export.filename(run, "onnx")).graph
    assert [item.name for item in graph.input] == ["features", "input_2"]
