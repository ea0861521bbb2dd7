"""Collected examples: added once, corrected, deleted, by several processes at once, and gone with their project."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path

import pytest

from netloom.store import CollectedExamples, StoreError, collected, open_store
from netloom.templates import templates

PROJECT = str(uuid.UUID(int=5))


def test_examples_are_added_once_corrected_and_deleted(tmp_path: Path) -> None:
    examples = CollectedExamples(tmp_path, PROJECT)
    assert examples.all() == []
    first = examples.add({"text": "line\nbreak"}, "yes", "Try it")
    second = examples.add({"x": 1.5}, 2.5, "Request to m", run="r", prediction=3.0, source="m a 1")
    assert first is not None
    assert second is not None
    assert examples.add({"x": 1.5}, 9.0, "Request to m", source="m a 1") is None
    assert examples.add({"text": "line\nbreak"}, "yes", "Try it") is not None, "it has no identity"
    examples.relabel(first.id, "no")
    examples.relabel("unknown", "no")
    assert [item.label for item in CollectedExamples(tmp_path, PROJECT).all()] == ["no", 2.5, "yes"]
    assert examples.all()[0].row == {"text": "line\nbreak"}
    examples.delete({first.id, "unknown"})
    assert next(item.id for item in examples.all()) == second.id
    assert CollectedExamples(tmp_path, str(uuid.uuid4())).all() == []


def test_a_torn_line_costs_one_example(tmp_path: Path) -> None:
    examples = CollectedExamples(tmp_path, PROJECT)
    examples.add({"x": 1}, "a", "Try it")
    [path] = (tmp_path / "collected").glob("*.jsonl")
    with path.open("a") as file:
        file.write('{"id": "torn", "row"\n["list"]\n')
    examples.add({"x": 2}, "b", "Try it")
    assert [item.label for item in examples.all()] == ["a", "b"]


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    def add(name: int) -> None:
        own = CollectedExamples(tmp_path, PROJECT)
        for number in range(20):
            own.add({"x": number}, "a", "Try it", source=f"{name} {number}")
            if number % 5 == 0:
                own.relabel(own.all()[0].id, "b")

    threads = [threading.Thread(target=add, args=(name,)) for name in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({item.source for item in CollectedExamples(tmp_path, PROJECT).all()}) == 60


def test_examples_are_bounded_and_paths_are_not_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collected, "MAX_EXAMPLES", 2)
    examples = CollectedExamples(tmp_path, PROJECT)
    for number in range(2):
        examples.add({"x": number}, "a", "Try it")
    with pytest.raises(StoreError, match="at most 2 collected"):
        examples.add({"x": 3}, "a", "Try it")
    with pytest.raises(StoreError, match="bytes"):
        examples.add({"x": "y" * collected.MAX_BYTES}, "a", "Try it")
    with pytest.raises(ValueError, match="UUID"):
        CollectedExamples(tmp_path, "../../etc")


def test_examples_are_deleted_with_their_project(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    project = store.create_project(templates()["breast_cancer"].project)
    store.collected(project).add({"x": 1}, "benign", "Try it")
    store.delete_project(project)
    assert not list((tmp_path / "collected").iterdir())
