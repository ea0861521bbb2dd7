"""Files of a run that were truncated, emptied, changed or removed: the message names the file and the remedy, intact
files are used, and a score is reported only for the weights it was measured on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from netloom.cli import main
from netloom.cli.command import Context
from netloom.cli.run_progress import progress_after
from netloom.runs import evaluate, evaluation, load_run, resume, start
from netloom.runs.derived import continuation
from netloom.runs.execution.run_reporter import RunReporter
from netloom.runs.execution.run_training import CHANGED_DATA
from netloom.store import RunArtifacts, Store, open_store
from netloom.training import CheckpointError, StartError, starting_from
from netloom.training.trainer import Trainer
from netloom.training.weights import checkpoints
from netloom.training.weights.weight_files import digest, recorded
from tests.runs.examples import check_curves, moons, trained_here
from tests.store.states import put

EPOCHS = 6


def truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: min(50, len(content) // 2)])


def clear(path: Path) -> None:
    path.write_bytes(b"")


def flip_bit(path: Path) -> None:
    """Flip one bit of the content, which no reader notices by itself."""
    content = bytearray(path.read_bytes())
    content[len(content) * 3 // 4] ^= 1
    path.write_bytes(content)


def remove(path: Path) -> None:
    path.unlink()


def change_optimizer(path: Path) -> None:
    path.write_text(path.read_text().replace('"optimizer": "adam"', '"optimizer": "rmsprop"'))


def break_syntax(path: Path) -> None:
    path.write_text("layers = [\n" + path.read_text())


def misspell(path: Path) -> None:
    path.write_text(path.read_text().replace("nn.Linear(", "nn.Lineer("))


def add_units(path: Path) -> None:
    path.write_text(path.read_text().replace("16", "17"))


DAMAGES = (truncate, clear, flip_bit, remove)


@pytest.fixture(scope="module")
def stopped_home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A data folder with a run that was stopped in its fourth epoch and has two checkpoints, one in the second
    epoch."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("damaged") / "home"
        patch.setenv("NETLOOM_HOME", str(home))
        patch.delenv("NETLOOM_DATABASE_URL", raising=False)
        store = open_store(home)
        poll, saved = RunReporter.should_continue, list[int]()

        def stop_after_checkpoint(link: RunReporter, loop: Trainer) -> bool:
            if not saved and loop.epoch == 2:
                link.checkpoint.save(loop)
                saved.append(loop.step)
            return poll(link, loop) and loop.epoch < 4

        patch.setattr(RunReporter, "should_continue", stop_after_checkpoint)
        project = moons(epochs=EPOCHS)
        with trained_here():
            run_id = start(store, store.create_project(project), project)
        assert store.run(run_id).state == "stopped"
        assert len(list((store.artifacts(run_id).local_directory() / "checkpoints").iterdir())) == 2
        store.close()
    return home, run_id


@pytest.fixture
def stopped(
    stopped_home: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Store, str]]:
    """A copy of `stopped_home` for one test."""
    home = tmp_path / "home"
    shutil.copytree(stopped_home[0], home)
    monkeypatch.setenv("NETLOOM_HOME", str(home))
    store = open_store(home)
    yield store, stopped_home[1]
    store.close()


@pytest.fixture(scope="module")
def undisturbed(stopped_home: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """The last weights of the run when nothing is damaged."""
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    shutil.copytree(stopped_home[0], home)
    store = open_store(home)
    with trained_here():
        resume(store, stopped_home[1])
    assert store.run(stopped_home[1]).state == "finished"
    weights = checkpoints.weights(store.artifacts(stopped_home[1]), "last")
    store.close()
    return weights


def last_checkpoint(folder: Path) -> Path:
    return folder / "checkpoints" / str(json.loads((folder / "last.json").read_text())["folder"])


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *((name, damage) for name in ("model.safetensors", "state.pt") for damage in DAMAGES),
        *(("last.json", damage) for damage in (truncate, clear)),  # a run without this file has no checkpoint yet
    ],
)
def test_run_resumes_from_the_checkpoint_before_a_damaged_one(
    stopped: tuple[Store, str], undisturbed: dict[str, torch.Tensor], name: str, damage: Callable[[Path], None]
) -> None:
    store, run_id = stopped
    folder = store.artifacts(run_id).local_directory()
    damage(folder / name if name == "last.json" else last_checkpoint(folder) / name)
    with trained_here():
        resume(store, run_id)
    run = store.run(run_id)
    assert (run.state, run.reason) == ("finished", "")
    [note] = run.summary.notes
    assert name in note
    assert "The run continues from the checkpoint of step" in note
    weights = checkpoints.weights(RunArtifacts.in_directory(folder), "last")
    assert all(torch.equal(weights[key], undisturbed[key]) for key in undisturbed)
    check_curves(store.points(run_id), EPOCHS)


def test_resuming_on_changed_data_is_noted(stopped: tuple[Store, str], capsys: pytest.CaptureFixture[str]) -> None:
    store, run_id = stopped
    artifacts = store.artifacts(run_id)
    artifacts.save_environment({**artifacts.environment(), "data": "0" * 64})
    with trained_here():
        assert main(["runs", "resume", run_id]) == 0
        assert store.run(run_id).summary.notes == (CHANGED_DATA,)
        assert CHANGED_DATA in capsys.readouterr().err
        run = store.run(run_id)
        assert main(["runs", "extend", run_id, "--epochs", "1"]) == 0
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("epoch 7 "), "nothing of the part before it"
    # Until the first heartbeat of a resumed run, its summary is that of the earlier part
    progress = progress_after(store, run, Context(store.home, as_json=False))
    progress.show(run, store.points(run_id, progress.last))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "damage", "sentence"),
    [
        ("project.json", truncate, "project.json cannot be read as a document. This is not valid JSON"),
        ("project.json", change_optimizer, "The last checkpoint does not fit project.json and model.py in "),
        ("model.py", remove, "model.py cannot be read: No such file or directory. Restore the file"),
        ("model.py", break_syntax, "model.py, line 1, cannot be run: it is not valid Python ('[' was never closed)."),
        ("model.py", misspell, " cannot be run: AttributeError: module 'torch.nn' has no attribute 'Lineer'. Restore"),
        ("model.py", clear, "model.py cannot be run: it does not define the class Main. Restore the file"),
    ],
)
def test_resuming_names_a_file_that_is_damaged_or_was_edited(
    stopped: tuple[Store, str], name: str, damage: Callable[[Path], None], sentence: str
) -> None:
    store, run_id = stopped
    folder = store.artifacts(run_id).local_directory()
    damage(folder / name)
    with trained_here():
        resume(store, run_id)
    run = store.run(run_id)
    assert run.state == "failed"
    assert sentence in run.reason
    assert str(folder) in run.reason
    assert "in a new run" in run.reason


@pytest.mark.parametrize("name", ["rmsprop", "sgd", "adagrad"])
def test_resuming_with_another_optimizer_names_the_files_for_older_checkpoints_too(
    stopped: tuple[Store, str], name: str
) -> None:
    store, run_id = stopped
    folder = store.artifacts(run_id).local_directory()
    for checkpoint in (folder / "checkpoints").iterdir():
        state = torch.load(checkpoint / "state.pt", weights_only=True)
        del state["optimizer_name"]  # as in those of version 0.1.0
        torch.save(state, checkpoint / "state.pt")
    document = folder / "project.json"
    document.write_text(document.read_text().replace('"optimizer": "adam"', f'"optimizer": "{name}"'))
    with trained_here():
        resume(store, run_id)
    run = store.run(run_id)
    assert run.state == "failed"
    assert run.reason.startswith("The last checkpoint does not fit project.json and model.py in ")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (break_syntax, "model.py, line 1, cannot be run: it is not valid Python ('[' was never closed). Restore"),
        (add_units, "best.safetensors does not fit the network in {folder}/model.py. Restore the file from a backup"),
    ],
)
def test_using_a_run_names_its_edited_code(
    stopped: tuple[Store, str], damage: Callable[[Path], None], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store, run_id = stopped
    folder = store.artifacts(run_id).local_directory()
    damage(folder / "model.py")
    assert main(["evaluate", run_id, "--split", "train"]) != 0
    message = capsys.readouterr().err
    assert f"{folder}/" in message
    assert sentence.format(folder=folder) in message


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", [checkpoints.MODEL, checkpoints.STATE])
def test_checksums_find_the_checkpoint_that_is_read(
    stopped: tuple[Store, str], name: str, damage: Callable[[Path], None]
) -> None:
    artifacts = stopped[0].artifacts(stopped[1])
    folder = artifacts.local_directory()
    assert checkpoints.last_intact_step(artifacts) == checkpoints.last_step(artifacts)
    last = last_checkpoint(folder)
    damage(last / name)
    intact = checkpoints.load(artifacts)
    assert intact is not None
    assert checkpoints.last_intact_step(artifacts) == intact[0] != checkpoints.last_step(artifacts)
    [other] = set((folder / "checkpoints").iterdir()) - {last}
    damage(other / name)
    for find in (checkpoints.load, checkpoints.last_intact_step):
        with pytest.raises(CheckpointError, match="no other checkpoint"):
            find(artifacts)


# A page extends a run.
EXTEND = """
import sys
from pathlib import Path
from netloom.runs.derived import continuation
from netloom.store import open_store

store = open_store(Path(sys.argv[1]))
continuation.requeue = lambda *_, **named: print(named["about"].extended, "torch" in sys.modules)
continuation.extend(store, sys.argv[2], 3)
"""


def test_extending_a_run_imports_no_pytorch(stopped: tuple[Store, str]) -> None:
    store, run_id = stopped
    command = [sys.executable, "-c", EXTEND, str(store.home), run_id]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert answer.stdout.strip() == "(Extension(at=4, epochs=9),) False"


@pytest.mark.parametrize("damage", DAMAGES)
def test_resume_with_only_damaged_checkpoints_fails_and_removes_nothing(
    stopped: tuple[Store, str], capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None]
) -> None:
    store, run_id = stopped
    folder = store.artifacts(run_id).local_directory()
    for checkpoint in (folder / "checkpoints").iterdir():
        damage(checkpoint / "state.pt")
    before = sorted(folder.glob("checkpoints/**"))
    for arguments in (("resume", run_id), ("extend", run_id, "--epochs", "2")):
        with trained_here():
            assert main(["--home", str(store.home), "runs", *arguments]) == 1
        message = capsys.readouterr().err
        assert "state.pt" in message
        assert (
            "There is no other checkpoint to continue from. Restore it from a backup, or reproduce the run" in message
        )
        assert "Netloom itself failed" not in message
    assert sorted(folder.glob("checkpoints/**")) == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_best_weights_are_discarded_on_resume(
    stopped: tuple[Store, str], undisturbed: dict[str, torch.Tensor], damage: Callable[[Path], None]
) -> None:
    store, run_id = stopped
    folder = store.artifacts(run_id).local_directory()
    damage(folder / "best.safetensors")
    with trained_here():
        resume(store, run_id)
    run = store.run(run_id)
    assert (run.state, run.reason) == ("finished", "")
    assert run.summary.best is not None
    assert run.summary.best.epoch >= 4, "of those before it nothing is left"
    assert [note.startswith("The best weights so far are lost") for note in run.summary.notes] == (
        [] if damage is remove else [True]
    )
    weights = checkpoints.weights(RunArtifacts.in_directory(folder), "last")
    assert all(torch.equal(weights[key], undisturbed[key]) for key in undisturbed)
    stored = evaluation(store, run_id)
    assert stored is not None
    assert stored.metrics == evaluate(load_run(store, run_id)).metrics


COMMANDS: tuple[tuple[str, ...], ...] = (
    ("evaluate", "last"),
    ("evaluate", "last", "--split", "validation"),
    ("explain", "last", "--method", "saliency"),
    ("export", "last", "--format", "onnx", "--to", "{home}/model.onnx"),
    ("runs", "branch", "last"),
)


@pytest.mark.parametrize("damage", [truncate, flip_bit])
def test_commands_refuse_damaged_weights(
    stopped: tuple[Store, str], capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None]
) -> None:
    store, run_id = stopped
    put(store, run_id, "finished")
    best = store.artifacts(run_id).local_directory() / "best.safetensors"
    assert main(["--home", str(store.home), "evaluate", run_id]) == 0
    damage(best)
    for arguments in COMMANDS:
        capsys.readouterr()
        with trained_here():
            assert main(["--home", str(store.home), *(word.format(home=store.home) for word in arguments)]) == 1, (
                arguments
            )
        output = capsys.readouterr()
        assert not output.out, arguments
        assert f"{best} is damaged" in output.err, (arguments, output.err)
        assert "Netloom itself failed" not in output.err
    assert len(store.runs()) == 1
    project = starting_from(moons(epochs=0), f"run:{run_id}")
    with pytest.raises(StartError, match="is damaged"):
        start(store, store.create_project(project), project)
    with pytest.raises(ValueError, match="is damaged"):
        continuation.branch(store, run_id, "best")


def test_evaluation_is_reported_only_for_its_weights(stopped: tuple[Store, str]) -> None:
    store, run_id = stopped
    folder = store.artifacts(run_id).local_directory()
    stored = evaluation(store, run_id)
    assert stored is not None
    best = folder / "best.safetensors"
    assert recorded(best) == digest(load_file(best))
    put(store, run_id, "finished")
    zeroed = {name: torch.zeros_like(value) for name, value in load_file(best).items()}
    checkpoints.save_best(RunArtifacts.in_directory(folder), zeroed, {"step": 1, "epoch": 0})
    assert evaluation(store, run_id) is None, "those are whole, but others"
    assert evaluate(load_run(store, run_id)).metrics != stored.metrics


def test_runs_without_checksums_still_load(stopped: tuple[Store, str]) -> None:
    store, run_id = stopped
    folder = store.artifacts(run_id).local_directory()
    for path in [folder / "best.safetensors", *folder.glob("kept/*"), *folder.glob("checkpoints/*/model.safetensors")]:
        facts = {"facts": json.dumps({"step": 3, "epoch": 0})} if path.name == "best.safetensors" else None
        save_file(load_file(path), path, facts)
        assert not recorded(path)
    record = json.loads((folder / "evaluation.json").read_text())
    del record["weights"]
    (folder / "evaluation.json").write_text(json.dumps(record))
    stored = evaluation(store, run_id)
    assert stored is not None
    assert stored.metrics == evaluate(load_run(store, run_id)).metrics
    truncate(folder / "best.safetensors")
    with pytest.raises(CheckpointError, match=r"best\.safetensors is damaged"):
        evaluation(store, run_id)
    with trained_here():
        resume(store, run_id)
    assert store.run(run_id).state == "finished"
