"""The public Python API: its documented examples pass, and it matches the command line."""

from __future__ import annotations

import doctest
import os
import subprocess
import sys
from inspect import signature
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch

import netloom
from netloom import api
from netloom.compile import CompileError
from netloom.core.errors import DataError, UsageError
from netloom.document import write
from netloom.runs import TrainedRun
from netloom.store import open_store
from tests.cli.conftest import called
from tests.runs.examples import interrupted_when

FUNCTIONS = sorted(set(netloom.__all__) - {"__version__"})


@pytest.fixture(scope="module")
def run() -> TrainedRun:
    """The digits template, trained for one epoch."""
    return netloom.train(netloom.open_project("digits_mlp"), epochs=1, seed=0, device="cpu")


def test_package_reexports_api_functions() -> None:
    assert sorted(api.__all__) == FUNCTIONS
    assert set(FUNCTIONS) <= set(dir(netloom))
    assert all(getattr(netloom, name) is getattr(api, name) for name in FUNCTIONS)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        getattr(netloom, "trian")  # noqa: B009  (a type checker would reject the attribute)


def test_import_loads_no_heavy_packages() -> None:
    code = "import sys, netloom; sys.exit(', '.join({'torch', 'pydantic', 'numpy'} & set(sys.modules)) or 0)"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring_examples_pass_doctest(
    name: str, run: TrainedRun, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace = {"netloom": netloom, "torch": torch, "Path": Path, "run": run}
    (examples,) = doctest.DocTestFinder(recurse=False).find(getattr(api, name), name, globs=namespace)
    failures: list[str] = []
    assert examples.examples
    assert doctest.DocTestRunner().run(examples, out=failures.append).failed == 0, "".join(failures)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstrings_document_all_arguments(name: str) -> None:
    function = getattr(api, name)
    arguments = set(function.__annotations__) - {"return"}
    assert not [argument for argument in arguments if f"\n        {argument}: " not in (function.__doc__ or "")]


def test_saved_run_is_listed_by_the_command_line(home: Path, run: TrainedRun) -> None:
    """A run in a worker process has the same weights as one trained in this process."""
    project = netloom.open_project("digits_mlp")
    saved = netloom.train(project, epochs=1, seed=0, device="cpu", save=True, home=home)
    assert saved.run is not None
    training = saved.project.training
    assert (training.epochs, training.seed, training.device) == (1, 0, "cpu")
    (listed,) = called("--home", home, "runs", "--json").value
    assert (listed["id"], listed["state"]) == (saved.run.id, "finished")
    images = {"image": run.data.inputs["image"][:20]}
    assert torch.equal(saved.output(images), run.output(images))
    for checkpoint in ("", 1):
        loaded = netloom.load_run(saved.run.id[:8], checkpoint=checkpoint, home=home)
        assert torch.equal(loaded.output(images), run.output(images))


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_keyboard_interrupt_stops_a_saved_run(home: Path) -> None:
    with interrupted_when(home, lambda run: run.step > 0), pytest.raises(KeyboardInterrupt):
        netloom.train(netloom.open_project("digits_mlp"), epochs=10_000, save=True)
    store = open_store(home)
    (run,) = store.runs()
    assert run.state == "stopped"
    assert netloom.load_run(home=home).run == run
    store.close()


def test_project_opens_by_path_template_or_name(home: Path, tmp_path: Path) -> None:
    project = netloom.open_project("spirals").model_copy(update={"name": "My spirals"})
    path = tmp_path / "spirals.json"
    write(path, project)
    open_store(home).create_project(project)
    for name in (path, str(path), "My spirals"):
        assert netloom.open_project(name) == project
    with pytest.raises(UsageError, match="no file, template or project 'nothing'"):
        netloom.open_project("nothing")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_anything_but_a_project_or_run_is_refused(name: str) -> None:
    parameters = [value for value in signature(getattr(api, name)).parameters.values() if value.default is value.empty]
    openers = {"Project": "open_project", "TrainedRun": "load_run"}
    if parameters and (opener := openers.get(parameters[0].annotation)):
        with pytest.raises(UsageError, match=rf"received a str; netloom\.{opener}"):
            getattr(api, name)("spirals.json", *(0 for value in parameters[1:] if value.kind is not value.VAR_KEYWORD))


def test_custom_data_is_added_and_trained_on(home: Path, tmp_path: Path) -> None:
    rows = "\n".join(f"{x / 50:.2f},{-x / 50:.2f},{'high' if x > 60 else 'low'}" for x in range(120))
    path = tmp_path / "levels.csv"
    path.write_text(f"first,second,level\n{rows}\n")
    info = netloom.add_data(path, target="level")
    assert info in netloom.list_datasets()
    run = netloom.train(netloom.create_project(info.name), epochs=1, device="cpu")
    assert run.project.data.dataset == info.name
    other = netloom.train(netloom.open_project("spirals"), data="levels", epochs=0)
    assert other.data.fingerprint == run.data.fingerprint
    (answer,) = netloom.predict(run, [{"first": 2.0, "second": -2.0}])
    assert set(answer["probabilities"]) == {"high", "low"}
    with pytest.raises(UsageError, match="no dataset 'nothing'"):
        netloom.train(run.project, data="nothing")
    with pytest.raises(UsageError, match="'digits_cnn' does not fit the dataset 'levels'; these fit it: breast_cancer"):
        netloom.create_project("levels", "digits_cnn")
    with pytest.raises(UsageError, match="no template 'anything' for the dataset 'levels'"):
        netloom.create_project("levels", "anything")
    with pytest.raises(UsageError, match=r"nowhere\.csv cannot be read: this file or folder does not exist"):
        netloom.add_data(tmp_path / "nowhere.csv")
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match="target must be a str, received a list; to predict several columns"):
        netloom.add_data(tmp_path / "table.csv", target=["a", "b"])  # type: ignore[arg-type]


def test_files_of_a_split_are_added_together(home: Path, tmp_path: Path) -> None:
    cells = [f"{x},{('low', 'high')[x % 2]}" for x in range(60)]
    paths = [tmp_path / "train.csv", tmp_path / "test.csv"]
    for path, rows in zip(paths, (cells[:40], cells[40:]), strict=True):
        path.write_text("\n".join(["size,level", *rows]))
    info = netloom.add_data(paths, target="level")
    run = netloom.train(netloom.create_project(info.name), epochs=0, device="cpu")
    assert len(run.data.split["test"]) == 20
    with pytest.raises(UsageError, match="no files to add"):
        netloom.add_data([])


def test_rows_are_read_as_in_files(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "sides.csv"
    cells = [f"{x},{('left', 'right', 'middle')[x % 3]},{('low', 'high')[x % 2]}" for x in range(60)]
    path.write_text("\n".join(["size,side,level", *cells, "NA,,low"]))
    info = netloom.add_data(path, target="level")
    run = netloom.train(netloom.create_project(info.name), epochs=0, device="cpu")
    frame = pd.read_csv(path)
    expected = netloom.predict(run, [{"size": 3, "side": "left"}, {"size": None, "side": None}])
    read = netloom.predict(run, [{"size": " 3", "side": np.str_(" left ")}, {"size": pd.NA, "side": pd.NA}])
    assert read == expected
    for rows in (frame, frame.convert_dtypes(), frame.astype({"side": "category"})):
        assert [netloom.predict(run, rows)[row] for row in (3, 60)] == expected
    (answer,) = netloom.predict(run, [{"size": float("inf"), "side": "left"}])
    assert answer["unreadable"] == {"size": "inf"}
    with pytest.raises(DataError, match="Row 2: The column 'size' takes numbers, received"):
        netloom.predict(run, [{"size": 3, "side": "left"}, {"size": [3], "side": "left"}])
    with pytest.raises(DataError, match="row 1 of 'rows' is not one"):
        netloom.predict(run, cast("Any", [3]))
    with pytest.raises(UsageError, match="received a dict; put a single row in a list"):
        netloom.predict(run, cast("Any", {"size": 3, "side": "left"}))
    explained, other = (netloom.explain_prediction(run, {"size": 3, "side": side}) for side in (" left", "left"))
    assert explained.prediction == other.prediction
    with pytest.raises(UsageError, match=r"number in the data or as a mapping, received 0\.5"):
        netloom.explain_prediction(run, 0.5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no split 'tests'; choose one of train, validation, test"):
        netloom.evaluate(run, "tests")
    with pytest.raises(CompileError, match="the field features of the data is vector"):
        netloom.train(run.project, data="spirals", epochs=1)


@pytest.mark.parametrize("template", ["digits_autoencoder", "lenet5"])
def test_templates_of_other_tasks_fit_data_with_their_inputs(template: str, home: Path) -> None:
    project = netloom.create_project("shapes", template, home=home)
    assert not [issue for issue in netloom.check(project, home) if issue.severity == "error"]
    assert project.training.objective == netloom.open_project(template).training.objective


def test_check_reports_a_broken_network(home: Path) -> None:
    from netloom.document import apply

    project = netloom.open_project("digits_mlp")
    node = next(key for key, node in project.main_network.nodes.items() if node.type == "Linear")
    broken = apply(project, {"kind": "remove", "nodes": [node]})
    assert "error" in {issue.severity for issue in netloom.check(broken)}
    with pytest.raises(CompileError):
        netloom.build_module(broken)
