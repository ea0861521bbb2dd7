"""Files that commands write: one that exists stays as it is unless `--force` is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import Answer
from tests.cli.conftest import Trained, called

MINE = "something of the user's\n"
# Each command that writes a file that is named on the command line; {run} is a run, {file} that file, {doc} a document.
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


def said(trained: Trained, *arguments: object) -> Answer:
    return called("--home", trained.home, *arguments)


@pytest.mark.parametrize("name", WRITING)
def test_a_file_that_exists_is_refused(trained: Trained, tmp_path: Path, name: str) -> None:
    filename, command = WRITING[name]
    file = tmp_path / filename
    file.write_text(MINE)
    words = [word.format(run=trained.run, file=file, doc=trained.document) for word in command.split()]
    answer = said(trained, *words)
    assert answer.code == 2
    assert "--force" in answer.err
    assert file.read_text() == MINE
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".writing-")] == []
    if name == "sweep":
        return  # with --force it trains, as test_runs shows
    assert said(trained, *words, "--force").code == 0
    assert file.read_bytes() != MINE.encode()


def test_export_into_a_folder_does_not_overwrite(trained: Trained, tmp_path: Path) -> None:
    assert said(trained, "export", trained.run, "--to", tmp_path).code == 0
    (written,) = tmp_path.iterdir()
    written.write_text(MINE)
    assert said(trained, "export", trained.run, "--to", tmp_path).code == 2
    assert written.read_text() == MINE


@pytest.mark.parametrize("form", ["tensorboard", "mlflow"])
def test_folders_of_runs_are_not_overwritten(trained: Trained, tmp_path: Path, form: str) -> None:
    command = ("runs", "export", trained.run, "--format", form, "--to", tmp_path / "curves")
    assert said(trained, *command).code == 0
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    first = next(iter(files))
    first.write_text(MINE)
    answer = said(trained, *command)
    assert answer.code == 2
    assert "--force" in answer.err
    assert first.read_text() == MINE
    assert said(trained, *command, "--force").code == 0
    assert first.read_bytes() == files[first]


def test_a_file_in_the_place_of_a_folder(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "curves").write_text(MINE)
    answer = said(trained, "runs", "export", "--format", "mlflow", "--to", tmp_path / "curves")
    assert answer.code == 2
    assert (tmp_path / "curves").read_text() == MINE
