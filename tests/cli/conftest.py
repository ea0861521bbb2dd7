"""A data folder with a finished run, for all tests that only read it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from netloom.cli import main
from netloom.runs import processes
from tests.cli.command import Answer
from tests.runs.examples import trained_here


@dataclass(frozen=True)
class Trained:
    """A data folder, the document in it, and the output of the command that trained it."""

    home: Path
    document: Path
    answer: Answer

    @property
    def run(self) -> str:
        return str(self.answer.value["run"])


@contextmanager
def training_here() -> Iterator[None]:
    """`netloom train` trains in this process, and starts no other one that prepares for it."""
    with trained_here(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "warm", lambda home: None)
        yield


@pytest.fixture
def _training_here() -> Iterator[None]:
    with training_here():
        yield


@pytest.fixture(scope="package")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The digits template, trained for two epochs by the command."""
    folder = tmp_path_factory.mktemp("cli")
    home, document = folder / "home", folder / "digits.json"
    assert called("--home", home, "templates", "--write", "digits_mlp", document).code == 0
    with training_here():
        answer = called("train", document, "--epochs", 2, "--seed", 3, "--device", "cpu", "--home", home, "--json")
    assert answer.code == 0, answer.err
    return Trained(home, document, answer)


def called(*arguments: object) -> Answer:
    """Call a command in this process, where `capsys` is not available."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        code = main([*map(str, arguments)])
    assert "Traceback" not in err.getvalue()
    return Answer(code, out.getvalue(), err.getvalue())


class Console:
    """Calls the command in this process, for the many cases that need no separate process."""

    def __init__(self, home: Path, captured: pytest.CaptureFixture[str]) -> None:
        self.home, self._captured = home, captured

    def __call__(self, *arguments: object) -> Answer:
        self._captured.readouterr()
        code = main(["--home", str(self.home), *map(str, arguments)])
        out, err = self._captured.readouterr()
        assert "Traceback" not in err
        return Answer(code, out, err)


@pytest.fixture
def console(home: Path, capsys: pytest.CaptureFixture[str]) -> Console:
    return Console(home, capsys)
