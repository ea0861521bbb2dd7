"""What version 0.1.0 wrote is read as it read it: documents, uploads, runs, sweeps, the library, links and bundles.

`fixtures/version_0_1_0/home.tar.xz` is a data folder of that version, and `expected.json` what it said of it; `make.py`
beside them made both. All goes through the command line but for `in_python`, so that this file outlives changes of what
is inside. Where an answer differs, older data is read wrongly: mend the reading, never what is expected.
"""

from __future__ import annotations

import ast
import csv
import json
import math
import shutil
import sqlite3
import sys
import tarfile
import zipfile
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest

from tests.cli.command import Answer, netloom
from tests.cli.conftest import called

FIXTURES = Path(__file__).parent / "fixtures" / "version_0_1_0"
# Kinds of processors round differently.
RELATIVE, ABSOLUTE = 1e-4, 1e-5
PARTS = 4  # that a long test is cut into, so that several processes share it
SAME = ("id", "project_id", "title", "epoch", "step", "total_steps", "tags", "notes")


@dataclass(frozen=True)
class Older:
    """The data folder of version 0.1.0, and beside it rows to predict, sources and a bundle."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def ask(self, *arguments: object, code: int = 0) -> Any:
        """What a command answers in JSON."""
        answer: Answer = called(*arguments, "--json", "--home", self.home)
        assert answer.code == code, answer.out[-2000:] + answer.err[-2000:]
        return answer.value

    def documents(self) -> dict[str, str]:
        """The documents by the id of their project, as the database holds them."""
        return dict(self.read("SELECT id, document FROM projects"))

    def read(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.home / "netloom.db")) as database:
            return database.execute(query).fetchall()

    def curves_differ(self) -> list[str]:
        """Where the validation losses in the database are not those that they were."""
        rows = self.read("SELECT run_id, step, split, name, value FROM points ORDER BY id")
        found: list[str] = []
        for name, wanted in expected()["runs"].items():
            mine = [list(row[1:]) for row in rows if row[0] == wanted["id"] and row[2:4] == ("validation", "loss")]
            found += differences(mine, wanted["curve"], name)
        return found


@cache
def expected() -> dict[str, Any]:
    """What version 0.1.0 said."""
    found: dict[str, Any] = json.loads((FIXTURES / "expected.json").read_text(encoding="utf-8"))
    return found


def run_id_of(name: str) -> str:
    return str(expected()["runs"][name]["id"])


def unpack(folder: Path) -> Older:
    with tarfile.open(FIXTURES / "home.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return Older(folder)


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Older:
    """One folder for all tests of a process that only read it."""
    return unpack(tmp_path_factory.mktemp("version_0_1_0"))


@pytest.fixture
def older(unpacked: Older, monkeypatch: pytest.MonkeyPatch) -> Older:
    for name, value in {"NETLOOM_HOME": unpacked.home, "NETLOOM_HOST": "museum", "NETLOOM_ALLOW_CODE": "1"}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("NETLOOM_DATABASE_URL", raising=False)
    return unpacked


def in_python(home: Path, run_id: str, rows: Any, links: list[str], project_id: str) -> dict[str, Any]:
    """What only Python tells: all of this file that knows names of the package."""
    from netloom.data.preparation.project_defaults import default_training
    from netloom.document import dumps
    from netloom.document.sharing import unfold
    from netloom.runs import load_run, predict
    from netloom.store import open_store
    from netloom.training.diagnostics.prediction_history import read_samples
    from netloom.training.diagnostics.statistics_file import read_history

    store = open_store(home)
    versions = [(row.number, row.name, store.version(project_id, row.number)) for row in store.versions(project_id)]
    found = {
        "predictions": predict(load_run(store, run_id), rows),
        "documents": {row.id: dumps(store.load(row.id).project) for row in store.list_projects()},
        "versions": [[number, name, dumps(project)] for number, name, project in versions],
        "earlier": {row.name: [one.number for one in store.earlier(row.name)] for row in store.library()},
        "links": [dumps(unfold(link)) for link in links],
        "statistics": read_history(store.artifacts(run_id)),
        "samples": read_samples(store.artifacts(run_id)),
        "defaults": default_training(expected()["uploads"]["large.csv"]["id"], home),
    }
    store.close()
    return found


def differences(found: Any, wanted: Any, where: str = "") -> list[str]:
    """Where numbers are not nearly, and other values not quite, what is wanted. There may be more keys than that."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        lacking = [f"{where}.{key} is not there" for key in wanted if key not in found]
        inner = (differences(found[key], wanted[key], f"{where}.{key}") for key in wanted if key in found)
        return lacking + [line for lines in inner for line in lines]
    if isinstance(wanted, list) and isinstance(found, (list, tuple)):
        if len(found) != len(wanted):
            return [f"{where} has {len(found)} items, expected {len(wanted)}"]
        pairs = enumerate(zip(found, wanted, strict=True))
        return [line for place, (one, other) in pairs for line in differences(one, other, f"{where}[{place}]")]
    if isinstance(wanted, float) and isinstance(found, (int, float)):
        same = math.isclose(found, wanted, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    else:
        same = found == wanted
    return [] if same else [f"{where} is {found!r}, expected {wanted!r}"]


def part_of(names: Any, part: int) -> list[str]:
    return sorted(names)[part::PARTS]


# ---------------------------------------------------------------- documents


@pytest.mark.parametrize("part", range(PARTS))
def test_documents_have_the_same_layers_sizes_issues_and_code(older: Older, part: int, tmp_path: Path) -> None:
    texts = older.documents()
    for name in part_of(expected()["documents"], part):
        wanted, path = expected()["documents"][name], tmp_path / f"{name}.json"
        path.write_text(texts[name], encoding="utf-8")
        broken = int(any(severity == "error" for severity, _, _ in wanted["issues"]))
        said = older.ask("summary", path, code=broken)
        issues = sorted([one["severity"], one["code"], one.get("node") or ""] for one in said["issues"])
        assert issues == wanted["issues"], name
        assert len(said["nodes"]) == wanted["nodes"]
        assert {key: len(rows) for key, rows in said["networks"].items()} == wanted["networks"]
        assert said["totals"] == wanted["totals"]
        code = older.ask("code", path, code=wanted["code"])
        if not broken:
            source = (older.folder / "sources" / f"{name}.py").read_text(encoding="utf-8")
            assert meaning(code["source"]) == meaning(source), name


# Methods of `netloom.nn` that 0.1.0 called otherwise. They hold no weights.
RENAMED = {"bend": "build_activation", "few": "dispatch", "normalise": "normalize"}


def meaning(source: str) -> str:
    """Python without comments, imports, docstrings and the messages of errors, with numbered names of locals."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            node.body = [part for part in node.body if not _says_nothing(part)] or [ast.Pass()]
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            node.exc.args = []
        if isinstance(node, ast.Attribute):
            node.attr = RENAMED.get(node.attr, node.attr)
        if isinstance(node, ast.FunctionDef):
            node.name = RENAMED.get(node.name, node.name)
            _number_locals(node)
    return ast.unparse(tree)


def _number_locals(function: ast.FunctionDef) -> None:
    """Replace the names of parameters and locals by numbers, in the order in which they occur."""
    numbers: dict[str, str] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            numbers.setdefault(node.arg, f"local_{len(numbers)}")
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            numbers.setdefault(node.id, f"local_{len(numbers)}")
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            node.arg = numbers[node.arg]
        if isinstance(node, ast.Name):
            node.id = numbers.get(node.id, node.id)


def _says_nothing(part: ast.stmt) -> bool:
    if isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant):
        return isinstance(part.value.value, str)
    return isinstance(part, (ast.Import, ast.ImportFrom))


def test_python_opens_projects_versions_links_and_a_run(older: Older) -> None:
    history, links = expected()["history"], expected()["shared"]
    run_id = run_id_of("digits_cnn")
    rows = json.loads((older.folder / "rows" / "digits_cnn.json").read_text())
    found = in_python(older.home, run_id, rows, [links[name]["text"] for name in links], history["project"])
    assert not differences(found["predictions"], expected()["predictions"]["digits_cnn"])
    assert found["documents"] == older.documents()
    kept = older.read("SELECT number, name, document FROM versions ORDER BY number DESC")
    assert [[number, name] for number, name, _ in found["versions"]] == [row[:2] for row in history["versions"]]
    assert {text for _, _, text in found["versions"]} <= {text for _, _, text in kept}
    assert found["earlier"] == expected()["earlier"]
    assert found["statistics"].values.shape[:2] == (7, 11)  # records and layers
    assert [epoch["epoch"] for epoch in found["samples"].epochs] == [1, 2, 3]
    assert found["defaults"] == {"class_weights": "balanced"}
    assert found["links"] == [links[name]["document"] for name in links]


def test_the_library_is_listed_and_used(older: Older, tmp_path: Path) -> None:
    mine = [row for row in older.ask("library", "list") if not row["ready"]]
    assert not differences(mine, expected()["library"])
    path = tmp_path / "document.json"
    path.write_text(older.documents()[expected()["history"]["project"]], encoding="utf-8")
    assert older.ask("library", "use", "my_resnet", path)["new"] == ["basic", "down", "my_resnet"]
    assert {"basic", "down", "my_resnet"} <= json.loads(path.read_text(encoding="utf-8"))["networks"].keys()


# ---------------------------------------------------------------- data


def test_uploads_are_prepared(older: Older) -> None:
    listed = {row["name"]: row["title"] for row in older.ask("data", "list")}
    for name, wanted in expected()["uploads"].items():
        assert listed[wanted["id"]] == wanted["title"]
        said = {"id": wanted["id"], **older.ask("data", "show", wanted["id"])}
        assert not differences(said, wanted, name)


# ---------------------------------------------------------------- runs


def test_runs_are_listed_with_their_numbers(older: Older) -> None:
    listed = {run["id"]: run for run in older.ask("runs")}
    for name, wanted in expected()["runs"].items():
        found = listed.pop(wanted["id"])
        # One of another process, which is not there any more.
        assert found["state"] == ("failed" if name == "killed" else wanted["state"]), name
        assert not differences(found, {key: wanted[key] for key in SAME}, name)
        assert found["summary"].get("best") == pytest.approx(wanted["best"]) if wanted["best"] else True
        if name != "killed":
            assert found["reason"] == wanted["reason"]
    assert not listed
    ids = [run_id_of(name) for name in ("digits_cnn", "continued")]
    compared = older.ask("runs", "compare", *ids)
    assert [row["run"] for row in compared["rows"]] == ids


def test_a_process_of_its_own_reads_them(older: Older) -> None:
    answer = netloom("runs", "--json", "--home", older.home)
    assert answer.code == 0, answer.err
    assert {run["id"] for run in answer.value} == {run["id"] for run in expected()["runs"].values()}


def test_what_was_measured_is_shown(older: Older) -> None:
    for name, wanted in expected()["runs"].items():
        if "test" in wanted:
            assert not differences(older.ask("evaluate", wanted["id"]), wanted["test"], name)


def test_curves_are_as_they_were(older: Older, tmp_path: Path) -> None:
    assert not older.curves_differ()
    path = tmp_path / "runs.csv"
    older.ask("runs", "export", "--to", path)
    with path.open(encoding="utf-8", newline="") as file:
        assert {row["run"] for row in csv.DictReader(file)} == {run["id"] for run in expected()["runs"].values()}


@pytest.mark.parametrize("part", range(PARTS))
def test_networks_answer_as_they_did(older: Older, part: int) -> None:
    for name in part_of(expected()["predictions"], part):
        run_id = run_id_of(name)
        answers = older.ask("predict", run_id, older.folder / "rows" / f"{name}.json")
        assert not differences(answers, expected()["predictions"][name], name)


def test_what_a_run_keeps_is_used_and_not_worked_out_anew(older: Older, tmp_path: Path) -> None:
    """Both would give equal numbers as long as nothing has changed, so here something has."""
    changed = unpack(tmp_path)
    run_id = run_id_of("breast_cancer")
    folder = changed.home / "runs" / run_id
    path = folder / "evaluation.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "metrics": {"accuracy": 0.125}}))
    assert changed.ask("evaluate", run_id)["metrics"] == {"accuracy": 0.125}
    path = folder / "preprocess.json"
    kept = json.loads(path.read_text())
    for column in kept["fields"][0]["columns"]:
        column["mean"] += column["std"]
    path.write_text(json.dumps(kept))
    answers = changed.ask("predict", run_id, changed.folder / "rows" / "breast_cancer.json")
    assert differences(answers, expected()["predictions"]["breast_cancer"])


def test_measuring_again_gives_the_same(older: Older) -> None:
    names = [name for name, run in expected()["runs"].items() if "validation" in run]
    assert len(names) > 5
    for name in names:
        wanted = expected()["runs"][name]
        said = older.ask("evaluate", wanted["id"], "--split", "validation")
        assert not differences(said["metrics"], wanted["validation"], name)


def test_explanations_are_found_or_made_again(older: Older, tmp_path: Path) -> None:
    again = unpack(tmp_path)
    kept = list(again.home.glob("runs/*/explanations/*.npz"))
    assert len(kept) == len(expected()["explanations"]) + 1
    for path in kept:
        path.unlink()
    for data in (older, again):
        for wanted in expected()["explanations"]:
            run_id, method, row = run_id_of(wanted["run"]), wanted["method"], wanted["example"]
            said = data.ask("explain", run_id, "--method", method, "--example", row)
            assert not differences(said, wanted["answer"], f"{wanted['run']} {method}")
        flow = data.ask("explain", run_id_of("digits_cnn"), "--method", "flow")
        assert not differences(flow, expected()["flow"], "flow")
    early = ("explain", run_id_of("digits_cnn"), "--method", "saliency", "--checkpoint", "1")
    assert older.ask(*early)["checkpoint"] == "1"


@pytest.mark.parametrize("name", ["digits_cnn", "upload_wines_csv"])
def test_bundles_answer_as_they_did(
    older: Older, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "made.zip"
    older.ask("export", run_id_of(name), "--format", "bundle", "--to", made)
    rows = older.folder / "rows" / f"{name}.json"
    for path in (made, older.folder / "taken" / f"{name}.zip"):
        folder = tmp_path / path.parent.name / "bundle"
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
        assert not differences(ran(folder, rows, monkeypatch, capsys), expected()["bundles"][name], str(path))
        assert older.ask("check", folder / "project.json")["ok"]


def ran(folder: Path, rows: Path, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]) -> Any:
    """What a bundle's script prints, without an interpreter of its own, which would import torch anew."""
    captured.readouterr()
    with patch.context() as here:
        here.syspath_prepend(folder)
        here.setattr(sys, "argv", ["predict.py", str(rows)])
        for module in folder.glob("*.py"):
            here.delitem(sys.modules, module.stem, raising=False)
        with pytest.raises(SystemExit) as end:
            run_path(str(folder / "predict.py"), run_name="__main__")
        for module in folder.glob("*.py"):
            sys.modules.pop(module.stem, None)
    assert not end.value.code
    return json.loads(captured.readouterr().out)


def test_runs_go_on(older: Older, tmp_path: Path) -> None:
    """One that was stopped, one whose machine lost its power, from weights on the way, and all over again."""
    later = unpack(tmp_path)
    runs = expected()["runs"]
    for name, command in (
        ("stopped", ("resume", runs["stopped"]["id"])),
        ("killed", ("resume", runs["killed"]["id"])),
        ("branched", ("branch", runs["digits_cnn"]["id"], "--at", 1, "--epochs", 1)),
    ):
        wanted, made = expected()["later"][name], later.ask("runs", *command)
        assert (made["state"], made["epochs"]) == ("finished", wanted["epochs"]), name
        agree(later.ask("evaluate", made["run"])["metrics"], wanted["metrics"])
    # Each has what it began with, or learned from, in its own folder.
    shutil.rmtree(later.home / "runs" / run_id_of("digits_cnn"))
    for name in ("student", "continued"):
        repeated = called("runs", "again", run_id_of(name), "--json", "--home", later.home)
        assert repeated.code in (0, 1), repeated.err  # 1 where another processor rounds differently
        assert repeated.value["points"] > 0
        agree(later.ask("evaluate", repeated.value["repeated"])["metrics"], expected()["runs"][name]["test"]["metrics"])


def agree(found: dict[str, float], wanted: dict[str, float]) -> None:
    """Of what is trained, rounding grows: a row or two may be taken for another class."""
    assert found.keys() >= wanted.keys()
    assert found["loss"] == pytest.approx(wanted["loss"], rel=1e-2)
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=0.05)


def test_sweeps_are_shown_and_taken_up(older: Older, tmp_path: Path) -> None:
    later = unpack(tmp_path)
    assert not differences(later.ask("sweep", "--list"), expected()["sweeps"])
    runs = {run["id"]: name for name, run in expected()["runs"].items()}
    for sweep in expected()["sweeps"]:
        best = tmp_path / f"{sweep['id']}.json"
        said = later.ask("sweep", "--resume", sweep["id"], "--write-best", best)
        kind = sweep["plan"]["kind"]
        assert said["state"] == "finished"
        names = [runs[trial["run_id"]] for trial in said["trials"]]
        assert names == [f"{kind}_{number}" for number in range(sweep["plan"]["trials"])]
        losses = [expected()["runs"][name]["best"]["loss"] for name in names]
        assert [trial["value"] for trial in said["trials"]] == pytest.approx(losses, rel=RELATIVE)
        assert said["best"]["value"] == pytest.approx(min(losses), rel=RELATIVE)
        assert later.ask("check", best)["ok"]


def test_the_list_is_rebuilt_from_folders(older: Older, tmp_path: Path) -> None:
    lost = unpack(tmp_path)
    (lost.home / "netloom.db").unlink()
    rebuilt = lost.ask("runs", "rebuild")
    wanted = {run["id"]: run for run in expected()["runs"].values()}
    assert (rebuilt["runs"], rebuilt["left_out"]) == (len(wanted), [])
    for found in lost.ask("runs"):
        known = wanted.pop(found["id"])
        assert found["state"] == (known["state"] if known["state"] != "running" else "failed")
        same = SAME if known["state"] != "running" else ("id", "project_id", "title")  # else up to the last checkpoint
        assert not differences(found, {key: known[key] for key in same}, known["title"])
        if "test" in known:
            assert not differences(found["summary"]["test"], known["test"]["metrics"], known["title"])
    assert not wanted
    assert not lost.curves_differ()
    name = "upload_large_csv"
    answers = lost.ask("predict", run_id_of(name), lost.folder / "rows" / f"{name}.json")
    assert not differences(answers, expected()["predictions"][name])
