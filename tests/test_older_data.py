"""Data of version 0.1.0 is read correctly: documents, uploads, runs, sweeps, the library, links and bundles.

`fixtures/version_0_1_0/home.tar.xz` is a data folder of that version, and `expected.json` holds its outputs; `make.py`
in the same folder created both. Everything except `read_in_python` goes through the command line, so that this file is
independent of internals. If an output differs, older data is read wrongly: fix the reader, never the expected values.
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
from tests.export.bundles import modules_of
from tests.runs.examples import trained_here

FIXTURES = Path(__file__).parent / "fixtures" / "version_0_1_0"
# Processors round differently.
RELATIVE, ABSOLUTE = 1e-4, 1e-5
PARTS = 4  # of a long test, so that several workers share it
SAME = ("id", "project_id", "title", "epoch", "step", "total_steps", "tags", "notes")


@dataclass(frozen=True)
class Older:
    """The data folder of version 0.1.0, with rows to predict, sources and bundles."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def ask(self, *arguments: object, code: int = 0) -> Any:
        """The JSON output of a command."""
        answer: Answer = called(*arguments, "--json", "--home", self.home)
        assert answer.code == code, answer.out[-2000:] + answer.err[-2000:]
        return answer.value

    def documents(self) -> dict[str, str]:
        """The stored documents by project ID."""
        return dict(self.read("SELECT id, document FROM projects"))

    def read(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.home / "netloom.db")) as database:
            return database.execute(query).fetchall()

    def curves_differ(self) -> list[str]:
        """The differences between the stored and the recorded validation losses."""
        rows = self.read("SELECT run_id, step, split, name, value FROM points ORDER BY id")
        mismatches: list[str] = []
        for name, expected_run in expected()["runs"].items():
            points = [
                list(row[1:]) for row in rows if row[0] == expected_run["id"] and row[2:4] == ("validation", "loss")
            ]
            mismatches += differences(points, expected_run["curve"], name)
        return mismatches


@cache
def expected() -> dict[str, Any]:
    """The recorded outputs of version 0.1.0."""
    recorded: dict[str, Any] = json.loads((FIXTURES / "expected.json").read_text(encoding="utf-8"))
    return recorded


def run_id_of(name: str) -> str:
    return str(expected()["runs"][name]["id"])


@pytest.fixture(scope="session")
def archived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder as version 0.1.0 left it, which is not opened: a copy takes a quarter of unpacking it again."""
    folder: Path = tmp_path_factory.mktemp("version_0_1_0")
    with tarfile.open(FIXTURES / "home.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def copied(archived: Path, tmp_path: Path) -> Older:
    """A data folder that a test may change."""
    return Older(shutil.copytree(archived, tmp_path / "copied"))


@pytest.fixture(scope="session")
def unpacked(archived: Path, tmp_path_factory: pytest.TempPathFactory) -> Older:
    """One folder for all read-only tests of a worker."""
    return Older(shutil.copytree(archived, tmp_path_factory.mktemp("read_only") / "copied"))


@pytest.fixture
def older(unpacked: Older, monkeypatch: pytest.MonkeyPatch) -> Older:
    for name, value in {"NETLOOM_HOME": unpacked.home, "NETLOOM_HOST": "museum", "NETLOOM_ALLOW_CODE": "1"}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("NETLOOM_DATABASE_URL", raising=False)
    return unpacked


def read_in_python(home: Path, run_id: str, rows: Any, links: list[str], project_id: str) -> dict[str, Any]:
    """Results that only Python returns: the only part of this file that uses names of the package."""
    from netloom.data.preparation.project_defaults import default_training
    from netloom.document import dumps
    from netloom.document.sharing import unfold
    from netloom.runs import load_run, predict
    from netloom.store import open_store
    from netloom.training.diagnostics.prediction_history import read_samples
    from netloom.training.diagnostics.statistics_file import read_history

    store = open_store(home)
    versions = [(row.number, row.name, store.version(project_id, row.number)) for row in store.versions(project_id)]
    results: dict[str, Any] = {
        "predictions": predict(load_run(store, run_id), rows),
        "documents": {row.id: dumps(store.load(row.id).project) for row in store.list_projects()},
        "versions": [[number, name, dumps(project)] for number, name, project in versions],
        "earlier": {row.name: [version.number for version in store.earlier(row.name)] for row in store.library()},
        "links": [dumps(unfold(link)) for link in links],
        "statistics": read_history(store.artifacts(run_id)),
        "samples": read_samples(store.artifacts(run_id)),
        "defaults": default_training(expected()["uploads"]["large.csv"]["id"], home),
    }
    store.close()
    return results


def differences(value: Any, expected_value: Any, path: str = "") -> list[str]:
    """Where numbers are not close to, or other values not equal to, the expected ones. Extra keys are allowed."""
    if isinstance(expected_value, dict) and isinstance(value, dict):
        missing = [f"{path}.{key} is not there" for key in expected_value if key not in value]
        inner = (
            differences(value[key], expected_value[key], f"{path}.{key}") for key in expected_value if key in value
        )
        return missing + [line for lines in inner for line in lines]
    if isinstance(expected_value, list) and isinstance(value, (list, tuple)):
        if len(value) != len(expected_value):
            return [f"{path} has {len(value)} items, expected {len(expected_value)}"]
        pairs = enumerate(zip(value, expected_value, strict=True))
        return [
            line for place, (actual, reference) in pairs for line in differences(actual, reference, f"{path}[{place}]")
        ]
    if isinstance(expected_value, float) and isinstance(value, (int, float)):
        same = math.isclose(value, expected_value, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    else:
        same = value == expected_value
    return [] if same else [f"{path} is {value!r}, expected {expected_value!r}"]


def part_of(names: Any, part: int) -> list[str]:
    return sorted(names)[part::PARTS]


# ---------------------------------------------------------------- documents


@pytest.mark.parametrize("part", range(PARTS))
def test_documents_have_same_layers_sizes_issues_and_code(older: Older, part: int, tmp_path: Path) -> None:
    texts = older.documents()
    for name in part_of(expected()["documents"], part):
        recorded, path = expected()["documents"][name], tmp_path / f"{name}.json"
        path.write_text(texts[name], encoding="utf-8")
        broken = int(any(severity == "error" for severity, _, _ in recorded["issues"]))
        summary = older.ask("summary", path, code=broken)
        issues = sorted([issue["severity"], issue["code"], issue.get("node") or ""] for issue in summary["issues"])
        assert issues == recorded["issues"], name
        assert len(summary["nodes"]) == recorded["nodes"]
        assert {key: len(rows) for key, rows in summary["networks"].items()} == recorded["networks"]
        assert summary["totals"].items() >= recorded["totals"].items()  # later versions count more
        code = older.ask("code", path, code=recorded["code"])
        if not broken:
            source = (older.folder / "sources" / f"{name}.py").read_text(encoding="utf-8")
            assert normalized_source(code["source"]) == normalized_source(source), name


# Classes and methods of `netloom.nn` that have been renamed since 0.1.0. They hold no weights.
RENAMED = {
    "Reparameterise": "Reparameterize",
    "bend": "build_activation",
    "few": "dispatch",
    "normalise": "normalize",
}


def normalized_source(source: str) -> str:
    """Python without comments, imports, docstrings and the messages of errors, with numbered names of locals."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            node.body = [part for part in node.body if not _is_docstring_or_import(part)] or [ast.Pass()]
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            node.exc.args = []
        if isinstance(node, ast.Attribute):
            node.attr = RENAMED.get(node.attr, node.attr)
        if isinstance(node, ast.Name):
            node.id = RENAMED.get(node.id, node.id)
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            node.name = RENAMED.get(node.name, node.name)
        if isinstance(node, ast.FunctionDef):
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


def _is_docstring_or_import(part: ast.stmt) -> bool:
    if isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant):
        return isinstance(part.value.value, str)
    return isinstance(part, (ast.Import, ast.ImportFrom))


# Settings of the training section that have been renamed since 0.1.0, and those of its agent
RENAMED_SETTINGS = {
    "average": "ema_decay",
    "accumulation": "gradient_accumulation_steps",
    "keep": "checkpoint",
    "layer_rates": "layer_lr_multipliers",
    "layer_rate_decay": "layer_lr_decay",
    "start": "initial_weights",
    "liked_from": "relevance_threshold",
}
RENAMED_TASKS = {"language_modelling": "language_modeling"}
RENAMED_AGENT_SETTINGS = {
    "trials": "evaluation_episodes",
    "warm_up": "learning_starts",
    "learn_every": "train_frequency",
    "updates": "gradient_steps",
    "target_every": "target_update_interval",
    "epsilon_share": "exploration_fraction",
    "rollout": "rollout_steps",
    "passes": "update_epochs",
    "clip": "clip_range",
    "trace": "gae_lambda",
    "entropy": "entropy_weight",
    "epoch_steps": "steps_per_epoch",
}


def with_present_names(text: str) -> str:
    """The document as it is written now, with the present names of its settings and layers."""
    document = json.loads(text)
    for network in document["networks"].values():
        for node in network["nodes"].values():
            node["type"] = RENAMED.get(node["type"], node["type"])
    training = {RENAMED_SETTINGS.get(name, name): value for name, value in document["training"].items()}
    training["objective"] = RENAMED_TASKS.get(training["objective"], training["objective"])
    if "agent" in training:
        training["agent"] = {RENAMED_AGENT_SETTINGS.get(name, name): value for name, value in training["agent"].items()}
    return json.dumps({**document, "training": training}, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def test_python_opens_projects_versions_links_and_a_run(older: Older) -> None:
    history, links = expected()["history"], expected()["shared"]
    run_id = run_id_of("digits_cnn")
    rows = json.loads((older.folder / "rows" / "digits_cnn.json").read_text())
    results = read_in_python(older.home, run_id, rows, [links[name]["text"] for name in links], history["project"])
    assert not differences(results["predictions"], expected()["predictions"]["digits_cnn"])
    assert results["documents"] == {key: with_present_names(text) for key, text in older.documents().items()}
    stored_versions = older.read("SELECT number, name, document FROM versions ORDER BY number DESC")
    assert [[number, name] for number, name, _ in results["versions"]] == [row[:2] for row in history["versions"]]
    assert {text for _, _, text in results["versions"]} <= {text for _, _, text in stored_versions}
    assert results["earlier"] == expected()["earlier"]
    assert results["statistics"].values.shape[:2] == (7, 11)  # records and layers
    assert [epoch["epoch"] for epoch in results["samples"].epochs] == [1, 2, 3]
    assert results["defaults"] == {"class_weights": "balanced"}
    assert results["links"] == [links[name]["document"] for name in links]


def test_library_networks_are_listed_and_inserted(older: Older, tmp_path: Path) -> None:
    library = [row for row in older.ask("library", "list") if not row["ready"]]
    assert not differences(library, expected()["library"])
    path = tmp_path / "document.json"
    path.write_text(older.documents()[expected()["history"]["project"]], encoding="utf-8")
    assert older.ask("library", "use", "my_resnet", path)["new"] == ["basic", "down", "my_resnet"]
    assert {"basic", "down", "my_resnet"} <= json.loads(path.read_text(encoding="utf-8"))["networks"].keys()


# ---------------------------------------------------------------- data


def test_uploads_have_the_recorded_schema(older: Older) -> None:
    listed = {row["name"]: row["title"] for row in older.ask("data", "list")}
    for name, recorded in expected()["uploads"].items():
        assert listed[recorded["id"]] == recorded["title"]
        dataset = {"id": recorded["id"], **older.ask("data", "show", recorded["id"])}
        assert not differences(dataset, recorded, name)


# ---------------------------------------------------------------- runs


def test_runs_are_listed_with_recorded_fields(older: Older) -> None:
    listed = {run["id"]: run for run in older.ask("runs")}
    for name, recorded in expected()["runs"].items():
        run_row = listed.pop(recorded["id"])
        # The process of the killed run no longer exists.
        assert run_row["state"] == ("failed" if name == "killed" else recorded["state"]), name
        assert not differences(run_row, {key: recorded[key] for key in SAME}, name)
        assert run_row["summary"].get("best") == pytest.approx(recorded["best"]) if recorded["best"] else True
        if name != "killed":
            assert run_row["reason"] == recorded["reason"]
    assert not listed
    ids = [run_id_of(name) for name in ("digits_cnn", "continued")]
    compared = older.ask("runs", "compare", *ids)
    assert [row["run"] for row in compared["rows"]] == ids


def test_new_process_lists_the_runs(older: Older) -> None:
    answer = netloom("runs", "--json", "--home", older.home)
    assert answer.code == 0, answer.err
    assert {run["id"] for run in answer.value} == {run["id"] for run in expected()["runs"].values()}


def test_stored_test_metrics_are_shown(older: Older) -> None:
    for name, recorded in expected()["runs"].items():
        if "test" in recorded:
            assert not differences(older.ask("evaluate", recorded["id"]), recorded["test"], name)


def test_curves_match_recorded_points(older: Older, tmp_path: Path) -> None:
    assert not older.curves_differ()
    path = tmp_path / "runs.csv"
    older.ask("runs", "export", "--to", path)
    with path.open(encoding="utf-8", newline="") as file:
        assert {row["run"] for row in csv.DictReader(file)} == {run["id"] for run in expected()["runs"].values()}


@pytest.mark.parametrize("part", range(PARTS))
def test_predictions_match_recorded_ones(older: Older, part: int) -> None:
    for name in part_of(expected()["predictions"], part):
        run_id = run_id_of(name)
        answers = older.ask("predict", run_id, older.folder / "rows" / f"{name}.json")
        assert not differences(answers, expected()["predictions"][name], name)


def test_autoencoder_generates_images(older: Older, tmp_path: Path) -> None:
    """Its layer that samples latent vectors has its former name in the code of the run."""
    older.ask("generate", run_id_of("digits_vae"), "--count", 2, "--to", tmp_path / "images")
    assert len(list((tmp_path / "images").glob("*.png"))) == 2


@pytest.mark.usefixtures("older")
def test_stored_evaluation_and_preprocessing_are_used(copied: Older) -> None:
    """Stored and recomputed values are normally equal, so this test changes the stored ones."""
    changed = copied
    run_id = run_id_of("breast_cancer")
    folder = changed.home / "runs" / run_id
    path = folder / "evaluation.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "metrics": {"accuracy": 0.125}}))
    assert changed.ask("evaluate", run_id)["metrics"] == {"accuracy": 0.125}
    path = folder / "preprocess.json"
    preprocess = json.loads(path.read_text())
    for column in preprocess["fields"][0]["columns"]:
        column["mean"] += column["std"]
    path.write_text(json.dumps(preprocess))
    answers = changed.ask("predict", run_id, changed.folder / "rows" / "breast_cancer.json")
    assert differences(answers, expected()["predictions"]["breast_cancer"])


def test_reevaluation_matches_recorded_metrics(older: Older) -> None:
    names = [name for name, run in expected()["runs"].items() if "validation" in run]
    assert len(names) > 5
    for name in names:
        recorded = expected()["runs"][name]
        evaluation = older.ask("evaluate", recorded["id"], "--split", "validation")
        # Items that are equally popular had the order of the data then; now all their orders count
        values = {key: value for key, value in recorded["validation"].items() if not key.startswith("popular_ndcg")}
        assert not differences(evaluation["metrics"], values, name)


# Of version 0.2, in the JSON of explanations
NEW_NAMES = {"answer": "score", "ground": "baseline_score"}


def test_cached_and_recomputed_explanations_match(older: Older, copied: Older) -> None:
    without_cache = copied
    cached_files = list(without_cache.home.glob("runs/*/explanations/*.npz"))
    assert len(cached_files) == len(expected()["explanations"]) + 1
    for path in cached_files:
        path.unlink()
    for data in (older, without_cache):
        for recorded in expected()["explanations"]:
            run_id, method, row = run_id_of(recorded["run"]), recorded["method"], recorded["example"]
            explanation = data.ask("explain", run_id, "--method", method, "--example", row)
            values = {NEW_NAMES.get(name, name): value for name, value in recorded["answer"].items()}
            assert not differences(explanation, values, f"{recorded['run']} {method}")
        row = expected()["flow"]["row"]
        flow = data.ask("explain", run_id_of("digits_cnn"), "--method", "flow", "--example", row)
        values = {NEW_NAMES.get(name, name): value for name, value in expected()["flow"].items()}
        assert not differences(flow, values, "flow")
    checkpoint_arguments = ("explain", run_id_of("digits_cnn"), "--method", "saliency", "--checkpoint", "1")
    assert older.ask(*checkpoint_arguments)["checkpoint"] == "1"


@pytest.mark.parametrize("name", ["digits_cnn", "upload_wines_csv"])
def test_old_and_new_bundles_predict_alike(
    older: Older, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    new_bundle = tmp_path / "made.zip"
    older.ask("export", run_id_of(name), "--format", "bundle", "--to", new_bundle)
    rows = older.folder / "rows" / f"{name}.json"
    for path in (new_bundle, older.folder / "taken" / f"{name}.zip"):
        folder = tmp_path / path.parent.name / "bundle"
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
        assert not differences(
            bundle_predictions(folder, rows, monkeypatch, capsys), expected()["bundles"][name], str(path)
        )
        assert older.ask("check", folder / "project.json")["ok"]


def bundle_predictions(
    folder: Path, rows: Path, monkeypatch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]
) -> Any:
    """The output of a bundle's script."""
    captured.readouterr()
    with monkeypatch.context() as patch_context, modules_of(folder):
        patch_context.setattr(sys, "argv", ["predict.py", str(rows)])
        with pytest.raises(SystemExit) as exit_error:
            run_path(str(folder / "predict.py"), run_name="__main__")
    assert not exit_error.value.code
    return json.loads(captured.readouterr().out)


@pytest.mark.usefixtures("older")
def test_runs_resume_branch_and_reproduce(copied: Older) -> None:
    """A stopped run, a killed run, a branch from a checkpoint, and reproduced runs."""
    copy = copied
    runs = expected()["runs"]
    for name, command in (
        ("stopped", ("resume", runs["stopped"]["id"])),
        ("killed", ("resume", runs["killed"]["id"])),
        ("branched", ("branch", runs["digits_cnn"]["id"], "--at", 1, "--epochs", 1)),
    ):
        recorded = expected()["later"][name]
        with trained_here():
            new_run = copy.ask("runs", *command)
        assert (new_run["state"], new_run["epochs"]) == ("finished", recorded["epochs"]), name
        assert_metrics_close(copy.ask("evaluate", new_run["run"])["metrics"], recorded["metrics"])
    # Each run keeps its initial weights or its teacher in its own folder.
    shutil.rmtree(copy.home / "runs" / run_id_of("digits_cnn"))
    for name in ("student", "continued"):
        with trained_here():
            repeated = called("runs", "again", run_id_of(name), "--json", "--home", copy.home)
        assert repeated.code in (0, 1), repeated.err  # 1 where another processor rounds differently
        assert repeated.value["points"] > 0
        assert "the document" not in repeated.value["causes"]
        assert_metrics_close(
            copy.ask("evaluate", repeated.value["repeated"])["metrics"], expected()["runs"][name]["test"]["metrics"]
        )


def assert_metrics_close(metrics: dict[str, float], expected_metrics: dict[str, float]) -> None:
    """Rounding differences grow during training: a row or two may get another class."""
    assert metrics.keys() >= expected_metrics.keys()
    assert metrics["loss"] == pytest.approx(expected_metrics["loss"], rel=1e-2)
    assert {name: metrics[name] for name in expected_metrics} == pytest.approx(expected_metrics, abs=0.05)


@pytest.mark.usefixtures("older")
def test_sweeps_are_listed_and_resumed(copied: Older, tmp_path: Path) -> None:
    copy = copied
    assert not differences(copy.ask("sweep", "--list"), expected()["sweeps"])
    runs = {run["id"]: name for name, run in expected()["runs"].items()}
    for sweep in expected()["sweeps"]:
        best = tmp_path / f"{sweep['id']}.json"
        resumed = copy.ask("sweep", "--resume", sweep["id"], "--write-best", best)
        kind = sweep["plan"]["kind"]
        assert resumed["state"] == "finished"
        names = [runs[trial["run_id"]] for trial in resumed["trials"]]
        assert names == [f"{kind}_{number}" for number in range(sweep["plan"]["trials"])]
        losses = [expected()["runs"][name]["best"]["loss"] for name in names]
        assert [trial["value"] for trial in resumed["trials"]] == pytest.approx(losses, rel=RELATIVE)
        assert resumed["best"]["value"] == pytest.approx(min(losses), rel=RELATIVE)
        assert copy.ask("check", best)["ok"]


@pytest.mark.usefixtures("older")
def test_run_list_is_rebuilt_from_folders(copied: Older) -> None:
    copy = copied
    (copy.home / "netloom.db").unlink()
    rebuilt = copy.ask("runs", "rebuild")
    remaining = {run["id"]: run for run in expected()["runs"].values()}
    assert (rebuilt["runs"], rebuilt["left_out"]) == (len(remaining), [])
    for run_row in copy.ask("runs"):
        recorded = remaining.pop(run_row["id"])
        assert run_row["state"] == (recorded["state"] if recorded["state"] != "running" else "failed")
        same = (
            SAME if recorded["state"] != "running" else ("id", "project_id", "title")
        )  # a killed run is only known up to its last checkpoint
        assert not differences(run_row, {key: recorded[key] for key in same}, recorded["title"])
        if "test" in recorded:
            assert not differences(run_row["summary"]["test"], recorded["test"]["metrics"], recorded["title"])
    assert not remaining
    assert not copy.curves_differ()
    name = "upload_large_csv"
    answers = copy.ask("predict", run_id_of(name), copy.folder / "rows" / f"{name}.json")
    assert not differences(answers, expected()["predictions"][name])
