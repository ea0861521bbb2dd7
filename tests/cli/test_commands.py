"""Each command, with text and with JSON output."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from netloom.cli.commands import registry
from netloom.document import Project, dumps, read, write
from netloom.templates import architectures, templates
from tests.cli.command import environment, netloom
from tests.cli.conftest import Console
from tests.networks import IMAGE, chain, digits_mlp

NAMES = """
app templates fit check summary code schema formula initialize library data train sweep runs evaluate calibrate
predict generate explain influence concepts embeddings robustness drift chat optimize export card serve monitor
collected promote import bench
""".split()


def write_document(folder: Path, project: Project) -> Path:
    path = folder / "document.json"
    write(path, project)
    return path


def test_all_commands_are_registered() -> None:
    assert list(registry()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_help_lists_json_and_home_options(console: Console, name: str) -> None:
    answer = console(name, "--help")
    assert answer.code == 0
    assert "--json" in answer.out
    assert "--home" in answer.out


def test_largest_parts_omit_padding() -> None:
    from netloom.cli.commands.explain import largest_parts

    values = np.array([0.5, -2.0, 0.0, 9.0])
    assert largest_parts(values, ("how", "to", "", "")) == [("1 to", -2.0), ("0 how", 0.5)]
    assert [name for name, _ in largest_parts(values, ())] == ["3", "1", "0", "2"], "what has no labels is all there"


def test_help_imports_no_heavy_packages() -> None:
    code = (
        "import sys; from netloom.cli import main; main(['--help']); "
        "heavy = {'torch', 'streamlit', 'numpy', 'pandas', 'sklearn', 'sqlalchemy', 'pydantic', 'networkx', 'captum'}; "
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=False
    )
    assert result.returncode == 0, result.stderr
    assert all(f" {name} " in result.stdout for name in NAMES)


def test_version_is_printed() -> None:
    answer = netloom("--version")
    assert answer.code == 0
    assert answer.out.startswith("netloom ")


def test_templates_are_listed_and_written(console: Console, tmp_path: Path) -> None:
    assert [row["name"] for row in console("templates", "--json").value] == [*templates(), *architectures()]
    assert "digits_mlp" in console("templates").out
    words = ("--search", "uci DIGITS", "--topic", "image", "--task", "classification", "--size", "small")
    found = console("templates", *words, "--json").value
    assert {"digits_mlp", "digits_resnet"} <= {row["name"] for row in found}
    assert all(row["topic"] == "Image" and row["layers"] <= 10 for row in found)
    assert not {row["name"] for row in found} & {"digits_cnn", "digits_vae", *architectures()}
    former = console("templates", "--task", "language_modelling", "--json").value
    assert {row["task"] for row in former} == {"language_modeling"}
    assert console("templates", "--search", "no such network").out == "No template matches the search.\n"
    assert "Choose one of Agent, Audio" in console("templates", "--topic", "video").err
    path = tmp_path / "t.json"
    assert console("templates", "--write", "wrong", path).code == 2
    assert console("templates", "--write", "spirals", path).code == 0
    assert read(path) == templates()["spirals"].project
    assert console("templates", "--write", "sine", path).code == 2
    assert read(path) == templates()["spirals"].project
    assert console("templates", "--write", "sine", path, "--force", "--json").value["template"] == "sine"
    assert read(path) == templates()["sine"].project
    assert console("templates", "--write", "sine", tmp_path / "no" / "x.json").code == 2


def test_check_accepts_a_valid_document(console: Console, tmp_path: Path) -> None:
    path = write_document(tmp_path, digits_mlp())
    answer = console("check", path)
    assert (answer.code, answer.out) == (0, "No errors.\n")
    value = console("check", path, "--json").value
    assert value["ok"]
    assert value["totals"]["parameters"] == 64 * 64 + 64 + 64 * 10 + 10


def test_check_lists_one_error_per_line(console: Console, tmp_path: Path) -> None:
    broken = chain(IMAGE, ("Linear", {"units": 0}), ("Mystery", {}), ("Linear", {"units": 3}))
    path = write_document(tmp_path, broken)
    answer, value = console("check", path), console("check", path, "--json")
    assert answer.code == value.code == 1
    assert not value.value["ok"]
    lines = answer.out.splitlines()
    assert len(lines) == len(value.value["issues"]) + 1
    assert any(line.startswith("error: linear_1: ") for line in lines)
    assert any(line.startswith("error: mystery_1: ") for line in lines)


def test_check_reports_missing_data(console: Console, tmp_path: Path) -> None:
    project = digits_mlp()
    path = write_document(
        tmp_path, project.model_copy(update={"data": project.data.model_copy(update={"dataset": "nowhere"})})
    )
    answer = console("check", path, "--json")
    assert answer.code == 1
    assert [issue["code"] for issue in answer.value["issues"]] == ["data"]


def test_summary_lists_parameters_per_node(console: Console, tmp_path: Path) -> None:
    path = write_document(tmp_path, digits_mlp())
    value = console("summary", path, "--json").value
    sizes = {row["node"]: row["parameters"] for row in value["nodes"]}
    assert sizes["linear_1"] == 64 * 64 + 64
    assert sum(sizes.values()) == value["totals"]["parameters"]
    text = console("summary", path).out
    assert "(N, 1, 8, 8)" in text
    assert "4,810 parameters" in text


def test_summary_of_an_invalid_document_shows_known_shapes(console: Console, tmp_path: Path) -> None:
    answer = console("summary", write_document(tmp_path, chain(IMAGE, ("Linear", {"units": 0}))))
    assert answer.code == 1
    assert "(N, 1, 8, 8)" in answer.out
    assert "error: linear_1" in answer.err


def test_code_prints_valid_python(console: Console, tmp_path: Path) -> None:
    path = write_document(tmp_path, digits_mlp())
    text = console("code", path).out
    ast.parse(text)
    assert console("code", path, "--json").value["source"].strip() == text.strip()
    broken = console("code", write_document(tmp_path, chain(IMAGE, ("Linear", {"units": 0}))), "--json")
    assert broken.code == 1
    assert broken.value["issues"][0]["node"] == "linear_1"


def test_closed_pipe_prints_no_error() -> None:
    command = f'"{sys.executable}" -m netloom.cli templates | true'
    result = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=environment(), check=False)
    assert result.stderr == ""


def test_data_list_and_show(console: Console) -> None:
    rows = console("data", "list", "--json").value
    assert {"digits", "intents", "tales", "sine"} <= {row["name"] for row in rows}
    assert "Handwritten digits" in console("data", "list").out
    digits = console("data", "list", "--search", "uci", "--kind", "image", "--size", "medium", "--json").value
    assert [(row["name"], row["rows"]) for row in digits] == [("digits", 1797)]
    tales = console("data", "list", "--task", "language_modelling", "--json").value  # the former name of the task
    assert tales == console("data", "list", "--task", "language_modeling", "--json").value
    assert "tales" in {row["name"] for row in tales}
    refused = console("data", "list", "--task", "clasification")
    assert refused.code == 2
    assert "segmentation" in refused.err
    for name in {(row["kind"], row["task"]): row["name"] for row in rows}.values():
        value = console("data", "show", name, "--json")
        assert value.code == 0
        assert sum(value.value["splits"].values()) <= value.value["rows"]
    assert "rows " in console("data", "show", "digits").out


def test_data_add_registers_a_table(console: Console, tmp_path: Path) -> None:
    table = tmp_path / "x.csv"
    table.write_text("a,b,kind\n" + "".join(f"{i},{i * i % 11},{'uv'[i % 2]}\n" for i in range(60)))
    added = console("data", "add", table, "--name", "Mine", "--target", "kind", "--json").value
    assert (added["title"], added["rows"]) == ("Mine", 60)
    for name in (added["name"], added["name"][:7], "Mine"):
        assert console("data", "show", name, "--json").value["target"]["classes"] == ["u", "v"]
    console("data", "add", table, "--name", "Mine")
    twice = console("data", "show", "Mine")
    assert twice.code == 2
    assert "2 datasets" in twice.err


def test_runs_of_an_empty_folder_is_empty(console: Console) -> None:
    assert console("runs", "--json").value == []
    assert "No runs yet" in console("runs").out


@pytest.mark.parametrize("place", ["before", "after", "equals", "environment"])
def test_home_option_works_in_any_position(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    from netloom.cli import main

    home = tmp_path / "chosen"
    monkeypatch.setenv("NETLOOM_HOME", str(home if place == "environment" else tmp_path / "other"))
    arguments = {
        "before": ["--home", str(home), "runs"],
        "after": ["runs", "--home", str(home)],
        "equals": [f"--home={home}", "--json", "runs"],
        "environment": ["runs"],
    }[place]
    assert main(arguments) == 0
    assert (home / "netloom.db").exists()
    assert not (tmp_path / "other").exists()


def test_control_characters_in_names_are_not_printed(console: Console, tmp_path: Path) -> None:
    bad = "evil\x1b]0;pwned\x07\r\n\u202e</script>'\""
    project = chain(IMAGE, ("Linear", {"units": 0}), name=bad)
    node = project.main_network.nodes["linear_1"].model_copy(update={"title": bad})
    network = project.main_network.model_copy(update={"nodes": {**project.main_network.nodes, "linear_1": node}})
    path = write_document(tmp_path, project.with_network("main", network))
    for command in ("check", "summary", "code"):
        answer = console(command, path)
        assert answer.code == 1
        for letter in "\x1b\x07\r\u202e":
            assert letter not in answer.out + answer.err
    assert json.loads(dumps(project))["name"] == bad


def test_initialize_offers_all_methods() -> None:
    from netloom.cli.commands import initialize
    from netloom.document import initialization

    assert tuple(initialization.METHODS) == get_args(initialization.Method) == initialize.METHODS


def test_initialize_sets_shows_and_removes_a_setting(console: Console, tmp_path: Path) -> None:
    file = str(tmp_path / "gpt.json")
    console("templates", "--write", "tales_gpt", file)
    assert console("initialize", file, "normal", "--residual").code == 0
    assert console("initialize", file, "uniform", "--bound", "0.2", "--layer", "linear_1").code == 0
    shown = console("initialize", file, "--json").value
    assert [(row["layer"], row["initialization"]) for row in shown] == [
        ("", "Normal, std 0.02, residual branches scaled"),
        ("linear_1", "Uniform, bound 0.2"),
    ]
    assert (
        console("initialize", file, "none").code == console("initialize", file, "none", "--layer", "linear_1").code == 0
    )
    assert console("initialize", file).out.strip() == "All layers have the defaults of PyTorch."


def test_initialize_refuses_an_option_that_the_method_does_not_read(console: Console, tmp_path: Path) -> None:
    file = str(tmp_path / "gpt.json")
    console("templates", "--write", "tales_gpt", file)
    refused = console("initialize", file, "orthogonal", "--std", "0.1")
    assert (refused.code, "orthogonal has no option std" in refused.err) == (2, True)
