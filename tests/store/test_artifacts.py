"""The files of runs: in any store that implements the protocol, complete or absent, with names in one module only."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import netloom
from netloom.core.errors import UsageError
from netloom.document import DocumentError, dumps
from netloom.store import ArtifactStore, DamagedArtifactError, RunArtifacts, open_store
from netloom.store.local_artifacts import LocalArtifactStore
from tests.runs.examples import moons

RUN = "0a0e1c53-6d1f-4b43-a3a3-2b3f6c1c3c11"
PROJECT = moons()


class ObjectStore:
    """Files by key, without folders, like an object store."""

    location = "memory"

    def __init__(self, root: Path) -> None:
        self._objects = dict[tuple[str, str], bytes]()
        self._written = dict[tuple[str, str], int]()

    def run_ids(self) -> list[str]:
        return sorted({run_id for run_id, _ in self._objects})

    def create(self, run_id: str) -> None:
        pass

    def delete(self, run_id: str, *, first: str) -> None:
        self._objects = {key: content for key, content in self._objects.items() if key[0] != run_id}

    def read(self, run_id: str, name: str) -> bytes:
        try:
            return self._objects[run_id, name]
        except KeyError:
            raise FileNotFoundError(2, "There is no such object", name) from None

    def write(self, run_id: str, name: str, content: bytes) -> None:
        self._objects[run_id, name] = content
        self._written[run_id, name] = self._written.get((run_id, name), 0) + 1

    def remove(self, run_id: str, name: str) -> None:
        self._objects.pop((run_id, name), None)

    def stamp(self, run_id: str, name: str) -> tuple[int, int] | None:
        content = self._objects.get((run_id, name))
        return None if content is None else (self._written[run_id, name], len(content))

    def local_directory(self, run_id: str) -> Path:
        return Path("nowhere")


@pytest.fixture(params=[LocalArtifactStore, ObjectStore], ids=["folders", "objects"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    make: Callable[[Path], ArtifactStore] = request.param
    return make(tmp_path / "runs")


@pytest.fixture
def artifacts(store: ArtifactStore) -> RunArtifacts:
    opened = RunArtifacts(store, RUN)
    opened.create()
    return opened


def test_artifacts_round_trip(artifacts: RunArtifacts) -> None:
    artifacts.save_project(PROJECT)
    artifacts.save_source("import torch\n")
    artifacts.save_environment({"python": "3.12"})
    artifacts.save_record('{"id": "one"}')
    artifacts.save_curves({"step": [1, 2], "value": [0.5, 0.25]})
    artifacts.save_evaluation({"metrics": {"loss": 1.0}})
    artifacts.save_preprocess({"fields": ["ä"]})
    artifacts.save_teacher({"fields": ["x"]})
    artifacts.save_layer_statistics_header(b"{}")
    artifacts.save_last_checkpoint({"step": 7})
    assert artifacts.project() == PROJECT
    assert artifacts.training_setting("epochs") == PROJECT.training.epochs
    former = dumps(PROJECT).replace('"epochs":', '"keep": "last", "epochs":')
    artifacts.store.write(RUN, "project.json", former.encode())
    assert artifacts.training_setting("checkpoint") == "last"
    assert artifacts.source() == "import torch\n"
    assert artifacts.environment() == {"python": "3.12"}
    assert artifacts.record() == {"id": "one"}
    assert artifacts.curves() == {"step": [1, 2], "value": [0.5, 0.25]}
    assert artifacts.evaluation() == {"metrics": {"loss": 1.0}}
    assert artifacts.preprocess() == {"fields": ["ä"]}
    assert artifacts.teacher() == {"fields": ["x"]}
    assert artifacts.layer_statistics_header() == b"{}"
    assert artifacts.last_checkpoint() == {"step": 7}
    assert artifacts.stored_weights() == ["last"]
    assert artifacts.weights_written_at() > 0
    assert artifacts.store.run_ids() == [RUN]


def test_missing_artifacts_are_none_or_empty(artifacts: RunArtifacts) -> None:
    assert artifacts.project_stamp() is None
    assert artifacts.evaluation() is None
    assert artifacts.preprocess() is None
    assert artifacts.last_checkpoint() is None
    assert artifacts.layer_statistics_header() is None
    assert artifacts.training_setting("checkpoint") is None
    assert (artifacts.environment(), artifacts.record(), artifacts.curves(), artifacts.events()) == ({}, {}, {}, [])
    assert (artifacts.stored_weights(), artifacts.weights_written_at()) == ([], 0)
    with pytest.raises(UsageError, match=r"model\.py cannot be read: "):  # not a run without weights
        artifacts.source()
    artifacts.store.write(RUN, "model.py", b"\xff")
    with pytest.raises(UsageError, match=r"model\.py cannot be read: it is not UTF-8 text\. Restore"):
        artifacts.source()
    with pytest.raises(DocumentError, match=r"project\.json cannot be read"):
        artifacts.project()


@pytest.mark.parametrize("writer", ["", "9.1.0"])
def test_document_of_a_newer_version_is_not_called_damaged(artifacts: RunArtifacts, writer: str) -> None:
    artifacts.save_environment({"netloom": writer} if writer else {})
    artifacts.store.write(RUN, "project.json", b'{"format": 2, "name": "x", "networks": {}}')
    with pytest.raises(DocumentError) as raised:
        artifacts.project()
    sentence = "project.json cannot be read as a document. This document has the format 2 of a newer version of Netloom"
    assert sentence in str(raised.value)
    assert str(raised.value).endswith(f"with Netloom {writer}." if writer else "Update Netloom to open it.")
    assert "backup" not in str(raised.value)


def test_stamp_follows_the_file(artifacts: RunArtifacts) -> None:
    artifacts.save_project(PROJECT)
    first = artifacts.project_stamp()
    artifacts.save_project(PROJECT.model_copy(update={"name": "Another name"}))
    assert first is not None
    assert artifacts.project_stamp() not in (None, first)
    artifacts.delete()
    assert artifacts.project_stamp() is None
    assert artifacts.store.run_ids() == []


def test_damaged_artifacts_are_empty_or_named(artifacts: RunArtifacts) -> None:
    for name in ("environment.json", "run.json", "curves.json.gz", "evaluation.json", "last.json"):
        artifacts.store.write(RUN, name, b'{"half": ')
    assert (artifacts.environment(), artifacts.record(), artifacts.curves()) == ({}, {}, {})
    with pytest.raises(DamagedArtifactError, match=r"evaluation\.json is damaged"):
        artifacts.evaluation()
    with pytest.raises(DamagedArtifactError, match=r"last\.json is damaged"):
        artifacts.last_checkpoint()
    artifacts.delete_evaluation()
    assert artifacts.evaluation() is None


def test_log_skips_a_truncated_line(tmp_path: Path) -> None:
    artifacts = RunArtifacts.in_directory(tmp_path)
    artifacts.log_event("start", pid=1)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"event": "en')
    assert [(event["event"], event["pid"]) for event in artifacts.events()] == [("start", 1)]


def test_write_does_not_recreate_a_deleted_run(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    artifacts = store.artifacts(RUN)
    artifacts.create()
    artifacts.save_source("one")
    artifacts.delete()
    with pytest.raises(FileNotFoundError):
        artifacts.save_source("two")
    assert store.artifact_store.run_ids() == []
    store.close()


def test_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    artifacts = RunArtifacts.in_directory(tmp_path)
    artifacts.save_evaluation({"metrics": {}})
    with pytest.raises(TypeError):
        artifacts.save_evaluation({"metrics": object()})
    assert artifacts.evaluation() == {"metrics": {}}
    assert [path.name for path in tmp_path.iterdir()] == ["evaluation.json"]


def test_only_the_store_contains_artifact_file_names() -> None:
    """Files of an exported bundle share some of these names, but do not belong to a run."""
    package = Path(str(netloom.__file__)).parent
    source = (package / "store" / "artifacts.py").read_text(encoding="utf-8")
    names = {name for name in re.findall(r'"([\w.]+)"', source) if re.search(r"\.\w+$", name)}
    assert {"project.json", "best.safetensors", "log.jsonl"} <= names
    bundled = ("export/", "ui/home/")
    sources = {
        path: path.read_text(encoding="utf-8")
        for path in package.rglob("*.py")
        if path.name != "artifacts.py" and not path.relative_to(package).as_posix().startswith(bundled)
    }
    violations = [
        f"{path.relative_to(package)}: {node.value}"
        for path, text in sources.items()
        if any(name in text for name in names)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in names
    ]
    assert violations == []
