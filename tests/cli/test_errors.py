"""User errors: one sentence, the right exit code, never a traceback."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from netloom.cli.command import as_json
from netloom.document import dumps
from tests.cli.command import netloom
from tests.cli.conftest import Console, Trained
from tests.networks import digits_mlp

VALID = json.loads(dumps(digits_mlp()))

USAGE = [
    ["wrong"],
    ["check"],
    ["check", "a", "b"],
    ["--wrong"],
    ["data"],
    ["data", "wrong"],
    ["data", "add"],
    ["train", "x.json", "--epochs", "-1"],
    ["train", "x.json", "--epochs", "many"],
    ["train", "x.json", "--seed", "-1"],
    ["train", "x.json", "--device", "tpu"],
    ["evaluate", "last", "--split", "all"],
    ["explain", "last", "--example", "-3"],
    ["--port", "99999"],
    ["app", "--port", "0"],
    ["bench", "--repeats", "0"],
    ["export", "last", "--format", "exe"],
    ["--home"],
]

DOCUMENTS: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"{",
    "binary": bytes(range(256)),
    "no object": b"[1, 2]",
    "null": b"null",
    "deep": b"[" * 100_000,
    "wrong type": json.dumps({**VALID, "networks": 3}).encode(),
    "unknown key": json.dumps({**VALID, "__class__": "x"}).encode(),
    "newer": json.dumps({**VALID, "format": 99}).encode(),
    "NaN": dumps(digits_mlp()).replace("0.001", "NaN").encode(),
    "a path as id": dumps(digits_mlp()).replace("linear_1", "../linear_1").encode(),
    "code as id": dumps(digits_mlp()).replace("linear_1", "__import__('os')").encode(),
    "no main": json.dumps({**VALID, "main": "other"}).encode(),
}


def check_one_sentence(text: str) -> None:
    """Check that standard error is one line that ends with a period."""
    assert text.strip().count("\n") == 0, text
    assert text.strip().endswith("."), text


@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
def test_usage_errors_exit_with_2(console: Console, arguments: list[str]) -> None:
    answer = console(*arguments)
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err


def test_a_misspelled_command_gets_the_closest_one(console: Console) -> None:
    answer = console("--json", "trian", "x.json")
    assert answer.code == 2
    assert answer.value["error"].endswith("there is no command 'trian'; did you mean 'train'?")
    assert "invalid choice: 'wrong'" in console("wrong").err


def test_a_second_target_does_not_replace_the_first_one(console: Console) -> None:
    answer = console("data", "add", "x.csv", "--target", "a", "--target", "b")
    assert answer.code == 2
    assert "--target was given twice; to predict several columns, add the data first" in answer.err


def test_usage_errors_are_printed_as_json(console: Console) -> None:
    answer = console("train", "x.json", "--epochs", "many", "--json")
    assert answer.code == 2
    assert "received 'many'" in answer.value["error"]
    assert answer.value["issues"] == []


@pytest.mark.parametrize("command", ["check", "summary", "code", "train"])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_invalid_documents_are_refused(console: Console, tmp_path: Path, command: str, name: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(DOCUMENTS[name])
    answer = console(command, path)
    assert answer.code == 1
    assert answer.out == ""
    check_one_sentence(answer.err)


@pytest.mark.parametrize("command", ["check", "summary", "code", "train"])
def test_unreadable_document_paths_are_refused(console: Console, tmp_path: Path, command: str) -> None:
    for path in (tmp_path / "missing.json", tmp_path, "a\0b", "x" * 5_000):
        answer = console(command, path)
        assert answer.code == 2
        check_one_sentence(answer.err)


def test_name_of_a_template_leads_to_its_document(
    console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = re.search(r"netloom (templates .* digits_mlp.json),", console("check", "digits_mlp").err)
    assert command
    assert console(*command[1].split()).code == 0
    assert console("check", "digits_mlp.json").code == 0


def test_huge_layer_is_refused(console: Console, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(dumps(digits_mlp()).replace('"units": 64', '"units": 1000000000000'))
    for command in ("check", "train", "code"):
        assert console(command, path).code == 1
    assert console("runs", "--json").value == []


TABLES: dict[str, tuple[str, bytes]] = {
    "empty": ("x.csv", b""),
    "no rows": ("x.csv", b"a,b\n"),
    "one column": ("x.csv", b"a\n1\n2\n"),
    "no such target": ("x.csv", b"a,b\n1,2\n3,4\n"),
    "wrong encoding": ("x.csv", "a,bé\n1,2\n".encode("latin-1")),
    "NUL": ("x.csv", b"a,b\n1,\x002\n"),
    "no zip": ("x.zip", b"PK\x03\x04 broken"),
    "no Parquet": ("x.parquet", b"PAR1"),
    "a program": ("x.exe", b"MZ"),
}


@pytest.mark.parametrize("name", TABLES)
def test_invalid_data_files_are_refused(console: Console, tmp_path: Path, name: str) -> None:
    filename, content = TABLES[name]
    (tmp_path / filename).write_bytes(content)
    answer = console("data", "add", tmp_path / filename, "--target", "nowhere")
    assert answer.code == 1
    assert answer.out == ""
    check_one_sentence(answer.err)
    assert all(row["builtin"] for row in console("data", "list", "--json").value)


def test_missing_datasets_are_refused(console: Console, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(dumps(digits_mlp()))
    for arguments in (
        ["data", "show", "../../etc/passwd"],
        ["data", "show", ""],
        ["data", "add", tmp_path / "missing.csv"],
        ["data", "add", tmp_path / "missing.csv", tmp_path / "other.csv"],
        ["train", path, "--data", "nowhere\n\x1b[31m"],
    ):
        answer = console(*arguments)
        assert answer.code == 2
        check_one_sentence(answer.err)


def test_training_an_invalid_document_lists_its_errors(console: Console, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(dumps(digits_mlp()).replace('"units": 10', '"units": 7'))
    answer = console("train", path, "--json")
    assert answer.code == 1
    assert answer.value["issues"]
    assert "error: output_1" in answer.err
    assert console("runs", "--json").value == []


def test_training_needs_matching_data(console: Console, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    project = digits_mlp()
    path.write_text(dumps(project.model_copy(update={"data": project.data.model_copy(update={"dataset": ""})})))
    answer = console("train", path)
    assert answer.code == 1
    assert "--data" in answer.err
    assert console("train", path, "--data", "wine").code == 1


@pytest.mark.parametrize("command", [["evaluate"], ["explain"], ["export"], ["predict", "x.json"]], ids=" ".join)
def test_missing_runs_are_refused(console: Console, trained: Trained, command: list[str]) -> None:
    name, *options = command
    for home, run_id in ((console.home, "last"), (trained.home, "zzz"), (trained.home, ""), (trained.home, "%")):
        answer = console(name, run_id, *options, "--home", home)
        assert answer.code == 2
        check_one_sentence(answer.err)


ROWS: dict[str, tuple[str, bytes]] = {
    "missing": ("missing.json", b""),
    "empty": ("x.json", b" "),
    "no rows": ("x.json", b"[]"),
    "header alone": ("x.csv", b"image\n"),
    "no JSON": ("x.json", b"[{"),
    "deep": ("x.json", b"[" * 200_000),
    "no object": ("x.json", b"[3]"),
    "NaN": ("x.json", b'[{"image": NaN}]'),
    "no column": ("x.json", b'[{"other": 1}]'),
    "wrong shape": ("x.json", b'[{"image": [[1, 2], [3, 4]]}]'),
    "ragged": ("x.json", b'[{"image": [[1, 2], [3]]}]'),
    "words": ("x.json", b'[{"image": "a cat"}]'),
    "an object": ("x.json", b'[{"image": {"a": 1}}]'),
    "nothing": ("x.json", b'[{"image": null}]'),
    "no list": ("x.csv", b'image\n"a cat"\n'),
    "too many cells": ("x.csv", b"image\n1,2,3\n"),
    "wrong encoding": ("x.csv", b"image\n\xff\xfe\xfd\n"),
    "NUL": ("x.csv", b"image\n\x00\n"),
    "binary": ("x.bin", bytes(range(256))),
}


@pytest.mark.parametrize("name", ROWS)
def test_invalid_prediction_rows_are_refused(console: Console, trained: Trained, tmp_path: Path, name: str) -> None:
    filename, content = ROWS[name]
    if content:
        (tmp_path / filename).write_bytes(content)
    answer = console("predict", "last", tmp_path / filename, "--home", trained.home)
    assert answer.code == (1 if content else 2), answer
    assert answer.out == ""
    check_one_sentence(answer.err)
    assert "Netloom itself" not in answer.err


def test_invalid_prediction_row_is_named(console: Console, trained: Trained, tmp_path: Path) -> None:
    good = [[0] * 8] * 8
    (tmp_path / "x.json").write_text(json.dumps([{"image": good}, {"image": good}, {"pixels": good}]))
    answer = console("predict", "last", tmp_path / "x.json", "--home", trained.home)
    assert answer.code == 1
    assert answer.err.startswith("Row 3: ")


def test_invalid_explain_options_are_refused(console: Console, trained: Trained) -> None:
    wrong: list[tuple[list[Any], int]] = [
        (["--example", 10**9], 2),
        (["--method", "attention"], 1),
        (["--target", "eleven"], 2),
        (["--target", "99"], 2),
        (["--method", "integrated_gradients", "--node", "nowhere"], 2),
        (["--over", "test", "--method", "magic"], 2),
        (["--checkpoint", "99"], 2),
        (["--method", "magic"], 2),
        (["--method", "saliency", "--baseline", "zero"], 2),
        (["--method", "occlusion", "--steps", "4"], 2),
        (["--method", "occlusion", "--baseline", "padding"], 2),
        (["--method", "flow", "--steps", "4"], 2),
        (["--method", "flow", "--over", "test"], 2),
        (["--over", "test", "--example", "3"], 2),
        (["--over", "test", "--to", "x.html"], 2),
        (["--rows", "3"], 2),
        (["--over", "test", "--randomize"], 2),
    ]
    for arguments, code in wrong:
        answer = console("explain", "last", *arguments, "--home", trained.home)
        assert answer.code == code, answer
        check_one_sentence(answer.err)


def test_unwritable_paths_are_refused(console: Console, trained: Trained, tmp_path: Path) -> None:
    answer = console("export", "last", "--to", tmp_path / "no" / "x.zip", "--home", trained.home)
    assert answer.code == 2
    check_one_sentence(answer.err)
    answer = console("export", "last", "--format", "notebook", "--to", tmp_path / "x.ipynb", "--home", trained.home)
    assert "writes a zip; let the name end with .zip instead of .ipynb" in answer.err
    file = tmp_path / "file"
    file.write_text("")
    answer = console("runs", "--home", file)
    assert answer.code == 1
    check_one_sentence(answer.err)


def test_corrupt_database_is_an_error(console: Console, tmp_path: Path) -> None:
    home = tmp_path / "broken"
    home.mkdir()
    (home / "netloom.db").write_bytes(b"no database at all" * 1_000)
    answer = console("runs", "--home", home, "--json")
    assert answer.code == 1
    assert answer.value["error"].endswith(".")


def test_internal_errors_are_one_sentence_and_logged(
    console: Console, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(self: object, options: object, context: object) -> int:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("netloom.cli.commands.runs.Runs.run", broken)
    answer = console("runs")
    assert answer.code == 1
    check_one_sentence(answer.err)
    assert "ZeroDivisionError" in (console.home / "errors.jsonl").read_text()


def test_json_output_replaces_nan_with_null() -> None:
    assert json.loads(as_json({"a": [float("nan"), float("inf"), 1.5], "b": (1, None)})) == {
        "a": [None, None, 1.5],
        "b": [1, None],
    }


@pytest.mark.skipif(os.name != "posix", reason="locales")
def test_non_ascii_output_is_escaped_on_ascii_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    answer = netloom("data", "list")
    assert answer.code == 0
    assert "\\u2026" in answer.out, "where a summary is cut"
