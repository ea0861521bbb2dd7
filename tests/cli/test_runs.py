"""`netloom runs …` and `netloom sweep …` on existing runs; one sweep is really trained."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from netloom.document import Project, apply, dumps, read, write
from netloom.runs.search import sweeps
from netloom.store import Store, open_store
from netloom.store.run_summary import RunOrigin, SweepTrial
from tests.cli.conftest import Console
from tests.runs.examples import moons
from tests.store.states import put, put_sweep


@pytest.fixture
def store(home: Path) -> Store:
    return open_store(home)


def create_finished_run(store: Store, project: Project, title: str, loss: float) -> str:
    run = store.create_run(store.create_project(project), project, title)
    store.artifacts(run.id).local_directory().mkdir(parents=True)
    write(store.artifacts(run.id).local_directory() / "project.json", project)
    store.add_points(run.id, [(1, 0, "validation", "loss", loss, 0.0)])
    put(store, run.id, "finished", summary={"best": {"loss": loss}})
    return run.id


def test_runs_are_compared(console: Console, store: Store) -> None:
    wide = apply(moons(), {"kind": "set", "node": "linear_1", "params": {"units": 99}})
    narrow, widened = create_finished_run(store, moons(), "Narrow", 0.5), create_finished_run(store, wide, "Wide", 0.25)
    comparison = console("runs", "compare", narrow, widened, "--json").value
    assert [row["Δ validation loss"] for row in comparison["rows"]] == [0.0, -0.25]
    assert comparison["differences"][0]["parameters"] == [{"path": "main.linear_1.units", "old": 16, "new": 99}]
    assert "main.linear_1.units: 16 → 99" in console("runs", "compare", narrow, widened).out
    assert console("runs", "compare", narrow).code == 2
    assert console("runs", "compare", narrow, "zzz").code == 2
    assert {row["id"] for row in console("runs", "--json").value} == {narrow, widened}
    put(store, widened, "finished", summary={"best": {"loss": 0.75, "measure": "accuracy"}})
    assert {"loss 0.5", "accuracy 0.75"} <= set(re.split(r" {2,}", console("runs", "list").out))


def test_runs_are_filtered_and_sorted_by_hyperparameters_and_metrics(console: Console, store: Store) -> None:
    ids = []
    for title, rate, optimizer, loss in (("A", 0.1, "adam", 0.5), ("B", 0.01, "sgd", 0.25), ("C", 0.001, "sgd", 0.125)):
        objective = "language_modeling" if title == "A" else "classification"
        training = {"learning_rate": rate, "optimizer": optimizer, "objective": objective}
        training |= {"schedule_settings": {"gamma": rate}}
        edit = {"kind": "project", "training": training}
        ids.append(create_finished_run(store, apply(moons(), edit), title, loss))
    store.update_run(ids[0], tags=["old"])

    def listed(*words: str) -> str:
        return "".join(row["title"] for row in console("runs", "list", *words, "--json").value)

    assert listed() == "CBA"
    assert listed("--sort", "training.learning_rate") == "CBA"
    assert listed("--sort", "validation loss", "--descending") == "ABC"
    assert listed("--where", "training.learning_rate>=0.01", "--where", "validation loss <= 0.25") == "B"
    assert listed("--where", "training.learning_rate=1e-1") == "A"
    assert listed("--where", "training.optimizer=sgd,rmsprop") == "CB"
    # Names of an earlier version
    assert listed("--where", "training.objective=language_modelling") == "A"
    assert listed("--where", "training.schedule_settings.drop=0.1", "--sort", "training.schedule_settings.drop") == "A"
    assert listed("--tag", "old", "--state", "finished", "--search", "a") == "A"
    assert listed("--project", store.run(ids[1]).project_id[:13]) == "B"
    rows = console("runs", "list", "--columns", "--where", "training.optimizer=sgd", "--json").value
    # The optimizer does not differ between the two runs.
    assert rows[0]["columns"] == {
        "training.learning_rate": 0.001,
        "training.schedule_settings.gamma": 0.001,
        "validation loss": 0.125,
    }
    table = console("runs", "list", "--columns", "training.optimizer").out
    assert "training.optimizer" in table.splitlines()[0]
    assert "adam" in table.splitlines()[3]
    assert "columns" not in console("runs", "--json").value[0]
    for words, message in (
        (("--sort", "validation los"), "did you mean 'validation loss'?"),
        (("--where", "training.learning_rate"), "is not a condition"),
        (("--where", "training.learning_rate<=low"), "needs a number; received 'low'"),
        (("--project", "Moons"), "3 projects match 'Moons'"),
        (("--state", "done"), "Choose one of failed, finished"),
    ):
        answer = console("runs", "list", *words)
        assert (answer.code, answer.err.count("\n")) == (2, 1)
        assert message in answer.err


def test_runs_are_described_and_exported(console: Console, store: Store, tmp_path: Path) -> None:
    run = create_finished_run(store, moons(), "Old", 0.5)
    answer = console("runs", "describe", run, "--title", "New", "--tags", "a, b", "--notes", "x", "--json")
    assert answer.value == {"run": run, "title": "New", "notes": "x", "tags": ["a", "b"]}
    assert console("runs", "describe", run).code == 2
    assert console("runs", "export", "--to", tmp_path / "runs.csv").code == 0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "runs.csv").read_text())))
    assert [(row["title"], row["validation loss"]) for row in rows] == [("New", "0.5")]
    for form in ("tensorboard", "mlflow"):
        (path,) = console("runs", "export", run, "--format", form, "--to", tmp_path / form, "--json").value
        assert Path(path).exists()


def test_invalid_extend_and_branch_are_refused(console: Console, store: Store) -> None:
    run = create_finished_run(store, moons(), "Old", 0.5)
    for words in (("extend", run, "--epochs", 3), ("branch", run, "--at", 7), ("branch", run, "--at", "worst")):
        answer = console("runs", *words)
        assert answer.code == (1 if words[0] == "extend" else 2)
        assert answer.err.count("\n") == 1


def test_invalid_sweeps_are_refused(console: Console, tmp_path: Path) -> None:
    document = tmp_path / "moons.json"
    document.write_text(dumps(moons()))
    for words in (
        (document,),
        (document, "--space", "{}"),
        (document, "--space", "{"),
        (document, "--space", tmp_path / "nothing.json"),
        (document, "--space", '{"training.speed": {"low": 1, "high": 2}}'),
        (document, "--folds", 3, "--seeds", 3),
        ("--resume", "nothing"),
        (),
    ):
        answer = console("sweep", *words)
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.count("\n") == 1
    parameters = console("sweep", document, "--parameters", "--json").value
    assert parameters["main.linear_1.units"]["value"] == 16


def test_sweep_trains_and_writes_the_best(console: Console, home: Path, tmp_path: Path) -> None:
    document, space, best = tmp_path / "moons.json", tmp_path / "space.json", tmp_path / "best.json"
    document.write_text(dumps(moons(epochs=2)))
    space.write_text(json.dumps({"training.learning_rate": {"choices": [0.05, 1e-7]}}))
    words = ("--sampler", "grid", "--trials", 9, "--write-best", best, "--json", "--home", home)
    answer = console("sweep", document, "--space", space, *words)
    assert answer.code == 0, answer.err
    assert (answer.value["state"], len(answer.value["trials"])) == ("finished", 2)
    assert answer.value["best"]["assigned"] == {"training.learning_rate": 0.05}
    assert read(best).training.learning_rate == 0.05
    assert "trial 2  complete" in answer.err
    assert len(console("sweep", "--list", "--json", "--home", home).value) == 1


def test_last_after_a_sweep_is_its_best_trial(console: Console, store: Store) -> None:
    project = moons()
    project_id = store.create_project(project)
    sweep = store.create_sweep(project_id, project, sweeps.plan(project, {"training.seed": {"choices": [1, 2, 3]}}))
    ids = [
        store.create_run(project_id, project, about=RunOrigin(start=SweepTrial(sweep=sweep.id, number=number))).id
        for number in range(3)
    ]
    put_sweep(store, sweep.id, "stopped")  # otherwise a separate process would train it
    described = console("runs", "describe", "last", "--notes", "early")
    assert f"last is run {ids[2][:8]}: the newest trial, as none has a result of the sweep 'Moons'." in described.err
    for number, (run_id, loss) in enumerate(zip(ids, (0.5, 0.125, 0.25), strict=True)):
        put(store, run_id, "finished")
        trial = store.trials(sweep.id)[number]
        assert store.end_trial(sweep.id, trial, "complete", loss, run=store.run(run_id))
    described = console("runs", "describe", "last", "--notes", "Best", "--json")
    assert described.value["run"] == ids[1]
    assert described.err == f"last is run {ids[1][:8]}: trial 2, the best of 3 (loss 0.125) of the sweep 'Moons'.\n"
    assert store.run(ids[1]).notes == "Best"
    store.delete_sweep(sweep.id)
    described = console("runs", "describe", "last", "--notes", "Newest", "--json")
    assert (described.value["run"], described.err) == (ids[2], "")
    later = create_finished_run(store, project, "Later", 1.0)
    assert console("runs", "describe", "last", "--notes", "x", "--json").value["run"] == later
