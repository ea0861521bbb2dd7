"""Python code layers: disabled by default; when the machine's owner enables them, layers like any other."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
import torch
from streamlit.testing.v1 import AppTest
from torch import nn

from netloom.cli import main
from netloom.compile import CompileError, module, source
from netloom.compile.formula import FormulaError, network_of, text_of
from netloom.document import Node, Project, dumps, write
from netloom.export import content
from netloom.layers import ParameterError, parse, registry
from netloom.layers.author_code import ALLOW, MARK, loaded
from netloom.layers.code import Code
from netloom.runs import fit_here, load_run
from netloom.store import open_store
from netloom.ui.design.canvas_payload import palette
from netloom.validation import analyze
from tests.compile import allowed
from tests.layers.test_catalogue import without_nothing_to_learn_issue
from tests.networks import TABLE, chain, network, networks

pytestmark = pytest.mark.usefixtures("operators", "component_manifests")

ROOT = Path(__file__).parents[2]
VECTOR = ("Input", {"kind": "vector", "shape": [8]})
# Writes a marker file as soon as the module is loaded, built or called.
HOSTILE = """import pathlib
pathlib.Path({marker!r}).write_text("ran")
class Evil(nn.Module):
    def __init__(self):
        super().__init__()
        pathlib.Path({marker!r}).write_text("ran")
    def forward(self, x):
        pathlib.Path({marker!r}).write_text("ran")
        return x
"""
SCALED = """def twice(x):
    return F.relu(x) * math.sqrt(4)

class Gate(nn.Module):
    def __init__(self, shape, other, slope=0.5):
        super().__init__()
        self.linear = nn.Linear(other[-1], shape[-1])

    def forward(self, x, y):
        return twice(x) + self.linear(y), y
"""


@pytest.fixture(autouse=True)
def _code_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ALLOW, raising=False)


@pytest.fixture
def code_enabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOW, "1")


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "MARKER"


def hostile_project(marker: Path) -> Project:
    code_layer = ("Code", {"source": HOSTILE.format(marker=str(marker))})
    return chain(TABLE, code_layer, ("Linear", {"units": 2}), data={"dataset": "breast_cancer"}, training={"epochs": 1})


def test_hostile_code_runs_when_code_layers_are_enabled(code_enabled: None, marker: Path) -> None:
    assert not analyze(hostile_project(marker)).errors
    assert marker.exists()


@pytest.mark.parametrize("value", [None, "", "0", "true", "yes", " 1"])
def test_code_runs_only_when_the_variable_is_1(
    value: str | None, marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ALLOW, raising=False) if value is None else monkeypatch.setenv(ALLOW, value)
    project = hostile_project(marker)
    (issue,) = (issue for issue in analyze(project).errors if issue.node == "code_1")
    assert "Python code layers are disabled" in issue.message
    assert f"{ALLOW}=1" in issue.message
    with pytest.raises(CompileError, match="are disabled"):
        source(project)
    with pytest.raises(CompileError, match="are disabled"):
        module(project)
    with pytest.raises(ParameterError, match="are disabled"):
        parse(project.main_network.nodes["code_1"])
    code = HOSTILE.format(marker=str(marker))
    with pytest.raises(ValueError, match="are disabled"):
        Code.model_validate({"source": code}).build({}).build()
    with pytest.raises(ValueError, match="are disabled"):
        loaded(code, "Evil")
    with pytest.raises(CompileError, match="are disabled"):
        module(f"{MARK}\n{code}")
    with pytest.raises(FormulaError, match="are disabled"):
        network_of(f"Code(x, source={code!r})")
    with pytest.raises(FormulaError, match="are disabled"):
        text_of(project.main_network)
    assert "Code" not in [layer["type"] for layer in palette(None)[0]]
    assert not marker.exists()


def test_code_in_subnetworks_does_not_run_when_disabled(marker: Path) -> None:
    inner = network({"input_1": VECTOR, "code_1": ("Code", {"source": HOSTILE.format(marker=str(marker))})})
    outer = chain(VECTOR, ("Subnetwork", {"network": "block"}), ("Linear", {})).main_network
    for project in (
        networks(main=outer, block=inner),
        networks(main=chain(VECTOR, ("Linear", {})).main_network, block=inner),
    ):
        assert any("are disabled" in issue.message for issue in analyze(project).issues)
        assert marker.name not in (source(project) if not analyze(project).errors else "")
    assert not marker.exists()


def test_cli_commands_do_not_run_disabled_code(
    home: Path, marker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document, script = tmp_path / "project.json", tmp_path / "evil.onnx"
    write(document, hostile_project(marker))
    script.write_text(HOSTILE.format(marker=str(marker)))
    for arguments in (
        ("check", document),
        ("code", document),
        ("summary", document),
        ("train", document),
        ("formula", document),
        ("import", script, "--to", tmp_path / "two.json"),
    ):
        assert main(["--home", str(home), *map(str, arguments)]) == 1, arguments
    # A document is copied without running its code.
    assert main(["--home", str(home), "import", str(document), "--to", str(tmp_path / "one.json")]) == 0
    captured = capsys.readouterr()
    assert (captured.out + captured.err).count("are disabled") >= 4
    assert not marker.exists()


def test_design_page_shows_but_does_not_run_disabled_code(home: Path, marker: Path) -> None:
    st.cache_resource.clear()
    project_id = open_store(home).create_project(hostile_project(marker))
    app = AppTest.from_file(str(ROOT / "pages" / "design.py"), default_timeout=60).run()
    assert not app.exception
    app.session_state[f"beside {project_id}"] = "Code"
    app.run()
    assert not app.exception
    assert any("are disabled" in item.value for item in app.caption)
    assert not marker.exists()


def test_run_with_code_does_not_load_when_disabled(home: Path, marker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, project = open_store(home), hostile_project(marker)
    run = store.create_run(store.create_project(project), project, "").id
    folder = store.artifacts(run).local_directory()
    folder.mkdir(parents=True)
    write(folder / "project.json", project)
    monkeypatch.setenv(ALLOW, "1")
    (folder / "model.py").write_text(source(project))
    marker.unlink()
    monkeypatch.delenv(ALLOW)
    with pytest.raises(CompileError, match="are disabled"):
        load_run(store, run)
    assert not marker.exists()
    monkeypatch.setenv(ALLOW, "1")
    with pytest.raises(FileNotFoundError):  # the run has no weights yet, but its network is built
        load_run(store, run)
    assert marker.exists()


def test_enabled_code_matches_handwritten_module(code_enabled: None, monkeypatch: pytest.MonkeyPatch) -> None:
    class Twin(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 8)

        def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return torch.relu(x) * 2 + self.linear(y), y

    project = networks(
        main=network(
            {
                "input_1": VECTOR,
                "input_2": ("Input", {"kind": "vector", "shape": [3]}),
                "code_1": ("Code", {"source": SCALED, "takes": "a,b", "gives": "sum, same"}),
                "output_1": ("Output", {"name": "one"}),
                "output_2": ("Output", {"name": "two"}),
            },
            [("input_1", "code_1.a"), ("input_2", "code_1.b"), ("code_1.sum", "output_1"), ("code_1.same", "output_2")],
        )
    )
    analysis = analyze(project)
    assert not analysis.errors
    assert (analysis.totals.parameters, str(analysis.nodes["code_1"].outputs["sum"])) == (32, "(N, 8)")
    text = source(project)
    assert MARK in text.splitlines()
    assert "netloom" not in text
    x, y = torch.randn(2, 8), torch.randn(2, 3)
    torch.manual_seed(0)
    outputs = module(text)(x, y)
    torch.manual_seed(0)
    for actual, expected in zip(outputs, Twin()(x, y), strict=True):
        torch.testing.assert_close(actual, expected)
    monkeypatch.delenv(ALLOW)
    namespace: dict[str, Any] = {}
    exec(compile(text, "model.py", "exec"), namespace)  # exported source runs without the variable
    assert len(namespace["Main"]()(x, y)) == 2


def test_network_with_code_layer_trains_and_exports(code_enabled: None, home: Path) -> None:
    project = chain(
        TABLE, ("Code", {}), ("Linear", {"units": 2}), data={"dataset": "breast_cancer"}, training={"epochs": 2}
    )
    trained = fit_here(project, home)
    factor = trained.model.get_parameter("code_1.factor")
    assert not torch.equal(factor, torch.ones_like(factor))
    for name in ("bundle", "onnx"):  # an export fails if its outputs differ from the app's
        exported = content(trained, name)
        if name == "bundle":
            with zipfile.ZipFile(BytesIO(exported)) as archive:
                assert "class Scaled(nn.Module):" in archive.read("model.py").decode()


def test_network_class_avoids_the_name_of_a_code_class(code_enabled: None) -> None:
    inner = network({"input_1": VECTOR, "code_1": ("Code", {}), "output_1": ("Output", {})})
    outer = network(
        {
            "input_1": VECTOR,
            "scaled_1": ("Subnetwork", {"network": "scaled"}),
            "linear_1": ("Linear", {"units": 5}),
            "scaled_2": ("Subnetwork", {"network": "scaled"}),
            "output_1": ("Output", {}),
        }
    )
    project = networks(main=outer, scaled=inner)
    text = source(project)
    assert "class Scaled2(nn.Module)" in text  # because the author's class is named Scaled
    assert [tuple(weight.shape) for weight in module(text).parameters()] == [(8,), (5, 8), (5,), (5,)]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("class A(nn.Module):\n  def forward(self, x)\n    return x", "source: line 2: expected ':'"),
        ("class A(nn.Module):\n  def forward(self, x):\n    return x.foo", "line 3 of its code: AttributeError"),
        ("class A(nn.Module):\n  def forward(self, x):\n    raise SystemExit", "line 3 of its code: SystemExit"),
        ("class A(nn.Module):\n  def forward(self, x):\n    return x @ x", "line 3 of its code: RuntimeError"),
        ("class A(nn.Module):\n  def forward(self, x):\n    return x, x", "forward returns Tensor, Tensor"),
        ("class A(nn.Module):\n  def forward(self, x):\n    return 3", "forward returns int"),
        ("class A(nn.Module):\n  def forward(self, x):\n    return x.sum(0)", "mixes the examples"),
        ("class A(nn.Module):\n  def __init__(self, a, b):\n    super().__init__()", "missing 1 required"),
        ("import nothing_there\nclass A(nn.Module):\n  pass", "line 1 of its code: ModuleNotFoundError"),
        ("class A:\n  pass", "A is not a torch.nn.Module"),
        ("x = 1", "end with the class"),
        ("class Main(nn.Module):\n  pass", "other than Main"),
        ("from __future__ import annotations\nclass A(nn.Module):\n  pass", "__future__"),
        ("class Mamba(nn.Module):\n  def forward(self, x):\n    return x", "module of Netloom"),
        ("", "source must not be empty"),
        ("\x00", "null bytes"),
    ],
)
def test_code_errors_become_issues_at_the_node(body: str, words: str, code_enabled: None) -> None:
    project = chain(VECTOR, ("Code", {"source": body}), ("Linear", {"units": 2}))
    (issue, *_) = (issue for issue in analyze(project).errors if issue.node == "code_1")
    assert words in issue.message
    assert "\n" not in issue.message


def test_different_code_classes_with_one_name_are_refused(code_enabled: None) -> None:
    plain = "class A(nn.Module):\n  def forward(self, x):\n    return x"
    other = plain.replace("return x", "return -x")
    twice = chain(VECTOR, ("Code", {"source": plain}), ("Code", {"source": other}), ("Linear", {}))
    assert {issue.code for issue in analyze(twice).errors} == {"own_code"}
    same = chain(VECTOR, ("Code", {"source": plain}), ("Code", {"source": plain}), ("Linear", {}))
    assert source(same).count("class A(nn.Module)") == 1


def test_enabled_code_layer_behaves_like_other_layers(code_enabled: None) -> None:
    assert registry()["Code"].examples()
    assert "Code" in [layer["type"] for layer in palette(None)[0]]
    parsed = network_of("Code(x)")
    project = Project(name="Test", networks={"main": parsed})
    assert module(source(project, without_nothing_to_learn_issue(analyze(project))))(torch.ones(2, 16)).shape == (2, 16)
    assert json.loads(dumps(project))
    assert network_of(text_of(parsed)).nodes["code_1"].params == parsed.nodes["code_1"].params
    with pytest.raises(AssertionError):
        # The check for safe source rejects code layers.
        allowed.check(source(chain(VECTOR, ("Code", {}), ("Linear", {}))))
    with pytest.raises(ParameterError, match="ports must be"):
        parse(Node(id="code_1", type="Code", params={"takes": "in, In"}))
