"""Output files of commands: an existing file stays unchanged unless `--force` is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import Answer
from tests.cli.conftest import Trained, called

MINE = "something of the user's\n"
# Each command with an output file on the command line; {run} is a run, {file} that file, {doc} a document.
WRITING = {
    "export": ("x.zip", "export {run} --to {file}"),
    "export pt2": ("model.pt2", "export {run} --format pt2 --to {file}"),
    "runs export": ("runs.csv", "runs export {run} --to {file}"),
    "explain html": ("x.html", "explain {run} --method saliency --to {file}"),
    "explain json": ("x.json", "explain {run} --method saliency --to {file}"),
    "explain png": ("x.png", "explain {run} --method saliency --to {file}"),
    "explain flow": ("x.svg", "explain {run} --method flow --to {file}"),
    "templates": ("x.json", "templates --write digits_mlp {file}"),
    "job": ("x.sh", "train {doc} --backend ray --job {file}"),
    "sweep": ("x.json", "sweep {doc} --seeds 2 --write-best {file}"),
}


def call(trained: Trained, *arguments: object) -> Answer:
    return called("--home", trained.home, *arguments)


@pytest.mark.parametrize("name", WRITING)
def test_existing_file_is_refused_without_force(trained: Trained, tmp_path: Path, name: str) -> None:
    filename, command = WRITING[name]
    file = tmp_path / filename
    file.write_text(MINE)
    words = [word.format(run=trained.run, file=file, doc=trained.document) for word in command.split()]
    answer = call(trained, *words)
    assert answer.code == 2
    assert "--force" in answer.err
    assert file.read_text() == MINE
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".writing-")] == []
    if name == "sweep":
        return  # with --force it trains, as test_runs shows
    assert call(trained, *words, "--force").code == 0
    assert file.read_bytes() != MINE.encode()


def test_export_into_a_folder_overwrites_nothing(trained: Trained, tmp_path: Path) -> None:
    assert call(trained, "export", trained.run, "--to", tmp_path).code == 0
    (written,) = tmp_path.iterdir()
    written.write_text(MINE)
    assert call(trained, "export", trained.run, "--to", tmp_path).code == 2
    assert written.read_text() == MINE


@pytest.mark.parametrize("form", ["tensorboard", "mlflow"])
def test_exported_run_folders_are_overwritten_only_with_force(trained: Trained, tmp_path: Path, form: str) -> None:
    command = ("runs", "export", trained.run, "--format", form, "--to", tmp_path / "curves")
    assert call(trained, *command).code == 0
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    first = next(iter(files))
    first.write_text(MINE)
    answer = call(trained, *command)
    assert answer.code == 2
    assert "--force" in answer.err
    assert first.read_text() == MINE
    assert call(trained, *command, "--force").code == 0
    assert first.read_bytes() == files[first]


def test_file_in_place_of_export_folder_is_refused(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "curves").write_text(MINE)
    answer = call(trained, "runs", "export", "--format", "mlflow", "--to", tmp_path / "curves")
    assert answer.code == 2
    assert (tmp_path / "curves").read_text() == MINE
